//! What was opened with a token ends with it: `WebSockets`, events, downloads, idle or busy. What was not answered yet may
//! finish.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use doorward::clock;
use serde_json::json;
use support::places::{EVERYWHERE, LOGOUT, OWN_LOGOUT, outside_the_body};
use support::{
    Connection, Edge, Exchange, HELLO, LiveShop, Nobody, PATIENCE, Shop, eventually, request,
    stateless_bagisto,
};
use tungstenite::{ClientRequestBuilder, Message, WebSocket};

/// A shop whose answers last, and an edge in front of it.
struct Scene {
    live: LiveShop,
    edge: Edge,
}

impl Scene {
    /// `top` are keys of the whole configuration, `more` further keys and tables of the shop.
    #[track_caller]
    fn with(top: &str, more: &str) -> Self {
        let live = LiveShop::beside(stateless_bagisto());
        let edge = Edge::with(&format!("{top}{}{more}", live.table()));
        Self { live, edge }
    }

    /// Begins an exchange, and waits until it goes on.
    #[track_caller]
    fn open(&self, target: &str, headers: &[(&str, &str)]) -> Exchange {
        let mut exchange = Exchange::of(self.edge.address(), target, headers);
        self.goes_on(target, &mut exchange);
        exchange
    }

    #[track_caller]
    fn goes_on(&self, target: &str, exchange: &mut Exchange) {
        let (part, name) = parts(target);
        match part {
            "socket" => exchange.hears("101 Switching Protocols"),
            "events" | "ticker" | "download" => exchange.hears(HELLO),
            "upload" => {
                assert!(exchange.say(b"the first of a million bytes"));
                eventually(|| self.live.received(name) > 0);
            }
            _ => eventually(|| self.live.has(name)),
        }
    }

    /// As `open`, with this bearer.
    #[track_caller]
    fn open_as(&self, token: &str, target: &str) -> Exchange {
        self.open(target, &[("Authorization", &format!("Bearer {token}"))])
    }

    /// Logs this token out by Doorward's own call; when the answer had come.
    #[track_caller]
    fn log_out(&self, token: &str) -> Instant {
        let bearer = format!("Bearer {token}");
        let logout = request("POST", OWN_LOGOUT, &[("Authorization", &bearer)], b"");
        let answer = self.edge.raw(&logout);
        let answered = clock::instant();
        assert_eq!(answer, 200, "{}", answer.text());
        answered
    }

    /// A token of this customer that was issued a while ago, so that cutoffs reach it.
    fn token(&self, subject: u64, id: &str) -> String {
        let issued_at = now_s() - 100;
        let claims = json!({ "sub": subject, "jti": id, "sid": format!("session of {id}"),
            "iat": issued_at, "exp": issued_at + 10_000 });
        self.live.shop.sign(&claims)
    }

    /// The sum of all samples whose names and labels begin so.
    fn metric(&self, begins: &str) -> u64 {
        let metrics = self.edge.metrics();
        let samples = metrics.lines().filter(|line| line.starts_with(begins));
        let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        values.sum()
    }

    fn cut_off(&self) -> u64 {
        self.metric("doorward_cut_off_total{shop=\"main\"}")
    }

    /// Nothing is left of what was open: no connection on either side, no request on its way.
    #[track_caller]
    fn comes_to_rest(&self) {
        eventually(|| self.metric("doorward_connections ") == 0);
        eventually(|| self.metric("doorward_upstream_in_flight") == 0);
    }

    /// How many files and sockets the process has open.
    fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.edge.pid());
        fs::read_dir(folder).unwrap().count()
    }

    /// The exchange with the shop goes on, and what the shop says there arrives.
    #[track_caller]
    fn still_hears(&self, name: &str, exchange: &mut Exchange) {
        assert!(self.live.is_on(name), "{name}");
        assert!(self.live.say_event(name, "still there"), "{name}");
        exchange.hears("still there");
    }
}

/// What is played, and the name of the exchange.
fn parts(target: &str) -> (&str, &str) {
    let path = target.split('?').next().unwrap();
    path[1..].split_once('/').unwrap()
}

fn now_s() -> u64 {
    clock::now().seconds()
}

/// The median and the longest of some spans.
fn summary(mut spans: Vec<Duration>) -> (Duration, Duration) {
    spans.sort();
    (spans[spans.len() / 2], *spans.last().unwrap())
}

#[test]
fn a_logout_ends_whatever_was_opened_with_the_token_trap_28() {
    let scene = Scene::with("", outside_the_body());
    let kinds = ["socket", "events", "ticker"];
    let mut anonymous = scene.open("/events/anonymous", &[]);
    let bob = scene.live.shop.sign_in("bob");
    let mut bobs = scene.open_as(&bob, "/events/bob");
    let open: Vec<_> = (0..50)
        .map(|number| {
            let kind = if number % 25 == 7 {
                "download"
            } else {
                kinds[number % kinds.len()]
            };
            let name = format!("customer-{number}");
            let token = scene.live.shop.sign_in(&name);
            let target = format!("/{kind}/{name}");
            let exchange = match number % 3 {
                0 => scene.open_as(&token, &target),
                1 => scene.open(&target, &[("Cookie", &format!("a=b; jwt={token}"))]),
                _ => scene.open(&format!("{target}?access_token={token}"), &[]),
            };
            (name, kind, token, exchange.ends())
        })
        .collect();
    let (mut waits, mut waits_of_shop) = (Vec::new(), Vec::new());
    let dead: Vec<_> = open
        .into_iter()
        .map(|(name, kind, token, end)| (name, kind, scene.log_out(&token), token, end))
        .collect();
    for (name, kind, logged_out, token, end) in dead {
        let (ended, heard) = end.join().unwrap_or_else(|_| panic!("{kind} of {name}"));
        waits.push(ended.saturating_duration_since(logged_out));
        assert!(
            !heard.ends_with(b"\r\n0\r\n\r\n"),
            "{kind} seems to be complete"
        );
        eventually(|| scene.live.gone(&name).is_some());
        let gone = scene.live.gone(&name).unwrap();
        waits_of_shop.push(gone.saturating_duration_since(logged_out));
        let lines = scene.edge.log_lines();
        let signature = token.rsplit('.').next().unwrap();
        assert!(!lines.iter().any(|line| line.contains(signature)));
    }
    let ((median, longest), (shop_median, shop_longest)) = (summary(waits), summary(waits_of_shop));
    eprintln!(
        "from the logout's answer to the end of 50 exchanges: customer p50 {median:?}, max {longest:?}; \
         shop p50 {shop_median:?}, max {shop_longest:?}"
    );
    assert!(longest < PATIENCE / 2, "{longest:?}");
    assert!(shop_longest < PATIENCE / 2, "{shop_longest:?}");
    eventually(|| scene.cut_off() == 50);
    eventually(|| {
        let lines = scene.edge.log_lines();
        let told = lines.iter().filter(|line| line.contains("cut off"));
        let whole = |line: &&String| line.contains("cause=") && line.contains("shop=main");
        told.filter(whole).count() == 50
    });
    scene.still_hears("bob", &mut bobs);
    scene.still_hears("anonymous", &mut anonymous);
    assert_eq!(scene.live.connections(), 2, "to the shop");
    drop((bobs, anonymous));
    scene.comes_to_rest();
    eventually(|| scene.live.connections() == 0);
}

#[test]
fn every_way_to_revoke_ends_what_is_open_trap_28() {
    let by_session = "[[shop.logout]]\nmethods = [\"POST\"]\npaths = [\"/leave\"]\nrevoke = \"session\"\n\
        client_key = false\n";
    let scene = Scene::with("", &format!("{}{by_session}", outside_the_body()));
    let by_hand = |arguments: &[&str], input: &str| {
        let arguments = [&["revoke", "--shop", "main"], arguments].concat();
        let outcome = scene.edge.command_with_input(&arguments, input.as_bytes());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    };
    let by_call = |target: &str, headers: &[(&str, &str)]| {
        let answer = scene.edge.raw(&request("POST", target, headers, b""));
        assert_eq!(answer, 200, "{target}: {}", answer.text());
    };
    let bearer = |token: &str| format!("Bearer {token}");
    let same_origin = ("Sec-Fetch-Site", "same-origin");
    let mut anonymous = scene.open("/events/anonymous", &[]);
    let bob = scene.token(1000, "bob");
    let mut bobs = scene.open_as(&bob, "/events/bob");
    let cut = |name: &str, exchange: Exchange| {
        exchange.ends().join().unwrap_or_else(|_| panic!("{name}"));
        eventually(|| scene.live.gone(name).is_some());
        eprintln!("cut: {name}");
    };

    let token = scene.token(1, "t-1");
    let open = scene.open_as(&token, "/socket/by-token");
    by_hand(&["--token", "-"], &token);
    cut("by-token", open);

    let open = scene.open_as(&scene.token(2, "t-2"), "/events/by-jti");
    by_hand(&["--jti", "t-2"], "");
    cut("by-jti", open);

    let open = scene.open_as(&scene.token(3, "t-3"), "/socket/by-subject");
    by_hand(&["--subject", "3"], "");
    cut("by-subject", open);

    let open = scene.open_as(&scene.token(4, "t-4"), "/events/by-session");
    by_hand(&["--session", "session of t-4"], "");
    cut("by-session", open);

    let token = scene.token(5, "t-5");
    let open = scene.open_as(&token, "/events/by-session-logout");
    by_call("/leave", &[("Authorization", &bearer(&token))]);
    cut("by-session-logout", open);

    let cookie = format!("a=b; jwt={}", scene.token(6, "t-6"));
    let open = scene.open("/socket/by-cookie", &[("Cookie", &cookie)]);
    by_call(OWN_LOGOUT, &[("Cookie", &cookie), same_origin]);
    cut("by-cookie", open);

    let cookie = "session_7=an-opaque-text-of-some-length";
    let open = scene.open("/events/by-opaque-cookie", &[("Cookie", cookie)]);
    by_call(OWN_LOGOUT, &[("Cookie", cookie), same_origin]);
    cut("by-opaque-cookie", open);

    let old = scene.token(8, "t-8");
    let open = scene.open(&format!("/ticker/by-query?access_token={old}"), &[]);
    let newer = bearer(&scene.token(8, "t-8-newer"));
    let key = ("X-STOREFRONT-KEY", Shop::KEY);
    by_call(LOGOUT, &[key, ("Authorization", &newer)]);
    cut("by-query", open);

    let token = scene.token(9, "t-9");
    let open = scene.open("/download/by-raw-header", &[("Cart-Token", &token)]);
    by_call(OWN_LOGOUT, &[("Authorization", &bearer(&token))]);
    cut("by-raw-header", open);

    let token = scene.token(11, "t-11");
    let open = scene.open(
        "/events/by-stray",
        &[("Authorization", &format!("Token {token}"))],
    );
    by_call(OWN_LOGOUT, &[("Authorization", &bearer(&token))]);
    cut("by-stray", open);

    let token = scene.token(12, "t-12");
    let cookie = format!("jwt={token}");
    let open = scene.open(
        "/events/one-of-two",
        &[("Authorization", &bearer(&bob)), ("Cookie", &cookie)],
    );
    by_call(OWN_LOGOUT, &[("Authorization", &bearer(&token))]);
    cut("one-of-two", open);

    scene.still_hears("bob", &mut bobs);
    by_hand(&["--all-before", "now", "--yes"], "");
    cut("bob", bobs);
    scene.still_hears("anonymous", &mut anonymous);
}

#[test]
fn a_token_in_a_body_ends_what_it_opened() {
    let scene = Scene::with("", EVERYWHERE);
    for (number, kind) in ["application/json", "application/x-www-form-urlencoded"]
        .into_iter()
        .enumerate()
    {
        let token = scene.token(number as u64, &number.to_string());
        let body = match number {
            0 => json!({ "token": token }).to_string(),
            _ => format!("a=b&token={token}"),
        };
        let target = format!("/events/{number}");
        let bytes = request("POST", &target, &[("Content-Type", kind)], body.as_bytes());
        let mut open = Exchange::begin(scene.edge.address(), &bytes);
        scene.goes_on(&target, &mut open);
        scene.log_out(&token);
        open.ends().join().unwrap();
    }
    eventually(|| scene.cut_off() == 2);
}

#[test]
fn other_tokens_of_the_customer_and_later_ones_go_on_d4() {
    let scene = Scene::with("", "revoke = \"token\"\n");
    let (phone, laptop) = (scene.token(1, "phone"), scene.token(1, "laptop"));
    let ends = scene.open_as(&phone, "/socket/phone").ends();
    let mut laptops = scene.open_as(&laptop, "/events/laptop");
    scene.log_out(&phone);
    ends.join().unwrap();
    scene.still_hears("laptop", &mut laptops);
    let outcome = scene
        .edge
        .command(&["revoke", "--shop", "main", "--all-before", "now", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    laptops.ends().join().unwrap();
    let mut next = scene.open_as(&scene.live.shop.sign_in("alice"), "/events/next");
    scene.still_hears("next", &mut next);
}

#[test]
fn a_finished_exchange_is_not_cut_and_its_connection_stays() {
    let scene = Scene::with("", "");
    let alice = scene.live.shop.sign_in("alice");
    let bearer = format!("Bearer {alice}");
    let page = request("GET", "/page/alice", &[("Authorization", &bearer)], b"");
    let mut connection = Connection::open(scene.edge.address());
    assert_eq!(connection.ask(&page), 200);
    let other = scene.open_as(&alice, "/events/other");
    scene.log_out(&alice);
    other.ends().join().unwrap(); // the same moment has passed for both
    assert!(connection.is_open());
    assert_eq!(connection.ask(&page), 401);
    assert!(connection.is_open());
    eventually(|| scene.cut_off() == 1);
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An order in flight: the shop may have booked it, so its customer hears of it.
#[test]
fn what_was_not_answered_before_the_logout_may_finish_field_f7() {
    let scene = Scene::with("", "");
    let alice = scene.live.shop.sign_in("alice");
    let mut order = scene.open_as(&alice, "/poll/order");
    let mut upload = scene.open_as(&alice, "/upload/basket");
    // Also a client that would accept events, as GraphQL clients do for every mutation.
    let bearer = format!("Bearer {alice}");
    let accepts = ("Accept", "application/json, text/event-stream;q=0.5");
    let mut mutation = scene.open("/poll/mutation", &[("Authorization", &bearer), accepts]);
    scene.log_out(&alice);
    assert!(order.is_silent_for(Duration::from_millis(1500)));
    assert_eq!(scene.cut_off(), 0);
    for (name, exchange) in [("order", &mut order), ("mutation", &mut mutation)] {
        assert!(scene.live.say(name, OK));
        exchange.hears("\r\n\r\nok");
    }
    assert!(upload.say(&vec![
        b'x';
        1_000_000 - "the first of a million bytes".len()
    ]));
    upload.hears("\r\n\r\nok");
    assert_eq!(scene.cut_off(), 0);
    let again = request("GET", "/page/again", &[("Authorization", &bearer)], b"");
    assert_eq!(scene.edge.raw(&again), 401);
}

#[test]
fn what_is_never_answered_ends_ten_seconds_after_the_logout_field_f7() {
    let scene = Scene::with("", "");
    let alice = scene.live.shop.sign_in("alice");
    let order = scene.open_as(&alice, "/poll/order");
    let trickling = scene.open_as(&alice, "/poll/trickling");
    let logged_out = scene.log_out(&alice);
    let [order, trickling] = [order, trickling].map(Exchange::ends);
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    assert!(scene.live.say("trickling", head));
    for (what, end) in [("silent", order), ("begun afterwards", trickling)] {
        let (ended, _) = end.join().unwrap();
        let wait = ended.saturating_duration_since(logged_out);
        eprintln!("{what}: {wait:?}");
        assert!(wait > Duration::from_secs(5), "{what}: {wait:?}");
        assert!(wait < Duration::from_secs(10), "{what}: {wait:?}");
    }
    eventually(|| scene.cut_off() == 2);
}

/// A stream is no order, whenever its answer begins.
#[test]
fn a_stream_that_begins_after_the_logout_ends_at_once_field_f7() {
    let scene = Scene::with("", "");
    let alice = scene.live.shop.sign_in("alice");
    let bearer = format!("Bearer {alice}");
    let authorization = ("Authorization", bearer.as_str());
    let events = scene.open_as(&alice, "/poll/events");
    let headers = [&[authorization][..], &support::UPGRADE].concat();
    let upgrade = scene.open("/socket-without-answer/upgrade", &headers);
    let grpc = [
        authorization,
        ("Content-Type", "application/grpc+proto"),
        ("Content-Length", "1000000"),
    ];
    let call = Exchange::begin(
        scene.edge.address(),
        &request("POST", "/poll/grpc", &grpc, b"begin"),
    );
    eventually(|| scene.live.received("grpc") > 0);
    let logged_out = scene.log_out(&alice);
    let ends = [("upgrade", upgrade), ("grpc", call)].map(|(name, one)| (name, one.ends()));
    for (name, end) in ends {
        let (ended, heard) = end.join().unwrap();
        let wait = ended.saturating_duration_since(logged_out);
        assert!(wait < PATIENCE / 2, "{name}: {wait:?}");
        assert!(
            !String::from_utf8_lossy(&heard).contains("200 OK"),
            "{name}"
        );
        eventually(|| scene.live.gone(name).is_some());
    }
    let head =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(scene.live.say("events", head));
    let begun = clock::instant();
    let (ended, _) = events.ends().join().unwrap();
    assert!(ended.saturating_duration_since(begun) < PATIENCE / 2);
    eventually(|| scene.cut_off() == 3);
}

#[test]
fn a_customer_who_takes_nothing_is_cut_off_too() {
    let scene = Scene::with("", "");
    let alice = scene.live.shop.sign_in("alice");
    let open = scene.open_as(&alice, "/download/alice");
    scene.log_out(&alice);
    eventually(|| scene.live.gone("alice").is_some());
    eventually(|| scene.metric("doorward_connections ") == 0);
    open.ends().join().unwrap();
    eventually(|| scene.cut_off() == 1);
}

#[test]
fn many_that_end_at_once_leave_nothing_behind() {
    const MANY: usize = 200;
    let scene = Scene::with("", "");
    let alice = scene.live.shop.sign_in("alice");
    scene.log_out(&scene.live.shop.sign_in("bob")); // whatever is opened once is open now
    scene.comes_to_rest();
    let before = scene.descriptors();
    let kinds = ["socket", "events"];
    let open: Vec<_> = (0..MANY)
        .map(|number| {
            let target = format!("/{}/{number}", kinds[number % kinds.len()]);
            scene.open_as(&alice, &target).ends()
        })
        .collect();
    eventually(|| scene.metric("doorward_connections ") == MANY as u64);
    eventually(|| scene.metric("doorward_upstream_in_flight") == MANY as u64);
    let logged_out = scene.log_out(&alice);
    let waits = open.into_iter().map(|end| {
        let (ended, _) = end.join().unwrap();
        ended.saturating_duration_since(logged_out)
    });
    let (median, longest) = summary(waits.collect());
    eprintln!("{MANY} exchanges of one token: p50 {median:?}, max {longest:?}");
    assert!(longest < PATIENCE / 2, "{longest:?}");
    eventually(|| scene.live.connections() == 0);
    scene.comes_to_rest();
    eventually(|| scene.cut_off() == MANY as u64);
    assert_eq!(
        scene.metric("doorward_upstream_failures"),
        0,
        "nobody failed"
    );
    eventually(|| scene.descriptors() <= before);
}

/// What is meant to be silent for long is not ended by the time that a body may take, nor by the silence of a server.
#[test]
fn silence_ends_no_stream() {
    let limits = "[limits]\nbody_timeout = \"1s\"\nkeepalive = \"1s\"\nheader_timeout = \"1s\"\n";
    let scene = Scene::with(limits, "[shop.timeouts]\nread = \"1s\"\n");
    let alice = scene.live.shop.sign_in("alice");
    let bearer = format!("Bearer {alice}");
    let authorization = ("Authorization", bearer.as_str());
    let wants_events = ("Accept", "text/html;q=0.1, text/event-stream");
    let mut socket = scene.open("/socket/alice", &[authorization]);
    let mut events = scene.open("/events/got", &[authorization, wants_events]);
    let post = [
        authorization,
        wants_events,
        ("Transfer-Encoding", "chunked"),
    ];
    let bytes = request("POST", "/events/posted", &post, b"");
    let mut posted = Exchange::begin(scene.edge.address(), &bytes);
    posted.hears(HELLO);
    let grpc = [
        authorization,
        ("Content-Type", "application/grpc+proto"),
        ("Transfer-Encoding", "chunked"),
    ];
    let bytes = request("POST", "/poll/grpc", &grpc, b"");
    let mut calls = Exchange::begin(scene.edge.address(), &bytes);
    eventually(|| scene.live.has("grpc"));
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc+proto\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(scene.live.say("grpc", answer));
    calls.hears("\r\n\r\n");
    let uploads = scene.open("/upload/slow", &[authorization]);
    let mut polls = scene.open("/poll/late", &[authorization]);
    polls.hears("504 Gateway Timeout");
    let (_, heard) = uploads.ends().join().unwrap();
    eprintln!("a body that stalls: {:?}", String::from_utf8_lossy(&heard));
    assert!(events.is_silent_for(Duration::from_millis(2500)));
    for name in ["got", "posted", "grpc"] {
        assert!(scene.live.is_on(name), "{name}");
    }
    scene.still_hears("got", &mut events);
    scene.still_hears("posted", &mut posted);
    scene.still_hears("grpc", &mut calls);
    assert!(scene.live.is_on("alice"));
    assert!(socket.say(b"\x81\x82\0\0\0\0hi"));
    socket.hears("\u{2}hi");
    let ends = [socket, events, posted, calls].map(Exchange::ends);
    scene.log_out(&alice);
    for end in ends {
        end.join().unwrap();
    }
    eventually(|| scene.cut_off() == 4);
}

#[test]
fn a_process_that_stops_waits_for_a_socket_until_its_token_ends() {
    let mut scene = Scene::with("", "");
    let alice = scene.live.shop.sign_in("alice");
    let bearer = format!("Bearer {alice}");
    let mut socket = scene.open_as(&alice, "/socket/alice");
    let mut at_hand = Connection::open(scene.edge.address());
    let page = request("GET", "/page/alice", &[("Authorization", &bearer)], b"");
    assert_eq!(at_hand.ask(&page), 200);
    scene.edge.signal("TERM");
    eventually(|| {
        let lines = scene.edge.log_lines();
        lines.iter().any(|line| line.contains("stopping"))
    });
    assert!(socket.say(b"\x81\x82\0\0\0\0hi"));
    socket.hears("\u{2}hi");
    let logout = request("POST", OWN_LOGOUT, &[("Authorization", &bearer)], b"");
    assert_eq!(at_hand.ask(&logout), 200);
    socket.ends().join().unwrap();
    assert_eq!(scene.edge.stop(), Some(0));
}

#[test]
fn a_second_signal_does_not_wait_for_a_socket() {
    let mut scene = Scene::with("", "");
    let socket = scene.open("/socket/anonymous", &[]);
    scene.edge.signal("TERM");
    eventually(|| {
        let lines = scene.edge.log_lines();
        lines.iter().any(|line| line.contains("stopping"))
    });
    assert_eq!(scene.edge.stop(), Some(0));
    socket.ends().join().unwrap();
}

/// A WebSocket as a client's library speaks it.
#[track_caller]
fn web_socket(
    scene: &Scene,
    name: &str,
    token: &str,
) -> tungstenite::Result<WebSocket<std::net::TcpStream>> {
    let address = scene.edge.address();
    let stream = std::net::TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let uri = format!("ws://shop.example.com/socket/{name}")
        .parse()
        .unwrap();
    let wanted =
        ClientRequestBuilder::new(uri).with_header("Authorization", format!("Bearer {token}"));
    match tungstenite::client(wanted, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
        Err(tungstenite::HandshakeError::Interrupted(_)) => panic!("no answer"),
    }
}

#[test]
fn a_web_socket_carries_messages_both_ways_until_the_logout() {
    let scene = Scene::with("", "");
    let alice = scene.live.shop.sign_in("alice");
    let mut socket = web_socket(&scene, "alice", &alice).unwrap();
    for message in [
        Message::text("hello"),
        Message::binary(vec![7; 1 << 20]),
        Message::text("h\u{e9}"),
        Message::binary(Vec::new()),
    ] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.send(Message::Ping(vec![1, 2].into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(vec![1, 2].into()));
    let mut polite = web_socket(&scene, "polite", &alice).unwrap();
    polite.close(None).unwrap();
    while polite.read().is_ok() {}
    eventually(|| scene.live.gone("polite").is_some());
    scene.log_out(&alice);
    let end = socket.read();
    assert!(end.is_err(), "{end:?}");
    eprintln!("the end of a WebSocket: {end:?}");
    match web_socket(&scene, "again", &alice) {
        Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), 401),
        other => panic!("{other:?}"),
    }
    assert!(!scene.live.has("again"));
    eventually(|| scene.cut_off() == 1);
    scene.comes_to_rest();
}

/// Pingora reads the trailers of HTTP/1.1 and throws them away, as RFC 9110 section 6.5.1 allows; the answer is whole.
#[test]
fn an_answer_with_trailers_arrives_whole_without_them() {
    let scene = Scene::with("", "");
    let get = request("GET", "/trailers/alice", &[("TE", "trailers")], b"");
    let mut connection = Connection::open(scene.edge.address());
    for _ in 0..2 {
        let answer = connection.ask(&get);
        assert_eq!(answer, 200);
        assert_eq!(answer.text(), "hello");
    }
    assert_eq!(
        scene.live.connections(),
        1,
        "the connection to the shop is in order"
    );
}

/// A shop on the same machine answers before the proxy has finished asking (cloudflare/pingora#946).
#[test]
fn no_web_socket_ends_because_its_shop_was_quick() {
    const MANY: usize = 1000;
    let scene = Scene::with("", "");
    for number in 0..MANY {
        let mut socket = scene.open(&format!("/socket/{number}"), &[]);
        assert!(socket.say(b"\x81\x82\0\0\0\0hi"), "{number}");
        socket.hears("\u{2}hi");
    }
}

#[test]
fn a_web_socket_finds_the_server_that_is_there() {
    let (live, nobody) = (LiveShop::beside(stateless_bagisto()), Nobody::at_home());
    let edge = Edge::with(&live.table_after(&[nobody.address(), nobody.address()]));
    let scene = Scene { live, edge };
    for number in 0..4 {
        let mut socket = scene.open(&format!("/socket/{number}"), &[]);
        assert!(socket.say(b"\x81\x82\0\0\0\0hi"));
        socket.hears("\u{2}hi");
    }
    let page = request("GET", "/page/other", &support::UPGRADE, b"");
    assert_eq!(scene.edge.raw(&page).text(), "ok", "the shop declined");
    scene.comes_to_rest();
    eventually(|| scene.live.connections() == 0);
    let edge = Edge::with(
        &scene
            .live
            .table_after(&[])
            .replace("127.0.0.1:", "127.0.0.2:"),
    );
    let alone = request("GET", "/socket/alone", &support::UPGRADE, b"");
    assert_eq!(edge.raw(&alone), 502);
}
