//! HTTP/2 frame by frame: it sends what it is told to, well formed or not (RFC 9113 section 4, RFC 7541).

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::patience::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_BYTES_MAX: usize = 16 << 10;
/// `HEADER_TABLE_SIZE` 0: what comes back refers to nothing that came before.
const NO_TABLE: [u8; 6] = [0, 1, 0, 0, 0, 0];

/// One connection.
pub struct Frames<S> {
    stream: S,
    next: u32,
    /// What the other side still takes, by stream; 0 is the connection.
    windows: HashMap<u32, i64>,
    replies: HashMap<u32, Reply>,
    gone: bool,
}

/// What came back on one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// 0: none.
    pub status: u16,
    pub body: Vec<u8>,
    /// The error code, where the stream was reset or the connection ended.
    pub reset: Option<u32>,
    pub ended: bool,
}

/// A frame as it came.
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frames<TcpStream> {
    /// Without TLS, with prior knowledge.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }
}

impl<S: Read + Write> Frames<S> {
    /// Says hello.
    pub fn over(stream: S) -> Self {
        let mut frames = Self {
            stream,
            next: 1,
            windows: HashMap::from([(0, 65_535)]),
            replies: HashMap::new(),
            gone: false,
        };
        frames.raw(PREFACE);
        frames.frame(SETTINGS, 0, 0, &NO_TABLE);
        frames
    }

    /// These bytes, as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        drop(
            self.stream
                .write_all(bytes)
                .and_then(|()| self.stream.flush()),
        );
    }

    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        self.raw(&bytes);
    }

    /// Opens a stream with these fields, pseudo-fields first; `ends`: no body follows.
    pub fn open_stream(&mut self, fields: &[(&str, &str)], ends: bool) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.windows.insert(stream, 65_535);
        let block = fields_in_bytes(fields);
        let mut kind = HEADERS;
        let mut parts = block.chunks(FRAME_BYTES_MAX).peekable();
        let mut flags = if ends { END_STREAM } else { 0 };
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                flags |= END_HEADERS;
            }
            self.frame(kind, flags, stream, part);
            (kind, flags) = (CONTINUATION, 0);
        }
        stream
    }

    /// Sends a body, as fast as it is taken.
    pub fn send_body(&mut self, stream: u32, mut body: &[u8], ends: bool) {
        loop {
            let room = self.windows[&0].min(self.windows[&stream]);
            let room = usize::try_from(room).unwrap_or(0).min(FRAME_BYTES_MAX);
            let part = body.len().min(room);
            let (now, later) = body.split_at(part);
            let is_last = later.is_empty();
            if part > 0 || is_last {
                let flags = if is_last && ends { END_STREAM } else { 0 };
                self.frame(DATA, flags, stream, now);
                for window in [0, stream] {
                    *self.windows.get_mut(&window).unwrap() -= i64::try_from(part).unwrap();
                }
            }
            body = later;
            let is_over = |reply: &Reply| reply.ended || reply.reset.is_some();
            if is_last || self.gone || self.replies.get(&stream).is_some_and(is_over) {
                return;
            }
            if part == 0 && self.take_frame().is_err() {
                return;
            }
        }
    }

    /// One whole request and what came back for it.
    pub fn ask(&mut self, fields: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
        let stream = self.open_stream(fields, body.is_none());
        if let Some(body) = body {
            self.send_body(stream, body, true);
        }
        self.reply(stream)
    }

    /// Waits until a stream is over, or the connection is.
    pub fn reply(&mut self, stream: u32) -> Reply {
        loop {
            let reply = self.replies.entry(stream).or_default();
            if reply.ended || reply.reset.is_some() {
                return reply.clone();
            }
            if let Err(fault) = self.take_frame() {
                let kind = fault.kind();
                assert!(
                    !matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
                    "no reply"
                );
                let mut reply = self.replies.entry(stream).or_default().clone();
                reply.reset = Some(u32::MAX);
                return reply;
            }
        }
    }

    /// Waits for the other side to close; false when patience runs out.
    pub fn closes(&mut self) -> bool {
        loop {
            if let Err(fault) = self.take_frame() {
                return !matches!(
                    fault.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                );
            }
        }
    }

    /// Reads one frame and takes note of what it says.
    pub fn take_frame(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        assert!(
            payload.len() <= FRAME_BYTES_MAX,
            "no frame: {}",
            head.escape_ascii()
        );
        self.stream.read_exact(&mut payload)?;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        };
        self.note(&frame);
        Ok(frame)
    }

    fn note(&mut self, frame: &Frame) {
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap());
        let ends = frame.flags & END_STREAM != 0;
        let reply = self.replies.entry(frame.stream).or_default();
        match frame.kind {
            HEADERS => {
                if reply.status == 0 {
                    reply.status = status_in(&frame.payload);
                }
                reply.ended |= ends;
            }
            DATA => {
                reply.body.extend_from_slice(&frame.payload);
                reply.ended |= ends;
                if !frame.payload.is_empty() {
                    let more = u32::try_from(frame.payload.len()).unwrap().to_be_bytes();
                    self.frame(WINDOW_UPDATE, 0, 0, &more);
                    self.frame(WINDOW_UPDATE, 0, frame.stream, &more);
                }
            }
            RST_STREAM => reply.reset = Some(number(&frame.payload)),
            GOAWAY => self.gone = true,
            SETTINGS if frame.flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
            PING if frame.flags & ACK == 0 => self.frame(PING, ACK, 0, &frame.payload),
            WINDOW_UPDATE => {
                *self.windows.entry(frame.stream).or_insert(65_535) +=
                    i64::from(number(&frame.payload));
            }
            _ => {}
        }
    }
}

/// A GET of a page of `shop.example.com`, with more fields after it.
pub fn get_fields<'a>(path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    fields_of("GET", path, more)
}

/// As `get_fields`, with any method.
pub fn fields_of<'a>(
    method: &'a str,
    path: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", "shop.example.com"),
        (":path", path),
    ];
    fields.extend_from_slice(more);
    fields
}

/// Every field as a literal that is not indexed (RFC 7541 section 6.2.2).
pub fn fields_in_bytes(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            put_length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// RFC 7541 section 5.1, with a prefix of seven bits.
fn put_length(block: &mut Vec<u8>, length: usize) {
    const PREFIX_MAX: usize = 127;
    if length < PREFIX_MAX {
        block.push(u8::try_from(length).unwrap());
        return;
    }
    block.push(127);
    let mut rest = length - PREFIX_MAX;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// The status, which comes first; 0 where the block is one of trailers.
fn status_in(block: &[u8]) -> u16 {
    const NAMED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let after_updates = block.iter().position(|byte| byte & 0xe0 != 0x20);
    match block[after_updates.unwrap_or(0)..] {
        [first @ 0x88..=0x8e, ..] => NAMED[usize::from(first - 0x88)],
        [0x08 | 0x18 | 0x48, length, ref rest @ ..] => {
            let text = &rest[..usize::from(length & 0x7f)];
            if length & 0x80 == 0 {
                return String::from_utf8_lossy(text).parse().unwrap();
            }
            digits_in(text)
        }
        _ => 0,
    }
}

/// Digits in the code of RFC 7541, appendix B: five bits for 0 to 2, six for the others.
fn digits_in(text: &[u8]) -> u16 {
    let mut bits = text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |place| u16::from(byte >> place & 1)));
    let mut number = 0;
    for _ in 0..3 {
        let five = bits.by_ref().take(5).fold(0, |code, bit| code * 2 + bit);
        let digit = if five < 3 {
            five
        } else {
            five * 2 + bits.next().unwrap() - 0x19 + 3
        };
        number = number * 10 + digit;
    }
    number
}
