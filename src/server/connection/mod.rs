//! A customer's connection: how many there may be, how their requests arrive, and when one is ended early.

pub(crate) mod acceptor;
pub(crate) mod app;
mod head;
pub(crate) mod limiter;
pub(crate) mod limits;
mod lingering_close;
pub(crate) mod revocation_watch;
mod send_rate;
pub(crate) mod state;
mod streams;
pub(crate) mod tls;
mod watched;
