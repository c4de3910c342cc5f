//! Listening sockets: bound before anything else is started, so that an address in use ends the start.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;

use async_trait::async_trait;
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::{ServiceReadyNotifier, ServiceWithDependents};

/// A bound address: the name under which Pingora looks for it, and where it really is.
pub(super) struct Bound {
    /// The address as configured.
    pub name: String,
    /// The address with its port.
    pub address: SocketAddr,
    listener: TcpListener,
}

impl Bound {
    /// Binds an address; port 0 chooses one.
    pub(super) fn to(name: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(name)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            name: name.to_owned(),
            address: listener.local_addr()?,
            listener,
        })
    }
}

/// A service whose sockets are bound already. Pingora, left alone, would retry a bind for half a minute,
/// panic inside the service and live on without it.
pub(super) struct Listening<S> {
    service: S,
    bound: Vec<Bound>,
}

impl<S> Listening<S> {
    /// Hands sockets to a service that was told to listen on their names.
    pub(super) fn new(service: S, bound: Vec<Bound>) -> Self {
        Self { service, bound }
    }
}

#[async_trait]
impl<S: ServiceWithDependents> ServiceWithDependents for Listening<S> {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        let fds = fds.unwrap_or_else(|| ListenFds::new(Fds::new().into()));
        for bound in self.bound.drain(..) {
            fds.lock().add(bound.name, bound.listener.into_raw_fd());
        }
        self.service
            .start_service(Some(fds), shutdown, listeners_per_fd, ready)
            .await;
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }
}
