//! Hunts for a configuration that is neither read nor refused properly.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::configuration(bytes));
