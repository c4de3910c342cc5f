//! Clients that stay with the server that has answered them, by a cookie that names it.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::collections::BTreeMap;

use doorward::config;
use support::frames::{Frames, get_fields};
use support::{Answer, Backend, Connection, Deed, Edge, Relay, eventually, ok, put, request};
use tempfile::TempDir;

/// The secret, and the servers behind a shop that uses it.
struct House {
    folder: TempDir,
    servers: [Backend; 3],
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "sticky.secret", &"5".repeat(64), 0o600);
        Self {
            folder,
            servers: ["a", "b", "c"].map(Backend::saying),
        }
    }

    /// `sticky` of a table, by this cookie.
    fn sticky(&self, cookie: &str) -> String {
        let secret = self.folder.path().join("sticky.secret");
        format!(
            "sticky = {{ cookie = \"{cookie}\", secret_file = \"{}\" }}",
            secret.display()
        )
    }

    /// As `upstream` says this server, with more keys.
    fn entry(&self, server: usize, keys: &str) -> String {
        let address = self.servers[server].address();
        format!("{{ address = \"{address}\"{keys} }}")
    }

    /// A shop of opaque tokens whose clients stay with one of these servers.
    fn shop(&self, entries: &[String], more: &str) -> String {
        format!(
            "h2c = true\n[[shop]]\nname = \"main\"\ntoken.kind = \"opaque\"\nupstream = [{}]\n\
             [shop.health]\neject_after = 0\n[shop.balance]\n{}\n{more}\n",
            entries.join(", "),
            self.sticky("server")
        )
    }

    fn of(&self, servers: &[usize]) -> String {
        let entries = servers.iter().map(|at| self.entry(*at, ""));
        self.shop(&entries.collect::<Vec<_>>(), "")
    }

    fn number_of(name: &str) -> usize {
        ["a", "b", "c"].iter().position(|one| *one == name).unwrap()
    }
}

fn ask(edge: &Edge, path: &str, headers: &[(&str, &str)]) -> Answer {
    edge.raw(&request("GET", path, headers, b""))
}

/// `name=value` of the cookie that an answer sets.
fn cookie_of(answer: &Answer) -> Option<String> {
    let line = answer.header("set-cookie")?;
    Some(line.split(';').next().unwrap().to_owned())
}

/// A client that has come for the first time: its cookie, and the server that answered.
fn newcomer(edge: &Edge) -> (String, String) {
    let answer = ask(edge, "/", &[]);
    (cookie_of(&answer).unwrap(), answer.text())
}

/// The server that answers this client, which is given no other cookie.
fn stays(edge: &Edge, cookie: &str) -> String {
    let answer = ask(edge, "/", &[("cookie", cookie)]);
    assert_eq!(answer.header("set-cookie"), None, "{cookie}");
    answer.text()
}

fn reload(edge: &Edge, table: &str) {
    edge.configure(table);
    let outcome = edge.command(&["reload"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn a_client_stays_with_its_server_through_reloads_and_restarts() {
    let house = House::new();
    let mut edge = Edge::with(&house.of(&[0, 1, 2]));
    let clients: Vec<_> = (0..9).map(|_| newcomer(&edge)).collect();
    let mut counts = BTreeMap::<&str, usize>::new();
    for (_, server) in &clients {
        *counts.entry(server).or_default() += 1;
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [3, 3, 3]);
    let all_stay = |edge: &Edge| {
        for (cookie, server) in &clients {
            assert_eq!(stays(edge, cookie), *server);
        }
    };
    all_stay(&edge);
    let heavy = [
        house.entry(2, ", weight = 9"),
        house.entry(0, ""),
        house.entry(1, ""),
    ];
    reload(
        &edge,
        &house.shop(&heavy, "algorithm = \"least-connections\""),
    );
    all_stay(&edge);
    edge.restart();
    all_stay(&edge);
}

#[test]
fn the_cookie_names_a_server_without_its_address() {
    let house = House::new();
    let edge = Edge::with(&house.of(&[0, 1]));
    let first = ask(&edge, "/", &[("cookie", "cart=1")]);
    let line = first.header("set-cookie").unwrap();
    let (pair, attributes) = line.split_once("; ").unwrap();
    let value = pair.strip_prefix("server=").unwrap();
    assert!(
        value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{value}"
    );
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(first.headers_named("cache-control"), ["private"]);
    let other = House::new();
    put(other.folder.path(), "sticky.secret", &"6".repeat(64), 0o600);
    let servers = [house.entry(0, ""), house.entry(1, "")];
    let elsewhere = Edge::with(&other.shop(&servers, ""));
    let answer = ask(&elsewhere, "/", &[("cookie", pair)]);
    assert!(
        cookie_of(&answer).is_some(),
        "under another secret it is another name"
    );
}

#[test]
fn a_client_that_came_by_https_gets_a_secure_cookie() {
    let house = House::new();
    let table = format!("trusted_proxies = [\"127.0.0.1\"]\n{}", house.of(&[0]));
    let answer = ask(&Edge::with(&table), "/", &[("x-forwarded-proto", "https")]);
    let line = answer.header("set-cookie").unwrap();
    assert!(line.ends_with("; SameSite=Lax; Secure"), "{line}");
}

#[test]
fn no_server_of_any_route_sees_the_cookie() {
    let house = House::new();
    let plain = Backend::saying("plain");
    let more = format!(
        "[[shop.route]]\npaths = [\"/plain\"]\nupstream = \"plain\"\n[[shop.logout]]\npaths = [\"/logout\"]\n\
         [[upstream]]\nname = \"plain\"\nservers = [\"{}\"]\n[[shop]]\nname = \"other\"\ntoken.kind = \"opaque\"\n\
         hosts = [\"other.example.com\"]\nupstream = \"plain\"\n",
        plain.address()
    );
    let table = house.shop(&[house.entry(0, "")], &more);
    let edge = Edge::with(&table.replace(
        "name = \"main\"",
        "name = \"main\"\nhosts = [\"shop.example.com\"]",
    ));
    let (cookie, _) = newcomer(&edge);
    let cookies = format!("cart=1; {cookie}; servers=2; server=");
    for (method, path, host, server) in [
        ("GET", "/", "shop.example.com", &house.servers[0]),
        ("GET", "/plain", "shop.example.com", &plain),
        ("GET", "/", "other.example.com", &plain),
        ("POST", "/logout", "shop.example.com", &house.servers[0]),
    ] {
        let headers = [
            ("host", host),
            ("cookie", cookies.as_str()),
            ("authorization", "Bearer an-opaque-token-of-a-customer"),
        ];
        let answer = edge.raw(&request(method, path, &headers, b""));
        assert_eq!(answer.status, 200, "{method} {path} {host}");
        let head = server.heard().pop().unwrap().head.to_ascii_lowercase();
        let line = head.lines().find_map(|line| line.strip_prefix("cookie: "));
        assert_eq!(line, Some("cart=1; servers=2"), "{method} {path} {host}");
    }
}

#[test]
fn a_client_whose_server_is_down_or_gone_stays_with_another_one_from_then_on() {
    let mut house = House::new();
    let edge = Edge::with(&house.of(&[0, 1]));
    let (cookie, first) = newcomer(&edge);
    let at = House::number_of(&first);
    let place = house.servers[at].address();
    house.servers[at] = Backend::saying("unused");
    let moved = ask(&edge, "/", &[("cookie", &cookie)]);
    assert_ne!(moved.text(), first);
    let later = cookie_of(&moved).unwrap();
    assert_ne!(later, cookie);
    let back = Backend::back_at(place, &first);
    eventually(|| newcomer(&edge).1 == first);
    assert_eq!(
        stays(&edge, &later),
        moved.text(),
        "its session is there now"
    );
    drop(back);
    // The other one is taken out of the configuration.
    reload(&edge, &house.of(&[2]));
    let drained = ask(&edge, "/", &[("cookie", &later)]);
    assert_eq!(drained.text(), "c");
    assert_eq!(stays(&edge, &cookie_of(&drained).unwrap()), "c");
}

#[test]
fn a_client_of_an_unhealthy_server_moves_before_a_request_fails() {
    let house = House::new();
    let check = "[shop.health]\ncheck = \"http\"\npath = \"/up\"\ninterval = \"50ms\"\nunhealthy_after = 1\n";
    let table = house.of(&[0, 1]).replace("[shop.health]\n", check);
    let edge = Edge::with(&table);
    let (cookie, first) = newcomer(&edge);
    let server = &house.servers[House::number_of(&first)];
    let sick = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    server.does_at("/up", Deed::Say(sick.to_vec()));
    eventually(|| ask(&edge, "/", &[("cookie", &cookie)]).text() != first);
    let moved = ask(&edge, "/", &[("cookie", &cookie)]);
    assert!(cookie_of(&moved).is_some_and(|other| other != cookie));
}

#[test]
fn a_client_of_a_server_that_is_full_is_served_by_another_and_comes_back() {
    let house = House::new();
    let more = "[shop.upstream_limits]\nconnections = 1\n";
    let edge = Edge::with(&house.shop(&[house.entry(0, ""), house.entry(1, "")], more));
    let (cookie, first) = newcomer(&edge);
    let server = &house.servers[House::number_of(&first)];
    server.does_at("/slow", Deed::Silence);
    let mut busy = Connection::open(edge.address());
    busy.send(&request("GET", "/slow", &[("cookie", &cookie)], b""));
    eventually(|| server.times("/slow") == 1);
    assert_ne!(stays(&edge, &cookie), first);
    drop(busy);
    eventually(|| stays(&edge, &cookie) == first);
}

#[test]
fn newcomers_follow_weights_and_a_client_stays_with_a_backup() {
    let mut house = House::new();
    let servers = [
        house.entry(0, ", weight = 3"),
        house.entry(1, ""),
        house.entry(2, ", backup = true"),
    ];
    let edge = Edge::with(&house.shop(&servers, ""));
    let newcomers: Vec<_> = (0..8).map(|_| newcomer(&edge).1).collect();
    let heavy = newcomers.iter().filter(|one| *one == "a").count();
    assert_eq!((heavy, newcomers.contains(&"c".to_owned())), (6, false));
    let [a, b] = [0, 1].map(|at| house.servers[at].address());
    house.servers[0] = Backend::saying("unused");
    house.servers[1] = Backend::saying("unused");
    let (cookie, backup) = newcomer(&edge);
    assert_eq!(backup, "c");
    let _back = [Backend::back_at(a, "a"), Backend::back_at(b, "b")];
    eventually(|| newcomer(&edge).1 == "a");
    assert_eq!(stays(&edge, &cookie), "c");
}

#[test]
fn a_client_of_http_2_stays_with_a_server_on_a_unix_socket() {
    let house = House::new();
    let socket = house.folder.path().join("shop.sock");
    let relay = Relay::on_socket(&socket, house.servers[1].address());
    let entries = [house.entry(0, ""), format!("\"unix:{}\"", socket.display())];
    let edge = Edge::with(&house.shop(&entries, ""));
    let clients: Vec<_> = (0..4).map(|_| newcomer(&edge)).collect();
    let mut frames = Frames::open(edge.address());
    for (cookie, server) in &clients {
        for _ in 0..2 {
            // A client of HTTP/2 may send each cookie on a line of its own.
            let cookies = [("cookie", "cart=1"), ("cookie", cookie.as_str())];
            let reply = frames.ask(&get_fields("/", &cookies), None);
            assert_eq!(String::from_utf8(reply.body).unwrap(), *server);
        }
    }
    assert!(clients.iter().any(|(_, server)| server == "b"));
    drop(relay);
}

#[test]
fn a_logout_goes_to_the_server_of_its_client() {
    let house = House::new();
    let more = "[[shop.logout]]\npaths = [\"/logout\"]\n";
    let edge = Edge::with(&house.shop(&[0, 1, 2].map(|at| house.entry(at, "")), more));
    for customer in 0..6 {
        let (cookie, server) = newcomer(&edge);
        let token = format!("Bearer an-opaque-token-of-customer-{customer}");
        let headers = [
            ("cookie", cookie.as_str()),
            ("authorization", token.as_str()),
        ];
        let server = &house.servers[House::number_of(&server)];
        let before = server.times("/logout");
        let answer = edge.raw(&request("POST", "/logout", &headers, b""));
        assert_eq!((answer.status, server.times("/logout")), (200, before + 1));
        assert_eq!(ask(&edge, "/", &headers).status, 401);
    }
}

#[test]
fn a_client_stays_with_a_server_of_each_upstream_of_a_split() {
    let house = House::new();
    let upstream = |name: &str, servers: [usize; 2]| {
        let [one, other] = servers.map(|at| house.entry(at, ""));
        let sticky = house.sticky(&format!("{name}-server"));
        format!("[[upstream]]\nname = \"{name}\"\nservers = [{one}, {other}]\nbalance.{sticky}\n")
    };
    let route = |paths: &str, weights: [u8; 2]| {
        let [stable, canary] = weights;
        format!(
            "[[shop.route]]\npaths = [\"{paths}\"]\nsplit_by = {{ cookie = \"side\" }}\n\
             split = [{{ upstream = \"stable\", weight = {stable} }}, {{ upstream = \"canary\", weight = {canary} }}]\n"
        )
    };
    let edge = Edge::with(&format!(
        "{}{}[[shop]]\nname = \"main\"\ntoken.kind = \"opaque\"\nupstream = \"stable\"\n{}{}",
        upstream("stable", [0, 1]),
        upstream("canary", [1, 2]),
        route("/old", [1, 0]),
        route("/new", [0, 1]),
    ));
    let old = ask(&edge, "/old", &[]);
    let set = old.headers_named("set-cookie");
    let pairs = set.iter().map(|line| line.split(';').next().unwrap());
    let mut cookies: Vec<String> = pairs.map(str::to_owned).collect();
    assert_eq!(cookies.len(), 2, "one says the side, the other the server");
    let new = ask(&edge, "/new", &[("cookie", &cookies.join("; "))]);
    cookies.push(cookie_of(&new).unwrap());
    assert!(cookies[2].starts_with("canary-server="), "{cookies:?}");
    let cookies = cookies.join("; ");
    for _ in 0..4 {
        for (path, server) in [("/old", old.text()), ("/new", new.text())] {
            let answer = ask(&edge, path, &[("cookie", &cookies)]);
            assert_eq!((answer.text(), answer.header("set-cookie")), (server, None));
        }
    }
    for server in &house.servers {
        let heard = server.heard();
        assert!(
            heard
                .iter()
                .all(|one| !one.head.to_ascii_lowercase().contains("cookie:"))
        );
    }
}

#[test]
fn a_cookie_that_names_no_server_is_replaced() {
    let house = House::new();
    let edge = Edge::with(&house.of(&[0]));
    house.servers[0].does(Deed::Say(ok("a")));
    for cookie in [
        "server=",
        "server=x",
        "server=00000000000000000000000000000000",
        "aserver=1",
    ] {
        let answer = ask(&edge, "/", &[("cookie", cookie)]);
        assert!(cookie_of(&answer).is_some(), "{cookie}");
    }
}

/// What `check` says of a shop with `more`, the servers being `sticky` by this cookie.
fn faults(house: &House, sticky: &str, more: &str) -> String {
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n[[shop]]\nname = \"main\"\ntoken.kind = \"opaque\"\n\
         upstream = [\"127.0.0.1:1\"]\nbalance.{sticky}\n{more}"
    );
    match config::parse("doorward.toml", &text, house.folder.path()) {
        Ok((_, warnings)) => warnings.to_string(),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn faults_of_sticky_are_named() {
    let house = House::new();
    put(
        house.folder.path(),
        "short.secret",
        "0123456789abcde\n",
        0o600,
    );
    put(house.folder.path(), "open.secret", &"5".repeat(64), 0o644);
    let good = house.sticky("server");
    assert_eq!(faults(&house, &good, ""), "");
    let other = format!(
        "[[shop]]\nname = \"other\"\nhosts = [\"other.example.com\"]\ntoken.kind = \"opaque\"\n\
         upstream = [\"127.0.0.1:2\"]\nbalance.{good}\n"
    );
    let split = "[[shop.route]]\npaths = [\"/x\"]\nsplit = [{ upstream = \"api\", weight = 1 }]\n\
                 split_by = { cookie = \"server\" }\n[[upstream]]\nname = \"api\"\nservers = [\"127.0.0.1:2\"]\n";
    for (sticky, more, words) in [
        ("sticky = {}", "", "missing key `cookie`"),
        (
            "sticky = { cookie = \"a\" }",
            "",
            "missing key `secret_file`",
        ),
        (
            "sticky = { cookie = \"a b\", secret_file = \"sticky.secret\" }",
            "",
            "the name of a cookie",
        ),
        (
            "sticky = { cookie = \"a\", secret_file = \"short.secret\" }",
            "",
            "the secret has fewer than 16 bytes",
        ),
        (
            "sticky = { cookie = \"a\", secret_file = \"open.secret\" }",
            "",
            "open.secret",
        ),
        (
            &good,
            "[[shop.credential]]\ncookie = \"server\"",
            "the cookie `server` has another meaning in the shop `main`",
        ),
        (
            &good,
            split,
            "the cookie `server` has another meaning in the shop `main`",
        ),
        (
            &good,
            &other,
            "the servers of two upstreams are named by the cookie `server`",
        ),
    ] {
        let found = faults(&house, sticky, more);
        assert!(found.contains(words), "{sticky} {more}\n{found}");
        assert!(!found.contains(&"5".repeat(64)), "{found}");
    }
}
