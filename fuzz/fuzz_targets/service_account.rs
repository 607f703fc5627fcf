//! The target `service_account` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| opcancel_fuzz::check("service_account", data));
