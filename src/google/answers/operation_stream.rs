//! Reads the JSON of an operation piece by piece and keeps only what this program looks at.
//!
//! `response` and `metadata` may be megabytes: an inline export is base64 in one string. So the text is checked as it comes, and
//! a copy is made that has the members of the form's shape and nothing else. The copy is small, and is read as a whole once the
//! body has ended. Nothing is concluded before: `done` is printed before `error`.
//!
//! Guarantees: the copy is made only of a text that is valid JSON (RFC 8259) in valid UTF-8, without half surrogate pairs, and
//! whose root is an object. Memory is bounded whatever the text holds. Nesting costs a bit for each level and no recursion.

use crate::google::catalogue::OperationForm;

use super::{
    json_scanner::{
        NumberState, OpenContainers, StringState, next_string_state, not_json, plain_length,
    },
    proto_json::NotProtoJson,
};

/// Longest text that is kept of one string, in bytes of JSON. What is shown is cut shorter.
const MAX_STRING: usize = 4096;

/// Longest key of an object whose keys are all kept, in bytes of JSON. In other objects a longer key is skipped.
const MAX_KEY: usize = 256;

/// Longest copy, in bytes: an object may have any number of members.
const MAX_COPY: usize = 64 * 1024;

/// What is kept of an object.
#[derive(Debug)]
struct Shape {
    /// Whether all keys are kept, also those whose values are not: then a key that comes twice is noticed.
    all_keys: bool,
    members: &'static [(&'static str, Keep)],
}

/// What is kept of a value.
#[derive(Clone, Copy, Debug)]
enum Keep {
    /// Nothing but that it was there.
    Presence,
    /// A text, number or literal. Of an object or a list, only that it was one.
    Scalar,
    /// Members of an object.
    Object(&'static Shape),
    /// Members of the objects in a list.
    List(&'static Shape),
}

/// What this program looks at in the form with `done` (google/longrunning/operations.proto).
static OPERATION: Shape = Shape {
    all_keys: true,
    members: &[
        ("name", Keep::Scalar),
        ("done", Keep::Scalar),
        ("error", Keep::Object(&ERROR)),
        ("metadata", Keep::Object(&METADATA)),
        ("response", Keep::Object(&RESPONSE)),
    ],
};
static ERROR: Shape = Shape {
    all_keys: true,
    members: &[("code", Keep::Scalar), ("message", Keep::Scalar)],
};
static METADATA: Shape = Shape {
    all_keys: false,
    members: &[
        ("@type", Keep::Scalar),
        ("state", Keep::Scalar),
        ("genericMetadata", Keep::Object(&GENERIC_METADATA)),
    ],
};
static GENERIC_METADATA: Shape = Shape {
    all_keys: false,
    members: &[("state", Keep::Scalar)],
};
static RESPONSE: Shape = Shape {
    all_keys: false,
    members: &[("@type", Keep::Scalar)],
};

/// The same in the form with `status`: that of GKE (google/container/v1/cluster_service.proto) and that of Cloud SQL
/// (google/cloud/sql/v1/cloud_sql_resources.proto), whose errors differ.
static DONE_STATUS: Shape = Shape {
    all_keys: true,
    members: &[
        ("name", Keep::Scalar),
        ("status", Keep::Scalar),
        ("operationType", Keep::Scalar),
        ("error", Keep::Object(&DONE_STATUS_ERROR)),
    ],
};
static DONE_STATUS_ERROR: Shape = Shape {
    all_keys: true,
    members: &[
        ("code", Keep::Scalar),
        ("message", Keep::Scalar),
        ("errors", Keep::List(&LISTED_ERROR)),
    ],
};
static LISTED_ERROR: Shape = Shape {
    all_keys: false,
    members: &[("code", Keep::Scalar), ("message", Keep::Scalar)],
};

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// A value.
    Value,
    /// A value, or the end of the list.
    ValueOrEnd,
    /// A key.
    Key,
    /// A key, or the end of the object.
    KeyOrEnd,
    Colon,
    /// A comma, or the end of the object or list.
    CommaOrEnd,
    /// Inside a string.
    Text,
    Number(NumberState),
    /// The rest of `true`, `false` or `null`.
    Literal(&'static [u8]),
    /// White space only.
    End,
}

/// Takes in the text of an operation, and makes the copy.
#[derive(Debug)]
pub(in crate::google) struct OperationStream {
    next: Next,
    text: StringState,
    /// The string under way is a key.
    is_key: bool,
    open: OpenContainers,
    /// The kept objects and lists that are open, outermost first: they are the outermost of all. Of a list, the shape is that of its
    /// objects.
    kept: Vec<&'static Shape>,
    /// Whether each of them has a member in the copy.
    has_members: Vec<bool>,
    /// What is kept of the value that comes; none in what is not kept.
    keep: Option<Keep>,
    /// Whether the string under way is copied, and up to where.
    copies_up_to: Option<usize>,
    /// Where in the copy the character under way begins.
    character: usize,
    key: Vec<u8>,
    /// The key is longer than what was kept of it.
    is_long_key: bool,
    copy: Vec<u8>,
}

impl OperationStream {
    /// For an operation of this form.
    pub fn new(form: OperationForm) -> Self {
        let shape = match form {
            OperationForm::Longrunning => &OPERATION,
            OperationForm::DoneStatus => &DONE_STATUS,
        };
        Self {
            next: Next::Value,
            text: StringState::Plain,
            is_key: false,
            open: OpenContainers::default(),
            kept: Vec::new(),
            has_members: Vec::new(),
            keep: Some(Keep::Object(shape)),
            copies_up_to: None,
            character: 0,
            key: Vec::new(),
            is_long_key: false,
            copy: Vec::new(),
        }
    }

    /// The next piece, of any length.
    ///
    /// # Errors
    /// If it cannot be the text of an operation, whatever follows.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<(), NotProtoJson> {
        while let Some((byte, rest)) = piece.split_first() {
            if self.skips_text() {
                // Most of a large answer is one long string that is skipped.
                let plain = plain_length(piece);
                if plain > 0 {
                    piece = piece.get(plain..).unwrap_or_default();
                    continue;
                }
            }
            self.take(*byte)?;
            piece = rest;
        }
        Ok(())
    }

    /// The copy, once the body has ended.
    ///
    /// # Errors
    /// If the text is not complete.
    pub fn finish(self) -> Result<Vec<u8>, NotProtoJson> {
        if self.next == Next::End {
            Ok(self.copy)
        } else {
            Err(NotProtoJson::new("the JSON ends too early"))
        }
    }

    const fn skips_text(&self) -> bool {
        matches!(self.next, Next::Text)
            && matches!(self.text, StringState::Plain)
            && self.copies_up_to.is_none()
            && !self.is_key
    }

    fn take(&mut self, byte: u8) -> Result<(), NotProtoJson> {
        match self.next {
            Next::Text => return self.take_text(byte),
            Next::Number(number) => {
                if let Some(next) = number.next(byte) {
                    self.next = Next::Number(next);
                    return self.copy_scalar(byte);
                }
                if !number.may_end() {
                    return Err(not_json());
                }
                self.value_ended();
            }
            Next::Literal(rest) => {
                let [expected, rest @ ..] = rest else {
                    return Err(not_json());
                };
                if byte != *expected {
                    return Err(not_json());
                }
                self.copy_scalar(byte)?;
                self.next = Next::Literal(rest);
                if rest.is_empty() {
                    self.value_ended();
                }
                return Ok(());
            }
            _ => {}
        }
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return Ok(());
        }
        match (self.next, byte) {
            (Next::KeyOrEnd, b'}') | (Next::ValueOrEnd, b']') => self.close(),
            (Next::CommaOrEnd, b'}') if self.open.is_object() == Some(true) => self.close(),
            (Next::CommaOrEnd, b']') if self.open.is_object() == Some(false) => self.close(),
            (Next::CommaOrEnd, b',') => {
                self.next = if self.open.is_object() == Some(true) {
                    Next::Key
                } else {
                    Next::Value
                };
                Ok(())
            }
            (Next::Key | Next::KeyOrEnd, b'"') => {
                self.is_key = true;
                self.key.clear();
                self.is_long_key = false;
                self.next = Next::Text;
                Ok(())
            }
            (Next::Colon, b':') => {
                self.next = Next::Value;
                Ok(())
            }
            (Next::Value | Next::ValueOrEnd, _) => self.begin_value(byte),
            _ => Err(not_json()),
        }
    }

    fn begin_value(&mut self, byte: u8) -> Result<(), NotProtoJson> {
        if self.open.depth() == 0 && byte != b'{' {
            return Err(match byte {
                b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                    NotProtoJson::new("the JSON has another shape")
                }
                _ => not_json(),
            });
        }
        self.begin_element()?;
        match byte {
            b'{' | b'[' => return self.open(byte == b'{'),
            b'"' => {
                self.next = Next::Text;
                self.text = StringState::Plain;
                self.copies_up_to = None;
                match self.keep {
                    Some(Keep::Scalar) => {
                        self.put(b"\"")?;
                        self.character = self.copy.len();
                        self.copies_up_to = Some(self.copy.len() + MAX_STRING);
                    }
                    Some(Keep::Presence | Keep::Object(_) | Keep::List(_)) => self.put(b"\"\"")?,
                    None => {}
                }
                return Ok(());
            }
            b't' => self.next = Next::Literal(b"rue"),
            b'f' => self.next = Next::Literal(b"alse"),
            b'n' => self.next = Next::Literal(b"ull"),
            b'-' => self.next = Next::Number(NumberState::Minus),
            b'0' => self.next = Next::Number(NumberState::Zero),
            b'1'..=b'9' => self.next = Next::Number(NumberState::Whole),
            _ => return Err(not_json()),
        }
        if matches!(self.keep, Some(Keep::Presence)) {
            self.put(b"0")?;
        }
        self.copy_scalar(byte)
    }

    /// A byte of a number or a literal.
    fn copy_scalar(&mut self, byte: u8) -> Result<(), NotProtoJson> {
        if matches!(
            self.keep,
            Some(Keep::Scalar | Keep::Object(_) | Keep::List(_))
        ) {
            self.put(&[byte])?;
        }
        Ok(())
    }

    fn open(&mut self, is_object: bool) -> Result<(), NotProtoJson> {
        match self.keep.take() {
            Some(Keep::Object(shape)) if is_object => {
                self.put(b"{")?;
                self.kept.push(shape);
                self.has_members.push(false);
            }
            Some(Keep::List(shape)) if !is_object => {
                self.put(b"[")?;
                self.kept.push(shape);
                self.has_members.push(false);
            }
            Some(_) => self.put(if is_object { b"{}" } else { b"[]" })?,
            None => {}
        }
        self.open.push(is_object);
        self.next = if is_object {
            Next::KeyOrEnd
        } else {
            Next::ValueOrEnd
        };
        Ok(())
    }

    fn close(&mut self) -> Result<(), NotProtoJson> {
        if self.in_kept() {
            self.kept.pop();
            self.has_members.pop();
            let is_object = self.open.is_object() == Some(true);
            self.put(if is_object { b"}" } else { b"]" })?;
        }
        self.open.pop();
        self.value_ended();
        Ok(())
    }

    /// Whether the innermost object or list is a kept one.
    const fn in_kept(&self) -> bool {
        self.open.depth() == self.kept.len()
    }

    /// A value begins. If it is an element of a kept list, says what is kept of it.
    fn begin_element(&mut self) -> Result<(), NotProtoJson> {
        let shape = self.kept.last().copied();
        if let Some(shape) =
            shape.filter(|_| self.in_kept() && self.open.is_object() == Some(false))
        {
            self.begin_member()?;
            self.keep = Some(Keep::Object(shape));
        }
        Ok(())
    }

    /// Writes the comma before a member of the innermost kept object or list.
    fn begin_member(&mut self) -> Result<(), NotProtoJson> {
        let had_members = self.has_members.last_mut();
        if had_members.is_some_and(|has| std::mem::replace(has, true)) {
            self.put(b",")?;
        }
        Ok(())
    }

    const fn value_ended(&mut self) {
        self.keep = None;
        self.next = if self.open.depth() == 0 {
            Next::End
        } else {
            Next::CommaOrEnd
        };
    }

    fn take_text(&mut self, byte: u8) -> Result<(), NotProtoJson> {
        if matches!(self.text, StringState::Plain) {
            self.character = self.copy.len();
            if byte == b'"' {
                return self.text_ended();
            }
        }
        self.text = next_string_state(self.text, byte)?;
        if self.is_key {
            if self.in_kept() {
                self.take_key(byte)?;
            }
            return Ok(());
        }
        if let Some(end) = self.copies_up_to {
            self.put(&[byte])?;
            if self.copy.len() > end {
                // Cut before this character, which may not be complete.
                self.copy.truncate(self.character);
                self.put(b"\"")?;
                self.copies_up_to = None;
            }
        }
        Ok(())
    }

    /// A byte of a key of a kept object.
    fn take_key(&mut self, byte: u8) -> Result<(), NotProtoJson> {
        if self.key.len() < MAX_KEY {
            self.key.push(byte);
        } else if self.kept.last().is_some_and(|shape| shape.all_keys) {
            return Err(NotProtoJson::new("a key is too long"));
        } else {
            self.is_long_key = true;
        }
        Ok(())
    }

    fn text_ended(&mut self) -> Result<(), NotProtoJson> {
        if self.is_key {
            self.is_key = false;
            self.next = Next::Colon;
            return self.key_ended();
        }
        if self.copies_up_to.take().is_some() {
            self.put(b"\"")?;
        }
        self.value_ended();
        Ok(())
    }

    /// Says what is kept of the value that follows.
    fn key_ended(&mut self) -> Result<(), NotProtoJson> {
        self.keep = None;
        let Some(shape) = self
            .kept
            .last()
            .filter(|_| self.in_kept() && !self.is_long_key)
        else {
            return Ok(());
        };
        let mut quoted = Vec::with_capacity(self.key.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(&self.key);
        quoted.push(b'"');
        let key: String = serde_json::from_slice(&quoted).map_err(|_| not_json())?;
        let mut members = shape.members.iter();
        let member = members
            .find(|(name, _)| *name == key)
            .map(|(_, keep)| *keep);
        self.keep = member.or(shape.all_keys.then_some(Keep::Presence));
        if self.keep.is_none() {
            return Ok(());
        }
        self.begin_member()?;
        self.put(&quoted)?;
        self.put(b":")
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), NotProtoJson> {
        if self.copy.len() + bytes.len() > MAX_COPY {
            return Err(NotProtoJson::new("the JSON object has too many members"));
        }
        self.copy.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
#[path = "operation_stream_tests.rs"]
mod tests;
