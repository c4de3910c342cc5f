//! This node at the bus: one connection to it after the other, for ever. Nothing else waits for it.
//!
//! Every connection begins anew: the node draws another voice, and everybody who hears that forgets what they were
//! saying to each other and compares sets. So whatever the bus lost is found missing at once, by whomever.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::{info, warn};
use tokio::sync::mpsc;

use super::position::{EntryId, Loss};
use super::reader::Reader;
use super::server::{Addition, Server, Trouble};
use super::state::Post;
use super::writer::Desk;
use crate::cluster::backoff::{pause, warning_limit};
use crate::cluster::bus_settings::Bus;
use crate::cluster::settings::ClusterSettings;
use crate::cluster::shared::{Shared, now};
use crate::revocation::History;

/// How many letters to single nodes may wait.
const LETTERS_MAX: usize = 64;

/// The shortest pause before the bus is begun anew.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// What this node needs to read and write a bus, once it runs.
///
/// # Errors
///
/// Says what is wrong with the bus's address or authorities, for the operator to read.
pub(crate) fn open(
    bus: &Bus,
    settings: &ClusterSettings,
    history: &History,
) -> Result<(Arc<Post>, Desk), String> {
    let (letters, inbox) = mpsc::channel(LETTERS_MAX);
    let post = Post::new(bus, settings, letters, history.own().1)?;
    Ok((Arc::new(post), Desk::new(inbox, history)))
}

/// Reads and writes the bus for as long as the process runs.
pub(crate) async fn attend(shared: Arc<Shared>, post: Arc<Post>, mut desk: Desk) {
    let mut reader = Reader::new(Arc::clone(&shared), Arc::clone(&post));
    let mut warnings = warning_limit();
    loop {
        let attended = session(&shared, &post, &mut reader, &mut desk).await;
        let was_connected = post.is_connected.swap(false, Ordering::Relaxed);
        shared.mesh.on_bus(|bus, _| bus.break_off());
        let rest = match attended {
            Ok(never) => match never {},
            Err(Trouble::Lost(loss)) => {
                note_loss(&shared, &post, &mut desk, loss);
                PAUSE_MIN
            }
            Err(Trouble::TooLarge) => PAUSE_MIN,
            Err(Trouble::Failed(error)) => {
                let is_due = warnings.is_due((), now().uptime_ms);
                if was_connected || is_due {
                    let bus = &post.bus;
                    warn!(bus:%; "the bus can't be reached: {error}");
                }
                pause()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            never = desk.throw_letters_away() => match never {},
        }
    }
}

/// One connection, or rather two: one that asks and one that tells, so that neither waits for the other.
async fn session(
    shared: &Arc<Shared>,
    post: &Arc<Post>,
    reader: &mut Reader,
    desk: &mut Desk,
) -> Result<Infallible, Trouble> {
    let opened = async {
        let asked = post.door.open(&post.node).await?;
        Ok((asked, post.door.open(&post.node).await?))
    };
    let (mut asked, mut told) = tokio::select! {
        opened = opened => opened?,
        never = desk.throw_letters_away() => match never {},
    };
    let mut loss = reader.look(&mut asked).await?;
    post.draw_voice()?;
    if leave_mark(shared, post, reader, &mut told).await? {
        loss = Some(Loss::Shorter);
    }
    if let Some(loss) = loss {
        note_loss(shared, post, desk, loss);
    }
    post.is_connected.store(true, Ordering::Relaxed);
    let bus = &post.bus;
    info!(bus:%; "bus connected");
    tokio::select! {
        ended = reader.read(&mut asked) => ended,
        ended = desk.write(shared, post, &mut told) => ended,
    }
}

/// Writes an entry that says nothing: whatever is before it was there before. Whether the server gave it a number that
/// this node has read already.
async fn leave_mark(
    shared: &Shared,
    post: &Post,
    reader: &mut Reader,
    server: &mut Server,
) -> Result<bool, Trouble> {
    let marked_ms = now().uptime_ms;
    let mark = Addition {
        mailbox: None,
        entry: post.entry(shared),
    };
    let ids = server.add(&[mark], EntryId::ZERO).await?;
    let mark = ids.first().copied().unwrap_or_default();
    *post.written.lock() = mark;
    post.note_added(mark, marked_ms, now().uptime_ms);
    Ok(reader.begin_at(mark, marked_ms))
}

/// What was written lately is written again, and what else is missing is found by comparing.
fn note_loss(shared: &Shared, post: &Post, desk: &mut Desk, loss: Loss) {
    post.resets.fetch_add(1, Ordering::Relaxed);
    let bus = &post.bus;
    warn!(bus:%; "the bus may have lost something, everything is compared: {loss}");
    shared.mesh.on_bus(|bus, _| bus.lack_some());
    desk.publish_again_after(post.echoed.load(Ordering::Relaxed));
}
