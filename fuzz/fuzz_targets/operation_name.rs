//! The target `operation_name` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| opcancel_fuzz::check("operation_name", data));
