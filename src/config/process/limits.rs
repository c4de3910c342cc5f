//! How much a client may ask for, and how long it may take.

use std::time::Duration;

use crate::config::fault::{Fault, Faults};
use crate::config::reading::Table;
use crate::server::Limits;

const MINUTE: (Duration, &str) = (Duration::from_mins(1), "1m");
const HOUR: (Duration, &str) = (Duration::from_hours(1), "1h");

/// Reads `[limits]`.
pub(crate) fn read(root: &mut Table<'_>, faults: &mut Faults) -> Limits {
    let usual = Limits::default();
    let Some(mut table) = root.table("limits", faults) else {
        return usual;
    };
    // Pingora closes a fresh connection that is silent for a minute in its header block.
    let header_timeout = read_duration(&mut table, "header_timeout", MINUTE, faults);
    let keepalive = read_duration(&mut table, "keepalive", HOUR, faults);
    let body_timeout = read_duration(&mut table, "body_timeout", HOUR, faults);
    let mut integer = |key, range, usual| table.integer(key, range, faults).unwrap_or(usual);
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
            .integer("streams", 1..=10_000, faults)
            .unwrap_or(usual.streams),
    };
    table.finish(faults);
    limits
}

/// From a second to this.
pub(crate) fn read_duration(
    table: &mut Table<'_>,
    key: &str,
    (most, named): (Duration, &str),
    faults: &mut Faults,
) -> Option<Duration> {
    let duration = table.duration(key, faults)?;
    if (Duration::from_secs(1)..=most).contains(&duration) {
        return Some(duration);
    }
    if let Some(spot) = table.spot_of(key) {
        let fault = Fault::error(format!("`{key}` is out of range")).at(&spot);
        faults.push(fault.label(format!("expected 1s to {named}")));
    }
    None
}
