//! Hunts for a dead credential that gets past the gate, or a living one that does not.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::credential(bytes));
