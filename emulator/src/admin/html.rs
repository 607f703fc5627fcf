//! HTML: escapes texts from outside, and puts every page into the same frame.

use std::fmt::{self, Write};

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

/// Nothing but the page's own style sheet and script, no frames around it, forms only to itself. The icon is an empty one.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// Text that shows as it is, in an element or in a quoted attribute. Characters that cannot be seen, or that turn the
/// text around them (Unicode TR 36), are spelled out.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\n' => f.write_char('\n')?,
                hidden if is_hidden(hidden) => write!(f, "{}", hidden.escape_unicode())?,
                other => write_harmless(f, other)?,
            }
        }
        Ok(())
    }
}

/// The value of a form's field, in a quoted attribute: sent back as it is, character by character.
pub(super) struct Value<'a>(pub(super) &'a str);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\r' | '\n' => write!(f, "&#{};", u32::from(character))?,
                other => write_harmless(f, other)?,
            }
        }
        Ok(())
    }
}

fn write_harmless(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '&' => f.write_str("&amp;"),
        '<' => f.write_str("&lt;"),
        '>' => f.write_str("&gt;"),
        '"' => f.write_str("&quot;"),
        '\'' => f.write_str("&#39;"),
        plain => f.write_char(plain),
    }
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A whole page with these contents. Without JavaScript, a link to `again` refreshes it: it does not reload by itself while
/// somebody types, and the notice appears only once.
pub(super) fn page(
    status: StatusCode,
    title: &str,
    notice: Option<&str>,
    contents: &str,
    again: Option<&str>,
) -> Response {
    let again = again.map_or_else(String::new, |address| {
        format!(
            r#"<noscript><p><a href="{}">Refresh</a></p></noscript>"#,
            Text(address)
        )
    });
    let html = format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title} · operations-emulator</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
</head>
<body>
<header><h1>{title}</h1></header>
<main>
<p id="notice" role="status">{notice}</p>
<p id="offline" role="status" hidden>The emulator does not respond. Retrying.</p>
{again}
{contents}
</main>
</body>
</html>
"#,
        title = Text(title),
        notice = Text(notice.unwrap_or_default()),
    );
    answer(status, "text/html; charset=utf-8", html)
}

/// An answer with the headers that keep a page to itself.
pub(super) fn answer(status: StatusCode, kind: &'static str, body: impl IntoResponse) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not less: without a referrer browsers hide the origin of forms, by which the guard knows the page's own.
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup_and_nothing_hides() {
        let shown = |text: &str| Text(text).to_string();
        assert_eq!(
            shown("<img src=x onerror='a()'>&\""),
            "&lt;img src=x onerror=&#39;a()&#39;&gt;&amp;&quot;"
        );
        assert_eq!(
            shown("a\0b\u{202e}c\u{200b}\r\nü"),
            "a\\u{0}b\\u{202e}c\\u{200b}\\u{d}\nü"
        );
    }
}
