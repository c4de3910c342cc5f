//! One request to one of our own listeners: for the commands that talk to a running process.

use std::io::{self, Read, Write};

use http::StatusCode;

/// Sends a request that asks for the connection to be closed, and reads the whole answer.
pub fn exchange(
    mut stream: impl Read + Write,
    head: &str,
    body: &[u8],
) -> io::Result<(StatusCode, Vec<u8>)> {
    stream.write_all(head.as_bytes())?;
    let length = body.len();
    write!(
        stream,
        "Connection: close\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

fn parse(answer: &[u8]) -> Option<(StatusCode, Vec<u8>)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(answer).ok()? else {
        return None;
    };
    let status = StatusCode::from_u16(head.code?).ok()?;
    Some((status, answer[length..].to_vec()))
}
