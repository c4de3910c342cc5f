//! Listening sockets: bound before anything else is started, so that an address in use ends the start.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{IntoRawFd, OwnedFd};

use async_trait::async_trait;
use futures_util::future::join_all;
use pingora::apps::ServerApp;
use pingora::listeners::tls::TlsSettings;
use pingora::listeners::{L4BufferSettings, ListenerConfig, PreTlsCallback};
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::listening::Service;
use pingora::services::{Service as PingoraService, ServiceReadyNotifier, ServiceWithDependents};
use socket2::SockRef;

use super::inherited::Inherited;

/// An address to listen on.
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
pub(crate) struct BoundListener {
    /// Where: an address with its port. Pingora looks for the socket under this name.
    pub(crate) at: String,
    family: Family,
    socket: OwnedFd,
}

enum Family {
    Tcp,
    Tls,
}

/// How many unsent bytes a customer's socket buffers (`TCP_NOTSENT_LOWAT`, inherited by every connection). The default is
/// megabytes, which would hide whether a customer reads slowly or not at all.
const UNSENT_BYTES_MAX: u32 = 128 << 10;

/// The read buffer of a TLS connection: one record. With Pingora's default of 64 KiB an idle connection costs 90 kB.
const TLS_READ_BYTES: usize = 16 << 10;

/// Plain connections need none: header blocks and bodies have their own buffers.
fn buffers(read_bytes: usize) -> L4BufferSettings {
    L4BufferSettings {
        read: Some(read_bytes),
        write: None,
    }
}

impl BoundListener {
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

    /// As Pingora serves it; `tls` makes the settings, if it has TLS.
    fn endpoint(
        &self,
        tls: impl FnOnce() -> pingora::Result<TlsSettings>,
    ) -> pingora::Result<ListenerConfig> {
        let config = ListenerConfig::tcp(&self.at);
        Ok(match self.family {
            Family::Tcp => config.l4_buffer(buffers(0)),
            Family::Tls => config.tls(tls()?).l4_buffer(buffers(TLS_READ_BYTES)),
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

/// A service whose sockets are bound already. Pingora by itself would retry a bind for half a minute, panic inside the
/// service and run on without it.
pub(crate) struct BoundService<A> {
    name: &'static str,
    threads: Option<usize>,
    /// One for each listener: an application of Pingora's does not learn which listener accepted a connection.
    services: Vec<Service<A>>,
    bound: Vec<BoundListener>,
    stop_accepting: Option<ShutdownWatch>,
}

impl<A> BoundService<A> {
    /// A service without listeners, on this number of threads; `None`: as many as there are processors.
    pub(crate) fn new(name: &'static str, threads: Option<usize>) -> Self {
        Self {
            name,
            threads,
            services: Vec::new(),
            bound: Vec::new(),
            stop_accepting: None,
        }
    }

    /// Serves the connections of a listener by `app`; `tls` makes the settings, if it has TLS.
    pub(crate) fn add(
        &mut self,
        bound: BoundListener,
        app: A,
        before_tls: Option<PreTlsCallback>,
        tls: impl FnOnce() -> pingora::Result<TlsSettings>,
    ) -> pingora::Result<()> {
        let mut service = Service::new(self.name.to_owned(), app);
        service.add_listener(bound.endpoint(tls)?);
        if let Some(before_tls) = before_tls {
            service.endpoints().set_pre_tls_callback(before_tls);
        }
        self.services.push(service);
        self.bound.push(bound);
        Ok(())
    }

    /// Accepts connections until this watch is `true`. Otherwise Pingora's own watch counts, which never is: the
    /// operator's listener serves until the process ends.
    pub(crate) fn until(self, stop_accepting: ShutdownWatch) -> Self {
        Self {
            stop_accepting: Some(stop_accepting),
            ..self
        }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServiceWithDependents for BoundService<A> {
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
        ready.notify_ready();
        let stop_accepting = self.stop_accepting.take().unwrap_or(shutdown);
        let serving = self.services.iter_mut().map(|service| {
            let (fds, stop_accepting) = (Some(fds.clone()), stop_accepting.clone());
            PingoraService::start_service(service, fds, stop_accepting, listeners_per_fd)
        });
        join_all(serving).await;
    }

    fn name(&self) -> &str {
        self.name
    }

    fn threads(&self) -> Option<usize> {
        self.threads
    }
}
