//! Texts from outside are cut and cleaned before anything stores, shows or logs them (docs/security.md#an-endpoint).

use std::{collections::HashSet, ops::Range};

/// Longest text kept, in bytes of UTF-8.
pub const MAX_TEXT: usize = 1024;

/// Maximum length of the examined text, in bytes of visible characters. Cleaning costs time for each byte, and the sender decides the
/// length. An eighth of it is kept.
const MAX_LOOKED_AT: usize = 8 * MAX_TEXT;

/// The replacement for a token.
const REDACTED: &str = "[token removed]";

/// A piece of a token with this many bytes counts as the token: endpoints may echo tokens shortened or in another spelling.
const TOKEN_PIECE: usize = 16;

/// Makes a text safe: white space of any kind becomes a space, other control, bidi and invisible characters are removed, every token in
/// `secrets` is replaced, and the rest is cut to [`MAX_TEXT`] bytes at a character boundary.
///
/// A piece of a secret is replaced together with its whole word: the word may be another token with the same beginning, or the token in
/// another spelling. Its end must not remain after its recognisable beginning was removed.
///
/// Invisible characters are removed before tokens are searched: otherwise their removal could restore a token. Only the first 8 KiB of a
/// long text are examined.
pub fn clean(text: &str, secrets: &[&str]) -> String {
    let visible = beginning(text.chars());
    let without = secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(visible, |text, secret| without_secret(&text, secret));
    cut(without_likely_tokens(&without).trim(), MAX_TEXT)
}

/// The visible characters of the beginning of a text. If it is cut, the last word is removed, because it may be the beginning of a
/// token, and so is what may be the beginning of a token with blanks.
fn beginning(characters: impl Iterator<Item = char>) -> String {
    let mut beginning = String::new();
    for c in characters.filter_map(visible) {
        if beginning.len() + c.len_utf8() > MAX_LOOKED_AT {
            let end = beginning.floor_char_boundary(MAX_LOOKED_AT - TOKEN_PIECE);
            beginning.truncate(end);
            let whole_words = beginning.trim_end_matches(of_token).len();
            beginning.truncate(whole_words);
            beginning.push('…');
            break;
        }
        beginning.push(c);
    }
    beginning
}

/// A quotation from an unreadable body, cleaned and cut to `max` bytes. It may be empty.
///
/// Nothing is quoted from JSON, from text that begins like JSON, or from text with escapes: a token in it could have a spelling that is
/// not recognised.
pub fn quote(body: &[u8], secrets: &[&str], max: usize) -> String {
    let text = String::from_utf8_lossy(body);
    let begins_json = text
        .trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
        .starts_with(['{', '[', '"']);
    let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
    if begins_json || text.contains('\\') || is_json() {
        return String::new();
    }
    // Cleaned as a whole first: a quotation that ends within a token would hide it from the cleaning.
    cut(&clean(&text, secrets), max)
}

/// How Google's access tokens and JSON web tokens begin.
const TOKENS_BEGIN: [&str; 2] = ["ya29.", "eyJ"];

/// Replaces everything that looks like a token: an endpoint may echo an old token, or one of another client.
fn without_likely_tokens(text: &str) -> String {
    TOKENS_BEGIN
        .iter()
        .fold(text.to_owned(), |text, begin| without_likely(&text, begin))
}

fn without_likely(text: &str, begin: &str) -> String {
    let mut parts = text.split(begin);
    let mut cleaned = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        cleaned.push_str(REDACTED);
        cleaned.push_str(part.trim_start_matches(of_token));
    }
    cleaned
}

/// Whether a character can be part of a token: as it is, encoded for a form, or escaped in JSON.
fn of_token(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            '-' | '_' | '.' | '~' | '/' | '+' | '=' | '%' | '*' | '\\'
        )
}

/// Cuts to at most `max` bytes at a character boundary, and marks the cut with an ellipsis.
pub fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let ellipsis = "…";
    let end = text.floor_char_boundary(max.saturating_sub(ellipsis.len()));
    let kept = text.get(..end).unwrap_or_default();
    format!("{kept}{ellipsis}")
}

fn visible(c: char) -> Option<char> {
    match c {
        '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        // Bidi controls (Unicode Standard Annex 9), and characters that are there but cannot be seen.
        '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => None,
        c if c.is_control() => None,
        c => Some(c),
    }
}

/// Replaces each word that holds the secret, or a piece of it of [`TOKEN_PIECE`] bytes.
fn without_secret(text: &str, secret: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut done = 0;
    for piece in pieces_of(text, secret) {
        // The piece may begin in the word that was replaced last; then the word is longer.
        if piece.start >= done {
            let before = text.get(done..piece.start).unwrap_or_default();
            // Before it a `=` belongs to the name of a form's field rather than to the token.
            cleaned.push_str(before.trim_end_matches(|c| c != '=' && of_token(c)));
            cleaned.push_str(REDACTED);
        }
        let end = text.ceil_char_boundary(piece.end.max(done));
        let rest = text.get(end..).unwrap_or_default();
        done = text.len() - rest.trim_start_matches(of_token).len();
    }
    cleaned.push_str(text.get(done..).unwrap_or_default());
    cleaned
}

/// Where a text repeats the secret, or at least [`TOKEN_PIECE`] bytes of it. The case of letters does not count: `%2F`
/// and `%2f` are one.
fn pieces_of(text: &str, secret: &str) -> Vec<Range<usize>> {
    let (text, secret) = (text.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let size = TOKEN_PIECE.min(secret.len());
    if size == 0 || text.len() < size {
        return Vec::new();
    }
    let known: HashSet<&[u8]> = secret.as_bytes().windows(size).collect();
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.char_indices() {
        let piece = text.as_bytes().get(at..at + size);
        if piece.is_some_and(|piece| known.contains(piece)) {
            match found.last_mut() {
                Some(last) if at <= last.end => last.end = at + size,
                _ => found.push(at..at + size),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &str = "ya29.c.b0Aaekm1K_very-secret-and-long";

    #[test]
    fn an_access_token_that_is_not_held_any_more_is_taken_out_too() {
        let text = format!("no: Bearer {TOKEN}, and \"{TOKEN}\" again");
        let expected = format!("no: Bearer {REDACTED}, and \"{REDACTED}\" again");
        assert_eq!(clean(&text, &[]), expected);
    }

    #[test]
    fn controls_and_tokens_go() {
        for (given, cleaned) in [
            ("plain", "plain"),
            ("a\nb\tc\u{2028}d", "a b c d"),
            ("a\u{0}b\u{1b}[31mc\u{7f}", "ab[31mc"),
            ("a\u{202e}b\u{2066}c\u{200f}", "abc"),
            ("\u{feff}ü\u{200b}ß", "üß"),
            (
                "token ya29.c.b0Aaekm1K_very-secret-and-long refused",
                "token [token removed] refused",
            ),
            ("cut ya29.c.b0Aaekm1K_ver", "cut [token removed]"),
            (
                "ya29.c.b0\u{0}Aaekm1K_very-sec\u{202e}ret-and-long",
                "[token removed]",
            ),
            (
                "ya29.c.b0Aaekm1K_very-secret-and-longya29.c.b0Aaekm1K_x",
                "[token removed]",
            ),
        ] {
            assert_eq!(clean(given, &[TOKEN]), cleaned);
        }
        assert_eq!(clean("tok tik", &["tik"]), "tok [token removed]");
        assert_eq!(clean("as it is", &[""]), "as it is");
    }

    #[test]
    fn a_token_at_the_cut_leaves_nothing() {
        let text = format!("{} {TOKEN}", "x".repeat(MAX_TEXT - 20));
        let cleaned = clean(&text, &[TOKEN]);
        assert!(!cleaned.contains("ya29"), "{cleaned}");
        assert!(cleaned.len() <= MAX_TEXT);
    }

    #[test]
    fn a_long_text_is_cut_before_it_is_cleaned() {
        let mut looked_at = 0;
        let text = "x ".repeat(512 * 1024);
        let beginning = beginning(text.chars().inspect(|_| looked_at += 1));
        assert_eq!(looked_at, MAX_LOOKED_AT + 1);
        assert!(beginning.len() <= MAX_LOOKED_AT + 3, "{}", beginning.len());
        assert!(beginning.ends_with("x …"));
    }

    /// Wherever the cut falls in a token, and however much vanishes before it, nothing of the token is left.
    #[test]
    fn a_token_where_a_long_text_is_cut_leaves_nothing() {
        let with_blanks = "a secret with blanks - and then some more of it";
        for token in [TOKEN, with_blanks] {
            for before in MAX_LOOKED_AT - 80..MAX_LOOKED_AT + 10 {
                let gone = format!("{TOKEN} ");
                let mut text = gone.repeat(before / gone.len());
                text.push_str(&" ".repeat(before - text.len()));
                text.push_str(token);
                let cleaned = clean(&text, &[TOKEN, with_blanks]);
                assert!(cleaned.len() <= MAX_TEXT);
                for word in ["ya29", "b0Aa", "secret", "blanks"] {
                    assert!(!cleaned.contains(word), "{before}: {cleaned}");
                }
            }
        }
    }

    #[test]
    fn another_token_with_the_same_beginning_leaves_no_end() {
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1cyJ9.our-signature";
        for (given, secret, cleaned) in [
            (
                "old ya29.c.b0Aaekm1K_OTHER-tail-of-the-old-token",
                TOKEN,
                "old [token removed]",
            ),
            (
                "jwt eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ0aGVtIn0.THEIRsignature!",
                jwt,
                "jwt [token removed]!",
            ),
        ] {
            assert_eq!(clean(given, &[secret]), cleaned);
        }
    }

    #[test]
    fn a_token_is_found_in_any_spelling_and_from_any_piece() {
        let secret = "1//0a-refresh/token+that/nobody=may=see==";
        for (given, cleaned) in [
            (
                "form token=1%2F%2F0a-refresh%2Ftoken%2Bthat%2Fnobody%3Dmay%3Dsee%3D%3D&x=y",
                "form token=[token removed]&x=y",
            ),
            (
                "lower 1%2f%2f0a-refresh%2ftoken%2bthat%2fnobody%3dmay%3dsee%3d%3d.",
                "lower [token removed]",
            ),
            (
                r"escaped 1\/\/0a-refresh\/token+that\/nobody=may=see==",
                "escaped [token removed]",
            ),
            ("a part: /token+that/nobody=may", "a part: [token removed]"),
            (
                "plain 1//0a-refresh/token+that/nobody=may=see==",
                "plain [token removed]",
            ),
        ] {
            let encoded = "1%2F%2F0a-refresh%2Ftoken%2Bthat%2Fnobody%3Dmay%3Dsee%3D%3D";
            assert_eq!(clean(given, &[secret, encoded]), cleaned);
        }
        let odd = "\u{fc}ber-geheim \u{fc}ber \u{fc}ber <saml>";
        assert_eq!(clean(&format!("<{odd}>"), &[odd]), "<[token removed]>");
    }

    proptest! {
        #[test]
        fn tokens_that_begin_alike_leave_no_end(
            begin in "[A-Za-z0-9_-]{16,30}", ours in "[A-Za-z0-9_.-]{8,40}", theirs in "[A-Za-z0-9_.%+=/-]{8,40}"
        ) {
            let held = format!("{begin}{ours}");
            let cleaned = clean(&format!("old {begin}{theirs}, new {held}"), &[&held]);
            for end in [&ours, &theirs] {
                for piece in end.as_bytes().windows(8) {
                    let piece = std::str::from_utf8(piece).unwrap();
                    prop_assert!(!cleaned.contains(piece), "{cleaned} holds {piece}");
                }
            }
        }

        #[test]
        fn always_short_visible_and_without_the_token(text in "(\\PC|\\pC|ya29.c.b0Aaekm1K_very-secret-and-long){0,900}") {
            let cleaned = clean(&text, &[TOKEN]);
            prop_assert!(cleaned.len() <= MAX_TEXT);
            prop_assert!(!cleaned.contains(TOKEN));
            prop_assert!(!cleaned.chars().any(char::is_control));
        }
    }
}
