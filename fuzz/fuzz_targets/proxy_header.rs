//! Hunts for a header of the PROXY protocol that is read as more or less than it is.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::proxy_header(bytes));
