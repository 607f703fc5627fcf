//! Texts from outside are cut and cleaned before anything stores, shows or logs them (design section 5).

/// Longest text kept, in bytes of UTF-8.
pub const MAX_TEXT: usize = 1024;

/// What stands where a token stood.
const REDACTED: &str = "[token removed]";

/// A token's beginning of at least this many bytes is taken for the token: endpoints echo cut ones too.
const TOKEN_PREFIX: usize = 16;

/// A text made safe: white space of any kind becomes a space, other control, bidi and invisible characters vanish,
/// every token in `secrets` is replaced, and what is left is cut to [`MAX_TEXT`] bytes on a character's boundary.
///
/// Characters go before tokens are looked for: a token broken up by them would else be put together again by it.
pub fn clean(text: &str, secrets: &[&str]) -> String {
    let visible: String = text.chars().filter_map(visible).collect();
    let without = secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(visible, |text, secret| without_secret(&text, secret));
    cut(without_likely_tokens(&without).trim(), MAX_TEXT)
}

/// How Google's access tokens and JSON web tokens begin.
const TOKENS_BEGIN: [&str; 2] = ["ya29.", "eyJ"];

/// Replaces whatever looks like a token: an endpoint may echo one that is not held any more, or another one's.
fn without_likely_tokens(text: &str) -> String {
    TOKENS_BEGIN
        .iter()
        .fold(text.to_owned(), |text, begin| without_likely(&text, begin))
}

fn without_likely(text: &str, begin: &str) -> String {
    let of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '/');
    let mut parts = text.split(begin);
    let mut cleaned = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        cleaned.push_str(REDACTED);
        cleaned.push_str(part.trim_start_matches(of_token));
    }
    cleaned
}

/// Cuts to at most `max` bytes on a character's boundary, and shows by an ellipsis that it did.
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

/// Replaces each place that repeats the secret, or at least its first [`TOKEN_PREFIX`] bytes.
fn without_secret(text: &str, secret: &str) -> String {
    let needle = secret.get(..TOKEN_PREFIX).unwrap_or(secret);
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, found)) = rest.split_once(needle) {
        cleaned.push_str(before);
        cleaned.push_str(REDACTED);
        let more = secret.get(needle.len()..).unwrap_or_default();
        let same: usize = found
            .chars()
            .zip(more.chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum();
        rest = found.get(same..).unwrap_or_default();
    }
    cleaned.push_str(rest);
    cleaned
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
                "[token removed][token removed]x",
            ),
        ] {
            assert_eq!(clean(given, &[TOKEN]), cleaned);
        }
        assert_eq!(clean("tok tik", &["tik"]), "tok [token removed]");
        assert_eq!(clean("as it is", &[""]), "as it is");
    }

    #[test]
    fn a_token_at_the_cut_leaves_nothing() {
        let text = format!("{}{TOKEN}", "x".repeat(MAX_TEXT - 20));
        let cleaned = clean(&text, &[TOKEN]);
        assert!(!cleaned.contains("ya29"), "{cleaned}");
        assert!(cleaned.len() <= MAX_TEXT);
    }

    proptest! {
        #[test]
        fn always_short_visible_and_without_the_token(text in "(\\PC|\\pC|ya29.c.b0Aaekm1K_very-secret-and-long){0,900}") {
            let cleaned = clean(&text, &[TOKEN]);
            prop_assert!(cleaned.len() <= MAX_TEXT);
            prop_assert!(!cleaned.contains(TOKEN));
            prop_assert!(!cleaned.chars().any(char::is_control));
        }
    }
}
