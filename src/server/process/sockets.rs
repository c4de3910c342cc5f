//! The sockets of the process, bound before anything is started.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;

use log::info;

use super::inherited::Inherited;
use super::listen::{BoundListener, BoundTcp, Listen};
use crate::server::operator::control_socket;
use crate::server::settings::Settings;

/// The sockets of a process.
pub(crate) struct Sockets {
    pub(crate) public: Vec<BoundListener>,
    pub(crate) operator: Option<BoundTcp>,
    pub(crate) health: Option<BoundTcp>,
    pub(crate) control: UnixListener,
}

/// Why an address can't be listened on.
#[derive(Debug)]
pub enum SocketError {
    /// The system refuses it.
    Bind(String, io::Error),
    /// systemd passed a socket that the configuration does not name.
    Unclaimed(String),
}

impl std::error::Error for SocketError {}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(address, error) => write!(
                f,
                "{address} can't be listened on: {error}\n  \
                 help: `ss -lntxp` shows which process has it; ports below 1024 need CAP_NET_BIND_SERVICE"
            ),
            Self::Unclaimed(address) => write!(
                f,
                "systemd passes a socket on {address}, which none of `listen`, `operator_listen` and `health` names\n  \
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
            public: bind_all(&settings.listen, &mut inherited)?,
            operator: bind_one("operator", settings.operator, &mut inherited)?,
            health: bind_one("health", settings.health, &mut inherited)?,
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
        let addresses: Vec<_> = public
            .map(|bound| bound.listen().address.to_string())
            .collect();
        addresses.join(", ")
    }
}

fn bind_all(
    listen: &[Listen],
    inherited: &mut Inherited,
) -> Result<Vec<BoundListener>, SocketError> {
    let bind = |listen: &Listen| {
        let cannot = |error| SocketError::Bind(listen.address.to_string(), error);
        let bound = BoundListener::bind(listen, inherited).map_err(cannot)?;
        note_listening("proxy", &bound.listen().address);
        Ok(bound)
    };
    listen.iter().map(bind).collect()
}

fn bind_one(
    service: &'static str,
    address: Option<SocketAddr>,
    inherited: &mut Inherited,
) -> Result<Option<BoundTcp>, SocketError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let cannot = |error| SocketError::Bind(address.to_string(), error);
    let bound = BoundTcp::bind(address, false, inherited).map_err(cannot)?;
    note_listening(service, &bound.address());
    Ok(Some(bound))
}

fn note_listening(service: &'static str, address: &dyn fmt::Display) {
    let address = address.to_string();
    let address = address.as_str();
    info!(service, address; "listening");
}
