//! Connections to a node that stay open: one request at a time on each, as many of them as are needed at once.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The status of an answer that never came.
pub const NONE: u16 = 0;

/// The connections to one address.
pub struct Lines {
    address: SocketAddr,
    idle: RefCell<Vec<Line>>,
}

impl Lines {
    pub fn to(address: SocketAddr) -> Self {
        let idle = RefCell::default();
        Self { address, idle }
    }

    /// Hangs up: who is at the other end is another process from now on, or has waited for long.
    pub fn hang_up(&self) {
        self.idle.borrow_mut().clear();
    }

    /// The status of the answer; [`NONE`], when there is none.
    pub async fn ask(&self, request: &[u8]) -> u16 {
        self.try_ask(request)
            .await
            .map_or(NONE, |(status, _)| status)
    }

    /// Status and body of the answer to a GET.
    pub async fn get(&self, path: &str) -> io::Result<(u16, Bytes)> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.try_ask(request.as_bytes()).await
    }

    async fn try_ask(&self, request: &[u8]) -> io::Result<(u16, Bytes)> {
        let idle = self.idle.borrow_mut().pop();
        if let Some(line) = idle
            && let Ok(answer) = self.ask_on(line, request).await
        {
            return Ok(answer);
        }
        // One that was idle for long may have been closed, as the node is free to do.
        let line = Line::open(self.address).await?;
        self.ask_on(line, request).await
    }

    async fn ask_on(&self, mut line: Line, request: &[u8]) -> io::Result<(u16, Bytes)> {
        let answer = line.ask(request).await?;
        self.idle.borrow_mut().push(line);
        Ok(answer)
    }
}

struct Line {
    stream: TcpStream,
    unread: BytesMut,
}

impl Line {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let unread = BytesMut::with_capacity(4096);
        Ok(Self { stream, unread })
    }

    async fn ask(&mut self, request: &[u8]) -> io::Result<(u16, Bytes)> {
        self.stream.write_all(request).await?;
        loop {
            if let Some(answer) = take_answer(&mut self.unread)? {
                return Ok(answer);
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Status and body, once all of both has come.
fn take_answer(unread: &mut BytesMut) -> io::Result<Option<(u16, Bytes)>> {
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut lines);
    let httparse::Status::Complete(head_bytes) = head.parse(unread).map_err(io::Error::other)?
    else {
        return Ok(None);
    };
    let is_length = |line: &&httparse::Header<'_>| line.name.eq_ignore_ascii_case("content-length");
    let length = head.headers.iter().find(is_length);
    let length = length.and_then(|line| std::str::from_utf8(line.value).ok()?.parse().ok());
    let length: usize = length.ok_or_else(|| io::Error::other("an answer without a length"))?;
    let status = head.code.unwrap_or(NONE);
    if unread.len() < head_bytes + length {
        return Ok(None);
    }
    unread.advance(head_bytes);
    Ok(Some((status, unread.split_to(length).freeze())))
}
