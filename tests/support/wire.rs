//! A raw HTTP/1.1 client: it sends exactly the bytes it is given.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::patience::PATIENCE;

/// The answer of a shop that ends its connection, for `Shop::recite`.
pub fn said(status: u16, body: &str) -> String {
    said_with(status, "", body)
}

/// The same with header lines, each of them ended.
pub fn said_with(status: u16, lines: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Said\r\n{lines}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// What came back for one request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// In order, names in the case they came in.
    pub headers: Vec<(String, String)>,
    /// Without its transfer coding.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of the first header line of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers_named(name).into_iter().next()
    }

    /// The values of every header line of this name, in order.
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        let named = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the body when it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|fault| panic!("{fault} in {:?}", self.text()))
    }

    fn says(&self, name: &str, word: &str) -> bool {
        let words = self
            .headers_named(name)
            .into_iter()
            .flat_map(|value| value.split(','));
        words
            .into_iter()
            .any(|given| given.trim().eq_ignore_ascii_case(word))
    }
}

/// `alice.visit(&edge, "/cart") == 401` reads as it is meant.
impl PartialEq<u16> for Answer {
    fn eq(&self, status: &u16) -> bool {
        self.status == *status
    }
}

/// The bytes of a request to `shop.example.com`, with the length of its body if it has one.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    let length = body.len().to_string();
    let given = |name: &str| {
        headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    let host = (!given("host")).then_some(("Host", "shop.example.com"));
    let length = (!body.is_empty() && !given("content-length"))
        .then_some(("Content-Length", length.as_str()));
    for (name, value) in host
        .into_iter()
        .chain(headers.iter().copied())
        .chain(length)
    {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Sends these bytes on a connection of their own and reads one answer.
#[track_caller]
pub fn raw(address: SocketAddr, bytes: &[u8]) -> Answer {
    match try_raw(address, bytes) {
        Ok(answer) => answer,
        Err(fault) => panic!("no answer from {address}: {fault}"),
    }
}

/// As `raw`, for a test that expects no answer.
pub fn try_raw(address: SocketAddr, bytes: &[u8]) -> io::Result<Answer> {
    let mut connection = Connection::try_open(address)?;
    connection.send(bytes);
    connection.try_answer()
}

/// One connection, for several requests.
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    head_only: bool,
}

impl Connection {
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap()
    }

    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unread: Vec::new(),
            head_only: false,
        })
    }

    /// Sends one request and reads its answer.
    #[track_caller]
    pub fn ask(&mut self, bytes: &[u8]) -> Answer {
        self.send(bytes);
        self.answer()
    }

    /// A server may answer and close before it has read everything, so a failed write is no fault of its own.
    pub fn send(&mut self, bytes: &[u8]) {
        self.head_only = bytes.starts_with(b"HEAD ");
        drop(self.stream.write_all(bytes));
    }

    /// The next answer; the body belongs to it unless the last bytes sent began with `HEAD`.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        match self.try_answer() {
            Ok(answer) => answer,
            Err(fault) => panic!("no answer: {fault}"),
        }
    }

    pub fn try_answer(&mut self) -> io::Result<Answer> {
        loop {
            let mut answer = self.read_head()?;
            if matches!(answer.status, 100 | 102..=199) {
                continue; // the real answer follows
            }
            answer.body = self.read_body(&answer)?;
            return Ok(answer);
        }
    }

    /// The status of the next answer, which may be one before the real one, such as 100.
    #[track_caller]
    pub fn interim(&mut self) -> u16 {
        self.read_head().unwrap().status
    }

    /// Whether the server has left the connection open until now.
    pub fn is_open(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        match peeked {
            Ok(length) => length > 0,
            Err(fault) => fault.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// Waits for the server to close; false when it says something else, or patience runs out.
    pub fn closes(&mut self) -> bool {
        match self.fill() {
            Ok(more) => !more && self.unread.is_empty(),
            Err(fault) => fault.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Says that nothing more will be sent, and keeps listening.
    pub fn finish_sending(&mut self) {
        drop(self.stream.shutdown(std::net::Shutdown::Write));
    }

    fn read_head(&mut self) -> io::Result<Answer> {
        loop {
            if let Some((answer, length)) = parse_head(&self.unread)? {
                self.unread.drain(..length);
                return Ok(answer);
            }
            self.fill_or_fail()?;
        }
    }

    fn read_body(&mut self, answer: &Answer) -> io::Result<Vec<u8>> {
        if self.head_only || matches!(answer.status, 101 | 204 | 304) {
            return Ok(Vec::new());
        }
        if answer.says("transfer-encoding", "chunked") {
            return self.read_chunks();
        }
        if let Some(length) = answer.header("content-length") {
            return self.read_exactly(length.parse().map_err(io::Error::other)?);
        }
        while self.fill()? {}
        Ok(std::mem::take(&mut self.unread))
    }

    fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.fill_or_fail()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).map_err(io::Error::other)?;
            if size == 0 {
                break;
            }
            body.extend(self.read_exactly(size)?);
            self.read_line()?;
        }
        while !self.read_line()?.is_empty() {} // trailers
        Ok(body)
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill_or_fail()?;
        }
    }

    fn fill_or_fail(&mut self) -> io::Result<()> {
        if self.fill()? {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Reads what has arrived; false when the server has closed.
    fn fill(&mut self) -> io::Result<bool> {
        let mut block = [0; 16 * 1024];
        let length = self.stream.read(&mut block)?;
        self.unread.extend_from_slice(&block[..length]);
        Ok(length > 0)
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let mut lines = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Response::new(&mut lines);
    let status = parsed.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(length) = status else {
        return Ok(None);
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = parsed
        .headers
        .iter()
        .map(|line| (line.name.to_owned(), text(line.value)))
        .collect();
    Ok(Some((
        Answer {
            status: parsed.code.unwrap_or_default(),
            headers,
            body: Vec::new(),
        },
        length,
    )))
}
