//! The answers of the Security Token Service and of IAM Credentials: a token that can be sent, or an error that shows none.

use std::time::Duration;

use jiff::Timestamp;
use opcancel::google::identity::{FetchedToken, GuardedResponse, read_generated, read_oauth};
use serde_json::Value;

use crate::cleaned_text::{self, SENT};

/// The longest message about an answer.
const LONGEST: usize = 500;

/// Checks any bytes as an answer of both servers.
pub fn check(data: &[u8]) {
    let asked = Duration::from_secs(900);
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    for status in [200, 307, 400, 503] {
        let answer = GuardedResponse {
            status,
            body: data.to_vec().into(),
        };
        let exchanged = read_oauth(&answer, &[SENT]);
        let generated = read_generated(&answer, asked, now, &[SENT]);
        if let Ok(fetched) = &generated {
            assert!(fetched.life <= asked);
        }
        for (read, field) in [(exchanged, "access_token"), (generated, "accessToken")] {
            match read {
                Ok(fetched) => check_token(data, status, &fetched, field),
                Err(error) => check_error(data, status, &error),
            }
        }
    }
}

fn check_token(data: &[u8], status: u16, fetched: &FetchedToken, field: &str) {
    assert_eq!(status, 200);
    assert!(!fetched.life.is_zero());
    let secret = fetched.token.secret();
    assert!(!secret.is_empty() && secret.bytes().all(|b| b.is_ascii_graphic()));
    let header = fetched.token.authorization().unwrap();
    assert_eq!(header.as_bytes(), format!("Bearer {secret}").as_bytes());
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        assert_eq!(value[field], secret);
    }
    // A short one stands in every text.
    assert!(secret.len() < 16 || !format!("{fetched:?}").contains(secret));
}

fn check_error(data: &[u8], status: u16, error: &str) {
    cleaned_text::check(error, LONGEST);
    if status >= 400 {
        return;
    }
    // Nothing of an answer that may hold a token, not even a piece of a word.
    let quoted = data
        .windows(24)
        .any(|piece| std::str::from_utf8(piece).is_ok_and(|piece| error.contains(piece)));
    assert!(!quoted, "{error}");
}
