//! Hunts for something that a peer says that makes a node break a promise.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::gossip_talk(bytes));
