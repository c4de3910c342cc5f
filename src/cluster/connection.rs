//! A connection with a peer, from its first frame to its last.
//!
//! This node's own revocations are sent straight from the replication log: it is the queue of what is pushed, and a peer is a
//! position in it, so that a slow one costs nothing and delays no other. One that falls behind what the replication log keeps is
//! told to compare sets.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use log::{debug, info, warn};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::backoff::warning_limit;
use super::outbox::{Inbox, LinkCommand, Outbox};
use super::protocol::frame::{Frame, Goodbye, ROWS_MAX};
use super::protocol::mesh::LinkId;
use super::shared::{Shared, now};
use super::transport::{IncomingLink, Link, Sender};
use crate::revocation::{NodeName, Origin};

/// Takes every connection that comes.
pub(super) async fn receive_all(shared: Arc<Shared>, mut inbox: mpsc::Receiver<IncomingLink>) {
    let mut warnings = warning_limit();
    while let Some(arrival) = inbox.recv().await {
        match arrival.link {
            Ok(link) => {
                tokio::spawn(run_session(Arc::clone(&shared), link, None));
            }
            Err(error) => {
                let remote = arrival.remote.ip();
                if warnings.is_due(remote, now().uptime_ms) {
                    warn!(remote:%; "rejected cluster connection: not an authorised peer: {error}");
                }
            }
        }
    }
}

/// A connection from its first frame to its last.
pub(super) async fn run_session(shared: Arc<Shared>, link: Link, target: Option<SocketAddr>) {
    let id = shared.next_link();
    let Link {
        names,
        remote,
        is_dialed,
        sender,
        mut receiver,
    } = link;
    let hello = shared.mesh.connect(id, is_dialed, target, names, now());
    let (outbox, inbox) = Outbox::new();
    outbox.order(LinkCommand::Send(hello));
    let overdue = outbox.overdue();
    shared.add_outbox(id, outbox);
    let present = LinkGuard::new(Arc::clone(&shared), id);
    let writing = write(Arc::clone(&shared), inbox, sender);
    let reading = async {
        loop {
            let bytes = receiver.next().await?;
            let Some(bytes) = bytes else {
                return Ok::<_, io::Error>("it hung up".to_owned());
            };
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            let Some(frame) = Frame::decode(&bytes).map_err(invalid)? else {
                continue; // a later version's
            };
            let steps = shared.mesh.on_message(id, frame, now()).map_err(invalid)?;
            let pause = Duration::from_millis(steps.pause_ms);
            shared.carry_out(steps);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    };
    let why = tokio::select! {
        why = reading => why,
        why = writing => why,
        why = overdue => Ok(why),
    };
    let is_invalid = why
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::InvalidData);
    let why = why.unwrap_or_else(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            "the connection broke off".to_owned() // rustls would quote its manual
        } else {
            error.to_string()
        }
    });
    match present.end() {
        Some(node) => info!(peer:% = node, why; "peer gone"),
        None if is_invalid && shared.invalid_links.lock().is_due((), now().uptime_ms) => {
            warn!(remote:%, why; "closed a cluster connection: invalid frame before its hello");
        }
        None => debug!(remote:%, why; "closed before its hello"),
    }
}

/// A connection that is there until this is dropped, however its task ends.
pub(super) struct LinkGuard {
    shared: Arc<Shared>,
    id: LinkId,
}

impl LinkGuard {
    pub(super) fn new(shared: Arc<Shared>, id: LinkId) -> Self {
        Self { shared, id }
    }

    /// It is over now; the node that it led to.
    pub(super) fn end(self) -> Option<NodeName> {
        self.take_out()
    }

    fn take_out(&self) -> Option<NodeName> {
        self.shared.remove_outbox(self.id);
        let node = self.shared.mesh.disconnect(self.id)?;
        if !self.shared.mesh.is_linked_to(&node) {
            self.shared.revocations.acks().forget(&node);
        }
        Some(node)
    }
}

impl Drop for LinkGuard {
    fn drop(&mut self) {
        self.take_out();
    }
}

/// This node's own rows that a peer has not been sent.
struct Pushing {
    origin: Origin,
    after: u64,
}

/// Carries out the orders until one says to hang up. The text says why.
async fn write(shared: Arc<Shared>, mut inbox: Inbox, mut sender: Sender) -> io::Result<String> {
    let mut own_number = shared.mesh.replication_log.follow();
    let mut unnumbered = shared.mesh.replication_log.listen();
    let mut pushing = None;
    loop {
        tokio::select! {
            order = inbox.next() => match order {
                Some(LinkCommand::Send(frame)) => sender.send(frame.encode()).await?,
                Some(LinkCommand::Push { origin, after }) => pushing = Some(Pushing { origin, after }),
                Some(LinkCommand::Leave) => {
                    push(&shared, &mut pushing, &mut sender, usize::MAX).await?;
                    // A goodbye says that everything was sent. Before the peer's first message that is unknown.
                    if pushing.is_some() {
                        sender.send(Frame::Goodbye(Goodbye::Leaving).encode()).await?;
                    }
                    sender.finish();
                    // It has arrived when the peer hangs up as well. Until then the process had better not end.
                    return pending().await;
                }
                Some(LinkCommand::Close(why)) => {
                    sender.finish();
                    return Ok(why);
                }
                None => return Ok("nothing is left to send".to_owned()),
            },
            changed = own_number.changed(), if pushing.is_some() => {
                changed.map_err(io::Error::other)?;
            }
            rows = unnumbered.recv(), if pushing.is_some() => {
                let frame = match rows {
                    Ok(rows) => Frame::Unnumbered(rows),
                    Err(RecvError::Lagged(_)) => Frame::CompareSets,
                    Err(error @ RecvError::Closed) => return Err(io::Error::other(error)),
                };
                sender.send(frame.encode()).await?;
            }
        }
        push(&shared, &mut pushing, &mut sender, 1).await?;
    }
}

/// Sends rows that were not sent yet, in so many frames at the most.
async fn push(
    shared: &Shared,
    pushing: &mut Option<Pushing>,
    sender: &mut Sender,
    frames: usize,
) -> io::Result<()> {
    let Some(pushing) = pushing else {
        return Ok(());
    };
    let mut sent = 0;
    loop {
        let (origin, number) = shared.mesh.replication_log.own();
        if origin != pushing.origin {
            *pushing = Pushing { origin, after: 0 };
        }
        // Answers wait their turn only while the peer keeps up.
        if number <= pushing.after || (sent >= frames && number - pushing.after < ROWS_MAX as u64) {
            return Ok(());
        }
        let frame = shared.mesh.delta_after(origin, pushing.after);
        pushing.after = if let Frame::Delta { rows, .. } = &frame {
            pushing.after + rows.len() as u64
        } else {
            number // the peer is told to compare sets
        };
        sender.send(frame.encode()).await?;
        sent += 1;
    }
}
