//! What is done again only after a while: calling a node, and complaining.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

/// How long is waited before somebody is called again: at least, and how much longer at most.
const AGAIN_MIN_MS: u64 = 50;
const AGAIN_SPREAD_MS: u64 = 2_000;

/// How often one thing is complained about.
const COMPLAIN_EVERY_MS: u64 = 60_000;

/// About how many things complaints are remembered.
const COMPLAINTS_MAX: usize = 1024;

/// What was complained about lately.
#[derive(Default)]
pub(super) struct Complaints(Mutex<HashMap<IpAddr, u64>>);

impl Complaints {
    /// Whether this one may be complained about again.
    pub(super) fn may_be_made(&self, about: IpAddr, now_ms: u64) -> bool {
        may_be_made(&mut self.0.lock(), about, now_ms)
    }
}

pub(super) fn may_be_made<K: Hash + Eq>(made: &mut HashMap<K, u64>, about: K, now_ms: u64) -> bool {
    if made.len() >= COMPLAINTS_MAX {
        made.retain(|_, made_ms| now_ms - *made_ms < COMPLAIN_EVERY_MS);
    }
    let is_new = made
        .get(&about)
        .is_none_or(|made_ms| now_ms - made_ms >= COMPLAIN_EVERY_MS);
    let may = is_new && made.len() < COMPLAINTS_MAX;
    if may {
        made.insert(about, now_ms);
    }
    may
}

/// Nodes that lost each other at the same time do not call each other at the same time.
pub(super) fn pause() -> Duration {
    let mut bytes = [0; 8];
    let _ = aws_lc_rs::rand::fill(&mut bytes); // without, everybody waits equally long
    Duration::from_millis(AGAIN_MIN_MS + u64::from_le_bytes(bytes) % AGAIN_SPREAD_MS)
}
