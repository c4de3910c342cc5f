//! Sockets passed by systemd (`sd_listen_fds`(3)): connections wait in them during a restart.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;

/// The sockets that were passed and are not claimed yet.
#[derive(Default)]
pub(crate) struct Inherited {
    tcp: Vec<(SocketAddr, TcpListener)>,
    unix: Vec<(PathBuf, UnixListener)>,
}

impl Inherited {
    /// Takes them all. Call it before any thread is started: it removes them from the environment.
    pub(crate) fn from_environment() -> io::Result<Self> {
        let mut handed = ListenFd::from_env();
        let mut sockets = Self::default();
        for number in 0..handed.len() {
            match handed.take_unix_listener(number) {
                Ok(Some(listener)) => sockets.unix.push(described_unix(listener)?),
                Ok(None) => {}
                Err(_) => {
                    let listener = handed.take_tcp_listener(number)?;
                    let listener = listener.map(described).transpose()?;
                    sockets.tcp.extend(listener);
                }
            }
        }
        Ok(sockets)
    }

    /// The socket that listens on exactly this address. `0.0.0.0` and `[::]` are two addresses.
    pub(crate) fn remove(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let place = self.tcp.iter().position(|(at, _)| *at == address)?;
        Some(self.tcp.swap_remove(place).1)
    }

    /// The unix socket that listens on exactly this path.
    pub(crate) fn remove_unix(&mut self, path: &Path) -> Option<UnixListener> {
        let place = self.unix.iter().position(|(at, _)| at == path)?;
        Some(self.unix.swap_remove(place).1)
    }

    /// An address that was not claimed.
    pub(crate) fn unclaimed(&self) -> Option<String> {
        let tcp = self.tcp.first().map(|(at, _)| at.to_string());
        let unix = self.unix.first();
        tcp.or_else(|| unix.map(|(at, _)| format!("unix:{}", at.display())))
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

/// A listening unix socket and its path; one without a path is a connection, or abstract.
fn described_unix(listener: UnixListener) -> io::Result<(PathBuf, UnixListener)> {
    let address = listener.local_addr()?;
    let Some(path) = address.as_pathname() else {
        let why = "it is a unix socket without a path: set Accept=no, and ListenStream= to a path";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    };
    listener.set_nonblocking(true)?;
    Ok((path.to_owned(), listener))
}
