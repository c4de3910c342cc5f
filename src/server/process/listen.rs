//! Listening sockets: bound before anything else is started, so that an address in use ends the start.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::{join, join_all};
use pingora::apps::ServerApp;
use pingora::listeners::tls::TlsSettings;
use pingora::listeners::{L4BufferSettings, ListenerConfig, PreTlsCallback};
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::listening::Service;
use pingora::services::{Service as PingoraService, ServiceReadyNotifier, ServiceWithDependents};
use socket2::SockRef;

use super::inherited::Inherited;
use super::unix_listener::UnixService;
use super::unix_socket::{self, SocketFile};
use crate::server::connection::acceptor::ConnectionAcceptor;

/// The longest path that a socket can be bound to; the kernel has 108 bytes for it, one of them is zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub address: ListenAddress,
    /// Whether TLS is spoken there.
    pub tls: bool,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address and port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Who may connect, as the bits of a file's mode.
        mode: u32,
    },
}

impl ListenAddress {
    /// The address and port, if it has them.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix { .. } => None,
        }
    }

    /// Whether both can't be listened on at once.
    pub fn is_taken_by(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => one.port() != 0 && one == other,
            (Self::Unix { path: one, .. }, Self::Unix { path: other, .. }) => one == other,
            (Self::Tcp(_), Self::Unix { .. }) | (Self::Unix { .. }, Self::Tcp(_)) => false,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listen {
    /// The mode of a unix socket, unless the operator says otherwise: its owner and its group may connect.
    pub const USUAL_MODE: u32 = 0o660;

    /// `address:port`, with `https://` before it for TLS, or `unix:` and a path.
    ///
    /// # Errors
    ///
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::parse_unix(path);
        }
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
        Ok(Self {
            address: ListenAddress::Tcp(address),
            tls,
        })
    }

    fn parse_unix(path: &str) -> Result<Self, &'static str> {
        let is_fit = path.len() <= SOCKET_PATH_BYTES_MAX && !path.contains('\0');
        if !is_fit || !Path::new(path).is_absolute() || path.ends_with('/') {
            return Err(
                "an absolute path of at most 107 bytes, such as unix:/run/doorward/http.sock",
            );
        }
        Ok(Self {
            address: ListenAddress::Unix {
                path: path.into(),
                mode: Self::USUAL_MODE,
            },
            tls: false,
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https://" } else { "" };
        write!(f, "{scheme}{}", self.address)
    }
}

/// A public listener whose socket is bound.
pub(crate) enum BoundListener {
    Tcp(BoundTcp),
    Unix(BoundUnix),
}

/// An address and port that is bound.
pub(crate) struct BoundTcp {
    /// With the port that the system chose.
    address: SocketAddr,
    tls: bool,
    socket: TcpListener,
}

/// A unix socket that is bound.
pub(crate) struct BoundUnix {
    path: PathBuf,
    mode: u32,
    socket: UnixListener,
    /// `None`: it is systemd's.
    file: Option<SocketFile>,
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
    pub(crate) fn bind(listen: &Listen, inherited: &mut Inherited) -> io::Result<Self> {
        match &listen.address {
            ListenAddress::Tcp(address) => {
                BoundTcp::bind(*address, listen.tls, inherited).map(Self::Tcp)
            }
            ListenAddress::Unix { path, mode } => {
                BoundUnix::bind(path, *mode, inherited).map(Self::Unix)
            }
        }
    }

    /// Where it listens.
    pub(crate) fn listen(&self) -> Listen {
        match self {
            Self::Tcp(bound) => Listen {
                address: ListenAddress::Tcp(bound.address),
                tls: bound.tls,
            },
            Self::Unix(bound) => Listen {
                address: ListenAddress::Unix {
                    path: bound.path.clone(),
                    mode: bound.mode,
                },
                tls: false,
            },
        }
    }
}

impl BoundTcp {
    /// As [`BoundListener::bind`].
    pub(crate) fn bind(
        address: SocketAddr,
        tls: bool,
        inherited: &mut Inherited,
    ) -> io::Result<Self> {
        let socket = match inherited.remove(address) {
            Some(socket) => socket,
            None => TcpListener::bind(address)?,
        };
        socket.set_nonblocking(true)?;
        SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
        Ok(Self {
            address: socket.local_addr()?,
            tls,
            socket,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// As Pingora serves it; `tls` makes the settings, if it has TLS.
    fn endpoint(
        &self,
        tls: impl FnOnce() -> pingora::Result<TlsSettings>,
    ) -> pingora::Result<ListenerConfig> {
        let config = ListenerConfig::tcp(self.address.to_string());
        Ok(if self.tls {
            config.tls(tls()?).l4_buffer(buffers(TLS_READ_BYTES))
        } else {
            config.l4_buffer(buffers(0))
        })
    }
}

impl BoundUnix {
    fn bind(path: &Path, mode: u32, inherited: &mut Inherited) -> io::Result<Self> {
        let (socket, file) = if let Some(socket) = inherited.remove_unix(path) {
            (socket, None)
        } else {
            let (socket, file) = unix_socket::bind(path, mode)?;
            (socket, Some(file))
        };
        Ok(Self {
            path: path.to_owned(),
            mode,
            socket,
            file,
        })
    }
}

/// A service whose sockets are bound already. Pingora by itself would retry a bind for half a minute, panic inside the
/// service and run on without it.
pub(crate) struct BoundService<A> {
    name: &'static str,
    threads: Option<usize>,
    /// One for each listener: an application of Pingora's does not learn which listener accepted a connection.
    services: Vec<Service<A>>,
    /// Their sockets.
    bound: Vec<BoundTcp>,
    unix: Vec<UnixService<A>>,
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
            unix: Vec::new(),
            stop_accepting: None,
        }
    }

    /// Serves the connections of an address by `app`; `tls` makes the settings, if it has TLS.
    pub(crate) fn add(
        &mut self,
        bound: BoundTcp,
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

    /// Serves the connections of a unix socket by `app`.
    pub(crate) fn add_unix(&mut self, bound: BoundUnix, app: A, acceptor: Arc<ConnectionAcceptor>) {
        self.unix.push(UnixService {
            listener: bound.socket,
            file: bound.file,
            acceptor,
            app,
        });
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
            let at = bound.address.to_string(); // Pingora looks for the socket under this name
            fds.lock().add(at, bound.socket.into_raw_fd());
        }
        ready.notify_ready();
        let stop = self.stop_accepting.take().unwrap_or(shutdown);
        let tcp = self.services.iter_mut().map(|service| {
            let fds = Some(fds.clone());
            PingoraService::start_service(service, fds, stop.clone(), listeners_per_fd)
        });
        let unix = self.unix.drain(..).map(|unix| unix.serve(stop.clone()));
        join(join_all(tcp), join_all(unix)).await;
    }

    fn name(&self) -> &str {
        self.name
    }

    fn threads(&self) -> Option<usize> {
        self.threads
    }
}
