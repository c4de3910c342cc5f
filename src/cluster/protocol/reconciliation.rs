//! A reconciliation of two nodes' sets: afterwards both know what either knew.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use negentropy::{Id as Name, Negentropy, NegentropyStorageVector};

use super::failure_detector::KnownUntil;
use super::frame::{Frame, InvalidFrame, ROWS_MAX, ReconcileStep};
use crate::clock::UnixTime;
use crate::revocation::{
    Bucket, Item, Revocation, Row, Set, Sum, Summary, SyncPhase, VersionVector,
};

/// How many buckets are compared at the same time: enough to fill a line, and no more answers than a peer may
/// have to keep for us.
const OPEN_MAX: usize = 8;

/// How long a message of a reconciliation may be, in bytes; more takes more of them.
const MESSAGE_BYTES_MAX: u64 = 256 << 10;

/// A bucket of fewer entries is sent whole: that takes one message instead of several.
const FEW: u64 = 512;

/// How many entries of a bucket are asked for at once, in 2 MiB: a frame has an end, and what a node lacks has none.
const FETCH_MAX: usize = 8 * ROWS_MAX;

/// Finding a difference costs so many times what sending an entry does (about 500 bytes against 33).
const DIFFERENCE_COST: u64 = 16;

/// A comparison that this node began.
pub(crate) struct Reconciliation {
    pub(crate) number: u32,
    pub(crate) began_ms: u64,
    /// Where the peer stood when it began.
    pub(crate) peer_state: SyncPhase,
    /// The nodes of which the peer knew everything then.
    pub(crate) spoken_for: Vec<KnownUntil>,
    beyond: UnixTime,
    /// What the peer knew when it compared; `None`: it has not answered yet.
    vector: Option<VersionVector>,
    waiting: Vec<Summary>,
    open: HashMap<Bucket, OpenSection>,
}

/// What is being done about a bucket.
enum OpenSection {
    /// The peer sends all of it; these have come.
    Taking(HashSet<Item>),
    /// Both find out what they lack.
    Reconciling(Box<Reconciling>),
    /// The peer sends what was found to be lacking; for these it is to be asked yet.
    Fetching(Vec<Item>),
}

struct Reconciling {
    negentropy: Negentropy<'static, NegentropyStorageVector>,
    ours: HashMap<Item, Row>,
    to_send: Vec<Name>,
    to_fetch: Vec<Name>,
}

impl Reconciliation {
    /// A comparison of everything that is kept beyond a moment, and the frame that begins it.
    pub(crate) fn begin(
        number: u32,
        (peer_state, spoken_for): (SyncPhase, Vec<KnownUntil>),
        set: &Set,
        beyond: UnixTime,
        now_ms: u64,
    ) -> (Self, Frame) {
        let reconciliation = Self {
            number,
            began_ms: now_ms,
            peer_state,
            spoken_for,
            beyond,
            vector: None,
            waiting: Vec::new(),
            open: HashMap::new(),
        };
        let summaries = set.summaries(beyond);
        let frame = step(number, ReconcileStep::Summaries { beyond, summaries });
        (reconciliation, frame)
    }

    /// What is the same on both sides as soon as the comparison is over; `None`: it is not.
    pub(crate) fn agreed(&self) -> Option<&VersionVector> {
        let is_over = self.waiting.is_empty() && self.open.is_empty();
        self.vector.as_ref().filter(|_| is_over)
    }

    /// The peer says where it differs.
    pub(crate) fn differ(
        &mut self,
        vector: VersionVector,
        summaries: Vec<Summary>,
        set: &Set,
    ) -> Result<Vec<Frame>, InvalidFrame> {
        if self.vector.is_none() {
            self.vector = Some(vector);
            self.waiting = summaries;
        }
        self.open_more(set)
    }

    fn open_more(&mut self, set: &Set) -> Result<Vec<Frame>, InvalidFrame> {
        let mut frames = Vec::new();
        while self.open.len() < OPEN_MAX
            && let Some(theirs) = self.waiting.pop()
        {
            frames.extend(self.open_section(theirs, set)?);
        }
        Ok(frames)
    }

    /// Chooses the cheaper way: all of it, or only what differs.
    fn open_section(&mut self, theirs: Summary, set: &Set) -> Result<Vec<Frame>, InvalidFrame> {
        let (number, bucket) = (self.number, theirs.bucket);
        let ours = set.entries(bucket, self.beyond);
        if theirs.count == 0 {
            let ours: Vec<_> = ours.iter().map(|(_, one)| Row::encode(one)).collect();
            return Ok(unnumbered(&ours));
        }
        let apart = theirs.count.abs_diff(ours.len() as u64);
        if theirs.count <= FEW || apart * DIFFERENCE_COST >= theirs.count {
            self.open
                .insert(bucket, OpenSection::Taking(HashSet::new()));
            return Ok(vec![step(number, ReconcileStep::SendAll { bucket })]);
        }
        let mut negentropy = Negentropy::owned(storage_of(&ours)?, MESSAGE_BYTES_MAX)
            .map_err(|_| InvalidFrame("its buckets can't be reconciled"))?;
        let message = negentropy
            .initiate()
            .map_err(|_| InvalidFrame("its buckets can't be reconciled"))?;
        let reconciling = Reconciling {
            negentropy,
            ours: ours
                .iter()
                .map(|(item, one)| (*item, Row::encode(one)))
                .collect(),
            to_send: Vec::new(),
            to_fetch: Vec::new(),
        };
        self.open
            .insert(bucket, OpenSection::Reconciling(Box::new(reconciling)));
        let message = Bytes::from(message);
        let negotiate = ReconcileStep::Negotiate { bucket, message };
        Ok(vec![step(number, negotiate)])
    }

    /// The peer's part of a reconciliation.
    pub(crate) fn reconcile(
        &mut self,
        bucket: Bucket,
        message: &[u8],
        set: &Set,
    ) -> Result<Vec<Frame>, InvalidFrame> {
        let Some(OpenSection::Reconciling(one)) = self.open.get_mut(&bucket) else {
            return Ok(Vec::new());
        };
        let next = one
            .negentropy
            .reconcile_with_ids(message, &mut one.to_send, &mut one.to_fetch)
            .map_err(|_| InvalidFrame("a reconciliation makes no sense"))?;
        if let Some(message) = next {
            let message = Bytes::from(message);
            let negotiate = ReconcileStep::Negotiate { bucket, message };
            return Ok(vec![step(self.number, negotiate)]);
        }
        let to_send = one
            .to_send
            .iter()
            .filter_map(|name| one.ours.get(name.as_bytes()));
        let to_send: Vec<_> = to_send.copied().collect();
        let mut frames = unnumbered(&to_send);
        let lacking = one.to_fetch.iter().map(|name| *name.as_bytes()).collect();
        frames.extend(self.fetch_more(bucket, lacking, set)?);
        Ok(frames)
    }

    /// Asks for some of what is lacking in a bucket; when nothing is, it is done.
    fn fetch_more(
        &mut self,
        bucket: Bucket,
        mut lacking: Vec<Item>,
        set: &Set,
    ) -> Result<Vec<Frame>, InvalidFrame> {
        if lacking.is_empty() {
            self.open.remove(&bucket);
            return self.open_more(set);
        }
        let items = lacking.split_off(lacking.len().saturating_sub(FETCH_MAX));
        self.open.insert(bucket, OpenSection::Fetching(lacking));
        let fetch = ReconcileStep::Fetch { bucket, items };
        Ok(vec![step(self.number, fetch)])
    }

    /// Rows that the peer was asked for have come and are in force.
    pub(crate) fn rows(
        &mut self,
        bucket: Bucket,
        items: impl Iterator<Item = Item>,
        is_last: bool,
        set: &Set,
    ) -> Result<Vec<Frame>, InvalidFrame> {
        if let Some(OpenSection::Taking(theirs)) = self.open.get_mut(&bucket) {
            theirs.extend(items);
        }
        if !is_last {
            return Ok(Vec::new());
        }
        let mut frames = match self.open.remove(&bucket) {
            Some(OpenSection::Fetching(lacking)) => return self.fetch_more(bucket, lacking, set),
            Some(OpenSection::Taking(theirs)) => {
                let ours = set.entries(bucket, self.beyond).into_iter();
                let lacking = ours.filter(|(item, _)| !theirs.contains(item));
                let lacking: Vec<_> = lacking.map(|(_, one)| Row::encode(&one)).collect();
                unnumbered(&lacking)
            }
            Some(OpenSection::Reconciling(_)) | None => Vec::new(),
        };
        frames.extend(self.open_more(set)?);
        Ok(frames)
    }
}

/// Rows for the other side, in frames of a fitting size.
fn unnumbered(rows: &[Row]) -> Vec<Frame> {
    rows.chunks(ROWS_MAX)
        .map(|rows| Frame::Unnumbered(rows.to_vec()))
        .collect()
}

fn storage_of(entries: &[(Item, Revocation)]) -> Result<NegentropyStorageVector, InvalidFrame> {
    let unfit = |_| InvalidFrame("a bucket can't be reconciled");
    let mut storage = NegentropyStorageVector::with_capacity(entries.len());
    for (item, _) in entries {
        storage
            .insert(0, Name::from_byte_array(*item))
            .map_err(unfit)?;
    }
    storage.seal().map_err(unfit)?;
    Ok(storage)
}

/// The other side of a comparison: it answers, and keeps nothing but the buckets that are being reconciled.
pub(crate) struct ReconciliationResponder {
    number: u32,
    beyond: UnixTime,
    open: HashMap<Bucket, Negentropy<'static, NegentropyStorageVector>>,
}

impl Default for ReconciliationResponder {
    fn default() -> Self {
        Self {
            number: 0,
            beyond: UnixTime::EPOCH,
            open: HashMap::new(),
        }
    }
}

impl ReconciliationResponder {
    /// Where the two differ.
    pub(crate) fn compare(
        &mut self,
        number: u32,
        beyond: UnixTime,
        theirs: &[Summary],
        vector: VersionVector,
        set: &Set,
    ) -> Frame {
        self.number = number;
        self.beyond = beyond;
        self.open.clear();
        let mut ours: BTreeMap<_, _> = set
            .summaries(beyond)
            .into_iter()
            .map(|summary| (summary.bucket, summary))
            .collect();
        let mut differing = Vec::new();
        for theirs in theirs {
            let nothing = Summary {
                count: 0,
                sum: Sum::default(),
                ..*theirs
            };
            let ours = ours.remove(&theirs.bucket).unwrap_or(nothing);
            if (ours.count, ours.sum) != (theirs.count, theirs.sum) {
                differing.push(ours);
            }
        }
        differing.extend(ours.into_values());
        let differences = ReconcileStep::Differences {
            vector,
            summaries: differing,
        };
        step(number, differences)
    }

    /// All of a bucket.
    pub(crate) fn send_all(&self, number: u32, bucket: Bucket, set: &Set) -> Vec<Frame> {
        let rows = set.entries(bucket, self.beyond);
        let rows: Vec<_> = rows.iter().map(|(_, one)| Row::encode(one)).collect();
        in_rows(number, bucket, &rows)
    }

    /// Some of a bucket.
    pub(crate) fn fetch(
        &self,
        number: u32,
        bucket: Bucket,
        items: &[Item],
        set: &Set,
    ) -> Vec<Frame> {
        let wanted: HashSet<&Item> = items.iter().collect();
        let entries = set.entries(bucket, self.beyond).into_iter();
        let rows = entries.filter(|(item, _)| wanted.contains(item));
        let rows: Vec<_> = rows.map(|(_, one)| Row::encode(&one)).collect();
        in_rows(number, bucket, &rows)
    }

    /// This side's part of a reconciliation.
    pub(crate) fn reconcile(
        &mut self,
        number: u32,
        bucket: Bucket,
        message: &[u8],
        set: &Set,
    ) -> Result<Frame, InvalidFrame> {
        let senseless = |_| InvalidFrame("a reconciliation makes no sense");
        if self.open.len() >= 2 * OPEN_MAX && !self.open.contains_key(&bucket) {
            self.open.clear(); // they are made anew when they are asked for
        }
        let mut negentropy = if let Some(open) = self.open.remove(&bucket) {
            open
        } else {
            let storage = storage_of(&set.entries(bucket, self.beyond))?;
            Negentropy::owned(storage, MESSAGE_BYTES_MAX).map_err(senseless)?
        };
        let message = negentropy.reconcile(message).map_err(senseless)?;
        self.open.insert(bucket, negentropy);
        let message = Bytes::from(message);
        Ok(step(number, ReconcileStep::Negotiate { bucket, message }))
    }
}

/// Rows of a bucket, in frames of a fitting size; one at least, for the last one says that it is.
fn in_rows(number: u32, bucket: Bucket, rows: &[Row]) -> Vec<Frame> {
    let count = rows.len().div_ceil(ROWS_MAX).max(1);
    let frame = |place: usize| {
        let rows = rows.chunks(ROWS_MAX).nth(place).unwrap_or_default();
        let rows = ReconcileStep::Rows {
            bucket,
            rows: rows.to_vec(),
            is_last: place + 1 == count,
        };
        step(number, rows)
    };
    (0..count).map(frame).collect()
}

fn step(number: u32, step: ReconcileStep) -> Frame {
    Frame::Reconcile { number, step }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::ops::Range;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::cluster::protocol::mesh::{Mesh, Now};
    use crate::cluster::protocol::readiness::ReadinessPolicy;
    use crate::cluster::settings::StalePolicy;
    use crate::cluster::transport::FRAME_BYTES_MAX;
    use crate::revocation::{Id, NodeName, Origin, ReplicationLog, Source, Window};

    const NOW: UnixTime = UnixTime::from_seconds(1_790_000_000);

    /// The tokens with these numbers, all of one window.
    fn set_of(numbers: Range<u64>) -> Arc<Set> {
        let set = Set::default();
        let until = NOW.plus(Duration::from_hours(1));
        for number in numbers {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            id[8..].copy_from_slice(&number.to_be_bytes());
            let token = Revocation::Token {
                id: Id::from_bytes(id),
                window: Window::of(Some(until)),
                until,
                source: Source::Verified,
            };
            set.insert(&token, NOW);
        }
        Arc::new(set)
    }

    fn node(name: &NodeName, set: &Arc<Set>, now: Now) -> Mesh {
        let rules = ReadinessPolicy {
            on_stale: StalePolicy::Serve,
            on_isolated: StalePolicy::Refuse,
            bootstrap_timeout_ms: 30_000,
            new_cluster: false,
            quarantine: Vec::new(),
        };
        let origin = Origin::bound([1; 8], name.as_str());
        let replication_log = ReplicationLog::new(origin, &VersionVector::new());
        let set = Arc::clone(set);
        Mesh::new(
            name.clone(),
            set,
            Arc::new(replication_log),
            rules,
            true,
            now,
        )
    }

    /// Two nodes with these sets meet. Their connection takes no longer frames than a real one does.
    fn meet(sets: &[Arc<Set>; 2]) {
        let after = |ms| Now {
            uptime_ms: 1_000_000 + ms,
            wall_ms: NOW.seconds() * 1_000 + ms,
        };
        let names = ["a", "b"].map(|name| NodeName::parse(name).unwrap());
        let nodes = [0, 1].map(|one| node(&names[one], &sets[one], after(0)));
        let mut under_way = VecDeque::new();
        for one in [0, 1] {
            nodes[one].set_targets(&[], true, after(0));
            let names = vec![names[1 - one].clone()];
            let hello = nodes[one].connect(1, one == 0, None, names, after(0));
            under_way.push_back((1 - one, hello));
        }
        let mut states = [SyncPhase::Syncing; 2];
        for now in (0..1_500).step_by(100).map(after) {
            while let Some((to, frame)) = under_way.pop_front() {
                let bytes = frame.encode().len();
                assert!(bytes <= FRAME_BYTES_MAX, "a frame of {bytes} bytes");
                let steps = nodes[to].on_message(1, frame, now).unwrap();
                under_way.extend(steps.frames.into_iter().map(|(_, frame)| (1 - to, frame)));
            }
            for one in [0, 1] {
                let (steps, found) = nodes[one].tick(now);
                states[one] = found.state;
                under_way.extend(steps.frames.into_iter().map(|(_, frame)| (1 - one, frame)));
            }
        }
        assert_eq!(states, [SyncPhase::Ready; 2]);
        assert_eq!(sets[0].summaries(NOW), sets[1].summaries(NOW));
    }

    #[test]
    fn however_much_each_of_two_lacks_their_comparison_comes_to_its_end() {
        let many = (FRAME_BYTES_MAX / size_of::<Item>()) as u64;
        let apart = [set_of(0..many + FEW), set_of(many..2 * many + FEW)];
        meet(&apart);
        let held: u64 = apart[0].summaries(NOW).iter().map(|one| one.count).sum();
        assert_eq!(2 * many + FEW, held);
    }
}
