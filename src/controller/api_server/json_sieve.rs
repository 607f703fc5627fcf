//! Takes the API server's JSON as it comes and hands out each object as it ends, without the part of its metadata that nobody
//! here needs.
//!
//! Labels, annotations and managed fields of an object may take 1.5 MB, whoever made it. They are dropped byte by byte, so what is
//! in memory is one object without them, and no more than [`MOST`] of it. What is kept is parsed by serde_json, which refuses what is
//! no JSON; what is dropped is only followed to its end.

use memchr::memchr2;

/// What is kept of one object at most, in bytes. The CRDs allow much less; an object that is larger is no object of theirs.
pub const MOST: usize = 256 * 1024;

/// Containers are told apart down to this depth; deeper ones are only counted.
const LEVELS: usize = 6;

/// What the JSON is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One object.
    Object,
    /// The events of a watch, one after the other.
    Events,
    /// A list of objects.
    List,
}

/// A part that is complete.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// The object, an event, or an item of a list.
    Item(Vec<u8>),
    /// The metadata of a list.
    ListMetadata(Vec<u8>),
    /// An item that is larger than [`MOST`] without what is dropped of it.
    TooLarge,
}

/// A key that matters, where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    Items,
    Metadata,
    Object,
    /// In an object's metadata nobody needs it.
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
            b"labels" | b"annotations" | b"managedFields" | b"ownerReferences" | b"finalizers" => {
                Self::Needless
            }
            _ => Self::Other,
        }
    }
}

/// One object or list that is open.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    is_object: bool,
    /// The next string is a key.
    at_key: bool,
    key: Key,
}

/// See the module.
#[derive(Debug)]
pub struct JsonSieve {
    shape: Shape,
    /// How many objects and lists are open.
    depth: usize,
    levels: [Level; LEVELS],
    in_string: bool,
    escaped: bool,
    /// The beginning of the key that is being read.
    key: Option<Vec<u8>>,
    /// The depth at which what is kept, or dropped, began.
    kept_at: Option<usize>,
    dropped_at: Option<usize>,
    piece: Vec<u8>,
    too_large: bool,
    /// The outermost value has ended.
    ended: bool,
}

/// No key that matters is longer.
const LONGEST_KEY: usize = 16;

impl JsonSieve {
    /// Has read nothing.
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
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
        }
    }

    /// Whether nothing is open, and something was read: more may only follow in a watch.
    pub const fn is_complete(&self) -> bool {
        self.ended && self.depth == 0
    }

    /// Reads on until a piece is complete. Gives it back with the bytes that follow it; nothing if more bytes are needed.
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

    /// Characters of a string that mean themselves.
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
                // The API server writes no key that matters with an escape.
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

    /// The innermost that is open, unless it lies too deep to matter.
    fn level(&mut self) -> Option<&mut Level> {
        self.levels.get_mut(self.depth.checked_sub(1)?)
    }

    /// Whether the value that begins now has this path of keys; a list's item has any key.
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
        const NEEDLESS: Option<Key> = Some(Key::Needless);
        if self.kept_at.is_none() {
            let kept = match self.shape {
                Shape::Object | Shape::Events => self.depth == 0,
                Shape::List => self.is_at(&[ITEMS, None]) || self.is_at(&[METADATA]),
            };
            if kept && is_container {
                self.kept_at = Some(self.depth);
            }
        } else if self.dropped_at.is_none() {
            let needless = match self.shape {
                Shape::Object => self.is_at(&[METADATA, NEEDLESS]),
                Shape::Events => self.is_at(&[OBJECT, METADATA, NEEDLESS]),
                Shape::List => self.is_at(&[ITEMS, None, METADATA, NEEDLESS]),
            };
            if needless {
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
        if self.piece.len() + bytes.len() > MOST {
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
