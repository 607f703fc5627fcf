//! Durations as flags write them: `200ms`, `5s`, `1h30m`, `1 day`, `PT5M`.
//!
//! The forms are those of [`jiff::Span`]: its friendly format and ISO 8601. A day has 24 hours.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Longest duration that a flag may name: a hundred days. More is a typing error.
const LONGEST: Duration = Duration::from_secs(100 * 24 * 3600);

/// Reads a duration. Each number needs its unit.
///
/// # Errors
/// If the text is not a duration, is negative or is longer than 100 days.
pub fn parse(text: &str) -> Result<Duration, String> {
    let duration = text
        .parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .and_then(Duration::try_from)
        .map_err(|_| "invalid duration; use for example 30s or 5m".to_owned())?;
    if duration > LONGEST {
        return Err("must be at most 100 days".to_owned());
    }
    Ok(duration)
}

/// Reads a duration within these limits. A value outside them is a costly typing error: polls without a pause, an outcome
/// `NotFound` for an operation that is running, a cancel request that is never sent.
pub fn within(
    shortest: &'static str,
    longest: &'static str,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        let duration = parse(text)?;
        if (parse(shortest)?..=parse(longest)?).contains(&duration) {
            Ok(duration)
        } else {
            Err(format!("must be from {shortest} to {longest}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, milliseconds) in [
            ("200ms", 200),
            ("5s", 5000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("1s500ms", 1500),
            ("0s", 0),
            ("2d", 172_800_000),
            ("+5s", 5000),
            ("5 s", 5000),
            ("1.5s", 1500),
            ("2 hours", 7_200_000),
            ("1 day, 6 hours", 108_000_000),
            ("PT1H30M", 5_400_000),
        ] {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_form() {
        for text in [
            "",
            "5",
            "-5s",
            "5s ago",
            "s",
            "5x",
            "5S",
            "1M",
            "5s1h",
            "5s5s",
            "1mo",
            "٥s",
            "99999999999999999999s",
            "9999999999999d",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("30s or 5m"), "{text}: {error}");
        }
        assert!(parse("101d").unwrap_err().contains("100 days"));
    }
}
