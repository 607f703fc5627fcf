//! Durations as flags and logs write them: `200ms`, `5s`, `10m`, `1h30m`.

use std::time::Duration;

/// Longest duration that a flag may name: a hundred days. More is a slip of the pen.
const LONGEST: Duration = Duration::from_secs(100 * 24 * 3600);

/// Reads a duration: whole numbers, each with its unit (`ms`, `s`, `m`, `h`, `d`), the largest first.
///
/// # Errors
/// If the text is anything else; the message names the form.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is no duration; expected a form such as 200ms, 5s, 10m or 1h30m");
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        if milliseconds >= last_unit {
            return Err(wrong());
        }
        last_unit = milliseconds;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        total = total.saturating_add(Duration::from_millis(number.saturating_mul(milliseconds)));
        rest = next;
    }
    if text.is_empty() {
        return Err(wrong());
    }
    if total > LONGEST {
        return Err(format!("{text:?} is longer than 100 days"));
    }
    Ok(total)
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
            "+5s",
            "5 s",
            "s",
            "5x",
            "1.5s",
            "5s1h",
            "5s5s",
            "5S",
            "٥s",
            "99999999999999999999s",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("200ms"), "{text}: {error}");
        }
        assert!(parse("101d").unwrap_err().contains("100 days"));
        assert!(parse("9999999999999d").unwrap_err().contains("100 days"));
    }
}
