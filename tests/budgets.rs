//! What many connections and unfinished requests may cost the process.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]

mod support;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};
use support::frames::{Frames, fields_of};
use support::gatehouse::BODY;
use support::{Connection, Edge, PATIENCE, Recorder, eventually, raw, request, try_raw};

const JSON: (&str, &str) = ("content-type", "application/json");

/// An edge that examines JSON bodies, with these limits.
fn examining(limits: &str) -> (Recorder, Edge) {
    let shop = Recorder::open();
    let config = format!("h2c = true\n[limits]\n{limits}\n{}{BODY}", shop.table());
    let edge = Edge::with(&config);
    (shop, edge)
}

/// How often this limit was reached.
fn hits(edge: &Edge, limit: &str) -> u64 {
    let name = format!("doorward_limits_hit_total{{limit=\"{limit}\"}} ");
    let metrics = edge.metrics();
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

/// How much memory the process has, in bytes.
fn resident(edge: &Edge) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", edge.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib << 10
}

/// A connection whose client has this address.
fn from(client: &str, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let client: SocketAddr = format!("{client}:0").parse().unwrap();
    socket.bind(&client.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A visit with a JSON body.
fn visit() -> Vec<u8> {
    request("POST", "/", &[JSON, ("Connection", "close")], b"{}")
}

fn status_from(client: &str, edge: &Edge) -> u16 {
    let mut stream = from(client, edge.address());
    stream.write_all(&visit()).unwrap();
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer));
    let code = answer.split(' ').nth(1).unwrap_or_default();
    code.parse().unwrap_or_default()
}

#[test]
fn bodies_that_never_end_cost_no_more_than_their_budget_attacks_c1() {
    const CONNECTIONS: usize = 20;
    const STREAMS: usize = 100;
    const BYTES: usize = 45_000;
    let (shop, edge) = examining("");
    assert_eq!(edge.raw(&visit()), 200);
    let before = resident(&edge);
    let part = vec![b' '; BYTES];
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut frames = Frames::open(edge.address());
        for _ in 0..STREAMS {
            let stream = frames.open_stream(&fields_of("POST", "/", &[JSON]), false);
            frames.send_body(stream, &part, false);
        }
        open.push(frames);
    }
    let grown = resident(&edge).saturating_sub(before);
    println!(
        "{} MB of unfinished bodies: {} MB more memory",
        (CONNECTIONS * STREAMS * BYTES) >> 20,
        grown >> 20
    );
    assert!(hits(&edge, "read_ahead_bytes_per_client") > 0);
    assert!(grown < 48 << 20, "{} MB", grown >> 20);
    let long = request("POST", "/", &[JSON], &json_of(50_000));
    let answer = edge.raw(&long);
    assert_eq!(answer, 503, "the client's own share is used up");
    assert_eq!(answer.header("retry-after"), Some("5"));
    let lines = edge.log_lines();
    assert!(lines.iter().any(|line| line.contains("read_ahead_full")));
    assert_eq!(status_from("127.0.0.2", &edge), 200, "nobody else's is");
    assert_eq!(shop.visits(), 2);
    drop(open);
    eventually(|| edge.raw(&long) == 200);
}

#[test]
fn all_clients_together_have_a_budget_attacks_c1() {
    let (_shop, edge) =
        examining("read_ahead_bytes = 200000\nread_ahead_bytes_per_client = 100000");
    let body = json_of(60_000);
    let length = body.len().to_string();
    let head = request("POST", "/", &[JSON, ("Content-Length", &length)], b"");
    let (begin, end) = body.split_at(59_000);
    let mut open: Vec<_> = (2..5)
        .map(|number| {
            let mut stream = from(&format!("127.0.0.{number}"), edge.address());
            stream.write_all(&head).unwrap();
            stream.write_all(begin).unwrap();
            stream
        })
        .collect();
    let kept = |bytes: usize| {
        let line = format!("doorward_read_ahead_bytes {bytes}\n");
        eventually(|| edge.metrics().contains(&line));
    };
    kept(3 * 60_000); // with what is still to come
    assert_eq!(edge.raw(&request("POST", "/", &[JSON], &body)), 503);
    assert_eq!(hits(&edge, "read_ahead_bytes"), 1);
    assert_eq!(status_from("127.0.0.5", &edge), 200, "a small one fits");
    // A body that ends goes on its way, and gives its bytes back with its request.
    let last = open.last_mut().unwrap();
    last.write_all(end).unwrap();
    let mut answer = [0; 12];
    last.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    kept(2 * 60_000);
    assert_eq!(edge.raw(&request("POST", "/", &[JSON], &body)), 200);
    drop(open);
    kept(0);
}

/// A JSON body of this many bytes.
fn json_of(bytes: usize) -> Vec<u8> {
    let filling = "x".repeat(bytes - 8);
    format!("{{\"a\":\"{filling}\"}}").into_bytes()
}

#[test]
fn an_idle_connection_costs_a_fraction_of_what_it_did_attacks_s8() {
    const CONNECTIONS: usize = 1000;
    let shop = Recorder::open();
    let config = format!(
        "[limits]\nconnections_per_client = 5000\nheader_timeout = \"60s\"\n{}",
        shop.table()
    );
    let edge = Edge::with(&config);
    assert_eq!(edge.raw(&request("GET", "/", &[], b"")), 200);
    let before = resident(&edge);
    let open: Vec<_> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect(edge.address()).unwrap())
        .collect();
    let count = format!("doorward_connections {CONNECTIONS}\n");
    eventually(|| edge.metrics().contains(&count));
    let each = resident(&edge).saturating_sub(before) / CONNECTIONS as u64;
    println!("{} idle connections: {} kB each", open.len(), each >> 10);
    assert!(each < 64 << 10, "{} kB", each >> 10);
}

/// Whether the other side of a socket that does not block has said nothing and not closed.
fn is_open(mut stream: &TcpStream) -> bool {
    let read = stream.read(&mut [0]);
    read.is_err_and(|fault| fault.kind() == io::ErrorKind::WouldBlock)
}

#[test]
fn idle_connections_do_not_keep_the_operator_out_attacks_c2() {
    let shop = Recorder::open();
    let edge = Edge::with(&shop.table());
    let mut open: Vec<_> = (0..600)
        .map(|_| {
            let stream = TcpStream::connect(edge.operator()).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    assert_eq!(edge.ask_operator("/readyz"), 200);
    eventually(|| hits(&edge, "operator_connections") >= 500);
    eventually(|| open.iter().filter(|one| is_open(one)).count() <= 64);
    open.retain(is_open);
    assert!(!open.is_empty());
}

#[test]
fn the_operators_listener_answers_to_its_own_hosts_only_attacks_c2() {
    let shop = Recorder::open();
    let config = format!(
        "operator_hosts = [\"metrics.internal\", \"*.monitoring.example\"]\n{}",
        shop.table()
    );
    let edge = Edge::with(&config);
    let port = edge.operator().port();
    let ask = |host: &str| {
        let head = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        try_raw(edge.operator(), head.as_bytes()).map_or(0, |answer| answer.status)
    };
    for host in [
        "localhost",
        "LocalHost.",
        "127.0.0.1",
        "127.8.9.10",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "metrics.internal",
        "Metrics.Internal",
        "a.monitoring.example",
    ] {
        assert_eq!(ask(host), 200, "{host}");
        assert_eq!(ask(&format!("{host}:{port}")), 200, "{host}");
    }
    for host in [
        "attacker.example",
        "shop.example.com",
        "localhost.attacker.example",
        "127.0.0.1.nip.io",
        "monitoring.example",
        "192.0.2.1",
        "[2001:db8::1]",
        "0x7f000001",
        "localhost, attacker.example",
        "",
    ] {
        let status = ask(host);
        assert!(matches!(status, 0 | 400 | 421), "{host}: {status}");
        let status = ask(&format!("{host}:{port}"));
        assert!(matches!(status, 0 | 400 | 421), "{host}: {status}");
    }
    let old = b"GET /livez HTTP/1.0\r\n\r\n";
    assert_eq!(raw(edge.operator(), old), 200, "a probe without Host");
    let mut kept = Connection::open(edge.operator());
    assert_eq!(
        kept.ask(&request("GET", "/livez", &[("Host", "localhost")], b"")),
        200
    );
}
