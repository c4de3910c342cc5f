//! The plan of a world: its machines, its network and its accidents.

use super::chance::Chance;
use crate::cluster::protocol::readiness::ReadinessPolicy;
use crate::cluster::settings::StalePolicy;

/// How fast good paths are, in milliseconds, and what they may be instead.
const DELAYS_MS: [u64; 4] = [0, 1, 5, 30];

/// An accident of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accident {
    Revoke,
    Cut,
    Mend,
    Slow,
    Thin,
    Break,
    Freeze,
    Kill,
    Start,
    Leave,
    Pause,
    Clock,
    Disk,
    Copy,
    Force,
    Quarantine,
    Rogue,
    BusCut,
    BusSlow,
    BusCrash,
    BusEmpty,
}

impl Accident {
    /// All that some world does without, and how often each happens.
    const RARE: [(Self, u64); 14] = [
        (Self::Cut, 3),
        (Self::Slow, 2),
        (Self::Thin, 2),
        (Self::Break, 4),
        (Self::Freeze, 2),
        (Self::Kill, 3),
        (Self::Leave, 2),
        (Self::Pause, 2),
        (Self::Clock, 2),
        (Self::Disk, 2),
        (Self::Copy, 1),
        (Self::Force, 1),
        (Self::Quarantine, 1),
        (Self::Rogue, 3),
    ];

    /// The same of a bus.
    const RARE_AT_BUS: [(Self, u64); 4] = [
        (Self::BusCut, 2),
        (Self::BusSlow, 2),
        (Self::BusCrash, 1),
        (Self::BusEmpty, 1),
    ];
}

/// What the disks hold in the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// The very first start: one node is told so.
    Initial,
    /// All have been there before.
    Complete,
    /// Some have been there before.
    Mixed,
}

/// A bus as a second way between nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BusPlan {
    /// No node knows where another one is: there is no other way.
    pub(super) is_only_way: bool,
    /// For how long it keeps entries.
    pub(super) kept_ms: u64,
}

#[derive(Debug)]
pub(super) struct WorldPlan {
    pub(super) machines: usize,
    pub(super) beginning: Beginning,
    /// How many revocations most disks hold in one window.
    pub(super) bulk: usize,
    pub(super) accidents: Vec<Accident>,
    pub(super) lasts_ms: u64,
    /// The longest time between two accidents.
    pub(super) pace_ms: u64,
    /// How many rows a history keeps.
    pub(super) room: usize,
    pub(super) delay_ms: u64,
    pub(super) capacity: usize,
    pub(super) disk_ms: u64,
    /// All machines dial the first one only.
    pub(super) is_star: bool,
    /// Every node's address is among those that it calls itself.
    pub(super) calls_itself: bool,
    /// How long no node may send anything new in the end.
    pub(super) quiet_ms: u64,
    pub(super) bus: Option<BusPlan>,
}

impl WorldPlan {
    pub(super) fn random(chance: &mut Chance) -> Self {
        let mut accidents = vec![Accident::Revoke; 6];
        for (accident, weight) in Accident::RARE {
            if chance.one_in(2) {
                accidents.extend((0..weight).map(|_| accident));
            }
        }
        let heals = |accident| matches!(accident, Accident::Cut | Accident::Slow | Accident::Thin);
        if accidents.iter().any(|accident| heals(*accident)) {
            accidents.extend([Accident::Mend; 3]);
        }
        let stops = |accident| matches!(accident, Accident::Kill | Accident::Leave);
        if accidents.iter().any(|accident| stops(*accident)) {
            accidents.extend([Accident::Start; 5]);
        }
        let pace_ms = chance.one_of(&[100, 400, 1_500, 4_000]).unwrap();
        let longest_ms = if chance.one_in(8) { 120_000 } else { 30_000 };
        let beginnings = [Beginning::Initial, Beginning::Complete, Beginning::Mixed];
        Self {
            machines: usize::try_from(chance.between(2, 5)).unwrap(),
            beginning: chance.one_of(&beginnings).unwrap(),
            bulk: if chance.one_in(12) {
                600 + chance.below(900)
            } else {
                chance.below(8)
            },
            accidents,
            lasts_ms: chance.between(2_000, longest_ms.min(200 * pace_ms)),
            pace_ms,
            room: chance.one_of(&[1, 4, 16, 64, 4_096]).unwrap(),
            delay_ms: chance.one_of(&DELAYS_MS).unwrap(),
            capacity: chance.one_of(&[2, 8, 64, 1_024]).unwrap(),
            disk_ms: chance.one_of(&[1, 5, 40]).unwrap(),
            is_star: chance.one_in(5),
            calls_itself: chance.one_in(4),
            quiet_ms: if chance.one_in(4) { 65_000 } else { 3_000 },
            bus: None,
        }
    }

    /// The same with a bus, and with what happens to it.
    pub(super) fn with_bus(mut self, chance: &mut Chance) -> Self {
        self.bus = Some(BusPlan {
            is_only_way: chance.one_in(3),
            kept_ms: chance.one_of(&[600_000, 600_000, 8_000]).unwrap(),
        });
        for (accident, weight) in Accident::RARE_AT_BUS {
            if chance.one_in(2) {
                self.accidents.extend((0..weight).map(|_| accident));
            }
        }
        let heals = |accident: &Accident| matches!(accident, Accident::BusCut | Accident::BusSlow);
        if self.accidents.iter().any(heals) {
            self.accidents.extend([Accident::Mend; 3]);
        }
        self
    }

    /// Nodes that have been there before, on good paths, to which only happens what a test does.
    pub(super) fn staged(machines: usize) -> Self {
        Self {
            machines,
            beginning: Beginning::Complete,
            bulk: 0,
            accidents: Vec::new(),
            lasts_ms: 0,
            pace_ms: 1,
            room: 4_096,
            delay_ms: 5,
            capacity: 1_024,
            disk_ms: 1,
            is_star: false,
            calls_itself: false,
            quiet_ms: 0,
            bus: None,
        }
    }

    /// The same without any connection but to a bus.
    pub(super) fn staged_at_bus(machines: usize) -> Self {
        Self {
            bus: Some(BusPlan {
                is_only_way: true,
                kept_ms: 600_000,
            }),
            ..Self::staged(machines)
        }
    }

    /// Whether nothing happens that keeps nodes from hearing each other: the time of day may jump, and disks may fail.
    pub(super) fn is_peaceful(&self) -> bool {
        let is_harmless = |accident: &Accident| {
            matches!(
                accident,
                Accident::Revoke | Accident::Clock | Accident::Disk
            )
        };
        self.accidents.iter().all(is_harmless)
    }

    /// What the operator decided for one node.
    pub(super) fn rules(&self, machine: usize, chance: &mut Chance) -> ReadinessPolicy {
        let policies = [StalePolicy::Serve, StalePolicy::Refuse];
        ReadinessPolicy {
            on_stale: chance.one_of(&policies).unwrap(),
            on_isolated: chance.one_of(&policies).unwrap(),
            bootstrap_timeout_ms: chance.one_of(&[3_000, 10_000, 30_000]).unwrap(),
            new_cluster: machine == 0 && self.beginning == Beginning::Initial,
            quarantine: Vec::new(),
        }
    }
}
