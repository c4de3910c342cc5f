//! An address at which nobody answers.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A port that is taken and not listened on: whoever connects is refused, and no other test can have it.
pub struct Nobody(TcpSocket);

impl Nobody {
    pub fn at_home() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}
