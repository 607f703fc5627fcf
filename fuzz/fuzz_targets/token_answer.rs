//! The target `token_answer` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| opcancel_fuzz::check("token_answer", data));
