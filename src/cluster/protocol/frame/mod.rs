//! The messages of nodes, and their bytes.

mod decode;
mod encode;
mod kind;
mod message;

pub(crate) use message::{
    CHAINS_MAX, Frame, Goodbye, Heartbeat, Hello, InvalidFrame, Ping, ROWS_MAX, ReconcileStep,
    VERSION,
};
