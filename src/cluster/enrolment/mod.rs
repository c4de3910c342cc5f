//! Joining: how a machine becomes a node, by one question to a node that invited it.
//!
//! The machine makes a key that never leaves it, connects to the other's gossip listener by TLS 1.3 without a
//! certificate of its own, and sees to it that the other's certificate is of the very authority that stands in the
//! invitation. Only then it says the invitation's secret, its name and where it listens, and asks for a certificate.

pub(crate) mod authority;
pub(crate) mod certificate_files;
pub(crate) mod client;
pub(crate) mod invitation;
pub(crate) mod joined_nodes;
mod messages;
pub(crate) mod server;
#[cfg(test)]
mod tests;
