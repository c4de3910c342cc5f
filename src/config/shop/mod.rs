//! `[[shop]]`: one shop, laid over its preset.

pub(crate) mod claims;
pub(crate) mod settings;
pub(crate) mod upstream;
