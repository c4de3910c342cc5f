//! The connections between nodes: frames over mutual TLS.
//!
//! Nothing here knows what the frames say, and nothing outside knows how they travel.
//!
//! More than a dozen files, since two of them are for tests alone.

mod accept;
mod certificate_verifier;
mod dial;
mod errors;
#[cfg(test)]
mod fixtures;
mod frames;
mod greeting;
mod handshake_limiter;
#[cfg(test)]
mod impostor;
mod join_status;
mod link;
mod names;
mod security;
mod tls;
mod unfit_certificates;

pub(super) use accept::{EnrolmentHandler, IncomingLink, QUESTION_BYTES_MAX};
pub(super) use dial::ask_to_join;
pub(super) use frames::{FRAME_BYTES_MAX, Sender};
#[cfg(test)]
pub(super) use impostor::{ReceivedRequests, pretend};
pub use join_status::JoinStatus;
pub(super) use link::Link;
pub(super) use names::resolve;
pub(super) use security::Transport;
pub use unfit_certificates::UnfitCertificates;
