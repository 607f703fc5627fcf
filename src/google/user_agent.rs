//! What this program calls itself.

/// The `User-Agent` of every request to Google.
pub const USER_AGENT: &str = concat!("opcancel/", env!("CARGO_PKG_VERSION"));
