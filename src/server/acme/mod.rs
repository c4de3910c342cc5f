//! Certificates ordered from an authority over ACME (RFC 8555): orders, challenges, what is stored, and what is served.

mod attempts;
mod authority;
pub(crate) mod challenges;
mod failure;
mod folder;
mod order;
pub(crate) mod renewal;
pub(crate) mod settings;
pub(crate) mod state;
pub(crate) mod tls_alpn;
