//! The sockets of the process, bound before anything is started.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;

use log::info;

use super::inherited::Inherited;
use super::listen::{BoundListener, Listen};
use crate::server::operator::control_socket;
use crate::server::settings::Settings;

/// The sockets of a process.
pub(crate) struct Sockets {
    pub(crate) public: Vec<BoundListener>,
    pub(crate) operator: Option<BoundListener>,
    pub(crate) control: UnixListener,
}

/// Why an address can't be listened on.
#[derive(Debug)]
pub enum SocketError {
    /// The system refuses it.
    Bind(String, io::Error),
    /// systemd passed a socket that the configuration does not name.
    Unclaimed(SocketAddr),
}

impl std::error::Error for SocketError {}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(address, error) => write!(
                f,
                "{address} can't be listened on: {error}\n  \
                 help: `ss -ltnp` shows which process has it; ports below 1024 need CAP_NET_BIND_SERVICE"
            ),
            Self::Unclaimed(address) => write!(
                f,
                "systemd passes a socket on {address}, which neither `listen` nor `operator_listen` names\n  \
                 help: write exactly this address there, or another ListenStream= in doorward.socket; \
                 0.0.0.0 and [::] are two addresses"
            ),
        }
    }
}

impl Sockets {
    /// Takes the inherited sockets, and binds the others.
    pub(crate) fn bind(settings: &Settings, mut inherited: Inherited) -> Result<Self, SocketError> {
        let sockets = Self {
            public: bind_all("proxy", &settings.listen, &mut inherited)?,
            operator: bind_all("operator", settings.operator.as_slice(), &mut inherited)?.pop(),
            control: control_socket::bind(&settings.control).map_err(|error| {
                SocketError::Bind(settings.control.display().to_string(), error)
            })?,
        };
        match inherited.unclaimed() {
            None => Ok(sockets),
            Some(address) => Err(SocketError::Unclaimed(address)),
        }
    }

    /// The public addresses, for people to read.
    pub(crate) fn addresses(&self) -> String {
        let public = self.public.iter();
        let addresses: Vec<_> = public.map(|bound| bound.at.as_str()).collect();
        addresses.join(", ")
    }
}

fn bind_all(
    service: &'static str,
    addresses: &[Listen],
    inherited: &mut Inherited,
) -> Result<Vec<BoundListener>, SocketError> {
    let bind = |listen: &Listen| {
        let cannot = |error| SocketError::Bind(listen.address.to_string(), error);
        let bound = BoundListener::tcp(*listen, inherited).map_err(cannot)?;
        info!(service, address = bound.at.as_str(); "listening");
        Ok(bound)
    };
    addresses.iter().map(bind).collect()
}
