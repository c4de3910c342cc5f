//! Sockets passed by systemd (`sd_listen_fds`(3)): connections wait in them during a restart.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use listenfd::ListenFd;

/// The sockets that were passed and are not claimed yet.
pub(crate) struct Inherited(Vec<(SocketAddr, TcpListener)>);

impl Inherited {
    /// Takes them all. Call it before any thread is started: it removes them from the environment.
    pub(crate) fn from_environment() -> io::Result<Self> {
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..handed.len() {
            if let Some(listener) = handed.take_tcp_listener(number)? {
                sockets.push(described(listener)?);
            }
        }
        Ok(Self(sockets))
    }

    /// The socket that listens on exactly this address. `0.0.0.0` and `[::]` are two addresses.
    pub(crate) fn remove(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let place = self.0.iter().position(|(at, _)| *at == address)?;
        Some(self.0.swap_remove(place).1)
    }

    /// An address that was not claimed.
    pub(crate) fn unclaimed(&self) -> Option<SocketAddr> {
        self.0.first().map(|(at, _)| *at)
    }
}

/// A listening socket and its address.
fn described(listener: TcpListener) -> io::Result<(SocketAddr, TcpListener)> {
    let address = listener.local_addr()?;
    let twin = OwnedFd::from(listener.try_clone()?);
    if TcpStream::from(twin).peer_addr().is_ok() {
        let why = format!("it is a connection to {address}, not a listener: set Accept=no");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    listener.set_nonblocking(true)?;
    Ok((address, listener))
}
