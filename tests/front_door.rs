//! The front door: redirects from addresses without TLS, and what a listener answers by itself.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use support::encrypted::{Certificates, Hello};
use support::frames::{Frames, fields_of};
use support::{
    Backend, Connection, Deed, Edge, Manager, Outcome, doorward, eventually, raw, request,
};

/// A shop on `shop.example.com` behind an address with TLS and one that redirects.
struct FrontDoor {
    shop: Backend,
    files: Certificates,
    edge: Edge,
}

impl FrontDoor {
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

/// What `check` says.
fn checked(files: &Certificates, listen: &str, shops: &str) -> String {
    let (path, data) = (files.path("doorward.toml"), files.path("data"));
    let data = data.display();
    let text = format!("listen = {listen}\ndata_dir = \"{data}\"\n{shops}");
    files.write("doorward.toml", &text, 0o644);
    let outcome = doorward(&["check", "--config", path.to_str().unwrap()]);
    format!("{}{}", outcome.stdout, outcome.stderr)
}

const REDIRECT: &str = ", redirect = \"https\"";

#[test]
fn every_request_is_sent_to_https_with_its_path_and_query() {
    let door = FrontDoor::with(REDIRECT);
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
    let door = FrontDoor::with(REDIRECT);
    let mut stream = Hello::default().to(door.addresses()[0]);
    let ask = request("GET", "/cart", &[("Connection", "close")], b"");
    stream.write_all(&ask).unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(door.shop.times("/cart"), 1);
}

#[test]
fn hosts_that_no_shop_claims_are_sent_nowhere() {
    let door = FrontDoor::with(REDIRECT);
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
    let door = FrontDoor::with(REDIRECT);
    let mut frames = Frames::open(door.plain());
    let fields = fields_of("GET", "/cart?x", &[]);
    let reply = frames.ask(&fields, None);
    assert_eq!(reply.status, 308, "{reply:?}");
    assert_eq!(door.shop.connections(), 0);
}

#[test]
fn a_reload_changes_the_redirect_and_its_port() {
    let door = FrontDoor::with(", redirect = \"https\", redirect_port = 8443");
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
    let configuration = FrontDoor::configuration(&shop, &files, REDIRECT);
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
        let told = checked(&files, listen, &table(&shop, ""));
        assert!(told.contains(said), "{listen}: {told}");
    }
}

// --- Hosts -----------------------------------------------------------------------------------------------

/// A shop behind an address with TLS and one without, with these keys.
fn behind(keys: &str, top: &str) -> FrontDoor {
    let (shop, files) = (Backend::saying("shop"), Certificates::default());
    files.issue("shop", &["shop.example.com"]);
    let edge = Edge::with(&format!(
        "listen = [\"https://127.0.0.1:0\", \"127.0.0.1:0\"]\nh2c = true\n{top}{}{}",
        files.table("shop"),
        table(
            &shop,
            &format!("hosts = [\"shop.example.com\", \"other.example.com\"]\n{keys}")
        )
    ));
    FrontDoor { shop, files, edge }
}

/// The head and the body of an answer over TLS.
fn over_tls(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = Hello::default().to(address);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn closing(method: &str, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let headers = [&[("Connection", "close")], headers].concat();
    request(method, target, &headers, b"")
}

fn line<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let lines = answer.lines().filter_map(|line| line.split_once(": "));
    let mut named = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value)
}

const WWW: &str = "redirect_hosts = [\"www.shop.example.com\", \"*.old.example.com\"]\n";

#[test]
fn a_redirected_host_leads_to_the_first_one_with_path_and_query() {
    let door = behind(WWW, "");
    let [encrypted, plain] = door.addresses();
    for (host, to) in [
        ("www.shop.example.com", "http://shop.example.com"),
        ("WWW.shop.example.com:8080", "http://shop.example.com:8080"),
        ("a.old.example.com", "http://shop.example.com"),
    ] {
        let bearer = [("Host", host), ("Authorization", "Bearer x")];
        let answer = raw(plain, &request("POST", "/a%2Fb?c=d", &bearer, b"body"));
        assert_eq!(answer, 308, "{host}");
        let to = format!("{to}/a%2Fb?c=d");
        assert_eq!(answer.header("location"), Some(to.as_str()), "{host}");
    }
    let www = [("Host", "www.shop.example.com:8443")];
    let answer = over_tls(encrypted, &closing("GET", "/x", &www));
    let to = "https://shop.example.com:8443/x";
    assert_eq!(line(&answer, "location"), Some(to), "{answer}");
    assert_eq!(door.shop.connections(), 0, "nothing is forwarded");
    let mut frames = Frames::open(plain);
    let mut fields = fields_of("GET", "/x", &[]);
    fields[2].1 = "www.shop.example.com";
    assert_eq!(frames.ask(&fields, None).status, 308);
    for host in ["shop.example.com", "other.example.com"] {
        let answer = raw(plain, &request("GET", "/", &[("Host", host)], b""));
        assert_eq!(answer, 200, "{host}");
    }
    let unknown = [("Host", "old.example.com")];
    assert_eq!(raw(plain, &request("GET", "/", &unknown, b"")), 421);
    let metrics = door.edge.metrics();
    let counted = "doorward_decisions_total{shop=\"main\",verdict=\"redirected\"";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn a_wildcard_redirects_no_host_that_a_shop_names_more_closely() {
    let shop = Backend::saying("ok");
    let table = |name: &str, hosts: &str| {
        let upstream = shop.address();
        format!(
            "[[shop]]\nname = \"{name}\"\n{hosts}\nupstream = \"{upstream}\"\ntoken.kind = \"opaque\"\n"
        )
    };
    let edge = Edge::with(&[
        table("main", "hosts = [\"shop.example.com\"]\nredirect_hosts = [\"*.example.com\", \"old.eu.example.com\"]"),
        table("api", "hosts = [\"api.example.com\"]"),
        table("europe", "hosts = [\"*.eu.example.com\"]"),
    ].concat());
    for (host, status) in [
        ("shop.example.com", 200),
        ("SHOP.example.com:80", 200),
        ("api.example.com", 200),
        ("fr.eu.example.com", 200),
        ("old.eu.example.com", 308),
        ("www.example.com", 308),
        ("eu.example.com", 308),
    ] {
        let answer = edge.raw(&request("GET", "/", &[("Host", host)], b""));
        assert_eq!(answer, status, "{host}");
    }
}

#[test]
fn an_address_that_redirects_to_https_knows_the_redirected_hosts() {
    let door = FrontDoor::with(&format!("{REDIRECT}, redirect_port = 443"));
    let text = FrontDoor::configuration(
        &door.shop,
        &door.files,
        &format!("{REDIRECT}, redirect_port = 443"),
    );
    let text = text.replace("token.kind", &format!("{WWW}token.kind"));
    door.edge
        .configure(&text.replace(", \"*.shop.example.com\"", ""));
    assert_eq!(door.edge.command(&["reload"]).code, Some(0));
    let www = [("Host", "www.shop.example.com")];
    let answer = raw(door.plain(), &request("GET", "/x", &www, b""));
    let to = "https://www.shop.example.com/x";
    assert_eq!(answer.header("location"), Some(to), "one step at a time");
}

#[test]
fn hosts_to_redirect_are_claimed_like_the_others() {
    let shop = Backend::saying("shop");
    for (shops, said) in [
        (
            table(&shop, "redirect_hosts = \"www.example.com\""),
            "`redirect_hosts` leads nowhere",
        ),
        (
            table(
                &shop,
                "hosts = [\"*.example.com\"]\nredirect_hosts = \"www.example.org\"",
            ),
            "`redirect_hosts` leads nowhere",
        ),
        (
            table(
                &shop,
                "hosts = [\"example.com\"]\nredirect_hosts = \"example.com\"",
            ),
            "two shops claim this host",
        ),
        (
            table(
                &shop,
                "hosts = [\"example.com\"]\nredirect_hosts = \"www.example.com\"",
            ) + &table(&shop, "hosts = [\"www.example.com\"]").replace("main", "second"),
            "two shops claim this host",
        ),
        (
            table(&shop, "hosts = [\"*.example.com\"]")
                + &table(
                    &shop,
                    "hosts = [\"example.org\"]\nredirect_hosts = \"www.example.com\"",
                )
                .replace("main", "second"),
            "no request for this host gets here",
        ),
    ] {
        let refused = Edge::try_start(&shops).err().unwrap();
        assert!(refused.stderr.contains(said), "{shops}: {}", refused.stderr);
    }
}

// --- HSTS ------------------------------------------------------------------------------------------------

const HSTS: &str = "hsts = { max_age = \"365d\", include_subdomains = true, preload = true }\n";
const SENT: &str = "max-age=31536000; includeSubDomains; preload";

fn of_hsts(answer: &str) -> Vec<&str> {
    let lines = answer.lines().filter_map(|line| line.split_once(": "));
    let named = lines.filter(|(name, _)| name.eq_ignore_ascii_case("strict-transport-security"));
    named.map(|(_, value)| value).collect()
}

#[test]
fn every_answer_over_tls_has_it_and_none_without() {
    let routes = "[[shop.route]]\npaths = [\"/maintenance\"]\nrespond = { status = 503, body = \"soon\" }\n\
                  [[shop.route]]\npaths = [\"/closed\"]\nenforce = \"required\"\n";
    let door = behind(&format!("{HSTS}{WWW}{routes}"), "");
    let [encrypted, plain] = door.addresses();
    door.shop.does_at(
        "/own",
        Deed::Say(
            b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
        ),
    );
    door.shop.does_at("/broken", Deed::HangUp);
    for (method, target, host, status) in [
        ("GET", "/", "shop.example.com", 200),
        ("HEAD", "/", "shop.example.com", 200),
        ("GET", "/own", "shop.example.com", 200),
        ("GET", "/maintenance", "shop.example.com", 503),
        ("GET", "/closed", "shop.example.com", 401),
        ("GET", "/broken", "shop.example.com", 502),
        ("GET", "/", "www.shop.example.com", 308),
        ("TRACE", "/", "shop.example.com", 405),
        ("POST", "/_doorward/logout", "shop.example.com", 401),
    ] {
        let bytes = closing(method, target, &[("Host", host)]);
        let answer = over_tls(encrypted, &bytes);
        let begins = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&begins), "{method} {target}: {answer}");
        assert_eq!(of_hsts(&answer), [SENT], "{method} {target}: {answer}");
        let answer = raw(plain, &bytes);
        let plain = answer.headers_named("strict-transport-security");
        let own: &[&str] = if target == "/own" {
            &["max-age=1"]
        } else {
            &[]
        };
        assert_eq!(plain, own, "{method} {target}");
    }
    let unknown = closing("GET", "/", &[("Host", "example.org")]);
    let beside = table(&door.shop, "").replace("main", "beside");
    let text = FrontDoor::configuration(&door.shop, &door.files, "");
    let text = text.replace(", \"*.shop.example.com\"", "");
    assert_eq!(of_hsts(&over_tls(encrypted, &unknown)), [""; 0]);
    let every_other = beside.replace("token.kind", &format!("{HSTS}token.kind"));
    door.edge.configure(&format!("{text}{every_other}"));
    assert_eq!(door.edge.command(&["reload"]).code, Some(0));
    assert_eq!(of_hsts(&over_tls(encrypted, &unknown)), [SENT]);
    let first = closing("GET", "/", &[]);
    assert_eq!(
        of_hsts(&over_tls(encrypted, &first)),
        [""; 0],
        "not another shop's"
    );
}

#[test]
fn what_a_trusted_proxy_says_of_tls_counts() {
    let door = behind("hsts = \"30d\"\n", "trusted_proxies = [\"127.0.0.1\"]\n");
    let [encrypted, plain] = door.addresses();
    let sent = |scheme: &str, is_encrypted: bool| {
        let bytes = closing("GET", "/", &[("X-Forwarded-Proto", scheme)]);
        let answer = if is_encrypted {
            over_tls(encrypted, &bytes)
        } else {
            let answer = raw(plain, &bytes);
            let lines = answer.headers.iter();
            let lines = lines.map(|(name, value)| format!("{name}: {value}\n"));
            lines.collect::<Vec<_>>().concat()
        };
        of_hsts(&answer).len()
    };
    assert_eq!((sent("https", false), sent("http", false)), (1, 0));
    assert_eq!((sent("https", true), sent("http", true)), (1, 0));
    let headers = head_over_http2(plain, "https");
    assert_eq!(headers["strict-transport-security"], "max-age=2592000");
    assert!(!head_over_http2(plain, "http").contains_key("strict-transport-security"));
    let door = behind("hsts = \"30d\"\n", "");
    let forged = closing("GET", "/", &[("X-Forwarded-Proto", "https")]);
    let answer = raw(door.plain(), &forged);
    assert_eq!(answer.header("strict-transport-security"), None);
}

/// The headers of an answer over HTTP/2 without TLS, where the proxy in front says this of its client's.
fn head_over_http2(address: SocketAddr, scheme: &str) -> http::HeaderMap {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let ask = http::Request::get("http://shop.example.com/")
            .header("x-forwarded-proto", scheme)
            .body(())
            .unwrap();
        let (answer, _) = sender.send_request(ask, true).unwrap();
        answer.await.unwrap().headers().clone()
    })
}

#[test]
fn hsts_that_does_not_work_is_warned_of() {
    let shop = Backend::saying("shop");
    let files = Certificates::default();
    for (keys, said) in [
        ("hsts = \"30d\"", "warning: no answer will have this header"),
        (
            "hsts = { max_age = \"365d\", preload = true }",
            "warning: the list of browsers does not take this",
        ),
        (
            "hsts = { max_age = \"364d\", preload = true, include_subdomains = true }",
            "warning: the list of browsers does not take this",
        ),
        ("hsts = {}", "error: missing key `max_age`"),
        ("hsts = \"soon\"", "expected a duration"),
        ("hsts = true", "wrong type for `hsts`"),
    ] {
        let told = checked(&files, "[\"127.0.0.1:0\"]", &table(&shop, keys));
        assert!(told.contains(said), "{keys}: {told}");
    }
}

#[test]
fn a_reload_changes_hosts_and_hsts() {
    let door = FrontDoor::with("");
    let text = FrontDoor::configuration(&door.shop, &door.files, "");
    let text = text.replace(", \"*.shop.example.com\"", "");
    let text = text.replace("token.kind", &format!("{HSTS}{WWW}token.kind"));
    let [encrypted, plain] = door.addresses();
    assert_eq!(
        of_hsts(&over_tls(encrypted, &closing("GET", "/", &[]))),
        [""; 0]
    );
    door.edge.configure(&text);
    assert_eq!(door.edge.command(&["reload"]).code, Some(0));
    assert_eq!(
        of_hsts(&over_tls(encrypted, &closing("GET", "/", &[]))),
        [SENT]
    );
    let www = [("Host", "www.shop.example.com")];
    assert_eq!(raw(plain, &request("GET", "/", &www, b"")), 308);
}
