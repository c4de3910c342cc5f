//! The process: its services and sockets, its reports to systemd, and its end.
//!
//! More than a dozen files: sockets of three kinds, bound or passed by systemd, are half of them.

pub(crate) mod background;
pub(crate) mod descriptors;
pub(crate) mod drain;
pub(crate) mod inherited;
pub(crate) mod listen;
pub(crate) mod notify;
pub(crate) mod self_probe;
pub(crate) mod services;
pub(crate) mod shutdown;
pub(crate) mod sockets;
pub(crate) mod traffic;
mod unix_listener;
pub(crate) mod unix_socket;
pub(crate) mod watchdog;
