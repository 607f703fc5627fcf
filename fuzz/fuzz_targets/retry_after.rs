//! The target `retry_after` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| opcancel_fuzz::check("retry_after", data));
