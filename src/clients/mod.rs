//! How clients are told apart, which are served, and how much each of them may do.

mod access_list;
mod counts_per_minute;
mod network;
mod peer;
mod rate_limiter;

pub use access_list::AccessList;
pub use counts_per_minute::{CountsPerMinute, WIDER};
pub use network::ClientNetwork;
pub use peer::{Peer, Peers};
pub use rate_limiter::{Rate, RateLimiter, RetryAfter};
