//! The front door: redirects from addresses without TLS, and what a listener answers by itself.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use support::encrypted::{Certificates, Hello};
use support::frames::{Frames, fields_of};
use support::{Backend, Connection, Edge, Manager, Outcome, doorward, eventually, raw, request};

/// A shop on `shop.example.com` behind an address with TLS and one that redirects.
struct Door {
    shop: Backend,
    files: Certificates,
    edge: Edge,
}

impl Door {
    fn with(redirect: &str) -> Self {
        let (shop, files) = (Backend::saying("shop"), Certificates::default());
        files.issue("shop", &["shop.example.com"]);
        let edge = Edge::with(&Self::configuration(&shop, &files, redirect));
        Self { shop, files, edge }
    }

    fn configuration(shop: &Backend, files: &Certificates, redirect: &str) -> String {
        format!(
            "listen = [\"https://127.0.0.1:0\", {{ address = \"127.0.0.1:0\"{redirect} }}]\n\
             h2c = true\n{}{}",
            files.table("shop"),
            table(
                shop,
                "hosts = [\"shop.example.com\", \"*.shop.example.com\"]"
            )
        )
    }

    /// The address with TLS, and the one without.
    fn addresses(&self) -> [SocketAddr; 2] {
        self.edge.addresses().try_into().unwrap()
    }

    fn plain(&self) -> SocketAddr {
        self.addresses()[1]
    }

    /// `https://shop.example.com` with the port of the address with TLS.
    fn origin(&self) -> String {
        format!("https://shop.example.com:{}", self.addresses()[0].port())
    }

    fn reconfigure(&self, redirect: &str) -> Outcome {
        let text = Self::configuration(&self.shop, &self.files, redirect);
        self.edge.configure(&text);
        self.edge.command(&["reload"])
    }
}

/// A shop of opaque tokens with these lines.
fn table(shop: &Backend, lines: &str) -> String {
    format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{}\"]\ntoken.kind = \"opaque\"\n{lines}\n",
        shop.address()
    )
}

const REDIRECT: &str = ", redirect = \"https\"";

#[test]
fn every_request_is_sent_to_https_with_its_path_and_query() {
    let door = Door::with(REDIRECT);
    let origin = door.origin();
    for (method, target) in [
        ("GET", "/"),
        ("HEAD", "/cart?a=b&c=%20"),
        ("POST", "/_doorward/logout"),
        ("PUT", "/a%2Fb;c//d"),
        ("DELETE", "//evil.example.com/x?y"),
    ] {
        let bearer = [("Authorization", "Bearer sent-in-clear")];
        let body: &[u8] = if method == "POST" { b"a=b" } else { b"" };
        let bytes = request(method, target, &bearer, body);
        let mut connection = Connection::open(door.plain());
        connection.send(&bytes);
        if method == "HEAD" {
            connection = Connection::open(door.plain());
            connection.send(&request("GET", target, &bearer, b""));
        }
        let answer = connection.answer();
        assert_eq!(answer, 308, "{method} {target}: {answer:?}");
        let location = answer.header("location").unwrap();
        assert_eq!(location, format!("{origin}{target}"), "{method}");
        assert_eq!(answer.body, b"");
    }
    assert_eq!(door.shop.connections(), 0, "nothing is forwarded");
    let below = [("Host", "a.shop.example.com:80")];
    let answer = raw(door.plain(), &request("GET", "/x", &below, b""));
    let port = door.addresses()[0].port();
    let to = format!("https://a.shop.example.com:{port}/x");
    assert_eq!(answer.header("location"), Some(to.as_str()));
    let metrics = door.edge.metrics();
    assert!(metrics.contains("verdict=\"redirected\""), "{metrics}");
}

#[test]
fn the_address_with_tls_beside_it_serves_as_ever() {
    let door = Door::with(REDIRECT);
    let mut stream = Hello::default().to(door.addresses()[0]);
    let ask = request("GET", "/cart", &[("Connection", "close")], b"");
    std::io::Write::write_all(&mut stream, &ask).unwrap();
    let mut answer = Vec::new();
    drop(std::io::Read::read_to_end(&mut stream, &mut answer));
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(door.shop.times("/cart"), 1);
}

#[test]
fn hosts_that_no_shop_claims_are_sent_nowhere() {
    let door = Door::with(REDIRECT);
    for (hosts, status) in [
        (&[("Host", "evil.example.org")][..], 421),
        (&[("Host", "shop.example.com@evil.example.org")], 400),
        (&[("Host", "shop.example.com/..")], 400),
        (&[("Host", "")], 400),
        (&[("Host", "shop.example.com"), ("Host", "b")], 400),
    ] {
        let answer = raw(door.plain(), &request("GET", "/", hosts, b""));
        assert_eq!(answer, status, "{hosts:?}");
        assert_eq!(answer.header("location"), None, "{hosts:?}");
    }
    let forged = [("X-Forwarded-Host", "evil.example.org")];
    let answer = raw(door.plain(), &request("GET", "/", &forged, b""));
    let to = format!("{}/", door.origin());
    assert_eq!(answer.header("location"), Some(to.as_str()));
    assert_eq!(door.shop.connections(), 0);
}

#[test]
fn http2_without_tls_is_redirected_too() {
    let door = Door::with(REDIRECT);
    let mut frames = Frames::open(door.plain());
    let fields = fields_of("GET", "/cart?x", &[]);
    let reply = frames.ask(&fields, None);
    assert_eq!(reply.status, 308, "{reply:?}");
    assert_eq!(door.shop.connections(), 0);
}

#[test]
fn a_reload_changes_the_redirect_and_its_port() {
    let door = Door::with(", redirect = \"https\", redirect_port = 8443");
    let location = || {
        let answer = raw(door.plain(), &request("GET", "/", &[], b""));
        answer.header("location").map(ToOwned::to_owned)
    };
    let to = "https://shop.example.com:8443/";
    assert_eq!(location().as_deref(), Some(to));
    let mut kept = Connection::open(door.plain());
    assert_eq!(kept.ask(&request("GET", "/", &[], b"")), 308);
    let usual = ", redirect = \"https\", redirect_port = 443";
    assert_eq!(door.reconfigure(usual).code, Some(0));
    assert_eq!(location().as_deref(), Some("https://shop.example.com/"));
    assert_eq!(door.reconfigure("").code, Some(0));
    assert_eq!(location(), None);
    let answer = kept.ask(&request("GET", "/", &[], b""));
    assert_eq!(answer, 200, "a connection from before obeys it, too");
}

#[test]
fn ready_is_said_after_an_answer_through_every_kind_of_listener() {
    let (shop, files) = (Backend::saying("shop"), Certificates::default());
    files.issue("shop", &["shop.example.com"]);
    let manager = Arc::new(Manager::new());
    let configuration = Door::configuration(&shop, &files, REDIRECT);
    let edge = Edge::under(&manager, &configuration);
    manager.is_told("READY=1", 1);
    let [encrypted, plain] = edge.addresses().try_into().unwrap();
    let status = manager.status();
    let served = format!("serving 1 shop on {encrypted}, {plain}; ");
    assert!(status.starts_with(&served), "{status}");
    eventually(|| shop.connections() == 0);
}

#[test]
fn what_can_not_be_meant_is_a_fault_of_the_configuration() {
    let (shop, files) = (Backend::saying("shop"), Certificates::default());
    files.issue("shop", &["shop.example.com"]);
    for (listen, said) in [
        ("[{ redirect = \"https\" }]", "error: missing key `address`"),
        (
            "[{ address = \"127.0.0.1:0\", redirect = \"http\" }]",
            "error: unknown `redirect`: `http`",
        ),
        (
            "[{ address = \"127.0.0.1:0\", redirect_port = 443 }]",
            "error: `redirect_port` without `redirect`",
        ),
        (
            "[{ address = \"https://127.0.0.1:0\", redirect = \"https\" }]",
            "error: a redirect to https:// from an address that speaks TLS",
        ),
        (
            "[{ address = \"127.0.0.1:0\", redirects = \"https\" }]",
            "error: unknown key `redirects`",
        ),
        (
            "[\"127.0.0.1:81\", { address = \"127.0.0.1:81\" }]",
            "error: this address is listed twice",
        ),
        ("[7]", "expected a string or a table, found integer"),
        ("\"127.0.0.1:0\"", "expected an array of strings or tables"),
        (
            "[{ address = \"127.0.0.1:0\", redirect = \"https\" }]",
            "warning: no address of `listen` speaks TLS: the redirect leads to port 443",
        ),
    ] {
        let path = files.path("doorward.toml");
        let data = files.path("data");
        let text = format!(
            "listen = {listen}\ndata_dir = \"{}\"\n{}",
            data.display(),
            table(&shop, "")
        );
        files.write("doorward.toml", &text, 0o644);
        let outcome = doorward(&["check", "--config", path.to_str().unwrap()]);
        let told = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(told.contains(said), "{listen}: {told}");
    }
}
