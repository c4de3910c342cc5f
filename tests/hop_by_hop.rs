//! What belongs to one connection ends there; trailers and `100 Continue` pass as far as the documentation says.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use bytes::Bytes;
use http::{HeaderMap, Request};
use support::{Backend, Connection, Deed, Echo, Edge, PATIENCE, request};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What the shop says of its own connection, and what is for the client.
const HOPS: &str = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop, Content-Length\r\n\
    Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authenticate: Basic\r\n\
    Proxy-Authentication-Info: x\r\nTE: trailers\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\nX-Hop: 1\r\n\
    X-Kept: 1\r\nContent-Length: 2\r\n\r\nok";

const NOT_SENT_ON: [&str; 8] = [
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "te",
    "trailer",
    "upgrade",
    "x-hop",
];

/// A shop of opaque tokens at this address, whose logouts are forwarded.
fn table(server: std::net::SocketAddr) -> String {
    format!(
        "h2c = true\n[[shop]]\nname = \"main\"\nupstream = [\"{server}\"]\n\
         token.kind = \"opaque\"\ntoken.max_token_lifetime = \"1d\"\n"
    )
}

const CREDENTIALS: &str = "[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n\
    [[shop.logout]]\nmethods = [\"POST\"]\npaths = [\"/logout\"]\nanswer = \"forward\"\n\
    [[shop.route]]\npaths = [\"/closed\"]\nenforce = \"required\"\n";

/// An answer over HTTP/2.
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

/// Asks over HTTP/2, with a body and trailers if there are some.
async fn asked(
    edge: &Edge,
    head: http::request::Builder,
    body: &'static [u8],
    trailers: Option<HeaderMap>,
) -> Reply {
    let socket = TcpStream::connect(edge.address()).await.unwrap();
    let (requests, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let mut requests = requests.ready().await.unwrap();
    let ends = body.is_empty() && trailers.is_none();
    let (answer, mut sending) = requests.send_request(head.body(()).unwrap(), ends).unwrap();
    if !ends {
        sending
            .send_data(Bytes::from_static(body), trailers.is_none())
            .unwrap();
    }
    if let Some(trailers) = trailers {
        sending.send_trailers(trailers).unwrap();
    }
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    let (head, mut stream) = answer.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = timeout(PATIENCE, stream.data()).await.unwrap() {
        let chunk = chunk.unwrap();
        stream.flow_control().release_capacity(chunk.len()).unwrap();
        body.extend_from_slice(&chunk);
    }
    Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
        trailers: timeout(PATIENCE, stream.trailers()).await.unwrap().unwrap(),
    }
}

fn get(path: &str) -> http::request::Builder {
    Request::get(format!("http://shop.example.com{path}"))
}

// --- Headers ---------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_the_shop_says_of_its_connection_reaches_no_client() {
    let shop = Backend::saying("ok");
    shop.does(Deed::Say(HOPS.as_bytes().to_vec()));
    let edge = Edge::with(&(table(shop.address()) + CREDENTIALS));
    let bearer = [("Authorization", "Bearer abc.1")];
    for bytes in [
        request("GET", "/", &[], b""),
        request("GET", "/", &bearer, b""),
        request("POST", "/logout", &bearer, b""),
    ] {
        let answer = edge.raw(&bytes);
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        for name in NOT_SENT_ON {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert_eq!(answer.header("x-kept"), Some("1"));
        assert_eq!(answer.headers_named("content-length"), ["2"]);
        assert_eq!(answer.headers_named("connection"), ["keep-alive"]);
    }
    let logout = Request::post("http://shop.example.com/logout");
    for head in [get("/"), logout.header("authorization", "Bearer abc.2")] {
        let reply = asked(&edge, head, b"", None).await;
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"ok"[..]));
        for name in NOT_SENT_ON.iter().chain(&["connection"]) {
            assert_eq!(reply.headers.get(*name), None, "{name}");
        }
        assert_eq!(reply.headers["x-kept"], "1");
        assert_eq!(reply.headers["content-length"], "2");
    }
}

/// Its connection to us is not the client's: that one lasts.
#[test]
fn a_shop_that_closes_its_connection_closes_no_clients() {
    let shop = Backend::saying("ok");
    shop.says("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    let edge = Edge::with(&table(shop.address()));
    let mut connection = Connection::open(edge.address());
    for _ in 0..3 {
        let answer = connection.ask(&request("GET", "/", &[], b""));
        assert_eq!(answer.headers_named("connection"), ["keep-alive"]);
    }
}

#[test]
fn what_a_client_says_of_its_connection_reaches_no_shop() {
    let (shop, server) = (Backend::saying("ok"), Echo::in_the_clear());
    let edge = Edge::with(&(table(shop.address()) + CREDENTIALS));
    let to_http2 = table(server.address()) + "upstream_http2 = true\n" + CREDENTIALS;
    let other = Edge::with(&to_http2);
    let lines = [
        ("Connection", "keep-alive, X-Hop, TE"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("TE", "trailers"),
        ("Trailer", "X-Sum"),
        ("Upgrade", "h2c"),
        ("X-Kept", "1"),
        ("Authorization", "Bearer abc.1"),
    ];
    for (method, path) in [("GET", "/"), ("POST", "/logout")] {
        assert_eq!(edge.raw(&request(method, path, &lines, b"")).status, 200);
        let head = shop.heard().pop().unwrap().head.to_ascii_lowercase();
        assert!(head.contains("\r\nx-kept: 1\r\n"), "{head}");
        for name in NOT_SENT_ON.iter().chain(&["proxy-authorization"]) {
            assert!(!head.contains(&format!("\r\n{name}:")), "{name}: {head}");
        }
        assert_eq!(other.raw(&request(method, path, &lines, b"")).status, 200);
        let headers = server.heard().pop().unwrap().headers;
        assert_eq!(headers["x-kept"], "1");
        for name in NOT_SENT_ON.iter().chain(&["proxy-authorization"]) {
            assert_eq!(headers.get(*name), None, "{name}");
        }
    }
}

#[test]
fn no_route_answers_with_a_header_of_the_connection() {
    let shop = Backend::saying("ok");
    for name in [
        "connection",
        "Keep-Alive",
        "transfer-encoding",
        "content-length",
        "te",
    ] {
        let route = format!("[[shop.route]]\nrespond = {{ headers = {{ {name} = \"x\" }} }}\n");
        let refused = Edge::try_start(&(table(shop.address()) + &route))
            .err()
            .unwrap();
        assert!(
            refused
                .stderr
                .contains("this header belongs to one connection"),
            "{name}: {}",
            refused.stderr
        );
    }
}

// --- Trailers --------------------------------------------------------------------------------------------

fn sum() -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().unwrap(), "9".parse().unwrap())])
}

#[tokio::test]
async fn trailers_of_answers_pass_over_http_2_alone() {
    let (shop, server) = (Backend::saying("ok"), Echo::in_the_clear());
    shop.does(Deed::Say(
        b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n"
            .to_vec(),
    ));
    let to_http1 = Edge::with(&table(shop.address()));
    let to_http2 = Edge::with(&(table(server.address()) + "upstream_http2 = true\n"));

    let mut connection = Connection::open(to_http1.address());
    for _ in 0..2 {
        let answer = connection.ask(&request("GET", "/", &[], b""));
        assert_eq!(
            answer.text(),
            "ok",
            "the next answer begins where it should"
        );
        assert_eq!(answer.header("trailer"), None);
    }
    let reply = asked(&to_http1, get("/"), b"", None).await;
    assert_eq!((reply.body.as_slice(), reply.trailers), (&b"ok"[..], None));
    assert_eq!(reply.headers.get("trailer"), None);

    let mut connection = Connection::open(to_http2.address());
    for body in ["one", "two"] {
        let answer = connection.ask(&request("POST", "/", &[], body.as_bytes()));
        assert_eq!(answer.text(), body);
    }
    let post = Request::post("http://shop.example.com/");
    let reply = asked(&to_http2, post, b"three", None).await;
    assert_eq!(reply.body, b"three");
    assert_eq!(reply.trailers.unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn trailers_of_requests_end_here() {
    let (shop, server) = (Backend::saying("ok"), Echo::in_the_clear());
    let to_http1 = Edge::with(&table(shop.address()));
    let to_http2 = Edge::with(&(table(server.address()) + "upstream_http2 = true\n"));
    let chunks = b"3\r\nabc\r\n0\r\nX-Sum: 9\r\nAuthorization: Bearer x\r\n\r\n";
    let lines = [
        ("Transfer-Encoding", "chunked"),
        ("Trailer", "X-Sum"),
        ("Content-Length", ""),
    ];
    let mut sent = request("POST", "/", &lines[..2], b"");
    sent.extend_from_slice(chunks);
    for edge in [&to_http1, &to_http2] {
        let mut connection = Connection::open(edge.address());
        for _ in 0..2 {
            assert_eq!(connection.ask(&sent).status, 200);
        }
        let post = Request::post("http://shop.example.com/");
        let reply = asked(edge, post, b"abc", Some(sum())).await;
        assert_eq!(reply.status, 200);
    }
    for heard in shop.heard() {
        let body = String::from_utf8_lossy(&heard.body).into_owned();
        assert!(body.contains("abc") && !body.contains("X-Sum"), "{body}");
        assert!(!heard.head.to_ascii_lowercase().contains("\r\ntrailer:"));
    }
    for heard in server.heard() {
        assert_eq!((heard.body.as_slice(), heard.trailers), (&b"abc"[..], None));
    }
}

// --- 100 Continue ----------------------------------------------------------------------------------------

const EXPECTS: [(&str, &str); 2] = [("Expect", "100-continue"), ("Content-Length", "3")];

/// The statuses before the final one, of a client that sends its body at the first of them, and the final one.
fn statuses(edge: &Edge, method: &str, path: &str, lines: &[(&str, &str)]) -> Vec<u16> {
    let mut connection = Connection::open(edge.address());
    connection.send(&request(method, path, lines, b""));
    let mut seen = vec![connection.interim()];
    if seen == [100] {
        connection.send(b"abc");
    }
    while seen.last() == Some(&100) {
        seen.push(connection.interim());
    }
    seen
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it_once() {
    let (shop, server) = (Backend::saying("ok"), Echo::in_the_clear());
    for examined in ["", "[[shop.credential]]\nbody = \"/token\"\n"] {
        let of_shop = format!("{CREDENTIALS}{examined}");
        let to_http2 = table(server.address()) + "upstream_http2 = true\n" + &of_shop;
        for edge in [
            Edge::with(&(table(shop.address()) + &of_shop)),
            Edge::with(&to_http2),
        ] {
            assert_eq!(statuses(&edge, "POST", "/", &EXPECTS), [100, 200]);
            let logout = [&EXPECTS[..], &[("Authorization", "Bearer abc.1")]].concat();
            assert_eq!(statuses(&edge, "POST", "/logout", &logout), [100, 200]);
            if examined.is_empty() {
                let closed = statuses(&edge, "POST", "/closed", &EXPECTS);
                assert_eq!(closed, [401], "nothing of a refused body is wanted");
            }
        }
    }
}

#[test]
fn a_client_that_was_told_to_continue_is_told_why_it_failed() {
    let gone = Backend::saying("gone").address();
    let examined = "[[shop.credential]]\nbody = \"/token\"\n";
    let edge = Edge::with(&(table(gone) + CREDENTIALS + examined));
    let mut connection = Connection::open(edge.address());
    let json = [&EXPECTS[..], &[("Content-Type", "application/json")]].concat();
    connection.send(&request("POST", "/", &json, b""));
    assert_eq!(connection.interim(), 100);
    connection.send(b"{ }");
    assert_eq!(connection.answer().status, 502);
}

/// Pingora sends no informational answer over HTTP/2: a client sends its body after a while, or at once.
#[tokio::test]
async fn over_http_2_a_body_is_not_waited_for() {
    let (shop, server) = (Backend::saying("ok"), Echo::in_the_clear());
    let to_http2 = table(server.address()) + "upstream_http2 = true\n";
    for edge in [Edge::with(&table(shop.address())), Edge::with(&to_http2)] {
        let post = Request::post("http://shop.example.com/").header("expect", "100-continue");
        assert_eq!(asked(&edge, post, b"abc", None).await.status, 200);
    }
    for bodies in [shop.heard()[0].body.clone(), server.heard()[0].body.clone()] {
        assert!(String::from_utf8_lossy(&bodies).contains("abc"));
    }
}
