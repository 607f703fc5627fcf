//! Reading ProtoJSON strictly, one object at a time.
//!
//! Only what is looked at is opened; all else stays unread text. So an answer may be nested as deeply as it likes without
//! a recursion in here, and an operation's `response` can hold what official parsers choke on. In every object that is
//! opened, a key that comes twice makes the whole answer unrecognised: parsers differ in which of the two they believe.
//!
//! Source of the rules: the ProtoJSON page of protobuf.dev (null is the default; integers may be strings; enums and
//! booleans have one form each).

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fmt, time::Duration};

/// Why a text is not what ProtoJSON allows in its place. The message is ours and holds nothing of the text but keys' names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotProtoJson(String);

impl NotProtoJson {
    /// With what is wrong, in words.
    pub fn new(wrong: impl Into<String>) -> Self {
        Self(wrong.into())
    }
}

/// The members of one JSON object, none of them read yet.
#[derive(Debug)]
pub struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    /// Reads a whole body as one object.
    ///
    /// # Errors
    /// If it is not UTF-8, not JSON, not an object, or a key comes twice.
    pub fn from_body(body: &'a [u8]) -> Result<Self, NotProtoJson> {
        Self::from_text(utf8(body)?)
    }

    fn from_text(text: &'a str) -> Result<Self, NotProtoJson> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let members = reader
            .deserialize_map(Members)
            .and_then(|members| reader.end().map(|()| members))
            .map_err(|error| NotProtoJson(describe(&error)))?;
        Ok(Self(members))
    }

    /// How many members it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the members, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The unread value of a member; none if it is absent or null, which mean the same.
    pub fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.0
            .get(key)
            .copied()
            .filter(|value| value.get() != "null")
    }

    /// A message.
    ///
    /// # Errors
    /// If it is not an object, or a key comes twice in it.
    pub fn object(&self, key: &str) -> Result<Option<Object<'a>>, NotProtoJson> {
        self.raw(key)
            .map(|value| Object::from_text(value.get()).map_err(|e| within(key, &e)))
            .transpose()
    }

    /// A list of messages; absent is empty.
    ///
    /// # Errors
    /// If it is not a list of objects, or a key comes twice in one of them.
    pub fn objects(&self, key: &str) -> Result<Vec<Object<'a>>, NotProtoJson> {
        self.raw(key).map_or(Ok(Vec::new()), |value| {
            list_of_objects(value.get()).map_err(|e| within(key, &e))
        })
    }

    /// Those items of a list that are objects; none if it is no list.
    pub fn objects_that_can_be_read(&self, key: &str) -> Vec<Object<'a>> {
        let items: Vec<&'a RawValue> = self
            .raw(key)
            .and_then(|value| serde_json::from_str(value.get()).ok())
            .unwrap_or_default();
        let objects = items.into_iter();
        objects
            .filter_map(|item| Object::from_text(item.get()).ok())
            .collect()
    }

    /// A string.
    ///
    /// # Errors
    /// If it is anything else, or holds half a surrogate pair.
    pub fn string(&self, key: &str) -> Result<Option<String>, NotProtoJson> {
        self.raw(key)
            .map(|value| {
                serde_json::from_str(value.get())
                    .map_err(|_| NotProtoJson(format!("{key} is not a string")))
            })
            .transpose()
    }

    /// A boolean; absent is false.
    ///
    /// # Errors
    /// If it is anything else: `"true"` and `1` are not true.
    pub fn boolean(&self, key: &str) -> Result<bool, NotProtoJson> {
        match self.raw(key).map(RawValue::get) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(NotProtoJson(format!("{key} is not true or false"))),
        }
    }

    /// An int32, as a number or as a string that holds one; absent is 0.
    ///
    /// # Errors
    /// If it is neither, has a fraction, or does not fit.
    pub fn int32(&self, key: &str) -> Result<i32, NotProtoJson> {
        let wrong = || NotProtoJson(format!("{key} is not a 32-bit integer"));
        let Some(value) = self.raw(key) else {
            return Ok(0);
        };
        let text = match serde_json::from_str::<String>(value.get()) {
            Ok(text) => text,
            Err(_) => value.get().to_owned(),
        };
        let number: serde_json::Number = serde_json::from_str(&text).map_err(|_| wrong())?;
        if let Some(whole) = number.as_i64() {
            return i32::try_from(whole).map_err(|_| wrong());
        }
        // 1e0 and 1.0 are integers too.
        match number.as_f64() {
            Some(real)
                if real.fract() == 0.0
                    && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&real) =>
            {
                // Exact: a whole number within the type's range, by the guard above.
                #[allow(clippy::cast_possible_truncation)]
                Ok(real as i32)
            }
            _ => Err(wrong()),
        }
    }
}

/// Reads a whole body as a list of objects.
///
/// # Errors
/// If it is anything else, or a key comes twice in one object.
pub fn objects_from_body(body: &[u8]) -> Result<Vec<Object<'_>>, NotProtoJson> {
    list_of_objects(utf8(body)?)
}

/// A `google.protobuf.Duration` such as `1.5s`. Values that are too long saturate; `None` if it is negative or not a duration.
pub fn duration(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    // Only digits: a failure to parse can only mean "too many".
    let seconds = whole.parse().unwrap_or(u64::MAX);
    let nanos = format!("{fraction:0<9}");
    let nanos = nanos.get(..9)?.parse().ok()?;
    Some(Duration::new(seconds, nanos))
}

fn utf8(body: &[u8]) -> Result<&str, NotProtoJson> {
    std::str::from_utf8(body).map_err(|_| NotProtoJson("it is not UTF-8".to_owned()))
}

fn list_of_objects(text: &str) -> Result<Vec<Object<'_>>, NotProtoJson> {
    let items: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| NotProtoJson(describe(&error)))?;
    items
        .into_iter()
        .map(|item| Object::from_text(item.get()))
        .collect()
}

fn within(key: &str, error: &NotProtoJson) -> NotProtoJson {
    NotProtoJson(format!("{key}: {error}"))
}

/// Says what kind of failure it is without any of the text: that may be a secret's echo.
fn describe(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    match error.classify() {
        Category::Eof => "the JSON ends too early".to_owned(),
        Category::Data if error.to_string().starts_with(TWICE) => TWICE.to_owned(),
        Category::Data => "the JSON has another shape".to_owned(),
        Category::Syntax | Category::Io => "it is not JSON".to_owned(),
    }
}

const TWICE: &str = "a key comes twice";

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = BTreeMap<String, &'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
            if members.insert(key, value).is_some() {
                return Err(serde::de::Error::custom(TWICE));
            }
        }
        Ok(members)
    }
}

#[cfg(test)]
#[path = "proto_json_tests.rs"]
mod tests;
