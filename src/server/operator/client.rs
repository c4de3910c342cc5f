//! One request to a listener of a Doorward process, for the commands and for the self-probe.

use std::io::{self, Read, Write};

use http::{Response, StatusCode};

/// How long the head of an answer of ours may be.
const ANSWER_HEAD_BYTES_MAX: usize = 16 << 10;

/// Sends a request that asks for the connection to be closed, and reads the whole answer.
pub fn exchange(
    mut stream: impl Read + Write,
    head: &str,
    body: &[u8],
) -> io::Result<Response<Vec<u8>>> {
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

/// Sends a request without body that asks for the connection to be closed. The body of a successful answer goes to `each`,
/// piece by piece.
pub(crate) fn exchange_in_pieces(
    mut stream: impl Read + Write,
    head: &str,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Response<Vec<u8>>> {
    write!(stream, "{head}Connection: close\r\n\r\n")?;
    stream.flush()?;
    let (mut answer, mut block) = (Vec::new(), vec![0; 64 << 10]);
    let mut head: Option<Response<Vec<u8>>> = None;
    loop {
        let length = stream.read(&mut block)?;
        match &mut head {
            Some(head) if head.status().is_success() => each(&block[..length])?,
            Some(head) => head.body_mut().extend_from_slice(&block[..length]),
            None => {
                answer.extend_from_slice(&block[..length]);
                head = parse(&answer);
                if let Some(head) = head.as_mut().filter(|head| head.status().is_success()) {
                    each(&std::mem::take(head.body_mut()))?;
                }
            }
        }
        if length == 0 {
            let not_http = || io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer");
            return head.ok_or_else(not_http);
        }
        if head.is_none() && answer.len() > ANSWER_HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Sends a request without body that asks for the connection to be closed, and reads as far as the status.
pub(crate) fn status_of(mut stream: impl Read + Write, head: &str) -> io::Result<StatusCode> {
    write!(stream, "{head}Connection: close\r\n\r\n")?;
    stream.flush()?;
    let (mut answer, mut block) = (Vec::new(), [0; 1 << 10]);
    loop {
        let length = stream.read(&mut block)?;
        answer.extend_from_slice(&block[..length]);
        if let Some(answer) = parse(&answer) {
            return Ok(answer.status());
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if answer.len() > ANSWER_HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// The head, and what has come of the body.
fn parse(answer: &[u8]) -> Option<Response<Vec<u8>>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(answer).ok()? else {
        return None;
    };
    let lines = head.headers.iter().map(|line| (line.name, line.value));
    let response = Response::builder().status(head.code?);
    let response = lines.fold(response, |response, (name, value)| {
        response.header(name, value)
    });
    response.body(answer[length..].to_vec()).ok()
}
