//! How requests are sent, and how their answers are passed on. A shop says it for all of its requests, and a route for its own.

use super::switched::{Switched, refuse_true, switched};
use super::{compression, mirror, retries};
use crate::config::reading::{TomlTable, byte_size};
use crate::config::upstream::{NamedUpstreams, WAITS};
use crate::request::{Handling, RouteTimeouts};

/// What a route can say of it.
pub(super) const KEYS: [&str; 5] = ["timeouts", "body_limit", "retries", "mirror", "compress"];

/// Reads what a shop says.
pub(super) fn read_of_shop(shop: &mut TomlTable<'_>, upstreams: &NamedUpstreams) -> Handling {
    read(shop, upstreams, &Handling::default())
}

/// Reads what a route says; what it leaves out, the shop says.
pub(super) fn read_of_route(
    route: &mut TomlTable<'_>,
    upstreams: &NamedUpstreams,
    of_shop: &Handling,
) -> Handling {
    Handling {
        timeouts: read_timeouts(route),
        ..read(route, upstreams, of_shop)
    }
}

fn read(table: &mut TomlTable<'_>, upstreams: &NamedUpstreams, of_shop: &Handling) -> Handling {
    Handling {
        timeouts: RouteTimeouts::default(),
        body_limit: read_body_limit(table, of_shop.body_limit),
        retries: retries::read(table, of_shop.retries.as_ref()),
        mirror: mirror::read(table, upstreams, of_shop.mirror.as_ref()),
        compression: compression::read(table, of_shop.compression.as_ref()),
    }
}

fn read_body_limit(table: &mut TomlTable<'_>, of_shop: Option<u64>) -> Option<u64> {
    match switched(table, "body_limit") {
        Switched::LeftOut => of_shop,
        Switched::Off => None,
        Switched::On => refuse_true(table, "body_limit", "a size such as \"10MiB\", or false"),
        Switched::Written => table.string_as("body_limit", byte_size::parse),
    }
}

fn read_timeouts(route: &mut TomlTable<'_>) -> RouteTimeouts {
    let Some(mut table) = route.table("timeouts") else {
        return RouteTimeouts::default();
    };
    let mut timeout = |key| table.duration_within(key, WAITS, "10ms to 24h");
    let timeouts = RouteTimeouts {
        connect: timeout("connect"),
        read: timeout("read"),
        write: timeout("write"),
    };
    table.finish();
    timeouts
}
