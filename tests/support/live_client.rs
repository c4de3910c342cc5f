//! A customer's side of an exchange that lasts.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::patience::PATIENCE;
use super::request;
use doorward::clock;

/// A request that was sent, and what has come back so far.
pub struct Exchange {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Exchange {
    /// Sends these bytes on a connection of their own.
    #[track_caller]
    pub fn begin(address: SocketAddr, bytes: &[u8]) -> Self {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        let heard = Vec::new();
        Self { stream, heard }
    }

    /// A request of this kind with these headers; a WebSocket's has its own besides.
    #[track_caller]
    pub fn of(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Self {
        let mut headers = headers.to_vec();
        let method = match target.split('/').nth(1) {
            Some("socket") => {
                headers.extend(UPGRADE);
                "GET"
            }
            Some("upload") => {
                headers.push(("Content-Length", "1000000"));
                "POST"
            }
            _ => "GET",
        };
        Self::begin(address, &request(method, target, &headers, b""))
    }

    /// Waits until this was said.
    #[track_caller]
    pub fn hears(&mut self, words: &str) {
        while !self.has_heard(words) {
            let more = self.hear();
            let heard = String::from_utf8_lossy(&self.heard);
            assert!(
                matches!(more, Ok(true)),
                "{more:?} before {words:?}: {heard}"
            );
        }
    }

    /// Whether this was said already.
    pub fn has_heard(&self, words: &str) -> bool {
        let (heard, words) = (self.heard.as_slice(), words.as_bytes());
        heard.windows(words.len()).any(|window| window == words)
    }

    /// What was said, as text.
    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    /// Sends more. False when the other side has closed.
    pub fn say(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Listens that long; whether it was silent, and is still open.
    #[track_caller]
    pub fn is_silent_for(&mut self, span: Duration) -> bool {
        self.stream.set_read_timeout(Some(span)).unwrap();
        let heard = self.hear();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        heard.is_err_and(|fault| fault.kind() == io::ErrorKind::WouldBlock)
    }

    /// Waits for the end, in a thread of its own; when it came, and everything that was said.
    pub fn ends(mut self) -> JoinHandle<(Instant, Vec<u8>)> {
        thread::spawn(move || {
            loop {
                match self.hear() {
                    Ok(true) => self.heard.drain(..self.heard.len().saturating_sub(4096)),
                    Ok(false) => return (clock::instant(), self.heard),
                    Err(fault) if fault.kind() == io::ErrorKind::ConnectionReset => {
                        return (clock::instant(), self.heard);
                    }
                    Err(fault) => panic!("it does not end: {fault}"),
                };
            }
        })
    }

    fn hear(&mut self) -> io::Result<bool> {
        let mut block = [0; 16 * 1024];
        let length = self.stream.read(&mut block)?;
        self.heard.extend_from_slice(&block[..length]);
        Ok(length > 0)
    }
}

/// What makes a request one for a WebSocket.
pub const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];
