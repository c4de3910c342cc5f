//! Waiting for what takes its time.

use std::sync::mpsc;
use std::time::Duration;

/// After this a test gives up: far more than anything takes, so that a slow machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const LOOKS: u32 = 1000;

/// Looks until it is so; panics when patience runs out.
#[track_caller]
pub fn eventually(mut so: impl FnMut() -> bool) {
    let (_silent, never) = mpsc::channel::<()>();
    for _ in 0..LOOKS {
        if so() {
            return;
        }
        let _ = never.recv_timeout(BETWEEN_LOOKS); // nothing is ever sent
    }
    panic!("still not so after {PATIENCE:?}");
}

/// A moment of doing nothing, for a test that plays somebody slow.
pub fn tick() {
    let (_silent, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(Duration::from_millis(100)); // nothing is ever sent
}
