//! How much a client may ask for, and how long it may take.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{Fault, Faults};
use super::table::Table;
use crate::server::Limits;

/// Reads `[limits]`.
pub(super) fn read(root: &mut Table<'_>, faults: &mut Faults) -> Limits {
    let usual = Limits::default();
    let Some(mut table) = root.table("limits", faults) else {
        return usual;
    };
    let second_to_hour = Duration::from_secs(1)..=Duration::from_hours(1);
    let table_of_limits = &mut table;
    let mut duration =
        |key, usual| read_duration(table_of_limits, key, &second_to_hour, faults).unwrap_or(usual);
    let header_timeout = duration("header_timeout", usual.header_timeout);
    let keepalive = duration("keepalive", usual.keepalive);
    let body_timeout = duration("body_timeout", usual.body_timeout);
    let mut integer = |key, range, usual| table.integer(key, range, faults).unwrap_or(usual);
    let limits = Limits {
        header_bytes: integer("header_bytes", 1 << 10..=1 << 20, usual.header_bytes),
        target_bytes: integer("target_bytes", 256..=1 << 20, usual.target_bytes),
        header_timeout,
        keepalive,
        body_timeout,
        send_rate_min: integer("send_rate_min", 0..=1 << 30, usual.send_rate_min),
        connections: integer("connections", 1..=10_000_000, usual.connections),
        connections_per_client: integer(
            "connections_per_client",
            1..=10_000_000,
            usual.connections_per_client,
        ),
        streams: table
            .integer("streams", 1..=10_000, faults)
            .unwrap_or(usual.streams),
    };
    table.finish(faults);
    limits
}

fn read_duration(
    table: &mut Table<'_>,
    key: &str,
    range: &RangeInclusive<Duration>,
    faults: &mut Faults,
) -> Option<Duration> {
    let duration = table.duration(key, faults)?;
    if range.contains(&duration) {
        return Some(duration);
    }
    if let Some(spot) = table.spot_of(key) {
        let fault = Fault::error(format!("`{key}` is out of range")).at(&spot);
        faults.push(fault.label("expected 1s to 1h"));
    }
    None
}
