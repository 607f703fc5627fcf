//! The body of an answer, as data.

use std::time::Duration;

use bytes::Bytes;

/// Most bytes that the connection gets at once.
const PIECE: usize = 64 * 1024;

/// A body: a pattern that is repeated up to a length, between a prefix and a suffix. It may be paced, and shorter than its head
/// claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pattern: Bytes,
    /// The length of the repeated pattern, in bytes.
    filling: u64,
    /// The prefix and the suffix.
    around: Option<Box<(Bytes, Bytes)>>,
    length: u64,
    claimed: u64,
    pace: Option<(usize, Duration)>,
}

impl Content {
    /// These bytes.
    pub fn new(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        Self {
            pattern: bytes,
            filling: length,
            around: None,
            length,
            claimed: length,
            pace: None,
        }
    }

    /// The bytes, if they are sent as they are.
    pub fn plain(&self) -> Option<&Bytes> {
        let length = self.pattern.len() as u64;
        let is_plain = self.around.is_none() && self.pace.is_none();
        let is_whole = [self.filling, self.length, self.claimed] == [length; 3];
        (is_plain && is_whole).then_some(&self.pattern)
    }

    /// A prefix, this many letters x, and a suffix.
    #[must_use]
    pub fn filled(begin: Bytes, filling: u64, end: Bytes) -> Self {
        let x = Self::new(Bytes::from_static(b"x")).repeated(filling);
        let length = filling + (begin.len() + end.len()) as u64;
        Self {
            around: Some(Box::new((begin, end))),
            length,
            claimed: length,
            ..x
        }
    }

    /// The same bytes, repeated and cut to this length; an empty body repeats as spaces.
    #[must_use]
    pub fn repeated(self, length: u64) -> Self {
        let mut pattern = self.pattern;
        if pattern.is_empty() {
            pattern = Bytes::from_static(b" ");
        }
        if (pattern.len() as u64) < length && pattern.len() < PIECE {
            // A whole number of repetitions, so that a piece may start anywhere in it.
            pattern = pattern.repeat(PIECE / pattern.len()).into();
        }
        Self {
            pattern,
            filling: length,
            length,
            claimed: length,
            ..self
        }
    }

    /// The same, but its head claims this many bytes, if that is more: the body is then truncated.
    #[must_use]
    pub fn claiming(self, length: u64) -> Self {
        Self {
            claimed: length.max(self.length),
            ..self
        }
    }

    /// The same, but truncated after this many bytes.
    #[must_use]
    pub fn truncated(self, length: u64) -> Self {
        Self {
            length: length.min(self.length),
            ..self
        }
    }

    /// The same, but only this many bytes at a time, with a pause in between.
    #[must_use]
    pub fn paced(self, bytes: usize, pause: Duration) -> Self {
        Self {
            pace: Some((bytes.max(1), pause)),
            ..self
        }
    }

    /// How many bytes are sent.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes the head claims: [`Content::length`], or more if the body is truncated.
    pub fn claimed_length(&self) -> u64 {
        self.claimed
    }

    /// The pause after each piece.
    pub fn pause(&self) -> Option<Duration> {
        self.pace.map(|(_, pause)| pause)
    }

    /// The next bytes after this offset; empty at the end.
    pub fn piece(&self, sent: u64) -> Bytes {
        let left = self.length.saturating_sub(sent);
        let (before, after) = self.around.as_deref().cloned().unwrap_or_default();
        let (begin, size) = (before.len() as u64, self.pattern.len() as u64);
        let filled = begin + self.filling;
        let (part, at, most) = if sent < begin {
            (&before, sent, left)
        } else if sent < filled && size > 0 {
            (
                &self.pattern,
                (sent - begin) % size,
                left.min(filled - sent),
            )
        } else {
            (&after, sent - filled, left)
        };
        let paced = self.pace.map_or(u64::MAX, |(bytes, _)| bytes as u64);
        let end = (part.len() as u64).min(at + most.min(paced));
        // Both are at most the part's length, which is a usize.
        part.slice(at.min(end) as usize..end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &Content) -> Vec<u8> {
        let mut whole = Vec::new();
        loop {
            let piece = content.piece(whole.len() as u64);
            if piece.is_empty() {
                return whole;
            }
            whole.extend_from_slice(&piece);
        }
    }

    #[test]
    fn comes_in_pieces_and_whole() {
        let content = Content::new(Bytes::from_static(b"abcde"));
        assert_eq!(all(&content), b"abcde");
        let slow = content.clone().paced(2, Duration::from_millis(1));
        assert_eq!(slow.piece(0), "ab");
        assert_eq!(all(&slow), b"abcde");
        assert_eq!(all(&Content::new(Bytes::new())), b"");
    }

    #[test]
    fn repeats_without_a_seam() {
        let content = Content::new(Bytes::from_static(b"abc")).repeated(200_000);
        let expected: Vec<u8> = b"abc".iter().copied().cycle().take(200_000).collect();
        assert_eq!(all(&content), expected);
        let nothing = Content::new(Bytes::new()).repeated(3);
        assert_eq!(all(&nothing), b"   ");
        assert_eq!(
            all(&Content::new(Bytes::from_static(b"abc")).repeated(2)),
            b"ab"
        );
    }

    #[test]
    fn fills_what_stands_between() {
        let content = Content::filled("ab".into(), 100_000, "cd".into());
        assert_eq!(content.length(), 100_004);
        let expected = format!("ab{}cd", "x".repeat(100_000)).into_bytes();
        assert_eq!(all(&content), expected);
        assert_eq!(
            all(&content.clone().paced(40_000, Duration::ZERO)),
            expected
        );
        assert_eq!(all(&content.truncated(100_003)), expected[..100_003]);
        assert_eq!(all(&Content::filled("ab".into(), 0, "".into())), b"ab");
    }

    #[test]
    fn breaks_off_where_it_is_told() {
        let content = Content::new(Bytes::from_static(b"abcde"));
        let cut = content.clone().truncated(3);
        assert_eq!(
            (all(&cut).as_slice(), cut.claimed_length()),
            (&b"abc"[..], 5)
        );
        assert_eq!(content.claiming(9).claimed_length(), 9);
    }
}
