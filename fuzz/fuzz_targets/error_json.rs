//! The target `error_json` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| opcancel_fuzz::check("error_json", data));
