//! What was revoked, what was answered, and which nodes know it: what the nodes are measured by.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use smallvec::smallvec;

use crate::clock::UnixTime;
use crate::cluster::protocol::frame::Frame;
use crate::revocation::{
    Bucket, Cause, DateKind, Group, Id, Identity, Origin, ReplicationLog, Revocation, Row, Set,
    VersionVector, Window,
};

/// The number of a revocation in the ledger.
pub(super) type LedgerEntry = usize;

#[derive(Default)]
pub(super) struct RevocationLedger {
    made: Vec<Made>,
    entries: HashMap<[u8; Row::BYTES], LedgerEntry>,
    /// Until when and, for a cutoff, before which moment something was revoked, at the most.
    most: HashMap<(Window, Id), (UnixTime, UnixTime)>,
    /// What every origin has given its numbers to.
    numbered: BTreeMap<(Origin, u64), Vec<Revocation>>,
    /// What every origin has told others that it gave its numbers to.
    told: BTreeMap<(Origin, u64), Row>,
    /// Origins whose disk was replaced by an older copy: until they notice, their numbers mean two things.
    doubtful: BTreeSet<Origin>,
    nodes: Vec<LedgerNode>,
}

/// What is known of one machine's node.
#[derive(Default)]
struct LedgerNode {
    /// What it does not know.
    unknown: Vec<LedgerEntry>,
    /// What it does not say that it knows.
    untold: Vec<LedgerEntry>,
    /// What it was when that was found out.
    seen: Option<(u64, VersionVector)>,
}

struct Made {
    revocation: Revocation,
    /// Which origins have told a node that it is done, and when, the first of them first: several nodes may take the
    /// same logout.
    answers: Vec<(Origin, u64)>,
    /// Whose it is, under which numbers.
    numbers: Vec<(Origin, u64)>,
    /// Whether each machine's node knows it in its present life.
    is_known: Vec<bool>,
    /// Since when each machine's node says that it knows all of its origin up to there.
    told_ms: Vec<Option<u64>>,
}

impl RevocationLedger {
    pub(super) fn with_nodes(machines: usize) -> Self {
        Self {
            nodes: (0..machines).map(|_| LedgerNode::default()).collect(),
            ..Self::default()
        }
    }

    /// A node revokes this.
    pub(super) fn make(&mut self, revocation: Revocation) -> LedgerEntry {
        let row = *Row::encode(&revocation).bytes();
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
            answers: Vec::new(),
            numbers: Vec::new(),
            is_known: vec![false; self.nodes.len()],
            told_ms: vec![None; self.nodes.len()],
        });
        for node in &mut self.nodes {
            node.unknown.push(entry);
            node.untold.push(entry);
            node.seen = None;
        }
        entry
    }

    /// It is on an origin's disk under this number, and the logout was answered.
    pub(super) fn answer(
        &mut self,
        origin: Origin,
        number: u64,
        revocation: &Revocation,
        now_ms: u64,
    ) {
        self.number(origin, number, revocation);
        let entry = self.entries[Row::encode(revocation).bytes()];
        self.made[entry].answers.push((origin, now_ms));
    }

    /// It is on an origin's disk under this number.
    pub(super) fn number(&mut self, origin: Origin, number: u64, revocation: &Revocation) {
        let entry = self.entries[Row::encode(revocation).bytes()];
        self.made[entry].numbers.push((origin, number));
        self.nodes.iter_mut().for_each(|node| node.seen = None);
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
            ..
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

    /// What a machine's node knows by now.
    pub(super) fn look(
        &mut self,
        machine: usize,
        set: &Set,
        replication_log: &ReplicationLog,
        now_ms: u64,
    ) {
        let seen = (set.changes(), replication_log.vector());
        let node = &mut self.nodes[machine];
        if node.seen.as_ref() == Some(&seen) {
            return;
        }
        let made = &mut self.made;
        node.unknown.retain(|entry| {
            let made = &mut made[*entry];
            made.is_known[machine] = holds(set, &made.revocation);
            !made.is_known[machine]
        });
        let reached = |origin: &Origin| seen.1.get(origin).copied().unwrap_or_default();
        node.untold.retain(|entry| {
            let made = &mut made[*entry];
            let mut numbers = made.numbers.iter();
            let is_told = numbers.any(|(origin, number)| reached(origin) >= *number);
            made.told_ms[machine] = is_told.then_some(now_ms);
            !is_told
        });
        node.seen = Some(seen);
    }

    /// A machine's node has died, and what it knew with it.
    pub(super) fn forget(&mut self, machine: usize) {
        let node = &mut self.nodes[machine];
        node.seen = None;
        for (entry, made) in self.made.iter_mut().enumerate() {
            if std::mem::take(&mut made.is_known[machine]) {
                node.unknown.push(entry);
            }
            if made.told_ms[machine].take().is_some() {
                node.untold.push(entry);
            }
        }
    }

    /// What was answered, and is known to the node of one machine since then as it says itself, but not to the other.
    pub(super) fn missing(
        &self,
        machine: usize,
        elsewhere: usize,
        since_ms: u64,
    ) -> Option<LedgerEntry> {
        let mut unknown = self.nodes[machine].unknown.iter();
        let missing = unknown.find(|entry| {
            let made = &self.made[**entry];
            let is_due = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms <= since_ms);
            let is_doubtful = |(origin, _): &(Origin, u64)| self.doubtful.contains(origin);
            is_due(made.answered_ms())
                && is_due(made.told_ms[elsewhere])
                && !made.numbers.iter().any(is_doubtful)
        });
        missing.copied()
    }

    /// What an origin answered until then, and the node of one machine does not know. What others answered before is
    /// theirs: one of them may be in quarantine, where no node hears it.
    pub(super) fn late(
        &self,
        machine: usize,
        origin: Origin,
        until_ms: u64,
    ) -> Option<LedgerEntry> {
        if self.doubtful.contains(&origin) {
            return None;
        }
        let mut unknown = self.nodes[machine].unknown.iter();
        let is_late = |(its, at_ms): &(Origin, u64)| *its == origin && *at_ms <= until_ms;
        let late = unknown.find(|entry| self.made[**entry].answers.iter().any(is_late));
        late.copied()
    }

    /// Everything that was answered and that a machine's node knows.
    pub(super) fn known(&self, machine: usize) -> Vec<LedgerEntry> {
        let known = |made: &Made| made.answered_ms().is_some() && made.is_known[machine];
        let entries = self.made.iter().enumerate();
        let known = entries.filter(|(_, made)| known(made));
        known.map(|(entry, _)| entry).collect()
    }

    /// Everything of an origin that was answered.
    pub(super) fn entries_of(&self, origin: Origin) -> Vec<LedgerEntry> {
        let is_its = |made: &Made| made.numbers.iter().any(|(its, _)| *its == origin);
        let entries = self.made.iter().enumerate();
        let its = entries.filter(|(_, made)| made.answered_ms().is_some() && is_its(made));
        its.map(|(entry, _)| entry).collect()
    }

    /// Everything that was answered and that this set holds.
    pub(super) fn held(&self, set: &Set) -> Vec<LedgerEntry> {
        let entries = self.made.iter().enumerate();
        let held = entries
            .filter(|(_, made)| made.answered_ms().is_some() && holds(set, &made.revocation));
        held.map(|(entry, _)| entry).collect()
    }

    /// Whether a token that was handed out again lives, if its revival and its ends are among what is known; `None`: that
    /// depends on what no node was told of.
    pub(super) fn is_revived(&self, token: &Id, known: &[LedgerEntry]) -> Option<bool> {
        let known = || known.iter().map(|entry| self.revocation(*entry));
        let made = || self.made.iter().map(|made| &made.revocation);
        let (revived, ended) = (DateKind::Revived, DateKind::Ended);
        if newest(known(), revived, token) > newest(made(), ended, token) {
            return Some(true);
        }
        let is_dead = newest(made(), revived, token) <= newest(known(), ended, token);
        is_dead.then_some(false)
    }

    pub(super) fn revocation(&self, entry: LedgerEntry) -> &Revocation {
        &self.made[entry].revocation
    }

    pub(super) fn answered(&self) -> usize {
        let answered = self.made.iter().filter(|made| made.answered_ms().is_some());
        answered.count()
    }

    /// The first of a vector's rows that is not there.
    pub(super) fn overclaimed(&self, vector: &VersionVector, set: &Set) -> Option<(Origin, u64)> {
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

    /// Whether a node has revoked as much.
    pub(super) fn allows(&self, revocation: &Revocation) -> bool {
        let (key, until, not_before) = ends_of(revocation);
        let most = self.most.get(&key);
        most.is_some_and(|most| until <= most.0 && not_before <= most.1)
    }
}

impl Made {
    /// When a node was told first that it is done.
    fn answered_ms(&self) -> Option<u64> {
        self.answers.first().map(|(_, at_ms)| *at_ms)
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
        Revocation::Date {
            id,
            kind,
            at_ms,
            until,
        } => (
            (Window::from_number(kind as u32), id),
            minute(until),
            UnixTime::from_seconds(at_ms),
        ),
    }
}

/// The latest date of a kind, if there is one.
fn newest<'a>(
    of: impl Iterator<Item = &'a Revocation>,
    wanted: DateKind,
    token: &Id,
) -> Option<u64> {
    let at_ms = |one: &Revocation| match one {
        Revocation::Date {
            id, kind, at_ms, ..
        } => (*kind == wanted && id == token).then_some(*at_ms),
        Revocation::Token { .. } | Revocation::Cutoff { .. } => None,
    };
    of.filter_map(at_ms).max()
}

/// Whether a set refuses what was revoked.
pub(super) fn holds(set: &Set, revocation: &Revocation) -> bool {
    let identity = match *revocation {
        Revocation::Token { id, window, .. } => Identity {
            id,
            window,
            groups: smallvec![],
            issued_at: None,
            former: Box::default(),
        },
        Revocation::Cutoff { id, not_before, .. } => Identity {
            id: Id::from_bytes([0; 16]),
            window: Window::UNDATED,
            groups: smallvec![Group {
                id,
                cause: Cause::Subject
            }],
            issued_at: Some(not_before.minus(Duration::from_secs(1))),
            former: Box::default(),
        },
        Revocation::Date {
            id, kind, at_ms, ..
        } => return has_date(set, (kind, id), at_ms),
    };
    set.covers(&identity).is_some()
}

/// Whether a set knows a date, or the one that counts instead.
fn has_date(set: &Set, (kind, id): (DateKind, Id), at_ms: u64) -> bool {
    let [.., last] = *id.bytes();
    let entries = set.entries(Bucket::Dates(kind, last), UnixTime::EPOCH);
    entries.iter().any(|(_, known)| match *known {
        Revocation::Date {
            id: known,
            at_ms: known_ms,
            ..
        } if known == id && kind.is_earliest() => known_ms <= at_ms,
        Revocation::Date {
            id: known,
            at_ms: known_ms,
            ..
        } => known == id && known_ms >= at_ms,
        Revocation::Token { .. } | Revocation::Cutoff { .. } => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Origin = Origin::from_bytes([1; 16]);
    const OTHER: Origin = Origin::from_bytes([2; 16]);

    /// One may be in quarantine, and what it answered need not be known to nodes that hear the other.
    #[test]
    fn what_two_answered_is_late_for_each_by_its_own_answer() {
        let mut ledger = RevocationLedger::with_nodes(1);
        let logout = Revocation::of_session(Id::from_bytes([3; 16]), UnixTime::FOREVER);
        let entry = ledger.make(logout);
        ledger.number(OTHER, 1, &logout);
        ledger.answer(ONE, 1, &logout, 1_000);
        assert_eq!(ledger.late(0, ONE, 999), None);
        assert_eq!(ledger.late(0, ONE, 1_000), Some(entry));
        assert_eq!(ledger.late(0, OTHER, 5_999), None, "it told no node yet");
        ledger.answer(OTHER, 2, &logout, 6_000);
        assert_eq!(ledger.late(0, OTHER, 5_999), None);
        assert_eq!(ledger.late(0, OTHER, 6_000), Some(entry));
        let set = Set::default();
        set.insert(&logout, UnixTime::EPOCH);
        ledger.look(
            0,
            &set,
            &ReplicationLog::new(ONE, &VersionVector::new()),
            6_100,
        );
        assert_eq!(ledger.late(0, OTHER, 6_100), None);
        assert_eq!(ledger.late(0, ONE, 6_100), None);
    }
}
