//! The worlds that are simulated: one for every seed, and some made by hand.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use super::arguments::asked_for;
use super::world::World;
use crate::clock;
use crate::revocation::SyncPhase;

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

/// More is said than the way carries: what arrives is complete, and older and older.
#[test]
fn a_node_behind_a_thin_way_is_stale_and_ready_again_attacks_r1() {
    for rate in [300, 1_000] {
        let mut world = World::staged(2, rate);
        world.thin(0, 1, rate);
        let states = world.log_out_at(0, 50, 20, 1);
        assert_eq!(
            states,
            [SyncPhase::Ready, SyncPhase::Stale],
            "{rate} bytes a second"
        );
        world.mend(0);
        world.comes_to_rest();
    }
}

/// The node that is late is not the one that sends.
#[test]
fn a_thin_way_there_makes_nobody_stale_here() {
    let mut world = World::staged(2, 3);
    world.thin(0, 1, 1_000);
    assert_eq!(world.log_out_at(0, 50, 20, 0), [SyncPhase::Ready]);
}

#[test]
fn one_direction_that_is_lost_is_gone_around_and_nobody_is_stale_attacks_r1() {
    for seed in 1..6 {
        let mut world = World::staged(3, seed);
        world.block(0, 1);
        assert_eq!(world.log_out_at(0, 20, 15, 1), [SyncPhase::Ready], "{seed}");
        world.mend(0);
        world.comes_to_rest();
        world.block(0, 1);
        world.thin(2, 1, 800);
        let states = world.log_out_at(0, 50, 20, 1);
        assert_eq!(states, [SyncPhase::Ready, SyncPhase::Stale], "{seed}");
        world.mend(0);
        world.mend(2);
        world.comes_to_rest();
    }
}

/// A node that has it, and one that was told of it and had not asked for it yet, stop counting its origin.
#[test]
fn what_a_node_revoked_before_its_quarantine_comes_to_all() {
    for seed in 1..6 {
        let mut world = World::staged(3, seed);
        world.block(2, 0);
        world.log_out_at(2, 20, 1, 0);
        world.quarantine(2);
        assert_eq!(world.log_out_at(1, 0, 4, 0), [SyncPhase::Ready], "{seed}");
    }
}

#[test]
fn clocks_that_are_wrong_or_jump_make_nobody_stale() {
    for seed in 1..6 {
        let mut world = World::staged(3, seed);
        for ahead_ms in [-20_000, 20_000, 0, 25_000, -25_000] {
            world.set_clock(1, ahead_ms);
            for watched in 0..3 {
                assert_eq!(
                    world.log_out_at(0, 20, 4, watched),
                    [SyncPhase::Ready],
                    "{seed}"
                );
            }
        }
        world.comes_to_rest();
    }
}

#[test]
fn what_one_node_revokes_comes_to_all_by_the_bus_alone_whatever_that_loses() {
    for seed in 1..6 {
        let mut world = World::staged_at_bus(3, seed);
        assert_eq!(world.log_out_at(0, 20, 4, 1), [SyncPhase::Ready], "{seed}");
        world.comes_to_rest();
        world.crash_bus();
        world.log_out_at(1, 20, 4, 2);
        world.comes_to_rest();
        world.empty_bus();
        world.log_out_at(2, 20, 4, 0);
        world.comes_to_rest();
    }
}

#[test]
fn a_node_that_is_cut_off_from_its_bus_is_stale_and_ready_again() {
    for seed in 1..6 {
        let mut world = World::staged_at_bus(2, seed);
        world.cut_bus(1);
        let states = world.log_out_at(0, 20, 15, 1);
        assert_eq!(states, [SyncPhase::Ready, SyncPhase::Stale], "{seed}");
        world.mend(1);
        world.comes_to_rest();
    }
}
