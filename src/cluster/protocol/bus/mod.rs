//! The bus as the protocol sees it: which nodes are on it, what it brings of them, and whether it delivers.

mod health;
mod message;
mod position;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use health::{BUS_SILENCE_MAX_MS, BusView};
pub(crate) use message::{
    BusAddress, BusEnvelope, BusEvent, BusLink, BusMessage, BusSender, SessionId,
};
pub(crate) use position::{EntryId, Loss, StreamExtent, StreamPosition};
pub(crate) use state::{BusState, is_for_all};
