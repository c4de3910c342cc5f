//! The control socket: a unix socket that only the process's own user and root may open.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use log::warn;
use parking_lot::Mutex;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::net::UnixStream;

use super::control::{Control, ControlAnswer};
use super::order::PeerProcess;
use super::orders::LongAnswer;
use crate::server::process::unix_socket;

/// The mode of the socket: only its owner may open it. Who may open it may revoke for all customers; other users borrow the owner's name
/// for single commands (sudo), which leaves a trace.
const OWNER_ONLY: u32 = 0o600;

/// How long a connection may stay open between two orders, in seconds.
const IDLE_S: u64 = 60;

/// How often the state of the process is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
        let status = Arc::clone(&self.control.status);
        tokio::spawn(async move {
            loop {
                status.observe_state(); // so that it is known since when
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
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
impl HttpServerApp for ControlConnection {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !session.read_request().await.ok()? {
            return None;
        }
        let is_last = *shutdown.borrow();
        session.set_keepalive((!is_last).then_some(IDLE_S));
        match self.control.answer(&mut session, self.peer).await {
            ControlAnswer::Whole(response) => {
                let (parts, body) = response.into_parts();
                let head = Box::new(parts.into());
                session.write_response_header(head).await.ok()?;
                session.write_response_body(body.into(), true).await.ok()?;
            }
            ControlAnswer::LongAnswer(pieces) => {
                session.set_keepalive(None);
                write_pieces(&mut session, pieces).await?;
            }
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok()?;
        reusable.map(|stream| ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}

/// Writes a long answer. It ends with the connection.
async fn write_pieces(session: &mut ServerSession, mut answer: LongAnswer) -> Option<()> {
    let head = Response::builder().header(CONTENT_TYPE, answer.kind);
    let (parts, ()) = head.body(()).ok()?.into_parts();
    session
        .write_response_header(Box::new(parts.into()))
        .await
        .ok()?;
    while let Some(piece) = answer.pieces.recv().await {
        session.write_response_body(piece, false).await.ok()?;
    }
    session.write_response_body(Bytes::new(), true).await.ok()
}
