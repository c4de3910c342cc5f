//! Hunts for one frame of the cluster that makes a node break a promise.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::gossip_frame(bytes));
