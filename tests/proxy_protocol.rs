//! The PROXY protocol: the client that a proxy names counts, and no other peer may name one.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use support::encrypted::{Certificates, Hello};
use support::frames::{Frames, fields_of};
use support::{Backend, Connection, Edge, Manager, PATIENCE, eventually, request};

const FROM_HERE: &str = "proxy_protocol = [\"127.0.0.0/8\"]";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 1, for a client at this address.
fn line(client: &str) -> Vec<u8> {
    let family = if client.contains(':') { "TCP6" } else { "TCP4" };
    let own = if client.contains(':') {
        "::1"
    } else {
        "10.0.0.1"
    };
    format!("PROXY {family} {client} {own} 40000 80\r\n").into_bytes()
}

/// Version 2, for a client of IPv4 at this address, with these fields behind.
fn block(client: [u8; 4], fields: &[u8]) -> Vec<u8> {
    let rest = [&client[..], &[10, 0, 0, 1, 0x9c, 0x40, 0, 80], fields].concat();
    version_2(0x21, 0x11, &rest)
}

fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// An edge whose first address has these keys, with these lines at the top.
fn edge_with(shop: &Backend, keys: &str, top: &str, more: &str) -> Edge {
    Edge::with(&configuration(shop, keys, top, more))
}

fn configuration(shop: &Backend, keys: &str, top: &str, more: &str) -> String {
    format!(
        "listen = [{{ address = \"127.0.0.1:0\", {keys} }}, \"127.0.0.1:0\"]\n{top}\n\
         [[shop]]\nname = \"main\"\nupstream = [\"{}\"]\ntoken.kind = \"opaque\"\n{more}",
        shop.address()
    )
}

/// The status of a request behind this header, on a connection of its own.
fn ask(edge: &Edge, header: &[u8], headers: &[(&str, &str)]) -> u16 {
    let mut connection = Connection::open(edge.address());
    connection.send(&[header, &request("GET", "/cart", headers, b"")].concat());
    connection.answer().status
}

/// `X-Forwarded-For` of the last request that the shop was sent.
fn forwarded_for(shop: &Backend) -> String {
    let head = shop.heard().pop().unwrap().head;
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut lines = lines.filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"));
    lines.next().unwrap().1.to_owned()
}

fn refused(edge: &Edge, reason: &str) -> u64 {
    let metrics = edge.metrics();
    let name = format!("doorward_proxy_protocol_refused_total{{reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().unwrap())
}

#[test]
fn the_client_that_a_proxy_names_is_the_client() {
    let shop = Backend::saying("shop");
    let edge = edge_with(&shop, FROM_HERE, "", "");
    let fields = [4, 0, 5, 0, 0, 0, 0, 0];
    for (header, client) in [
        (line("192.0.2.7"), "192.0.2.7"),
        (line("2001:db8::7"), "2001:db8::7"),
        (line("::ffff:192.0.2.9"), "192.0.2.9"),
        (block([192, 0, 2, 8], b""), "192.0.2.8"),
        (block([192, 0, 2, 8], &fields), "192.0.2.8"),
        (block([192, 0, 2, 8], &[0; 4000]), "192.0.2.8"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (version_2(0x20, 0, b""), "127.0.0.1"),
        (version_2(0x21, 0x31, &[0; 216]), "127.0.0.1"),
    ] {
        let forged = [("X-Forwarded-For", "198.51.100.1")];
        assert_eq!(ask(&edge, &header, &forged), 200, "{client}");
        assert_eq!(forwarded_for(&shop), client);
        let head = shop.heard().pop().unwrap().head;
        assert!(head.starts_with("GET /cart HTTP/1.1\r\n"), "{head}");
    }
}

#[test]
fn a_header_may_arrive_byte_by_byte_and_the_requests_behind_it_as_ever() {
    let shop = Backend::saying("shop");
    let edge = edge_with(&shop, FROM_HERE, "", "");
    for header in [line("192.0.2.7"), block([192, 0, 2, 7], b"")] {
        let mut connection = Connection::open(edge.address());
        for byte in [header, request("GET", "/first", &[], b"")].concat() {
            connection.send(&[byte]);
        }
        assert_eq!(connection.answer(), 200);
        let second = request("GET", "/second", &[], b"");
        assert_eq!(connection.ask(&second), 200, "on the same connection");
        assert_eq!(forwarded_for(&shop), "192.0.2.7");
    }
    assert_eq!((shop.times("/first"), shop.times("/second")), (2, 2));
}

#[test]
fn without_a_fit_header_a_connection_is_closed_and_counted() {
    let shop = Backend::saying("shop");
    let edge = edge_with(&shop, FROM_HERE, "", "");
    let plain = request("GET", "/", &[], b"");
    let long = [b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat();
    for (header, reason) in [
        (&b""[..], "missing"),
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n", "malformed"),
        (b"PROXY TCP9 192.0.2.7 10.0.0.1 1 2\r\n", "malformed"),
        (&version_2(0x21, 0x11, b"short"), "malformed"),
        (&version_2(0x21, 0x11, &[0; 5000]), "too_long"),
        (&long, "too_long"),
    ] {
        let before = refused(&edge, reason);
        let mut connection = Connection::open(edge.address());
        connection.send(&[header, &plain].concat());
        assert!(connection.closes(), "{reason}");
        eventually(|| refused(&edge, reason) == before + 1);
    }
    let mut cut = Connection::open(edge.address());
    cut.send(b"PROXY TCP4 192.0.2.7");
    cut.finish_sending();
    assert!(cut.closes());
    eventually(|| refused(&edge, "truncated") == 1);
    assert_eq!(shop.connections(), 0);
    let lines = edge.log_lines();
    let logged = |reason: &str| {
        let says = format!("reason={reason}");
        lines.iter().filter(|line| line.contains(&says)).count()
    };
    assert_eq!(
        (logged("malformed"), logged("missing")),
        (1, 1),
        "{lines:?}"
    );
}

#[test]
fn a_header_that_takes_too_long_ends_its_connection() {
    let shop = Backend::saying("shop");
    let limits = "[limits]\nheader_timeout = \"1s\"\n";
    let edge = edge_with(&shop, FROM_HERE, limits, "");
    let mut silent = Connection::open(edge.address());
    let mut slow = Connection::open(edge.address());
    slow.send(b"PROXY TCP4 192.0.2.7 ");
    assert!(silent.closes() && slow.closes());
    eventually(|| refused(&edge, "late") == 2);
}

#[test]
fn a_peer_outside_the_networks_is_refused_whatever_it_sends() {
    let shop = Backend::saying("shop");
    let other = "proxy_protocol = [\"10.0.0.0/8\", \"127.0.0.9\"]";
    let edge = edge_with(&shop, other, "", "");
    for header in [&b""[..], &line("192.0.2.7"), &block([192, 0, 2, 7], b"")] {
        let mut connection = Connection::open(edge.address());
        connection.send(&[header, &request("GET", "/", &[], b"")].concat());
        assert!(connection.closes());
    }
    eventually(|| refused(&edge, "peer") == 3);
    assert_eq!(shop.connections(), 0);
    let lines = edge.log_lines();
    let logged = lines.iter().filter(|line| line.contains("reason=peer"));
    assert_eq!(logged.count(), 1, "{lines:?}");
    let beside = edge.addresses()[1];
    assert_eq!(support::raw(beside, &request("GET", "/", &[], b"")), 200);
}

#[test]
fn where_no_header_is_asked_for_none_is_taken() {
    let shop = Backend::saying("shop");
    let edge = edge_with(&shop, FROM_HERE, "trusted_proxies = [\"127.0.0.1\"]", "");
    let beside = edge.addresses()[1];
    let bytes = [line("192.0.2.7"), request("GET", "/", &[], b"")].concat();
    assert_eq!(support::raw(beside, &bytes), 400);
    assert_eq!(shop.connections(), 0);
}

#[test]
fn the_limits_of_a_client_are_those_of_the_client_that_is_named() {
    let shop = Backend::saying("shop");
    let limits = "[limits]\nconnections_per_client = 2\nheader_timeout = \"1m\"\n";
    let edge = edge_with(&shop, FROM_HERE, limits, "");
    let open = |client: [u8; 4]| {
        let mut connection = Connection::open(edge.address());
        connection.send(&[block(client, b""), request("GET", "/", &[], b"")].concat());
        connection
    };
    let mut first = [open([192, 0, 2, 1]), open([192, 0, 2, 1])];
    assert!(first.iter_mut().all(|one| one.answer().status == 200));
    assert!(open([192, 0, 2, 1]).closes(), "its third");
    let mut others: Vec<_> = (2..9).map(|last| open([192, 0, 2, last])).collect();
    assert!(others.iter_mut().all(|one| one.answer().status == 200));
    drop(first);
    eventually(|| open([192, 0, 2, 1]).try_answer().is_ok());
}

#[test]
fn routes_and_trusted_proxies_see_the_client_that_is_named() {
    let shop = Backend::saying("shop");
    let route = "[[shop.route]]\nfrom = [\"192.0.2.0/24\"]\nrespond = { status = 403 }\n";
    let top = "trusted_proxies = [\"198.51.100.1\"]";
    let edge = edge_with(&shop, FROM_HERE, top, route);
    assert_eq!(ask(&edge, &line("192.0.2.7"), &[]), 403);
    assert_eq!(ask(&edge, &line("203.0.113.7"), &[]), 200);
    let behind = [("X-Forwarded-For", "192.0.2.7")];
    assert_eq!(
        ask(&edge, &line("203.0.113.7"), &behind),
        200,
        "not trusted"
    );
    assert_eq!(ask(&edge, &line("198.51.100.1"), &behind), 403, "trusted");
}

#[test]
fn the_header_comes_before_tls_and_before_http2() {
    let (shop, files) = (Backend::saying("shop"), Certificates::default());
    files.issue("shop", &["shop.example.com"]);
    let text = format!(
        "listen = [{{ address = \"https://127.0.0.1:0\", {FROM_HERE} }}, \
         {{ address = \"127.0.0.1:0\", {FROM_HERE} }}]\nh2c = true\n{}\
         [[shop]]\nname = \"main\"\nupstream = [\"{}\"]\ntoken.kind = \"opaque\"\n",
        files.table("shop"),
        shop.address()
    );
    let edge = Edge::with(&text);
    let [encrypted, plain]: [SocketAddr; 2] = edge.addresses().try_into().unwrap();
    let begin = |address, header: Vec<u8>| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&header).unwrap();
        stream
    };
    let fields = fields_of("GET", "/cart", &[]);
    for version in [1, 2] {
        let header = |last: u8| match version {
            1 => line(&format!("192.0.2.{last}")),
            _ => block([192, 0, 2, last], b""),
        };
        let mut stream = Hello::default().over(begin(encrypted, header(1))).unwrap();
        let ask = request("GET", "/cart", &[("Connection", "close")], b"");
        stream.write_all(&ask).unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
        assert_eq!(forwarded_for(&shop), "192.0.2.1");
        let h2 = Hello {
            alpn: &["h2"],
            ..Hello::default()
        };
        let mut frames = Frames::over(h2.over(begin(encrypted, header(2))).unwrap());
        assert_eq!(frames.ask(&fields, None).status, 200);
        assert_eq!(forwarded_for(&shop), "192.0.2.2");
        let mut frames = Frames::over(begin(plain, header(3)));
        assert_eq!(frames.ask(&fields, None).status, 200);
        assert_eq!(forwarded_for(&shop), "192.0.2.3");
    }
    let hello = Hello::default().over(TcpStream::connect(encrypted).unwrap());
    assert!(hello.is_err(), "a handshake without a header");
    eventually(|| refused(&edge, "missing") == 1);
}

#[test]
fn a_reload_exchanges_the_networks() {
    let shop = Backend::saying("shop");
    let edge = edge_with(&shop, "proxy_protocol = [\"10.0.0.0/8\"]", "", "");
    let mut before = Connection::open(edge.address());
    before.send(&line("192.0.2.7"));
    assert!(before.closes());
    edge.configure(&configuration(&shop, FROM_HERE, "", ""));
    assert_eq!(edge.command(&["reload"]).code, Some(0));
    assert_eq!(ask(&edge, &line("192.0.2.7"), &[]), 200);
    assert_eq!(forwarded_for(&shop), "192.0.2.7");
}

#[test]
fn ready_is_said_whether_or_not_this_machine_is_one_of_the_proxies() {
    for networks in ["127.0.0.0/8", "10.0.0.0/8"] {
        let shop = Backend::saying("shop");
        let keys = format!("proxy_protocol = [\"{networks}\"]");
        let manager = Arc::new(Manager::new());
        let edge = Edge::under(&manager, &configuration(&shop, &keys, "", ""));
        manager.is_told("READY=1", 1);
        let metrics = edge.metrics();
        let counted = "doorward_proxy_protocol_refused_total{";
        let mut refused = metrics.lines().filter(|line| line.starts_with(counted));
        assert!(refused.all(|line| line.ends_with(" 0")), "{metrics}");
    }
}

#[test]
fn a_proxy_that_can_not_connect_to_an_address_is_a_fault() {
    for (address, proxies, said) in [
        (
            "127.0.0.1:0",
            "\"unix:\"",
            "no proxy connects to this address by a unix socket",
        ),
        (
            "[::1]:0",
            "\"::1\", \"unix:\"",
            "no proxy connects to this address by a unix socket",
        ),
        (
            "0.0.0.0:0",
            "\"10.0.0.0/8\", \"2001:db8::/32\"",
            "no proxy connects to this address from one of IPv6",
        ),
        (
            "unix:/run/doorward/http.sock",
            "\"10.0.0.0/8\"",
            "a proxy that connects to a unix socket has no address",
        ),
    ] {
        let text = format!(
            "listen = [{{ address = \"{address}\", proxy_protocol = [{proxies}] }}]\n\
             [[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:1\"]\ntoken.kind = \"opaque\"\n"
        );
        let refused = Edge::try_start(&text).err().unwrap();
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
}
