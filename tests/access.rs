//! `allow` and `deny`: which clients are served, on every protocol, for visits and for logouts.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use http::Request;
use socket2::{Domain, Socket, Type};
use support::encrypted::{Certificates, Hello};
use support::{Answer, Backend, Edge, PATIENCE, UPGRADE, eventually, request};

/// A shop of opaque tokens behind a proxy that says who the client is. `top` and `shop` are further lines.
fn table(server: &Backend, top: &str, shop: &str) -> String {
    format!(
        "h2c = true\ntrusted_proxies = [\"127.0.0.1\"]\n{top}\n[[shop]]\nname = \"main\"\n\
         upstream = [\"{}\"]\ntoken.kind = \"opaque\"\ntoken.max_token_lifetime = \"1d\"\n\
         refusal.format = \"problem\"\n{shop}\n\
         [[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n",
        server.address()
    )
}

/// A request of a client with this address.
fn of_client(edge: &Edge, client: &str, method: &str, path: &str, body: &[u8]) -> Answer {
    let lines = [
        ("X-Forwarded-For", client),
        ("Authorization", "Bearer abc.1"),
    ];
    edge.raw(&request(method, path, &lines, body))
}

const LOGOUT: &str = "/_doorward/logout";

#[test]
fn a_client_that_is_denied_is_403_and_nothing_of_it_is_processed() {
    for (top, shop) in [
        (
            "allow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\ndeny = \"192.0.2.66\"",
            "",
        ),
        (
            "",
            "allow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\ndeny = \"192.0.2.66\"",
        ),
        (
            "allow = [\"192.0.2.0/24\", \"2001:db8::/32\"]",
            "deny = \"192.0.2.66\"",
        ),
        (
            "",
            "[[shop.route]]\nallow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\ndeny = \"192.0.2.66\"",
        ),
    ] {
        let server = Backend::saying("ok");
        let edge = Edge::with(&table(&server, top, shop));
        for denied in [
            "192.0.2.66",
            "198.51.100.1",
            "2001:db9::1",
            "::ffff:192.0.2.66",
        ] {
            for (method, path, body) in [
                ("GET", "/", &b""[..]),
                ("POST", "/", b"a=b"),
                ("HEAD", "/x", b""),
                ("OPTIONS", "/x", b""),
                ("POST", LOGOUT, b""),
                ("POST", LOGOUT, b"{}"),
            ] {
                let answer = of_client(&edge, denied, method, path, body);
                assert_eq!(answer.status, 403, "{top} {shop}: {denied} {method} {path}");
                assert_eq!(
                    answer.header("content-type"),
                    Some("application/problem+json")
                );
            }
        }
        let lines = [&UPGRADE[..], &[("X-Forwarded-For", "198.51.100.1")]].concat();
        assert_eq!(edge.raw(&request("GET", "/", &lines, b"")).status, 403);
        assert_eq!(server.heard().len(), 0, "the shop hears nothing");
        for admitted in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            let answer = of_client(&edge, admitted, "GET", "/", b"");
            assert_eq!(
                answer.status, 200,
                "{top} {shop}: {admitted}: no logout has worked"
            );
        }
        assert_eq!(
            of_client(&edge, "192.0.2.1", "POST", LOGOUT, b"").status,
            200
        );
        assert_eq!(of_client(&edge, "192.0.2.1", "GET", "/", b"").status, 401);
        assert_eq!(
            of_client(&edge, "198.51.100.1", "GET", "/", b"").status,
            403
        );
        assert!(edge.metrics().contains("verdict=\"access_denied\""));
        assert!(
            edge.log_lines()
                .iter()
                .any(|line| line.contains("reason=access_denied"))
        );
    }
}

#[tokio::test]
async fn over_http_2_a_denied_client_is_403_as_well() {
    let server = Backend::saying("ok");
    let edge = Edge::with(&table(&server, "", "deny = \"192.0.2.66\""));
    let socket = tokio::net::TcpStream::connect(edge.address())
        .await
        .unwrap();
    let (requests, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    for (client, status) in [("192.0.2.66", 403), ("192.0.2.1", 200), ("192.0.2.66", 403)] {
        let mut requests = requests.clone().ready().await.unwrap();
        let head = Request::get("http://shop.example.com/").header("x-forwarded-for", client);
        let (answer, _) = requests.send_request(head.body(()).unwrap(), true).unwrap();
        let answer = tokio::time::timeout(PATIENCE, answer)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer.status(), status, "{client}");
    }
}

/// A route that is found by what the body says is not denied before the body is read.
#[test]
fn a_route_is_denied_only_to_requests_that_take_it() {
    let server = Backend::saying("ok");
    let routes = "[[shop.route]]\nbody = { \"/do\" = \"show\" }\nname = \"open\"\nupstream = \"api\"\n\
        [[shop.route]]\npaths = [\"/graph\"]\nallow = \"192.0.2.0/24\"\n";
    let api = format!(
        "[[upstream]]\nname = \"api\"\nservers = [\"{}\"]\n",
        server.address()
    );
    let edge = Edge::with(&table(&server, &api, routes));
    let posted = |body: &[u8]| {
        let lines = [
            ("X-Forwarded-For", "198.51.100.1"),
            ("Content-Type", "application/json"),
        ];
        edge.raw(&request("POST", "/graph", &lines, body)).status
    };
    assert_eq!(posted(br#"{"do":"show"}"#), 200);
    assert_eq!(posted(br#"{"do":"delete"}"#), 403);
    assert_eq!(server.heard().len(), 1);
}

/// A stream from this address of the loopback network; what comes back after these bytes.
fn heard_from(source: &str, to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    drop(stream.write_all(bytes));
    let mut heard = vec![0; 64 * 1024];
    let length = stream.read(&mut heard).unwrap_or_default(); // a reset is an end
    heard.truncate(length);
    heard
}

#[test]
fn a_client_that_the_process_denies_is_not_even_connected() {
    let server = Backend::saying("ok");
    let certificates = Certificates::default();
    certificates.issue("shop", &["shop.example.com"]);
    let top = format!(
        "listen = [\"127.0.0.1:0\", \"https://127.0.0.1:0\"]\ndeny = \"127.0.0.2\"\n{}",
        certificates.table("shop")
    );
    let edge = Edge::with(&table(&server, &top, ""));
    let get = request("GET", "/", &[], b"");
    let denied = heard_from("127.0.0.2", edge.address(), &get);
    assert_eq!(String::from_utf8_lossy(&denied), "");
    let answer = heard_from("127.0.0.3", edge.address(), &get);
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let answer = heard_from("127.0.0.1", edge.address(), &get);
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "a trusted proxy speaks for others"
    );
    let encrypted = edge.address_of("proxy");
    let hello = Hello::default();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&"127.0.0.2:0".parse::<SocketAddr>().unwrap().into())
        .unwrap();
    socket.connect(&encrypted.into()).unwrap();
    assert!(hello.over(socket.into()).is_err());
    assert_eq!(server.heard().len(), 2);
    assert!(
        edge.metrics()
            .contains("verdict=\"access_denied\",detail=\"connection\"")
    );
}

#[test]
fn a_reload_changes_who_is_served() {
    let server = Backend::saying("ok");
    let edge = Edge::with(&table(&server, "", ""));
    let status = || of_client(&edge, "192.0.2.1", "GET", "/", b"").status;
    assert_eq!(status(), 200);
    edge.configure(&table(&server, "deny = \"192.0.2.0/24\"", ""));
    edge.signal("HUP");
    eventually(|| status() == 403);
    edge.configure(&table(&server, "", ""));
    edge.signal("HUP");
    eventually(|| status() == 200);
}

#[test]
fn lists_that_serve_nobody_or_name_no_network_are_faults() {
    let server = Backend::saying("ok");
    for (list, told) in [
        (
            "allow = []",
            "`allow` names no network: no client would be served",
        ),
        ("allow = \"10.0.0.0/33\"", "expected an address or network"),
        (
            "deny = [\"shop.example.com\"]",
            "expected an address or network",
        ),
    ] {
        for (top, shop) in [(list, ""), ("", list)] {
            let refused = Edge::try_start(&table(&server, top, shop)).err().unwrap();
            assert!(refused.stderr.contains(told), "{list}: {}", refused.stderr);
        }
    }
}
