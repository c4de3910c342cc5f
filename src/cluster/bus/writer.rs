//! The writer of the bus: broadcasts of this node's own revocations, straight from the replication log, its pings, and messages
//! to single nodes.
//!
//! The replication log is the queue of what is to be written: a bus that is slow, or away for hours, costs nothing and delays
//! nothing else. What the replication log no longer keeps is found by comparing sets.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::client::BusClient;
use super::entry::{BusEntry, DirectMessage};
use super::server::{BusError, BusServer, NewEntry};
use crate::cluster::protocol::bus::{BusAddress, BusEvent};
use crate::cluster::protocol::frame::{Frame, Goodbye};
use crate::cluster::protocol::mesh::Mesh;
use crate::cluster::protocol::peer_session::PING_EVERY_MS;
use crate::cluster::shared::{Shared, now};
use crate::revocation::{Origin, ReplicationLog, Row};

/// How often it is said that this node is alive.
const PING_EVERY: Duration = Duration::from_millis(PING_EVERY_MS);

/// How many bytes of rows are written at once, about.
const BATCH_BYTES: usize = 4 << 20;

/// How many entries are written at once.
const BATCH_ENTRIES: usize = 256;

/// Where what is to be written comes together.
pub(crate) struct BusWriter {
    messages: mpsc::Receiver<DirectMessage>,
    own_number: watch::Receiver<u64>,
    unnumbered: broadcast::Receiver<Vec<Row>>,
    origin: Origin,
    /// The number of the last of this node's own rows that was written.
    published: u64,
}

/// What is written at once.
struct Batch<'a> {
    mesh: &'a Mesh,
    /// What every entry of this node has.
    blank: BusEntry,
    additions: Vec<NewEntry>,
    bytes: usize,
}

impl<'a> Batch<'a> {
    fn new(blank: BusEntry, mesh: &'a Mesh) -> Self {
        Self {
            mesh,
            blank,
            additions: Vec::new(),
            bytes: 0,
        }
    }

    fn broadcast(&mut self, frame: Frame) {
        self.push(None, frame);
    }

    fn extend(&mut self, messages: impl IntoIterator<Item = DirectMessage>) {
        for message in messages {
            self.push(Some(message.to), message.frame);
        }
    }

    fn push(&mut self, to: Option<BusAddress>, frame: Frame) {
        self.bytes += frame.bytes();
        let frame = self.mesh.stamped_for_bus(frame, now());
        let entry = BusEntry {
            to: to.as_ref().map(|to| to.session_id),
            frame: Some(frame.encode()),
            ..self.blank.clone()
        };
        let mailbox = to.map(|to| to.node);
        self.additions.push(NewEntry { mailbox, entry });
    }

    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.additions.len() >= BATCH_ENTRIES
    }
}

impl BusWriter {
    /// Everything that is revoked from now on is written.
    pub(super) fn new(
        messages: mpsc::Receiver<DirectMessage>,
        replication_log: &ReplicationLog,
    ) -> Self {
        let (own_number, unnumbered) = (replication_log.follow(), replication_log.listen());
        let (origin, published) = replication_log.own();
        Self {
            messages,
            own_number,
            unnumbered,
            origin,
            published,
        }
    }

    /// What was written after this number may be lost.
    pub(super) fn publish_again_after(&mut self, number: u64) {
        self.published = self.published.min(number);
    }

    /// Drops direct messages while there is no bus.
    pub(super) async fn discard_messages(&mut self) -> Infallible {
        loop {
            if self.messages.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Writes for as long as the connection lasts. Nothing is said of this node before it has caught up.
    pub(super) async fn write(
        &mut self,
        shared: &Shared,
        client: &BusClient,
        server: &mut BusServer,
    ) -> Result<Infallible, BusError> {
        let mut pings = tokio::time::interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leaving = client.leaving.subscribe();
        leaving.mark_changed();
        self.own_number.mark_changed();
        let mut caught_up = client.caught_up.subscribe();
        loop {
            let mut batch = Batch::new(client.entry(shared), &shared.mesh);
            let mut is_ping_due = false;
            tokio::select! {
                message = self.messages.recv() => batch.extend(message),
                changed = self.own_number.changed() => changed.map_err(|_| no_history())?,
                rows = self.unnumbered.recv() => batch.broadcast(unnumbered(rows)?),
                _ = caught_up.changed() => {
                    is_ping_due = *caught_up.borrow();
                    pings.reset();
                }
                _ = pings.tick() => is_ping_due = *caught_up.borrow(),
                _ = leaving.changed() => {}
            }
            while !batch.is_full()
                && let Ok(message) = self.messages.try_recv()
            {
                batch.extend(Some(message));
            }
            let (origin, published) = self.push_rows(shared, &mut batch);
            if is_ping_due {
                batch.broadcast(shared.mesh.ping_by_bus(now()));
            }
            let is_done = (origin, published) == shared.mesh.replication_log.own();
            let is_last = is_done && *client.leaving.borrow();
            if is_last {
                // By its last number others see whether they have all that it told.
                batch.broadcast(shared.mesh.ping_by_bus(now()));
                batch.broadcast(Frame::Goodbye(Goodbye::Leaving));
            }
            if batch.additions.is_empty() {
                continue;
            }
            let written = *client.written.lock();
            let asked_ms = now().uptime_ms;
            let ids = server.add(&batch.additions, written).await?;
            let newest = ids.into_iter().max().unwrap_or(written);
            *client.written.lock() = newest.max(written);
            shared.on_bus_event(BusEvent::Written {
                asked_ms,
                server_ms: newest.time_ms,
            });
            (self.origin, self.published) = (origin, published);
            if is_last {
                client.has_left.store(true, Ordering::Release);
                return Ok(std::future::pending().await); // nothing is said any more
            }
            if !is_done {
                self.own_number.mark_changed();
            }
        }
    }

    /// Adds this node's own rows that were not written yet, and returns how far they go.
    fn push_rows(&self, shared: &Shared, batch: &mut Batch<'_>) -> (Origin, u64) {
        let (origin, number) = shared.mesh.replication_log.own();
        let mut published = if origin == self.origin {
            self.published
        } else {
            0
        };
        while published < number && !batch.is_full() {
            let frame = shared.mesh.delta_after(origin, published);
            published = frame.last_number().unwrap_or(number);
            batch.broadcast(frame);
        }
        (origin, published)
    }
}

fn unnumbered(rows: Result<Vec<Row>, RecvError>) -> Result<Frame, BusError> {
    match rows {
        Ok(rows) => Ok(Frame::Unnumbered(rows)),
        Err(RecvError::Lagged(_)) => Ok(Frame::CompareSets),
        Err(RecvError::Closed) => Err(no_history()),
    }
}

fn no_history() -> BusError {
    BusError::Failed("this node ends".to_owned())
}
