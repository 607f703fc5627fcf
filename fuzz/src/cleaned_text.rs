//! What holds for every text that the controller stores or shows.

/// A token that the controller sent. An answer may repeat it.
pub const SENT: &str = "ya29.canary-of-the-fuzzer-0123456789";

/// Checks a text that comes from an answer: short, visible, and without the token.
pub fn check(text: &str, most: usize) {
    assert!(text.len() <= most, "{} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let bidirectional = ['\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    let is_bidirectional = |c: char| bidirectional.iter().any(|range| range.contains(&c));
    assert!(!text.chars().any(is_bidirectional), "{text:?}");
    assert!(!text.contains(SENT), "{text:?}");
}
