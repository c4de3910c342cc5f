//! The client of the control socket, for the commands.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::client::{exchange, exchange_in_pieces};
use super::order::ControlOrder;
use crate::clock::UnixTime;
use crate::revocation::Meaning;

/// How long a command waits for its outcome. A node waits for its disk and for other nodes less than that.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the next piece of a long answer may take.
const PIECE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a reload may take: keys are read, and fetched.
const RELOAD_PATIENCE: Duration = Duration::from_secs(30);

/// Sends an order to the process behind a control socket, or asks for its counts if there is none.
pub fn call(
    socket: &Path,
    path: &str,
    order: Option<&ControlOrder>,
) -> io::Result<(StatusCode, Value)> {
    let body = order.map(serde_json::to_vec).transpose()?;
    let method = if body.is_some() { "POST" } else { "GET" };
    send(socket, method, path, body.unwrap_or_default(), PATIENCE)
}

/// Asks the process behind a control socket what it decided about a request.
pub fn call_explain(socket: &Path, request_id: &str) -> io::Result<(StatusCode, Value)> {
    let body = json!({ "request_id": request_id }).to_string();
    send(socket, "POST", "/explain", body.into_bytes(), PATIENCE)
}

/// Makes the process behind a control socket reload its configuration, and waits for the outcome: 200, 422
/// for a configuration with faults, 409 for one that needs a restart.
pub fn order_reload(socket: &Path) -> io::Result<(StatusCode, Value)> {
    send(socket, "POST", "/reload", Vec::new(), RELOAD_PATIENCE)
}

/// Asks the process behind a control socket for the state of its cluster, or makes it serve with what it has.
pub fn call_cluster(socket: &Path, is_forced: bool) -> io::Result<(StatusCode, Value)> {
    let (method, path) = if is_forced {
        ("POST", "/cluster/force-ready")
    } else {
        ("GET", "/cluster")
    };
    send(socket, method, path, Vec::new(), PATIENCE)
}

/// Sends another order to the process behind a control socket.
pub fn order(
    socket: &Path,
    method: &str,
    path: &str,
    body: Vec<u8>,
) -> io::Result<(StatusCode, Value)> {
    send(socket, method, path, body, PATIENCE)
}

/// Asks the process behind a control socket for a long answer, and hands its pieces to `each` as they come. What it could
/// not do comes back as one document.
pub fn call_for_pieces(
    socket: &Path,
    path: &str,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(StatusCode, Value)> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PIECE_PATIENCE))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: doorward\r\n");
    let answer = exchange_in_pieces(stream, &head, each).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            return io::ErrorKind::TimedOut.into();
        }
        error
    })?;
    let told = if answer.body().is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(answer.body())?
    };
    Ok((answer.status(), told))
}

/// A process that is stopped still takes connections until its queue is full, so a thread does the exchange, and the
/// caller waits at most `patience`.
///
/// # Errors
///
/// [`io::ErrorKind::TimedOut`]: something listens there, and has not answered.
fn send(
    socket: &Path,
    method: &str,
    path: &str,
    body: Vec<u8>,
    patience: Duration,
) -> io::Result<(StatusCode, Value)> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: doorward\r\n");
    let socket = socket.to_owned();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let answer = UnixStream::connect(socket).and_then(|stream| exchange(stream, &head, &body));
        let _ = tell.send(answer); // perhaps too late
    });
    let late = |_| {
        let why = format!("no answer within {} s", patience.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, why)
    };
    let answer = told.recv_timeout(patience).map_err(late)??;
    Ok((answer.status(), serde_json::from_slice(answer.body())?))
}

/// The meanings under which entries are in force at the process behind a control socket.
///
/// # Errors
///
/// No process answers there, or its answer can't be read.
pub fn call_meanings(socket: &Path) -> io::Result<Vec<Meaning>> {
    let (_, told) = call(socket, "/meanings", None)?;
    let told: Vec<(String, u64, u64)> = serde_json::from_value(told)?;
    let read = |(text, used, until)| Meaning {
        text,
        used: UnixTime::from_seconds(used),
        until: UnixTime::from_seconds(until),
    };
    Ok(told.into_iter().map(read).collect())
}
