//! How clients are told apart, and what each of them did in a minute.

mod counts_per_minute;
mod network;
mod peer;

pub use counts_per_minute::{CountsPerMinute, WIDER};
pub use network::ClientNetwork;
pub use peer::{Peer, Peers};
