//! Reading the bus, entry by entry, from where this node had stopped.

use std::convert::Infallible;
use std::sync::Arc;

use super::client::BusClient;
use super::entry::FoundEntry;
use super::receiver::BusReceiver;
use super::server::{BusError, BusServer, KEPT_MS, ReadRequest};
use crate::cluster::protocol::bus::{BusEvent, EntryId, Loss, StreamPosition};
use crate::cluster::shared::{Shared, now};

/// How many entries are asked for at once.
const COUNT: usize = 128;

/// How often it is asked what the stream is.
const LOOK_EVERY_MS: u64 = 1_000;

/// How often the place in the stream is noted where nothing else is.
const NOTE_EVERY_MS: u64 = 10_000;

/// Where this node is in the stream, and in its mailbox.
pub(super) struct BusReader {
    shared: Arc<Shared>,
    client: Arc<BusClient>,
    receiver: BusReceiver,
    place: StreamPosition,
    in_mailbox: EntryId,
    /// What comes before this entry was on the bus before this connection was made.
    mark: EntryId,
    marked_ms: u64,
    is_caught_up: bool,
    /// Something is too large: entries are read one by one until this node has passed it.
    is_careful: bool,
    is_mailbox_unfit: bool,
    /// When it is asked again what the stream is.
    look_ms: u64,
    noted: EntryId,
    noted_ms: u64,
}

impl BusReader {
    pub(super) fn new(shared: Arc<Shared>, client: Arc<BusClient>) -> Self {
        let place = StreamPosition::after(shared.revocations.notes_at_start().stream);
        Self {
            receiver: BusReceiver::new(Arc::clone(&shared), Arc::clone(&client)),
            shared,
            client,
            noted: place.read,
            place,
            in_mailbox: EntryId::ZERO,
            mark: EntryId::ZERO,
            marked_ms: 0,
            is_caught_up: false,
            is_careful: false,
            is_mailbox_unfit: false,
            look_ms: 0,
            noted_ms: now().uptime_ms,
        }
    }

    /// Whether the bus is still what this node has read.
    pub(super) async fn check_server(
        &mut self,
        server: &mut BusServer,
    ) -> Result<Option<Loss>, BusError> {
        let run_id = server.run_id().await?;
        let other_server = self.place.check_run_id(&run_id);
        if self.is_mailbox_unfit {
            server.empty_mailbox().await?;
            self.is_mailbox_unfit = false;
        }
        let loss = self.check_stream(server).await?;
        Ok(loss.or(other_server))
    }

    async fn check_stream(&mut self, server: &mut BusServer) -> Result<Option<Loss>, BusError> {
        let now_ms = now().uptime_ms;
        if now_ms < self.look_ms {
            return Ok(None);
        }
        self.look_ms = now_ms + LOOK_EVERY_MS;
        let stretch = match server.stream().await {
            // The answer has the first and the last entry in it.
            Err(BusError::TooLarge) => {
                self.look_ms = now_ms + KEPT_MS;
                return Err(BusError::TooLarge);
            }
            stretch => stretch?,
        };
        Ok(self.place.check_stream(stretch))
    }

    /// This node begins anew, with an entry that says nothing: what comes before it was on the bus before. Whether this
    /// node has read beyond it: then it is another stream, which is read from its beginning.
    pub(super) fn begin_at(&mut self, mark: EntryId, marked_ms: u64) -> bool {
        self.mark = mark;
        self.marked_ms = marked_ms;
        self.is_caught_up = false;
        self.client.caught_up.send_replace(false);
        self.in_mailbox = EntryId::ZERO;
        let is_beyond = mark <= self.place.read;
        if is_beyond {
            self.place.read = EntryId::ZERO;
        }
        is_beyond
    }

    /// Reads for as long as the connection lasts.
    pub(super) async fn read(&mut self, server: &mut BusServer) -> Result<Infallible, BusError> {
        loop {
            if let Some(loss) = self.check_stream(server).await? {
                return Err(BusError::Lost(loss));
            }
            let question = ReadRequest {
                after: self.place.read,
                after_in_mailbox: self.in_mailbox,
                count: if self.is_careful { 1 } else { COUNT },
            };
            let found = match server.read(question).await {
                Err(BusError::TooLarge) => return Err(self.pass_over()),
                found => found?,
            };
            let mut has_news = false;
            for one in found {
                has_news |= self.on_entry(one);
            }
            self.note_place(has_news);
        }
    }

    /// Something can't be read. If it still can't be when it is asked for alone, all is passed over up to the mark.
    fn pass_over(&mut self) -> BusError {
        if !self.is_careful {
            self.is_careful = true;
            return BusError::TooLarge;
        }
        self.client.skip();
        self.place.read = self.place.read.max(self.mark);
        self.is_mailbox_unfit = true;
        self.look_ms = now().uptime_ms + KEPT_MS;
        BusError::Lost(Loss::TooLarge)
    }

    /// Handles an entry. Whether something is to be written to the journal.
    fn on_entry(&mut self, found: FoundEntry) -> bool {
        let (id, is_ours) = (found.id, found.is_ours);
        let is_old = !is_ours && id < self.mark;
        let age_ms = is_old.then(|| self.age_ms(id, now().uptime_ms));
        let has_news = self.receiver.on_entry(found, age_ms);
        if is_ours {
            self.in_mailbox = id;
        } else {
            self.place.go_on_to(id);
            self.catch_up();
        }
        has_news
    }

    /// How long ago an entry was written. The mark tells what time the server had when it was written.
    fn age_ms(&self, id: EntryId, now_ms: u64) -> u64 {
        let before_mark_ms = self.mark.time_ms.saturating_sub(id.time_ms);
        before_mark_ms + now_ms.saturating_sub(self.marked_ms)
    }

    /// Once the mark is read, everything is that was there when this node came.
    fn catch_up(&mut self) {
        if self.is_caught_up || self.place.read < self.mark {
            return;
        }
        self.is_caught_up = true;
        self.is_careful = false;
        let marked_ms = self.marked_ms;
        self.shared.on_bus_event(BusEvent::CaughtUp { marked_ms });
        self.client.caught_up.send_replace(true);
    }

    /// The place in the stream goes into the journal, after what came before it.
    fn note_place(&mut self, has_news: bool) {
        let read = self.place.read;
        *self.client.read.lock() = read;
        let now_ms = now().uptime_ms;
        let is_due = has_news || now_ms.saturating_sub(self.noted_ms) >= NOTE_EVERY_MS;
        if !is_due || read == self.noted {
            return;
        }
        self.noted = read;
        self.noted_ms = now_ms;
        if let Some(import) = self.client.progress() {
            self.shared.revocations.import(import);
        }
    }
}
