//! What was revoked, what was answered for, and who knows it: what the nodes are measured by.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use smallvec::smallvec;

use crate::clock::UnixTime;
use crate::revocation::gossip::frame::Frame;
use crate::revocation::history::{Origin, Vector};
use crate::revocation::row::Row;
use crate::revocation::set::Set;
use crate::revocation::{Cause, Group, Id, Identity, Revocation, Window};

/// The number of a revocation in the ledger.
pub(super) type Entry = usize;

#[derive(Default)]
pub(super) struct Ledger {
    made: Vec<Made>,
    entries: HashMap<[u8; Row::BYTES], Entry>,
    /// Until when and, for a cutoff, before which moment something was revoked, at the most.
    most: HashMap<(Window, Id), (UnixTime, UnixTime)>,
    /// What every origin has given its numbers to.
    numbered: BTreeMap<(Origin, u64), Vec<Revocation>>,
    /// What every origin has told others that it gave its numbers to.
    told: BTreeMap<(Origin, u64), Row>,
    /// Origins whose disk was replaced by an older copy: until they notice, their numbers mean two things.
    doubtful: BTreeSet<Origin>,
    /// Who does not know what.
    unknown: Vec<(Entry, usize)>,
    machines: usize,
}

struct Made {
    revocation: Revocation,
    /// When somebody was told that it is done.
    answered_ms: Option<u64>,
    /// Whose it is.
    origins: Vec<Origin>,
    /// Since when each machine's node knows it in its present life.
    known_ms: Vec<Option<u64>>,
}

impl Ledger {
    pub(super) fn of(machines: usize) -> Self {
        Self {
            machines,
            ..Self::default()
        }
    }

    /// Somebody revokes this.
    pub(super) fn make(&mut self, revocation: Revocation) -> Entry {
        let row = *Row::of(&revocation).bytes();
        if let Some(known) = self.entries.get(&row) {
            return *known;
        }
        let entry = self.made.len();
        let (key, until, not_before) = ends_of(&revocation);
        let most = self.most.entry(key).or_insert((until, not_before));
        *most = (most.0.max(until), most.1.max(not_before));
        self.entries.insert(row, entry);
        self.made.push(Made {
            revocation,
            answered_ms: None,
            origins: Vec::new(),
            known_ms: vec![None; self.machines],
        });
        self.unknown
            .extend((0..self.machines).map(|machine| (entry, machine)));
        entry
    }

    /// It is on an origin's disk under this number, and whoever asked for it was told so.
    pub(super) fn answer(
        &mut self,
        origin: Origin,
        number: u64,
        revocation: &Revocation,
        now_ms: u64,
    ) {
        self.number(origin, number, revocation);
        let entry = self.entries[Row::of(revocation).bytes()];
        self.made[entry].answered_ms.get_or_insert(now_ms);
    }

    /// It is on an origin's disk under this number.
    pub(super) fn number(&mut self, origin: Origin, number: u64, revocation: &Revocation) {
        let entry = self.entries[Row::of(revocation).bytes()];
        self.made[entry].origins.push(origin);
        let variants = self.numbered.entry((origin, number)).or_default();
        if !variants.contains(revocation) {
            variants.push(*revocation);
        }
    }

    /// A disk is an older copy.
    pub(super) fn doubt(&mut self, origin: Origin, reached: u64) {
        let later = (origin, reached + 1)..=(origin, u64::MAX);
        if self.numbered.range(later).next().is_some() {
            self.doubtful.insert(origin);
        }
    }

    /// Something is said; no origin uses a number twice.
    pub(super) fn hear(&mut self, frame: &Frame) {
        let Frame::Delta {
            origin,
            first,
            rows,
        } = frame
        else {
            return;
        };
        for (number, row) in (*first..).zip(rows) {
            let told = self.told.entry((*origin, number)).or_insert(*row);
            if self.doubtful.contains(origin) {
                return;
            }
            assert_eq!(told, row, "{origin:?} uses number {number} twice");
        }
    }

    /// Who of these knows what by now.
    pub(super) fn look(&mut self, sets: &[Option<&Set>], now_ms: u64) {
        let made = &mut self.made;
        self.unknown.retain(|(entry, machine)| {
            let Some(set) = sets[*machine] else {
                return true;
            };
            let made = &mut made[*entry];
            let is_known = holds(set, &made.revocation);
            if is_known {
                made.known_ms[*machine] = Some(now_ms);
            }
            !is_known
        });
    }

    /// A machine's node has died, and what it knew with it.
    pub(super) fn forget(&mut self, machine: usize) {
        for (entry, made) in self.made.iter_mut().enumerate() {
            if made.known_ms[machine].take().is_some() {
                self.unknown.push((entry, machine));
            }
        }
    }

    /// What was answered, is known to one machine since then, and is not to the other one.
    pub(super) fn missing(&self, machine: usize, elsewhere: usize, since_ms: u64) -> Option<Entry> {
        let missing = self.unknown.iter().find(|(entry, at)| {
            let made = &self.made[*entry];
            let is_due = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms <= since_ms);
            let is_doubtful = |origin: &Origin| self.doubtful.contains(origin);
            *at == machine
                && !made.origins.iter().any(is_doubtful)
                && is_due(made.answered_ms)
                && is_due(made.known_ms[elsewhere])
        });
        missing.map(|(entry, _)| *entry)
    }

    /// Everything that was answered and that a machine's node knows.
    pub(super) fn known(&self, machine: usize) -> Vec<Entry> {
        let known = |made: &Made| made.answered_ms.is_some() && made.known_ms[machine].is_some();
        let entries = self.made.iter().enumerate();
        let known = entries.filter(|(_, made)| known(made));
        known.map(|(entry, _)| entry).collect()
    }

    /// Everything that was answered and that this set holds.
    pub(super) fn held(&self, set: &Set) -> Vec<Entry> {
        let entries = self.made.iter().enumerate();
        let held =
            entries.filter(|(_, made)| made.answered_ms.is_some() && holds(set, &made.revocation));
        held.map(|(entry, _)| entry).collect()
    }

    pub(super) fn revocation(&self, entry: Entry) -> &Revocation {
        &self.made[entry].revocation
    }

    pub(super) fn answered(&self) -> usize {
        let answered = self.made.iter().filter(|made| made.answered_ms.is_some());
        answered.count()
    }

    /// The first of a vector's rows that is not there.
    pub(super) fn overclaimed(&self, vector: &Vector, set: &Set) -> Option<(Origin, u64)> {
        let claimed =
            |origin: Origin, reached: u64| self.numbered.range((origin, 0)..=(origin, reached));
        let sure = vector
            .iter()
            .filter(|(origin, _)| !self.doubtful.contains(origin));
        let mut all = sure.flat_map(|(origin, reached)| claimed(*origin, *reached));
        let overclaimed =
            all.find(|(_, variants)| !variants.iter().any(|variant| holds(set, variant)));
        overclaimed.map(|(number, _)| *number)
    }

    /// Whether somebody has revoked as much.
    pub(super) fn allows(&self, revocation: &Revocation) -> bool {
        let (key, until, not_before) = ends_of(revocation);
        let most = self.most.get(&key);
        most.is_some_and(|most| until <= most.0 && not_before <= most.1)
    }
}

/// The place of a revocation, until when it is kept, in whole minutes as some are, and before which moment it counts.
fn ends_of(revocation: &Revocation) -> ((Window, Id), UnixTime, UnixTime) {
    let minute = |moment: UnixTime| match moment {
        UnixTime::FOREVER => moment,
        moment => UnixTime::from_seconds(moment.seconds().div_ceil(60) * 60),
    };
    match *revocation {
        Revocation::Token {
            id, window, until, ..
        } if window == Window::UNDATED => ((window, id), minute(until), UnixTime::EPOCH),
        // All of a window are kept as long as the last of them.
        Revocation::Token { id, window, .. } => ((window, id), UnixTime::EPOCH, UnixTime::EPOCH),
        Revocation::Cutoff {
            id,
            not_before,
            until,
        } => ((Window::from_number(0), id), minute(until), not_before),
    }
}

/// Whether a set refuses what was revoked.
pub(super) fn holds(set: &Set, revocation: &Revocation) -> bool {
    let identity = match *revocation {
        Revocation::Token { id, window, .. } => Identity {
            id,
            window,
            groups: smallvec![],
            issued_at: None,
        },
        Revocation::Cutoff { id, not_before, .. } => Identity {
            id: Id::from_bytes([0; 16]),
            window: Window::UNDATED,
            groups: smallvec![Group {
                id,
                cause: Cause::Subject
            }],
            issued_at: Some(not_before.minus(Duration::from_secs(1))),
        },
    };
    set.covers(&identity).is_some()
}
