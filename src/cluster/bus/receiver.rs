//! What this node hears on the bus: who is there, what they say to everybody, and what to this node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use log::warn;

use super::direct::{self, Addressee};
use super::entry::{Entry, Field, Speaker};
use super::position::EntryId;
use super::state::Post;
use crate::cluster::backoff::warning_limit;
use crate::cluster::outbox::{Order, Outbox};
use crate::cluster::protocol::frame::{self, Frame, Goodbye, Ping};
use crate::cluster::protocol::mesh::{LinkId, Now, Steps};
use crate::cluster::protocol::peer_session::Bucket;
use crate::cluster::shared::Shared;
use crate::log_limit::LogLimit;
use crate::revocation::NodeName;

/// How many others are known: more is no cluster that we could be in.
const OTHERS_MAX: usize = 1024;

/// Whom this node hears.
pub(super) struct Ears {
    shared: Arc<Shared>,
    post: Arc<Post>,
    others: BTreeMap<NodeName, Other>,
    /// How far our time of day is ahead of the server's, in milliseconds, as one's own pings tell.
    ahead_ms: Option<i64>,
    namesake_warnings: LogLimit,
}

/// Somebody who was heard.
struct Other {
    speaker: Speaker,
    /// The way to it by the bus, as long as the mesh wants it.
    link: Option<LinkId>,
    bucket: Bucket,
    /// The number of the last of its own revocations, as it said before this node was there.
    told: u64,
    /// Until when nothing is taken of it: it says too much.
    unheard_until_ms: u64,
}

/// How something is heard.
pub(super) struct Heard {
    pub(super) id: EntryId,
    /// It lay in this node's mailbox.
    pub(super) is_ours: bool,
    /// It was on the bus before this node's connection was made: so long ago, in milliseconds.
    pub(super) old_ms: Option<u64>,
    pub(super) now: Now,
}

impl Heard {
    fn is_old(&self) -> bool {
        self.old_ms.is_some()
    }
}

/// Everything returns whether something is to be written to the journal.
impl Ears {
    pub(super) fn new(shared: Arc<Shared>, post: Arc<Post>) -> Self {
        Self {
            shared,
            post,
            others: BTreeMap::new(),
            ahead_ms: None,
            namesake_warnings: warning_limit(),
        }
    }

    /// This node has another voice: what was being said to the former one is over.
    pub(super) fn forget_ways(&mut self) {
        for other in self.others.values_mut() {
            if let Some(link) = other.link.take() {
                let why = "the bus is begun anew".to_owned();
                self.shared.order(link, Order::Close(why));
            }
        }
    }

    /// Hears an entry.
    pub(super) fn hear(&mut self, fields: Vec<Field>, heard: &Heard) -> bool {
        let Some(entry) = Entry::read(fields) else {
            return self.skip();
        };
        let is_for_us = !heard.is_ours || entry.to == Some(self.post.voice());
        let is_own = entry.from == self.shared.mesh.name;
        let is_let_in = self.post.lets_in(&entry.from) && self.shared.mesh.listens_to(&entry.from);
        if !is_for_us || !is_own && !is_let_in {
            return false;
        }
        let Some(bytes) = &entry.frame else {
            return false;
        };
        let frame = match Frame::decode(bytes) {
            Ok(Some(frame)) => self.post.unstamped(frame, heard.now.uptime_ms),
            Ok(None) => return false, // a later version's
            Err(_) => return self.skip(),
        };
        if is_own {
            self.hear_own(&entry, &frame, heard)
        } else if let Frame::Ping(ping) = frame {
            self.hear_ping(&entry, ping, heard)
        } else {
            self.hear_frame(&entry, frame, heard)
        }
    }

    fn skip(&self) -> bool {
        self.post.skip();
        false
    }

    /// One hears oneself: that is how one knows that the bus speaks.
    fn hear_own(&mut self, entry: &Entry, frame: &Frame, heard: &Heard) -> bool {
        if !self.post.is_own(entry.speaker.voice) {
            if heard.is_old() {
                return self.overhear(entry, frame, heard); // of an earlier process
            }
            self.warn_of_namesake(heard.now);
            return false;
        }
        if let Frame::Ping(ping) = frame
            && !heard.is_old()
        {
            self.hear_own_ping(ping, heard);
        }
        if entry.speaker.origin == self.shared.mesh.history.own().0
            && let Some(last) = frame.last_number()
        {
            self.post.echoed.fetch_max(last, Ordering::Relaxed);
        }
        false
    }

    /// Everything was read that was written before this.
    fn hear_own_ping(&mut self, ping: &Ping, heard: &Heard) {
        let ahead_ms = i128::from(ping.now_ms) - i128::from(heard.id.time_ms);
        self.ahead_ms = i64::try_from(ahead_ms).ok();
        let asked_ms = self.post.pinged_ms(ping.now_ms);
        let now_ms = heard.now.uptime_ms;
        self.shared.mesh.on_bus(|bus, since_ms| {
            if let Some(asked_ms) = asked_ms {
                bus.hear_own(asked_ms, now_ms);
                bus.read(asked_ms, since_ms, now_ms);
            }
        });
    }

    fn warn_of_namesake(&mut self, now: Now) {
        if self.namesake_warnings.is_due((), now.uptime_ms) {
            let node = &self.shared.mesh.name;
            warn!(node:%; "another node calls itself by this name on the bus: give every node a name of its own");
        }
    }

    /// Somebody is alive; to whom there is no connection, the bus is the way.
    fn hear_ping(&mut self, entry: &Entry, ping: Ping, heard: &Heard) -> bool {
        if let Some(old_ms) = heard.old_ms {
            let number = ping.vector.get(&entry.speaker.origin);
            let number = number.copied().unwrap_or_default();
            self.was_there(entry, old_ms, Some(number), heard.now);
            return false;
        }
        let at = self.when_written(heard);
        if let Some(link) = self.way_to(entry) {
            if heard.is_ours {
                self.shared.mesh.greeted_by_bus(link, heard.now);
            }
            return self.tell(entry, link, Frame::Ping(ping), at);
        }
        if self.shared.mesh.is_connected_to(&entry.from) {
            return false;
        }
        self.open_way(entry, ping, at)
    }

    /// Somebody said then that it lives, with the number of its last revocation, or else that it stops. Who was never
    /// heard again may have taken logouts that it could not write any more.
    fn was_there(&mut self, entry: &Entry, old_ms: u64, number: Option<u64>, now: Now) {
        let known = self.shared.mesh.history.reached(&entry.speaker.origin);
        let Some(other) = self.other(entry, now) else {
            return;
        };
        other.told = number.unwrap_or(other.told);
        let is_known = known >= other.told;
        let told = frame::Heard {
            node: entry.from.clone(),
            ago_ms: u32::try_from(old_ms).unwrap_or(u32::MAX),
            has_left: number.is_none(),
        };
        self.shared.mesh.was_on_bus(&told, is_known, now);
    }

    /// The time at which an entry was written, by our clock: clocks are compared by pings, and reading may be late.
    fn when_written(&self, heard: &Heard) -> Now {
        let by_ours = |ahead_ms| heard.id.time_ms.saturating_add_signed(ahead_ms);
        Now {
            wall_ms: self.ahead_ms.map_or(heard.now.wall_ms, by_ours),
            ..heard.now
        }
    }

    /// The way to who speaks, if it is by the bus and to this very voice.
    fn way_to(&self, entry: &Entry) -> Option<LinkId> {
        let other = self.others.get(&entry.from);
        let link = other.filter(|other| other.speaker == entry.speaker)?.link?;
        let mesh = &self.shared.mesh;
        mesh.is_way_to(link, &entry.from).then_some(link)
    }

    fn open_way(&mut self, entry: &Entry, ping: Ping, now: Now) -> bool {
        let link = self.shared.next_link();
        let Some(other) = self.other(entry, now) else {
            return false;
        };
        other.link = Some(link);
        let (outbox, inbox) = Outbox::new();
        let (node, Speaker { origin, voice }) = (&entry.from, entry.speaker);
        let mesh = &self.shared.mesh;
        let (greeting, steps) = mesh.connect_by_bus(link, node, origin, ping, now);
        outbox.order(Order::Say(greeting));
        let overdue = outbox.overdue();
        self.shared.add_outbox(link, outbox);
        let to = Addressee {
            node: node.clone(),
            voice,
        };
        let (shared, post) = (Arc::clone(&self.shared), Arc::clone(&self.post));
        tokio::spawn(direct::write(shared, post, link, to, inbox, overdue));
        self.carry_out(entry, steps, now)
    }

    /// Something is said to everybody, or to us.
    fn hear_frame(&mut self, entry: &Entry, frame: Frame, heard: &Heard) -> bool {
        if !heard.is_ours && !is_for_all(&frame, entry.speaker) {
            return self.skip();
        }
        if let (Some(old_ms), Frame::Goodbye(Goodbye::Leaving)) = (heard.old_ms, &frame) {
            self.was_there(entry, old_ms, None, heard.now);
            return false;
        }
        let other = self.others.get(&entry.from);
        let unheard_until_ms = other.map_or(0, |other| other.unheard_until_ms);
        if frame.bytes() > 0 && heard.now.uptime_ms < unheard_until_ms {
            return false;
        }
        match self.way_to(entry) {
            Some(link) => self.tell(entry, link, frame, heard.now),
            None if heard.is_ours => false,
            None => self.overhear(entry, &frame, heard),
        }
    }

    fn tell(&mut self, entry: &Entry, link: LinkId, frame: Frame, now: Now) -> bool {
        let Ok(steps) = self.shared.mesh.on_message(link, frame, now) else {
            return self.skip();
        };
        self.carry_out(entry, steps, now)
    }

    fn overhear(&mut self, entry: &Entry, frame: &Frame, heard: &Heard) -> bool {
        let shared = Arc::clone(&self.shared);
        let Some(other) = self.other(entry, heard.now) else {
            return false;
        };
        let bucket = &mut other.bucket;
        let steps = shared.mesh.overhear(&entry.from, bucket, frame, heard.now);
        self.carry_out(entry, steps, heard.now)
    }

    /// Does what the mesh says is to be done. Nobody is read more slowly on a bus; who says too much is not heard for
    /// a while, and what is missed of it is fetched later.
    fn carry_out(&mut self, entry: &Entry, steps: Steps, now: Now) -> bool {
        if steps.pause_ms > 0
            && let Some(other) = self.others.get_mut(&entry.from)
        {
            other.unheard_until_ms = now.uptime_ms + steps.pause_ms;
        }
        let has_news = !steps.imports.is_empty();
        self.shared.carry_out(steps);
        has_news
    }

    /// What is kept of who speaks; `None`: there are too many of them.
    fn other(&mut self, entry: &Entry, now: Now) -> Option<&mut Other> {
        if !self.others.contains_key(&entry.from) {
            if self.others.len() >= OTHERS_MAX {
                return None;
            }
            let other = Other {
                speaker: entry.speaker,
                link: None,
                bucket: Bucket::full(now.uptime_ms),
                told: 0,
                unheard_until_ms: 0,
            };
            self.others.insert(entry.from.clone(), other);
        }
        let other = self.others.get_mut(&entry.from)?;
        other.speaker = entry.speaker;
        Some(other)
    }
}

/// Whether this may be said to everybody: one's own revocations, and little else.
fn is_for_all(frame: &Frame, speaker: Speaker) -> bool {
    match frame {
        Frame::Delta { origin, .. } => *origin == speaker.origin,
        Frame::Ping(_) | Frame::Loose(_) | Frame::Gone | Frame::Goodbye(_) => true,
        Frame::Hello(_)
        | Frame::Pong { .. }
        | Frame::Ack { .. }
        | Frame::Want { .. }
        | Frame::Reconcile { .. }
        | Frame::Certificates(_) => false,
    }
}
