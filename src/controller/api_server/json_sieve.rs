//! Splits the API server's JSON stream into objects, without the metadata that this program does not need.
//!
//! Any tenant can create an object with 1.5 MB of labels, annotations and managed fields. They are dropped byte by byte (of
//! namespaces the labels are kept), so memory holds one object without them, and at most [`most`] bytes of it. What remains is parsed by serde_json, which rejects invalid JSON;
//! what is dropped is only followed to its end.

use memchr::memchr2;

/// The largest object without the dropped metadata, in bytes. With labels it is more than the API server can store, and without
/// them the CRDs allow much less.
pub const fn most(labels: LabelsAre) -> usize {
    match labels {
        LabelsAre::Kept => 4 * 1024 * 1024,
        LabelsAre::Dropped => 256 * 1024,
    }
}

/// Down to this depth the kind of each container is kept; deeper ones are only counted.
const LEVELS: usize = 6;

/// The shape of the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One object.
    Object,
    /// The events of a watch, one after the other.
    Events,
    /// A list of objects.
    List,
}

/// Whether the labels of objects are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelsAre {
    /// The labels are kept, too.
    Kept,
    /// The labels are dropped with the other metadata.
    Dropped,
}

/// A complete part.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// The object, an event, or an item of a list.
    Item(Vec<u8>),
    /// The metadata of a list.
    ListMetadata(Vec<u8>),
    /// An item of more than [`most`] bytes without the dropped metadata.
    TooLarge,
}

/// The keys that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    Items,
    Metadata,
    Object,
    Labels,
    /// Dropped in the metadata of an object.
    Needless,
    #[default]
    Other,
}

impl Key {
    fn of(text: &[u8]) -> Self {
        match text {
            b"items" => Self::Items,
            b"metadata" => Self::Metadata,
            b"object" => Self::Object,
            b"labels" => Self::Labels,
            b"annotations" | b"managedFields" | b"ownerReferences" | b"finalizers" => {
                Self::Needless
            }
            _ => Self::Other,
        }
    }
}

/// An open object or array.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    is_object: bool,
    /// The next string is a key.
    at_key: bool,
    key: Key,
}

/// The splitter; see the module.
#[derive(Debug)]
pub struct JsonSieve {
    shape: Shape,
    labels: LabelsAre,
    /// How many objects and arrays are open.
    depth: usize,
    levels: [Level; LEVELS],
    in_string: bool,
    escaped: bool,
    /// The key that is being read, as far as it matters.
    key: Option<Vec<u8>>,
    /// The depth at which the part that is kept, or dropped, began.
    kept_at: Option<usize>,
    dropped_at: Option<usize>,
    piece: Vec<u8>,
    too_large: bool,
    /// The outermost value has ended.
    ended: bool,
    /// Between the events of a watch came something that is no JSON object.
    broken: bool,
}

/// The longest key that matters.
const LONGEST_KEY: usize = 16;

impl JsonSieve {
    /// A splitter at the beginning of a stream.
    pub fn new(shape: Shape, labels: LabelsAre) -> Self {
        Self {
            shape,
            labels,
            depth: 0,
            levels: [Level::default(); LEVELS],
            in_string: false,
            escaped: false,
            key: None,
            kept_at: None,
            dropped_at: None,
            piece: Vec::new(),
            too_large: false,
            ended: false,
            broken: false,
        }
    }

    /// Whether the JSON is complete. Only a watch may have more after that.
    pub const fn is_complete(&self) -> bool {
        self.ended && self.depth == 0
    }

    /// Whether a watch has sent something else than events. What follows may not be events either.
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Reads until a piece is complete. Returns it and the remaining bytes; `None` if more bytes are needed.
    pub fn next<'a>(&mut self, mut bytes: &'a [u8]) -> Option<(Piece, &'a [u8])> {
        while !bytes.is_empty() {
            if self.in_string && !self.escaped {
                let plain = memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
                let (text, rest) = bytes.split_at_checked(plain).unwrap_or((bytes, &[]));
                if !text.is_empty() {
                    self.text(text);
                    bytes = rest;
                    continue;
                }
            }
            let Some((byte, rest)) = bytes.split_first() else {
                break;
            };
            bytes = rest;
            if let Some(piece) = self.byte(*byte) {
                return Some((piece, bytes));
            }
        }
        None
    }

    /// Characters of a string without a meaning of their own.
    fn text(&mut self, text: &[u8]) {
        if let Some(key) = &mut self.key {
            let room = (LONGEST_KEY + 1).saturating_sub(key.len());
            key.extend(text.iter().take(room));
        }
        self.keep(text);
    }

    fn byte(&mut self, byte: u8) -> Option<Piece> {
        if self.in_string {
            self.keep(&[byte]);
            if self.escaped || byte == b'\\' {
                self.escaped = !self.escaped;
                // The API server never writes these keys with escapes.
                if let Some(key) = &mut self.key {
                    key.push(b'\\');
                    key.truncate(LONGEST_KEY + 1);
                }
                return None;
            }
            self.in_string = false;
            return match self.key.take() {
                Some(key) => {
                    if let Some(level) = self.level() {
                        level.key = Key::of(&key);
                    }
                    None
                }
                None => self.value_ended(),
            };
        }
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ if self.shape == Shape::Events && self.depth == 0 && byte != b'{' => {
                self.broken = true;
            }
            b'"' => {
                if self.level().is_some_and(|level| level.at_key) {
                    self.key = Some(Vec::with_capacity(LONGEST_KEY + 1));
                } else {
                    self.value_begins(false);
                }
                self.in_string = true;
                self.keep(b"\"");
            }
            b'{' | b'[' => {
                self.value_begins(true);
                self.keep(&[byte]);
                self.depth = self.depth.saturating_add(1);
                let is_object = byte == b'{';
                if let Some(level) = self.level() {
                    *level = Level {
                        is_object,
                        at_key: is_object,
                        key: Key::Other,
                    };
                }
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.keep(&[byte]);
                return self.value_ended();
            }
            b',' | b':' => {
                if let Some(level) = self.level() {
                    level.at_key = level.is_object && byte == b',';
                }
                self.keep(&[byte]);
            }
            _ => self.keep(&[byte]),
        }
        None
    }

    /// The innermost open container, unless it is too deep to matter.
    fn level(&mut self) -> Option<&mut Level> {
        self.levels.get_mut(self.depth.checked_sub(1)?)
    }

    /// Whether the value that begins now has this path of keys; an item of an array matches any key.
    fn is_at(&self, path: &[Option<Key>]) -> bool {
        self.depth == path.len()
            && path.iter().zip(&self.levels).all(|(key, level)| match key {
                Some(key) => level.is_object && level.key == *key,
                None => !level.is_object,
            })
    }

    fn value_begins(&mut self, is_container: bool) {
        const ITEMS: Option<Key> = Some(Key::Items);
        const METADATA: Option<Key> = Some(Key::Metadata);
        const OBJECT: Option<Key> = Some(Key::Object);
        if self.kept_at.is_none() {
            let kept = match self.shape {
                Shape::Object | Shape::Events => self.depth == 0,
                Shape::List => self.is_at(&[ITEMS, None]) || self.is_at(&[METADATA]),
            };
            if kept && is_container {
                self.kept_at = Some(self.depth);
            }
        } else if self.dropped_at.is_none() {
            let is_at = |key: Key| match self.shape {
                Shape::Object => self.is_at(&[METADATA, Some(key)]),
                Shape::Events => self.is_at(&[OBJECT, METADATA, Some(key)]),
                Shape::List => self.is_at(&[ITEMS, None, METADATA, Some(key)]),
            };
            let is_dropped_label = self.labels == LabelsAre::Dropped && is_at(Key::Labels);
            if is_at(Key::Needless) || is_dropped_label {
                self.keep(b"null");
                self.dropped_at = Some(self.depth);
            }
        }
    }

    fn value_ended(&mut self) -> Option<Piece> {
        if self.dropped_at == Some(self.depth) {
            self.dropped_at = None;
        }
        self.ended |= self.depth == 0;
        if self.kept_at != Some(self.depth) {
            return None;
        }
        self.kept_at = None;
        let piece = std::mem::take(&mut self.piece);
        if std::mem::take(&mut self.too_large) {
            return Some(Piece::TooLarge);
        }
        Some(match self.shape {
            Shape::List if self.depth == 1 => Piece::ListMetadata(piece),
            _ => Piece::Item(piece),
        })
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.kept_at.is_none() || self.dropped_at.is_some() || self.too_large {
            return;
        }
        if self.piece.len() + bytes.len() > most(self.labels) {
            self.too_large = true;
            self.piece = Vec::new();
        } else {
            self.piece.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
#[path = "json_sieve_tests.rs"]
mod tests;
