//! Listening sockets: bound before anything else is started, so that an address in use ends the start.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{IntoRawFd, OwnedFd};

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::listeners::tls::TlsSettings;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::listening::Service;
use pingora::services::{ServiceReadyNotifier, ServiceWithDependents};
use socket2::SockRef;

use super::inherited::Inherited;

/// An address that customers come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address and port.
    pub address: SocketAddr,
    /// Whether TLS is spoken there.
    pub tls: bool,
}

impl Listen {
    /// `address:port`, with `https://` before it for TLS.
    ///
    /// # Errors
    ///
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (tls, address) = match text.split_once("://") {
            None => (false, Some(text)),
            Some(("http", rest)) => (false, Some(rest)),
            Some(("https", rest)) => (true, Some(rest)),
            Some(_) => (false, None),
        };
        let address = address.and_then(|text| text.parse().ok());
        let address = address.ok_or(
            "an address with a port, such as 127.0.0.1:8080, [::]:8080 or https://0.0.0.0:443",
        )?;
        Ok(Self { address, tls })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https://" } else { "" };
        write!(f, "{scheme}{}", self.address)
    }
}

/// A socket that listens.
pub(crate) struct Bound {
    /// Where: an address with its port. Pingora looks for the socket under this name.
    pub(crate) at: String,
    family: Family,
    socket: OwnedFd,
}

enum Family {
    Tcp,
    Tls,
}

/// How much a customer's socket takes beyond what is on its way (inherited by every connection). Left alone it would
/// take megabytes, and nobody could tell a customer who reads slowly from one who does not read.
const UNSENT_BYTES_MAX: u32 = 128 << 10;

/// How much is read ahead of TLS: a whole record, as far as it fits. Left alone, Pingora keeps 64 KiB for every connection,
/// and an idle one costs 90 kB.
const TLS_READ_BYTES: usize = 16 << 10;

/// Without TLS nothing is gained by one: header blocks and bodies have buffers of their own.
fn buffers(read_bytes: usize) -> L4BufferSettings {
    L4BufferSettings {
        read: Some(read_bytes),
        write: None,
    }
}

impl Bound {
    /// Listens on an address, by the socket that systemd holds there if there is one; port 0 chooses one.
    pub(crate) fn tcp(listen: Listen, inherited: &mut Inherited) -> io::Result<Self> {
        let listener = match inherited.remove(listen.address) {
            Some(listener) => listener,
            None => TcpListener::bind(listen.address)?,
        };
        listener.set_nonblocking(true)?;
        SockRef::from(&listener).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
        Ok(Self {
            at: listener.local_addr()?.to_string(),
            family: if listen.tls { Family::Tls } else { Family::Tcp },
            socket: listener.into(),
        })
    }

    /// The address that it has, with the port that the system chose.
    pub(crate) fn listen(&self) -> Option<Listen> {
        let tls = match self.family {
            Family::Tcp => false,
            Family::Tls => true,
        };
        let address = self.at.parse().ok()?;
        Some(Listen { address, tls })
    }
}

/// A service whose sockets are bound already. Pingora, left alone, would retry a bind for half a minute,
/// panic inside the service and live on without it.
pub(crate) struct Listening<A> {
    service: Service<A>,
    bound: Vec<Bound>,
    doors: Option<ShutdownWatch>,
}

impl<A> Listening<A> {
    /// A service on these sockets; `tls` makes the settings for those with TLS.
    pub(crate) fn new(
        mut service: Service<A>,
        bound: Vec<Bound>,
        tls: impl Fn() -> pingora::Result<TlsSettings>,
    ) -> pingora::Result<Self> {
        for one in &bound {
            match one.family {
                Family::Tcp => {
                    let config = ListenerConfig::tcp(&one.at);
                    service.add_listener(config.l4_buffer(buffers(0)));
                }
                Family::Tls => {
                    let config = ListenerConfig::tcp(&one.at).tls(tls()?);
                    service.add_listener(config.l4_buffer(buffers(TLS_READ_BYTES)));
                }
            }
        }
        Ok(Self {
            service,
            bound,
            doors: None,
        })
    }

    /// The same, letting connections in until this watch says `true`. Otherwise Pingora's own watch counts,
    /// which never says it: what is listened on aside serves until the process ends.
    pub(crate) fn until(self, doors: ShutdownWatch) -> Self {
        Self {
            doors: Some(doors),
            ..self
        }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServiceWithDependents for Listening<A> {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        let fds = fds.unwrap_or_else(|| ListenFds::new(Fds::new().into()));
        for bound in self.bound.drain(..) {
            fds.lock().add(bound.at, bound.socket.into_raw_fd());
        }
        let doors = self.doors.take().unwrap_or(shutdown);
        self.service
            .start_service(Some(fds), doors, listeners_per_fd, ready)
            .await;
    }

    fn name(&self) -> &str {
        ServiceWithDependents::name(&self.service)
    }

    fn threads(&self) -> Option<usize> {
        ServiceWithDependents::threads(&self.service)
    }
}
