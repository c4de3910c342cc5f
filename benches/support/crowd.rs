//! Many customers who logged out: revocations by number, always the same, made without memory.

use std::path::Path;
use std::time::Duration;

use doorward::clock::UnixTime;
use doorward::revocation::{
    Cause, DateKind, Group, Id, Identity, Journal, MARGIN, Revocation, Source, Window,
};

/// A million.
pub const MILLION: u64 = 1_000_000;

/// How long a token lives: Bagisto's seven days, so its end falls into one of 1008 windows.
pub const LIFETIME: Duration = Duration::from_hours(7 * 24);

/// The revocations number 0 to 999,999 are in force; those from here on never are.
pub const STRANGERS: u64 = 1 << 40;

/// The id of the token with that number. Different numbers never share one.
pub fn id(number: u64) -> Id {
    digest(number, 0x746f_6b65_6e00)
}

/// The id of the customer who has that token.
pub fn customer(number: u64) -> Id {
    digest(number, 0x6375_7374_6f6d)
}

/// When that token ends: some time in the next seven days.
pub fn end_of(number: u64, now: UnixTime) -> UnixTime {
    now.plus(Duration::from_secs(mixed(!number) % LIFETIME.as_secs()))
}

/// The logout of one token.
pub fn token(number: u64, now: UnixTime) -> Revocation {
    let end = end_of(number, now);
    Revocation::Token {
        id: id(number),
        window: Window::of(Some(end)),
        until: end.plus(MARGIN),
        source: Source::Verified,
    }
}

/// The cutoff of the customer who has that token.
pub fn cutoff(number: u64, now: UnixTime) -> Revocation {
    Revocation::Cutoff {
        id: customer(number),
        not_before: now,
        until: now.plus(LIFETIME).plus(MARGIN),
    }
}

/// When that token was seen, or handed out.
pub fn date(kind: DateKind, number: u64, now: UnixTime) -> Revocation {
    Revocation::Date {
        id: id(number),
        kind,
        at_ms: now.seconds() * 1_000,
        until: end_of(number, now).plus(MARGIN),
    }
}

/// What a check knows of that token: itself, its customer, its realm.
pub fn identity(number: u64, now: UnixTime) -> Identity {
    let group = |id, cause| Group { id, cause };
    let groups = [
        group(customer(number), Cause::Subject),
        group(Id::of_token_domain("main"), Cause::TokenDomain),
    ];
    Identity {
        id: id(number),
        window: Window::of(Some(end_of(number, now))),
        groups: groups.into_iter().collect(),
        issued_at: Some(now),
        former: Box::default(),
    }
}

/// Numbers below `count` in no order that a processor could foresee.
pub fn scattered(count: u64, among: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |turn| mixed(turn) % among)
}

/// Writes a journal as a shop's week leaves it.
pub fn write_journal(folder: &Path, revocations: impl Iterator<Item = Revocation>) {
    let revocations: Vec<_> = revocations.collect();
    Journal::init(folder).expect("a new folder takes a journal");
    let mut journal = Journal::open(folder).expect("it was made");
    for some in revocations.chunks(100_000) {
        journal.write(some.iter()).expect("the disk takes a row");
    }
}

fn digest(number: u64, domain: u64) -> Id {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mixed(number ^ domain).to_le_bytes());
    bytes[8..].copy_from_slice(&mixed(!number ^ domain).to_le_bytes());
    Id::from_bytes(bytes)
}

/// `SplitMix64`: every number to another one, evenly spread.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
