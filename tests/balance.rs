//! Several servers behind one shop: which of them a request goes to, and what happens when they fail.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use doorward::config;
use serde_json::json;
use support::{
    Answer, Backend, Connection, Customer, Deed, Echo, Edge, Nobody, eventually, ok, raw, request,
    shop_table_at, stateless_bagisto, try_raw,
};

/// A shop with opaque tokens and these servers.
fn table(servers: &[&Backend], more: &str) -> String {
    let addresses: Vec<_> = servers.iter().map(|server| server.address()).collect();
    table_at(&addresses, more)
}

fn table_at(addresses: &[SocketAddr], more: &str) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    format!(
        "[[shop]]\nname = \"main\"\nupstream = {addresses:?}\ntoken.kind = \"opaque\"\n{more}\n"
    )
}

fn get(edge: &Edge, path: &str, headers: &[(&str, &str)]) -> Answer {
    edge.raw(&request("GET", path, headers, b""))
}

/// Who answers.
fn answerer(edge: &Edge, headers: &[(&str, &str)]) -> String {
    get(edge, "/", headers).text()
}

/// Who answers how many of some requests, each sent when the one before is over and done with.
fn shares(edge: &Edge, requests: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    let mut connection = Connection::open(edge.address());
    for _ in 0..requests {
        let answer = connection.ask(&request("GET", "/", &[], b""));
        if answer.header("connection") == Some("close") {
            connection = Connection::open(edge.address());
        }
        *shares.entry(answer.text()).or_default() += 1;
    }
    shares
}

fn has_logged(edge: &Edge, words: &str) -> bool {
    edge.log_lines().iter().any(|line| line.contains(words))
}

/// Everybody who answers within a few requests, in order.
fn who_answers(edge: &Edge) -> String {
    shares(edge, 8).into_keys().collect::<Vec<_>>().join(" ")
}

// --- Which server ----------------------------------------------------------------------------------------

#[test]
fn requests_go_to_one_server_after_the_other() {
    let servers = ["a", "b", "c"].map(Backend::saying);
    let edge = Edge::with(&table(&[&servers[0], &servers[1], &servers[2]], ""));
    let shares = shares(&edge, 12);
    assert_eq!(shares.into_values().collect::<Vec<_>>(), [4, 4, 4]);
}

#[test]
fn a_slow_server_gets_fewer_requests_where_the_least_busy_is_taken() {
    let (one, other) = (Backend::saying("one"), Backend::saying("other"));
    for server in [&one, &other] {
        server.does_at("/slow", Deed::Silence);
    }
    let edge = Edge::with(&table(
        &[&one, &other],
        "[shop.balance]\nalgorithm = \"least-connections\"",
    ));
    let mut waiting = Connection::open(edge.address());
    waiting.send(&request("GET", "/slow", &[], b""));
    eventually(|| one.times("/slow") + other.times("/slow") == 1);
    let free = if one.times("/slow") == 1 {
        "other"
    } else {
        "one"
    };
    assert_eq!(shares(&edge, 6), BTreeMap::from([(free.to_owned(), 6)]));
    drop(waiting); // a request whose customer left is no longer in flight
    eventually(|| shares(&edge, 4).len() == 2);
}

/// The header that says which of thirty carts a request is about.
type Key = fn(u8) -> (&'static str, String);

/// Who has which of thirty carts.
fn placement(edge: &Edge, key: Key) -> Vec<String> {
    let placed = (0..30).map(|number| {
        let (name, value) = key(number);
        answerer(edge, &[(name, &value)])
    });
    placed.collect()
}

#[test]
fn what_is_alike_stays_with_its_server_while_others_come_and_go() {
    let keys: [(&str, Key); 3] = [
        ("\"client\"", |number| {
            ("X-Forwarded-For", format!("203.0.113.{number}"))
        }),
        ("{ header = \"x-cart\" }", |number| {
            ("X-Cart", format!("cart {number}"))
        }),
        ("{ cookie = \"cart\" }", |number| {
            ("Cookie", format!("a=1; cart={number}; b=2"))
        }),
    ];
    for (hash, key) in keys {
        let (a, b, c) = (
            Backend::saying("a"),
            Backend::saying("b"),
            Backend::saying("c"),
        );
        let edge = Edge::with(&format!(
            "trusted_proxies = [\"127.0.0.1\"]\n{}[shop.health]\neject_after = 0\n[shop.balance]\nalgorithm = \"hash\"\nhash = {hash}\n",
            table(&[&a, &b, &c], "")
        ));
        let before = placement(&edge, key);
        assert_eq!(before, placement(&edge, key), "{hash}");
        for server in ["a", "b", "c"] {
            let share = before.iter().filter(|one| *one == server).count();
            assert!(share > 2, "{hash}: {before:?}");
        }
        let place = c.address();
        drop(c);
        let without = placement(&edge, key);
        for (before, after) in before.iter().zip(&without) {
            assert!(before == after || before == "c", "{hash}");
            assert!(["a", "b"].contains(&after.as_str()), "{after}");
        }
        let _back = Backend::back_at(place, "c");
        eventually(|| placement(&edge, key) == before);
    }
}

// --- Health ----------------------------------------------------------------------------------------------

const HTTP_CHECK: &str = "[shop.health]\ncheck = \"http\"\npath = \"/up?deep=1\"\nhost = \"shop.internal\"\n\
     interval = \"50ms\"\nhealthy_after = 2\nunhealthy_after = 2\neject_after = 0\n";

#[test]
fn a_server_that_says_it_is_not_well_is_left_out_until_it_says_it_is() {
    let (ill, well) = (Backend::saying("ill"), Backend::saying("well"));
    let edge = Edge::with(&table(&[&ill, &well], HTTP_CHECK));
    assert_eq!(who_answers(&edge), "ill well");
    let sick = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    ill.does_at("/up?deep=1", Deed::SayLast(sick.to_vec()));
    eventually(|| who_answers(&edge) == "well");
    let heard = ill.heard();
    let check = heard.iter().find(|one| one.path() == "/up?deep=1").unwrap();
    let check = check.head.to_ascii_lowercase();
    for line in [
        "get /up?deep=1 http/1.1\r\n",
        "\r\nhost: shop.internal\r\n",
        "\r\nuser-agent: doorward/",
    ] {
        assert!(check.contains(line), "{check}");
    }
    ill.does_at("/up?deep=1", Deed::Say(ok("fine")));
    eventually(|| who_answers(&edge) == "ill well");
    for words in ["the server is unhealthy", "the server is healthy again"] {
        eventually(|| has_logged(&edge, words));
        let logged = edge.log_lines();
        let said = logged.iter().filter(|line| line.contains(words)).count();
        assert_eq!(said, 1, "{words}");
    }
}

#[test]
fn a_check_that_hangs_fails_and_delays_no_other() {
    let (hanging, well) = (Backend::saying("hanging"), Backend::saying("well"));
    hanging.does_at("/", Deed::Silence);
    let health = "[shop.health]\ncheck = \"http\"\ninterval = \"50ms\"\ntimeout = \"200ms\"\nunhealthy_after = 2\n";
    let edge = Edge::with(&table(&[&hanging, &well], health));
    eventually(|| has_logged(&edge, "unhealthy"));
    assert!(well.times("/") > hanging.times("/"));
    assert_eq!(who_answers(&edge), "well");
}

#[test]
fn what_a_good_answer_is_can_be_said() {
    let (one, other) = (Backend::saying("one"), Backend::saying("other"));
    let teapot = b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n";
    one.does_at("/", Deed::SayLast(teapot.to_vec()));
    let health =
        "[shop.health]\ncheck = \"http\"\ninterval = \"50ms\"\nstatus = [\"418\", \"5xx\"]\n";
    let edge = Edge::with(&table(&[&one, &other], health));
    eventually(|| has_logged(&edge, "unhealthy"));
    let answers = (0..4).map(|_| get(&edge, "/other", &[]).text());
    assert_eq!(answers.collect::<Vec<_>>(), ["one"; 4]);
}

#[test]
fn a_server_that_takes_no_connection_is_left_out_until_it_does() {
    let (gone, stays) = (Backend::saying("gone"), Backend::saying("stays"));
    let health = "[shop.health]\ncheck = \"tcp\"\ninterval = \"50ms\"\n";
    let edge = Edge::with(&table(&[&gone, &stays], health));
    assert_eq!(who_answers(&edge), "gone stays");
    let place = gone.address();
    drop(gone);
    eventually(|| has_logged(&edge, "the server is unhealthy"));
    assert_eq!(who_answers(&edge), "stays");
    let _back = Backend::back_at(place, "back");
    eventually(|| who_answers(&edge) == "back stays");
}

#[test]
fn where_no_server_is_well_all_of_them_are_tried() {
    let (one, other) = (Backend::saying("one"), Backend::saying("other"));
    let sick = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";
    for server in [&one, &other] {
        server.does_at("/up?deep=1", Deed::SayLast(sick.to_vec()));
    }
    let edge = Edge::with(&table(&[&one, &other], HTTP_CHECK));
    let unhealthy = || {
        let logged = edge.log_lines();
        let lines = logged.iter().filter(|line| line.contains("unhealthy"));
        lines.count()
    };
    eventually(|| unhealthy() == 2);
    assert_eq!(who_answers(&edge), "one other");
}

#[test]
fn a_server_on_which_requests_fail_is_left_out_for_a_while() {
    let (bad, good) = (Backend::saying("bad"), Backend::saying("good"));
    bad.does(Deed::HangUp);
    let health = "[shop.health]\neject_after = 3\neject_for = \"1s\"\n";
    let edge = Edge::with(&table(&[&bad, &good], health));
    let answers: Vec<_> = (0..20).map(|_| get(&edge, "/", &[]).status).collect();
    let failed = answers.iter().filter(|status| **status == 502).count();
    assert!((3..=4).contains(&failed), "{answers:?}"); // once more if it took more than a second
    assert!(has_logged(&edge, "the server is ejected for a while"));
    bad.does(Deed::Say(ok("better")));
    eventually(|| who_answers(&edge) == "better good");
    assert!(has_logged(&edge, "the server answers again"));
}

#[test]
fn a_status_is_an_answer_whatever_it_says() {
    let (one, other) = (Backend::saying("one"), Backend::saying("other"));
    let sick = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
    one.does(Deed::Say(sick.to_vec()));
    let edge = Edge::with(&table(&[&one, &other], "[shop.health]\neject_after = 1\n"));
    assert_eq!(shares(&edge, 8)["busy"], 4);
}

#[test]
fn the_last_server_is_never_left_out() {
    let only = Backend::saying("back");
    only.does(Deed::HangUp);
    let health = "[shop.health]\neject_after = 2\neject_for = \"1h\"\n";
    let edge = Edge::with(&table(&[&only], health));
    for _ in 0..6 {
        assert_eq!(get(&edge, "/", &[]), 502);
    }
    only.does(Deed::Say(ok("back")));
    assert_eq!(answerer(&edge, &[]), "back");
    eventually(|| has_logged(&edge, "the server fails"));
    let logged = edge.log_lines();
    let told = logged
        .iter()
        .filter(|line| line.contains("the server fails"));
    assert_eq!(told.count(), 1, "once, not with every request");
}

#[test]
fn of_two_that_fail_one_is_left() {
    let (one, other) = (Backend::saying("one"), Backend::saying("other"));
    let health = "[shop.health]\neject_after = 2\neject_for = \"1h\"\n";
    let edge = Edge::with(&table(&[&one, &other], health));
    for server in [&one, &other] {
        server.does(Deed::HangUp);
    }
    for _ in 0..8 {
        assert_eq!(get(&edge, "/", &[]), 502);
    }
    for server in [&one, &other] {
        server.does(Deed::Say(ok("back")));
    }
    assert_eq!(answerer(&edge, &[]), "back");
}

// --- Names -----------------------------------------------------------------------------------------------

#[test]
fn a_name_is_looked_up_before_the_first_request() {
    let shop = stateless_bagisto();
    let port = shop.address().port();
    let table = shop_table_at(&shop, &[]);
    let edge = Edge::with(&table.replace("[]", &format!("[\"localhost:{port}\"]")));
    for _ in 0..4 {
        assert_eq!(get(&edge, "/", &[]), 200, "whatever else localhost is");
    }
}

#[test]
fn a_shop_whose_name_is_unknown_is_503_and_keeps_nobody_from_starting() {
    let (lost, here) = (stateless_bagisto(), Backend::saying("here"));
    let table = shop_table_at(&lost, &[]).replace("[]", "[\"http://shop.invalid:8000\"]");
    let here =
        table_at(&[here.address()], "hosts = [\"here.example.com\"]").replace("main", "here");
    let edge = Edge::with(&format!("{here}{table}"));
    assert_eq!(answerer(&edge, &[("Host", "here.example.com")]), "here");
    let answer = get(&edge, "/cart", &[]);
    assert_eq!(answer, 503);
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        answer.json(),
        json!({"message": "The shop is not available; try again"})
    );
    let alice = Customer::signed_in(&lost);
    let answer = alice.log_out(&edge);
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, r#"{"message":"Successfully logged out"}"#)
    );
    assert_eq!(alice.visit(&edge, "/cart"), 401);
}

#[test]
fn a_name_that_stays_unknown_is_complained_of_once() {
    let table = table_at(&[], "[shop.balance]\nresolve_every = \"10ms\"\n");
    let edge = Edge::with(&table.replace("[]", "[\"http://shop.invalid:8000\"]"));
    for _ in 0..30 {
        assert_eq!(get(&edge, "/", &[]), 503);
    }
    eventually(|| has_logged(&edge, "can't be resolved"));
    let logged = edge.log_lines();
    let told = logged
        .iter()
        .filter(|line| line.contains("can't be resolved"));
    assert_eq!(told.count(), 1, "{logged:?}");
}

// --- Patience --------------------------------------------------------------------------------------------

#[test]
fn a_server_that_is_silent_for_too_long_is_504() {
    let server = Backend::saying("");
    server.does(Deed::Silence);
    let edge = Edge::with(&table(&[&server], "[shop.timeouts]\nread = \"300ms\"\n"));
    let answer = get(&edge, "/cart", &[]);
    assert_eq!(answer, 504);
    assert_eq!(
        answer.json(),
        json!({"message": "The shop does not answer"})
    );
    assert_eq!(
        edge.raw(&request("POST", "/order", &[], b"one kettle")),
        504
    );
    assert_eq!(
        (server.times("/cart"), server.times("/order")),
        (1, 1),
        "who is late may have acted: nothing is asked twice"
    );
}

/// Also on a connection that has served before: that it is alive is known by then.
#[test]
fn a_server_that_falls_silent_is_not_asked_again() {
    let server = Backend::saying("here");
    let edge = Edge::with(&table(&[&server], "[shop.timeouts]\nread = \"300ms\"\n"));
    for round in 1..=2 {
        let mut connection = warmed(&edge);
        server.does_at("/late", Deed::Silence);
        assert_eq!(connection.ask(&request("GET", "/late", &[], b"")), 504);
        assert_eq!(server.times("/late"), round);
    }
}

#[test]
fn a_server_that_resets_in_the_middle_of_a_body_is_a_bad_gateway() {
    let server = Backend::saying("here");
    let edge = Edge::with(&table(&[&server], ""));
    server.does_at("/order", Deed::Reset);
    let body = vec![b'x'; 1 << 20];
    for (round, method) in (1..).zip(["POST", "PUT", "POST"]) {
        assert_eq!(edge.raw(&request(method, "/order", &[], &body)), 502);
        assert_eq!(server.times("/order"), round);
        assert_eq!(answerer(&edge, &[]), "here");
    }
}

#[test]
fn a_server_that_stops_in_the_middle_of_its_answer_ends_the_connection() {
    let server = Backend::saying("");
    server.does(Deed::Say(
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec(),
    ));
    let edge = Edge::with(&table(&[&server], "[shop.timeouts]\nread = \"300ms\"\n"));
    assert!(try_raw(edge.address(), &request("GET", "/", &[], b"")).is_err());
}

#[test]
fn a_server_that_takes_no_more_of_a_body_is_given_up() {
    let server = Backend::saying("");
    server.does(Deed::Clog);
    let patience = "[shop.timeouts]\nwrite = \"300ms\"\nread = \"300ms\"\n";
    let edge = Edge::with(&table(&[&server], patience));
    let body = vec![b'x'; 32 << 20];
    let mut sending = TcpStream::connect(edge.address()).unwrap();
    let bytes = request("POST", "/order", &[], &body);
    // The edge stops reading where the server does, and closes when its patience is over.
    assert!(sending.write_all(&bytes).is_err() || raw_status(sending) == 504);
    assert_eq!(server.times("/order"), 1);
    eventually(|| has_logged(&edge, "WriteTimedout"));
}

fn raw_status(mut stream: TcpStream) -> u16 {
    let mut answer = String::new();
    let _ = std::io::Read::read_to_string(&mut stream, &mut answer);
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or_default()
}

/// A port that neither takes nor refuses a connection: its queue is full.
struct Full {
    address: SocketAddr,
    _queue: Vec<TcpStream>,
    _listener: TcpListener,
}

impl Full {
    fn house() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let inside = runtime.enter();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap().into_std().unwrap();
        drop(inside);
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        let wait = std::time::Duration::from_millis(200);
        while let Ok(stream) = TcpStream::connect_timeout(&address, wait) {
            queue.push(stream);
        }
        Self {
            address,
            _queue: queue,
            _listener: listener,
        }
    }
}

#[test]
fn of_two_servers_the_one_that_is_down_is_not_tried_first_every_time() {
    let gone = Backend::saying("gone").address();
    let other = Backend::saying("other");
    let health = "[shop.health]\ncheck = \"none\"\neject_after = 0\n";
    let edge = Edge::with(&table_at(&[gone, other.address()], health));
    for _ in 0..20 {
        assert_eq!(get(&edge, "/", &[]).text(), "other");
    }
    let failures =
        format!("doorward_upstream_failures_total{{shop=\"main\",server=\"http://{gone}\"}} 10");
    assert!(edge.metrics().contains(&failures), "{}", edge.metrics());
}

#[test]
fn a_server_that_does_not_take_the_connection_is_504_or_another_is_asked() {
    let (full, other) = (Full::house(), Backend::saying("other"));
    let patience = "[shop.timeouts]\nconnect = \"200ms\"\n";
    let edge = Edge::with(&table_at(&[full.address], patience));
    assert_eq!(get(&edge, "/", &[]), 504);
    let edge = Edge::with(&table_at(&[full.address, other.address()], patience));
    let posted = edge.raw(&request("POST", "/order", &[], b"one kettle"));
    assert_eq!(posted.text(), "other");
    assert_eq!(get(&edge, "/", &[]).text(), "other");
    assert_eq!(other.times("/order"), 1);
    assert_eq!(other.heard()[0].body, b"one kettle");
}

#[test]
fn an_idle_connection_is_kept_as_long_as_it_is_said() {
    let server = Backend::saying("here");
    let brief = Edge::with(&table(&[&server], "[shop.timeouts]\nidle = \"50ms\"\n"));
    assert_eq!(answerer(&brief, &[]), "here");
    eventually(|| server.connections() == 0);
    let long = Edge::with(&table(&[&server], ""));
    assert_eq!(shares(&long, 5)["here"], 5);
    assert_eq!(server.connections(), 1);
}

// --- Servers that answer badly ---------------------------------------------------------------------------

#[test]
fn what_is_no_answer_is_a_bad_gateway_standards_107() {
    let server = Backend::saying("");
    let edge = Edge::with(&table(&[&server], ""));
    for words in [
        "",
        "\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 20x OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok",
    ] {
        server.says(words);
        let answer = get(&edge, "/", &[]);
        assert_eq!(answer, 502, "{words:?}");
        assert_eq!(
            answer.json(),
            json!({"message": "The shop can't be reached"}),
            "{words:?}"
        );
    }
    server.says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(get(&edge, "/", &[]).text(), "ok");
}

#[test]
fn a_server_that_lies_about_its_length_spoils_no_other_answer() {
    let server = Backend::saying("");
    let edge = Edge::with(&table(&[&server], ""));
    server.says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nmuch too short");
    assert!(try_raw(edge.address(), &request("GET", "/", &[], b"")).is_err());
    let second = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong";
    let two_answers = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{second}");
    for _ in 0..3 {
        server.does(Deed::Say(two_answers.clone().into_bytes()));
        assert_eq!(get(&edge, "/", &[]).text(), "ok");
        server.does(Deed::Say(ok("right")));
        assert_eq!(get(&edge, "/", &[]).text(), "right");
    }
    server.says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n");
    assert!(try_raw(edge.address(), &request("GET", "/", &[], b"")).is_err());
}

#[test]
fn an_answer_without_a_date_gets_one_standards_117() {
    let server = Backend::saying("");
    let edge = Edge::with(&table(&[&server], ""));
    let answer = get(&edge, "/", &[]);
    let date = answer.header("date").unwrap();
    assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
}

#[test]
fn an_answer_that_can_have_no_body_has_no_length_standards_119() {
    let server = Backend::saying("");
    let edge = Edge::with(&table(&[&server], ""));
    server.does(Deed::Say(
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n".to_vec(),
    ));
    let mut connection = Connection::open(edge.address());
    for _ in 0..2 {
        let answer = connection.ask(&request("GET", "/", &[], b""));
        assert_eq!(answer, 204);
        assert_eq!(answer.header("content-length"), None);
        assert_eq!(answer.header("transfer-encoding"), None);
    }
}

// --- Trying again ----------------------------------------------------------------------------------------

/// Twelve requests on one server or the other; how many times the servers have heard each, and the answers.
fn heard_by_two(method: &str, warm: bool, body: &[u8]) -> (Vec<usize>, Vec<u16>) {
    let (one, other) = (Backend::saying("one"), Backend::saying("other"));
    let edge = Edge::with(&table(&[&one, &other], "[shop.health]\neject_after = 0\n"));
    let mut times = Vec::new();
    let mut answers = Vec::new();
    for number in 0..4 {
        let path = format!("/order/{number}");
        one.does_at(&path, Deed::HangUp);
        other.does_at(&path, Deed::HangUp);
        let mut connection = if warm {
            warmed(&edge)
        } else {
            Connection::open(edge.address())
        };
        answers.push(connection.ask(&request(method, &path, &[], body)).status);
        times.push(one.times(&path) + other.times(&path));
    }
    (times, answers)
}

#[test]
fn what_may_have_been_acted_on_is_never_sent_twice_standards_118() {
    for warm in [false, true] {
        for body in [&b""[..], b"one kettle"] {
            let (times, answers) = heard_by_two("POST", warm, body);
            assert_eq!(times, [1; 4], "warm: {warm}");
            assert_eq!(answers, [502; 4], "warm: {warm}");
        }
    }
}

/// A connection on which requests were served: the next one finds an old connection to either of two servers.
fn warmed(edge: &Edge) -> Connection {
    let mut connection = Connection::open(edge.address());
    for _ in 0..2 {
        assert_eq!(connection.ask(&request("GET", "/", &[], b"")), 200);
    }
    connection
}

#[test]
fn a_get_is_repeated_only_where_an_old_connection_has_died() {
    assert_eq!(heard_by_two("GET", false, b""), (vec![1; 4], vec![502; 4]));
    let server = Backend::saying("here");
    let edge = Edge::with(&table(&[&server], ""));
    let mut connection = warmed(&edge);
    server.does_at("/once", Deed::HangUp);
    let answer = connection.ask(&request("GET", "/once", &[], b""));
    assert_eq!(answer, 502, "the new connection died too");
    assert_eq!(server.times("/once"), 2);
}

/// Pingora keeps 64 KiB of a body for sending it again.
#[test]
fn a_body_that_is_not_kept_is_not_sent_in_part() {
    let server = Backend::saying("here");
    let edge = Edge::with(&table(&[&server], ""));
    let mut connection = warmed(&edge);
    server.does_at("/long", Deed::HangUp);
    let body = vec![b'x'; 200 << 10];
    assert_eq!(connection.ask(&request("PUT", "/long", &[], &body)), 502);
    for heard in server.heard() {
        assert!(heard.body.is_empty() || heard.body == body);
    }
    assert_eq!(server.times("/long"), 1);
}

#[test]
fn a_server_that_refused_a_request_is_not_asked_again_for_it() {
    let nobodies = [Nobody::at_home(), Nobody::at_home(), Nobody::at_home()];
    let here = Backend::saying("here");
    let mut addresses: Vec<_> = nobodies.iter().map(Nobody::address).collect();
    addresses.push(here.address());
    let edge = Edge::with(&table_at(&addresses, "[shop.health]\neject_after = 0\n"));
    for number in 0..8 {
        let path = format!("/order/{number}");
        let answer = edge.raw(&request("POST", &path, &[], b"one kettle"));
        assert_eq!(answer.text(), "here");
        assert_eq!(here.times(&path), 1);
    }
    let told = || {
        let logged = edge.log_lines().into_iter();
        logged.filter(|line| line.contains("the server fails"))
    };
    eventually(|| told().count() >= 3);
    assert_eq!(told().count(), 3, "each of the three, once");
}

#[test]
fn a_logout_is_told_to_the_shop_once() {
    let shop = stateless_bagisto();
    let (nobody, mute) = (Nobody::at_home(), Backend::saying(""));
    mute.does(Deed::HangUp);
    let edge = Edge::with(&shop_table_at(&shop, &[nobody.address(), mute.address()]));
    for round in 1..=4 {
        let alice = Customer::signed_in(&shop);
        assert_eq!(alice.log_out(&edge), 200);
        assert_eq!(mute.heard().len(), round);
        assert_eq!(alice.visit(&edge, "/cart"), 401);
    }
    let sent = mute.heard();
    assert!(
        sent.iter().all(|one| one.head.starts_with("POST ")),
        "{sent:?}"
    );
}

#[test]
fn a_stopping_edge_finishes_what_waits_for_a_server() {
    let server = Backend::saying("");
    server.does(Deed::Silence);
    let mut edge = Edge::with(&table(&[&server], "[shop.timeouts]\nread = \"500ms\"\n"));
    let address = edge.address();
    let waiting = std::thread::spawn(move || raw(address, &request("GET", "/", &[], b"")));
    eventually(|| server.times("/") == 1);
    assert_eq!(edge.stop(), Some(0));
    assert_eq!(waiting.join().unwrap(), 504);
}

// --- HTTP/2 to the servers -------------------------------------------------------------------------------

fn http2_table(address: SocketAddr, more: &str) -> String {
    table_at(&[address], &format!("upstream_http2 = true\n{more}"))
}

#[test]
fn a_server_that_speaks_http_2_in_the_clear_is_served_from() {
    let server = Echo::in_the_clear();
    let edge = Edge::with(&http2_table(server.address(), ""));
    let body = vec![b'x'; 200 << 10];
    let headers = [("TE", "trailers"), ("Content-Type", "application/grpc")];
    let answer = edge.raw(&request("POST", "/shop.Carts/Add?a=1", &headers, &body));
    assert_eq!(answer, 200);
    assert!(answer.body == body);
    assert_eq!(answer.header("content-type"), Some("application/grpc"));
    let heard = server.heard().pop().unwrap();
    assert_eq!(heard.uri, "http://shop.example.com/shop.Carts/Add?a=1");
    assert!(heard.body == body);
    assert_eq!(heard.headers["x-forwarded-host"], "shop.example.com");
    assert_eq!(heard.headers["via"], "1.1 doorward");
}

#[test]
fn a_server_without_http_2_is_a_bad_gateway_where_it_must_have_it() {
    let server = stateless_bagisto();
    let edge = Edge::with(&http2_table(server.address(), ""));
    assert_eq!(get(&edge, "/", &[]), 502);
}

#[test]
fn checks_and_logouts_speak_http_2_too() {
    let (shop, server) = (stateless_bagisto(), Echo::in_the_clear());
    let edge = Edge::with(&format!(
        "{}upstream_http2 = true\n[shop.health]\ncheck = \"http\"\npath = \"/up\"\ninterval = \"50ms\"\n",
        shop_table_at(&shop, &[server.address()])
    ));
    let own = format!("http://{}/up", server.address());
    eventually(|| server.heard().iter().filter(|call| call.uri == own).count() > 3);
    assert!(!has_logged(&edge, "unhealthy"));
    let alice = Customer::signed_in(&shop);
    let answer = alice.log_out(&edge);
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "{}"),
        "as it came"
    );
    let heard = server.heard().into_iter();
    let logouts = heard.filter(|call| call.method == "POST");
    let uris: Vec<_> = logouts.map(|call| call.uri).collect();
    assert_eq!(uris.len(), 1);
    assert!(
        uris[0].starts_with("http://shop.example.com/api/shop/customer"),
        "{uris:?}"
    );
}

#[test]
fn a_server_is_asked_as_the_host_that_it_knows_itself_by_in_http_2_and_by_checks() {
    let (shop, server) = (stateless_bagisto(), Echo::in_the_clear());
    let edge = Edge::with(&format!(
        "{}upstream_http2 = true\nupstream_host = \"kettles.example.net\"\n\
         [shop.health]\ncheck = \"http\"\npath = \"/up\"\ninterval = \"50ms\"\n",
        shop_table_at(&shop, &[server.address()])
    ));
    let heard = |uri: &str| server.heard().iter().any(|call| call.uri == uri);
    eventually(|| heard("http://kettles.example.net/up"));
    assert_eq!(get(&edge, "/page", &[]), 200);
    assert!(heard("http://kettles.example.net/page"));
    assert_eq!(Customer::signed_in(&shop).log_out(&edge), 200);
    assert!(heard(
        "http://kettles.example.net/api/shop/customers/logout"
    ));
    assert!(server.heard().iter().all(|call| {
        !call.headers.contains_key("host")
            && (call.uri.ends_with("/up") || call.headers["x-forwarded-host"] == "shop.example.com")
    }));
}

// --- What the configuration says of it -------------------------------------------------------------------

/// What is wrong with a shop that says this of its servers.
fn faults(more: &str) -> String {
    let here = [SocketAddr::from(([127, 0, 0, 1], 8000))];
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n{}",
        table_at(&here, more)
    );
    match config::parse("doorward.toml", &text, Path::new("")) {
        Ok((_, warnings)) => warnings.to_string(),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn what_makes_no_sense_of_servers_is_a_fault() {
    for (more, fault) in [
        ("[shop.balance]\nalgorithm = \"hash\"", ""),
        (
            "[shop.balance]\nalgorithm = \"hash\"\nhash = \"client\"",
            "",
        ),
        (
            "[shop.balance]\nalgorithm = \"hash\"\nhash = { cookie = \"c\" }",
            "",
        ),
        (
            "[shop.balance]\nalgorithm = \"random\"",
            "unknown `algorithm`: `random`",
        ),
        (
            "[shop.balance]\nalgorithm = \"least-connections\"\nhash = \"client\"",
            "means nothing without algorithm",
        ),
        (
            "[shop.balance]\nhash = \"client\"",
            "means nothing without algorithm",
        ),
        (
            "[shop.balance]\nalgorithm = \"hash\"\nhash = \"cart\"",
            "unknown `hash`: `cart`",
        ),
        (
            "[shop.balance]\nalgorithm = \"hash\"\nhash = {}",
            "either a header or a cookie",
        ),
        (
            "[shop.balance]\nalgorithm = \"hash\"\nhash = { cookie = \"c\", header = \"h\" }",
            "either a header or a cookie",
        ),
        (
            "[shop.balance]\nalgorithm = \"hash\"\nhash = { cookie = \"a b\" }",
            "expected the name of a cookie",
        ),
        (
            "[shop.balance]\nalgorithm = \"hash\"\nhash = { header = \"a b\" }",
            "expected the name of a header",
        ),
        (
            "[shop.balance]\nresolve_every = \"0s\"",
            "`resolve_every` is out of range",
        ),
        ("[shop.health]\ncheck = \"http\"\nstatus = \"2xx\"", ""),
        ("[shop.health]\ncheck = \"ping\"", "unknown `check`: `ping`"),
        (
            "[shop.health]\npath = \"/up\"",
            "`path` means nothing without check",
        ),
        (
            "[shop.health]\ncheck = \"tcp\"\nstatus = \"200\"",
            "`status` means nothing without check",
        ),
        (
            "[shop.health]\ncheck = \"http\"\npath = \"up\"",
            "expected a path such as /healthz",
        ),
        (
            "upstream_host = \"https://shop.example.com\"",
            "expected a host such as",
        ),
        (
            "[shop.health]\ncheck = \"http\"\nhost = \"a b\"",
            "expected a host such as",
        ),
        (
            "[shop.health]\ncheck = \"http\"\nstatus = [\"6xx\"]",
            "expected a status such as 204",
        ),
        (
            "[shop.health]\ncheck = \"http\"\nstatus = [\"+20\"]",
            "expected a status such as 204",
        ),
        (
            "[shop.health]\ncheck = \"http\"\nstatus = []",
            "`status` names no status",
        ),
        (
            "[shop.health]\nhealthy_after = 0",
            "`healthy_after` is out of range",
        ),
        ("[shop.health]\neject_after = 0", ""),
        (
            "[shop.health]\ntimeout = \"0s\"",
            "`timeout` is out of range",
        ),
        ("[shop.timeouts]\nread = \"1ms\"", "`read` is out of range"),
        (
            "[shop.timeouts]\nconnect = \"7d\"",
            "`connect` is out of range",
        ),
        ("[shop.timeouts]\nlinger = \"1s\"", "unknown key `linger`"),
    ] {
        let found = faults(more);
        assert!(found.contains(fault), "{more}: {found}");
        assert_eq!(fault.is_empty(), found.is_empty(), "{more}: {found}");
    }
}
