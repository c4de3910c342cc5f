//! How much a client may ask for, and how long it may take.

use std::time::Duration;

use crate::config::reading::TomlTable;
use crate::server::Limits;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Reads `[limits]`.
pub(crate) fn read(root: &mut TomlTable<'_>) -> Limits {
    let usual = Limits::default();
    let Some(mut table) = root.table("limits") else {
        return usual;
    };
    // Pingora closes a fresh connection that is silent for a minute in its header block.
    let header_timeout = table.duration_within("header_timeout", SECOND..=MINUTE, "1s to 1m");
    let keepalive = table.duration_within("keepalive", SECOND..=HOUR, "1s to 1h");
    let body_timeout = table.duration_within("body_timeout", SECOND..=HOUR, "1s to 1h");
    let mut integer = |key, range, usual| table.integer(key, range).unwrap_or(usual);
    let limits = Limits {
        header_bytes: integer("header_bytes", 1 << 10..=1 << 20, usual.header_bytes),
        target_bytes: integer("target_bytes", 256..=1 << 20, usual.target_bytes),
        header_timeout: header_timeout.unwrap_or(usual.header_timeout),
        keepalive: keepalive.unwrap_or(usual.keepalive),
        body_timeout: body_timeout.unwrap_or(usual.body_timeout),
        send_rate_min: integer("send_rate_min", 0..=1 << 30, usual.send_rate_min),
        connections: integer("connections", 1..=10_000_000, usual.connections),
        connections_per_client: integer(
            "connections_per_client",
            1..=10_000_000,
            usual.connections_per_client,
        ),
        read_ahead_bytes: integer(
            "read_ahead_bytes",
            64 << 10..=1 << 40,
            usual.read_ahead_bytes,
        ),
        read_ahead_bytes_per_client: integer(
            "read_ahead_bytes_per_client",
            64 << 10..=1 << 40,
            usual.read_ahead_bytes_per_client,
        ),
        streams: table
            .integer("streams", 1..=10_000)
            .unwrap_or(usual.streams),
    };
    table.finish();
    limits
}
