//! Steers the process: the log level, and whether balancers send customers here.

use std::str::FromStr as _;

use http::StatusCode;
use log::{LevelFilter, warn};
use rustix::process::{Signal, getpid, kill_process};
use serde::Deserialize;
use serde_json::json;

use crate::server::operator::control::{Control, ControlResult, parse_order};
use crate::server::operator::order::PeerProcess;

/// Another log level.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelOrder {
    level: String,
}

/// Whether customers should go elsewhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainOrder {
    /// They may come back.
    #[serde(default)]
    undo: bool,
    /// The process is to end afterwards.
    #[serde(default)]
    stop: bool,
}

impl Control {
    /// Logs at another level, until a reload or the next start.
    pub(in crate::server::operator) fn set_log_level(
        body: &[u8],
        peer: PeerProcess,
    ) -> ControlResult {
        let order: LevelOrder = parse_order(body)?;
        let level = LevelFilter::from_str(order.level.trim()).map_err(|_| {
            let why = "unknown level: expected off, error, warn, info, debug or trace";
            (StatusCode::BAD_REQUEST, why.into())
        })?;
        let before = log::max_level().to_string().to_lowercase();
        let PeerProcess { uid, pid } = peer;
        let level_name = level.to_string().to_lowercase();
        warn!(by_uid = uid, by_pid = pid, before = before.as_str(), level = level_name.as_str(); "the log level was changed by hand, until the next reload");
        log::set_max_level(level);
        Ok(json!({ "level": level_name, "before": before, "until": "the next reload or start" }))
    }

    /// `/readyz` fails from now on, while everything is served on; or the process ends, as by SIGTERM.
    pub(in crate::server::operator) fn drain(
        &self,
        body: &[u8],
        peer: PeerProcess,
    ) -> ControlResult {
        let order: DrainOrder = parse_order(body)?;
        let traffic = &self.status.traffic;
        let PeerProcess { uid, pid } = peer;
        if traffic.is_stopping() {
            let why = "the process is stopping already";
            return Err((StatusCode::CONFLICT, why.into()));
        }
        traffic.hold_back(!order.undo);
        if order.undo {
            warn!(by_uid = uid, by_pid = pid; "the operator ended the draining");
        } else {
            warn!(by_uid = uid, by_pid = pid; "the operator ordered draining: /readyz fails, and customers who come are served");
        }
        if order.stop {
            kill_process(getpid(), Signal::TERM).map_err(|error| {
                let why = format!("the process can't signal itself: {error}");
                (StatusCode::INTERNAL_SERVER_ERROR, why.into())
            })?;
        }
        Ok(json!({
            "draining": !order.undo, "stopping": order.stop,
            "in_flight": traffic.in_flight(), "connections": self.status.limiter.open(),
        }))
    }
}
