//! The grammar of JSON (RFC 8259), byte by byte: the state of a number, of a string, and the open objects and lists.
//!
//! For a text of which nothing is to be kept. Nothing in here recurses, and nesting costs a bit for each level.

use super::proto_json::NotProtoJson;

/// The state within a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberState {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl NumberState {
    /// The state after one more byte; `None` if the byte is not part of the number.
    pub const fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Some(Self::Whole),
            (Self::Zero | Self::Whole, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Some(Self::ExponentSign),
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => {
                Some(Self::ExponentDigits)
            }
            _ => None,
        }
    }

    /// Whether a number may end here.
    pub const fn may_end(self) -> bool {
        matches!(
            self,
            Self::Zero | Self::Whole | Self::Fraction | Self::ExponentDigits
        )
    }
}

/// The state within a string.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum StringState {
    /// Between characters.
    #[default]
    Plain,
    /// Within a character of several bytes: so many are missing, and the next lies in this range.
    Bytes(u8, u8, u8),
    /// After a backslash.
    Escape,
    /// Within `\u`: so many digits are missing; the value so far.
    Hex(u8, u16),
    /// After the first half of a surrogate pair.
    HighHalf,
    /// After that, and a backslash.
    HighHalfEscape,
    /// Within the second half.
    LowHalf(u8, u16),
}

/// The objects and lists that are open: a bit each.
#[derive(Debug, Default)]
pub(super) struct OpenContainers {
    bits: Vec<u64>,
    depth: usize,
}

impl OpenContainers {
    /// How many are open.
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// An object or a list begins.
    pub fn push(&mut self, is_object: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.bits.len() {
            self.bits.push(0);
        }
        if let Some(bits) = self.bits.get_mut(word) {
            *bits = (*bits & !(1 << bit)) | (u64::from(is_object) << bit);
        }
        self.depth += 1;
    }

    /// The innermost ends.
    pub fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Whether the innermost is an object; none if nothing is open.
    pub fn is_object(&self) -> Option<bool> {
        let at = self.depth.checked_sub(1)?;
        let bits = self.bits.get(at / 64)?;
        Some(bits >> (at % 64) & 1 == 1)
    }
}

/// Whether a byte within a string is a whole character that means itself.
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte < 0x80 && byte != b'"' && byte != b'\\'
}

/// How many bytes at the beginning are plain. Eight are looked at together: a large answer is one long string.
pub(super) fn plain_length(text: &[u8]) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = EACH << 7;
    let is_plain_word = |word: &&[u8; 8]| {
        let word = u64::from_ne_bytes(**word);
        // The high bit of a byte is set where the byte is below `limit`, or above such a byte.
        let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word;
        let odd = word
            | below(word, 0x20)
            | below(word ^ (EACH * u64::from(b'"')), 1)
            | below(word ^ (EACH * u64::from(b'\\')), 1);
        odd & HIGH == 0
    };
    let (words, _) = text.as_chunks::<8>();
    let whole = 8 * words.iter().take_while(is_plain_word).count();
    let rest = text.get(whole..).unwrap_or_default();
    whole + rest.iter().take_while(|byte| is_plain(**byte)).count()
}

/// The state of a string after one more byte that is not the closing quotation mark.
///
/// # Errors
/// If the byte is not allowed there.
pub(super) fn next_string_state(text: StringState, byte: u8) -> Result<StringState, NotProtoJson> {
    let hex = || {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u16::try_from(digit).ok())
            .ok_or_else(not_json)
    };
    Ok(match (text, byte) {
        (StringState::Plain, b'\\') => StringState::Escape,
        (StringState::Plain, 0..=0x1f) => return Err(not_json()),
        (StringState::Plain, _) => character(byte)?,
        (StringState::Bytes(missing, low, high), _) => {
            if byte < low || byte > high {
                return Err(not_utf8());
            }
            match missing {
                1 => StringState::Plain,
                more => StringState::Bytes(more - 1, 0x80, 0xbf),
            }
        }
        (StringState::Escape, b'u') => StringState::Hex(4, 0),
        (StringState::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
            StringState::Plain
        }
        (StringState::Hex(missing, value), _) => {
            let value = value << 4 | hex()?;
            match (missing, value) {
                (1, 0xd800..=0xdbff) => StringState::HighHalf,
                (1, 0xdc00..=0xdfff) => return Err(half_pair()),
                (1, _) => StringState::Plain,
                _ => StringState::Hex(missing - 1, value),
            }
        }
        (StringState::HighHalf, b'\\') => StringState::HighHalfEscape,
        (StringState::HighHalfEscape, b'u') => StringState::LowHalf(4, 0),
        (StringState::LowHalf(missing, value), _) => {
            let value = value << 4 | hex()?;
            match (missing, value) {
                (1, 0xdc00..=0xdfff) => StringState::Plain,
                (1, _) => return Err(half_pair()),
                _ => StringState::LowHalf(missing - 1, value),
            }
        }
        (StringState::HighHalf | StringState::HighHalfEscape, _) => return Err(half_pair()),
        (StringState::Escape, _) => return Err(not_json()),
    })
}

/// The beginning of a character (Unicode, table 3-7).
fn character(first: u8) -> Result<StringState, NotProtoJson> {
    Ok(match first {
        0..=0x7f => StringState::Plain,
        0xc2..=0xdf => StringState::Bytes(1, 0x80, 0xbf),
        0xe0 => StringState::Bytes(2, 0xa0, 0xbf),
        0xed => StringState::Bytes(2, 0x80, 0x9f),
        0xe1..=0xef => StringState::Bytes(2, 0x80, 0xbf),
        0xf0 => StringState::Bytes(3, 0x90, 0xbf),
        0xf1..=0xf3 => StringState::Bytes(3, 0x80, 0xbf),
        0xf4 => StringState::Bytes(3, 0x80, 0x8f),
        _ => return Err(not_utf8()),
    })
}

pub(super) fn not_json() -> NotProtoJson {
    NotProtoJson::new("it is not JSON")
}

fn not_utf8() -> NotProtoJson {
    NotProtoJson::new("it is not UTF-8")
}

fn half_pair() -> NotProtoJson {
    NotProtoJson::new("a string holds half a surrogate pair")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_at_every_place_ends_what_is_plain_or_not() {
        for byte in 0..=u8::MAX {
            for at in 0..24 {
                let mut text = [b'~'; 24];
                text[at] = byte;
                let plain = if is_plain(byte) { 24 } else { at };
                assert_eq!(plain_length(&text), plain, "{byte:#x} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn eight_at_a_time_are_as_many_as_one_by_one(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let one_by_one = text.iter().take_while(|byte| is_plain(**byte)).count();
            prop_assert_eq!(plain_length(&text), one_by_one);
        }
    }
}
