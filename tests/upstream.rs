//! What lies between the edge and the shop: what passes unchanged, what is added, and what is said when the shop fails.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use serde_json::{Value, json};
use support::frames::{Frames, fields_of, get_fields};
use support::{
    Answer, Connection, Customer, Edge, Failure, Nobody, Seen, Shop, eventually, raw, request,
    shop_table, shop_table_at, stateless_bagisto,
};

const PROFILE: &str = "/api/shop/customers/profile";
const MIB_5: usize = 5 << 20;

fn get(edge: &Edge, target: &str, headers: &[(&str, &str)]) -> Answer {
    edge.raw(&request("GET", target, headers, b""))
}

/// The last request that reached the shop.
fn last_seen(shop: &Shop) -> Seen {
    shop.seen().pop().unwrap()
}

/// Five mebibytes in which no two lines are the same.
fn long_text() -> Vec<u8> {
    let mut text = Vec::with_capacity(MIB_5 + 16);
    for line in 0_u32.. {
        if text.len() >= MIB_5 {
            break;
        }
        text.extend_from_slice(format!("{line:x}\r\n").as_bytes());
    }
    text
}

/// In chunks of all sizes.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut coded = Vec::with_capacity(body.len() + body.len() / 8);
    let mut rest = body;
    for size in (1..=40_000).step_by(997).cycle() {
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        if chunk.is_empty() {
            break;
        }
        coded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        coded.extend_from_slice(chunk);
        coded.extend_from_slice(b"\r\n");
        rest = after;
    }
    coded.extend_from_slice(b"0\r\n\r\n");
    coded
}

fn has_same(one: &[u8], other: &[u8]) -> bool {
    one == other // an assert_eq! of five mebibytes would print them
}

// --- A shop that fails -----------------------------------------------------------------------------------

/// What an edge says whose shop can't be reached.
fn bad_gateway(shape: &str, headers: &[(&str, &str)]) -> Answer {
    let (shop, nobody) = (stateless_bagisto(), Nobody::at_home());
    let table = shop_table_at(&shop, &[nobody.address()]);
    let edge = Edge::with(&format!(
        "{table}[shop.refusal]\nformat = \"{shape}\"\ncode = \"shop_denied\"\n"
    ));
    let answer = get(&edge, "/cart", headers);
    assert_eq!(answer, 502);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("www-authenticate"), None);
    answer
}

#[test]
fn a_bad_gateway_is_worded_in_the_shape_of_the_shop() {
    let message = "The shop can't be reached";
    let problem = json!({
        "type": "about:blank", "title": "Bad Gateway", "status": 502, "detail": message, "reason": "upstream_failed",
    });
    let graphql =
        json!({"errors": [{"message": message, "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]});
    for (shape, kind, body) in [
        ("message", "application/json", json!({ "message": message })),
        ("problem", "application/problem+json", problem.clone()),
        ("graphql", "application/json", graphql),
    ] {
        let answer = bad_gateway(shape, &[]);
        assert_eq!(
            (answer.header("content-type"), answer.json()),
            (Some(kind), body),
            "{shape}"
        );
    }
    let answer = bad_gateway(
        "message",
        &[("Accept", "application/problem+json, */*;q=0.1")],
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.json(), problem);
}

/// A client that reads the code of a refused token here would throw a good token away.
#[test]
fn a_bad_gateway_in_wordpress_words_is_no_authentication_error() {
    let answer = bad_gateway("wp-error", &[]);
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=UTF-8")
    );
    let body = answer.json();
    assert_eq!(body["message"], "The shop can't be reached");
    assert_eq!(body["data"], json!({"status": 502}));
    assert!(body["code"].is_string());
    assert_ne!(body["code"], "shop_denied");
}

#[test]
fn a_script_of_another_origin_reads_a_bad_gateway() {
    let answer = bad_gateway("message", &[("Origin", "https://front.example.net")]);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://front.example.net")
    );
}

/// On a fresh connection, and on one that has served before.
#[test]
fn a_shop_that_hangs_up_is_a_bad_gateway_until_it_is_back() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    for _ in 0..3 {
        shop.fail(Failure::HangUp);
        let answer = alice.visit(&edge, PROFILE);
        assert_eq!(answer, 502);
        assert_eq!(
            answer.json(),
            json!({"message": "The shop can't be reached"})
        );
        assert_eq!(alice.send(&edge, "POST", "/api/shop/customers", b"{}"), 502);
        shop.fail(Failure::None);
        assert_eq!(alice.visit(&edge, PROFILE), 200);
    }
    shop.recite("/cart", "HTTP/1.1 200 OK\r\nContent-Le");
    assert_eq!(alice.visit(&edge, "/cart"), 502);
}

#[test]
fn what_the_shop_says_of_its_own_failures_is_passed_on() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    for status in [500, 502, 503, 504, 404, 429] {
        shop.fail(Failure::Status(status));
        let answer = get(&edge, "/cart", &[]);
        assert_eq!(answer, status);
        assert_ne!(answer.json()["message"], "The shop can't be reached");
    }
}

#[test]
fn who_is_refused_is_refused_without_a_shop_too() {
    let (shop, nobody) = (stateless_bagisto(), Nobody::at_home());
    let edge = Edge::with(&shop_table_at(&shop, &[nobody.address()]));
    let alice = Customer::signed_in(&shop);
    assert_eq!(alice.visit(&edge, PROFILE), 502);
    let answer = alice.log_out(&edge);
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, r#"{"message":"Successfully logged out"}"#)
    );
    assert_eq!(alice.visit(&edge, PROFILE), 401);
}

#[test]
fn a_connection_outlives_a_bad_gateway_or_says_that_it_ends() {
    let (shop, nobody) = (stateless_bagisto(), Nobody::at_home());
    let edge = Edge::with(&shop_table_at(&shop, &[nobody.address()]));
    let mut connection = Connection::open(edge.address());
    let answer = connection.ask(&request("GET", "/cart", &[], b""));
    assert_eq!(answer, 502);
    match answer.header("connection") {
        Some("close") => assert!(connection.closes()),
        _ => assert_eq!(connection.ask(&request("GET", "/cart", &[], b"")), 502),
    }
}

#[test]
fn every_request_is_served_while_one_of_two_servers_is_there() {
    let (shop, nobody) = (stateless_bagisto(), Nobody::at_home());
    let edge = Edge::with(&shop_table_at(&shop, &[nobody.address(), shop.address()]));
    let mut alice = Customer::signed_in(&shop);
    for round in 1..=5 {
        assert_eq!(alice.log_in(&edge), 200, "a body arrives whole");
        assert_eq!(alice.visit(&edge, PROFILE), 200);
        assert_eq!(
            alice.log_out(&edge).text(),
            r#"{"message":"Successfully logged out"}"#
        );
        assert_eq!(shop.visits(), 3 * round, "and nothing twice");
    }
}

#[test]
fn two_servers_are_taken_in_turn() {
    let (one, other) = (stateless_bagisto(), stateless_bagisto());
    let edge = Edge::with(&shop_table_at(&one, &[one.address(), other.address()]));
    for _ in 0..6 {
        assert_eq!(get(&edge, "/", &[]), 200);
    }
    assert_eq!((one.visits(), other.visits()), (3, 3));
}

// --- Headers to the shop ---------------------------------------------------------------------------------

/// The values of a header that reached the shop.
fn seen_values(seen: &Seen, name: &str) -> Vec<String> {
    seen.headers_named(name).map(str::to_owned).collect()
}

#[test]
fn the_shop_is_told_where_a_request_came_from() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    get(&edge, "/", &[("Host", "Shop.example.com:8080")]);
    let seen = last_seen(&shop);
    for (name, value) in [
        ("host", "Shop.example.com:8080"),
        ("via", "1.1 doorward"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "Shop.example.com:8080"),
    ] {
        assert_eq!(seen_values(&seen, name), [value], "{name}");
    }
}

#[test]
fn what_a_stranger_says_of_it_is_dropped() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let forged = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("x-forwarded-for", "203.0.113.10"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example.com"),
        ("X-Real-IP", "203.0.113.9"),
        ("Forwarded", "for=203.0.113.9;proto=https"),
        ("x_forwarded_for", "203.0.113.9"),
        ("X_Forwarded-Host", "evil.example.com"),
        ("X-Doorward-Subject", "1"),
        ("x_doorward_subject", "1"),
        ("X-Doorward_Verified", "yes"),
    ];
    get(
        &edge,
        "/",
        &[
            &forged[..],
            &[("Via", "1.1 front"), ("X-Forwarding", "kept")],
        ]
        .concat(),
    );
    let seen = last_seen(&shop);
    assert_eq!(seen_values(&seen, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen_values(&seen, "x-forwarded-proto"), ["http"]);
    assert_eq!(seen_values(&seen, "x-forwarded-host"), ["shop.example.com"]);
    assert_eq!(seen_values(&seen, "via"), ["1.1 front", "1.1 doorward"]);
    assert_eq!(seen_values(&seen, "x-forwarding"), ["kept"]);
    let odd: Vec<_> = seen
        .headers
        .iter()
        .filter(|(name, value)| {
            let name = name.to_ascii_lowercase();
            name.contains('_')
                || name.contains("doorward")
                || name == "forwarded"
                || value.contains("203.0.113")
        })
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert!(
        seen.headers
            .iter()
            .all(|(_, value)| !value.contains("evil")),
        "{seen:?}"
    );
}

#[test]
fn a_proxy_that_is_trusted_is_believed() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "trusted_proxies = [\"127.0.0.0/8\"]\n{}",
        shop_table(&shop)
    ));
    let told = [
        ("X-Forwarded-For", "203.0.113.9, 198.51.100.7"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "www.example.com"),
        ("Forwarded", "for=203.0.113.9"),
        ("x_forwarded_for", "203.0.113.66"),
        ("X-Doorward-Subject", "1"),
    ];
    get(&edge, "/", &told);
    let seen = last_seen(&shop);
    let chain = "203.0.113.9, 198.51.100.7, 192.0.2.1, 127.0.0.1";
    assert_eq!(seen_values(&seen, "x-forwarded-for"), [chain]);
    assert_eq!(seen_values(&seen, "x-forwarded-proto"), ["https"]);
    assert_eq!(seen_values(&seen, "x-forwarded-host"), ["www.example.com"]);
    assert_eq!(seen_values(&seen, "forwarded"), ["for=203.0.113.9"]);
    assert_eq!(seen_values(&seen, "x_forwarded_for"), [""; 0]);
    assert_eq!(seen_values(&seen, "x-doorward-subject"), [""; 0]);
}

/// A shop that somebody else runs knows one host of its own, and customers another.
#[test]
fn the_shop_is_asked_as_the_host_that_it_knows_itself_by() {
    const OWN: &str = "kettles.example.net:8443";
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "h2c = true\n{}hosts = [\"shop.example.com\"]\nupstream_host = \"{OWN}\"\n",
        shop_table(&shop)
    ));
    let told = || {
        let seen = last_seen(&shop);
        ["host", "x-forwarded-host"].map(|name| seen_values(&seen, name).join(" and "))
    };
    get(&edge, "/page", &[("X-Forwarded-Host", "evil.example.com")]);
    assert_eq!(told(), [OWN, "shop.example.com"]);
    get(&edge, "http://shop.example.com/page", &[]);
    assert_eq!(told(), [OWN, "shop.example.com"]);
    let mut frames = Frames::open(edge.address());
    frames.ask(&get_fields("/page", &[]), None);
    assert_eq!(told(), [OWN, "shop.example.com"]);
    let alice = Customer::signed_in(&shop);
    let bearer = format!("Bearer {}", alice.token());
    let headers = [
        ("x-storefront-key", Shop::KEY),
        ("authorization", bearer.as_str()),
    ];
    let seen = shop.seen().len();
    assert_eq!(
        frames
            .ask(&fields_of("POST", LOGOUT, &headers), None)
            .status,
        200
    );
    assert_eq!(alice.log_out(&edge), 401);
    assert_eq!(Customer::signed_in(&shop).log_out(&edge), 200);
    assert_eq!(shop.seen().len(), seen + 2);
    assert_eq!(told(), [OWN, "shop.example.com"]);
    // The shop is not chosen by its own host.
    let headers = [("Host", OWN)];
    assert_eq!(get(&edge, "/page", &headers), 421);
}

#[test]
fn a_proxy_that_is_trusted_and_names_no_host_has_passed_it_on() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "trusted_proxies = [\"127.0.0.0/8\"]\n{}upstream_host = \"kettles.example.net\"\n",
        shop_table(&shop)
    ));
    for (headers, host) in [
        (&[][..], "shop.example.com"),
        (
            &[("X-Forwarded-Host", "www.example.com")],
            "www.example.com",
        ),
    ] {
        get(&edge, "/", headers);
        let seen = last_seen(&shop);
        assert_eq!(seen_values(&seen, "x-forwarded-host"), [host]);
        assert_eq!(seen_values(&seen, "host"), ["kettles.example.net"]);
    }
}

/// D10: kept from trusted peers, else made.
#[test]
fn every_request_has_an_id_that_no_stranger_chose() {
    let shop = stateless_bagisto();
    let id = ("X-Request-Id", "of-the-client");
    let ids_at = |edge: &Edge| {
        get(edge, "/", &[id]);
        get(edge, "/", &[]);
        let seen = shop.seen();
        let last = seen[seen.len() - 2..].iter();
        last.map(|seen| seen.header("x-request-id").unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let made = ids_at(&Edge::in_front_of(&shop));
    assert!(
        made.iter()
            .all(|id| id.len() >= 16 && id != "of-the-client"),
        "{made:?}"
    );
    assert_ne!(made[0], made[1]);
    let trusting = Edge::with(&format!(
        "trusted_proxies = [\"127.0.0.1\"]\n{}",
        shop_table(&shop)
    ));
    let kept = ids_at(&trusting);
    assert_eq!(kept[0], "of-the-client");
    assert!(kept[1].len() >= 16, "{kept:?}");
}

#[test]
fn a_customer_behind_a_trusted_proxy_has_a_limit_of_their_own() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "trusted_proxies = [\"127.0.0.1\"]\n{}[shop.limits]\nunverified_per_client_minute = 1\n",
        shop_table(&shop)
    ));
    let log_out = |number: usize, client: &str| {
        let bearer = format!("Bearer {number}|{number:048}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("X-STOREFRONT-KEY", Shop::KEY),
            ("X-Forwarded-For", client),
        ];
        edge.raw(&request(
            "POST",
            "/api/shop/customers/logout",
            &headers,
            b"",
        ))
        .status
    };
    let mut number = 0;
    eventually(|| {
        number += 1;
        log_out(number, "203.0.113.9") == 429
    });
    let others = "203.0.113.9, 203.0.113.10"; // the last one is whom the proxy saw
    assert_ne!(log_out(100, others), 429, "another customer");
}

// --- What passes unchanged -------------------------------------------------------------------------------

#[test]
fn the_target_and_the_headers_of_a_request_arrive_byte_for_byte() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let target = "/x//y/./%7e/z;v=1/?a=%20b+c&a=&%41=[1]&q='%22";
    let headers = [
        ("uSeR-AgEnT", "kettle/1 (a; b)"),
        ("Accept-Language", "de;q=0.8, en"),
        ("X-Two", "first"),
        ("X-Two", "second, third"),
        ("Cookie", "a=1; b=\"2\"; c=%20"),
        (
            "Authorization",
            "bEaReR   6f1c2b1e-5b0e-4a51-9c2c-8f1f6a0f6d11",
        ),
    ];
    get(&edge, target, &headers);
    let seen = last_seen(&shop);
    assert_eq!(seen.target, target);
    for (name, value) in headers {
        assert!(
            seen_values(&seen, name).contains(&value.to_owned()),
            "{name}: {seen:?}"
        );
    }
    assert_eq!(seen_values(&seen, "x-two"), ["first", "second, third"]);
}

#[test]
fn a_long_body_arrives_whole_in_either_framing() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let body = long_text();
    edge.raw(&request("POST", "/upload", &[], &body));
    assert!(has_same(&last_seen(&shop).body, &body));
    let mut bytes = request("POST", "/upload", &[("Transfer-Encoding", "chunked")], b"");
    bytes.extend(chunked(&body));
    edge.raw(&bytes);
    assert!(has_same(&last_seen(&shop).body, &body));
    assert_eq!(shop.visits(), 2);
}

#[test]
fn a_short_chunked_body_arrives_whole() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    let bearer = format!("Bearer {}", alice.token());
    let headers = [
        ("Transfer-Encoding", "chunked"),
        ("X-STOREFRONT-KEY", Shop::KEY),
        ("Authorization", bearer.as_str()),
    ];
    let mut bytes = request("POST", "/api/shop/customers/logout", &headers, b"");
    bytes.extend_from_slice(b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n");
    assert_eq!(edge.raw(&bytes), 200);
    assert_eq!(last_seen(&shop).body, b"{}");
}

#[test]
fn a_body_that_was_searched_for_a_token_arrives_whole() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "{}[[shop.credential]]\nbody = \"/token\"\n",
        shop_table(&shop)
    ));
    let token = shop.sign_in("alice");
    let json = ("Content-Type", "application/json");
    let body = json!({"token": token, "filling": "x".repeat(60_000)}).to_string();
    edge.raw(&request("POST", "/upload", &[json], body.as_bytes()));
    assert!(has_same(&last_seen(&shop).body, body.as_bytes()));
    let mut bytes = request(
        "POST",
        "/upload",
        &[json, ("Transfer-Encoding", "chunked")],
        b"",
    );
    bytes.extend(chunked(body.as_bytes()));
    edge.raw(&bytes);
    assert!(has_same(&last_seen(&shop).body, body.as_bytes()));
    let longer = json!({"filling": "x".repeat(70_000)}).to_string();
    let refused = edge.raw(&request("POST", "/upload", &[json], longer.as_bytes()));
    assert_eq!((refused.status, shop.visits()), (413, 2));
}

#[test]
fn a_long_answer_arrives_whole_in_every_framing() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let body = long_text();
    let head = |framing: &str| {
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{framing}\r\n").into_bytes()
    };
    let length = format!("Content-Length: {}\r\n", body.len());
    shop.recite("/length", [head(&length), body.clone()].concat());
    shop.recite(
        "/chunked",
        [head("Transfer-Encoding: chunked\r\n"), chunked(&body)].concat(),
    );
    shop.recite("/end", [head(""), body.clone()].concat());
    for target in ["/length", "/chunked", "/end"] {
        let answer = get(&edge, target, &[]);
        assert_eq!(answer, 200);
        assert!(
            has_same(&answer.body, &body),
            "{target}: {} bytes",
            answer.body.len()
        );
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    for (path, said) in [
        (
            "/length",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        ),
        (
            "/chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ),
    ] {
        shop.recite(path, said);
        let answer = support::try_raw(edge.address(), &request("GET", path, &[], b""));
        assert!(answer.is_err(), "{path}: {answer:?}");
    }
}

#[test]
fn the_cookies_of_the_shop_arrive_in_number_and_order() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let cookies = [
        "b=1; Path=/; HttpOnly",
        "a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/wp-admin",
        "b=1; Path=/; HttpOnly",
        "a=; Max-Age=0; path=/; SameSite=None; secure",
        "c=\"x, y\"",
    ];
    let lines = cookies
        .map(|cookie| format!("Set-Cookie: {cookie}\r\n"))
        .concat();
    let mut heads = vec!["200 OK"];
    heads.extend(["302 Found", "404 Not Found"]);
    for head in heads {
        let said = format!(
            "HTTP/1.1 {head}\r\nX-First: 1\r\n{lines}X-Last: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
        );
        shop.recite("/cookies", said);
        let answer = get(&edge, "/cookies", &[]);
        assert_eq!(answer.headers_named("set-cookie"), cookies);
        assert_eq!(
            (answer.header("x-first"), answer.header("x-last")),
            (Some("1"), Some("2"))
        );
        assert_eq!(answer.body, b"ok");
    }
}

#[test]
fn the_cookies_of_the_shops_own_logout_arrive_in_number_and_order() {
    let shop = support::stateless_cocart();
    let edge = Edge::in_front_of(&shop);
    let logout = request("POST", "/wp-json/cocart/v1/logout", &[], b"");
    let (there, here) = (raw(shop.address(), &logout), edge.raw(&logout));
    let without_time = |answer: &Answer| -> Vec<String> {
        let lines = answer.headers_named("set-cookie").into_iter();
        lines
            .map(|line| {
                line.split("; ")
                    .filter(|part| !part.starts_with("expires"))
                    .collect()
            })
            .collect()
    };
    assert_eq!(without_time(&here), without_time(&there));
    assert!(without_time(&here).len() > 8);
}

#[test]
fn answers_without_body_stay_without() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    shop.recite(
        "/none",
        "HTTP/1.1 204 No Content\r\nConnection: close\r\nX-A: 1\r\n\r\n",
    );
    shop.recite(
        "/same",
        "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nETag: \"1\"\r\n\r\n",
    );
    let mut connection = Connection::open(edge.address());
    assert_eq!(connection.ask(&request("GET", "/none", &[], b"")), 204);
    let same = connection.ask(&request("GET", "/same", &[("If-None-Match", "\"1\"")], b""));
    assert_eq!((same.status, same.header("etag")), (304, Some("\"1\"")));
    let head = connection.ask(&request("HEAD", "/", &[], b""));
    assert_eq!(head, 200);
    assert!(
        head.header("content-length")
            .is_some_and(|length| length != "0")
    );
    assert_eq!(
        connection.ask(&request("GET", "/", &[], b"")),
        200,
        "the connection is still good"
    );
}

// --- A logout on its way -----------------------------------------------------------------------------------

const LOGOUT: &str = "/api/shop/customers/logout";

#[test]
fn a_logout_reaches_the_shop_like_any_other_request() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let bearer = format!("Bearer {}", shop.sign_in("alice"));
    let sent = [
        ("X-STOREFRONT-KEY", Shop::KEY),
        ("Authorization", bearer.as_str()),
        ("uSeR-AgEnT", "kettle/1 (a; b)"),
        ("Content-Type", "application/json; charset=utf-8"),
        ("X-Two", "first"),
        ("X-Two", "second, third"),
        ("Cookie", "a=1; b=2"),
        ("Via", "1.1 front"),
    ];
    let forged = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("Forwarded", "for=203.0.113.9"),
        ("X-Doorward-Subject", "1"),
        ("Connection", "x-hop"),
        ("X-Hop", "203.0.113.9"),
    ];
    let target = "/api//shop/customers/%6cogout?a=%20b+c&a=";
    let headers = [&sent[..], &forged].concat();
    let answer = edge.raw(&request(
        "POST",
        target,
        &headers,
        b"{ \"deviceToken\": null }",
    ));
    assert_eq!(answer, 200);
    let seen = last_seen(&shop);
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", target)
    );
    assert_eq!(seen.body, b"{ \"deviceToken\": null }");
    for (name, value) in sent {
        assert!(
            seen_values(&seen, name).contains(&value.to_owned()),
            "{name}: {seen:?}"
        );
    }
    assert_eq!(seen_values(&seen, "via"), ["1.1 front", "1.1 doorward"]);
    assert_eq!(seen_values(&seen, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen_values(&seen, "content-length"), ["23"]);
    let forged = seen.headers.iter().filter(|(name, value)| {
        name.to_ascii_lowercase().contains("doorward") || value.contains("203.0.113")
    });
    assert_eq!(forged.count(), 0, "{seen:?}");
}

#[test]
fn what_the_shop_says_to_a_logout_arrives_as_it_was_said() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let mut connection = Connection::open(edge.address());
    let body = &long_text()[..200_000];
    let fixed = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: br\r\nSet-Cookie: b=1\r\nX-Odd: \u{e9}\r\n\
                 Set-Cookie: a=1\r\nSet-Cookie: b=1\r\nContent-Type: text/plain\r\nKeep-Alive: timeout=5\r\n";
    let length = format!("{fixed}Content-Length: {}\r\n\r\n", body.len());
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    for said in [
        [length.as_bytes(), body].concat(),
        [format!("{hints}{length}").as_bytes(), body].concat(),
        [
            format!("{fixed}Transfer-Encoding: chunked\r\n\r\n").as_bytes(),
            &chunked(body),
        ]
        .concat(),
        [format!("{fixed}\r\n").as_bytes(), body].concat(),
    ] {
        shop.recite(LOGOUT, said);
        let bearer = format!("Bearer {}", shop.sign_in("alice"));
        let headers = [("X-STOREFRONT-KEY", Shop::KEY), ("Authorization", &bearer)];
        let answer = connection.ask(&request("POST", LOGOUT, &headers, b"{}"));
        assert_eq!(answer, 200);
        assert!(has_same(&answer.body, body), "{} bytes", answer.body.len());
        assert_eq!(answer.headers_named("set-cookie"), ["b=1", "a=1", "b=1"]);
        assert_eq!(answer.header("content-encoding"), Some("br"));
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(answer.headers_named("date").len(), 1);
        assert!(answer.header("x-odd").is_some());
        assert_eq!(answer.header("keep-alive"), None);
    }
}

#[test]
fn a_client_that_asks_before_it_sends_its_logout_is_told_to_go_on() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let bearer = format!("Bearer {}", shop.sign_in("alice"));
    let headers = [
        ("X-STOREFRONT-KEY", Shop::KEY),
        ("Authorization", bearer.as_str()),
        ("Expect", "100-continue"),
        ("Content-Length", "2"),
    ];
    let mut connection = Connection::open(edge.address());
    connection.send(&request("POST", LOGOUT, &headers, b""));
    assert_eq!(connection.interim(), 100);
    connection.send(b"{}");
    assert_eq!(connection.answer(), 200);
    assert_eq!(last_seen(&shop).body, b"{}");
}

#[test]
fn a_logout_with_a_long_body_is_a_logout() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    let answer = alice.send(&edge, "POST", LOGOUT, &long_text()[..300_000]);
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, r#"{"message":"Successfully logged out"}"#)
    );
    assert_eq!(alice.visit(&edge, PROFILE), 401);
}

// --- Old and careful clients -----------------------------------------------------------------------------

#[test]
fn an_http_1_0_client_is_served_in_its_own_words() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let body = b"HTTP/1.0 knows no chunks";
    let head = |framing: &str| format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{framing}\r\n");
    let head = |framing: &str| head(framing).into_bytes();
    let coded = [head("Transfer-Encoding: chunked\r\n"), chunked(body)];
    shop.recite("/chunked", coded.concat());
    shop.recite("/end", [head(""), body.to_vec()].concat());
    for target in ["/", "/chunked", "/end"] {
        for more in ["", "Connection: keep-alive\r\n"] {
            let mut connection = Connection::open(edge.address());
            let sent = format!("GET {target} HTTP/1.0\r\nHost: shop.example.com\r\n{more}\r\n");
            let answer = connection.ask(sent.as_bytes());
            assert_eq!(answer, 200);
            assert_eq!(answer.header("transfer-encoding"), None, "{target} {more}");
            if target == "/" {
                continue;
            }
            assert_eq!(answer.text().as_bytes(), body, "{target} {more}");
            assert_eq!(
                answer.header("connection"),
                Some("close"),
                "{target} {more}"
            );
        }
    }
}

#[test]
fn an_http_1_0_client_is_logged_out_and_refused_like_any_other() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    let head = format!(
        "Host: shop.example.com\r\nX-STOREFRONT-KEY: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        Shop::KEY,
        alice.token()
    );
    let ask = |line: &str| edge.raw(format!("{line} HTTP/1.0\r\n{head}").as_bytes());
    assert_eq!(ask(&format!("GET {PROFILE}")), 200);
    let answer = ask("POST /api/shop/customers/logout");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, r#"{"message":"Successfully logged out"}"#)
    );
    assert_eq!(ask(&format!("GET {PROFILE}")), 401);
}

#[test]
fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let mut connection = Connection::open(edge.address());
    let headers = [("Expect", "100-continue"), ("Content-Length", "5")];
    connection.send(&request("POST", "/upload", &headers, b""));
    assert_eq!(connection.interim(), 100);
    connection.send(b"hello");
    assert_eq!(connection.answer(), 404);
    assert_eq!(last_seen(&shop).body, b"hello");
}

#[test]
fn a_client_that_asks_before_it_sends_is_refused_before_it_sends() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    assert_eq!(alice.log_out(&edge), 200);
    let visits = shop.visits();
    let bearer = format!("Bearer {}", alice.token());
    let headers = [
        ("Expect", "100-continue"),
        ("Content-Length", "5000000"),
        ("Authorization", &bearer),
    ];
    let mut connection = Connection::open(edge.address());
    connection.send(&request("POST", "/upload", &headers, b""));
    assert_eq!(connection.interim(), 401);
    assert_eq!(shop.visits(), visits);
}

// --- The shop's clock ------------------------------------------------------------------------------------

fn clock_offset(edge: &Edge) -> i64 {
    let metrics = edge.metrics();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("doorward_shop_clock_offset_seconds{"))
        .unwrap_or_else(|| panic!("{metrics}"));
    assert!(line.contains("shop=\"main\""), "{line}");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn how_far_the_shops_clock_is_off_is_measured_and_told() {
    for offset in [0, 90, -90] {
        let shop = stateless_bagisto();
        let edge = Edge::in_front_of(&shop);
        assert_eq!(clock_offset(&edge), 0);
        shop.set_date_offset(offset);
        assert_eq!(get(&edge, "/", &[]), 200);
        let measured = clock_offset(&edge);
        assert!(
            (offset - 2..=offset).contains(&measured),
            "{measured}, not {offset}"
        );
        let is_warned = || {
            let lines = edge.log_lines();
            lines
                .iter()
                .any(|line| line.contains("the shop's clock differs"))
        };
        eventually(|| is_warned() == (offset != 0));
    }
}

#[test]
fn a_shop_whose_clock_is_off_loses_no_logout_and_no_login() {
    for offset in [-3600, 3600] {
        let shop = stateless_bagisto();
        let edge = Edge::in_front_of(&shop);
        shop.set_date_offset(offset - 10);
        let tablet = Customer::signed_in(&shop);
        shop.set_date_offset(offset);
        let mut phone = Customer::signed_in(&shop);
        assert_eq!(phone.visit(&edge, PROFILE), 200);
        assert_eq!(phone.log_out(&edge), 200);
        assert_eq!(phone.visit(&edge, PROFILE), 401);
        assert_eq!(tablet.visit(&edge, PROFILE), 401, "{offset}");
        assert_eq!(phone.log_in(&edge), 200);
        assert_eq!(phone.visit(&edge, PROFILE), 200, "{offset}");
    }
}

/// An answer that some cache has kept says what time it was, not what time it is.
#[test]
fn an_old_answer_teaches_no_time() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let said = "HTTP/1.1 200 OK\r\nDate: Wed, 21 Oct 2020 07:28:00 GMT\r\nAge: 60\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    shop.recite("/kept", said);
    assert_eq!(get(&edge, "/kept", &[]), 200);
    assert_eq!(clock_offset(&edge), 0);
    let requests: Value = json!(shop.visits());
    assert_eq!(requests, 1);
}
