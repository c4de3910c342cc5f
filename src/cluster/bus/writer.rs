//! What this node writes to the bus: its own revocations to everybody, straight from the history, that it is alive, and
//! letters to single nodes.
//!
//! The history is the queue of what is to be written: a bus that is slow, or away for hours, costs nothing and keeps
//! nobody waiting. What the history does not keep any more is compared.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::entry::{Entry, Letter, Voice};
use super::server::{Addition, Server, Trouble};
use super::state::Post;
use crate::cluster::protocol::frame::{Frame, Goodbye};
use crate::cluster::protocol::peer_session::PING_EVERY_MS;
use crate::cluster::shared::{Shared, now};
use crate::revocation::{History, NodeName, Origin, Row};

/// How often it is said that this node is alive.
const PING_EVERY: Duration = Duration::from_millis(PING_EVERY_MS);

/// How many bytes of rows are written at once, about.
const BATCH_BYTES: usize = 4 << 20;

/// How many entries are written at once.
const BATCH_ENTRIES: usize = 256;

/// Where what is to be written comes together.
pub(crate) struct Desk {
    letters: mpsc::Receiver<Letter>,
    own_number: watch::Receiver<u64>,
    unnumbered: broadcast::Receiver<Vec<Row>>,
    origin: Origin,
    /// The number of the last of one's own rows that was written.
    published: u64,
}

/// What is written at once.
struct Batch<'a> {
    post: &'a Post,
    /// What every entry of this node has.
    blank: Entry,
    additions: Vec<Addition>,
    bytes: usize,
}

impl<'a> Batch<'a> {
    fn of(blank: Entry, post: &'a Post) -> Self {
        Self {
            post,
            blank,
            additions: Vec::new(),
            bytes: 0,
        }
    }

    fn say_to_all(&mut self, frame: Frame) {
        self.push(None, None, frame);
    }

    fn extend(&mut self, letters: impl IntoIterator<Item = Letter>) {
        for letter in letters {
            self.push(Some(letter.to), Some(letter.voice), letter.frame);
        }
    }

    fn push(&mut self, mailbox: Option<NodeName>, to: Option<Voice>, frame: Frame) {
        self.bytes += frame.bytes();
        let frame = Some(self.post.stamped(frame, now().uptime_ms).encode());
        let entry = Entry {
            to,
            frame,
            ..self.blank.clone()
        };
        self.additions.push(Addition { mailbox, entry });
    }

    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.additions.len() >= BATCH_ENTRIES
    }
}

impl Desk {
    /// Everything that is revoked from now on is written.
    pub(super) fn new(letters: mpsc::Receiver<Letter>, history: &History) -> Self {
        let (own_number, unnumbered) = (history.follow(), history.listen());
        let (origin, published) = history.own();
        Self {
            letters,
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

    /// While there is no bus nobody's letters wait.
    pub(super) async fn throw_letters_away(&mut self) -> Infallible {
        loop {
            if self.letters.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Writes for as long as the connection lasts. Nothing is said of this node before it has caught up.
    pub(super) async fn write(
        &mut self,
        shared: &Shared,
        post: &Post,
        server: &mut Server,
    ) -> Result<Infallible, Trouble> {
        let mut pings = tokio::time::interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leaving = post.leaving.subscribe();
        leaving.mark_changed();
        self.own_number.mark_changed();
        let mut caught_up = post.caught_up.subscribe();
        loop {
            let mut batch = Batch::of(post.entry(shared), post);
            let mut is_ping_due = false;
            tokio::select! {
                letter = self.letters.recv() => batch.extend(letter),
                changed = self.own_number.changed() => changed.map_err(|_| no_history())?,
                rows = self.unnumbered.recv() => batch.say_to_all(unnumbered(rows)?),
                _ = caught_up.changed() => {
                    is_ping_due = *caught_up.borrow();
                    pings.reset();
                }
                _ = pings.tick() => is_ping_due = *caught_up.borrow(),
                _ = leaving.changed() => {}
            }
            while !batch.is_full()
                && let Ok(letter) = self.letters.try_recv()
            {
                batch.extend(Some(letter));
            }
            let (origin, published) = self.push_rows(shared, &mut batch);
            if is_ping_due {
                let now = now();
                post.note_ping(now.wall_ms, now.uptime_ms);
                batch.say_to_all(Frame::Ping(shared.mesh.ping(now)));
            }
            let is_done = (origin, published) == shared.mesh.history.own();
            let is_last = is_done && *post.leaving.borrow();
            if is_last {
                // By its last number others see whether they have all that it told.
                batch.say_to_all(Frame::Ping(shared.mesh.ping(now())));
                batch.say_to_all(Frame::Goodbye(Goodbye::Leaving));
            }
            if batch.additions.is_empty() {
                continue;
            }
            let written = *post.written.lock();
            let asked_ms = now().uptime_ms;
            let ids = server.add(&batch.additions, written).await?;
            let newest = ids.into_iter().max().unwrap_or(written);
            *post.written.lock() = newest.max(written);
            post.note_added(newest, asked_ms, now().uptime_ms);
            (self.origin, self.published) = (origin, published);
            if is_last {
                post.has_left.store(true, Ordering::Release);
                return Ok(std::future::pending().await); // nothing is said any more
            }
            if !is_done {
                self.own_number.mark_changed();
            }
        }
    }

    /// One's own rows that were not written yet, and how far they go.
    fn push_rows(&self, shared: &Shared, batch: &mut Batch<'_>) -> (Origin, u64) {
        let (origin, number) = shared.mesh.history.own();
        let mut published = if origin == self.origin {
            self.published
        } else {
            0
        };
        while published < number && !batch.is_full() {
            let frame = shared.mesh.delta_after(origin, published);
            published = frame.last_number().unwrap_or(number);
            batch.say_to_all(frame);
        }
        (origin, published)
    }
}

fn unnumbered(rows: Result<Vec<Row>, RecvError>) -> Result<Frame, Trouble> {
    match rows {
        Ok(rows) => Ok(Frame::Loose(rows)),
        Err(RecvError::Lagged(_)) => Ok(Frame::Gone),
        Err(RecvError::Closed) => Err(no_history()),
    }
}

fn no_history() -> Trouble {
    Trouble::Failed("this node ends".to_owned())
}
