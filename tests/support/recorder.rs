//! A shop that writes down every byte it is sent, and says "ok" once a connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What it answers where a test says nothing else.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

/// The oracle of what got past the edge: each connection carries one request, and what follows it was smuggled.
pub struct Recorder {
    address: SocketAddr,
    record: Record,
}

type Record = Arc<Mutex<Vec<Vec<u8>>>>;

impl Recorder {
    pub fn open() -> Self {
        Self::answering(OK)
    }

    /// With other words than "ok".
    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let record = Record::default();
        let (kept, answer) = (Arc::clone(&record), Arc::new(answer.into()));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (record, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || drop(take_down(stream, &record, &answer)));
            }
        });
        Self { address, record }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bytes of every connection, in the order in which the connections came.
    pub fn connections(&self) -> Vec<Vec<u8>> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.clone()
    }

    /// How many connections have brought anything.
    pub fn visits(&self) -> usize {
        let connections = self.connections();
        connections.iter().filter(|bytes| !bytes.is_empty()).count()
    }

    /// The bytes of the last connection that brought any, as text.
    pub fn last(&self) -> String {
        let connections = self.connections();
        let last = connections.iter().rfind(|bytes| !bytes.is_empty());
        String::from_utf8_lossy(last.map_or(&[], Vec::as_slice)).into_owned()
    }

    /// Whether these bytes ever arrived, in whatever case.
    pub fn has_heard(&self, words: &str) -> bool {
        let words = words.to_ascii_lowercase();
        let mut connections = self.connections().into_iter();
        connections.any(|bytes| {
            let bytes = bytes.to_ascii_lowercase();
            bytes
                .windows(words.len())
                .any(|part| part == words.as_bytes())
        })
    }

    /// The `[[shop]]` table of it, without preset; more keys of the shop may follow.
    pub fn table(&self) -> String {
        let address = self.address;
        format!(
            "[[shop]]\nname = \"main\"\nupstream = [\"{address}\"]\ntoken.algorithms = [\"HS256\"]\n\
             token.secret_file = \"{{secret_file}}\"\n"
        )
    }
}

fn take_down(mut stream: TcpStream, record: &Record, answer: &[u8]) -> io::Result<()> {
    let place = {
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        record.push(Vec::new());
        record.len() - 1
    };
    let mut answered = false;
    let mut block = vec![0; 64 << 10];
    loop {
        let length = stream.read(&mut block)?;
        if length == 0 {
            return Ok(());
        }
        let whole = {
            let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
            record[place].extend_from_slice(&block[..length]);
            is_whole(&record[place])
        };
        if whole && !answered {
            answered = true;
            stream.write_all(answer)?;
        }
    }
}

/// Whether a request has arrived as far as it says itself.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else {
        return false;
    };
    let (head, body) = (&bytes[..end], &bytes[end + 4..]);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if head.contains("\r\ntransfer-encoding:") {
        return body.ends_with(b"0\r\n\r\n");
    }
    let length = head.split("\r\ncontent-length:").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}
