//! `xds_authorization` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::resources::xds_authorization(data));
