//! The control socket: a unix socket that only the process's own user and root may open.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Response;
use log::warn;
use parking_lot::Mutex;
use pingora::apps::ServerApp;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::net::UnixStream;

use super::control::Control;
use super::order::PeerProcess;
use crate::server::process::unix_socket;

/// The mode of the socket: only its owner may open it. Who may open it may revoke for all customers; other users borrow the owner's name
/// for single commands (sudo), which leaves a trace.
const OWNER_ONLY: u32 = 0o600;

/// The pause after a failed accept, for instance for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens on a path.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    unix_socket::listen(path, OWNER_ONLY)
}

/// Serves the control socket until the process ends, also while it drains.
pub(crate) struct ControlSocket {
    listener: Mutex<Option<UnixListener>>,
    control: Arc<Control>,
}

impl ControlSocket {
    /// Accepts on `listener`; `control` carries the orders out.
    pub(crate) fn new(listener: UnixListener, control: Control) -> Self {
        Self {
            listener: Mutex::new(Some(listener)),
            control: Arc::new(control),
        }
    }

    fn listener(&self) -> Option<tokio::net::UnixListener> {
        let listener = tokio::net::UnixListener::from_std(self.listener.lock().take()?);
        listener
            .map_err(|error| warn!("can't serve the control socket: {error}; restart doorward"))
            .ok()
    }
}

#[async_trait]
impl BackgroundService for ControlSocket {
    async fn start(&self, shutdown: ShutdownWatch) {
        let Some(listener) = self.listener() else {
            return;
        };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let orders = Arc::new(ControlConnection {
                        peer: PeerProcess::connected_to(&stream),
                        control: Arc::clone(&self.control),
                    });
                    let shutdown = shutdown.clone();
                    tokio::spawn(async move { orders.serve(stream, &shutdown).await });
                }
                Err(error) => {
                    warn!("the control socket can't accept a connection: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// The orders of one connection.
struct ControlConnection {
    peer: PeerProcess,
    control: Arc<Control>,
}

impl ControlConnection {
    async fn serve(self: Arc<Self>, stream: UnixStream, shutdown: &ShutdownWatch) {
        let stream = l4::stream::Stream::from(stream);
        let mut open: Option<pingora::protocols::Stream> = Some(Box::new(stream));
        while let Some(stream) = open {
            open = self.process_new(stream, shutdown).await;
        }
    }
}

#[async_trait]
impl ServeHttp for ControlConnection {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        self.control.answer(session, self.peer).await
    }
}
