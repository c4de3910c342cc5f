//! The receiver of the bus: entries become messages of the mesh, and what the mesh decides is carried out.

use std::sync::Arc;

use super::client::BusClient;
use super::direct;
use super::entry::{BusEntry, FoundEntry};
use crate::cluster::outbox::{LinkCommand, Outbox};
use crate::cluster::protocol::bus::{BusEnvelope, BusLink, BusMessage};
use crate::cluster::protocol::frame::Frame;
use crate::cluster::protocol::mesh::{LinkId, Steps};
use crate::cluster::shared::{Shared, now};

/// Takes the entries that were read.
pub(super) struct BusReceiver {
    shared: Arc<Shared>,
    client: Arc<BusClient>,
}

impl BusReceiver {
    pub(super) fn new(shared: Arc<Shared>, client: Arc<BusClient>) -> Self {
        Self { shared, client }
    }

    /// Handles an entry, which was written `age_ms` ago if that was before this node's session began. Whether something is
    /// to be written to the journal.
    pub(super) fn on_entry(&self, found: FoundEntry, age_ms: Option<u64>) -> bool {
        let FoundEntry {
            id,
            is_ours,
            fields,
        } = found;
        let Some(entry) = BusEntry::parse(fields) else {
            return self.skip();
        };
        let BusEntry {
            from,
            sender,
            to,
            frame: Some(bytes),
        } = entry
        else {
            return false;
        };
        let is_own = from == self.client.node;
        if is_ours && to.is_none() || !is_own && !self.client.allows(&from) {
            return false;
        }
        let frame = match Frame::decode(&bytes) {
            Ok(Some(frame)) => frame,
            Ok(None) => return false, // a later version's
            Err(_) => return self.skip(),
        };
        let envelope = BusEnvelope {
            from,
            sender,
            to: to.filter(|_| is_ours),
            age_ms,
            server_ms: id.time_ms,
        };
        let message = BusMessage { envelope, frame };
        match self.shared.mesh.on_bus_message(message, now()) {
            Ok(steps) => self.carry_out(steps),
            Err(_) => self.skip(),
        }
    }

    /// An entry made no sense.
    fn skip(&self) -> bool {
        self.client.skip();
        false
    }

    fn carry_out(&self, mut steps: Steps) -> bool {
        if let Some((link, opening)) = steps.opens.take() {
            self.open_link(link, opening);
        }
        let has_news = !steps.imports.is_empty();
        self.shared.carry_out(steps);
        has_news
    }

    fn open_link(&self, link: LinkId, opening: BusLink) {
        let (outbox, inbox) = Outbox::new();
        outbox.order(LinkCommand::Send(opening.greeting));
        let overdue = outbox.overdue();
        self.shared.add_outbox(link, outbox);
        let (shared, client) = (Arc::clone(&self.shared), Arc::clone(&self.client));
        tokio::spawn(direct::write(
            shared, client, link, opening.to, inbox, overdue,
        ));
    }
}
