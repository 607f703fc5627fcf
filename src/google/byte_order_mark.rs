//! The byte order mark that some editors and shells write at the start of a text file, and the encodings that it indicates.
//!
//! Sources: The Unicode Standard, section 23.8; RFC 8259, section 8.1 (a reader of JSON may ignore the mark).

/// The mark in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A text without its byte order mark, if it has one. It does not check that the rest is UTF-8.
///
/// # Errors
/// If it is UTF-16 or UTF-32: with a mark, or without one if its first character is ASCII. The error says what to do.
pub(crate) fn without_mark(bytes: &[u8]) -> Result<&[u8], String> {
    let encoding = match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [_, 0, 0, 0, ..] | [0, 0, 0, _, ..] => {
            "UTF-32"
        }
        [0xff, 0xfe, ..] | [1..=0x7f, 0, ..] => {
            "UTF-16 (little-endian, as Windows PowerShell writes it)"
        }
        [0xfe, 0xff, ..] | [0, 1..=0x7f, ..] => "UTF-16 (big-endian)",
        _ => return Ok(bytes.strip_prefix(MARK).unwrap_or(bytes)),
    };
    Err(format!("it is in {encoding}; save it as UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_goes_and_nothing_else() {
        for text in ["", "{}", "\u{e4}", "x"] {
            assert_eq!(without_mark(text.as_bytes()), Ok(text.as_bytes()));
            let marked = format!("\u{feff}{text}");
            assert_eq!(without_mark(marked.as_bytes()), Ok(text.as_bytes()));
        }
        assert_eq!(without_mark(b"\xff"), Ok(b"\xff".as_slice()));
        let twice = "\u{feff}\u{feff}".as_bytes();
        assert_eq!(without_mark(twice), Ok(MARK));
    }

    #[test]
    fn other_encodings_are_told() {
        let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        let utf32 = |text: &str, bytes: fn(u32) -> [u8; 4]| -> Vec<u8> {
            text.chars().map(u32::from).flat_map(bytes).collect()
        };
        for text in [
            "\u{feff}{\"type\": 1}",
            "{}",
            "\u{feff}",
            "\u{feff}\u{20ac}",
        ] {
            for (bytes, said) in [
                (utf16(text, u16::to_le_bytes), "UTF-16 (little-endian"),
                (utf16(text, u16::to_be_bytes), "UTF-16 (big-endian)"),
                (utf32(text, u32::to_le_bytes), "UTF-32"),
                (utf32(text, u32::to_be_bytes), "UTF-32"),
            ] {
                let error = without_mark(&bytes).unwrap_err();
                assert!(error.contains(said), "{text}: {bytes:?}: {error}");
                assert!(error.ends_with("; save it as UTF-8"), "{error}");
            }
        }
    }
}
