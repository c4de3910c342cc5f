//! The certificates that clients show in the TLS handshake, and the authorities by which they count.

mod authorities;
mod distinguished_name;
mod reading;
mod shown;
mod verifier;

pub use authorities::{ClientAuthorities, UnfitAuthorities};
pub(crate) use shown::{MissingCertificate, ShownCertificate};
pub(crate) use verifier::ClientVerifier;
