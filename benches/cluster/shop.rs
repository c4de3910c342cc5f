//! A shop that says yes to everything, at once: nobody has to wait for it.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use bytes::BytesMut;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"data\":[]}";

/// Opens it, in a thread of its own that ends with the process. Where it is.
pub fn open() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("a socket");
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_io().build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
    });
    address
}

/// Answers requests, none of which has a body.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = BytesMut::with_capacity(4096);
    while stream.read_buf(&mut unread).await? > 0 {
        if unread.ends_with(b"\r\n\r\n") {
            unread.clear();
            stream.write_all(ANSWER).await?;
        }
    }
    Ok(())
}
