//! What may be said of each server: its weight, whether it is a backup, how it is reached, how many requests it may have.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use doorward::config;
use support::{
    Answer, Authority, Backend, Connection, Customer, Deed, Echo, Edge, Exchange, HELLO, LiveShop,
    Nobody, Relay, asked_shop_table, eventually, ok, put, request, said, shop_table_at,
    stateless_bagisto, try_raw,
};
use tempfile::TempDir;

/// A shop with opaque tokens; `servers` are in TOML.
fn table(servers: &str, more: &str) -> String {
    format!("[[shop]]\nname = \"main\"\nupstream = [{servers}]\ntoken.kind = \"opaque\"\n{more}\n")
}

/// A server as a table, with these keys.
fn server(at: &Backend, keys: &str) -> String {
    format!("{{ address = \"{}\", {keys} }}", at.address())
}

fn plain(at: &Backend) -> String {
    format!("\"{}\"", at.address())
}

fn get(edge: &Edge, path: &str) -> Answer {
    edge.raw(&request("GET", path, &[], b""))
}

/// Who answers how many of some requests, each sent when the one before is over and done with.
fn shares(edge: &Edge, requests: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        *shares.entry(get(edge, "/").text()).or_default() += 1;
    }
    shares
}

fn counted(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let pairs = pairs
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count));
    pairs.collect()
}

fn has_logged(edge: &Edge, words: &str) -> bool {
    edge.log_lines().iter().any(|line| line.contains(words))
}

fn reload(edge: &Edge, table: &str) {
    edge.configure(table);
    let outcome = edge.command(&["reload"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

/// The value of a metric, by the beginning of its line.
fn metric(edge: &Edge, line: &str) -> Option<u64> {
    let metrics = edge.metrics();
    let mut lines = metrics.lines();
    let found = lines.find_map(|one| one.strip_prefix(line))?;
    found.trim().parse().ok()
}

// --- Weights ---------------------------------------------------------------------------------------------

#[test]
fn requests_are_spread_by_the_weights_of_the_servers() {
    let (light, heavy) = (Backend::saying("light"), Backend::saying("heavy"));
    let servers = format!("{}, {}", plain(&light), server(&heavy, "weight = 3"));
    let edge = Edge::with(&table(&servers, ""));
    assert_eq!(shares(&edge, 8), counted(&[("heavy", 6), ("light", 2)]));
    let outcome = edge.command(&["check"]);
    let told = format!(
        "upstreams: http://{}, http://{} (weight 3)",
        light.address(),
        heavy.address()
    );
    assert!(outcome.stdout.contains(&told), "{}", outcome.stdout);
    let named = format!(
        "[[upstream]]\nname = \"both\"\nservers = [{servers}]\n[[shop]]\nname = \"main\"\nupstream = \"both\"\ntoken.kind = \"opaque\"\n"
    );
    reload(&edge, &named);
    assert_eq!(shares(&edge, 8), counted(&[("heavy", 6), ("light", 2)]));
}

#[test]
fn requests_in_flight_are_measured_by_the_weights() {
    let (light, heavy) = (Backend::saying("light"), Backend::saying("heavy"));
    for server in [&light, &heavy] {
        server.does(Deed::Silence);
    }
    let servers = format!("{}, {}", plain(&light), server(&heavy, "weight = 3"));
    let edge = Edge::with(&table(
        &servers,
        "[shop.balance]\nalgorithm = \"least-connections\"",
    ));
    let mut waiting = Vec::new();
    for number in 1..=8 {
        let mut connection = Connection::open(edge.address());
        connection.send(&request("GET", "/", &[], b""));
        waiting.push(connection);
        eventually(|| light.times("/") + heavy.times("/") == number);
    }
    assert_eq!((light.times("/"), heavy.times("/")), (2, 6));
}

// --- Backups ---------------------------------------------------------------------------------------------

#[test]
fn a_backup_gets_requests_only_while_no_other_server_is_there() {
    let (one, spare) = (Backend::saying("one"), Backend::saying("spare"));
    let servers = format!("{}, {}", server(&spare, "backup = true"), plain(&one));
    let edge = Edge::with(&table(
        &servers,
        "[shop.health]\ncheck = \"tcp\"\ninterval = \"50ms\"\n",
    ));
    assert_eq!(shares(&edge, 6), counted(&[("one", 6)]));
    let place = one.address();
    drop(one);
    assert_eq!(shares(&edge, 6), counted(&[("spare", 6)]), "at once");
    eventually(|| has_logged(&edge, "the server is unhealthy"));
    assert_eq!(shares(&edge, 4), counted(&[("spare", 4)]));
    let _back = Backend::back_at(place, "one");
    eventually(|| shares(&edge, 4) == counted(&[("one", 4)]));
    let told = format!("http://{} (backup)", spare.address());
    assert!(edge.command(&["check"]).stdout.contains(&told));
}

#[test]
fn a_backup_stands_in_for_servers_that_are_ejected_or_have_no_address() {
    let (bad, spare) = (Backend::saying("bad"), Backend::saying("spare"));
    bad.does(Deed::HangUp);
    let servers = format!("{}, {}", plain(&bad), server(&spare, "backup = true"));
    let health = "[shop.health]\neject_after = 1\neject_for = \"1h\"\n";
    let edge = Edge::with(&table(&servers, health));
    assert_eq!(get(&edge, "/"), 502, "it may have been acted on");
    assert_eq!(shares(&edge, 4), counted(&[("spare", 4)]));
    let servers = format!(
        "\"http://shop.invalid\", {}",
        server(&spare, "backup = true")
    );
    reload(&edge, &table(&servers, ""));
    assert_eq!(shares(&edge, 4), counted(&[("spare", 4)]));
}

// --- Slow start ------------------------------------------------------------------------------------------

#[test]
fn a_server_that_is_back_has_a_small_share_at_first() {
    let (stays, leaves) = (Backend::saying("stays"), Backend::saying("leaves"));
    let servers = format!("{}, {}", plain(&stays), plain(&leaves));
    let more = "[shop.balance]\nslow_start = \"24h\"\n[shop.health]\ncheck = \"tcp\"\ninterval = \"50ms\"\n";
    let edge = Edge::with(&table(&servers, more));
    assert_eq!(shares(&edge, 8).len(), 2, "not at the start of the process");
    let place = leaves.address();
    drop(leaves);
    eventually(|| has_logged(&edge, "the server is unhealthy"));
    let _back = Backend::back_at(place, "back");
    eventually(|| has_logged(&edge, "the server is healthy again"));
    let after = shares(&edge, 20);
    assert!(after.get("stays") >= Some(&19), "{after:?}");
    let new = Backend::saying("new");
    reload(&edge, &table(&format!("{servers}, {}", plain(&new)), more));
    let after = shares(&edge, 20);
    assert!(after.get("stays") >= Some(&18), "{after:?}");
    reload(&edge, &table(&format!("{servers}, {}", plain(&new)), ""));
    assert_eq!(
        shares(&edge, 9),
        counted(&[("back", 3), ("new", 3), ("stays", 3)])
    );
}

// --- Unix sockets ----------------------------------------------------------------------------------------

struct Socket {
    folder: TempDir,
}

impl Socket {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> String {
        let path = self.folder.path().join("shop.sock");
        path.to_str().unwrap().to_owned()
    }

    /// A relay from it to this server.
    fn leads_to(&self, server: SocketAddr) -> Relay {
        Relay::on_socket(Path::new(&self.path()), server)
    }

    /// As `upstream` says it.
    fn entry(&self) -> String {
        format!("\"unix:{}\"", self.path())
    }
}

#[test]
fn a_server_on_a_unix_socket_is_served_from_on_connections_that_are_kept() {
    let (socket, shop) = (Socket::new(), Backend::saying("here"));
    let relay = socket.leads_to(shop.address());
    let edge = Edge::with(&table(&socket.entry(), ""));
    for _ in 0..3 {
        let answer = edge.raw(&request("POST", "/cart", &[], b"one kettle"));
        assert_eq!(answer.text(), "here");
    }
    let heard = shop.heard().pop().unwrap();
    assert_eq!(heard.body, b"one kettle");
    assert!(
        heard
            .head
            .to_ascii_lowercase()
            .contains("\r\nhost: shop.example.com\r\n")
    );
    assert_eq!(relay.headers().len(), 1, "one connection");
    let label = format!("unix:{}", socket.path());
    let healthy = format!("{label} healthy");
    eventually(|| {
        edge.ask_operator("/readyz?verbose")
            .text()
            .contains(&healthy)
    });
    let line = format!("doorward_upstream_in_flight{{shop=\"main\",server=\"{label}\"}}");
    eventually(|| metric(&edge, &line) == Some(0)); // the answer comes before the end is noted
}

#[test]
fn a_server_on_a_unix_socket_is_checked_as_localhost() {
    let (socket, shop) = (Socket::new(), Backend::saying("here"));
    let _relay = socket.leads_to(shop.address());
    let health = "[shop.health]\ncheck = \"http\"\npath = \"/up\"\ninterval = \"50ms\"\n";
    let edge = Edge::with(&table(&socket.entry(), health));
    eventually(|| shop.times("/up") > 1);
    let check = shop
        .heard()
        .into_iter()
        .find(|one| one.path() == "/up")
        .unwrap();
    assert!(
        check
            .head
            .to_ascii_lowercase()
            .contains("\r\nhost: localhost\r\n")
    );
    assert!(!has_logged(&edge, "unhealthy"));
}

#[test]
fn logouts_and_introspection_go_over_a_unix_socket_too() {
    let (socket, shop) = (Socket::new(), stateless_bagisto());
    let relay = socket.leads_to(shop.address());
    let own = shop_table_at(&shop, &[]).replace("[]", &format!("[{}]", socket.entry()));
    let edge = Edge::with(&own);
    let alice = Customer::signed_in(&shop);
    assert_eq!(alice.visit(&edge, "/cart"), 200);
    assert_eq!(alice.log_out(&edge), 200);
    assert_eq!(alice.visit(&edge, "/cart"), 401);
    assert_eq!(
        relay.headers().len(),
        2,
        "a logout has a connection of its own"
    );
    let inspected = edge.command(&["inspect"]).stdout;
    assert!(
        inspected.contains(&format!("unix:{}", socket.path())),
        "{inspected}"
    );
    drop((edge, relay));

    shop.recite("/who", said(200, r#"{"good": true, "id": "7"}"#));
    shop.recite("/page", said(200, "{}"));
    let relay = socket.leads_to(shop.address());
    let ask = "path = \"/who\"\nactive = { json = { \"/good\" = true } }\nsubject = \"/id\"";
    let asked = asked_shop_table(shop.address(), "opaque_pattern = '[a-z0-9-]{20,}'", ask);
    let asked = asked.replace(&format!("\"{}\"", shop.address()), &socket.entry());
    let edge = Edge::with(&asked);
    let bearer = [("Authorization", "Bearer a-token-of-twenty-letters")];
    assert_eq!(edge.raw(&request("GET", "/page", &bearer, b"")), 200);
    assert_eq!(relay.headers().len(), 2, "one to ask, one to visit");
}

#[test]
fn web_sockets_pass_over_a_unix_socket() {
    let (socket, live) = (Socket::new(), LiveShop::beside(stateless_bagisto()));
    let upstream = live.table();
    let mut lines: Vec<_> = upstream.lines().map(str::to_owned).collect();
    let servers = lines
        .iter_mut()
        .find(|one| one.starts_with("upstream"))
        .unwrap();
    let address = servers.split('"').nth(1).unwrap().parse().unwrap();
    let _relay = socket.leads_to(address);
    *servers = format!("upstream = [{}]", socket.entry());
    let edge = Edge::with(&lines.join("\n"));
    let mut exchange = Exchange::of(edge.address(), "/socket/anonymous", &[]);
    exchange.hears("101 Switching Protocols");
    let mut events = Exchange::of(edge.address(), "/events/other", &[]);
    events.hears(HELLO);
}

#[test]
fn http_2_is_spoken_on_a_unix_socket_where_it_is_told_to() {
    let (socket, server) = (Socket::new(), Echo::in_the_clear());
    let _relay = socket.leads_to(server.address());
    let edge = Edge::with(&table(&socket.entry(), "upstream_http2 = true"));
    for _ in 0..2 {
        assert_eq!(
            edge.raw(&request("POST", "/a", &[], b"kettle")).text(),
            "kettle"
        );
    }
    assert_eq!(server.heard()[0].uri, "http://shop.example.com/a");
}

#[test]
fn a_unix_socket_that_is_not_there_is_a_server_that_can_not_be_reached() {
    let (socket, spare) = (Socket::new(), Backend::saying("spare"));
    let edge = Edge::with(&table(&socket.entry(), ""));
    assert_eq!(get(&edge, "/"), 502);
    reload(
        &edge,
        &table(&format!("{}, {}", socket.entry(), plain(&spare)), ""),
    );
    assert_eq!(shares(&edge, 4), counted(&[("spare", 4)]));
}

// --- The PROXY protocol ----------------------------------------------------------------------------------

/// A shop whose servers expect a header of this version.
fn announced(relay: &Relay, version: &str, more: &str) -> String {
    let servers = format!("\"{}\"", relay.address());
    table(
        &servers,
        &format!("upstream_proxy_protocol = \"{version}\"\n{more}"),
    )
}

#[test]
fn a_connection_begins_with_its_client_serves_no_other_and_is_not_kept() {
    let shop = Backend::saying("here");
    let relay = Relay::behind_headers(shop.address());
    let edge = Edge::with(&announced(&relay, "v1", ""));
    let mut connection = Connection::open(edge.address());
    let mut other = Connection::open(edge.address());
    for _ in 0..2 {
        for connection in [&mut connection, &mut other] {
            assert_eq!(
                connection.ask(&request("GET", "/", &[], b"")).text(),
                "here"
            );
        }
    }
    let headers = relay.headers();
    assert!((2..=4).contains(&headers.len()), "{headers:?}");
    let mut clients: Vec<_> = headers
        .iter()
        .map(|one| String::from_utf8_lossy(one))
        .collect();
    for header in &clients {
        assert!(
            header.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "),
            "{header}"
        );
        let port = format!(" {}\r\n", edge.address().port());
        assert!(header.ends_with(&port), "{header}");
    }
    clients.sort();
    clients.dedup();
    assert_eq!(clients.len(), 2, "each connection of a client is another");
    eventually(|| shop.connections() == 0);
    reload(&edge, &announced(&relay, "v2", ""));
    assert_eq!(get(&edge, "/").text(), "here");
    let last = relay.headers().pop().unwrap();
    assert_eq!(last[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
    assert_eq!(last[16..24], [127, 0, 0, 1, 127, 0, 0, 1]);
}

#[test]
fn a_client_behind_a_trusted_proxy_is_announced_without_a_port() {
    let shop = Backend::saying("here");
    let relay = Relay::behind_headers(shop.address());
    let trusting = "trusted_proxies = [\"127.0.0.1\"]\n";
    let edge = Edge::with(&format!("{trusting}{}", announced(&relay, "v1", "")));
    let port = edge.address().port();
    for (client, header) in [
        (
            "203.0.113.7",
            format!("PROXY TCP4 203.0.113.7 127.0.0.1 0 {port}\r\n"),
        ),
        (
            "2001:db8::7",
            format!("PROXY TCP6 2001:db8::7 ::ffff:127.0.0.1 0 {port}\r\n"),
        ),
    ] {
        edge.raw(&request("GET", "/", &[("X-Forwarded-For", client)], b""));
        let last = relay.headers().pop().unwrap();
        assert_eq!(String::from_utf8(last).unwrap(), header);
    }
}

#[test]
fn checks_announce_no_client_and_logouts_theirs() {
    let shop = stateless_bagisto();
    let relay = Relay::behind_headers(shop.address());
    let own = shop_table_at(&shop, &[relay.address()]);
    for (version, of_check, of_client) in [
        (
            "v1",
            &b"PROXY UNKNOWN\r\n"[..],
            &b"PROXY TCP4 127.0.0.1 "[..],
        ),
        (
            "v2",
            &b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"[..],
            &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
        ),
    ] {
        let before = relay.headers().len();
        let edge = Edge::with(&format!(
            "{own}upstream_proxy_protocol = \"{version}\"\n[shop.health]\ncheck = \"http\"\nstatus = [\"404\"]\ninterval = \"50ms\"\n"
        ));
        let headers = || relay.headers().split_off(before);
        eventually(|| headers().len() > 2);
        assert!(
            headers().iter().all(|one| one == of_check),
            "{:?}",
            headers()
        );
        let alice = Customer::signed_in(&shop);
        assert_eq!(alice.log_out(&edge), 200);
        let ours = headers()
            .into_iter()
            .filter(|one| one.starts_with(of_client));
        assert_eq!(ours.count(), 1, "{:?}", headers());
    }
}

#[test]
fn the_header_comes_before_tls_and_http_2_and_web_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    let ca_file = put(folder.path(), "ca.pem", &authority.pem(), 0o644);
    let identity = authority.issue(&["localhost", "127.0.0.1"]);
    let secret = Backend::with_tls("secret", identity.server());
    let relay = Relay::behind_headers(secret.address());
    let tls = format!("[shop.upstream_tls]\nca_file = \"{ca_file}\"\n");
    let edge = Edge::with(&announced(&relay, "v2", &tls).replace("[\"", "[\"https://"));
    assert_eq!(get(&edge, "/").text(), "secret");
    assert_eq!(get(&edge, "/").text(), "secret");
    assert_eq!(relay.headers().len(), 2);

    let server = Echo::in_the_clear();
    let relay = Relay::behind_headers(server.address());
    let edge = Edge::with(&announced(&relay, "v1", "upstream_http2 = true"));
    for _ in 0..3 {
        assert_eq!(
            edge.raw(&request("POST", "/a", &[], b"kettle")).text(),
            "kettle"
        );
    }
    assert_eq!(relay.headers().len(), 3);

    let live = LiveShop::beside(stateless_bagisto());
    let upstream = live.table();
    let address = upstream
        .lines()
        .find(|line| line.starts_with("upstream"))
        .unwrap();
    let address = address.split('"').nth(1).unwrap();
    let relay = Relay::behind_headers(address.parse().unwrap());
    let there = relay.address().to_string();
    let upstream = upstream.replace(address, &there);
    let edge = Edge::with(&format!("{upstream}upstream_proxy_protocol = \"v1\"\n"));
    let mut exchange = Exchange::of(edge.address(), "/socket/anonymous", &[]);
    exchange.hears("101 Switching Protocols");
    assert!(relay.headers()[0].starts_with(b"PROXY TCP4 127.0.0.1 "));
}

// --- Limits and the queue --------------------------------------------------------------------------------

/// A shop whose one server has room for one request.
fn narrow(shop: &Backend, more: &str) -> String {
    let limits = format!("[shop.upstream_limits]\nconnections = 1\n{more}\n");
    table(&plain(shop), &limits)
}

/// A request that is being served, or waits.
fn asking(edge: &Edge, path: &str) -> Connection {
    let mut connection = Connection::open(edge.address());
    connection.send(&request("GET", path, &[], b""));
    connection
}

const QUEUE: &str = "doorward_upstream_queue{shop=\"main\"}";
const FULL: &str = "doorward_upstream_queue_refusals_total{shop=\"main\",reason=\"full\"}";
const TIMEOUT: &str = "doorward_upstream_queue_refusals_total{shop=\"main\",reason=\"timeout\"}";

/// A shop that is silent at `/slow`.
fn sluggish() -> Backend {
    let shop = Backend::saying("here");
    shop.does_at("/slow", Deed::Silence);
    shop
}

#[test]
fn who_finds_a_server_full_waits_in_order_and_the_rest_are_refused() {
    let shop = sluggish();
    let edge = Edge::with(&narrow(&shop, "queue = 3\nqueue_timeout = \"1h\""));
    assert_eq!(get(&edge, "/").text(), "here");
    let first = asking(&edge, "/slow");
    eventually(|| shop.times("/slow") == 1);
    let mut waiting = Vec::new();
    for number in 1..=3 {
        waiting.push(asking(&edge, &format!("/{number}")));
        eventually(|| metric(&edge, QUEUE) == Some(number));
    }
    let refused = get(&edge, "/4");
    assert_eq!(refused, 503);
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert!(
        refused.text().contains("The shop is busy"),
        "{}",
        refused.text()
    );
    assert_eq!(metric(&edge, FULL), Some(1));
    assert_eq!(shop.heard().len(), 2, "no other request reached it");
    drop(first);
    for connection in &mut waiting {
        assert_eq!(connection.answer().text(), "here");
    }
    let heard = shop.heard();
    let order: Vec<_> = heard[2..].iter().map(support::Heard::path).collect();
    assert_eq!(order, ["/1", "/2", "/3"]);
    assert_eq!(metric(&edge, QUEUE), Some(0));
    eventually(|| has_logged(&edge, "QueueFull"));
}

#[test]
fn a_wait_is_bounded_and_a_client_that_leaves_gives_up_its_place() {
    let shop = sluggish();
    let edge = Edge::with(&narrow(&shop, "queue = 1\nqueue_timeout = \"1h\""));
    let first = asking(&edge, "/slow");
    eventually(|| shop.times("/slow") == 1);
    let leaving = asking(&edge, "/leaving");
    eventually(|| metric(&edge, QUEUE) == Some(1));
    drop(leaving);
    eventually(|| metric(&edge, QUEUE) == Some(0));
    let mut patient = asking(&edge, "/patient");
    eventually(|| metric(&edge, QUEUE) == Some(1));
    drop(first);
    assert_eq!(patient.answer().text(), "here");
    assert_eq!(shop.times("/leaving"), 0);

    reload(
        &edge,
        &narrow(&shop, "queue = 1\nqueue_timeout = \"500ms\""),
    );
    let _first = asking(&edge, "/slow");
    eventually(|| shop.times("/slow") == 2);
    let late = get(&edge, "/late");
    assert_eq!((late.status, late.header("retry-after")), (503, Some("5")));
    assert_eq!(metric(&edge, TIMEOUT), Some(1));
    assert_eq!(shop.times("/late"), 0);
}

#[test]
fn who_waits_for_a_former_server_holds_up_no_request_to_a_new_one() {
    let (old, new) = (sluggish(), Backend::saying("new"));
    let edge = Edge::with(&narrow(&old, "queue_timeout = \"1h\""));
    let first = asking(&edge, "/slow");
    eventually(|| old.times("/slow") == 1);
    let mut waiting = asking(&edge, "/waiting");
    eventually(|| metric(&edge, QUEUE) == Some(1));
    reload(&edge, &narrow(&new, "queue_timeout = \"1h\""));
    assert_eq!(get(&edge, "/").text(), "new");
    assert_eq!(metric(&edge, QUEUE), Some(1), "it still waits, and counts");
    reload(&edge, &narrow(&new, "queue = 0"));
    assert_eq!(get(&edge, "/").text(), "new", "it takes no place of others");
    drop(first);
    assert_eq!(waiting.answer().text(), "here");
    assert_eq!(metric(&edge, QUEUE), Some(0));
}

#[test]
fn a_stream_of_http_2_that_is_reset_gives_up_its_place() {
    let shop = sluggish();
    let edge = Edge::with(&format!(
        "h2c = true\n{}",
        narrow(&shop, "queue_timeout = \"1h\"")
    ));
    let first = asking(&edge, "/slow");
    eventually(|| shop.times("/slow") == 1);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let stream = tokio::net::TcpStream::connect(edge.address())
                .await
                .unwrap();
            let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            let post = |path: &str| {
                let uri = format!("http://shop.example.com{path}");
                let request = http::Request::post(uri);
                request.body(()).unwrap()
            };
            let (answer, mut sending) = client.send_request(post("/leaving"), false).unwrap();
            let until = |count| {
                let edge = &edge;
                async move {
                    while metric(edge, QUEUE) != Some(count) {
                        tokio::task::yield_now().await;
                    }
                }
            };
            until(1).await;
            sending.send_reset(h2::Reason::CANCEL);
            drop(answer);
            until(0).await;
            let (answer, mut sending) = client.send_request(post("/patient"), false).unwrap();
            until(1).await;
            drop(first);
            sending
                .send_data(bytes::Bytes::from_static(b"kettle"), true)
                .unwrap();
            assert_eq!(answer.await.unwrap().status(), 200);
        });
    assert_eq!((shop.times("/leaving"), shop.times("/patient")), (0, 1));
}

#[test]
fn of_several_servers_the_one_with_room_is_taken_and_a_backup_is_none() {
    let (one, other, spare) = (sluggish(), sluggish(), Backend::saying("spare"));
    let servers = format!(
        "{}, {}, {}",
        plain(&one),
        plain(&other),
        server(&spare, "backup = true")
    );
    let limits = "[shop.upstream_limits]\nconnections = 1\nqueue = 1\nqueue_timeout = \"500ms\"\n";
    for algorithm in ["round-robin", "least-connections", "hash"] {
        let balance = format!("[shop.balance]\nalgorithm = \"{algorithm}\"\n{limits}");
        let edge = Edge::with(&table(&servers, &balance));
        let before = one.times("/slow") + other.times("/slow");
        let _first = asking(&edge, "/slow");
        eventually(|| one.times("/slow") + other.times("/slow") == before + 1);
        for _ in 0..3 {
            assert_eq!(get(&edge, "/").text(), "here", "{algorithm}");
        }
        let _second = asking(&edge, "/slow");
        eventually(|| one.times("/slow") + other.times("/slow") == before + 2);
        assert_eq!(get(&edge, "/"), 503, "{algorithm}");
    }
    assert_eq!(spare.heard().len(), 0);
}

#[test]
fn a_logout_ends_its_token_also_where_the_queue_is_full() {
    let shop = stateless_bagisto();
    let slow = sluggish();
    let own = shop_table_at(&shop, &[slow.address()]);
    let limits = "[shop.upstream_limits]\nconnections = 1\nqueue = 0\n";
    let edge = Edge::with(&format!("{own}{limits}"));
    let alice = Customer::signed_in(&shop);
    let first = asking(&edge, "/slow");
    eventually(|| slow.times("/slow") == 1);
    assert_eq!(alice.log_out(&edge), 200);
    drop(first);
    assert_eq!(alice.visit(&edge, "/cart"), 401);
    assert_eq!(slow.heard().len(), 1);
}

#[test]
fn a_logout_waits_for_its_place_like_others() {
    let (shop, slow) = (stateless_bagisto(), sluggish());
    let own = shop_table_at(&shop, &[slow.address()]);
    let edge = Edge::with(&format!("{own}[shop.upstream_limits]\nconnections = 1\n"));
    let alice = Customer::signed_in(&shop);
    let first = asking(&edge, "/slow");
    eventually(|| slow.times("/slow") == 1);
    std::thread::scope(|scope| {
        let leaving = scope.spawn(|| alice.log_out(&edge));
        eventually(|| metric(&edge, QUEUE) == Some(1));
        assert_eq!(alice.visit(&edge, "/cart"), 401, "its token is dead");
        drop(first);
        assert_eq!(leaving.join().unwrap(), 200);
    });
    assert_eq!(slow.heard().len(), 2, "the shop heard of it");
}

#[test]
fn what_waits_with_a_token_in_its_body_is_refused_if_that_dies_meanwhile() {
    let (shop, slow) = (stateless_bagisto(), sluggish());
    let own = shop_table_at(&shop, &[slow.address()]);
    let edge = Edge::with(&format!(
        "{own}[shop.upstream_limits]\nconnections = 1\n[[shop.credential]]\nbody = \"/token\"\n"
    ));
    let alice = Customer::signed_in(&shop);
    let first = asking(&edge, "/slow");
    eventually(|| slow.times("/slow") == 1);
    let body = format!("{{\"note\":\"{}\"}}", alice.token());
    let json = [("content-type", "application/json")];
    let sent = request("POST", "/notes", &json, body.as_bytes());
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| edge.raw(&sent).status);
        eventually(|| metric(&edge, QUEUE) == Some(1));
        let leaving = scope.spawn(|| alice.log_out(&edge));
        assert_eq!(refused.join().unwrap(), 401);
        drop(first);
        assert_eq!(leaving.join().unwrap(), 200);
    });
    assert_eq!(slow.times("/notes"), 0);
}

#[test]
fn what_waits_is_refused_if_its_token_dies_under_the_next_configuration() {
    let (shop, slow) = (stateless_bagisto(), sluggish());
    let own = shop_table_at(&shop, &[slow.address()]);
    let limits = "[shop.upstream_limits]\nconnections = 1\n";
    let edge = Edge::with(&format!("{own}{limits}"));
    let alice = Customer::signed_in(&shop);
    let first = asking(&edge, "/slow");
    eventually(|| slow.times("/slow") == 1);
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| alice.visit(&edge, "/cart"));
        eventually(|| metric(&edge, QUEUE) == Some(1));
        let renamed = own.replacen("name = \"main\"", "name = \"renamed\"", 1);
        assert_ne!(renamed, own);
        reload(&edge, &format!("{renamed}{limits}"));
        let revoke = ["revoke", "--shop", "renamed", "--token", "-"];
        let revoked = edge.command_with_input(&revoke, alice.token().as_bytes());
        assert_eq!(revoked.code, Some(0), "{}", revoked.stderr);
        drop(first);
        assert_eq!(refused.join().unwrap(), 401);
    });
    assert_eq!(slow.times("/cart"), 0);
}

#[test]
fn what_waits_is_refused_as_soon_as_its_token_dies_and_not_cut() {
    let (shop, slow) = (stateless_bagisto(), sluggish());
    let own = shop_table_at(&shop, &[slow.address()]);
    let limits = "[shop.upstream_limits]\nconnections = 1\nqueue_timeout = \"1h\"\n";
    let edge = Edge::with(&format!("{own}{limits}"));
    let (alice, bob) = (Customer::signed_in(&shop), Customer::signed_in(&shop));
    let first = asking(&edge, "/slow");
    eventually(|| slow.times("/slow") == 1);
    let bearer = format!("Bearer {}", alice.token());
    let headers = [("Authorization", bearer.as_str())];
    let mut socket = Exchange::of(edge.address(), "/socket/1", &headers);
    eventually(|| metric(&edge, QUEUE) == Some(1));
    std::thread::scope(|scope| {
        let page = scope.spawn(|| alice.visit(&edge, "/cart"));
        eventually(|| metric(&edge, QUEUE) == Some(2));
        let theirs = format!("Bearer {}", bob.token());
        let theirs = [("Authorization", theirs.as_str())];
        let mut patient = Exchange::of(edge.address(), "/orders", &theirs);
        eventually(|| metric(&edge, QUEUE) == Some(3));
        let leaving = scope.spawn(|| alice.log_out(&edge));
        let refused = page.join().unwrap();
        assert_eq!(refused, 401);
        assert!(refused.text().contains("message"), "{refused:?}");
        socket.hears("401 Unauthorized");
        eventually(|| metric(&edge, QUEUE) == Some(2));
        assert!(patient.heard().is_empty(), "another customer's still waits");
        assert_eq!(slow.heard().len(), 1, "nothing else was sent");
        drop(first);
        patient.hears("200 OK");
        assert_eq!(leaving.join().unwrap(), 200);
    });
    assert_eq!(slow.times("/cart"), 0);
    assert!(edge.metrics().contains("verdict=\"revoked\""));
}

#[test]
fn a_web_socket_counts_while_it_is_open() {
    let live = LiveShop::beside(stateless_bagisto());
    let limits = "[shop.upstream_limits]\nconnections = 1\nqueue = 0\n";
    let edge = Edge::with(&format!("{}{limits}", live.table()));
    let mut socket = Exchange::of(edge.address(), "/socket/anonymous", &[]);
    socket.hears("101 Switching Protocols");
    assert_eq!(get(&edge, "/page"), 503);
    drop(socket);
    eventually(|| {
        let mut events = Exchange::of(edge.address(), "/events/x", &[]);
        events.hears("\r\n\r\n");
        events.has_heard("200 OK")
    });
}

#[test]
fn a_reload_keeps_connections_and_requests_in_flight_whatever_is_said_of_a_server() {
    let shop = sluggish();
    let limits = "[shop.upstream_limits]\nconnections = 1\nqueue = 1\nqueue_timeout = \"500ms\"\n";
    let edge = Edge::with(&table(&plain(&shop), limits));
    assert_eq!(get(&edge, "/").text(), "here");
    let first = asking(&edge, "/slow");
    eventually(|| shop.times("/slow") == 1);
    let spare = Backend::saying("spare");
    let named = |servers: &str| {
        format!(
            "[[upstream]]\nname = \"one\"\nservers = [{servers}]\n{}[[shop]]\nname = \"main\"\nupstream = \"one\"\ntoken.kind = \"opaque\"\n",
            limits.replace("shop.upstream_limits", "upstream.limits")
        )
    };
    let weighty = server(&shop, "weight = 7");
    for next in [
        table(&weighty, limits),
        named(&plain(&shop)),
        named(&weighty),
        named(&format!("{}, {}", server(&shop, "backup = true"), weighty)),
        table(&weighty, limits),
    ] {
        reload(&edge, &next);
        if !next.contains("backup") {
            assert_eq!(get(&edge, "/"), 503, "{next}");
        }
    }
    drop(first);
    eventually(|| get(&edge, "/").text() == "here");
    let connections = shop.connections();
    reload(
        &edge,
        &named(&format!(
            "{}, {}",
            plain(&shop),
            server(&spare, "backup = true")
        )),
    );
    for _ in 0..3 {
        assert_eq!(get(&edge, "/").text(), "here");
    }
    assert_eq!(shop.connections(), connections, "the pool stays warm");
}

#[test]
fn a_server_that_is_given_up_gives_its_room_back() {
    let (nobody, shop) = (Nobody::at_home(), Backend::saying("here"));
    let servers = format!("\"{}\", {}", nobody.address(), plain(&shop));
    let limits = "[shop.upstream_limits]\nconnections = 1\nqueue = 1\nqueue_timeout = \"500ms\"\n[shop.health]\neject_after = 0\n";
    let edge = Edge::with(&table(&servers, limits));
    for _ in 0..6 {
        assert_eq!(get(&edge, "/").text(), "here");
    }
    shop.does(Deed::SayLast(ok("bye")));
    for _ in 0..4 {
        assert_eq!(get(&edge, "/").text(), "bye");
    }
    drop(try_raw(edge.address(), b"GET / HTTP/1.1\r\n"));
    assert_eq!(get(&edge, "/").text(), "bye");
}

// --- What the configuration says of it -------------------------------------------------------------------

fn faults(text: &str) -> String {
    let text = format!("listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n{text}");
    match config::parse("doorward.toml", &text, Path::new("")) {
        Ok((_, warnings)) => warnings.to_string(),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn what_makes_no_sense_of_a_server_is_a_fault() {
    for (servers, more, fault) in [
        (
            "{ address = \"127.0.0.1:1\", backup = true }",
            "",
            "`upstream` names backups only",
        ),
        (
            "{ address = \"127.0.0.1:1\", weight = 0 }",
            "",
            "`weight` is out of range",
        ),
        (
            "{ address = \"127.0.0.1:1\", weight = 1001 }",
            "",
            "expected an integer from 1 to 1000",
        ),
        ("{ weight = 2 }", "", "missing key `address`"),
        (
            "{ address = \"127.0.0.1:1\", wieght = 2 }",
            "",
            "did you mean `weight`",
        ),
        ("7", "", "expected a string or a table"),
        (
            "\"https://unix:/run/shop.sock\"",
            "",
            "no TLS is spoken over a unix socket",
        ),
        (
            "\"unix:shop.sock\"",
            "",
            "the absolute path of a unix socket",
        ),
        (
            "\"unix:/run/shop.sock\"",
            "[shop.upstream_tls]\nserver_name = \"shop.internal\"",
            "no upstream of this shop is https://",
        ),
        (
            "\"127.0.0.1:1\"",
            "upstream_proxy_protocol = \"v3\"",
            "upstream_proxy_protocol",
        ),
        (
            "\"127.0.0.1:1\"",
            "[shop.upstream_limits]\nqueue = 1",
            "means nothing without",
        ),
        (
            "\"127.0.0.1:1\"",
            "[shop.upstream_limits]\nconnections = 0",
            "`connections` is out of range",
        ),
        (
            "\"127.0.0.1:1\"",
            "[shop.balance]\nslow_start = \"25h\"",
            "`slow_start` is out of range",
        ),
    ] {
        let found = faults(&table(servers, more));
        assert!(found.contains(fault), "{servers} {more}: {found}");
    }
    let named = "[[upstream]]\nname = \"one\"\nservers = [{ address = \"127.0.0.1:1\", backup = true }]\n[[shop]]\nname = \"main\"\nupstream = \"one\"\ntoken.kind = \"opaque\"\nupstream_limits.connections = 1\nupstream_proxy_protocol = \"v1\"\n";
    let found = faults(named);
    for fault in [
        "`servers` names backups only",
        "`upstream_limits` beside an upstream that has a name",
        "`upstream_proxy_protocol` beside an upstream that has a name",
    ] {
        assert!(found.contains(fault), "{found}");
    }
    assert_eq!(
        faults(&table("\"unix:/run/shop.sock\"", "")),
        "",
        "it is not exposed"
    );
}

#[test]
fn the_log_names_the_upstream_or_the_shop_whose_server_fails() {
    let [named, own] = ["named", "own"].map(|name| Backend::saying(name).address());
    let edge = Edge::with(&format!(
        "[[upstream]]\nname = \"api\"\nservers = [\"{named}\"]\n\
         [[shop]]\nname = \"main\"\nupstream = [\"{own}\"]\ntoken.kind = \"opaque\"\n\
         [[shop.route]]\npaths = [\"/api\"]\nupstream = \"api\"\n"
    ));
    for (target, owner, address) in [("/api", "upstream=api", named), ("/", "shop=main", own)] {
        let answer = edge.raw(&request("GET", target, &[], b""));
        assert_eq!(answer.status, 502);
        let keys = format!(" {owner} server=http://{address} address={address}");
        let is_told = || {
            let lines = edge.log_lines();
            lines
                .iter()
                .any(|line| line.contains("the server fails") && line.ends_with(&keys))
        };
        eventually(is_told);
    }
}
