//! The sessions of this node at the bus: one connection after the other, for ever. Nothing else waits for it.
//!
//! Every connection is a new session: the other nodes see its new number, drop what they were exchanging with this node,
//! and compare sets. So whatever the bus lost is found missing at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::{info, warn};
use tokio::sync::mpsc;

use super::client::BusClient;
use super::reader::BusReader;
use super::server::{BusError, BusServer, NewEntry};
use super::settings::{Bus, UnfitBus};
use super::writer::BusWriter;
use crate::cluster::backoff::{pause, warning_limit};
use crate::cluster::protocol::bus::{BusEvent, EntryId, Loss, SessionId};
use crate::cluster::settings::ClusterSettings;
use crate::cluster::shared::{Shared, now};
use crate::revocation::ReplicationLog;

/// How many messages to single nodes may wait.
const MESSAGES_MAX: usize = 64;

/// The shortest pause before the bus is begun anew.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// What this node needs to read and write a bus, once it runs.
///
/// # Errors
///
/// The bus's address or authorities can't be used.
pub(crate) fn open(
    bus: &Bus,
    settings: &ClusterSettings,
    replication_log: &ReplicationLog,
) -> Result<(Arc<BusClient>, BusWriter), UnfitBus> {
    let (messages, inbox) = mpsc::channel(MESSAGES_MAX);
    let client = BusClient::new(bus, settings, messages)?;
    Ok((Arc::new(client), BusWriter::new(inbox, replication_log)))
}

/// Reads and writes the bus for as long as the process runs.
pub(crate) async fn attend(shared: Arc<Shared>, client: Arc<BusClient>, mut writer: BusWriter) {
    let mut reader = BusReader::new(Arc::clone(&shared), Arc::clone(&client));
    let mut warnings = warning_limit();
    loop {
        let attended = session(&shared, &client, &mut reader, &mut writer).await;
        let was_connected = client.is_connected.swap(false, Ordering::Relaxed);
        shared.on_bus_event(BusEvent::SessionEnded);
        let rest = match attended {
            Ok(never) => match never {},
            Err(BusError::Lost(loss)) => {
                note_loss(&shared, &client, &mut writer, loss);
                PAUSE_MIN
            }
            Err(BusError::TooLarge) => PAUSE_MIN,
            Err(BusError::Failed(error)) => {
                let is_due = warnings.is_due((), now().uptime_ms);
                if was_connected || is_due {
                    let bus = &client.bus;
                    warn!(bus:%; "the bus can't be reached: {error}");
                }
                pause()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            never = writer.discard_messages() => match never {},
        }
    }
}

/// One session has two connections: one reads and one writes, so that neither waits for the other.
async fn session(
    shared: &Arc<Shared>,
    client: &Arc<BusClient>,
    reader: &mut BusReader,
    writer: &mut BusWriter,
) -> Result<Infallible, BusError> {
    let opened = async {
        let reading = client.connector.open(&client.node).await?;
        Ok((reading, client.connector.open(&client.node).await?))
    };
    let (mut reading, mut writing) = tokio::select! {
        opened = opened => opened?,
        never = writer.discard_messages() => match never {},
    };
    let mut loss = reader.check_server(&mut reading).await?;
    let session_id = draw_session_id()?;
    shared.on_bus_event(BusEvent::SessionStarted(session_id));
    if leave_mark(shared, client, reader, &mut writing).await? {
        loss = Some(Loss::Shorter);
    }
    if let Some(loss) = loss {
        note_loss(shared, client, writer, loss);
    }
    client.is_connected.store(true, Ordering::Relaxed);
    let bus = &client.bus;
    info!(bus:%; "bus connected");
    tokio::select! {
        ended = reader.read(&mut reading) => ended,
        ended = writer.write(shared, client, &mut writing) => ended,
    }
}

/// The number of a new session, which no other session has.
fn draw_session_id() -> Result<SessionId, BusError> {
    let mut bytes = [0; 8];
    let drawn = aws_lc_rs::rand::fill(&mut bytes);
    drawn.map_err(|_| BusError::Failed("no random numbers can be had".to_owned()))?;
    Ok(SessionId::from_le_bytes(bytes))
}

/// Writes an entry without a message: what comes before it was there before this session. Whether the server gave it a
/// number that this node has read already.
async fn leave_mark(
    shared: &Shared,
    client: &BusClient,
    reader: &mut BusReader,
    server: &mut BusServer,
) -> Result<bool, BusError> {
    let marked_ms = now().uptime_ms;
    let mark = NewEntry {
        mailbox: None,
        entry: client.entry(shared),
    };
    let ids = server.add(&[mark], EntryId::ZERO).await?;
    let mark = ids.first().copied().unwrap_or_default();
    *client.written.lock() = mark;
    shared.on_bus_event(BusEvent::Written {
        asked_ms: marked_ms,
        server_ms: mark.time_ms,
    });
    Ok(reader.begin_at(mark, marked_ms))
}

/// What was written lately is written again, and what else is missing is found by comparing.
fn note_loss(shared: &Shared, client: &BusClient, writer: &mut BusWriter, loss: Loss) {
    client.resets.fetch_add(1, Ordering::Relaxed);
    let bus = &client.bus;
    warn!(bus:%; "the bus may have lost entries, comparing all sets: {loss}");
    let steps = shared.mesh.on_bus_event(BusEvent::EntriesLost, now());
    if let Some(number) = steps.publish_after {
        writer.publish_again_after(number);
    }
}
