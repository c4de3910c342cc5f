//! What this node hears on the bus: who is there, what they say to everybody, and what to this node.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use log::warn;

use super::entry::{Entry, Found, Speaker};
use super::letters::{self, Addressee};
use super::place::{EntryId, Loss, Place};
use super::post::Post;
use super::server::{KEPT_MS, Question, Server, Trouble};
use super::writing::last_of;
use crate::revocation::gossip::frame::{Frame, Ping};
use crate::revocation::gossip::mesh::{LinkId, Now, Steps};
use crate::revocation::gossip::node::{Shared, now};
use crate::revocation::gossip::outbox::{Order, Outbox};
use crate::revocation::gossip::settings::NodeName;
use crate::revocation::gossip::talk::Bucket;

/// How many entries are asked for at once.
const COUNT: usize = 128;

/// How often it is asked what the stream is.
const LOOK_EVERY_MS: u64 = 1_000;

/// How often the place in the stream is noted where nothing else is.
const NOTE_EVERY_MS: u64 = 10_000;

/// How often the same is complained about.
const COMPLAIN_EVERY_MS: u64 = 60_000;

/// How many others are known: more is no cluster that we could be in.
const OTHERS_MAX: usize = 1024;

/// Where this node is in the stream, and whom it hears there.
pub(super) struct Ears {
    shared: Arc<Shared>,
    post: Arc<Post>,
    place: Place,
    in_mailbox: EntryId,
    /// What comes before it was on the bus before this node came, and when it came.
    mark: (EntryId, u64),
    is_caught_up: bool,
    others: BTreeMap<NodeName, Other>,
    /// How far our clock is ahead of the server's, in milliseconds, as one's own pings tell.
    ahead_ms: Option<i64>,
    /// Something is too large: entries are read one by one until this node has passed it.
    is_careful: bool,
    is_mailbox_unfit: bool,
    /// Until when it is not asked what the stream is: the answer has the first and the last entry in it.
    looks_from_ms: u64,
    noted: (EntryId, u64),
    complained_ms: Option<u64>,
}

/// Somebody who was heard.
struct Other {
    speaker: Speaker,
    /// The way to it by the bus, as long as the mesh wants it.
    link: Option<LinkId>,
    bucket: Bucket,
    /// Until when nothing is taken of it: it says too much.
    unheard_until_ms: u64,
}

impl Ears {
    pub(super) fn new(shared: Arc<Shared>, post: Arc<Post>) -> Self {
        let now_ms = now().uptime_ms;
        Self {
            place: Place::after(shared.revocations.bus_read),
            shared,
            post,
            in_mailbox: EntryId::ZERO,
            mark: (EntryId::ZERO, now_ms),
            is_caught_up: false,
            others: BTreeMap::new(),
            ahead_ms: None,
            is_careful: false,
            is_mailbox_unfit: false,
            looks_from_ms: 0,
            noted: (EntryId::ZERO, now_ms),
            complained_ms: None,
        }
    }

    /// Whether the bus is still what this node has read.
    pub(super) async fn look(&mut self, server: &mut Server) -> Result<Option<Loss>, Trouble> {
        let run_id = server.run_id().await?;
        let other_server = self.place.look_at_server(&run_id);
        if self.is_mailbox_unfit {
            server.empty_mailbox().await?;
            self.is_mailbox_unfit = false;
        }
        let loss = self.look_at_stream(server).await?;
        Ok(loss.or(other_server))
    }

    async fn look_at_stream(&mut self, server: &mut Server) -> Result<Option<Loss>, Trouble> {
        let now_ms = now().uptime_ms;
        if now_ms < self.looks_from_ms {
            return Ok(None);
        }
        self.looks_from_ms = now_ms + LOOK_EVERY_MS;
        match server.stream().await {
            Ok(stretch) => Ok(self.place.look_at_stream(stretch)),
            Err(Trouble::TooLarge) => {
                self.looks_from_ms = now_ms + KEPT_MS; // it will have been dropped by then
                Err(Trouble::TooLarge)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// This node has another voice: what was being said to the former one is over.
    pub(super) fn forget_others(&mut self) {
        for other in self.others.values_mut() {
            if let Some(link) = other.link.take() {
                let why = "the bus is begun anew".to_owned();
                self.shared.order(link, Order::Close(why));
            }
        }
    }

    /// What comes before this entry was on the bus before. Whether this node has read beyond it: then it is another
    /// stream, which is read from its beginning.
    pub(super) fn begin_at(&mut self, mark: EntryId, asked_ms: u64) -> bool {
        self.mark = (mark, asked_ms);
        self.is_caught_up = false;
        self.post.caught_up.send_replace(false);
        self.in_mailbox = EntryId::ZERO;
        let is_beyond = mark <= self.place.read;
        if is_beyond {
            self.place.read = EntryId::ZERO;
        }
        is_beyond
    }

    /// Listens for as long as the connection lasts.
    pub(super) async fn listen(&mut self, server: &mut Server) -> Result<Infallible, Trouble> {
        loop {
            if let Some(loss) = self.look_at_stream(server).await? {
                return Err(Trouble::Lost(loss));
            }
            let question = Question {
                after: self.place.read,
                after_in_mailbox: self.in_mailbox,
                count: if self.is_careful { 1 } else { COUNT },
            };
            let found = match server.read(question).await {
                Ok(found) => found,
                Err(Trouble::TooLarge) => return Err(self.pass_over()),
                Err(trouble) => return Err(trouble),
            };
            let mut has_news = false;
            for one in found {
                has_news |= self.take(one);
            }
            self.note_place(has_news);
        }
    }

    /// Something can't be read. When it is alone and still can't be, all is passed over up to what this node wrote last.
    fn pass_over(&mut self) -> Trouble {
        if !self.is_careful {
            self.is_careful = true;
            return Trouble::TooLarge;
        }
        self.post.skip();
        self.place.read = self.place.read.max(self.mark.0);
        self.is_mailbox_unfit = true;
        self.looks_from_ms = now().uptime_ms + KEPT_MS;
        Trouble::Lost(Loss::TooLarge)
    }

    /// Takes in an entry. Whether something is to be written to the journal.
    fn take(&mut self, found: Found) -> bool {
        let id = found.id;
        if found.is_ours {
            self.in_mailbox = id;
        } else {
            self.place.read = id;
        }
        let heard = Heard {
            id,
            is_ours: found.is_ours,
            is_old: !found.is_ours && id < self.mark.0,
            now: now(),
        };
        let has_news = match Entry::read(found.fields) {
            Some(entry) => self.hear_entry(&entry, &heard),
            None => {
                self.post.skip();
                false
            }
        };
        if !found.is_ours && id >= self.mark.0 && !self.is_caught_up {
            self.catch_up(heard.now);
        }
        has_news
    }

    fn catch_up(&mut self, now: Now) {
        self.is_caught_up = true;
        self.is_careful = false;
        let asked_ms = self.mark.1;
        let mesh = &self.shared.mesh;
        mesh.on_bus(|bus, since_ms| bus.read(asked_ms, since_ms, now.uptime_ms));
        self.post.caught_up.send_replace(true);
    }

    /// The place in the stream goes into the journal, after what came before it.
    fn note_place(&mut self, has_news: bool) {
        let (noted, noted_ms) = self.noted;
        let read = self.place.read;
        *self.post.read.lock() = read;
        let now_ms = now().uptime_ms;
        let is_due = has_news || now_ms.saturating_sub(noted_ms) >= NOTE_EVERY_MS;
        if !is_due || read == noted {
            return;
        }
        self.noted = (read, now_ms);
        if let Some(import) = self.post.progress() {
            self.shared.revocations.committer.import(import);
        }
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
        | Frame::Digests { .. }
        | Frame::Differ { .. }
        | Frame::Take { .. }
        | Frame::Reconcile { .. }
        | Frame::Fetch { .. }
        | Frame::Rows { .. } => false,
    }
}

/// How an entry was heard.
struct Heard {
    id: EntryId,
    is_ours: bool,
    is_old: bool,
    now: Now,
}

/// What is heard. Everything returns whether something is to be written to the journal.
impl Ears {
    fn hear_entry(&mut self, entry: &Entry, heard: &Heard) -> bool {
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
            Ok(Some(frame)) => frame,
            Ok(None) => return false, // a later version's
            Err(_) => {
                self.post.skip();
                return false;
            }
        };
        if is_own {
            return self.hear_own(entry, frame, heard);
        }
        match frame {
            Frame::Ping(_) if heard.is_old => false,
            Frame::Ping(ping) => self.hear_ping(entry, ping, heard),
            frame => self.hear_frame(entry, frame, heard),
        }
    }

    /// One hears oneself: that is how one knows that the bus speaks.
    fn hear_own(&mut self, entry: &Entry, frame: Frame, heard: &Heard) -> bool {
        if !self.post.is_own(entry.speaker.voice) {
            if heard.is_old {
                return self.overhear(entry, &frame, heard); // of an earlier process
            }
            self.complain_of_namesake(heard.now);
            return false;
        }
        if let Frame::Ping(ping) = &frame
            && !heard.is_old
        {
            self.hear_own_ping(ping, heard);
        }
        if entry.speaker.origin == self.shared.mesh.history.own().0
            && let Some(last) = last_of(&frame)
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
            bus.hear(now_ms);
            if let Some(asked_ms) = asked_ms {
                bus.read(asked_ms, since_ms, now_ms);
            }
        });
    }

    fn complain_of_namesake(&mut self, now: Now) {
        let since = |then: u64| now.uptime_ms.saturating_sub(then);
        if self
            .complained_ms
            .is_none_or(|then| since(then) >= COMPLAIN_EVERY_MS)
        {
            self.complained_ms = Some(now.uptime_ms);
            let node = &self.shared.mesh.name;
            warn!(node:%; "another node calls itself by this name on the bus: give every node a name of its own");
        }
    }

    /// Somebody is alive; to whom there is no connection, the bus is the way.
    fn hear_ping(&mut self, entry: &Entry, ping: Ping, heard: &Heard) -> bool {
        let now_ms = heard.now.uptime_ms;
        self.shared.mesh.on_bus(|bus, _| bus.hear(now_ms));
        let at = self.when_written(heard);
        if let Some(link) = self.way_to(entry) {
            if heard.is_ours {
                self.shared.mesh.greeted_by_bus(link, heard.now);
            }
            return self.tell(entry, link, Frame::Ping(ping), at);
        }
        if !self.shared.mesh.is_connected_to(&entry.from) {
            return self.open_way(entry, ping, at);
        }
        false
    }

    /// The time at which an entry was written, by our clock: reading may be late, and clocks are compared by pings.
    fn when_written(&self, heard: &Heard) -> Now {
        let written_ms = self
            .ahead_ms
            .map(|ahead| heard.id.time_ms.saturating_add_signed(ahead));
        Now {
            wall_ms: written_ms.unwrap_or(heard.now.wall_ms),
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
        self.shared.add_outbox(link, outbox);
        let to = Addressee {
            node: node.clone(),
            voice,
        };
        let (shared, post) = (Arc::clone(&self.shared), Arc::clone(&self.post));
        tokio::spawn(letters::write(shared, post, link, to, inbox));
        self.carry_out(entry, steps, now)
    }

    /// Something is said to everybody, or to us.
    fn hear_frame(&mut self, entry: &Entry, frame: Frame, heard: &Heard) -> bool {
        if !heard.is_ours && !is_for_all(&frame, entry.speaker) {
            self.post.skip();
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
        match self.shared.mesh.receive(link, frame, now) {
            Ok(steps) => self.carry_out(entry, steps, now),
            Err(_) => {
                self.post.skip();
                false
            }
        }
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
                unheard_until_ms: 0,
            };
            self.others.insert(entry.from.clone(), other);
        }
        let other = self.others.get_mut(&entry.from)?;
        other.speaker = entry.speaker;
        Some(other)
    }
}
