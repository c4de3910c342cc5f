//! Where a request ends and what it is: whatever two servers could read differently is refused before a shop sees a
//! byte of it, in HTTP/1 and in HTTP/2.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use support::encrypted::{Certificates, Hello};
use support::frames::{self, Frames, Reply, fields_in_bytes, fields_of, get_fields};
use support::places::{chunked, noise};
use support::{
    Connection, Edge, PATIENCE, Recorder, Shop, eventually, request, stateless_bagisto, tick,
};

const HEAD: &str = "Host: shop.example.com\r\n";
/// What nobody may ever take for a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";
const COOKIE: &str = "[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n\
     [[shop.credential]]\ncookie = \"jwt\"\n";
const BODY: &str = "[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n\
     [[shop.credential]]\nbody = \"/token\"\n";

/// An edge that speaks everything, in front of a shop that writes down what it hears; one token is dead.
struct Gatehouse {
    shop: Recorder,
    edge: Edge,
    live: String,
    dead: String,
}

impl Gatehouse {
    fn with(more: &str) -> Self {
        Self::configured("h2c = true\n", Recorder::open(), more)
    }

    fn configured(top: &str, shop: Recorder, more: &str) -> Self {
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
    fn hears(&self, bytes: &[u8]) -> String {
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
    fn refuses(&self, status: u16, bytes: &[u8]) -> Connection {
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
    fn refuses_and_ends(&self, bytes: &[u8]) {
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
    fn smuggles_nothing(&self, bytes: &[u8]) -> String {
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
    fn asks(&self, fields: &[(&str, &str)], body: Option<&[u8]>) -> (Reply, usize) {
        let visits = self.shop.visits();
        let reply = Frames::open(self.edge.address()).ask(fields, body);
        (reply, self.shop.visits() - visits)
    }

    /// A request over HTTP/2 that reaches no shop and is not answered 200.
    #[track_caller]
    fn refuses_fields(&self, fields: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
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

fn post(lines: &str, body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\n{HEAD}{lines}\r\n{body}").into_bytes()
}

#[test]
fn a_length_beside_a_coding_is_refused_in_every_spelling_standards_105() {
    let scene = Gatehouse::with("");
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "transfer-encoding:chunked\r\ncontent-length:5\r\n",
        "TRANSFER-ENCODING:\tCHUNKED\r\nCONTENT-LENGTH:\t5\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: \r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5, 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: x\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\nTransfer-Encoding: chunked\n",
        "Transfer-Encoding: chunked\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n",
    ] {
        scene.refuses_and_ends(&post(lines, &format!("0\r\n\r\n{SMUGGLED}")));
    }
}

#[test]
fn a_coding_that_is_not_chunked_alone_is_refused_standards_106() {
    let scene = Gatehouse::with("");
    for line in [
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\u{b}",
        "Transfer-Encoding: chunked\u{c}",
        "Transfer-Encoding: \0chunked",
        "Transfer-Encoding: chunk ed",
        "Transfer-Encoding: \u{a0}chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: ,",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding:\r\n\tchunked",
        "Transfer-Encoding: identity\r\n , chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding\0: chunked",
        "Transfer-Encoding: chunked\rContent-Length: 5",
    ] {
        scene.refuses_and_ends(&post(
            &format!("{line}\r\n"),
            &format!("0\r\n\r\n{SMUGGLED}"),
        ));
    }
    let old = format!("POST / HTTP/1.0\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    scene.refuses_and_ends(old.as_bytes());
    for line in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: , chunked",
    ] {
        scene.smuggles_nothing(&post(
            &format!("{line}\r\n"),
            &format!("0\r\n\r\n{SMUGGLED}"),
        ));
    }
    for line in [
        "Transfer-Encoding: Chunked",
        "transfer-encoding:\t chunked \t",
    ] {
        let visits = scene.shop.visits();
        let answer = scene
            .edge
            .raw(&post(&format!("{line}\r\n"), "5\r\nhello\r\n0\r\n\r\n"));
        assert_eq!(answer, 200, "{line}");
        assert_eq!(scene.shop.visits(), visits + 1);
        assert!(
            scene
                .shop
                .last()
                .ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            "{line}"
        );
        assert!(!scene.shop.last().to_lowercase().contains("content-length"));
    }
}

#[test]
fn a_length_that_is_no_number_or_not_one_is_refused_standards_107() {
    let scene = Gatehouse::with("");
    for value in [
        "",
        "+5",
        "-5",
        "-0",
        "0x5",
        "5x",
        "x5",
        "5 5",
        "5;5",
        "5.0",
        "5e0",
        "\u{b}5",
        "5\u{b}",
        "5,6",
        "5, 6",
        "5,",
        ",5",
        "5\0",
        "18446744073709551616",
        "18446744073709551621",
        "99999999999999999999999999",
        "\u{665}",
        "5\u{a0}",
    ] {
        let line = format!("Content-Length: {value}\r\n");
        scene.smuggles_nothing(&post(&line, &format!("hello{SMUGGLED}")));
        let seen = scene.shop.visits();
        assert_eq!(seen, 0, "{value:?}");
    }
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 6\r\nX: y\r\ncontent-length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: \r\n",
        "Content-Length : 5\r\n",
        "Content-Length: 5\r\n 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5,\r\n",
        "Content-Length\0: 5\r\n",
    ] {
        scene.refuses_and_ends(&post(lines, &format!("hello{SMUGGLED}")));
    }
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
    ] {
        scene.refuses_and_ends(&post(lines, "hello"));
    }
    for lines in [
        "Content-Length: 5\r\n",
        "Content-Length:5\r\n",
        "Content-Length: 005\r\n",
    ] {
        let before = scene.shop.visits();
        scene.smuggles_nothing(&post(lines, &format!("hello{SMUGGLED}")));
        if scene.shop.visits() > before {
            let seen = scene.shop.last();
            assert!(seen.ends_with("\r\n\r\nhello"), "{lines}: {seen}");
            assert_eq!(
                seen.to_lowercase().matches("content-length").count(),
                1,
                "{seen}"
            );
        }
    }
}

#[test]
fn chunks_that_are_none_never_end_a_body_for_the_shop_standards_108() {
    for (more, read_ahead) in [("", false), (BODY, true)] {
        let scene = Gatehouse::with(more);
        for body in [
            "10000000000000000\r\nhello\r\n0\r\n\r\n",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
            "ffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
            "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
            "fffffffffffffffb\r\nhello\r\n0\r\n\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "g\r\nhello\r\n0\r\n\r\n",
            "5 5\r\nhello\r\n0\r\n\r\n",
            "5,\r\nhello\r\n0\r\n\r\n",
            "5\0\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhelloxx0\r\n\r\n",
            "4\r\nhello\r\n0\r\n\r\n",
            "5\rhello\r\n0\r\n\r\n",
            "hello",
        ] {
            let lines = "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n";
            let visits = scene.shop.visits();
            let answer = scene.smuggles_nothing(&post(lines, &format!("{body}{SMUGGLED}")));
            assert!(!answer.starts_with("HTTP/1.1 200"), "{body:?}: {answer}");
            if read_ahead {
                assert_eq!(scene.shop.visits(), visits, "{body:?}");
            } else if scene.shop.visits() > visits {
                assert!(
                    !scene.shop.last().ends_with("0\r\n\r\n"),
                    "{body:?}: {}",
                    scene.shop.last()
                );
            }
        }
        for body in [
            "\r\nhello\r\n0\r\n\r\n", // taken for a last chunk
            ";x\r\nhello\r\n0\r\n\r\n",
            "5\nhello\n0\n\n",
            "5\r\nhello\r\n0\n\n",
            "5;a=b\nx\r\nhello\r\n0\r\n\r\n",
            "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\r\n0;x\r\n\r\n",
            "5\r\nhello\r\n00000\r\n\r\n",
            "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        ] {
            let lines = "Transfer-Encoding: chunked\r\n";
            scene.smuggles_nothing(&post(lines, &format!("{body}{SMUGGLED}")));
        }
    }
}

#[test]
fn an_extension_of_a_chunk_without_end_is_bounded_standards_108() {
    let scene = Gatehouse::with("");
    let mut stream = TcpStream::connect(scene.edge.address()).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(&post("Transfer-Encoding: chunked\r\n", "5;"))
        .unwrap();
    let mut sent = 0;
    while sent < 64 << 20 && stream.write_all(&vec![b'x'; 64 << 10]).is_ok() {
        sent += 64 << 10;
    }
    assert!(sent < 64 << 20, "64 MiB of nothing were taken");
}

/// Lines that begin no request, or begin another one than they seem to.
#[test]
fn a_request_line_that_is_none_is_refused_and_never_mended_standards_103() {
    let scene = Gatehouse::with("");
    for line in [
        "GET /",
        "GET",
        "/",
        "GET / HTTP/0.9",
        "GET / HTTP/2.0",
        "GET / HTTP/3",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / http/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1 x",
        "GET / HTTP/1.1\r",
        "GET / HTTP/1.1\0",
        "GET / FTP/1.1",
        "GET / ",
        "GET /\tHTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "\tGET / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /a\tb HTTP/1.1",
        "GET /a\rb HTTP/1.1",
        "GET /\r HTTP/1.1",
        "GET \r/ HTTP/1.1",
        "GET /a\0b HTTP/1.1",
        "GET /a\u{1}b HTTP/1.1",
        "GET /a\u{7f}b HTTP/1.1",
        "GET /a\u{e9}b HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET a HTTP/1.1",
        "GET ?a HTTP/1.1",
        "GET shop.example.com:80 HTTP/1.1",
        "GE\0T / HTTP/1.1",
        "GE\rT / HTTP/1.1",
        "\rGET / HTTP/1.1",
        "GE:T / HTTP/1.1",
        "G(T / HTTP/1.1",
        "GÉT / HTTP/1.1",
        "GET /\nX / HTTP/1.1",
        "GET / HTTP/1.1\rX: y",
    ] {
        scene.refuses(400, format!("{line}\r\n{HEAD}\r\n").as_bytes());
    }
    for (bytes, seen) in [
        (
            "\r\n\r\nGET /1 HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
            "GET /1 ",
        ),
        ("GET /2 HTTP/1.1\nHost: shop.example.com\n\n", "GET /2 "),
        (
            "get /3 HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
            "get /3 ",
        ),
    ] {
        assert_eq!(scene.edge.raw(bytes.as_bytes()), 200, "{bytes:?}");
        assert!(scene.shop.last().starts_with(seen), "{bytes:?}");
        assert!(
            !scene.shop.last().replace("\r\n", "").contains('\n'),
            "{bytes:?}"
        );
    }
}

#[test]
fn every_target_that_passes_is_sent_on_as_it_was_written_standards_103_112() {
    let scene = Gatehouse::with("");
    for byte in 0x21..0x7f_u8 {
        if byte == b'#' {
            continue;
        }
        let target = format!("/a?q={}z", char::from(byte));
        let answer = scene.edge.raw(&request("GET", &target, &[], b""));
        if answer == 200 {
            let line = format!("GET {target} HTTP/1.1\r\n");
            assert!(
                scene.shop.last().starts_with(&line),
                "{}",
                scene.shop.last()
            );
        } else {
            assert_eq!(answer, 400, "{target}");
        }
    }
}

/// All that Doorward or Pingora says of a customer and the way of a request.
const IDENTITY: [&str; 14] = [
    "host",
    "Host",
    "forwarded",
    "via",
    "x-forwarded-for",
    "X-Forwarded-Proto",
    "x-forwarded-host",
    "x-forwarded-anything",
    "x_forwarded_for",
    "x-real-ip",
    "X-Request-Id",
    "x-doorward-subject",
    "x_doorward_subject",
    "content-length",
];

#[test]
fn no_connection_option_takes_away_who_the_customer_is_standards_110() {
    let scene = Gatehouse::with("");
    for name in IDENTITY {
        for option in [
            name.to_owned(),
            format!("close, {name}"),
            format!("{name}, close"),
            format!("close,,\t{name} "),
            format!("keep-alive\r\nConnection: {name}"),
            format!("{name}\r\nConnection: close"),
        ] {
            let visits = scene.shop.visits();
            let answer = scene
                .edge
                .raw(&request("GET", "/", &[("Connection", &option)], b""));
            assert_eq!(answer, 400, "{option}");
            assert_eq!(scene.shop.visits(), visits, "{option}");
        }
        let mut bytes =
            format!("GET / HTTP/1.1\r\n{HEAD}Connection: \u{e9}, {name}\r\n\r\n").into_bytes();
        let visits = scene.shop.visits();
        let answer = scene.edge.raw(&bytes);
        assert_eq!(
            (answer.status, scene.shop.visits()),
            (400, visits),
            "beside what is no ASCII: {name}"
        );
        let place = bytes.iter().position(|byte| *byte == 0xc3).unwrap();
        bytes.remove(place);
        let answer = scene.edge.raw(&bytes);
        assert_eq!(
            (answer.status, scene.shop.visits()),
            (400, visits),
            "beside a broken letter: {name}"
        );
    }
}

#[test]
fn trace_and_connect_reach_no_shop_in_http_1_and_2_standards_113() {
    let scene = Gatehouse::with("");
    for (line, status) in [
        ("TRACE / HTTP/1.1", 405),
        ("TRACE * HTTP/1.1", 405),
        ("CONNECT shop.example.com:80 HTTP/1.1", 405),
        ("CONNECT / HTTP/1.1", 405),
        ("CONNECT http://shop.example.com/ HTTP/1.1", 405),
    ] {
        let bytes = format!("{line}\r\n{HEAD}Authorization: {}\r\n\r\n", scene.live);
        let answer = scene.edge.raw(bytes.as_bytes());
        assert!(
            answer == status || answer == 400,
            "{line}: {}",
            answer.status
        );
        assert!(!answer.text().contains(&scene.live), "{line}");
    }
    assert_eq!(
        scene
            .refuses_fields(&fields_of("TRACE", "/", &[]), None)
            .status,
        405
    );
    let tunnel = [
        (":method", "CONNECT"),
        (":authority", "shop.example.com:80"),
    ];
    scene.refuses_fields(&tunnel, None);
    scene.refuses_fields(&tunnel, Some(SMUGGLED.as_bytes()));
    scene.refuses_fields(&fields_of("CONNECT", "/", &[]), None);
    let websocket = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "shop.example.com"),
        (":path", "/"),
    ];
    scene.refuses_fields(&websocket, None);
    assert_eq!(scene.shop.visits(), 0);
}

#[test]
fn a_refused_request_and_its_body_leave_nothing_behind_standards_21() {
    let scene = Gatehouse::with("");
    let dead = format!("Authorization: {}\r\n", scene.dead);
    let long = format!("{SMUGGLED}{}", "x".repeat(100_000));
    let chunks = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let heads = [
        format!("POST / HTTP/1.1\r\n{HEAD}{dead}"),
        "POST / HTTP/1.1\r\n".to_owned(),
        format!("POST / HTTP/1.1\r\n{HEAD}{HEAD}"),
        format!("TRACE / HTTP/1.1\r\n{HEAD}"),
        format!("POST / HTTP/1.1\r\n{HEAD}Connection: via\r\n"),
        format!("POST / HTTP/1.1\r\n{HEAD}Authorization: Bearer\r\n"),
        format!("POST a HTTP/1.1\r\n{HEAD}"),
        format!("GET / HTTP/1.1\r\n{HEAD}{dead}"),
        format!("HEAD / HTTP/1.1\r\n{HEAD}{dead}"),
    ];
    for head in &heads {
        for (framing, body) in [
            (format!("Content-Length: {}\r\n", SMUGGLED.len()), SMUGGLED),
            (format!("Content-Length: {}\r\n", long.len()), &*long),
            ("Transfer-Encoding: chunked\r\n".to_owned(), &*chunks),
            (
                format!(
                    "Expect: 100-continue\r\nContent-Length: {}\r\n",
                    SMUGGLED.len()
                ),
                SMUGGLED,
            ),
        ] {
            for late in [false, true] {
                let mut connection = Connection::open(scene.edge.address());
                let first = format!("{head}{framing}\r\n");
                let second = request("GET", "/second", &[("Authorization", &scene.live)], b"");
                let visits = scene.shop.visits();
                let mut all = first.clone().into_bytes();
                if late {
                    connection.send(&all);
                    all.clear();
                    assert!(
                        connection.try_answer().is_ok_and(|it| it.status >= 400),
                        "{first}"
                    );
                }
                all.extend(body.bytes());
                all.extend(second);
                connection.send(&all);
                let mut served = 0;
                while let Ok(answer) = connection.try_answer() {
                    served += usize::from(answer.status == 200);
                    if served > 0 {
                        break;
                    }
                }
                assert_eq!(scene.shop.visits(), visits + served, "{first}");
                assert!(!scene.shop.has_heard("/smuggled"), "{first}");
            }
        }
    }
}

#[test]
fn a_client_that_is_still_sending_a_refused_body_hears_why_standards_21() {
    let scene = Gatehouse::with("");
    let body = vec![b'b'; 8 << 20];
    for (headers, status) in [
        ([("Authorization", &*scene.dead)], 401),
        ([("Connection", "via")], 400),
    ] {
        let mut connection = Connection::open(scene.edge.address());
        let answer = connection.ask(&request("POST", "/", &headers, &body));
        assert_eq!(answer, status);
        let reply = scene.refuses_fields(
            &fields_of("POST", "/", &[("authorization", &scene.dead)]),
            Some(&body),
        );
        assert_eq!(reply.status, 401, "in HTTP/2");
    }
    assert_eq!(scene.shop.visits(), 0);
}

#[test]
fn what_is_refused_before_it_is_judged_is_counted() {
    let scene = Gatehouse::with("");
    for (bytes, code) in [
        (&b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"[..], 405),
        (b"GET / HTTP/1.1\r\nA b\r\n\r\n", 400),
        (
            b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ] {
        assert_eq!(scene.edge.raw(bytes), code, "{}", bytes.escape_ascii());
    }
    let mut connection = Connection::open(scene.edge.address());
    assert_eq!(connection.ask(&request("GET", "/", &[], b"")), 200);
    assert_eq!(
        connection.ask(b"NONSENSE\r\n\r\n"),
        400,
        "behind another request"
    );
    let metrics = scene.edge.metrics();
    for line in [
        "doorward_requests_total{shop=\"\",code=\"405\"} 1",
        "doorward_requests_total{shop=\"\",code=\"400\"} 5",
        "doorward_requests_total{shop=\"main\",code=\"200\"} 1",
        "doorward_decisions_total{shop=\"\",verdict=\"malformed\",detail=\"\"} 6",
    ] {
        assert!(
            metrics.lines().any(|known| known == line),
            "{line}:\n{metrics}"
        );
    }
}

#[test]
fn bytes_that_follow_a_request_at_once_are_its_own_request_or_none_standards_109() {
    let scene = Gatehouse::with("");
    let body = noise(30_000);
    let first = request("POST", "/first", &[("Authorization", &scene.live)], &body);
    let dead = request("GET", "/second", &[("Authorization", &scene.dead)], b"");
    let whole = [&first[..], &dead].concat();
    for cut in [
        whole.len(),
        first.len() + 1,
        first.len() + 20,
        first.len(),
        first.len() - 1,
        40,
    ] {
        let mut connection = Connection::open(scene.edge.address());
        connection.send(&whole[..cut]);
        tick();
        connection.send(&whole[cut..]);
        let mut statuses = Vec::new();
        while let Ok(answer) = connection.try_answer() {
            statuses.push(answer.status);
            if statuses.len() == 2 {
                break;
            }
        }
        assert!(
            [&[][..], &[200], &[200, 401]].contains(&&statuses[..]),
            "cut at {cut}: {statuses:?}"
        );
        assert!(!scene.shop.has_heard("/second"), "cut at {cut}");
    }
    let closing = request("GET", "/", &[("Connection", "close")], b"");
    scene.smuggles_nothing(&[&closing[..], SMUGGLED.as_bytes()].concat());
    let old = format!("GET / HTTP/1.0\r\n{HEAD}Connection: keep-alive\r\n\r\n{SMUGGLED}");
    scene.smuggles_nothing(old.as_bytes());
}

#[test]
fn bytes_behind_an_upgrade_wait_for_it_standards_114() {
    let scene = Gatehouse::with("");
    for upgrade in ["websocket", "h2c", "foo", "websocket, h2c"] {
        let head = format!(
            "GET /ws HTTP/1.1\r\n{HEAD}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n"
        );
        let answer = scene.smuggles_nothing(&[head.as_bytes(), SMUGGLED.as_bytes()].concat());
        assert!(!answer.starts_with("HTTP/1.1 101"), "{upgrade}");
        assert!(!scene.shop.has_heard("/smuggled"), "{upgrade}");
        assert!(!scene.shop.has_heard("http2-settings"), "{upgrade}");
    }
}

#[test]
fn a_client_that_has_finished_sending_hears_why_it_was_refused() {
    let scene = Gatehouse::with("");
    for (bytes, status) in [
        (
            request("GET", "/", &[("Authorization", &scene.dead)], b""),
            "401",
        ),
        (request("GET", "/", &[("Host", "")], b""), "400"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "400"),
        (b"NONSENSE\r\n\r\n".to_vec(), "400"),
        (
            request("GET", &format!("/{}", "t".repeat(20_000)), &[], b""),
            "414",
        ),
        (
            request("GET", "/", &[("X", &"h".repeat(40_000))], b""),
            "431",
        ),
    ] {
        let mut stream = TcpStream::connect(scene.edge.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        drop(stream.write_all(&bytes));
        drop(stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let line = format!("HTTP/1.1 {status} ");
        assert!(
            answer.starts_with(line.as_bytes()),
            "{status}: {}",
            answer.escape_ascii()
        );
    }
    let answer = scene.hears(&request("GET", "/", &[], b""));
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 200 "),
        "{answer}"
    );
    let cut = request("POST", "/", &[("Content-Length", "9")], b"short");
    let answer = scene.hears(&cut);
    assert!(!answer.starts_with("HTTP/1.1 200 "), "{answer}");
    eventually(|| scene.edge.metrics().contains("doorward_connections 0\n"));
}

#[test]
fn who_is_asked_to_wait_is_refused_without_being_read() {
    let scene = Gatehouse::with(BODY);
    let length = (65_537).to_string();
    let waits = [
        ("Expect", "100-continue"),
        ("Content-Type", "application/json"),
        ("Content-Length", &*length),
    ];
    let mut connection = Connection::open(scene.edge.address());
    connection.send(&request("POST", "/", &waits, b""));
    assert_eq!(connection.interim(), 413);
    assert_eq!(scene.shop.visits(), 0);
}

#[test]
fn a_host_of_http_2_is_one_and_in_the_right_place_standards_101_121() {
    let scene = Gatehouse::with("");
    let base = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let with = |more: &[(&'static str, &'static str)]| [&base, more].concat();
    for fields in [
        with(&[]),
        with(&[(":authority", "")]),
        with(&[
            (":authority", "shop.example.com"),
            ("host", "other.example.com"),
        ]),
        with(&[(":authority", "shop.example.com"), ("host", "")]),
        with(&[
            (":authority", "shop.example.com"),
            ("host", "shop.example.com:80"),
        ]),
        with(&[(":authority", "user@shop.example.com")]),
        with(&[(":authority", "shop.example.com/x")]),
        with(&[(":authority", "shop.example.com\r\nX: y")]),
        with(&[(":authority", "shop.example.com other")]),
        with(&[(":authority", "a,b")]),
        with(&[("host", "shop.example.com"), ("host", "shop.example.com")]),
        with(&[("host", "")]),
        with(&[("host", "a/b")]),
        with(&[
            (":authority", "shop.example.com"),
            (":authority", "other.example.com"),
        ]),
        with(&[(":authority", "[::1")]),
    ] {
        scene.refuses_fields(&fields, None);
    }
    for fields in [
        with(&[(":authority", "shop.example.com")]),
        with(&[("host", "shop.example.com")]),
        with(&[
            (":authority", "shop.example.com"),
            ("host", "shop.example.com"),
        ]),
    ] {
        let (reply, seen) = scene.asks(&fields, None);
        assert_eq!((reply.status, seen), (200, 1), "{fields:?}");
        let seen = scene.shop.last().to_ascii_lowercase();
        assert_eq!(
            seen.matches("\r\nhost: shop.example.com\r\n").count(),
            1,
            "{seen}"
        );
        assert_eq!(seen.matches("\r\nhost:").count(), 1, "{seen}");
        assert!(seen.starts_with("get / http/1.1\r\n"), "{seen}");
        assert!(
            seen.contains("\r\nx-forwarded-host: shop.example.com\r\n"),
            "{seen}"
        );
        assert!(seen.contains("\r\nx-forwarded-proto: http\r\n"), "{seen}");
        assert!(seen.contains("\r\nvia: 2.0 doorward\r\n"), "{seen}");
    }
}

#[test]
fn malformed_fields_of_http_2_reach_no_shop_standards_120_121() {
    let scene = Gatehouse::with("");
    for more in [
        ("X-Upper", "a"),
        ("x y", "a"),
        ("x:y", "a"),
        ("", "a"),
        ("x\r\ny", "a"),
        ("x\0", "a"),
        ("x\u{7f}", "a"),
        ("x-a", "b\r\nX-Smuggled: c"),
        ("x-a", "b\nX-Smuggled: c"),
        ("x-a", "b\rc"),
        ("x-a", "b\0c"),
        ("connection", "close"),
        ("connection", "authorization"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, chunked"),
        (":evil", "a"),
        (":path", "/other"),
        (":method", "POST"),
        (":status", "200"),
        ("content-length", "5"),
        ("content-length", "-1"),
        ("content-length", "x"),
    ] {
        let reply = scene.refuses_fields(&get_fields("/", &[more]), None);
        assert_ne!(reply.status, 200, "{more:?}");
    }
    let lengths = [("content-length", "0"), ("content-length", "1")];
    scene.refuses_fields(&get_fields("/", &lengths), None);
    let late = [
        (":method", "GET"),
        (":scheme", "http"),
        ("x-a", "b"),
        (":authority", "shop.example.com"),
        (":path", "/"),
    ];
    scene.refuses_fields(&late, None);
    for missing in 0..4 {
        let mut fields = get_fields("/", &[]);
        if fields.remove(missing).0 != ":authority" {
            scene.refuses_fields(&fields, None);
        }
    }
    assert!(!scene.shop.has_heard("smuggled"));
}

#[test]
fn a_target_of_http_2_is_judged_like_any_other_standards_102_103() {
    let scene = Gatehouse::with("");
    for path in [
        "",
        "a",
        "*",
        "http://shop.example.com/",
        "http://evil.example.com/",
        "http:/\\evil.example.com/",
        "shop.example.com:80",
        "/a b",
        "/a HTTP/1.1\r\nX-Smuggled: y\r\n\r\n",
        "/a\r\nX-Smuggled: y",
        "/a\nb",
        "/a\tb",
        "/a\0b",
        "/a\u{7f}",
        "/a\u{e9}",
        "?a",
    ] {
        scene.refuses_fields(&get_fields(path, &[]), None);
    }
    for path in ["/", "/a?b=c", "/%00", "//x", "/a/../b"] {
        let (reply, _) = scene.asks(&get_fields(path, &[]), None);
        if reply.status == 200 {
            assert!(
                scene
                    .shop
                    .last()
                    .starts_with(&format!("GET {path} HTTP/1.1\r\n")),
                "{path}"
            );
        }
    }
    let smuggling = [
        ("GET / HTTP/1.1\r\nX", "/"),
        ("GET /x", "/"),
        ("G ET", "/"),
        ("", "/"),
    ];
    for (method, path) in smuggling {
        scene.refuses_fields(&fields_of(method, path, &[]), None);
    }
}

#[test]
fn a_length_of_http_2_must_be_that_of_the_body_standards_122() {
    for more in ["", BODY] {
        let scene = Gatehouse::with(more);
        let json = ("content-type", "application/json");
        for (length, body) in [
            ("5", "hell"),
            ("5", "hello!"),
            ("0", "x"),
            ("5", ""),
            ("100000", "{}"),
        ] {
            let fields = fields_of("POST", "/", &[json, ("content-length", length)]);
            let reply = Frames::open(scene.edge.address()).ask(&fields, Some(body.as_bytes()));
            assert_ne!(reply.status, 200, "{length} and {body:?}");
        }
        for seen in scene.shop.connections() {
            let seen = String::from_utf8_lossy(&seen).to_lowercase();
            let length = seen
                .split_once("content-length: ")
                .and_then(|(_, rest)| rest.lines().next());
            let body = seen.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            assert!(
                length == 0 || body.len() < length,
                "whole for the shop: {seen}"
            );
        }
        let fields = fields_of("POST", "/", &[json, ("content-length", "2")]);
        let scene = Gatehouse::with(more);
        let (reply, seen) = scene.asks(&fields, Some(b"{}"));
        assert_eq!((reply.status, seen), (200, 1));
        assert!(scene.shop.last().ends_with("\r\n\r\n{}"));
    }
}

#[test]
fn the_crumbs_of_a_cookie_are_judged_each_and_joined_for_the_shop_standards_122_d1() {
    let scene = Gatehouse::with(COOKIE);
    let token = |bearer: &str| format!("jwt={}", bearer.trim_start_matches("Bearer "));
    let (live, dead) = (token(&scene.live), token(&scene.dead));
    let joined = format!("a=1; {dead}; b=2");
    for crumbs in [
        vec!["a=1", &*dead, "b=2"],
        vec![&*dead],
        vec!["a=1", &*dead],
        vec![&*live, &*dead],
        vec![&*dead, &*live],
        vec!["a=1", &*joined],
    ] {
        let crumbs: Vec<_> = crumbs.iter().map(|crumb| ("cookie", *crumb)).collect();
        let reply = scene.refuses_fields(&get_fields("/", &crumbs), None);
        assert!(matches!(reply.status, 400 | 401), "{crumbs:?}: {reply:?}");
    }
    let crumbs = [
        ("cookie", "a=1"),
        ("cookie", &*live),
        ("x", "y"),
        ("cookie", "b=2; c=3"),
    ];
    let (reply, seen) = scene.asks(&get_fields("/", &crumbs), None);
    assert_eq!((reply.status, seen), (200, 1));
    let seen = scene.shop.last();
    assert_eq!(
        seen.to_lowercase().matches("\r\ncookie:").count(),
        1,
        "{seen}"
    );
    assert!(
        seen.to_lowercase()
            .contains(&format!("\r\ncookie: a=1; {live}; b=2; c=3\r\n").to_lowercase()),
        "{seen}"
    );
    let (head, tail) = dead.split_at(30);
    let reply = Frames::open(scene.edge.address()).ask(
        &get_fields("/", &[("cookie", head), ("cookie", tail)]),
        None,
    );
    assert!(
        !scene.shop.has_heard(&dead),
        "a token in two crumbs was put together: {reply:?}"
    );
}

type Way<'w> = &'w dyn Fn(&[(&str, &str)]) -> Reply;

#[test]
fn a_dead_token_is_dead_in_http_2_with_and_without_tls() {
    let files = Certificates::default();
    files.issue("shop", &["shop.example.com"]);
    let top = format!(
        "listen = [\"https://127.0.0.1:0\"]\n{}",
        files.table("shop")
    );
    let h2 = Hello {
        alpn: &["h2"],
        ..Hello::default()
    };
    let plain = Gatehouse::with("");
    let encrypted = Gatehouse::configured(&top, Recorder::open(), "");
    let over_tls =
        |fields: &[(&str, &str)]| Frames::over(h2.to(encrypted.edge.address())).ask(fields, None);
    let over_tcp = |fields: &[(&str, &str)]| Frames::open(plain.edge.address()).ask(fields, None);
    let ways: [(&Gatehouse, Way<'_>); 2] = [(&plain, &over_tcp), (&encrypted, &over_tls)];
    for (scene, ask) in ways {
        let dead = ("authorization", &*scene.dead);
        for method in ["GET", "POST", "HEAD", "OPTIONS", "FOO"] {
            assert_eq!(
                ask(&fields_of(method, "/", &[dead])).status,
                401,
                "{method}"
            );
        }
        let twice = [("authorization", &*scene.live), dead];
        assert_eq!(ask(&get_fields("/", &twice)).status, 400);
        assert_eq!(scene.shop.visits(), 0);
        assert_eq!(ask(&get_fields("/", &twice[..1])).status, 200);
        assert!(scene.shop.has_heard(&scene.live));
    }
}

#[test]
fn a_logout_in_http_2_is_one() {
    let scene = Gatehouse::with("");
    let bearer = ("authorization", &*scene.live);
    let mut frames = Frames::open(scene.edge.address());
    assert_eq!(frames.ask(&get_fields("/", &[bearer]), None).status, 200);
    let logout = fields_of("POST", "/_doorward/logout", &[bearer]);
    assert_eq!(frames.ask(&logout, None).status, 200);
    assert_eq!(
        frames.ask(&get_fields("/", &[bearer]), None).status,
        401,
        "on the same connection"
    );
    assert_eq!(
        scene
            .edge
            .raw(&request("GET", "/", &[("Authorization", &scene.live)], b"")),
        401
    );
}

#[test]
fn trailers_bring_no_credential_in_http_1_and_2_standards_10() {
    let route = "[[shop.route]]\npaths = [\"/closed\"]\nenforce = \"required\"\n";
    let scene = Gatehouse::with(route);
    let send = |path: &str, fields: &[(&str, &str)], trailer: &[(&str, &str)]| {
        let mut frames = Frames::open(scene.edge.address());
        let stream = frames.open_stream(&fields_of("POST", path, fields), false);
        frames.send_body(stream, b"{}", false);
        let flags = frames::END_STREAM | frames::END_HEADERS;
        frames.frame(frames::HEADERS, flags, stream, &fields_in_bytes(trailer));
        frames.reply(stream)
    };
    for bearer in [&scene.live, &scene.dead] {
        let trailer = [("authorization", &**bearer)];
        assert_eq!(send("/closed", &[], &trailer).status, 401);
    }
    assert_eq!(scene.shop.visits(), 0);
    let live = [("authorization", &*scene.live)];
    send(
        "/closed",
        &live,
        &[
            ("authorization", "Bearer of-the-trailer"),
            ("x-doorward-subject", "1"),
        ],
    );
    let mut bytes = chunked("/closed", &[("Authorization", &scene.live)], b"{}", 2);
    bytes.truncate(bytes.len() - 2);
    bytes.extend(b"Authorization: Bearer of-the-trailer\r\nX-Doorward-Subject: 1\r\n\r\n");
    scene.edge.raw(&bytes);
    for seen in scene.shop.connections() {
        let seen = String::from_utf8_lossy(&seen).into_owned();
        let (head, _) = seen.split_once("\r\n\r\n").unwrap_or((&seen, ""));
        assert!(
            !head.contains("of-the-trailer") && !head.to_lowercase().contains("x-doorward"),
            "{seen}"
        );
    }
}

#[test]
fn a_body_of_http_2_that_is_read_ahead_arrives_whole_or_not_at_all() {
    const READ_AHEAD: usize = 64 << 10;
    let scene = Gatehouse::with(BODY);
    for length in [
        1,
        16_384,
        16_385,
        65_535,
        READ_AHEAD,
        READ_AHEAD + 1,
        READ_AHEAD + 20_000,
    ] {
        for announced in [false, true] {
            let body = noise(length);
            let text = length.to_string();
            let more = [
                ("content-type", "application/octet-stream"),
                ("content-length", &*text),
            ];
            let fields = fields_of("POST", "/", &more[..=usize::from(announced)]);
            let (reply, seen) = scene.asks(&fields, Some(&body));
            if length > READ_AHEAD {
                assert_eq!((reply.status, seen), (413, 0), "{length}");
                continue;
            }
            let arrived = scene.shop.connections().pop().unwrap_or_default();
            assert_eq!(
                (reply.status, seen),
                (200, 1),
                "{length}: {}",
                String::from_utf8_lossy(&reply.body)
            );
            let start = arrived
                .windows(4)
                .position(|part| part == b"\r\n\r\n")
                .unwrap()
                + 4;
            assert!(unchunked(&arrived, start) == body, "{length}");
        }
    }
}

/// The body of a request as it arrived, without its coding.
fn unchunked(bytes: &[u8], start: usize) -> Vec<u8> {
    let (head, mut rest) = bytes.split_at(start);
    if !String::from_utf8_lossy(head)
        .to_lowercase()
        .contains("transfer-encoding")
    {
        return rest.to_vec();
    }
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|part| part == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}

#[test]
fn the_shop_is_told_which_version_the_customer_spoke_standards_111() {
    let scene = Gatehouse::with("");
    scene
        .edge
        .raw(&request("GET", "/", &[("Via", "1.0 before")], b""));
    let seen = scene.shop.last().to_lowercase();
    let first = seen.find("via: 1.0 before").unwrap();
    assert!(seen.find("1.1 doorward").unwrap() > first, "{seen}");
    scene
        .edge
        .raw(format!("GET / HTTP/1.0\r\n{HEAD}\r\n").as_bytes());
    assert!(
        scene
            .shop
            .last()
            .to_lowercase()
            .contains("via: 1.0 doorward\r\n"),
        "{}",
        scene.shop.last()
    );
    scene.asks(&get_fields("/", &[("via", "2.0 before")]), None);
    let seen = scene.shop.last().to_lowercase();
    assert!(
        seen.contains("2.0 before") && seen.contains("2.0 doorward"),
        "{seen}"
    );
}

#[test]
fn http_2_without_tls_is_spoken_only_where_it_is_configured() {
    let scene = Gatehouse::configured("", Recorder::open(), "");
    let mut stream = TcpStream::connect(scene.edge.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    assert!(
        answer.starts_with(b"HTTP/1.1 400 "),
        "{}",
        answer.escape_ascii()
    );
    let nearly = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rx";
    let scene = Gatehouse::with("");
    let answer = scene.hears(nearly);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(scene.shop.visits(), 0);
}

#[test]
fn nothing_that_a_client_sends_panics() {
    let scene = Gatehouse::with(BODY);
    let seed: u64 = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    eprintln!("seed {seed}");
    let mut state = seed | 1;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let words: [&[u8]; 24] = [
        b"GET ",
        b"POST ",
        b"/ ",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
        b"Host: shop.example.com",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Expect: 100-continue",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\x04\0\0\0\0\0",
        b"\0\0\x05\x01\x05\0\0\0\x01\x82\x84\x86\x41\x00",
        b"\xff\xfe",
        b"Upgrade: websocket",
    ];
    for _ in 0..400 {
        let mut bytes = Vec::new();
        for _ in 0..=random(14) {
            bytes.extend_from_slice(words[random(words.len())]);
        }
        let mut stream = TcpStream::connect(scene.edge.address()).unwrap();
        for part in bytes.chunks(1 + random(bytes.len())) {
            drop(stream.write_all(part));
        }
        if random(2) == 0 {
            drop(stream.shutdown(Shutdown::Write));
            stream.set_read_timeout(Some(PATIENCE / 100)).unwrap();
            drop(stream.read(&mut [0; 100]));
        }
    }
    eventually(|| scene.edge.metrics().contains("doorward_connections 0\n"));
    let lines = scene.edge.log_lines().join("\n");
    assert!(!lines.contains("panicked"), "{lines}");
    assert_eq!(scene.edge.raw(&request("GET", "/", &[], b"")), 200);
}
