//! What one client may take: each limit lets through what is just under it and turns away what is just over it, and
//! who is turned away costs nobody else anything.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use support::encrypted::{Certificates, Hello};
use support::frames::{Frames, fields_of, get_fields};
use support::{Answer, Connection, Edge, PATIENCE, Recorder, eventually, request, tick, try_raw};
use tokio::net::TcpSocket;

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "how long something takes is what is tested"
)]
fn now() -> Instant {
    Instant::now()
}

/// An edge with these limits in front of a shop that writes everything down.
fn limited(limits: &str) -> (Recorder, Edge) {
    limited_by("", limits)
}

/// As `limited`; `top` are keys of the whole process.
fn limited_by(top: &str, limits: &str) -> (Recorder, Edge) {
    let shop = Recorder::open();
    let edge = Edge::with(&format!("{top}[limits]\n{limits}{}", shop.table()));
    (shop, edge)
}

/// What a counter says; 0 where it was never counted.
fn counted(edge: &Edge, name: &str) -> u64 {
    let metrics = edge.metrics();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

/// How often this limit was reached.
fn hits(edge: &Edge, limit: &str) -> u64 {
    counted(
        edge,
        &format!("doorward_limits_hit_total{{limit=\"{limit}\"}}"),
    )
}

/// How many connections there are.
fn connections(edge: &Edge) -> u64 {
    counted(edge, "doorward_connections ")
}

/// A request that never got as far as a shop is counted by its status and by the reason.
#[track_caller]
fn counts_unread(edge: &Edge, code: u16, reason: &str, times: u64) {
    let code = format!("doorward_requests_total{{shop=\"\",code=\"{code}\"}}");
    let verdict = format!("doorward_decisions_total{{shop=\"\",verdict=\"{reason}\",detail=\"\"}}");
    eventually(|| counted(edge, &code) == times);
    assert_eq!(counted(edge, &verdict), times, "{}", edge.metrics());
}

/// A connection whose client has this address, and a receive buffer of this size.
fn from(client: &str, buffer: Option<u32>, address: SocketAddr) -> io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        if let Some(buffer) = buffer {
            socket.set_recv_buffer_size(buffer)?;
        }
        socket.bind(SocketAddr::new(client.parse().unwrap(), 0))?;
        socket.connect(address).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a request and reads until the other side has nothing more to say.
fn all_of(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    answer
}

/// Whether the other side has closed without a word.
fn is_closed_silently(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(length) => length == 0,
        Err(fault) => fault.kind() == io::ErrorKind::ConnectionReset,
    }
}

/// Whether a request on this connection is answered 200.
fn is_served(stream: &mut TcpStream) -> bool {
    let bytes = request("GET", "/", &[("Connection", "close")], b"");
    all_of(stream, &bytes).starts_with(b"HTTP/1.1 200")
}

/// A head of exactly this many bytes.
fn head_of(bytes: usize, method: &str, more: &str) -> (String, String) {
    let start = format!("{method} / HTTP/1.1\r\nHost: shop.example.com\r\n{more}X-Pad: ");
    let pad = "p".repeat(bytes - start.len() - 4);
    (format!("{start}{pad}\r\n\r\n"), pad)
}

#[test]
fn a_header_block_up_to_the_limit_passes_whole_and_one_byte_more_is_431_standards_116() {
    for (limits, limit) in [("", 32 << 10), ("header_bytes = 2000\n", 2000)] {
        let (shop, edge) = limited(limits);
        let (fits, pad) = head_of(limit, "GET", "");
        assert_eq!(fits.len(), limit);
        assert_eq!(edge.raw(fits.as_bytes()), 200);
        let padded = format!("\r\nX-Pad: {pad}\r\n");
        assert!(shop.last().contains(&padded), "as it was sent");
        let visits = shop.visits();
        for times in 1..=3 {
            let (long, _) = head_of(limit + 1, "GET", "");
            let mut connection = Connection::open(edge.address());
            let answer = connection.ask(long.as_bytes());
            assert_eq!(answer, 431);
            assert_eq!(answer.header("connection"), Some("close"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert!(connection.closes());
            counts_unread(&edge, 431, "head_too_long", times);
        }
        assert_eq!(shop.visits(), visits, "the shop heard nothing of it");
    }
}

#[test]
fn the_limit_of_a_header_block_is_that_of_every_request_on_a_connection_and_of_no_body_standards_116()
 {
    let (shop, edge) = limited("header_bytes = 2000\n");
    let mut connection = Connection::open(edge.address());
    let body = "b".repeat(50_000);
    for _ in 0..3 {
        let (head, _) = head_of(2000, "POST", "Content-Length: 50000\r\n");
        assert_eq!(connection.ask(format!("{head}{body}").as_bytes()), 200);
        assert!(shop.last().ends_with(&body));
    }
    let visits = shop.visits();
    assert_eq!(connection.ask(head_of(2001, "GET", "").0.as_bytes()), 431);
    assert!(connection.closes());
    let mut connection = Connection::open(edge.address());
    connection.send(b"GET / HTTP/1.1\r\n");
    for _ in 0..200 {
        connection.send(b"A: bcdefghijkl\r\n");
    }
    assert_eq!(connection.answer(), 431, "before it is over");
    let mut connection = Connection::open(edge.address());
    connection.send(&b"\r\n".repeat(1500));
    assert_eq!(connection.answer(), 431, "empty lines count");
    let mut connection = Connection::open(edge.address());
    connection.send(&b"G".repeat(5000));
    assert_eq!(connection.answer(), 431, "a line without end");
    assert_eq!(shop.visits(), visits);
}

#[test]
fn the_answer_to_a_long_header_block_arrives_although_the_client_is_still_sending_standards_116() {
    let (shop, edge) = limited("");
    for length in [40_000, 300_000, 900_000] {
        let answer = edge.raw(head_of(length, "GET", "").0.as_bytes());
        assert_eq!(answer, 431, "{length} bytes");
    }
    assert_eq!(shop.visits(), 0);
    eventually(|| connections(&edge) == 0);
}

#[test]
fn more_fields_than_can_be_held_are_refused_and_counted_standards_116() {
    let (shop, edge) = limited("");
    let lines = "a: b\r\n".repeat(300);
    let head = format!("GET / HTTP/1.1\r\nHost: shop.example.com\r\n{lines}\r\n");
    assert_eq!(edge.raw(head.as_bytes()), 400);
    counts_unread(&edge, 400, "malformed", 1);
    assert_eq!(shop.visits(), 0);
}

#[test]
fn a_target_up_to_the_limit_passes_whole_and_one_byte_more_is_414_standards_116() {
    for (limits, limit) in [("", 16 << 10), ("target_bytes = 300\n", 300)] {
        let (shop, edge) = limited(limits);
        let target = |length: usize| format!("/{}", "t".repeat(length - 1));
        assert_eq!(edge.raw(&request("GET", &target(limit), &[], b"")), 200);
        let line = format!("GET {} HTTP/1.1\r\n", target(limit));
        assert!(shop.last().starts_with(&line), "as it was sent");
        let visits = shop.visits();
        let answer = edge.raw(&request("GET", &target(limit + 1), &[], b""));
        assert_eq!(answer, 414);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let mut connection = Connection::open(edge.address());
        connection.send(format!("GET {}", target(limit + 1)).as_bytes());
        assert_eq!(connection.answer(), 414, "before the line is over");
        assert!(connection.closes());
        counts_unread(&edge, 414, "target_too_long", 2);
        assert_eq!(shop.visits(), visits);
    }
}

#[test]
fn a_target_of_http_2_has_the_same_limit_standards_116_123() {
    let (shop, edge) = limited_by("h2c = true\n", "target_bytes = 300\n");
    let target = |length: usize| format!("/{}", "t".repeat(length - 1));
    let mut frames = Frames::open(edge.address());
    assert_eq!(frames.ask(&get_fields(&target(300), &[]), None).status, 200);
    assert!(
        shop.last()
            .starts_with(&format!("GET {} HTTP/1.1\r\n", target(300)))
    );
    assert_eq!(frames.ask(&get_fields(&target(301), &[]), None).status, 414);
    assert_eq!(
        frames.ask(&get_fields("/", &[]), None).status,
        200,
        "the others go on"
    );
    assert_eq!(shop.visits(), 2);
}

#[test]
fn a_header_list_of_http_2_has_the_same_limit_standards_123() {
    let (shop, edge) = limited_by("h2c = true\n", "header_bytes = 4000\n");
    let mut frames = Frames::open(edge.address());
    let pad = "p".repeat(3500);
    assert_eq!(
        frames
            .ask(&get_fields("/", &[("x-pad", &pad)]), None)
            .status,
        200
    );
    let pad = "p".repeat(4100);
    let reply = frames.ask(&get_fields("/", &[("x-pad", &pad)]), None);
    assert!(reply.status == 431 || reply.reset.is_some(), "{reply:?}");
    let pad = "p".repeat(100_000);
    let mut frames = Frames::open(edge.address());
    let reply = frames.ask(&get_fields("/", &[("x-pad", &pad)]), None);
    assert!(
        reply.status == 431 || reply.reset.is_some(),
        "in CONTINUATION frames: {reply:?}"
    );
    assert_eq!(shop.visits(), 1);
}

#[test]
fn a_head_that_arrives_byte_by_byte_in_time_is_served() {
    for top in ["", "h2c = true\n"] {
        let (shop, edge) = limited_by(top, "");
        let mut connection = Connection::open(edge.address());
        for method in ["POST", "GET", "PRI"] {
            let visits = shop.visits();
            for byte in request(method, "/page?a=b", &[("X-A", "b")], b"") {
                connection.send(&[byte]);
            }
            let answer = connection.answer();
            if method == "PRI" && answer.status == 400 {
                continue; // the method of the preface of HTTP/2
            }
            assert_eq!(answer, 200, "{method}");
            assert_eq!(shop.visits(), visits + 1);
            assert!(shop.last().contains("\r\nX-A: b\r\n"));
        }
    }
}

/// Sends byte after byte, slowly, until there is an answer or the end; and how long that took.
fn drip(stream: &mut TcpStream, bytes: &[u8]) -> (Vec<u8>, Duration) {
    let begun = now();
    stream.set_read_timeout(Some(SECOND / 20)).unwrap();
    let mut answer = Vec::new();
    for byte in bytes.iter().cycle() {
        drop(stream.write_all(&[*byte]));
        let mut block = [0; 4096];
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&block[..length]),
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        assert!(begun.elapsed() < PATIENCE, "it goes on for ever");
        if !answer.is_empty() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            drop(stream.read_to_end(&mut answer));
            break;
        }
    }
    (answer, begun.elapsed())
}

#[test]
fn a_slow_head_is_408_and_the_end_of_its_connection() {
    for top in ["", "h2c = true\n"] {
        let (shop, edge) = limited_by(top, "header_timeout = \"1s\"\n");
        let start = b"GET / HTTP/1.1\r\nHost: shop.example.com\r\nX-Slow: ";
        for (times, first) in (1..).zip([&b""[..], b"\r\n", b"GET", start]) {
            let mut stream = from("127.0.0.1", None, edge.address()).unwrap();
            stream.write_all(first).unwrap();
            let more = if first.len() < 4 { &b"G"[..] } else { b"x" };
            let (answer, took) = drip(&mut stream, more);
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(answer.starts_with("HTTP/1.1 408 "), "{first:?}: {answer:?}");
            assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
            assert!(took >= SECOND * 8 / 10 && took < SECOND * 5, "{took:?}");
            counts_unread(&edge, 408, "head_timeout", times);
        }
        assert_eq!(shop.visits(), 0);
    }
}

#[test]
fn a_slow_head_behind_a_request_is_408_too() {
    let (shop, edge) = limited("header_timeout = \"1s\"\n");
    let mut connection = Connection::open(edge.address());
    for _ in 0..3 {
        assert_eq!(connection.ask(&request("GET", "/", &[], b"")), 200);
        for _ in 0..15 {
            tick(); // between requests the time does not count
        }
    }
    assert_eq!(connection.ask(&request("POST", "/", &[], b"body")), 200);
    let begun = now();
    connection.send(b"GET / HTTP/1.1\r\nHost: shop.exam");
    let answer = connection.answer();
    assert_eq!(answer, 408);
    assert!(begun.elapsed() >= SECOND * 8 / 10);
    assert!(connection.closes());
    counts_unread(&edge, 408, "head_timeout", 1);
    assert_eq!(shop.visits(), 4);
}

#[test]
fn a_fresh_connection_that_says_nothing_is_closed_without_a_word() {
    for top in ["", "h2c = true\n"] {
        let (_shop, edge) = limited_by(top, "header_timeout = \"1s\"\n");
        let mut stream = from("127.0.0.1", None, edge.address()).unwrap();
        assert!(is_closed_silently(&mut stream));
        let metrics = edge.metrics();
        let mut late = metrics.lines().filter(|line| line.contains("code=\"408\""));
        assert!(late.all(|line| line.ends_with(" 0")), "{metrics}");
        eventually(|| connections(&edge) == 0);
    }
}

#[test]
fn an_http_2_connection_that_asks_for_nothing_is_closed_and_hears_no_http_1() {
    let (_shop, edge) = limited_by("h2c = true\n", "header_timeout = \"1s\"\n");
    let mut frames = Frames::open(edge.address());
    assert!(frames.closes(), "take_frame panics at what is no frame");
    let mut frames = Frames::open(edge.address());
    assert_eq!(frames.ask(&get_fields("/", &[]), None).status, 200);
    for _ in 0..20 {
        tick();
    }
    assert_eq!(
        frames.ask(&get_fields("/", &[]), None).status,
        200,
        "a quiet one stays"
    );
    drop(frames);
    let mut half = from("127.0.0.1", None, edge.address()).unwrap();
    half.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let answer = all_of(&mut half, b"");
    let text = String::from_utf8_lossy(&answer);
    assert!(!text.contains("HTTP/1.1"), "{text:?}");
    eventually(|| connections(&edge) == 0);
}

#[test]
fn a_kept_connection_is_closed_after_its_time_and_not_before() {
    let (_shop, edge) = limited("keepalive = \"2s\"\n");
    let mut connection = Connection::open(edge.address());
    for _ in 0..3 {
        assert_eq!(connection.ask(&request("GET", "/", &[], b"")), 200);
        for _ in 0..8 {
            tick();
        }
    }
    let begun = now();
    assert!(connection.closes());
    assert!(begun.elapsed() < SECOND * 5);
    eventually(|| connections(&edge) == 0);
}

#[test]
fn an_http_2_connection_is_closed_after_its_quiet_time() {
    let (_shop, edge) = limited_by("h2c = true\n", "keepalive = \"1s\"\n");
    let mut frames = Frames::open(edge.address());
    assert_eq!(frames.ask(&get_fields("/", &[]), None).status, 200);
    assert!(frames.closes());
    eventually(|| connections(&edge) == 0);
}

/// A page of this many bytes.
fn page_of(bytes: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n");
    [head.into_bytes(), vec![b'p'; bytes]].concat()
}

fn with_page(bytes: usize, top: &str, limits: &str) -> (Recorder, Edge) {
    let shop = Recorder::answering(page_of(bytes));
    let edge = Edge::with(&format!("{top}[limits]\n{limits}{}", shop.table()));
    (shop, edge)
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_given_up() {
    let (_shop, edge) = with_page(
        64 << 20,
        "",
        "body_timeout = \"1s\"\nsend_rate_min = 1000000000\n",
    );
    let mut stream = from("127.0.0.1", Some(4096), edge.address()).unwrap();
    stream.write_all(&request("GET", "/", &[], b"")).unwrap();
    eventually(|| connections(&edge) == 1);
    eventually(|| connections(&edge) == 0);
    assert_eq!(
        hits(&edge, "body_timeout") + hits(&edge, "send_rate_min"),
        1
    );
    assert!(all_of(&mut stream, b"").len() < 64 << 20);
}

#[test]
fn a_client_of_http_2_that_takes_nothing_of_its_answer_is_given_up() {
    let (_shop, edge) = with_page(
        64 << 20,
        "h2c = true\n",
        "body_timeout = \"1s\"\nkeepalive = \"1s\"\n",
    );
    let mut frames = Frames::open(edge.address());
    frames.open_stream(&get_fields("/", &[]), true);
    eventually(|| connections(&edge) == 1);
    eventually(|| connections(&edge) == 0);
}

#[test]
fn a_client_that_is_only_slow_gets_its_whole_answer() {
    const BYTES: usize = 1_500_000;
    const PAUSE_AFTER: usize = 30_000; // 300 kB a second
    let mut paused = 0;
    let (_shop, edge) = with_page(BYTES, "", "body_timeout = \"1s\"\nsend_rate_min = 1000\n");
    let mut stream = from("127.0.0.1", Some(16 << 10), edge.address()).unwrap();
    stream.write_all(&request("GET", "/", &[], b"")).unwrap();
    let (mut taken, mut block) = (0, vec![0; 20_000]);
    while taken < BYTES {
        taken += stream.read(&mut block).unwrap();
        if taken / PAUSE_AFTER > paused {
            paused += 1;
            tick();
        }
    }
    assert!(taken >= BYTES);
    assert_eq!(hits(&edge, "send_rate_min"), 0);
    assert_eq!(hits(&edge, "body_timeout"), 0);
}

#[test]
fn a_client_that_sends_nothing_of_its_body_is_given_up() {
    for top in ["", "h2c = true\n"] {
        let (shop, edge) = limited_by(top, "body_timeout = \"1s\"\n");
        let mut connection = Connection::open(edge.address());
        connection.send(&request("POST", "/", &[("Content-Length", "10")], b""));
        connection.send(b"abc");
        eventually(|| shop.visits() == 1);
        while connection.try_answer().is_ok() {}
        eventually(|| connections(&edge) == 0);
        assert_eq!(hits(&edge, "body_timeout"), 1);
        assert!(shop.last().ends_with("\r\n\r\nabc") || shop.last().ends_with("\r\n\r\n"));
    }
}

/// Bodies are read ahead here, before any shop is asked.
const BODY_TOKEN: &str = "[[shop.credential]]\nbody = \"/token\"\n";

#[test]
fn a_client_that_sends_nothing_of_a_body_that_is_read_ahead_is_given_up() {
    let shop = Recorder::open();
    let edge = Edge::with(&format!(
        "h2c = true\n[limits]\nbody_timeout = \"1s\"\nkeepalive = \"1s\"\n{}{BODY_TOKEN}",
        shop.table()
    ));
    let json = ("Content-Type", "application/json");
    let mut connection = Connection::open(edge.address());
    connection.send(&request(
        "POST",
        "/",
        &[json, ("Content-Length", "10")],
        b"{",
    ));
    while let Ok(answer) = connection.try_answer() {
        assert_eq!(answer, 408, "the shop was never asked");
    }
    eventually(|| connections(&edge) == 0);
    let mut frames = Frames::open(edge.address());
    let fields = fields_of("POST", "/", &[("content-type", "application/json")]);
    let stream = frames.open_stream(&fields, false);
    frames.send_body(stream, b"{", false);
    let reply = frames.reply(stream);
    assert_ne!(reply.status, 200);
    assert_eq!(
        frames.ask(&get_fields("/", &[]), None).status,
        200,
        "the others go on"
    );
    drop(frames);
    eventually(|| connections(&edge) == 0);
    assert_eq!(hits(&edge, "body_timeout"), 2);
    assert_eq!(shop.visits(), 1);
}

#[test]
fn there_are_no_more_connections_than_there_may_be_and_places_come_back() {
    let (_shop, edge) = limited("connections = 3\nheader_timeout = \"1m\"\n");
    let mut open: Vec<_> = (0..3).map(|_| Connection::open(edge.address())).collect();
    eventually(|| connections(&edge) == 3);
    for times in 1..=3 {
        let mut another = from("127.0.0.1", None, edge.address()).unwrap();
        assert!(is_closed_silently(&mut another));
        eventually(|| hits(&edge, "connections") == times);
    }
    for connection in &mut open {
        assert_eq!(connection.ask(&request("GET", "/", &[], b"")), 200);
    }
    open.pop();
    eventually(|| try_raw(edge.address(), &request("GET", "/", &[], b"")).is_ok());
    drop(open);
    eventually(|| connections(&edge) == 0);
    assert_eq!(hits(&edge, "connections_per_client"), 0);
}

#[test]
fn a_client_has_no_more_connections_than_it_may_and_trusted_proxies_may_have_all() {
    let (_shop, edge) = limited_by(
        "trusted_proxies = [\"127.0.0.3\"]\n",
        "connections_per_client = 2\nconnections = 9\nheader_timeout = \"1m\"\n",
    );
    let connect = |client: &str| from(client, None, edge.address()).unwrap();
    let mine = [connect("127.0.0.1"), connect("127.0.0.1")];
    eventually(|| connections(&edge) == 2);
    assert!(is_closed_silently(&mut connect("127.0.0.1")));
    eventually(|| hits(&edge, "connections_per_client") == 1);
    assert!(
        is_served(&mut connect("127.0.0.2")),
        "another client has its own"
    );
    eventually(|| connections(&edge) == 2);
    let proxies: Vec<_> = (0..7).map(|_| connect("127.0.0.3")).collect();
    eventually(|| connections(&edge) == 9);
    assert!(
        is_closed_silently(&mut connect("127.0.0.3")),
        "but not more than there are"
    );
    eventually(|| hits(&edge, "connections") == 1);
    drop(proxies);
    eventually(|| connections(&edge) == 2);
    drop(mine);
    eventually(|| connections(&edge) == 0);
    assert!(is_served(&mut connect("127.0.0.1")));
}

#[test]
fn a_place_comes_back_however_a_connection_ends() {
    let (_shop, edge) = limited_by(
        "h2c = true\n",
        "connections_per_client = 2\nheader_timeout = \"1s\"\n",
    );
    let ways: [&[u8]; 9] = [
        b"",
        b"\0",
        b"GET",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 9\r\n\r\nx",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x09\0\0\0\0\0",
    ];
    for bytes in ways.iter().cycle().take(40) {
        let mut stream = from("127.0.0.1", None, edge.address()).unwrap();
        drop(stream.write_all(bytes));
        drop(stream);
        eventually(|| connections(&edge) == 0);
    }
    eventually(|| {
        let again = [(), ()].map(|()| from("127.0.0.1", None, edge.address()).unwrap());
        again.map(|mut stream| is_served(&mut stream)) == [true, true]
    });
}

fn encrypted(limits: &str) -> (Recorder, Edge, Certificates) {
    let certificates = Certificates::default();
    certificates.issue("shop", &["shop.example.com"]);
    let shop = Recorder::open();
    let edge = Edge::with(&format!(
        "listen = [\"https://127.0.0.1:0\"]\n[limits]\n{limits}{}{}",
        certificates.table("shop"),
        shop.table()
    ));
    (shop, edge, certificates)
}

#[test]
fn a_handshake_that_is_never_finished_holds_a_place_and_gives_it_back() {
    let (_shop, edge, _certificates) = encrypted("connections_per_client = 1\n");
    let failed = || counted(&edge, "doorward_failed_handshakes_total");
    let silent = from("127.0.0.1", None, edge.address()).unwrap();
    eventually(|| connections(&edge) == 1);
    assert!(Hello::default().try_to(edge.address()).is_err());
    assert_eq!(hits(&edge, "connections_per_client"), 1);
    assert_eq!(failed(), 0, "who finds no place did not fail");
    drop(silent);
    eventually(|| connections(&edge) == 0);
    assert_eq!(failed(), 1);
    let through = Hello::default().to(edge.address());
    drop(through);
    eventually(|| connections(&edge) == 0);
    assert_eq!(failed(), 1, "who got through did not fail");
}

#[test]
fn a_quiet_client_behind_tls_is_bounded_like_any_other() {
    let (shop, edge, _certificates) = encrypted("header_timeout = \"1s\"\n");
    let mut h1 = Hello::default().to(edge.address());
    let mut answer = Vec::new();
    drop(h1.read_to_end(&mut answer));
    assert!(answer.is_empty(), "{}", answer.escape_ascii());
    let mut h1 = Hello::default().to(edge.address());
    h1.write_all(b"GET / HT").unwrap();
    drop(h1.read_to_end(&mut answer));
    assert!(
        answer.starts_with(b"HTTP/1.1 408 "),
        "{}",
        answer.escape_ascii()
    );
    let h2 = Hello {
        alpn: &["h2"],
        ..Hello::default()
    };
    let mut quiet = Frames::over(h2.to(edge.address()));
    assert!(quiet.closes());
    let mut silent = h2.to(edge.address());
    let mut heard = Vec::new();
    drop(silent.read_to_end(&mut heard));
    assert!(!heard.starts_with(b"HTTP"), "{}", heard.escape_ascii());
    eventually(|| connections(&edge) == 0);
    assert_eq!(shop.visits(), 0);
}

#[test]
fn a_flood_of_connections_leaves_an_innocent_client_served() {
    let (_shop, edge) =
        limited("connections = 200\nconnections_per_client = 50\nheader_timeout = \"1m\"\n");
    let mut flood = Vec::new();
    for count in 0..500 {
        flood.extend(from("127.0.0.1", None, edge.address()));
        if count % 25 == 0 {
            let mut innocent = from("127.0.0.2", None, edge.address()).unwrap();
            assert!(is_served(&mut innocent), "after {count}");
        }
    }
    eventually(|| hits(&edge, "connections_per_client") == 450);
    assert!(connections(&edge) <= 51);
    drop(flood);
    eventually(|| connections(&edge) == 0);
    assert!(is_served(
        &mut from("127.0.0.1", None, edge.address()).unwrap()
    ));
    assert_eq!(hits(&edge, "connections"), 0);
}

/// RFC 9113 section 7.
const REFUSED_STREAM: u32 = 7;

#[test]
fn an_http_2_connection_has_no_more_requests_in_flight_than_it_may_standards_123() {
    let (shop, edge) = limited_by("h2c = true\n", "streams = 3\n");
    let mut frames = Frames::open(edge.address());
    let post = fields_of("POST", "/", &[]);
    let streams: Vec<_> = (0..3).map(|_| frames.open_stream(&post, false)).collect();
    let one_more = frames.open_stream(&get_fields("/", &[]), true);
    let reply = frames.reply(one_more);
    assert_eq!((reply.status, reply.reset), (0, Some(REFUSED_STREAM)));
    for stream in streams {
        frames.send_body(stream, b"x", true);
        assert_eq!(frames.reply(stream).status, 200);
    }
    assert_eq!(frames.ask(&get_fields("/", &[]), None).status, 200);
    assert_eq!(shop.visits(), 4);
}

#[test]
fn streams_that_are_reset_at_once_end_a_connection_and_nobody_elses_standards_123() {
    let (_shop, edge) = limited_by("h2c = true\n", "");
    let mut innocent = Frames::open(edge.address());
    let mut rapid = Frames::open(edge.address());
    for _ in 0..5000 {
        let stream = rapid.open_stream(&get_fields("/", &[]), true);
        rapid.frame(support::frames::RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    }
    assert_eq!(innocent.ask(&get_fields("/", &[]), None).status, 200);
    drop(rapid);
    eventually(|| connections(&edge) == 1);
}

#[test]
fn continuations_without_end_are_bounded_standards_123() {
    let (shop, edge) = limited_by("h2c = true\n", "");
    let mut frames = Frames::open(edge.address());
    let part = support::frames::fields_in_bytes(&get_fields("/", &[]));
    frames.frame(support::frames::HEADERS, 0, 1, &part);
    let more = support::frames::fields_in_bytes(&[("x-pad", &"p".repeat(1000))]);
    for _ in 0..5000 {
        frames.frame(support::frames::CONTINUATION, 0, 1, &more);
    }
    assert!(frames.closes());
    eventually(|| connections(&edge) == 0);
    assert_eq!(shop.visits(), 0);
}

#[test]
fn who_knocks_and_goes_leaves_no_line_in_the_log() {
    let (shop, edge, _certificates) = encrypted("header_timeout = \"1s\"\n");
    let plain = Edge::with(&format!(
        "h2c = true\n[limits]\nheader_timeout = \"1s\"\nconnections_per_client = 20\n{}",
        shop.table()
    ));
    let knocks: [&[u8]; 8] = [
        b"",
        b"GET / HTTP/1.1\r\nA b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    ];
    let before = [edge.log_lines().len(), plain.log_lines().len()];
    for address in [edge.address(), plain.address()] {
        for bytes in &knocks[..7] {
            let mut stream = from("127.0.0.1", None, address).unwrap();
            drop(stream.write_all(bytes));
            drop(stream.shutdown(std::net::Shutdown::Write));
            drop(stream.read_to_end(&mut Vec::new()));
        }
    }
    let h2 = Hello {
        alpn: &["h2"],
        ..Hello::default()
    };
    for bytes in knocks {
        let mut stream = h2.to(edge.address());
        drop(stream.write_all(bytes));
        drop(stream.flush());
    }
    eventually(|| connections(&edge) == 0 && connections(&plain) == 0);
    let said = [edge.log_lines(), plain.log_lines()];
    for (lines, before) in said.iter().zip(before) {
        assert_eq!(lines.len(), before, "{:#?}", &lines[before..]);
    }
    let answer: Answer = plain.raw(&request("GET", "/", &[], b""));
    assert_eq!(answer, 200);
}
