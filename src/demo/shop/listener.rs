//! The listener of a pretend shop, with one thread for each connection.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

/// An open listener; dropping it closes every connection and waits for every thread.
pub(super) struct ShopListener {
    address: SocketAddr,
    closing: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl ShopListener {
    /// Opens on a free port of the loopback and hands each connection to `serve`.
    pub(super) fn open(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let closing = Arc::new(AtomicBool::new(false));
        let seen_by_acceptor = Arc::clone(&closing);
        let acceptor = thread::Builder::new()
            .name("shop".to_owned())
            .spawn(move || accept(&listener, &seen_by_acceptor, &serve))?;
        Ok(Self {
            address,
            closing,
            acceptor: Some(acceptor),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ShopListener {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        let woken = TcpStream::connect(self.address).is_ok(); // accept has no other way to be interrupted
        if let (true, Some(acceptor)) = (woken, self.acceptor.take()) {
            drop(acceptor.join());
        }
    }
}

fn accept(listener: &TcpListener, closing: &AtomicBool, serve: &(impl Fn(TcpStream) + Sync)) {
    let open = OpenConnections::default();
    thread::scope(|scope| {
        for (number, stream) in listener.incoming().enumerate() {
            if closing.load(Ordering::SeqCst) {
                break;
            }
            let Ok(stream) = stream else { continue };
            if open.keep(number, &stream).is_err() {
                continue;
            }
            let open = &open;
            scope.spawn(move || {
                serve(stream);
                open.forget(number);
            });
        }
        open.close_all(); // no connection is accepted any more, so no thread can miss this
    });
}

/// A second handle on every open connection: closing it ends a thread that waits for its client.
#[derive(Default)]
struct OpenConnections(Mutex<HashMap<usize, TcpStream>>);

impl OpenConnections {
    fn keep(&self, number: usize, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        self.0.lock().insert(number, stream.try_clone()?);
        Ok(())
    }

    /// Closes for the client too: the second handle would otherwise keep the connection alive.
    fn forget(&self, number: usize) {
        self.0.lock().remove(&number);
    }

    fn close_all(&self) {
        for stream in self.0.lock().values() {
            drop(stream.shutdown(Shutdown::Both)); // the client may have gone already
        }
    }
}
