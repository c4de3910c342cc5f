//! A server that does what a test tells it to, word by word, with or without TLS.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a backend does when it has heard a request.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Says this, and hears the next one.
    Say(Vec<u8>),
    /// Says this and closes.
    SayLast(Vec<u8>),
    /// Says nothing until the client is gone.
    Silence,
    /// Closes without a word.
    HangUp,
    /// Hears the head only, and takes nothing more.
    Clog,
    /// Hears the head only, and closes: what it has not read makes that a reset.
    Reset,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Until the empty line.
    pub head: String,
    pub body: Vec<u8>,
}

/// The server. Dropping it closes its port and every connection.
pub struct Backend {
    address: SocketAddr,
    floor: Arc<Floor>,
    acceptor: Option<thread::JoinHandle<()>>,
}

struct Floor {
    deed: Mutex<Deed>,
    /// For paths that are treated otherwise.
    deeds: Mutex<HashMap<String, Deed>>,
    heard: Mutex<Vec<Heard>>,
    guests: Mutex<HashMap<usize, TcpStream>>,
    closing: AtomicBool,
    tls: Option<Arc<ServerConfig>>,
}

/// 200 with this body, in the words of HTTP/1.1.
pub fn ok(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A loopback address of this process: no other test takes a port of it, free or not.
pub fn own_address() -> IpAddr {
    static LAST: AtomicU8 = AtomicU8::new(1);
    let [low, high] = u16::try_from(std::process::id() % 65_521)
        .unwrap()
        .to_le_bytes();
    let own = LAST.fetch_add(1, Ordering::Relaxed).max(1);
    IpAddr::from([127, high.max(1), low.max(1), own])
}

impl Backend {
    /// Says 200 and this to every request, on an address of its own: no other test takes its port while it is away.
    pub fn saying(body: &str) -> Self {
        let address = SocketAddr::new(own_address(), 0);
        Self::at(address, None, Deed::Say(ok(body)))
    }

    /// The same, with TLS, on 127.0.0.1.
    pub fn with_tls(body: &str, tls: ServerConfig) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::at(address, Some(Arc::new(tls)), Deed::Say(ok(body)))
    }

    /// Comes back where one like it was before.
    pub fn back_at(address: SocketAddr, body: &str) -> Self {
        Self::at(address, None, Deed::Say(ok(body)))
    }

    fn at(address: SocketAddr, tls: Option<Arc<ServerConfig>>, deed: Deed) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let floor = Arc::new(Floor {
            deed: Mutex::new(deed),
            deeds: Mutex::default(),
            heard: Mutex::default(),
            guests: Mutex::default(),
            closing: AtomicBool::default(),
            tls,
        });
        let address = listener.local_addr().unwrap();
        let served = Arc::clone(&floor);
        Self {
            address,
            floor,
            acceptor: Some(thread::spawn(move || accept(&listener, &served))),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does this from the next request on.
    pub fn does(&self, deed: Deed) {
        *self.floor.deed.lock().unwrap() = deed;
    }

    /// Does this when asked for this path.
    pub fn does_at(&self, path: &str, deed: Deed) {
        let mut deeds = self.floor.deeds.lock().unwrap();
        deeds.insert(path.to_owned(), deed);
    }

    /// Says this in full from the next request on.
    pub fn says(&self, words: &str) {
        self.does(Deed::SayLast(words.as_bytes().to_vec()));
    }

    /// Every request so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.floor.heard.lock().unwrap().clone()
    }

    /// How many requests for this path came.
    pub fn times(&self, path: &str) -> usize {
        let heard = self.heard();
        heard.iter().filter(|one| one.path() == path).count()
    }

    /// How many connections stand.
    pub fn connections(&self) -> usize {
        self.floor.guests.lock().unwrap().len()
    }
}

impl Heard {
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.floor.closing.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)); // accept has no other way to be interrupted
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

fn accept(listener: &TcpListener, floor: &Arc<Floor>) {
    for (number, stream) in listener.incoming().enumerate() {
        if floor.closing.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        stream.set_nodelay(true).unwrap();
        let second = stream.try_clone().unwrap();
        floor.guests.lock().unwrap().insert(number, second);
        let floor = Arc::clone(floor);
        thread::spawn(move || {
            drop(floor.welcome(stream));
            let guest = floor.guests.lock().unwrap().remove(&number);
            drop(guest.map(|guest| guest.shutdown(Shutdown::Both)));
        });
    }
    for guest in floor.guests.lock().unwrap().values() {
        drop(guest.shutdown(Shutdown::Both));
    }
}

trait Wire: Read + Write {}
impl<W: Read + Write> Wire for W {}

impl Floor {
    fn welcome(&self, stream: TcpStream) -> io::Result<()> {
        match &self.tls {
            None => self.serve(stream),
            Some(tls) => {
                let connection =
                    ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
                self.serve(StreamOwned::new(connection, stream))
            }
        }
    }

    fn serve(&self, mut wire: impl Wire) -> io::Result<()> {
        let mut unread = Vec::new();
        loop {
            let Some(head_end) = read_until(&mut wire, &mut unread, b"\r\n\r\n")? else {
                return Ok(());
            };
            let head: Vec<u8> = unread.drain(..head_end).collect();
            let mut request = Heard {
                head: String::from_utf8_lossy(&head).into_owned(),
                body: Vec::new(),
            };
            let deed = self.deed_for(request.path());
            if !matches!(deed, Deed::Clog | Deed::Reset) {
                if request.head.to_ascii_lowercase().contains("\r\nexpect:") {
                    wire.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                }
                request.body = read_body(&mut wire, &mut unread, &request.head)?;
            }
            self.heard.lock().unwrap().push(request);
            match deed {
                Deed::Say(words) => wire.write_all(&words)?,
                Deed::SayLast(words) => {
                    wire.write_all(&words)?;
                    return wire.flush();
                }
                Deed::Silence => {
                    while wire.read(&mut [0; 1024])? > 0 {}
                    return Ok(());
                }
                Deed::HangUp | Deed::Reset => return Ok(()),
                Deed::Clog => {
                    super::eventually(|| self.closing.load(Ordering::SeqCst));
                    return Ok(());
                }
            }
            wire.flush()?;
        }
    }

    fn deed_for(&self, path: &str) -> Deed {
        let special = self.deeds.lock().unwrap().get(path).cloned();
        special.unwrap_or_else(|| self.deed.lock().unwrap().clone())
    }
}

/// Where the mark ends; `None`: the client has closed before.
fn read_until(
    wire: &mut impl Wire,
    unread: &mut Vec<u8>,
    mark: &[u8],
) -> io::Result<Option<usize>> {
    loop {
        let found = unread.windows(mark.len()).position(|part| part == mark);
        if let Some(at) = found {
            return Ok(Some(at + mark.len()));
        }
        let mut block = [0; 16 * 1024];
        let length = wire.read(&mut block)?;
        if length == 0 {
            return Ok(None);
        }
        unread.extend_from_slice(&block[..length]);
    }
}

fn read_body(wire: &mut impl Wire, unread: &mut Vec<u8>, head: &str) -> io::Result<Vec<u8>> {
    let head = head.to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        let end = read_until(wire, unread, b"0\r\n\r\n")?.unwrap_or(unread.len());
        return Ok(unread.drain(..end).collect());
    }
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
    let length: usize = length.unwrap_or_default();
    while unread.len() < length {
        let mut block = [0; 16 * 1024];
        let more = wire.read(&mut block)?;
        if more == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        unread.extend_from_slice(&block[..more]);
    }
    Ok(unread.drain(..length).collect())
}
