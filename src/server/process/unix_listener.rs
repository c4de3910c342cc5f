//! The connections of a unix socket, which Pingora would make anew and open for every user.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use log::{error, warn};
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;

use super::unix_socket::SocketFile;
use crate::server::connection::acceptor::ConnectionAcceptor;

/// The pause after a failed accept, for instance for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A unix socket, and the application that serves its connections.
pub(super) struct UnixService<A> {
    pub(super) listener: UnixListener,
    /// `None`: the file is systemd's.
    pub(super) file: Option<SocketFile>,
    pub(super) acceptor: Arc<ConnectionAcceptor>,
    pub(super) app: A,
}

impl<A: ServerApp + Send + Sync + 'static> UnixService<A> {
    /// Accepts connections until the watch is `true`.
    pub(super) async fn serve(self, stop_accepting: ShutdownWatch) {
        let app = Arc::new(self.app);
        match tokio::net::UnixListener::from_std(self.listener) {
            Ok(listener) => accept(&listener, &self.acceptor, &app, stop_accepting).await,
            Err(error) => error!("can't serve a unix socket: {error}; restart doorward"),
        }
        drop(self.file);
        app.cleanup().await;
    }
}

async fn accept<A: ServerApp + Send + Sync + 'static>(
    listener: &tokio::net::UnixListener,
    acceptor: &ConnectionAcceptor,
    app: &Arc<A>,
    mut stop_accepting: ShutdownWatch,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop_accepting.wait_for(|stops| *stops) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let stream: Stream = Box::new(acceptor.take_unix(stream));
                let (app, stop) = (Arc::clone(app), stop_accepting.clone());
                tokio::spawn(serve_one(app, stream, stop));
            }
            Err(error) => {
                warn!("a unix socket can't accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// As Pingora's own service does.
async fn serve_one<A: ServerApp + Send + Sync + 'static>(
    app: Arc<A>,
    stream: Stream,
    stop: ShutdownWatch,
) {
    let mut open = Some(stream);
    while let Some(stream) = open {
        open = app.process_new(stream, &stop).await;
    }
}
