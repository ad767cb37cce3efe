//! `zds_ack` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::packets::zds_ack(data));
