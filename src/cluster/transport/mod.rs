//! The connections between nodes: frames over HTTP/2, over mutual TLS.
//!
//! Nothing here knows what the frames say, and nothing outside knows how they travel.
//!
//! More than a dozen files, since two of them are for tests alone.

mod accept;
mod certificate_verifier;
mod dial;
#[cfg(test)]
mod fixtures;
mod frames;
mod handshake_limiter;
mod http2;
#[cfg(test)]
mod impostor;
mod link;
mod names;
mod security;
mod stream;
mod tls;
mod unfit_certificates;

pub(super) use accept::{EnrolmentHandler, IncomingLink, QUESTION_BYTES_MAX};
pub(super) use dial::ask_to_join;
pub(super) use frames::{FRAME_BYTES_MAX, Sender};
#[cfg(test)]
pub(super) use impostor::{ReceivedRequests, pretend};
pub(super) use link::Link;
pub(super) use names::resolve;
pub(super) use security::Transport;
pub use unfit_certificates::UnfitCertificates;
