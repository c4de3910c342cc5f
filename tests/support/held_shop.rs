//! A shop that answers when the test says so.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlate";

/// A shop in which every request waits; dropping it lets them go unanswered.
pub struct HeldShop {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    waiting: usize,
    released: bool,
}

impl HeldShop {
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let within = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let within = Arc::clone(&within);
                thread::spawn(move || within.serve(stream));
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests have come.
    pub fn waiting(&self) -> usize {
        self.shared.counts.lock().unwrap().waiting
    }

    /// Answers all, from now on at once.
    pub fn release(&self) {
        self.shared.counts.lock().unwrap().released = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn serve(&self, stream: io::Result<TcpStream>) -> io::Result<()> {
        let mut stream = stream?;
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut block = [0; 4096];
            match stream.read(&mut block)? {
                0 => return Ok(()),
                length => head.extend_from_slice(&block[..length]),
            }
        }
        let mut counts = self.counts.lock().unwrap();
        counts.waiting += 1;
        let counts = self.changed.wait_while(counts, |counts| !counts.released);
        drop(counts.unwrap());
        stream.write_all(ANSWER)
    }
}
