//! Messages of the mesh to one node on the bus.

use std::sync::Arc;

use log::info;

use super::client::BusClient;
use super::entry::DirectMessage;
use crate::cluster::connection::LinkGuard;
use crate::cluster::outbox::{Inbox, LinkCommand};
use crate::cluster::protocol::bus::BusAddress;
use crate::cluster::protocol::frame::Frame;
use crate::cluster::protocol::mesh::LinkId;
use crate::cluster::shared::Shared;
use crate::revocation::Origin;

/// Sends direct messages to a node until a command ends it, or the node is reached otherwise.
pub(super) async fn write(
    shared: Arc<Shared>,
    client: Arc<BusClient>,
    link: LinkId,
    to: BusAddress,
    mut inbox: Inbox,
    overdue: impl Future<Output = String>,
) {
    let present = LinkGuard::new(Arc::clone(&shared), link);
    let why = tokio::select! {
        why = carry_out(&shared, &client, &to, &mut inbox) => why,
        why = overdue => why,
    };
    if let Some(node) = present.end() {
        info!(peer:% = node, why; "peer gone");
    }
}

/// Carries out the orders until one says to end. The text says why.
async fn carry_out(
    shared: &Shared,
    client: &BusClient,
    to: &BusAddress,
    inbox: &mut Inbox,
) -> String {
    while let Some(first) = inbox.next().await {
        let mut orders = vec![first];
        orders.extend(std::iter::from_fn(|| inbox.next_at_hand()));
        let last_ack = orders.iter().rposition(is_ack);
        for (place, order) in orders.into_iter().enumerate() {
            if is_ack(&order) && Some(place) != last_ack {
                continue; // a later one says it, too
            }
            match order {
                // The bus itself says goodbye, to all at once.
                LinkCommand::Send(Frame::Goodbye(_)) => {}
                LinkCommand::Send(frame) => send(client, to, frame).await,
                LinkCommand::Push { origin, after } => {
                    push(shared, client, to, origin, after).await;
                }
                LinkCommand::Leave => return "this node stops".to_owned(),
                LinkCommand::Close(why) => return why,
            }
        }
    }
    "nothing is left to send".to_owned()
}

fn is_ack(order: &LinkCommand) -> bool {
    matches!(order, LinkCommand::Send(Frame::Ack { .. }))
}

async fn send(client: &BusClient, to: &BusAddress, frame: Frame) {
    let message = DirectMessage {
        to: to.clone(),
        frame,
    };
    client.send(message).await;
}

/// Sends this node's own rows after a number, up to the current one; later rows are broadcast.
async fn push(
    shared: &Shared,
    client: &BusClient,
    to: &BusAddress,
    origin: Origin,
    mut after: u64,
) {
    let (own, number) = shared.mesh.replication_log.own();
    while own == origin && after < number {
        let frame = shared.mesh.delta_after(origin, after);
        after = frame.last_number().unwrap_or(number);
        send(client, to, frame).await;
    }
}
