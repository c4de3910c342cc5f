//! Hunts for GraphQL that means a logout or carries a dead token, and not to us.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::graphql(bytes));
