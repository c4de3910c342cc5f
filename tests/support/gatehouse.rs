//! An edge that speaks every protocol, in front of a shop that writes down every byte.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use super::frames::{Frames, Reply};
use super::{Connection, Edge, PATIENCE, Recorder, Shop, stateless_bagisto, tick};

pub const HEAD: &str = "Host: shop.example.com\r\n";
/// What nobody may ever take for a request.
pub const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";
/// A shop whose tokens travel in a cookie, too; a dead one is refused, so that it is seen to be found.
pub const COOKIE: &str = "dead_cookie = \"refuse\"\n[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n\
     [[shop.credential]]\ncookie = \"jwt\"\n";
/// A shop whose tokens travel in a JSON body, too.
pub const BODY: &str = "[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n\
     [[shop.credential]]\nbody = \"/token\"\n";

/// An edge that speaks everything, in front of a shop that writes down what it hears; one token is dead.
pub struct Gatehouse {
    pub shop: Recorder,
    pub edge: Edge,
    pub live: String,
    pub dead: String,
}

impl Gatehouse {
    pub fn with(more: &str) -> Self {
        Self::configured("h2c = true\n", Recorder::open(), more)
    }

    pub fn configured(top: &str, shop: Recorder, more: &str) -> Self {
        let edge = Edge::with(&format!("{top}{}{more}", shop.table()));
        let mint: Shop = stateless_bagisto();
        let (live, dead) = (mint.sign_in("bob"), mint.sign_in("alice"));
        let revoke = ["revoke", "--shop", "main", "--token", "-"];
        let outcome = edge.command_with_input(&revoke, dead.as_bytes());
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        Self {
            shop,
            edge,
            live: format!("Bearer {live}"),
            dead: format!("Bearer {dead}"),
        }
    }

    /// Everything that is answered to these bytes, until the connection ends; the client sends nothing more.
    pub fn hears(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.edge.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        drop(stream.write_all(bytes));
        tick(); // a half-closed client may be given up: not before its request is read
        drop(stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// These bytes are refused, and the shop sees none of them.
    #[track_caller]
    pub fn refuses(&self, status: u16, bytes: &[u8]) -> Connection {
        let visits = self.shop.visits();
        let mut connection = Connection::open(self.edge.address());
        connection.send(bytes);
        let answer = connection.try_answer();
        let shown = bytes[..bytes.len().min(300)].escape_ascii();
        assert_eq!(self.shop.visits(), visits, "it reached the shop: {shown}");
        let answered = answer.map(|answer| answer.status).unwrap_or_default();
        assert_eq!(answered, status, "{shown}");
        connection
    }

    /// As `refuses`, and the connection ends: where the next request would begin nobody knows.
    #[track_caller]
    pub fn refuses_and_ends(&self, bytes: &[u8]) {
        let mut connection = self.refuses(400, bytes);
        let shown = bytes[..bytes.len().min(300)].escape_ascii();
        connection.send(SMUGGLED.as_bytes());
        let next = connection.try_answer();
        let next = next.map(|answer| answer.status).unwrap_or_default();
        assert_ne!(next, 200, "the connection goes on: {shown}");
        assert!(!self.shop.has_heard("GET /smuggled"), "{shown}");
    }

    /// No request of these bytes reaches the shop but the first, and no other is served on their connection.
    #[track_caller]
    pub fn smuggles_nothing(&self, bytes: &[u8]) -> String {
        let answer = self.hears(bytes);
        let shown = bytes[..bytes.len().min(400)].escape_ascii();
        for seen in self.shop.connections() {
            assert!(!seen.starts_with(b"GET /smuggled"), "{shown}");
        }
        let served = answer.matches("HTTP/1.1 200").count();
        assert!(served <= 1, "{shown}: {answer}");
        answer
    }

    /// An answer over HTTP/2, and how many requests the shop saw of it.
    pub fn asks(&self, fields: &[(&str, &str)], body: Option<&[u8]>) -> (Reply, usize) {
        let visits = self.shop.visits();
        let reply = Frames::open(self.edge.address()).ask(fields, body);
        (reply, self.shop.visits() - visits)
    }

    /// A request over HTTP/2 that reaches no shop and is not answered 200.
    #[track_caller]
    pub fn refuses_fields(&self, fields: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
        let (reply, seen) = self.asks(fields, body);
        assert_eq!(
            seen,
            0,
            "it reached the shop: {fields:?}: {}",
            self.shop.last()
        );
        let is_refused = reply.status >= 400 || reply.reset.is_some();
        assert!(is_refused, "{fields:?}: {reply:?}");
        reply
    }
}
