//! Fuzz targets: each reads what strangers can send to the controller, and fails if a guarantee does not hold.
//!
//! A target is a function of any bytes. `fuzz_targets/` gives it to libFuzzer, and `tests/corpus.rs` calls it with each file of its
//! corpus. `docs/reliability.md#fuzzing` says how to run them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a target reports what it found"
)]

mod cleaned_text;
mod error_json;
mod operation_json;
mod operation_name;
mod retry_after;
mod service_account;
mod token_answer;

/// A target by its name: that of its program, its file here and its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("error_json", error_json::check),
    ("operation_json", operation_json::check),
    ("operation_name", operation_name::check),
    ("retry_after", retry_after::check),
    ("service_account", service_account::check),
    ("token_answer", token_answer::check),
];

/// Calls a target.
///
/// # Panics
/// If a guarantee does not hold, or there is no target of that name.
pub fn check(target: &str, data: &[u8]) {
    let (_, check) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    check(data);
}
