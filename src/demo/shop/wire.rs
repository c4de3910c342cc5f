//! HTTP/1.1 as the pretend shop reads and writes it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// More than any client sends; a head that grows past it is a fault.
const HEAD_MAX: usize = 64 * 1024;
/// Bounds what one request can make the shop keep in memory.
const BODY_MAX: usize = 16 * 1024 * 1024;
/// Twice what a busy browser sends through a proxy.
const HEADERS_MAX: usize = 128;

/// One request as it reached the shop.
#[derive(Clone, PartialEq, Eq)]
pub struct SeenRequest {
    /// The method, as sent.
    pub method: String,
    /// The request target, as sent: neither decoded nor normalised.
    pub target: String,
    /// The header lines in order, names in the case they came in. Each byte of a value is one `char`.
    pub headers: Vec<(String, String)>,
    /// The body without its transfer coding.
    pub body: Vec<u8>,
}

impl SeenRequest {
    /// The value of the first header line of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers_named(name).next()
    }

    /// The values of every header line of this name, in order.
    pub fn headers_named(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The method a route is chosen by: HEAD is a GET whose body stays behind.
    pub(super) fn verb(&self) -> &str {
        if self.method == "HEAD" {
            "GET"
        } else {
            &self.method
        }
    }

    /// The path as a web server in front of PHP hands it on: decoded, slashes merged, dot segments resolved.
    /// A stricter reading would hide the ways round a proxy that a real shop leaves open.
    pub(super) fn path(&self) -> String {
        let (raw, _) = self.split_target();
        let decoded = percent_decode_str(raw).decode_utf8_lossy();
        let mut segments = Vec::new();
        for segment in decoded.split('/') {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop()),
                other => segments.push(other),
            }
        }
        format!("/{}", segments.join("/"))
    }

    /// The decoded value of a query parameter.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.split_target();
        form_urlencoded::parse(query.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The decoded value of a field of a form; empty if there is none.
    pub(super) fn form(&self, name: &str) -> String {
        form_urlencoded::parse(&self.body)
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    }

    /// The value of a cookie, as sent.
    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.headers_named("cookie");
        let mut pairs = lines.flat_map(|line| line.split(';'));
        pairs.find_map(|pair| {
            let (known, value) = pair.trim().split_once('=')?;
            (known == name).then(|| value.to_owned())
        })
    }

    /// What follows this scheme in the first `Authorization` line.
    pub(super) fn authorization(&self, scheme: &str) -> Option<&str> {
        let (given, rest) = self.header("authorization")?.split_once(' ')?;
        given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
    }

    /// The body as JSON; anything else reads as null, which has no fields.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    fn split_target(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }
}

/// Credentials travel in two headers, in the query and in the body: none of them is printed.
impl fmt::Debug for SeenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |name: &str| {
            ["authorization", "cookie"]
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known))
        };
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name, if secret(name) { ".." } else { value.as_str() }))
            .collect();
        f.debug_struct("SeenRequest")
            .field("method", &self.method)
            .field("path", &self.split_target().0)
            .field("headers", &headers)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A request, and whether its client will send another one on this connection.
pub(super) struct ReceivedRequest {
    pub(super) seen: SeenRequest,
    pub(super) last: bool,
}

/// What the shop says to one request.
pub(super) struct ShopAnswer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl ShopAnswer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
        .with("Content-Type", "application/json")
    }

    pub(super) fn html(body: &str) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        }
        .with("Content-Type", "text/html; charset=UTF-8")
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Adds a header line, or replaces it; `Set-Cookie` alone may stand there many times.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if name != "Set-Cookie" {
            self.headers.retain(|(known, _)| *known != name);
        }
        self.headers.push((name, value.into()));
        self
    }

    fn encode(&self, date: &str, method: &str, last: bool) -> Vec<u8> {
        let reason = StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason());
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nDate: {date}\r\n",
            self.status,
            reason.unwrap_or("Unknown")
        );
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if self.status != 204 {
            head.extend(["Content-Length: ", &self.body.len().to_string(), "\r\n"]);
        }
        if last {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if method != "HEAD" && self.status != 204 {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// One connection: requests in, answers out.
pub(super) struct ShopConnection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl ShopConnection {
    pub(super) fn on(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Waits for a whole request; none when the client has closed in good order.
    pub(super) fn next_request(&mut self) -> io::Result<Option<ReceivedRequest>> {
        let Some(head) = self.read_head()? else {
            return Ok(None);
        };
        if head.has("expect", "100-continue") {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = match head.framing()? {
            Framing::Length(length) => self.read_exactly(length)?,
            Framing::Chunked => self.read_chunks()?,
        };
        let last = head.version == 0 || head.has("connection", "close");
        Ok(Some(ReceivedRequest {
            seen: SeenRequest { body, ..head.seen },
            last,
        }))
    }

    pub(super) fn answer(
        &mut self,
        request: &ReceivedRequest,
        answer: &ShopAnswer,
        date: &str,
    ) -> io::Result<()> {
        self.stream
            .write_all(&answer.encode(date, &request.seen.method, request.last))
    }

    /// Says exactly this, and nothing after it.
    pub(super) fn recite(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// Tells the client that what it sent is not HTTP; nothing can follow.
    pub(super) fn refuse(&mut self, date: &str) -> io::Result<()> {
        let answer = ShopAnswer::json(400, &serde_json::json!({"message": "Bad Request"}));
        self.stream.write_all(&answer.encode(date, "", true))
    }

    /// Holds the connection open without a word until the client, or the shop, closes it.
    pub(super) fn stay_silent(&mut self) -> io::Result<()> {
        while self.fill()? {
            self.unread.clear();
        }
        Ok(())
    }

    fn read_head(&mut self) -> io::Result<Option<RequestHead>> {
        loop {
            if let Some((head, length)) = RequestHead::parse(&self.unread)? {
                self.unread.drain(..length);
                return Ok(Some(head));
            }
            if self.unread.len() > HEAD_MAX {
                return Err(malformed("head too long"));
            }
            if !self.fill()? {
                return if self.unread.is_empty() {
                    Ok(None)
                } else {
                    Err(malformed("half a head"))
                };
            }
        }
    }

    fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > BODY_MAX {
            return Err(malformed("body too long"));
        }
        while self.unread.len() < length {
            self.fill_or_fail()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.read_chunk_size()?;
            if size == 0 {
                break;
            }
            body.extend(self.read_exactly(size)?);
            if body.len() > BODY_MAX || !self.read_line()?.is_empty() {
                return Err(malformed("chunk"));
            }
        }
        while !self.read_line()?.is_empty() {} // trailers are not read
        Ok(body)
    }

    fn read_chunk_size(&mut self) -> io::Result<usize> {
        let line = self.read_line()?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let digits = std::str::from_utf8(digits).map_err(|_| malformed("chunk size"))?;
        usize::from_str_radix(digits.trim(), 16).map_err(|_| malformed("chunk size"))
    }

    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let mut line: Vec<u8> = self.unread.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            if self.unread.len() > HEAD_MAX {
                return Err(malformed("line too long"));
            }
            self.fill_or_fail()?;
        }
    }

    fn fill_or_fail(&mut self) -> io::Result<()> {
        if self.fill()? {
            Ok(())
        } else {
            Err(malformed("half a body"))
        }
    }

    /// Reads what has arrived; false when the other side has closed.
    fn fill(&mut self) -> io::Result<bool> {
        let mut block = [0; 16 * 1024];
        let length = self.stream.read(&mut block)?;
        self.unread.extend_from_slice(&block[..length]);
        Ok(length > 0)
    }
}

enum Framing {
    Length(usize),
    Chunked,
}

struct RequestHead {
    seen: SeenRequest,
    version: u8,
}

impl RequestHead {
    fn parse(bytes: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut lines);
        let status = parsed
            .parse(bytes)
            .map_err(|fault| malformed(&fault.to_string()))?;
        let httparse::Status::Complete(length) = status else {
            return Ok(None);
        };
        let seen = SeenRequest {
            method: parsed.method.unwrap_or_default().to_owned(),
            target: parsed.path.unwrap_or_default().to_owned(),
            headers: parsed
                .headers
                .iter()
                .map(|line| (line.name.to_owned(), latin1(line.value)))
                .collect(),
            body: Vec::new(),
        };
        Ok(Some((
            Self {
                seen,
                version: parsed.version.unwrap_or(1),
            },
            length,
        )))
    }

    fn has(&self, name: &str, word: &str) -> bool {
        let words = self
            .seen
            .headers_named(name)
            .flat_map(|value| value.split(','));
        words
            .into_iter()
            .any(|given| given.trim().eq_ignore_ascii_case(word))
    }

    /// Two framings at once are how a request is smuggled past a proxy, so the shop takes neither.
    fn framing(&self) -> io::Result<Framing> {
        let lengths: Vec<_> = self.seen.headers_named("content-length").collect();
        match (self.has("transfer-encoding", "chunked"), lengths.as_slice()) {
            (true, []) => Ok(Framing::Chunked),
            (false, []) => Ok(Framing::Length(0)),
            (false, [length]) => length
                .parse()
                .map(Framing::Length)
                .map_err(|_| malformed("content-length")),
            _ => Err(malformed("two framings")),
        }
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
