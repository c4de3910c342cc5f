//! What was revoked lately, and by which node: how much of every node's work is known here.
//!
//! Every node numbers the revocations that it took itself. A node that knows the first `n` of another one says
//! so with one number, and what it lacks is a range.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use super::row::Row;
use crate::revocation::entry::Id;

/// A node's journal since it was made: 128 random bits. A journal that is made anew is another origin, for
/// its numbers begin anew.
///
/// In a cluster half of them are random, and the other half is a digest of that and of the node's name: no node can take
/// the origin of another one for its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin([u8; 16]);

impl Origin {
    /// An origin that no node has been.
    pub fn random() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// An origin of the node with that name that it has not been before.
    pub fn random_of(name: &str) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random)?;
        Ok(Self::bound(random, name))
    }

    /// The same, of a number that is random.
    pub(crate) fn bound(random: [u8; 8], name: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"doorward origin 1");
        hasher.update(&random);
        hasher.update(name.as_bytes());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random);
        bytes[8..].copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self(bytes)
    }

    /// Whether it can be an origin of the node with that name.
    pub fn belongs_to(&self, name: &str) -> bool {
        let random = self.0.first_chunk();
        random.is_some_and(|random| *self == Self::bound(*random, name))
    }

    /// The origin with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, ..] = self.0;
        write!(f, "Origin({first:02x}{second:02x}{third:02x}…)")
    }
}

/// Of which origins how many revocations are known, from the first one on.
pub type VersionVector = BTreeMap<Origin, u64>;

/// How many rows are kept, of all origins together: 33 MB when there are that many.
const ROWS_KEPT: usize = 1 << 20;

/// How many groups of rows that could not be numbered wait for a slow listener.
const UNNUMBERED_KEPT: usize = 256;

/// The vector, and the last rows of every origin.
pub struct ReplicationLog {
    state: Mutex<State>,
    /// The number of our own last row.
    own_number: watch::Sender<u64>,
    /// Rows that are in force but not on disk: they have no number yet.
    unnumbered: broadcast::Sender<Vec<Row>>,
}

struct State {
    own: Origin,
    /// What this node was before it became another origin; others may still ask for its rows.
    former: Option<Origin>,
    origins: BTreeMap<Origin, Known>,
    kept: usize,
    room: usize,
    /// When groups of our own rows were on disk, by the number of the last one, in milliseconds of our uptime.
    times: VecDeque<(u64, u64)>,
    /// Up to which number no time is remembered.
    timeless: u64,
}

/// How many groups are remembered with their time: a thousand a second for some seconds.
const TIMES_KEPT: usize = 8192;

/// What is known of an origin.
#[derive(Default)]
struct Known {
    /// The number of the last row before which none is missing.
    reached: u64,
    /// The last rows up to there, one after the other.
    rows: VecDeque<Row>,
}

/// What came of rows of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedRows {
    /// Everything up to this number is known now.
    Reached(u64),
    /// Rows before these are missing; everything up to this number is known.
    Gap(u64),
}

impl ReplicationLog {
    /// The replication log of a journal that says this.
    pub fn new(own: Origin, vector: &VersionVector) -> Self {
        Self::with_room(own, vector, ROWS_KEPT)
    }

    /// The same, of a length for tests.
    pub(crate) fn with_room(own: Origin, vector: &VersionVector, room: usize) -> Self {
        let known = |(origin, reached): (&Origin, &u64)| {
            let rows = VecDeque::new();
            let reached = *reached;
            (*origin, Known { reached, rows })
        };
        let mut origins: BTreeMap<_, _> = vector.iter().map(known).collect();
        let own_number = origins.entry(own).or_default().reached;
        Self {
            state: Mutex::new(State {
                own,
                former: None,
                origins,
                kept: 0,
                room,
                times: VecDeque::new(),
                timeless: own_number,
            }),
            own_number: watch::Sender::new(own_number),
            unnumbered: broadcast::Sender::new(UNNUMBERED_KEPT),
        }
    }

    /// This node's origin, and the number of its last row.
    pub fn own(&self) -> (Origin, u64) {
        let state = self.state.lock();
        let reached = state.origins.get(&state.own).map_or(0, |own| own.reached);
        (state.own, reached)
    }

    /// How much is known of every origin.
    pub fn vector(&self) -> VersionVector {
        let state = self.state.lock();
        let known = |(origin, known): (&Origin, &Known)| (*origin, known.reached);
        state.origins.iter().map(known).collect()
    }

    /// How much is known of one origin.
    pub fn reached(&self, origin: &Origin) -> u64 {
        let state = self.state.lock();
        state.origins.get(origin).map_or(0, |known| known.reached)
    }

    /// Adds rows of this node that are on disk since that moment of its uptime, and wakes those that wait for them.
    pub fn append_own(&self, rows: impl IntoIterator<Item = Row>, at_ms: u64) {
        let mut state = self.state.lock();
        let own = state.own;
        for row in rows {
            state.append(own, row);
        }
        let reached = state.origins.get(&own).map_or(0, |own| own.reached);
        state.times.push_back((reached, at_ms));
        if state.times.len() > TIMES_KEPT
            && let Some((number, _)) = state.times.pop_front()
        {
            state.timeless = number;
        }
        drop(state);
        self.own_number.send_replace(reached);
    }

    /// When our own row of that number was on disk, in milliseconds of our uptime; `None`: that is not remembered.
    pub fn on_disk_ms(&self, origin: Origin, number: u64) -> Option<u64> {
        let state = self.state.lock();
        let place = state.times.partition_point(|(last, _)| *last < number);
        let (_, at_ms) = state.times.get(place)?;
        (origin == state.own && number > state.timeless).then_some(*at_ms)
    }

    /// Rows of our own that are in force and could not be written.
    pub fn announce(&self, rows: Vec<Row>) {
        let _ = self.unnumbered.send(rows); // there may be no listener
    }

    /// From now on this node is another origin: its numbers cannot be relied upon. Of what it was before, only the
    /// last is kept.
    pub fn renew(&self, own: Origin) {
        let mut state = self.state.lock();
        if state.own == own {
            return;
        }
        let last = std::mem::replace(&mut state.own, own);
        if let Some(former) = state.former.replace(last) {
            state.forget(&former);
        }
        state.times.clear();
        let reached = state.origins.entry(own).or_default().reached;
        state.timeless = reached;
        drop(state);
        self.own_number.send_replace(reached);
    }

    /// Rows of this origin are counted from now on.
    pub fn introduce(&self, origin: Origin) {
        self.state.lock().origins.entry(origin).or_default();
    }

    /// Rows of these origins are counted no more. This node's own origin stays.
    pub fn forget(&self, origins: &[Origin]) {
        let mut state = self.state.lock();
        for origin in origins {
            if *origin != state.own {
                state.forget(origin);
            }
        }
    }

    /// Rows of another origin, the first of which has this number; `None`: the origin was not introduced.
    pub fn receive(&self, origin: Origin, first: u64, rows: &[Row]) -> Option<ReceivedRows> {
        let mut state = self.state.lock();
        let reached = state.origins.get(&origin)?.reached;
        if first > reached + 1 {
            return Some(ReceivedRows::Gap(reached));
        }
        let known = usize::try_from(reached + 1 - first).unwrap_or(usize::MAX);
        for row in rows.iter().skip(known) {
            state.append(origin, *row);
        }
        let known = state.origins.get(&origin)?;
        Some(ReceivedRows::Reached(known.reached))
    }

    /// Everything up to this number of an introduced origin is known: it was compared. Whether that is more than before.
    pub fn adopt(&self, origin: Origin, reached: u64) -> bool {
        let mut state = self.state.lock();
        if origin == state.own {
            return false;
        }
        let Some(known) = state.origins.get_mut(&origin) else {
            return false;
        };
        if reached <= known.reached {
            return false;
        }
        known.reached = reached;
        let forgotten = std::mem::take(&mut known.rows).len();
        state.kept -= forgotten;
        true
    }

    /// The origin of an entry, among the rows that are kept. It reads all of them.
    pub fn origin_of(&self, id: &Id) -> Option<Origin> {
        let state = self.state.lock();
        let is_it = |row: &Row| row.id() == *id && !row.is_date();
        let mut origins = state.origins.iter();
        let found = origins.find(|(_, known)| known.rows.iter().any(is_it));
        found.map(|(origin, _)| *origin)
    }

    /// At most `most` rows of an origin after a number; `None`: they are not kept any more.
    pub fn rows_after(&self, origin: &Origin, after: u64, most: usize) -> Option<Vec<Row>> {
        let state = self.state.lock();
        let known = state.origins.get(origin)?;
        let before = known.reached - known.rows.len() as u64;
        let skipped = usize::try_from(after.checked_sub(before)?).ok()?;
        Some(
            known
                .rows
                .iter()
                .skip(skipped)
                .take(most)
                .copied()
                .collect(),
        )
    }

    /// Tells of our own last number whenever it has grown.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.own_number.subscribe()
    }

    /// Hands on what is in force and could not be written.
    pub fn listen(&self) -> broadcast::Receiver<Vec<Row>> {
        self.unnumbered.subscribe()
    }
}

impl State {
    fn forget(&mut self, origin: &Origin) {
        if let Some(known) = self.origins.remove(origin) {
            self.kept -= known.rows.len();
        }
    }

    fn append(&mut self, origin: Origin, row: Row) {
        let known = self.origins.entry(origin).or_default();
        known.reached += 1;
        known.rows.push_back(row);
        self.kept += 1;
        if self.kept > self.room {
            self.forget_one();
        }
    }

    /// The origin with the most rows loses its oldest one.
    fn forget_one(&mut self) {
        let longest = self
            .origins
            .values_mut()
            .max_by_key(|known| known.rows.len());
        if longest.is_some_and(|known| known.rows.pop_front().is_some()) {
            self.kept -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Origin = Origin::from_bytes([1; 16]);
    const THERE: Origin = Origin::from_bytes([2; 16]);

    fn row(number: u8) -> Row {
        Row::from_bytes([number; Row::BYTES])
    }

    fn rows(numbers: std::ops::RangeInclusive<u8>) -> Vec<Row> {
        numbers.map(row).collect()
    }

    #[test]
    fn a_gap_is_noticed_and_an_overlap_is_harmless() {
        let replication_log = ReplicationLog::new(HERE, &VersionVector::new());
        let receive = |first, rows: &[Row]| replication_log.receive(THERE, first, rows);
        assert_eq!(receive(1, &rows(1..=3)), None, "it was not introduced");
        assert_eq!(replication_log.vector(), VersionVector::from([(HERE, 0)]));
        replication_log.introduce(THERE);
        assert_eq!(receive(1, &rows(1..=3)), Some(ReceivedRows::Reached(3)));
        assert_eq!(receive(6, &rows(6..=7)), Some(ReceivedRows::Gap(3)));
        assert_eq!(receive(2, &rows(2..=7)), Some(ReceivedRows::Reached(7)));
        assert_eq!(receive(1, &rows(1..=2)), Some(ReceivedRows::Reached(7)));
        assert_eq!(
            replication_log.rows_after(&THERE, 0, 100),
            Some(rows(1..=7))
        );
        assert_eq!(replication_log.rows_after(&THERE, 5, 1), Some(rows(6..=6)));
        assert_eq!(replication_log.rows_after(&THERE, 7, 9), Some(Vec::new()));
    }

    #[test]
    fn what_is_not_kept_is_said_not_to_be() {
        let known = VersionVector::from([(HERE, 10)]);
        let replication_log = ReplicationLog::with_room(HERE, &known, 4);
        replication_log.append_own(rows(11..=16), 7);
        assert_eq!(replication_log.own(), (HERE, 16));
        assert_eq!(
            replication_log.rows_after(&HERE, 12, 9),
            Some(rows(13..=16))
        );
        assert_eq!(replication_log.rows_after(&HERE, 11, 9), None);
        assert_eq!(replication_log.rows_after(&THERE, 0, 9), None);
    }

    #[test]
    fn a_number_is_adopted_as_far_as_it_is_ahead() {
        let replication_log = ReplicationLog::new(HERE, &VersionVector::new());
        assert!(!replication_log.adopt(THERE, 9), "it was not introduced");
        replication_log.introduce(THERE);
        replication_log.receive(THERE, 1, &rows(1..=3));
        assert!(!replication_log.adopt(THERE, 2));
        assert!(
            !replication_log.adopt(HERE, 5),
            "no other node knows our numbers better"
        );
        assert_eq!(replication_log.reached(&THERE), 3);
        assert_eq!(replication_log.own(), (HERE, 0));
        assert!(replication_log.adopt(THERE, 9));
        assert_eq!(replication_log.reached(&THERE), 9);
        assert_eq!(replication_log.rows_after(&THERE, 3, 9), None);
        assert_eq!(
            replication_log.receive(THERE, 10, &rows(10..=10)),
            Some(ReceivedRows::Reached(10))
        );
        assert_eq!(
            replication_log.rows_after(&THERE, 9, 9),
            Some(rows(10..=10))
        );
    }

    #[test]
    fn a_row_has_the_time_of_its_group() {
        let replication_log = ReplicationLog::new(HERE, &VersionVector::from([(HERE, 3)]));
        replication_log.append_own(rows(4..=5), 100);
        replication_log.append_own(rows(6..=6), 200);
        let times = [3, 4, 5, 6, 7].map(|number| replication_log.on_disk_ms(HERE, number));
        assert_eq!(times, [None, Some(100), Some(100), Some(200), None]);
        assert_eq!(replication_log.on_disk_ms(THERE, 4), None);
    }

    #[test]
    fn an_origin_is_of_the_node_that_it_was_made_for() {
        let [one, other] = [(); 2].map(|()| Origin::random_of("a").unwrap());
        assert_ne!(one, other);
        assert!(one.belongs_to("a") && other.belongs_to("a"));
        assert!(!one.belongs_to("b") && !one.belongs_to("") && !one.belongs_to("a2"));
        assert!(!Origin::random().unwrap().belongs_to("a"));
    }

    #[test]
    fn another_origin_begins_anew() {
        let replication_log = ReplicationLog::new(HERE, &VersionVector::from([(HERE, 3)]));
        replication_log.renew(THERE);
        replication_log.append_own(rows(1..=1), 7);
        assert_eq!(replication_log.own(), (THERE, 1));
        assert_eq!(
            replication_log.vector(),
            VersionVector::from([(HERE, 3), (THERE, 1)])
        );
        let third = Origin::from_bytes([3; 16]);
        replication_log.renew(third);
        assert_eq!(
            replication_log.vector(),
            VersionVector::from([(THERE, 1), (third, 0)])
        );
        replication_log.forget(&[THERE, third]);
        assert_eq!(
            replication_log.vector(),
            VersionVector::from([(third, 0)]),
            "its own stays"
        );
    }
}
