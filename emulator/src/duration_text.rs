//! Durations as scenarios write them: `200ms`, `5s`, `10m`, `2h`, `0`.
//!
//! The forms are those of [`jiff::Span`]: its friendly format and ISO 8601. A day has 24 hours.

use std::{borrow::Cow, time::Duration};

use jiff::{Span, SpanRelativeTo};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer, de};

/// A year is longer than any emulated operation lives, and short enough to be added to any clock.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Reads a duration. Each number needs its unit; only `0` needs none.
///
/// # Errors
/// If the text is not a duration, is negative or is longer than a year.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let duration = text
        .parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .and_then(Duration::try_from)
        .map_err(|_| format!("invalid duration {text:?}; use for example 200ms, 30s or 5m"))?;
    if duration > LONGEST {
        return Err(format!(
            "{text:?} is longer than a year; omit the field for \"never\""
        ));
    }
    Ok(duration)
}

/// Writes a duration so that [`parse`] reads it back.
pub fn format(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) {
        format!("{}s", millis / 1000)
    } else {
        format!("{millis}ms")
    }
}

/// The schema of what [`parse`] reads.
pub(crate) struct DurationSchema;

impl JsonSchema for DurationSchema {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number and a unit: 200ms, 5s, 1.5s, 10m, 2h; or 0.",
            "anyOf": [
                {"type": "string", "pattern": "^(0|[0-9]+(\\.[0-9]*)?(ms|s|m|h))$"},
                {"const": 0},
            ],
        })
    }
}

/// For `#[serde(with = "duration_text")]`: reads what [`parse`] reads.
///
/// # Errors
/// Those of [`parse`], where the document has another type or text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = Duration;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a duration such as 200ms, 30s or 5m")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            parse(text).map_err(E::custom)
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Duration, E> {
            parse(&number.to_string()).map_err(E::custom)
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// For `#[serde(with = "duration_text")]`: writes what [`format()`] writes.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// The same for optional durations; an absent field is `None`.
pub mod option {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    #[derive(Deserialize)]
    struct Text(#[serde(with = "super")] Duration);

    /// Reads a duration that may be null.
    ///
    /// # Errors
    /// Those of [`super::parse`].
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
    }

    /// Writes a duration or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_unit() {
        for (text, millis) in [
            ("0", 0),
            ("200ms", 200),
            ("5s", 5000),
            ("1.5s", 1500),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("5d", 432_000_000),
            ("5 s", 5000),
            ("5s ", 5000),
            ("5 minutes", 300_000),
            ("1h30m", 5_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration_and_says_what_is() {
        for text in [
            "", "5", "s", "-1s", "1e3s", "9999999h", "1..5s", "inf", "soon",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn reads_back_what_it_writes() {
        for millis in [0, 1, 999, 1000, 1500, 60_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
