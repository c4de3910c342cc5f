//! Nodes that are played, with their disks, links and clocks, in a time of their own: whatever happens, nothing that was
//! answered is lost.
//!
//! A world is made of a number, and the same number makes the same world. `cargo test` plays the first few hundred; one
//! of them is played by `cargo test --lib -- simulation seed:17`, others than these by `make simulate`.

mod chance;
mod ledger;
mod network;
mod plan;
mod process;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use crate::clock;
use world::World;

/// How many worlds are played by every test run.
const WORLDS: u64 = 300;

/// Plays one world, and says which if something is wrong with it.
fn play(seed: u64) -> usize {
    let played = catch_unwind(AssertUnwindSafe(|| World::new(seed).play()));
    played.unwrap_or_else(|broken| {
        eprintln!("again: cargo test --lib -- simulation seed:{seed}");
        resume_unwind(broken)
    })
}

/// What follows a word like `seed:` among the filters of the test run.
fn asked_for(what: &str) -> Option<u64> {
    let mut arguments = std::env::args();
    arguments.find_map(|argument| argument.strip_prefix(what)?.parse().ok())
}

#[test]
fn whatever_happens_what_was_answered_is_known_to_all() {
    if let Some(seed) = asked_for("seed:") {
        play(seed);
        return;
    }
    let (first, count) = (1, WORLDS);
    let deadline =
        asked_for("seconds:").map(|seconds| clock::instant() + Duration::from_secs(seconds));
    let first = if deadline.is_some() {
        UNIX_EPOCH.elapsed().unwrap().as_secs() << 20
    } else {
        first
    };
    let next = AtomicU64::new(first);
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_over = match deadline {
                        Some(deadline) => clock::instant() > deadline,
                        None => seed >= first + count,
                    };
                    if is_over {
                        return;
                    }
                    answered.fetch_add(play(seed) as u64, Ordering::Relaxed);
                }
            });
        }
    });
    let worlds = next.into_inner() - first - 2;
    eprintln!("{worlds} worlds, {} answers", answered.into_inner());
}
