//! A customer's connection: how many there may be, how their requests arrive, and when one is ended early.

pub(crate) mod acceptor;
pub(crate) mod app;
pub(crate) mod certificate;
pub(crate) mod client_certificate;
pub(crate) mod limiter;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod proxy_header;
pub(crate) mod revocation_watch;
pub(crate) mod state;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod unread;

pub use proxy_header::read_proxy_header;
