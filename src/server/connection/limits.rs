//! The limits of a client: bytes, times and counts. Pingora bounds few of them.

use std::time::Duration;

/// The limits of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest header block, request line included, in bytes; answered 431 beyond (RFC 6585 section 5).
    pub header_bytes: usize,
    /// The longest request target, in bytes; answered 414 beyond (RFC 9110 section 15.5.15).
    pub target_bytes: usize,
    /// How long a whole header block may take to arrive; answered 408 beyond.
    pub header_timeout: Duration,
    /// How long a connection may be idle between two requests.
    pub keepalive: Duration,
    /// How long a client may be silent in the middle of a body, its own or ours.
    pub body_timeout: Duration,
    /// How many bytes a second a client must take of an answer, once it has stalled for `body_timeout`; 0: any.
    pub send_rate_min: usize,
    /// How many connections there may be.
    pub connections: usize,
    /// How many of them one client address may have; trusted proxies may have all.
    pub connections_per_client: usize,
    /// How many bytes of bodies that are read ahead may be kept; answered 503 beyond.
    pub read_ahead_bytes: usize,
    /// How many of them one client address may have; trusted proxies may have all.
    pub read_ahead_bytes_per_client: usize,
    /// How many requests one HTTP/2 connection may have in flight.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 << 10,
            target_bytes: 16 << 10,
            header_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(75),
            body_timeout: Duration::from_mins(1),
            send_rate_min: 1 << 10,
            connections: 20_000,
            connections_per_client: 256,
            read_ahead_bytes: 64 << 20,
            read_ahead_bytes_per_client: 4 << 20,
            streams: 100,
        }
    }
}
