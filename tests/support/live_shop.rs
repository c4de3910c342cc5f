//! A stand-in shop whose answers last: `WebSockets`, streams of events, downloads, uploads, long polls.
//!
//! The first segment of a path says what is played, the second one names the exchange: `/events/alice`.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use doorward::clock;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use super::{Shop, shop_table_at};

/// The first event of every stream, and the first bytes of every download.
pub const HELLO: &str = ": hello\n\n";
/// How much is kept of what comes after a head.
const HEARD_MAX: usize = 64 * 1024;

/// A shop that is open; dropping it ends every exchange.
pub struct LiveShop {
    /// Who signs the tokens, and whose storefront it is.
    pub shop: Shop,
    address: SocketAddr,
    stage: Arc<Stage>,
}

/// What the exchanges and the test know of each other.
#[derive(Default)]
struct Stage {
    exchanges: Mutex<HashMap<String, Exchange>>,
    connections: Mutex<HashMap<SocketAddr, TcpStream>>,
    closed: Mutex<bool>,
}

/// One request and what became of it.
struct Exchange {
    stream: TcpStream,
    received: usize,
    /// The first of the bytes that came after the head.
    heard: Vec<u8>,
    answered: bool,
    /// When its connection was found closed.
    gone: Option<Instant>,
}

impl LiveShop {
    /// Opens on a free port of the loopback; tokens are those of this shop.
    pub fn beside(shop: Shop) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stage = Arc::new(Stage::default());
        let played = Arc::clone(&stage);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if *locked(&played.closed) {
                    return;
                }
                let stage = Arc::clone(&played);
                thread::spawn(move || stage.serve(&stream));
            }
        });
        Self {
            shop,
            address,
            stage,
        }
    }

    /// The `[[shop]]` table for it; the proxy answers logouts itself.
    pub fn table(&self) -> String {
        self.table_after(&[])
    }

    /// As `table`, with other servers before this one.
    pub fn table_after(&self, others: &[SocketAddr]) -> String {
        let servers = [others, &[self.address]].concat();
        shop_table_at(&self.shop, &servers) + "answer = \"local\"\n"
    }

    /// Whether this exchange has reached the shop.
    pub fn has(&self, name: &str) -> bool {
        locked(&self.stage.exchanges).contains_key(name)
    }

    /// Whether this exchange goes on: neither answered to its end nor closed.
    pub fn is_on(&self, name: &str) -> bool {
        let exchanges = locked(&self.stage.exchanges);
        let exchange = exchanges.get(name);
        exchange.is_some_and(|exchange| !exchange.answered && exchange.gone.is_none())
    }

    /// When the connection of this exchange was found closed.
    pub fn gone(&self, name: &str) -> Option<Instant> {
        locked(&self.stage.exchanges).get(name)?.gone
    }

    /// How many bytes of a body have come.
    pub fn received(&self, name: &str) -> usize {
        let exchanges = locked(&self.stage.exchanges);
        exchanges.get(name).map_or(0, |exchange| exchange.received)
    }

    /// What has come after the head, in an exchange whose answer the test gives.
    pub fn heard(&self, name: &str) -> Vec<u8> {
        let exchanges = locked(&self.stage.exchanges);
        let heard = exchanges.get(name).map(|exchange| exchange.heard.clone());
        heard.unwrap_or_default()
    }

    /// How many connections the proxy has open.
    pub fn connections(&self) -> usize {
        locked(&self.stage.connections).len()
    }

    /// Puts bytes into an exchange that waits for them. False when its connection is gone.
    pub fn say(&self, name: &str, bytes: &[u8]) -> bool {
        let stream = locked(&self.stage.exchanges)
            .get(name)
            .map(|exchange| exchange.stream.try_clone().unwrap());
        stream.is_some_and(|mut stream| stream.write_all(bytes).is_ok())
    }

    /// One more event in a stream of them.
    pub fn say_event(&self, name: &str, text: &str) -> bool {
        self.say(name, &chunk(format!("data: {text}\n\n").as_bytes()))
    }
}

impl Drop for LiveShop {
    fn drop(&mut self) {
        *locked(&self.stage.closed) = true;
        drop(TcpStream::connect(self.address)); // accept has no other way to be interrupted
        for stream in locked(&self.stage.connections).values() {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Stage {
    /// One connection, until either side ends it.
    fn serve(&self, stream: &TcpStream) {
        let Ok(from) = stream.peer_addr() else { return };
        drop(stream.set_nodelay(true));
        locked(&self.connections).insert(from, stream.try_clone().unwrap());
        let mut name = String::new();
        while let Ok(true) = self.play(stream, &mut name) {}
        let now = clock::instant();
        if let Some(exchange) = locked(&self.exchanges).get_mut(&name) {
            exchange.gone = Some(now);
        }
        drop(stream.shutdown(Shutdown::Both));
        locked(&self.connections).remove(&from);
    }

    /// One exchange. False when the connection ends with it.
    fn play(&self, mut stream: &TcpStream, name: &mut String) -> io::Result<bool> {
        let Some(head) = Head::read(stream)? else {
            return Ok(false);
        };
        head.name.clone_into(name);
        let exchange = Exchange {
            stream: stream.try_clone()?,
            received: 0,
            heard: Vec::new(),
            answered: false,
            gone: None,
        };
        locked(&self.exchanges).insert(head.name.clone(), exchange);
        match head.part.as_str() {
            "socket" => return echo(stream, &head),
            "events" => {
                stream.write_all(&events())?;
                stream.write_all(&chunk(HELLO.as_bytes()))?;
            }
            "ticker" => return tick(stream),
            "download" => return pour(stream),
            "upload" => self.take_body(stream, &head)?,
            "trailers" => stream.write_all(TRAILERS)?,
            "page" => stream.write_all(PAGE)?,
            _ => {} // the test has the word
        }
        if matches!(head.part.as_str(), "page" | "trailers" | "upload") {
            self.change(name, |exchange| exchange.answered = true);
            return Ok(true);
        }
        self.listen(stream, name)
    }

    /// Until the other side ends it.
    fn listen(&self, mut stream: &TcpStream, name: &str) -> io::Result<bool> {
        let mut block = [0; 16 * 1024];
        loop {
            let length = stream.read(&mut block)?;
            if length == 0 {
                return Ok(false);
            }
            self.change(name, |exchange| {
                exchange.received += length;
                if exchange.heard.len() < HEARD_MAX {
                    exchange.heard.extend(&block[..length]);
                }
            });
        }
    }

    fn take_body(&self, mut stream: &TcpStream, head: &Head) -> io::Result<()> {
        let mut block = [0; 16 * 1024];
        let mut left = head.length;
        while left > 0 {
            let length = stream.read(&mut block)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left = left.saturating_sub(length);
            self.change(&head.name, |exchange| exchange.received += length);
        }
        stream.write_all(PAGE)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = locked(&self.exchanges).get_mut(name) {
            change(exchange);
        }
    }
}

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const TRAILERS: &[u8] =
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n\
    5\r\nhello\r\n0\r\nX-Checksum: 42\r\n\r\n";

/// The head of an answer that is a stream of events.
fn events() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        .to_vec()
}

/// One chunk of the chunked coding.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A WebSocket that says everything twice.
fn echo(mut stream: &TcpStream, head: &Head) -> io::Result<bool> {
    let accept = derive_accept_key(head.key.as_bytes());
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    let config = WebSocketConfig::default();
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    loop {
        let message = socket.read().map_err(io::Error::other)?;
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            socket.send(message).map_err(io::Error::other)?;
        }
    }
}

/// Events without end, a few hundred a second.
fn tick(mut stream: &TcpStream) -> io::Result<bool> {
    const BETWEEN: Duration = Duration::from_millis(5);
    stream.write_all(&events())?;
    stream.write_all(&chunk(HELLO.as_bytes()))?;
    stream.set_read_timeout(Some(BETWEEN))?;
    loop {
        stream.write_all(&chunk(b"data: tick\n\n"))?;
        if matches!(stream.read(&mut [0]), Ok(0)) {
            return Ok(false);
        }
    }
}

/// A download without end, as fast as it is taken.
fn pour(mut stream: &TcpStream) -> io::Result<bool> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    stream.write_all(&chunk(HELLO.as_bytes()))?;
    let block = chunk(&[b'x'; 16 * 1024]);
    loop {
        stream.write_all(&block)?;
    }
}

/// What the stand-in wants to know of a request.
struct Head {
    part: String,
    name: String,
    key: String,
    length: usize,
}

impl Head {
    /// Byte by byte, so that nothing of what follows is taken. None when the connection ends before it.
    fn read(mut stream: &TcpStream) -> io::Result<Option<Self>> {
        let (mut bytes, mut one) = (Vec::new(), [0]);
        while !bytes.ends_with(b"\r\n\r\n") {
            if stream.read(&mut one)? == 0 {
                return Ok(None);
            }
            bytes.extend(one);
        }
        let text = String::from_utf8_lossy(&bytes);
        let target = text.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let mut segments = path.split('/').skip(1).map(str::to_owned);
        let value = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            let line = lines.find(|(given, _)| given.eq_ignore_ascii_case(name));
            line.map(|(_, value)| value.trim().to_owned())
                .unwrap_or_default()
        };
        Ok(Some(Self {
            part: segments.next().unwrap_or_default(),
            name: segments.next().unwrap_or_default(),
            key: value("sec-websocket-key"),
            length: value("content-length").parse().unwrap_or_default(),
        }))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
