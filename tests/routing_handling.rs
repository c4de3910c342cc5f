//! How requests are sent to an upstream: timeouts, limits of bodies, retries and copies. The oracle is what each upstream saw.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::frames::{Frames, fields_of};
use support::places::chunked;
use support::{Backend, Connection, Deed, House, UPGRADE, eventually, ok, request};

const BEARER: (&str, &str) = ("authorization", "Bearer an-opaque-token-of-a-customer");

const LOGOUT: &str = "[[shop.logout]]\npaths = [\"/logout\"]\n";

/// An answer of this status.
fn status(code: u16, body: &str) -> Deed {
    let length = body.len();
    Deed::Say(
        format!("HTTP/1.1 {code} Said\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes(),
    )
}

/// `[[upstream]] pair` with these servers.
fn pair(one: &Backend, other: &Backend) -> String {
    let servers = [one, other].map(|server| format!("\"{}\"", server.address()));
    format!(
        "[[upstream]]\nname = \"pair\"\nservers = [{}]\n",
        servers.join(", ")
    )
}

// --- Timeouts --------------------------------------------------------------------------------------------

#[test]
fn a_route_has_its_own_patience_and_a_logout_under_it_too() {
    let house = House::with(&format!(
        "{LOGOUT}[[shop.route]]\npaths = [\"/slow/*\", \"/logout\"]\nupstream = \"api\"\n\
         timeouts = {{ connect = \"1s\", read = \"100ms\", write = \"1s\" }}\n"
    ));
    house.api.does(Deed::Silence);
    assert_eq!(house.ask("GET", "/slow/x", &[]).status, 504);
    assert_eq!(house.ask("POST", "/logout", &[BEARER]).status, 200);
    assert_eq!(house.ask("GET", "/", &[BEARER]).status, 401);
    assert_eq!(house.counts(), [0, 2, 0]);
}

// --- The limit of a body ---------------------------------------------------------------------------------

const LIMITED: &str = "body_limit = \"100B\"\n";

#[test]
fn a_body_that_is_known_to_be_too_long_reaches_no_server() {
    let house = House::with(&format!(
        "{LIMITED}{LOGOUT}[[shop.route]]\npaths = [\"/upload/*\"]\nbody_limit = false\n\
         [[shop.route]]\npaths = [\"/api/*\"]\nupstream = \"api\"\nbody_limit = \"1KiB\"\n"
    ));
    let posts = |target: &str, length: usize| {
        let headers = [BEARER, ("content-type", "text/plain")];
        house
            .edge
            .raw(&request("POST", target, &headers, &vec![b'x'; length]))
    };
    for (target, length, answered) in [
        ("/", 100, 200),
        ("/", 101, 413),
        ("/", 200_000, 413),
        ("/api/x", 1024, 200),
        ("/api/x", 1025, 413),
        ("/upload/x", 200_000, 200),
        ("/logout", 101, 413),
    ] {
        let before: usize = house.counts().iter().sum();
        let answer = posts(target, length);
        assert_eq!(answer.status, answered, "{target} {length}");
        let after: usize = house.counts().iter().sum();
        assert_eq!(
            after - before,
            usize::from(answered == 200),
            "{target} {length}"
        );
    }
    let refused = posts("/", 101);
    assert_eq!(refused.json()["message"], "The body is too large");
    assert!(house.counted("doorward_limits_hit_total{limit=\"body_limit\"} 5"));
    assert_eq!(
        posts("/", 1).status,
        200,
        "a logout that is too long ends nothing"
    );
}

#[test]
fn a_connection_outlives_a_short_body_that_is_too_long() {
    let house = House::with(LIMITED);
    let mut connection = Connection::open(house.edge.address());
    let long = request("POST", "/", &[], &[b'x'; 101]);
    assert_eq!(connection.ask(&long).status, 413);
    assert_eq!(connection.ask(&request("GET", "/", &[], b"")).status, 200);
    assert_eq!(house.counts(), [1, 0, 0]);
}

#[test]
fn a_body_of_unknown_length_ends_where_it_becomes_too_long() {
    let house = House::with(LIMITED);
    let body = vec![b'x'; 101];
    let answer = house.edge.raw(&chunked("/", &[], &body, 30));
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["message"], "The body is too large");
    let fields = fields_of("POST", "/", &[]);
    let reply = Frames::open(house.edge.address()).ask(&fields, Some(&body));
    assert_eq!(reply.status, 413, "{reply:?}");
    let fits = house.edge.raw(&chunked("/", &[], &body[..100], 30));
    assert_eq!(fits.status, 200);
    let reply = Frames::open(house.edge.address()).ask(&fields, Some(&body[..100]));
    assert_eq!(reply.status, 200, "{reply:?}");
    let heard = house.front.heard();
    let whole = heard.iter().filter(|one| one.body.ends_with(b"0\r\n\r\n"));
    assert_eq!(whole.count(), 2, "what is too long breaks off: {heard:?}");
}

#[test]
fn a_logout_that_turns_out_to_be_too_long_is_in_force_and_not_sent_on() {
    let house = House::with(&format!("{LIMITED}{LOGOUT}"));
    let answer = house
        .edge
        .raw(&chunked("/logout", &[BEARER], &[b'x'; 101], 30));
    assert!(matches!(answer.status, 200 | 413), "{answer:?}");
    let alive = house.ask("GET", "/", &[BEARER]).status == 200;
    assert_eq!(alive, answer.status == 413, "what was answered holds");
    assert_eq!(house.front.times("/logout"), 0);
}

// --- Retries ---------------------------------------------------------------------------------------------

#[test]
fn a_server_that_fails_is_left_for_another_and_the_client_gets_one_answer() {
    let [bad, good] = ["bad", "good"].map(Backend::saying);
    let house = House::with(&format!(
        "[[shop.route]]\nupstream = \"pair\"\nretries = true\n{}",
        pair(&bad, &good)
    ));
    for code in [502, 503, 504] {
        bad.does(status(code, "bad"));
        let mut connection = Connection::open(house.edge.address());
        for turn in 0..4 {
            let answer = connection.ask(&request("GET", "/", &[], b""));
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (200, "good"),
                "{code} {turn}"
            );
        }
    }
    let (of_bad, of_good) = (bad.heard().len(), good.heard().len());
    assert!(
        (1..=12).contains(&of_bad) && of_good == 12,
        "{of_bad}, {of_good}"
    );
    bad.does(status(500, "bad"));
    let answers = [(); 2].map(|()| house.ask("GET", "/", &[]).status);
    assert!(answers.contains(&500), "no cause for a retry: {answers:?}");
}

#[test]
fn only_what_is_idempotent_and_still_here_is_sent_again() {
    let house = House::with(&format!(
        "{LOGOUT}methods = [\"PUT\"]\n[[shop.route]]\nupstream = \"api\"\nretries = {{ attempts = 3, on = [503], budget = \"100%\" }}\n"
    ));
    house.api.does(status(503, "busy"));
    let long = vec![b'x'; 100_000];
    for (method, body, times) in [
        ("GET", &b""[..], 3),
        ("DELETE", b"", 3),
        ("PUT", b"a body that is sent again", 3),
        ("POST", b"an order", 1),
        ("PATCH", b"a change", 1),
        ("PUT", &long, 1),
    ] {
        let before = house.api.heard().len();
        let answer = house.edge.raw(&request(method, "/x", &[], body));
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (503, "busy"),
            "{method}"
        );
        let heard = house.api.heard().split_off(before);
        assert_eq!(heard.len(), times, "{method} {}", body.len());
        assert!(heard.iter().all(|one| one.body == body), "{method}");
    }
    let before = house.api.heard().len();
    let reply = Frames::open(house.edge.address()).ask(&fields_of("PUT", "/x", &[]), Some(b"body"));
    assert_eq!((reply.status, reply.body.as_slice()), (503, &b"busy"[..]));
    let heard = house.api.heard().split_off(before);
    assert_eq!(heard.len(), 3, "over HTTP/2, too");
    let before = house.api.heard().len();
    assert_eq!(house.ask("PUT", "/logout", &[BEARER]).status, 200);
    assert_eq!(house.api.heard().len() - before, 1, "a logout is sent once");
}

#[test]
fn what_breaks_off_or_is_late_is_sent_again_where_the_route_says_so() {
    for (on, deed, answered) in [
        ("\"reset\"", Deed::HangUp, 502),
        ("\"timeout\"", Deed::Silence, 504),
    ] {
        let house = House::with(&format!(
            "[[shop.route]]\nupstream = \"api\"\ntimeouts.read = \"100ms\"\nretries = {{ on = [{on}] }}\n\
             [[shop.route]]\nretries = false\nupstream = \"admin\"\n"
        ));
        house.api.does(deed);
        assert_eq!(house.ask("GET", "/", &[]).status, answered, "{on}");
        assert_eq!(house.ask("POST", "/", &[]).status, answered, "{on}");
        assert_eq!(house.counts(), [0, 3, 0], "{on}: twice, and once");
    }
}

#[test]
fn what_is_sent_again_is_refused_if_its_token_dies_meanwhile() {
    let house = House::with(&format!(
        "{LOGOUT}[[shop.route]]\npaths = [\"/slow\"]\nupstream = \"api\"\ntimeouts.read = \"3s\"\n\
         retries = {{ attempts = 5, on = [\"timeout\"], budget = \"100%\" }}\n"
    ));
    house.api.does(Deed::Silence);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| house.ask("GET", "/slow", &[BEARER]).status);
        eventually(|| house.api.heard().len() == 1);
        assert_eq!(house.ask("POST", "/logout", &[BEARER]).status, 200);
        assert_eq!(asked.join().unwrap(), 401);
    });
    assert_eq!(house.api.heard().len(), 1, "it was sent once");
}

#[test]
fn servers_that_refuse_connections_are_tried_once_more() {
    let gone = Backend::saying("gone").address();
    let house = House::with(&format!(
        "[[shop.route]]\nupstream = \"gone\"\nretries = {{ attempts = 3, on = [\"connect\"] }}\n\
         [[upstream]]\nname = \"gone\"\nservers = [\"{gone}\"]\n"
    ));
    assert_eq!(house.ask("POST", "/", &[]).status, 502);
    let line = "doorward_retries_total{shop=\"main\",cause=\"connect\",outcome=\"retried\"} 2";
    assert!(house.counted(line), "{}", house.edge.metrics());
}

#[test]
fn the_budget_bounds_retries() {
    let route =
        "[[shop.route]]\nupstream = \"api\"\nretries = { attempts = 10, budget = \"0%\" }\n";
    let house = House::with(route);
    house.api.does(status(503, "busy"));
    assert_eq!(house.ask("GET", "/", &[]).status, 503);
    assert_eq!(house.counts(), [0, 10, 0], "as often as the route allows");
    assert_eq!(house.ask("GET", "/", &[]).status, 503);
    assert_eq!(house.counts(), [0, 12, 0], "the tenth retry is the last");
    let over = "doorward_retries_total{shop=\"main\",cause=\"503\",outcome=\"over_budget\"} 1";
    assert!(house.counted(over), "{}", house.edge.metrics());
}

// --- Copies ----------------------------------------------------------------------------------------------

const MIRRORED: &str = "[[shop.route]]\npaths = [\"/api/*\", \"/logout\"]\nupstream = \"api\"\nstrip_prefix = \"/api\"\nmirror = \"admin\"\n\
     headers.request.set = { x-shop = \"{shop}\" }\n";

/// How often copies became of this.
fn copies(outcome: &str, count: usize) -> String {
    format!("doorward_mirrored_requests_total{{upstream=\"admin\",outcome=\"{outcome}\"}} {count}")
}

#[test]
fn a_copy_of_what_the_server_is_sent_goes_to_the_mirror() {
    let house = House::with(MIRRORED);
    house.admin.does(status(500, "the mirror fails"));
    let long = vec![b'x'; 60_000];
    let bodies: [&[u8]; 3] = [b"", b"an order", &long];
    for (number, body) in bodies.into_iter().enumerate() {
        let sent = match body.len() {
            60_000 => chunked("/api/orders?a=b", &[("x-test", "1")], body, 1000),
            _ => request("POST", "/api/orders?a=b", &[("x-test", "1")], body),
        };
        let answer = house.edge.raw(&sent);
        assert_eq!((answer.status, answer.text().as_str()), (200, "api"));
        eventually(|| house.admin.heard().len() == number + 1);
        let [original, copy] = [&house.api, &house.admin].map(|one| one.heard().pop().unwrap());
        assert_eq!(copy.path(), "/orders?a=b");
        for line in [
            "x-test: 1",
            "x-shop: main",
            "via: 1.1 doorward",
            "host: shop.example.com",
        ] {
            let head = copy.head.to_ascii_lowercase();
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
        }
        let id = |head: &str| {
            let head = head.to_ascii_lowercase();
            head.split("x-request-id: ").nth(1).unwrap()[..32].to_owned()
        };
        assert_eq!(id(&original.head), id(&copy.head));
        assert_eq!(copy.body, body);
        eventually(|| house.counted(&copies("answered", number + 1)));
    }
    assert_eq!(
        house.admin.connections(),
        1,
        "one connection serves them all"
    );
}

#[test]
fn neither_a_silent_mirror_nor_one_that_is_gone_is_noticed() {
    let house = House::with(MIRRORED);
    house.admin.does(Deed::Silence);
    let mut connection = Connection::open(house.edge.address());
    for _ in 0..150 {
        assert_eq!(
            connection.ask(&request("GET", "/api/x", &[], b"")).text(),
            "api"
        );
    }
    eventually(|| house.admin.heard().len() == 128);
    assert!(
        house.counted(&copies("busy", 22)),
        "{}",
        house.edge.metrics()
    );
    let gone = Backend::saying("gone").address();
    house.reload(&format!(
        "[[shop.route]]\nmirror = \"gone\"\n[[upstream]]\nname = \"gone\"\nservers = [\"{gone}\"]\n"
    ));
    drop(house.admin);
    eventually(|| {
        let answer = house.edge.raw(&request("GET", "/", &[], b""));
        assert_eq!(answer.text(), "front");
        let failed = "doorward_mirrored_requests_total{upstream=\"gone\",outcome=\"failed\"}";
        house.edge.metrics().contains(failed)
    });
}

#[test]
fn what_ends_tokens_or_streams_or_is_refused_is_not_copied() {
    let house = House::with(&format!(
        "{LOGOUT}[[shop.refresh]]\npaths = [\"/api/refresh\"]\n{MIRRORED}\
         [[shop.route]]\npaths = [\"/open/*\"]\nenforce = \"off\"\nmirror = \"admin\"\n\
         [[shop.route]]\npaths = [\"/rarely\"]\nmirror = {{ upstream = \"admin\", rate = \"0%\" }}\n"
    ));
    assert_eq!(house.ask("GET", "/api/x", &[BEARER]).status, 200);
    eventually(|| house.admin.heard().len() == 1);
    assert_eq!(house.ask("POST", "/logout", &[BEARER]).status, 200);
    assert_eq!(house.ask("GET", "/api/x", &[BEARER]).status, 401);
    for (method, target, headers) in [
        ("POST", "/api/refresh", vec![]),
        ("GET", "/open/x", vec![]),
        ("GET", "/rarely", vec![]),
        ("GET", "/api/events", vec![("accept", "text/event-stream")]),
        ("GET", "/other", vec![]),
    ] {
        house.ask(method, target, &headers);
    }
    let long = vec![b'x'; 70_000];
    assert_eq!(
        house
            .edge
            .raw(&request("POST", "/api/x", &[], &long))
            .text(),
        "api"
    );
    let answer = house.edge.raw(&chunked("/api/x", &[], &long, 5000));
    assert_eq!(answer.text(), "api");
    assert!(
        house.counted(&copies("long_body", 2)),
        "{}",
        house.edge.metrics()
    );
    assert_eq!(house.ask("GET", "/api/last", &[]).status, 200);
    eventually(|| house.admin.heard().len() == 2);
    let heard: Vec<_> = house
        .admin
        .heard()
        .iter()
        .map(|one| one.path().to_owned())
        .collect();
    assert_eq!(heard, ["/x", "/last"]);
}

#[test]
fn a_copy_is_not_sent_if_its_token_dies_while_the_body_comes() {
    let house = House::with(&format!("{LOGOUT}{MIRRORED}"));
    let mut slow = Connection::open(house.edge.address());
    let sent = request("POST", "/api/x", &[BEARER], b"an order");
    let (head, rest) = sent.split_at(sent.len() - 4);
    slow.send(head);
    eventually(|| house.api.connections() == 1);
    assert_eq!(house.ask("POST", "/logout", &[BEARER]).status, 200);
    slow.send(rest);
    assert_eq!(slow.answer().text(), "api", "it was sent before the logout");
    eventually(|| house.counted(&copies("revoked", 1)));
    assert_eq!(house.admin.times("/x"), 0);
    assert_eq!(house.ask("GET", "/api/last", &[]).status, 200);
    eventually(|| house.admin.heard().len() == 1);
}

#[test]
fn bodies_that_are_on_their_way_hold_no_server_of_the_mirror() {
    let house = House::with(MIRRORED);
    let next = Backend::saying("next");
    let limited = format!(
        "{MIRRORED}[[shop.route]]\npaths = [\"/next\"]\nupstream = \"next\"\n\
         [[shop.route]]\npaths = [\"/next/*\"]\nmirror = \"next\"\n\
         [[upstream]]\nname = \"next\"\nservers = [\"{}\"]\n[upstream.limits]\nconnections = 1\nqueue = 0\n",
        next.address()
    );
    house.reload(&limited);
    let mut slow = Connection::open(house.edge.address());
    let sent = request("POST", "/next/x", &[], b"an order");
    let (head, rest) = sent.split_at(sent.len() - 4);
    slow.send(head);
    eventually(|| house.front.connections() == 1);
    assert_eq!(house.answerer("/next"), "next", "the customer has room");
    slow.send(rest);
    assert_eq!(slow.answer().text(), "front");
    eventually(|| next.times("/next/x") == 1);
}

#[test]
fn a_request_that_is_sent_again_is_copied_once() {
    let house = House::with(
        "[[shop.route]]\nupstream = \"api\"\nmirror = \"admin\"\nretries = { attempts = 3, on = [503] }\n",
    );
    house.api.does(status(503, "busy"));
    assert_eq!(
        house.edge.raw(&request("PUT", "/x", &[], b"body")).status,
        503
    );
    house.api.does(Deed::Say(ok("api")));
    assert_eq!(house.ask("GET", "/last", &[]).status, 200);
    eventually(|| house.admin.times("/last") == 1);
    eventually(|| house.admin.times("/x") == 1);
    let copy = house
        .admin
        .heard()
        .into_iter()
        .find(|one| one.path() == "/x");
    assert_eq!(copy.unwrap().body, b"body");
    assert_eq!(house.api.times("/x"), 3);
}

#[test]
fn a_stream_passes_every_rule_of_its_route() {
    let house = House::with(
        "[[shop.route]]\nupstream = \"api\"\nmirror = \"admin\"\nretries = true\ncompress = true\nbody_limit = \"1B\"\n",
    );
    house.api.says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
    let mut connection = Connection::open(house.edge.address());
    connection.send(&request("GET", "/ws", &UPGRADE, b""));
    assert_eq!(connection.interim(), 101);
    assert_eq!(house.counts(), [0, 1, 0]);
}

// --- The configuration -----------------------------------------------------------------------------------

#[test]
fn check_lists_what_routes_say_of_sending() {
    let house = House::with(
        "retries = true\n[[shop.route]]\nupstream = \"api\"\ntimeouts.read = \"5s\"\nbody_limit = \"1KiB\"\nmirror = { upstream = \"admin\", rate = \"2.5%\" }\ncompress = true\n\
         retries = { attempts = 3, on = [\"connect\", 503], budget = \"10%\" }\n",
    );
    let checked = house.edge.command(&["check"]).stdout;
    for words in [
        "  route 1: every path -> upstream api, read within 5s, bodies up to 1024 bytes, up to 3 attempts on connect, 503 within 10%, 2.5% mirrored to admin, compressed\n",
        "  requests without a route: up to 2 attempts on connect, reset, 502, 503, 504 within 20%\n",
    ] {
        assert!(checked.contains(words), "{checked}");
    }
}

#[test]
fn faults_of_sending_are_named() {
    for (route, words) in [
        ("body_limit = \"10MB\"", "a size such as 512B"),
        (
            "body_limit = true",
            "expected a size such as \"10MiB\", or false",
        ),
        ("timeouts = { read = \"1ms\" }", "expected 10ms to 24h"),
        ("timeouts = { idle = \"1s\" }", "unknown key `idle`"),
        ("retries = { attempts = 1 }", "an integer from 2 to 10"),
        (
            "retries = { on = [\"refused\"] }",
            "a status from 400 to 599",
        ),
        ("retries = { on = [200] }", "a status from 400 to 599"),
        ("retries = { budget = \"0.2\" }", "a share such as 20%"),
        ("mirror = \"apy\"", "no upstream is called `apy`"),
        ("mirror = { rate = \"1%\" }", "missing key `upstream`"),
        ("mirror = true", "the name of an upstream, or false"),
        ("compress = { types = [\"text\"] }", "a media type such as"),
        ("compress = { level = 11 }", "an integer from 1 to 9"),
        ("compress = \"gzip\"", "wrong type for `compress`"),
    ] {
        House::refuses(route, words);
    }
}
