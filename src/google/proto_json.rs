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

/// A `google.protobuf.Duration` such as `1.5s`. Absurdly long ones saturate; what is negative or no duration is none.
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Object<'_>, NotProtoJson> {
        Object::from_body(text.as_bytes())
    }

    #[test]
    fn what_is_no_object_says_so() {
        for (body, said) in [
            (&b""[..], "the JSON ends too early"),
            (b"{", "the JSON ends too early"),
            (b"{\"a\":1", "the JSON ends too early"),
            (b"<html>", "it is not JSON"),
            (b"{} {}", "it is not JSON"),
            (b"{\"a\":}", "it is not JSON"),
            (b"[]", "the JSON has another shape"),
            (b"\"a\"", "the JSON has another shape"),
            (b"{\"a\":1,\"a\":1}", "a key comes twice"),
            (b"{\"a\":1,\"\\u0061\":1}", "a key comes twice"),
            (b"{\"a\":\"\xff\"}", "it is not UTF-8"),
            (b"\xef\xbb\xbf{}", "it is not JSON"),
        ] {
            let error = Object::from_body(body).unwrap_err();
            assert_eq!(error.to_string(), said, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn members_have_the_types_of_proto_json() {
        let object =
            read(r#"{"t":true,"f":false,"n":null,"s":"x","i":"1","d":1.0,"o":{"a":1},"l":[{}]}"#)
                .unwrap();
        assert_eq!(object.boolean("t"), Ok(true));
        assert_eq!(object.boolean("f"), Ok(false));
        assert_eq!(object.boolean("n"), Ok(false));
        assert_eq!(object.boolean("absent"), Ok(false));
        assert!(object.boolean("i").is_err());
        assert_eq!(object.string("s"), Ok(Some("x".to_owned())));
        assert_eq!(object.string("n"), Ok(None));
        assert!(object.string("d").is_err());
        assert_eq!(object.object("o").unwrap().unwrap().int32("a"), Ok(1));
        assert!(object.object("s").is_err());
        assert_eq!(object.objects("l").unwrap().len(), 1);
        assert!(object.objects("o").is_err());
        assert!(object.raw("n").is_none());
    }

    #[test]
    fn integers_come_in_many_forms() {
        for (given, number) in [
            ("1", Some(1)),
            ("-1", Some(-1)),
            ("\"5\"", Some(5)),
            ("1.0", Some(1)),
            ("1e1", Some(10)),
            ("null", Some(0)),
            ("2147483647", Some(i32::MAX)),
            ("2147483648", None),
            ("1e300", None),
            ("1.5", None),
            ("\"x\"", None),
            ("\"\"", None),
            ("true", None),
            ("{}", None),
            ("99999999999999999999999", None),
        ] {
            let text = format!("{{\"code\":{given}}}");
            assert_eq!(read(&text).unwrap().int32("code").ok(), number, "{given}");
        }
    }

    #[test]
    fn durations_saturate() {
        for (given, expected) in [
            ("1.5s", Some(Duration::from_millis(1500))),
            ("0s", Some(Duration::ZERO)),
            ("3.000000001s", Some(Duration::new(3, 1))),
            ("1.0000000019s", Some(Duration::new(1, 1))),
            (
                "99999999999999999999999999s",
                Some(Duration::from_secs(u64::MAX)),
            ),
            ("-1s", None),
            ("1", None),
            ("s", None),
            ("1e3s", None),
            ("", None),
        ] {
            assert_eq!(duration(given), expected, "{given}");
        }
    }

    #[test]
    fn deep_json_is_no_danger() {
        let deep = format!(
            "{{\"done\":true,\"x\":{}{}}}",
            "[".repeat(400_000),
            "]".repeat(400_000)
        );
        assert_eq!(read(&deep).unwrap().boolean("done"), Ok(true));
        let deep = "{\"a\":".repeat(150_000);
        assert_eq!(
            read(&deep).unwrap_err().to_string(),
            "the JSON ends too early"
        );
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_reads(text in "[{}\\[\\]a1\":, ]{0,24}") {
            let strict = read(&text).is_ok();
            let lax = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok();
            prop_assert!(!strict || lax);
        }
    }
}
