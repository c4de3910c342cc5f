//! A malicious peer with a valid certificate, which sends what no node would.

use super::chance::Chance;
use super::process::origin_of;
use crate::cluster::protocol::frame::{
    Frame, Goodbye, Heartbeat, Hello, Ping, ReconcileStep, VERSION,
};
use crate::revocation::{NodeName, Origin, Row, SyncPhase, VersionVector};

/// What it is called.
pub(super) fn name() -> NodeName {
    NodeName::parse("rogue").unwrap()
}

/// All that it says on one connection, the hello first.
pub(super) fn says(chance: &mut Chance, real: &[Origin]) -> Vec<Frame> {
    let origin = match chance.below(8) {
        0 => chance.one_of(real).unwrap_or_else(|| invented(chance)),
        1 => invented(chance),
        _ => origin_of(&name(), chance),
    };
    let hello = Frame::Hello(Hello {
        version: VERSION,
        node: name(),
        origin,
        ping: ping(chance, real),
    });
    let mut frames = vec![hello];
    for _ in 0..chance.below(12) {
        frames.push(anything(chance, origin, real));
    }
    if chance.one_in(2) {
        frames.push(Frame::Goodbye(Goodbye::Leaving));
    }
    frames
}

fn anything(chance: &mut Chance, own: Origin, real: &[Origin]) -> Frame {
    let rows = vec![Row::from_bytes([99; Row::BYTES]); chance.below(4)];
    let origin = match chance.below(3) {
        0 => own,
        1 => chance.one_of(real).unwrap_or(own),
        _ => invented(chance),
    };
    let reached = number(chance);
    match chance.below(8) {
        0 => Frame::Ping(ping(chance, real)),
        1 | 2 => Frame::Delta {
            origin,
            first: chance.between(0, 3),
            at_ms: number(chance),
            rows,
        },
        3 => Frame::Delta {
            origin,
            first: reached,
            at_ms: number(chance),
            rows,
        },
        4 => Frame::Ack { origin, reached },
        5 => Frame::RequestRows {
            origin,
            after: reached,
        },
        6 => Frame::Reconcile {
            number: chance.below(8).try_into().unwrap(),
            step: ReconcileStep::Differences {
                vector: vector(chance, real),
                summaries: Vec::new(),
            },
        },
        _ => Frame::CompareSets,
    }
}

fn ping(chance: &mut Chance, real: &[Origin]) -> Ping {
    let ghost = |number: u32| Heartbeat {
        node: NodeName::parse(&format!("ghost{number}")).unwrap(),
        ago_ms: 4_000 * (number % 3),
        has_left: number % 5 == 4,
    };
    Ping {
        now_ms: chance.number(),
        stamp_ms: number(chance),
        state: SyncPhase::Stale,
        is_complete: true,
        vector: vector(chance, real),
        heartbeats: (0..u32::from(chance.digest()[0] % 40)).map(ghost).collect(),
    }
}

/// Numbers of origins that belong to no node, and of some that belong to one.
fn vector(chance: &mut Chance, real: &[Origin]) -> VersionVector {
    let mut vector = VersionVector::new();
    for _ in 0..chance.below(60) {
        vector.insert(invented(chance), number(chance));
    }
    for origin in real {
        if chance.one_in(3) {
            vector.insert(*origin, number(chance));
        }
    }
    vector
}

fn number(chance: &mut Chance) -> u64 {
    let far = chance.number();
    chance.one_of(&[0, 1, 7, far, u64::MAX]).unwrap()
}

fn invented(chance: &mut Chance) -> Origin {
    Origin::from_bytes(chance.digest())
}
