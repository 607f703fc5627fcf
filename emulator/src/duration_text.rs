//! Durations as scenarios write them: `200ms`, `5s`, `10m`, `2h`, `0`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

/// Reads a duration: a whole or decimal number and one of `ms`, `s`, `m`, `h`; `0` needs no unit.
///
/// # Errors
/// A sentence that names what was given and what is expected.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "{text:?} is not a duration; expected a number and a unit, such as 200ms, 5s, 1.5s, 10m or 2h"
        )
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    if !number.starts_with(|c: char| c.is_ascii_digit())
        || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    {
        return Err(wrong());
    }
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    // A year is longer than any emulated operation lives, and short enough to be added to any clock.
    if seconds > 366.0 * 86_400.0 {
        return Err(format!(
            "{text:?} is longer than a year; leave the field out for \"never\""
        ));
    }
    Ok(Duration::from_micros((seconds * 1e6).round() as u64))
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

/// For `#[serde(with = "duration_text")]`: reads what [`parse`] reads.
///
/// # Errors
/// Those of [`parse`], where the document has another type or text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = Duration;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a duration such as 200ms, 5s, 10m or 2h")
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
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration_and_says_what_is() {
        for text in [
            "", "5", "s", "-1s", "5 s", "5d", "1e3s", "9999999h", "1..5s", "inf", "5s ",
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
