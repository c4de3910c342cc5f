//! A relay in front of a server: on a unix socket, or reading the PROXY header that every connection begins with.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use socket2::Socket;

/// Passes bytes on to a server, both ways.
pub struct Relay {
    address: Option<SocketAddr>,
    headers: Arc<Mutex<Vec<Vec<u8>>>>,
    _socket: Option<SocketFile>,
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

impl Relay {
    /// On a unix socket with this path.
    pub fn on_socket(path: &Path, to: SocketAddr) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let headers = Arc::default();
        let noted = Arc::clone(&headers);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                note(&noted, Vec::new());
                thread::spawn(move || pass(&stream.into(), to));
            }
        });
        Self {
            address: None,
            headers,
            _socket: Some(SocketFile(path.to_owned())),
        }
    }

    /// On a port of its own, for connections that begin with a PROXY header.
    pub fn behind_headers(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let headers = Arc::default();
        let noted = Arc::clone(&headers);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let noted = Arc::clone(&noted);
                thread::spawn(move || {
                    if let Ok(header) = read_header(&mut stream) {
                        note(&noted, header);
                        pass(&stream.into(), to);
                    }
                });
            }
        });
        Self {
            address: Some(address),
            headers,
            _socket: None,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    /// The PROXY header of each connection so far; empty ones on a unix socket.
    pub fn headers(&self) -> Vec<Vec<u8>> {
        self.headers.lock().unwrap().clone()
    }
}

fn note(headers: &Mutex<Vec<Vec<u8>>>, header: Vec<u8>) {
    headers.lock().unwrap().push(header);
}

fn read_header(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut header = vec![0; 16];
    stream.read_exact(&mut header[..6])?;
    if header.starts_with(b"PROXY ") {
        header.truncate(6);
        while !header.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            header.extend(byte);
        }
        return Ok(header);
    }
    stream.read_exact(&mut header[6..])?;
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    header.resize(16 + length, 0);
    stream.read_exact(&mut header[16..])?;
    Ok(header)
}

/// Both ways, until one side closes.
fn pass(stream: &Socket, to: SocketAddr) {
    let Ok(server) = TcpStream::connect(to) else {
        return;
    };
    server.set_nodelay(true).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            drop(copy(stream, &server));
            drop(server.shutdown(Shutdown::Write));
        });
        drop(copy(&server, stream));
        drop(stream.shutdown(Shutdown::Both));
    });
}

fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut block = [0; 16 * 1024];
    loop {
        let length = from.read(&mut block)?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&block[..length])?;
    }
}
