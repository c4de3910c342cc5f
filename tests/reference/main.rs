//! `docs/reference/` says what the code says: each page is written from it and compared.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the enums of syn are not ours"
)]

mod configuration;
mod documented;
mod exit_codes;
mod log_reasons;
mod metrics;
mod page;
mod pages;
mod shops;
#[allow(
    dead_code,
    reason = "the laws of the tree need all of it, these tests the list of files"
)]
#[path = "../support/source.rs"]
mod source;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
