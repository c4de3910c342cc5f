//! The way in for orders: a unix socket that only the process's own user and root may open, and who is at its other end.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
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
use super::order::Peer;

/// Who may open it: the process's own user.
const OWNER_ONLY: u32 = 0o600;

/// How long nothing is accepted after that failed, for instance for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens on a path. What a dead process left there is removed: who holds the journal is the only one.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))?;
    Ok(listener)
}

/// Takes orders until the process ends, while it drains, too.
pub(crate) struct ControlSocket {
    listener: Mutex<Option<UnixListener>>,
    control: Arc<Control>,
}

impl ControlSocket {
    /// Takes them here, and has them carried out there.
    pub(crate) fn new(listener: UnixListener, control: Control) -> Self {
        Self {
            listener: Mutex::new(Some(listener)),
            control: Arc::new(control),
        }
    }

    fn listener(&self) -> Option<tokio::net::UnixListener> {
        let listener = tokio::net::UnixListener::from_std(self.listener.lock().take()?);
        listener
            .map_err(|error| warn!("no orders can be taken: {error}"))
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
                    let orders = Arc::new(Orders {
                        peer: Peer::of(&stream),
                        control: Arc::clone(&self.control),
                    });
                    let shutdown = shutdown.clone();
                    tokio::spawn(async move { orders.take(stream, &shutdown).await });
                }
                Err(error) => {
                    warn!("an order can't be taken: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// The orders of one connection.
struct Orders {
    peer: Peer,
    control: Arc<Control>,
}

impl Orders {
    async fn take(self: Arc<Self>, stream: UnixStream, shutdown: &ShutdownWatch) {
        let stream = l4::stream::Stream::from(stream);
        let mut open: Option<pingora::protocols::Stream> = Some(Box::new(stream));
        while let Some(stream) = open {
            open = self.process_new(stream, shutdown).await;
        }
    }
}

#[async_trait]
impl ServeHttp for Orders {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        self.control.answer(session, self.peer).await
    }
}
