//! What the mesh has to say to one node that is heard on the bus.

use std::sync::Arc;

use log::info;

use super::entry::{Letter, Voice};
use super::state::Post;
use crate::cluster::connection::Present;
use crate::cluster::outbox::{Inbox, Order};
use crate::cluster::protocol::frame::Frame;
use crate::cluster::protocol::mesh::LinkId;
use crate::cluster::shared::Shared;
use crate::revocation::{NodeName, Origin};

/// To whom letters go.
pub(super) struct Addressee {
    pub(super) node: NodeName,
    pub(super) voice: Voice,
}

/// Writes letters to a node until an order says to end, or the node is reached otherwise.
pub(super) async fn write(
    shared: Arc<Shared>,
    post: Arc<Post>,
    link: LinkId,
    to: Addressee,
    mut inbox: Inbox,
    overdue: impl Future<Output = String>,
) {
    let present = Present::of(Arc::clone(&shared), link);
    let why = tokio::select! {
        why = carry_out(&shared, &post, &to, &mut inbox) => why,
        why = overdue => why,
    };
    if let Some(node) = present.end() {
        info!(peer:% = node, why; "peer gone");
    }
}

/// Carries out the orders until one says to end. The text says why.
async fn carry_out(shared: &Shared, post: &Post, to: &Addressee, inbox: &mut Inbox) -> String {
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
                Order::Say(Frame::Goodbye(_)) => {}
                Order::Say(frame) => send(post, to, frame).await,
                Order::Push { origin, after } => push(shared, post, to, origin, after).await,
                Order::Leave => return "this node stops".to_owned(),
                Order::Close(why) => return why,
            }
        }
    }
    "nothing is left to say".to_owned()
}

fn is_ack(order: &Order) -> bool {
    matches!(order, Order::Say(Frame::Ack { .. }))
}

async fn send(post: &Post, to: &Addressee, frame: Frame) {
    let letter = Letter {
        to: to.node.clone(),
        voice: to.voice,
        frame,
    };
    post.send(letter).await;
}

/// Sends one's own rows after a number, as far as they go now; those that follow everybody is told.
async fn push(shared: &Shared, post: &Post, to: &Addressee, origin: Origin, mut after: u64) {
    let (own, number) = shared.mesh.history.own();
    while own == origin && after < number {
        let frame = shared.mesh.delta_after(origin, after);
        after = frame.last_number().unwrap_or(number);
        send(post, to, frame).await;
    }
}
