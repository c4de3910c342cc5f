//! Messages and their connection: no framing, method or upgrade gets round the check, and a refusal can be read and
//! leaves the connection in order.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::places::{
    EVERYWHERE, LOGOUT, OWN_LOGOUT, PAGE, get, logout_with, noise, with_authorization,
};
use support::{Aftermath, Connection, Shop, request, told, try_raw};

#[test]
fn no_connection_option_takes_a_credential_from_the_shop_standards_110() {
    let scene = Aftermath::with(EVERYWHERE);
    let bearer = format!("Bearer {}", scene.live);
    for option in [
        "authorization",
        "Authorization",
        "AUTHORIZATION",
        "close, authorization",
        "authorization,close",
        "cookie",
        "Cookie ,keep-alive",
        "cart-token",
        "keep-alive,Cart-Token",
        "close,, \tauthorization\t",
        "auth\u{e9}",
    ] {
        let headers = [("Authorization", bearer.as_str()), ("Connection", option)];
        scene.stops(400, &get(&headers));
        scene.stops(400, &get(&headers[1..]));
        scene.stops(400, &get(&[("Connection", "keep-alive"), headers[1]]));
        scene.stops(400, &request("POST", OWN_LOGOUT, &headers, b""));
    }
    scene.passes(&get(&[
        ("Authorization", &bearer),
        ("Connection", "keep-alive, x-other"),
    ]));
}

#[test]
fn no_method_and_no_upgrade_gets_round_the_check_standards_114_d2() {
    let scene = Aftermath::with("");
    let methods = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "PURGE", "get",
        "FOO", "trace",
    ];
    let upgrades: [&[(&str, &str)]; 4] = [
        &[],
        &[
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ],
        &[
            ("Upgrade", "h2c"),
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ],
        &[("Upgrade", "anything")],
    ];
    let (live, dead) = (
        format!("Bearer {}", scene.live),
        format!("Bearer {}", scene.dead),
    );
    for method in methods {
        for upgrade in upgrades {
            let headers = |bearer| [&[("Authorization", bearer)], upgrade].concat();
            scene.stops(401, &request(method, PAGE, &headers(&dead), b""));
        }
        let seen = scene.passes(&request(method, PAGE, &[("Authorization", &live)], b""));
        assert_eq!(seen.method, method);
    }
    let preflight = [
        ("Origin", "https://app.example.com"),
        ("Access-Control-Request-Method", "GET"),
    ];
    scene.passes(&request("OPTIONS", PAGE, &preflight, b""));
    let old =
        format!("GET {PAGE} HTTP/1.0\r\nHost: shop.example.com\r\nAuthorization: {dead}\r\n\r\n");
    scene.stops(401, old.as_bytes());
}

/// Heads that two servers could read differently: the one of them would find a credential where the other finds none.
#[test]
fn a_head_that_could_be_read_in_two_ways_reaches_no_shop_standards_104() {
    let scene = Aftermath::with("");
    let dead = format!("Bearer {}", scene.dead);
    for lines in [
        format!("Authorization : {dead}\r\n"),
        format!("Authorization\t: {dead}\r\n"),
        format!(" Authorization: {dead}\r\n"),
        format!("Authorization: Basic x\r\n {dead}\r\n"),
        format!("Authorization:\r\n {dead}\r\n"),
        format!("Authorization: Basic x\r\n\t{dead}\r\n"),
        format!("X: y\rAuthorization: {dead}\r\n"),
        format!("X: y\0\r\nAuthorization: {dead}\r\n"),
        format!("X: y\n Authorization: {dead}\r\n"),
        format!("X\0: y\r\nAuthorization: {dead}\r\n"),
        format!("Authorization: {dead}\0\r\n"),
        format!("Authorization:\u{b}{dead}\r\n"),
        format!("X: y\nAuthorization: {dead}\r\n"),
        format!("(Authorization): {dead}\r\n"),
    ] {
        let bytes = format!("GET {PAGE} HTTP/1.1\r\nHost: shop.example.com\r\n{lines}\r\n");
        let visits = scene.shop.visits();
        let answered = try_raw(scene.edge.address(), bytes.as_bytes());
        assert_eq!(scene.shop.visits(), visits, "{}", lines.escape_debug());
        assert!(
            answered.is_ok_and(|answer| matches!(answer.status, 400 | 401)),
            "{}",
            lines.escape_debug()
        );
    }
}

#[test]
fn no_request_is_hidden_in_the_body_of_another_standards_105_106_107() {
    let scene = Aftermath::with("");
    let live = format!("Authorization: Bearer {}\r\n", scene.live);
    let hidden = format!(
        "GET /hidden HTTP/1.1\r\nHost: shop.example.com\r\nAuthorization: Bearer {}\r\n\r\n",
        scene.dead
    );
    let length = hidden.len() + 5;
    for framing in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: 5\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}, 5\r\n"),
        format!("Content-Length: +{length}\r\n"),
        format!("Content-Length: 0x{length:x}\r\n"),
        format!("Content-Length: {length}\r\nTransfer-Encoding: xchunked\r\n"),
        format!("Content-Length: {length}\r\nTransfer-Encoding: identity\r\n"),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding: gzip, chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding: \u{b}chunked\r\n".to_owned(),
        "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
    ] {
        let head = format!("POST {PAGE} HTTP/1.1\r\nHost: shop.example.com\r\n{live}{framing}\r\n");
        let before = scene.shop.seen().len();
        let mut connection = Connection::open(scene.edge.address());
        connection.send(format!("{head}0\r\n\r\n{hidden}").as_bytes());
        connection.finish_sending();
        while connection.try_answer().is_ok() {} // until nothing more will come of it
        let seen = &scene.shop.seen()[before..];
        assert!(seen.len() < 2, "{framing}: {seen:?}");
        assert!(
            seen.iter().all(|seen| seen.target == PAGE),
            "{framing}: {seen:?}"
        );
    }
}

#[test]
fn a_page_of_another_origin_can_read_why_it_was_refused_d8() {
    let scene = Aftermath::with("[[shop.route]]\npaths = [\"/account\"]\nenforce = \"required\"\n");
    let origin = ("Origin", "https://app.example.com");
    let dead = format!("Bearer {}", scene.dead);
    for bytes in [
        get(&[origin, ("Authorization", &dead)]),
        get(&[origin, ("Authorization", "Bearer eyJ9.e30.AA")]),
        get(&[origin, ("Authorization", "Bearer,")]),
        get(&[origin, ("Connection", "authorization")]),
        request("GET", "/account", &[origin], b""),
        request(
            "POST",
            LOGOUT,
            &[origin, ("X-STOREFRONT-KEY", Shop::KEY)],
            b"",
        ),
        request("POST", LOGOUT, &[origin], b""),
        request("GET", "/account%2f", &[origin], b""),
    ] {
        let visits = scene.shop.visits();
        let answer = scene.edge.raw(&bytes);
        assert!(answer.status >= 400, "{}", told(&bytes));
        assert_eq!(scene.shop.visits(), visits);
        assert_eq!(
            answer.headers_named("access-control-allow-origin"),
            [origin.1],
            "{}",
            told(&bytes)
        );
        assert_eq!(
            answer.headers_named("access-control-allow-credentials"),
            ["true"]
        );
        assert!(answer.headers_named("vary").contains(&"Origin"));
    }
    let answer = scene.stops(401, &with_authorization(&dead));
    assert_eq!(
        answer.header("access-control-allow-origin"),
        None,
        "nobody asked"
    );
}

#[test]
fn a_connection_outlives_a_refusal_d8() {
    let scene = Aftermath::with("");
    let (live, dead) = (
        format!("Bearer {}", scene.live),
        format!("Bearer {}", scene.dead),
    );
    let good = with_authorization(&live);
    let mut connection = Connection::open(scene.edge.address());
    for refused in [
        with_authorization(&dead),
        with_authorization("Bearer"),
        request("HEAD", PAGE, &[("Authorization", &dead)], b""),
        request("POST", PAGE, &[("Authorization", &dead)], b"hello"),
        request("POST", PAGE, &[("Authorization", &dead)], &noise(10_000)),
        logout_with(&[&dead]),
        logout_with(&[]),
    ] {
        assert!(connection.ask(&refused).status >= 400, "{}", told(&refused));
        assert_eq!(connection.ask(&good), 200, "after {}", told(&refused));
    }
    let visits = scene.shop.visits();
    assert_eq!(
        connection.ask(&[good, with_authorization(&dead)].concat()),
        200
    );
    assert_ne!(
        connection.try_answer().map_or(401, |answer| answer.status),
        200
    );
    assert_eq!(
        scene.shop.visits(),
        visits + 1,
        "a request behind another is judged too"
    );
}

#[test]
fn a_refused_body_that_comes_late_is_thrown_away_and_the_connection_stays_standards_21() {
    let scene = Aftermath::with("");
    let (live, dead) = (
        format!("Bearer {}", scene.live),
        format!("Bearer {}", scene.dead),
    );
    let mut connection = Connection::open(scene.edge.address());
    let visits = scene.shop.visits();
    for body in [
        "x",
        "GET /smuggled HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
    ] {
        let length = body.len().to_string();
        let headers = [
            ("Authorization", dead.as_str()),
            ("Content-Length", &length),
        ];
        assert_eq!(
            connection.ask(&request("POST", PAGE, &headers, b"")),
            401,
            "before its body"
        );
        connection.send(body.as_bytes());
        assert_eq!(connection.ask(&with_authorization(&live)), 200);
    }
    assert_eq!(scene.shop.visits(), visits + 2);
    let targets: Vec<_> = scene
        .shop
        .seen()
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    assert!(!targets.contains(&"/smuggled".to_owned()), "{targets:?}");
}

#[test]
fn a_refused_body_that_is_long_or_of_unknown_length_ends_the_connection_standards_21() {
    let scene = Aftermath::with("");
    let dead = format!("Bearer {}", scene.dead);
    let authorization = ("Authorization", dead.as_str());
    let smuggled = b"GET /smuggled HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";
    let visits = scene.shop.visits();
    let unread: [&[(&str, &str)]; 3] = [
        &[authorization, ("Content-Length", "1000000")],
        &[authorization, ("Transfer-Encoding", "chunked")],
        &[
            authorization,
            ("Expect", "100-continue"),
            ("Content-Length", "50"),
        ],
    ];
    for headers in unread {
        let mut connection = Connection::open(scene.edge.address());
        let answer = connection.ask(&request("POST", PAGE, headers, b""));
        assert_eq!(answer, 401, "{headers:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{headers:?}");
        connection.send(smuggled);
        assert!(connection.closes(), "{headers:?}");
    }
    assert_eq!(scene.shop.visits(), visits);
}

#[test]
fn the_refusal_of_a_head_has_the_length_and_not_the_body_standards_25() {
    let scene = Aftermath::with("");
    let (live, dead) = (
        format!("Bearer {}", scene.live),
        format!("Bearer {}", scene.dead),
    );
    let full = scene.stops(401, &with_authorization(&dead));
    let mut connection = Connection::open(scene.edge.address());
    let head = connection.ask(&request("HEAD", PAGE, &[("Authorization", &dead)], b""));
    assert_eq!(head, 401);
    assert!(head.body.is_empty());
    assert_eq!(
        head.header("content-length"),
        Some(full.body.len().to_string().as_str())
    );
    assert_eq!(
        head.header("www-authenticate"),
        full.header("www-authenticate")
    );
    assert_eq!(
        connection.ask(&with_authorization(&live)),
        200,
        "no byte too many was sent"
    );
}
