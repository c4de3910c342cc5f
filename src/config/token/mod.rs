//! `[shop.token]`: how tokens are read, and what verifies them.

pub(crate) mod introspection;
pub(crate) mod key_files;
pub(crate) mod key_url;
pub(crate) mod settings;
