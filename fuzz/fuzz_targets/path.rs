//! Hunts for a path that means a rule to a shop and not to us.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::path(bytes));
