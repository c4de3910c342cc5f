//! The laws of the revocation set: nothing revoked is admitted, nothing innocent refused, in any order.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use doorward::clock::UnixTime;
use doorward::revocation::{
    Cause, DateKind, Group, Id, IdKind, Identity, Revocation, Set, Source, Window,
};
use proptest::prelude::*;

const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

fn id(number: u64) -> Id {
    Id::digest(IdKind::Token, &[&number.to_le_bytes()])
}

fn window_of(number: u64) -> Window {
    match number % 7 {
        0 => Window::UNDATED,
        week => Window::of(Some(UnixTime::from_seconds(NOW.seconds() + week * 3_600))),
    }
}

fn token(number: u64) -> Identity {
    let groups = [Group {
        id: Id::digest(IdKind::Subject, &[&(number % 5).to_le_bytes()]),
        cause: Cause::Subject,
    }];
    Identity {
        id: id(number),
        window: window_of(number),
        groups: groups.into_iter().collect(),
        issued_at: Some(UnixTime::from_seconds(NOW.seconds() - number)),
        former: Box::default(),
    }
}

fn revoked(number: u64) -> Revocation {
    Revocation::Token {
        id: id(number),
        window: window_of(number),
        until: UnixTime::from_seconds(NOW.seconds() + 100_000),
        source: Source::Verified,
    }
}

fn cutoff(subject: u64, not_before: u64) -> Revocation {
    Revocation::Cutoff {
        id: Id::digest(IdKind::Subject, &[&(subject % 5).to_le_bytes()]),
        not_before: UnixTime::from_seconds(NOW.seconds() - not_before),
        until: UnixTime::from_seconds(NOW.seconds() + 100_000),
    }
}

/// What a set says of every token that a test knows.
fn verdicts(set: &Set) -> Vec<bool> {
    (0..60)
        .map(|number| set.covers(&token(number)).is_some())
        .collect()
}

fn set_of(revocations: &[Revocation]) -> Set {
    let set = Set::default();
    for revocation in revocations {
        set.insert(revocation, NOW);
    }
    set
}

fn any_revocation() -> impl Strategy<Value = Revocation> {
    prop_oneof![
        (0u64..60).prop_map(revoked),
        (0u64..5, 0u64..60).prop_map(|(subject, before)| cutoff(subject, before)),
    ]
}

proptest! {
    #[test]
    fn order_and_repeats_change_nothing_trap_30(
        revocations in prop::collection::vec(any_revocation(), 0..40),
        seed in any::<u64>(),
    ) {
        let mut shuffled = revocations.clone();
        let length = shuffled.len().max(1);
        for place in 0..shuffled.len() {
            let other = (seed.wrapping_mul(place as u64 + 1) >> 7) as usize % length;
            shuffled.swap(place, other);
        }
        shuffled.extend(revocations.iter().take(usize::try_from(seed >> 33).unwrap() % length).copied());
        prop_assert_eq!(verdicts(&set_of(&revocations)), verdicts(&set_of(&shuffled)));
    }

    #[test]
    fn more_revocations_never_admit_more(
        some in prop::collection::vec(any_revocation(), 0..20),
        more in prop::collection::vec(any_revocation(), 0..20),
    ) {
        let before = verdicts(&set_of(&some));
        let after = verdicts(&set_of(&[some, more].concat()));
        for (number, (was, is)) in before.iter().zip(&after).enumerate() {
            prop_assert!(!was || *is, "token {} was admitted again", number);
        }
    }

    #[test]
    fn a_cutoff_is_exact(subject in 0u64..5, before in 0u64..60, number in 0u64..60) {
        let set = set_of(&[cutoff(subject, before)]);
        let dead = number % 5 == subject && number > before;
        prop_assert_eq!(set.covers(&token(number)).is_some(), dead);
    }
}

#[test]
fn a_token_without_time_of_issue_is_under_every_cutoff_trap_14() {
    let set = set_of(&[cutoff(1, 0)]);
    let timeless = Identity {
        issued_at: None,
        ..token(1)
    };
    assert_eq!(set.covers(&timeless), Some(Cause::Unknown));
}

/// Eight threads: four revoke odd numbers and note how far they are, four check everything all the time.
#[test]
fn no_revoked_token_is_admitted_and_no_live_one_refused_in_a_million_checks_trap_3() {
    const PER_WRITER: u64 = 50_000;
    const CHECKS_PER_READER: u64 = 250_000;
    let set = Set::default();
    let done: [AtomicU64; 4] = Default::default();
    let number_of = |writer: u64, step: u64| (step * 4 + writer) * 2 + 1;
    thread::scope(|scope| {
        for (writer, progress) in (0u64..).zip(&done) {
            let set = &set;
            scope.spawn(move || {
                for step in 0..PER_WRITER {
                    set.insert(&revoked(number_of(writer, step)), NOW);
                    progress.store(step + 1, Ordering::Release);
                }
            });
        }
        for reader in 0..4u64 {
            let (set, done) = (&set, &done);
            scope.spawn(move || {
                let mut random = reader.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                for _ in 0..CHECKS_PER_READER / 2 {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let writer = random % 4;
                    let progress = done[writer as usize].load(Ordering::Acquire);
                    if progress > 0 {
                        let dead = number_of(writer, (random >> 8) % progress);
                        assert!(set.covers(&token(dead)).is_some(), "{dead} was admitted");
                    }
                    let live = (random >> 8) % PER_WRITER * 2;
                    assert!(set.covers(&token(live)).is_none(), "{live} was refused");
                }
            });
        }
    });
    assert_eq!(set.counts().tokens + set.counts().undated, 4 * PER_WRITER);
}

/// The end of a window moves while others write to it: nobody's entry is left behind in an old one.
#[test]
fn a_window_whose_end_moves_keeps_every_id() {
    let set = Set::default();
    thread::scope(|scope| {
        for writer in 0..4u64 {
            let set = &set;
            scope.spawn(move || {
                for step in 0..5_000 {
                    let until = UnixTime::from_seconds(NOW.seconds() + step * 7 + writer);
                    let revocation = Revocation::Token {
                        id: id(step * 4 + writer),
                        window: Window::from_number(3_000_100),
                        until,
                        source: Source::Verified,
                    };
                    assert!(set.insert(&revocation, NOW));
                }
            });
        }
    });
    assert_eq!(set.counts().tokens, 20_000);
    assert_eq!(set.counts().windows, 1);
}

#[test]
fn undated_entries_and_cutoffs_end_when_their_time_is_over() {
    let set = set_of(&[revoked(7), cutoff(2, 0)]);
    assert_eq!((set.counts().undated, set.counts().cutoffs), (1, 1));
    set.drop_ended_undated(UnixTime::from_seconds(NOW.seconds() + 99_000));
    assert_eq!(
        (set.counts().undated, set.counts().cutoffs),
        (1, 1),
        "not yet"
    );
    set.drop_ended_undated(UnixTime::from_seconds(NOW.seconds() + 100_100));
    assert_eq!((set.counts().undated, set.counts().cutoffs), (0, 0));
}

/// Over and over: a window ends at once, and is written to again before or while it is swept.
#[test]
fn a_window_that_ends_while_it_is_written_to_forgets_nothing() {
    let set = Set::with_grace(std::time::Duration::ZERO);
    let window = Window::from_number(3_000_100);
    let revocation = |number: u64, until: u64| Revocation::Token {
        id: id(number),
        window,
        until: UnixTime::from_seconds(until),
        source: Source::Verified,
    };
    let identity = |number: u64| Identity {
        window,
        ..token(number)
    };
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                set.drop_ended_windows(UnixTime::FOREVER, NOW);
            }
        });
        for round in 0..2_000 {
            set.insert(&revocation(round * 2, NOW.seconds()), NOW);
            set.insert(&revocation(round * 2 + 1, NOW.seconds() + 1_000), NOW);
            for earlier in 0..=round.min(20) {
                let number = (round - earlier) * 2 + 1;
                assert!(
                    set.covers(&identity(number)).is_some(),
                    "{number} was forgotten"
                );
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(
        set.drop_ended_windows(UnixTime::FOREVER, NOW).is_empty(),
        "it lives for a thousand seconds more"
    );
}

/// Whatever number of others there is: a customer's token that was seen ends with the customer's logout.
#[test]
fn no_number_of_others_makes_a_seen_token_forgotten_attacks_a6() {
    const OTHERS: u64 = 130_000;
    const AT_MS: u64 = NOW.seconds() * 1_000;
    let set = Set::default();
    let until = UnixTime::from_seconds(NOW.seconds() + 100_000);
    let customer = Id::digest(IdKind::Subject, &[b"alice"]);
    let date = |id, kind, at_ms| Revocation::Date {
        id,
        kind,
        at_ms,
        until,
    };
    let hers = |number| Identity {
        id: id(number),
        window: Window::UNDATED,
        groups: [Group {
            id: customer,
            cause: Cause::Subject,
        }]
        .into_iter()
        .collect(),
        issued_at: None,
        former: Box::default(),
    };
    for number in 0..OTHERS {
        set.insert(&date(id(number), DateKind::Seen, AT_MS + number), NOW);
    }
    assert_eq!(set.counts().seen, OTHERS);
    let bytes = set.bytes() as u64;
    assert!(bytes <= 40 * OTHERS, "{bytes} bytes");
    set.insert(&date(customer, DateKind::Ended, AT_MS + 1_000), NOW);
    set.insert(
        &Revocation::Cutoff {
            id: customer,
            not_before: NOW,
            until,
        },
        NOW,
    );
    for number in [0, 1, 64, 1_000] {
        assert_eq!(set.covers(&hers(number)), Some(Cause::Subject), "{number}");
    }
    for number in [1_001, OTHERS - 1, OTHERS + 7] {
        assert_eq!(set.covers(&hers(number)), None, "{number}");
    }
}

/// All nodes make the same of the same dates, in whatever order they come.
#[test]
fn dates_and_cutoffs_yield_the_same_in_every_order_trap_30() {
    let until = UnixTime::from_seconds(NOW.seconds() + 100_000);
    let customer = Id::digest(IdKind::Subject, &[&3_u64.to_le_bytes()]);
    let date = |id, kind, at_ms| Revocation::Date {
        id,
        kind,
        at_ms,
        until,
    };
    let mut rows = [
        date(id(3), DateKind::Seen, 5_000),
        date(id(3), DateKind::Seen, 4_000),
        date(id(3), DateKind::Issued, 4_500),
        date(customer, DateKind::Ended, 4_200),
        date(customer, DateKind::Ended, 4_400),
        cutoff(3, 10),
    ];
    let token = Identity {
        issued_at: None,
        ..token(3)
    };
    for turn in 0..rows.len() {
        rows.rotate_left(1);
        let set = Set::default();
        for row in rows.iter().chain(&rows[..turn]) {
            set.insert(row, NOW);
        }
        assert_eq!(set.covers(&token), None, "issued after the last end");
        set.insert(&date(customer, DateKind::Ended, 4_500), NOW);
        assert_eq!(
            set.covers(&token),
            Some(Cause::Subject),
            "in its very moment"
        );
    }
}
