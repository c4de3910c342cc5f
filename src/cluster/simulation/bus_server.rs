//! The server of a simulated bus: a stream that all nodes read, and a mailbox for each of them. It can lose the end of
//! what it holds, be emptied, be slow, and be out of reach of some machines.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::chance::Chance;
use crate::cluster::protocol::bus::{BusAddress, BusSender, EntryId, StreamExtent};
use crate::revocation::NodeName;

/// How many entries a node reads at once of either, as in `reader`.
const COUNT: usize = 128;

/// An entry that a node writes.
#[derive(Clone, Debug)]
pub(super) struct NewSimulatedEntry {
    /// The machine of the node, and its life.
    pub(super) writer: (usize, u64),
    pub(super) sender: BusSender,
    /// `None`: for all nodes.
    pub(super) to: Option<BusAddress>,
    /// `None`: the entry marks a place in the stream.
    pub(super) frame: Option<Bytes>,
}

/// An entry that was added.
#[derive(Clone, Debug)]
pub(super) struct SimulatedEntry {
    pub(super) id: EntryId,
    /// When it was added.
    pub(super) added_ms: u64,
    pub(super) entry: NewSimulatedEntry,
}

#[derive(Default)]
struct SimulatedStream {
    entries: VecDeque<SimulatedEntry>,
    last: EntryId,
    added: u64,
}

impl SimulatedStream {
    fn add(&mut self, entry: NewSimulatedEntry, server_ms: u64, added_ms: u64) -> EntryId {
        let now = EntryId {
            time_ms: server_ms,
            serial: 0,
        };
        let id = now.max(self.last.next());
        self.last = id;
        self.added += 1;
        self.entries.push_back(SimulatedEntry {
            id,
            added_ms,
            entry,
        });
        id
    }

    fn read(&self, after: EntryId, until_ms: u64) -> Vec<SimulatedEntry> {
        let next = self.entries.iter().filter(|one| one.id > after);
        let arrived = next.take_while(|one| one.added_ms <= until_ms);
        arrived.take(COUNT).cloned().collect()
    }

    /// The last entries are gone, as if they had never been there.
    fn lose(&mut self, count: usize) {
        let kept = self.entries.len().saturating_sub(count);
        if let Some(first) = self.entries.get(kept) {
            let before = kept.checked_sub(1).map(|last| self.entries[last].id);
            let end = EntryId {
                time_ms: first.id.time_ms.saturating_sub(1),
                serial: u64::MAX,
            };
            self.last = before.unwrap_or(end);
            self.added -= (self.entries.len() - kept) as u64;
            self.entries.truncate(kept);
        }
    }
}

/// The way from a machine to the bus and back.
#[derive(Clone, Copy, Debug)]
pub(super) struct SimulatedWay {
    pub(super) is_blocked: bool,
    pub(super) delay_ms: u64,
}

/// The bus.
pub(super) struct SimulatedBus {
    stream: SimulatedStream,
    mailboxes: BTreeMap<NodeName, SimulatedStream>,
    /// How often its process was started.
    pub(super) run: u64,
    kept_ms: u64,
    pub(super) ways: Vec<SimulatedWay>,
}

impl SimulatedBus {
    pub(super) fn new(machines: usize, delay_ms: u64, kept_ms: u64) -> Self {
        let way = SimulatedWay {
            is_blocked: false,
            delay_ms,
        };
        Self {
            stream: SimulatedStream::default(),
            mailboxes: BTreeMap::new(),
            run: 1,
            kept_ms,
            ways: vec![way; machines],
        }
    }

    /// Which process answers.
    pub(super) fn run_id(&self) -> String {
        self.run.to_string()
    }

    /// What it says of the stream.
    pub(super) fn extent(&self) -> Option<StreamExtent> {
        (self.stream.last > EntryId::ZERO).then(|| StreamExtent {
            first: self.stream.entries.front().map(|one| one.id),
            last: self.stream.last,
            added: Some(self.stream.added),
        })
    }

    /// Adds entries in their order; the number of the newest.
    pub(super) fn add(
        &mut self,
        entries: Vec<NewSimulatedEntry>,
        server_ms: u64,
        now_ms: u64,
    ) -> EntryId {
        let mut newest = EntryId::ZERO;
        for entry in entries {
            let stream = match &entry.to {
                None => &mut self.stream,
                Some(to) => self.mailboxes.entry(to.node.clone()).or_default(),
            };
            newest = newest.max(stream.add(entry, server_ms, now_ms));
        }
        let kept_from_ms = now_ms.saturating_sub(self.kept_ms);
        let entries = &mut self.stream.entries;
        while entries
            .front()
            .is_some_and(|one| one.added_ms < kept_from_ms)
        {
            entries.pop_front();
        }
        newest
    }

    /// What was added to the stream until then, after an entry.
    pub(super) fn read(&self, after: EntryId, until_ms: u64) -> Vec<SimulatedEntry> {
        self.stream.read(after, until_ms)
    }

    /// The same of a node's mailbox. What comes before that entry is deleted.
    pub(super) fn read_mailbox(
        &mut self,
        node: &NodeName,
        after: EntryId,
        until_ms: u64,
    ) -> Vec<SimulatedEntry> {
        let mailbox = self.mailboxes.entry(node.clone()).or_default();
        mailbox.entries.retain(|one| one.id > after);
        mailbox.read(after, until_ms)
    }

    /// Its process is killed and started again: what it had not written to its disk is lost.
    pub(super) fn crash(&mut self, chance: &mut Chance) -> usize {
        let lost = chance.one_of(&[0, 1, 3, 20, 200]).unwrap_or_default();
        let lost = lost.min(self.stream.entries.len());
        self.stream.lose(lost);
        for mailbox in self.mailboxes.values_mut() {
            mailbox.lose(lost);
        }
        self.run += 1;
        lost
    }

    /// An operator empties it.
    pub(super) fn empty(&mut self) {
        self.stream = SimulatedStream::default();
        self.mailboxes.clear();
    }
}
