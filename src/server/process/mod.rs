//! The process: its services and sockets, its reports to systemd, and its end.

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
pub(crate) mod watchdog;
