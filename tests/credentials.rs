//! Where a credential may hide in a request. What is dead is found wherever a shop would read it; what could hide
//! one is refused; what passes reaches the shop byte for byte.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use doorward::clock::{self, UnixTime};
use doorward::config;
use doorward::request::{Gate, Request, Verdict};
use doorward::revocation::Revocations;
use form_urlencoded::parse as parse_form;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{
    Answer, Connection, Customer, Edge, Seen, Shop, eventually, request, shop_table,
    stateless_bagisto, try_raw,
};

/// A page that every shop has; who asks for it is the shop's business.
const PAGE: &str = "/cart";
const LOGOUT: &str = "/api/shop/customers/logout";
const OWN_LOGOUT: &str = "/_doorward/logout";

/// A shop whose own logout means nothing, an edge, a customer who logged out and one who did not.
struct Scene {
    shop: Shop,
    edge: Edge,
    dead: String,
    live: String,
}

impl Scene {
    /// The Bagisto preset; `more` are further keys and tables of the shop.
    fn with(more: &str) -> Self {
        let shop = stateless_bagisto();
        let edge = Edge::with(&format!("{}answer = \"local\"\n{more}", shop_table(&shop)));
        let dead = Customer::named(&shop, "alice");
        assert_eq!(dead.log_out(&edge), 200);
        Self {
            dead: dead.token().to_owned(),
            live: shop.sign_in("bob"),
            shop,
            edge,
        }
    }

    /// A request ends at the edge with this status.
    #[track_caller]
    fn stops(&self, status: u16, bytes: &[u8]) -> Answer {
        let visits = self.shop.visits();
        let answer = self.edge.raw(bytes);
        let told = || format!("{}\n{} {}", told(bytes), answer.status, answer.text());
        assert_eq!(
            self.shop.visits(),
            visits,
            "it reached the shop: {}",
            told()
        );
        assert_eq!(answer.status, status, "{}", told());
        answer
    }

    /// A request ends at the edge, with 400 or 401.
    #[track_caller]
    fn refuses(&self, bytes: &[u8]) {
        let visits = self.shop.visits();
        let answer = self.edge.raw(bytes);
        let told = || format!("{}\n{} {}", told(bytes), answer.status, answer.text());
        assert_eq!(
            self.shop.visits(),
            visits,
            "it reached the shop: {}",
            told()
        );
        assert!(matches!(answer.status, 400 | 401), "{}", told());
    }

    /// A request reaches the shop; what the shop saw.
    #[track_caller]
    fn passes(&self, bytes: &[u8]) -> Seen {
        let visits = self.shop.visits();
        let answer = self.edge.raw(bytes);
        let told = || format!("{}\n{} {}", told(bytes), answer.status, answer.text());
        assert_eq!(
            self.shop.visits(),
            visits + 1,
            "it never reached the shop: {}",
            told()
        );
        self.shop.seen().pop().unwrap()
    }

    /// A cookie's owner logs out by Doorward's own call.
    #[track_caller]
    fn log_out_cookie(&self, cookie: &str) {
        let headers = [("Cookie", cookie), ("Sec-Fetch-Site", "same-origin")];
        let answer = self.edge.raw(&request("POST", OWN_LOGOUT, &headers, b""));
        assert_eq!(answer, 200, "{cookie}");
    }

    /// How many tokens and cutoffs are in force.
    #[track_caller]
    fn stored(&self) -> u64 {
        let outcome = self.edge.command(&["inspect"]);
        let counted: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let revocations = &counted["revocations"];
        let kinds = ["tokens", "undated_tokens", "cutoffs"];
        kinds
            .iter()
            .map(|kind| revocations[kind].as_u64().unwrap())
            .sum()
    }
}

/// A request for people to read.
fn told(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(2000)];
    shown.escape_ascii().to_string().replace("\\r\\n", "\n")
}

fn get(headers: &[(&str, &str)]) -> Vec<u8> {
    request("GET", PAGE, headers, b"")
}

fn with_authorization(line: &str) -> Vec<u8> {
    get(&[("Authorization", line)])
}

/// As a client logs out, with this line.
fn logout_with(lines: &[&str]) -> Vec<u8> {
    let mut headers = vec![("X-STOREFRONT-KEY", Shop::KEY)];
    headers.extend(lines.iter().map(|line| ("Authorization", *line)));
    request("POST", LOGOUT, &headers, b"{}")
}

/// A body in chunks of that many bytes.
fn chunked(target: &str, headers: &[(&str, &str)], body: &[u8], chunk: usize) -> Vec<u8> {
    let headers = [&[("Transfer-Encoding", "chunked")], headers].concat();
    let mut bytes = request("POST", target, &headers, b"");
    for part in body.chunks(chunk) {
        bytes.extend(format!("{:x}\r\n", part.len()).bytes());
        bytes.extend(part);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

// ---------------------------------------------------------------------------------------------------------------
// Authorization

#[test]
fn a_scheme_is_compared_without_case_and_spaces_may_follow_it_standards_2_3() {
    let scene = Scene::with("");
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        for spaces in [" ", "  ", "        "] {
            let line = |token: &str| format!("{scheme}{spaces}{token}");
            let seen = scene.passes(&with_authorization(&line(&scene.live)));
            let lines: Vec<_> = seen.headers_named("authorization").collect();
            assert_eq!(lines, [line(&scene.live)], "standards 24: as it was sent");
            scene.stops(401, &with_authorization(&line(&scene.dead)));
        }
    }
    let padded = format!(" \t Bearer {} \t", scene.dead);
    scene.stops(401, &with_authorization(&padded));
}

/// Lines in which a lenient shop could find a token.
fn malformed_lines(token: &str) -> Vec<String> {
    [
        "Bearer",
        "bearer ",
        "Bearer,",
        "BearerT",
        "Bearer=T",
        "Bearer:T",
        "Bearer,T",
        "Bearer\tT",
        "Bearer \tT",
        "Bearer T\tx",
        "Bearer T x",
        "Bearer x T",
        "Bearer T, x",
        "Bearer T,x",
        "Bearer x,T",
        "Bearer T,",
        "Bearer ,T",
        "Bearer T, Bearer T",
        "Bearer Bearer T",
        "Bearer T Bearer T",
        "Bearer T\u{7f}",
        "Bearer T\u{e9}",
        "Bearer \u{a0}T",
        "\u{a0}Bearer T",
        "Bearer\u{a0}T",
        "Bearer\u{2003}T",
    ]
    .map(|line| line.replace('T', token))
    .into()
}

#[test]
fn a_line_that_could_be_read_in_two_ways_is_refused_standards_3_4() {
    let scene = Scene::with("");
    let stored = scene.stored();
    for token in [&scene.live, &scene.dead] {
        for line in malformed_lines(token) {
            let answer = scene.stops(400, &with_authorization(&line));
            let stored = answer.header("cache-control").unwrap_or_default();
            assert!(stored.contains("no-store"), "{line}: {stored}");
            scene.stops(400, &logout_with(&[&line]));
        }
    }
    assert_eq!(scene.stored(), stored, "nothing was logged out");
}

#[test]
fn two_authorization_lines_are_refused_in_any_order_standards_4_trap_4() {
    let scene = Scene::with("");
    let stored = scene.stored();
    let (live, dead) = (
        format!("Bearer {}", scene.live),
        format!("Bearer {}", scene.dead),
    );
    let basic = "Basic dXNlcjpwYXNz";
    for lines in [
        [&live, &dead],
        [&dead, &live],
        [&live, &live],
        [&dead, &dead],
        [&live, &basic.to_owned()],
        [&basic.to_owned(), &dead],
        [&live, &String::new()],
        [&String::new(), &dead],
    ] {
        let headers = lines.map(|line| ("Authorization", line.as_str()));
        scene.stops(400, &get(&headers));
        scene.stops(400, &get(&[headers[0], ("AUTHORIZATION", headers[1].1)]));
        scene.stops(400, &logout_with(&lines.map(String::as_str)));
    }
    assert_eq!(scene.stored(), stored);
}

#[test]
fn a_bearer_hidden_in_another_scheme_is_refused_standards_16_trap_5() {
    let scene = Scene::with("");
    for line in [
        "foo Bearer T",
        "foo bearer T",
        "foo BEARER T",
        "Basic bearerT",
        "Basic bearer T",
        "Basic x,Bearer T",
        "Basic dXNlcjpwYXNz, Bearer T",
        "Digest realm=\"Bearer T\"",
        "Token token=Bearer T",
        "xBearer T",
        "x-Bearer T",
        "JWT, Bearer T",
        "\"Bearer\" T",
        "Negotiate bearer=T",
        ",Bearer T",
        ", Bearer T",
    ] {
        for token in [&scene.live, &scene.dead] {
            scene.stops(400, &with_authorization(&line.replace('T', token)));
        }
    }
}

/// One PHP library takes what follows the last "bearer" of the line, with or without a space.
#[test]
fn a_dead_bearer_hidden_in_another_bearer_is_refused_standards_16_trap_4() {
    let scene = Scene::with("");
    for line in [
        "Bearer aaBearerT",
        "Bearer bearerT",
        "bearer x.BEARERT",
        "Bearer 17|abcBearerT",
        "Bearer =Bearer=T",
    ] {
        scene.refuses(&with_authorization(&line.replace('T', &scene.dead)));
    }
}

/// `authorization.split(' ')[1]` and `.replace('Bearer ', '')` are how many a shop reads its tokens: the scheme may be
/// any, or none.
#[test]
fn a_dead_token_behind_another_scheme_or_none_is_refused_trap_5() {
    let scene = Scene::with("");
    let sanctum = "17|a1B2c3D4a1B2c3D4a1B2c3D4a1B2c3D4a1B2c3D4a1B2c3D4";
    let bearer = format!("Bearer {sanctum}");
    assert_eq!(scene.edge.raw(&logout_with(&[&bearer])), 200);
    for line in [
        "@",
        "foo @",
        "Token @",
        "JWT @",
        "DPoP @",
        "Basic @",
        "Token token=@",
        "Token token=\"@\"",
        "a b c d e f g h i j k l m n o p q r s t u v w x y z @",
        "x y @",
    ] {
        scene.refuses(&with_authorization(&line.replace('@', &scene.dead)));
        scene.refuses(&with_authorization(&line.replace('@', sanctum)));
    }
}

#[test]
fn a_credential_that_is_not_the_shops_passes_untouched_standards_24() {
    let scene = Scene::with("");
    for line in [
        "Basic dXNlcjpwYXNzd29yZA==",
        "Token abc",
        "Digest username=\"a\", uri=\"/\"",
        "Basic",
        "x",
    ] {
        let seen = scene.passes(&with_authorization(line));
        assert_eq!(seen.header("authorization"), Some(line));
    }
    let seen = scene.passes(&with_authorization(""));
    assert_eq!(
        seen.headers_named("authorization").collect::<Vec<_>>(),
        [""]
    );
}

#[test]
fn a_line_in_the_trailers_is_no_credential_standards_10() {
    let route = "[[shop.route]]\npaths = [\"/cart\"]\nenforce = \"required\"\n";
    let scene = Scene::with(route);
    for token in [&scene.live, &scene.dead] {
        let mut bytes = chunked(PAGE, &[("Trailer", "Authorization")], b"{}", 2);
        bytes.truncate(bytes.len() - 2);
        bytes.extend(format!("Authorization: Bearer {token}\r\n\r\n").bytes());
        scene.stops(401, &bytes);
    }
}

#[test]
fn no_connection_option_takes_a_credential_from_the_shop_standards_110() {
    let scene = Scene::with(EVERYWHERE);
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
    let scene = Scene::with("");
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
    let scene = Scene::with("");
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
    let scene = Scene::with("");
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

// ---------------------------------------------------------------------------------------------------------------
// Other places

/// Every kind of place at once.
const EVERYWHERE: &str = r#"
[[shop.credential]]
header = "authorization"
schemes = ["Bearer"]
[[shop.credential]]
header = "cart-token"
[[shop.credential]]
cookie = "jwt"
[[shop.credential]]
cookie = "session_*"
kind = "opaque"
[[shop.credential]]
query = "access_token"
[[shop.credential]]
body = "/token"
[[shop.credential]]
form = "token"
"#;

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=b");

/// A request with one token in one place.
fn in_each_place(token: &str) -> [(&'static str, Vec<u8>); 6] {
    let json = format!("{{\"token\":\"{token}\"}}");
    [
        (
            "header",
            get(&[("Authorization", &format!("Bearer {token}"))]),
        ),
        ("raw header", get(&[("Cart-Token", token)])),
        ("cookie", get(&[("Cookie", &format!("a=b; jwt={token}"))])),
        (
            "query",
            request("GET", &format!("{PAGE}?a=b&access_token={token}"), &[], b""),
        ),
        ("JSON", request("POST", PAGE, &[JSON], json.as_bytes())),
        (
            "form",
            request(
                "POST",
                PAGE,
                &[FORM],
                format!("a=b&token={token}").as_bytes(),
            ),
        ),
    ]
}

#[test]
fn a_dead_token_is_found_in_every_place_standards_5_6_d1() {
    let scene = Scene::with(EVERYWHERE);
    for (_, bytes) in in_each_place(&scene.live) {
        scene.passes(&bytes);
    }
    for (_, bytes) in in_each_place(&scene.dead) {
        let answer = scene.stops(401, &bytes);
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .contains("invalid_token")
        );
    }
}

#[test]
fn a_bearer_in_two_places_is_refused_standards_4_d1() {
    let scene = Scene::with(EVERYWHERE);
    let stored = scene.stored();
    for (one, other) in [
        (&scene.live, &scene.live),
        (&scene.live, &scene.dead),
        (&scene.dead, &scene.live),
    ] {
        let bearer = format!("Bearer {one}");
        let query = format!("?access_token={other}");
        let json = format!("{{\"token\":\"{other}\"}}");
        let form = format!("token={other}");
        let authorization = ("Authorization", bearer.as_str());
        for target in [PAGE, OWN_LOGOUT] {
            let with_query = format!("{target}{query}");
            scene.stops(400, &request("POST", &with_query, &[authorization], b""));
            scene.stops(
                400,
                &request("POST", target, &[authorization, JSON], json.as_bytes()),
            );
            scene.stops(
                400,
                &request("POST", target, &[authorization, FORM], form.as_bytes()),
            );
            scene.stops(400, &request("POST", &with_query, &[JSON], json.as_bytes()));
            scene.stops(
                400,
                &request(
                    "POST",
                    &format!("{with_query}&access_token={one}"),
                    &[],
                    b"",
                ),
            );
            let twice = format!("{form}&a=b&token={one}");
            scene.stops(400, &request("POST", target, &[FORM], twice.as_bytes()));
        }
    }
    assert_eq!(scene.stored(), stored);
}

#[test]
fn a_cookie_beside_a_bearer_is_normal_and_both_are_checked_d1() {
    let scene = Scene::with(EVERYWHERE);
    let both = |bearer: &str, cookie: &str| {
        let (bearer, cookie) = (format!("Bearer {bearer}"), format!("jwt={cookie}"));
        get(&[("Authorization", &bearer), ("Cookie", &cookie)])
    };
    scene.passes(&both(&scene.live, &scene.live));
    scene.stops(401, &both(&scene.live, &scene.dead));
    scene.stops(401, &both(&scene.dead, &scene.live));
    let beside = |bearer: &str, raw: &str| {
        get(&[
            ("Authorization", &format!("Bearer {bearer}")),
            ("Cart-Token", raw),
        ])
    };
    scene.passes(&beside(&scene.live, &scene.live));
    scene.stops(401, &beside(&scene.live, &scene.dead));
    scene.stops(401, &beside(&scene.dead, &scene.live));
    let (bearer, cookie) = (format!("Bearer {}", scene.live), "session_1=abc".to_owned());
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Cookie", &cookie),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    assert_eq!(
        scene.edge.raw(&request("POST", OWN_LOGOUT, &headers, b"")),
        200
    );
    scene.stops(401, &get(&headers[..1]));
    scene.stops(401, &get(&headers[1..2]));
}

#[test]
fn a_raw_header_has_one_value_and_one_line_also_with_underscores_standards_124() {
    let scene = Scene::with(EVERYWHERE);
    let (live, dead) = (scene.live.as_str(), scene.dead.as_str());
    scene.stops(401, &get(&[("cart_token", dead)]));
    scene.stops(401, &get(&[("CART_TOKEN", dead)]));
    scene.stops(400, &get(&[("cart-token", live), ("cart_token", dead)]));
    scene.stops(400, &get(&[("cart_token", dead), ("cart-token", live)]));
    scene.stops(400, &get(&[("cart-token", live), ("cart-token", dead)]));
    for joined in ["L,D", "L, D", "D,L", "L D", "L\tD", "D,", ",D", "L;\u{e9}"] {
        scene.refuses(&get(&[(
            "cart-token",
            &joined.replace('L', live).replace('D', dead),
        )]));
    }
    let seen = scene.passes(&get(&[("Cart-Token", live)]));
    assert_eq!(seen.header("cart-token"), Some(live));
}

// ---------------------------------------------------------------------------------------------------------------
// Cookies

/// How a web server that speaks PHP would be given the same cookie in other letters.
const SAME_COOKIE: [&str; 25] = [
    "session_1=alice%7Cs%2Bt",
    "session_1=alice|s+t",
    "session_1=alice%7cs%2bt",
    "session_1=%61lice%7Cs%2Bt",
    "session_1=\"alice%7Cs%2Bt\"",
    "session_1=alice%7Cs%20t",
    "session_1=alice|s t",
    " session_1 =  alice|s+t ",
    "a=b; session_1=alice%7Cs%2Bt; c=d",
    "a=b;session_1=alice%7Cs%2Bt;c=d",
    "session_1=bob; session_1=alice%7Cs%2Bt",
    "session_1=alice%7Cs%2Bt; session_1=bob",
    "session_2=alice%7Cs%2Bt",
    "session_1=; session_1=alice%7Cs%2Bt",
    "session.1=alice%7Cs%2Bt",
    "session 1=alice%7Cs%2Bt",
    "session[1=alice%7Cs%2Bt",
    "%73ession_1=alice%7Cs%2Bt",
    "session%5F1=alice%7Cs%2Bt",
    "a; b; session_1=alice%7Cs%2Bt; c",
    "==; session_1=alice%7Cs%2Bt",
    // Python, under Django, undoes what quotes allow, and strips every kind of space.
    "session_1=\"\\141lice|s+t\"",
    "session_1=\"ali\\ce\\|s+t\"",
    "\u{a0}session_1=alice|s+t",
    "session_1=alice|s+t\u{a0}",
];

#[test]
fn a_dead_cookie_is_dead_in_every_spelling_d1() {
    let scene = Scene::with(EVERYWHERE);
    scene.passes(&get(&[("Cookie", SAME_COOKIE[0])]));
    scene.log_out_cookie(SAME_COOKIE[0]);
    for cookie in SAME_COOKIE {
        scene.stops(401, &get(&[("Cookie", cookie)]));
        scene.stops(401, &get(&[("Cookie", "x=y"), ("Cookie", cookie)]));
        scene.stops(
            401,
            &get(&[("Cookie", cookie), ("Cookie", "session_1=bob")]),
        );
    }
    for cookie in [
        "session_1=bob",
        "session_1=alice",
        "other=alice%7Cs%2Bt",
        "xsession_1=alice%7Cs%2Bt",
        "session_1",
    ] {
        let seen = scene.passes(&get(&[("Cookie", cookie)]));
        assert_eq!(seen.header("cookie"), Some(cookie), "as it was sent");
    }
}

/// A browser sends whatever other cookies it has for the host, in any bytes.
#[test]
fn a_dead_cookie_is_found_beside_one_that_is_no_ascii_d1() {
    let scene = Scene::with(EVERYWHERE);
    scene.log_out_cookie("session_1=alice");
    for cookie in [
        "x=\u{e9}; session_1=alice",
        "session_1=alice; x=\u{e9}",
        "\u{e9}; session_1=alice",
        "\u{e9}=x; session_1=alice",
    ] {
        scene.refuses(&get(&[("Cookie", cookie)]));
    }
    let latin =
        b"GET /cart HTTP/1.1\r\nHost: shop.example.com\r\nCookie: x=\xff; session_1=alice\r\n\r\n";
    scene.refuses(latin);
    scene.passes(&get(&[("Cookie", "x=\u{e9}; session_1=bob")]));
}

/// A letter that no cookie may have stands in many all the same.
#[test]
fn the_logout_of_one_cookie_spares_others_that_begin_alike_d4() {
    let scene = Scene::with(EVERYWHERE);
    for (number, between) in [",", ", ", "%2C", "%3B", "%00", "%FF", "\"", "=", "+", "%"]
        .iter()
        .enumerate()
    {
        let cookie = |name: &str| format!("session_1=v{number}{between}{name}");
        scene.log_out_cookie(&cookie("alice"));
        scene.stops(401, &get(&[("Cookie", &cookie("alice"))]));
        scene.passes(&get(&[("Cookie", &cookie("bob"))]));
    }
}

/// The same text may be a cookie that nobody reads and a bearer that is verified.
#[test]
fn a_dead_opaque_cookie_stays_dead_when_its_text_was_verified_as_a_bearer_trap_17() {
    let scene = Scene::with(EVERYWHERE);
    let cookie = format!("session_1={}", scene.live);
    scene.log_out_cookie(&cookie);
    scene.stops(401, &get(&[("Cookie", &cookie)]));
    let bearer = format!("Bearer {}", scene.live);
    scene.edge.raw(&get(&[("Authorization", &bearer)])); // whatever becomes of it, it is verified now
    scene.stops(401, &get(&[("Cookie", &cookie)]));
}

// ---------------------------------------------------------------------------------------------------------------
// Parameters

/// Names that PHP reads as `access_token`: it decodes, strips spaces before, ends at a NUL, and makes an underscore
/// of what a variable can't have.
const SAME_PARAMETER: [&str; 14] = [
    "access_token",
    "%61ccess_token",
    "access%5Ftoken",
    "access_token[]",
    "access_token[0]",
    "access_token%5B%5D",
    "access_token[a][b]",
    "access.token",
    "access+token",
    "access%20token",
    "access[token",
    "%20access_token",
    "+access_token",
    "access_token%00x",
];

#[test]
fn a_dead_token_is_found_under_every_name_that_is_the_parameters_d1() {
    let scene = Scene::with(EVERYWHERE);
    for name in SAME_PARAMETER {
        scene.refuses(&request(
            "GET",
            &format!("{PAGE}?{name}={}", scene.dead),
            &[],
            b"",
        ));
        let twice = format!("{PAGE}?access_token={}&{name}={}", scene.live, scene.dead);
        scene.stops(400, &request("GET", &twice, &[], b""));
        let field = name.replace("access_", "").replace("access", "");
        let body = format!("a=b&{field}={}", scene.dead);
        if ["token", "%20token", "+token", "token[]", "token%00x"].contains(&field.as_str()) {
            scene.refuses(&request("POST", PAGE, &[FORM], body.as_bytes()));
        }
    }
    for other in ["access_tokens", "x_access_token", "access-token"] {
        scene.passes(&request(
            "GET",
            &format!("{PAGE}?{other}={}", scene.dead),
            &[],
            b"",
        ));
    }
}

/// Go and .NET compare the names of JSON members without case, .NET those of parameters too.
#[test]
fn a_dead_token_is_found_under_a_name_in_other_letters_d1() {
    let scene = Scene::with(EVERYWHERE);
    let dead = &scene.dead;
    scene.refuses(&request(
        "GET",
        &format!("{PAGE}?Access_Token={dead}"),
        &[],
        b"",
    ));
    scene.refuses(&request(
        "POST",
        PAGE,
        &[FORM],
        format!("TOKEN={dead}").as_bytes(),
    ));
    scene.refuses(&request(
        "POST",
        PAGE,
        &[JSON],
        format!("{{\"Token\":\"{dead}\"}}").as_bytes(),
    ));
}

/// Rack 2, under Spree and Solidus, separates parameters by `;` too.
#[test]
fn a_dead_token_is_found_behind_a_semicolon_d1() {
    let scene = Scene::with(EVERYWHERE);
    for query in [
        "a=b;access_token=D",
        "access_token=D;a=b",
        "a=b; access_token=D",
        ";access_token=D",
        // PHP parts by `&` alone, and ends the name at the NUL.
        "access_token%00;x=D",
    ] {
        let query = query.replace('D', &scene.dead).replace(' ', "%20");
        scene.refuses(&request("GET", &format!("{PAGE}?{query}"), &[], b""));
        let body = query.replace("access_token", "token");
        scene.refuses(&request("POST", PAGE, &[FORM], body.as_bytes()));
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Bodies

#[test]
fn a_dead_token_is_found_in_json_whatever_its_type_is_called_d1() {
    let scene = Scene::with(EVERYWHERE);
    let body = format!("{{\"a\":[1],\"token\":\"{}\"}}", scene.dead);
    let escaped = format!(
        "{{\"\\u0074oken\":\"\\u{:04x}{}\"}}",
        scene.dead.as_bytes()[0],
        &scene.dead[1..]
    );
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.api+json",
        "text/json",
        "text/plain",
        "application/octet-stream",
        "",
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8",
    ] {
        for body in [
            &body,
            &escaped,
            &format!(" \r\n\t{body}\n"),
            &format!("\u{feff}{body}"),
        ] {
            scene.refuses(&request(
                "POST",
                PAGE,
                &[("Content-Type", kind)],
                body.as_bytes(),
            ));
            scene.refuses(&request(
                "GET",
                PAGE,
                &[("Content-Type", kind)],
                body.as_bytes(),
            ));
        }
    }
    scene.refuses(&request("POST", PAGE, &[], body.as_bytes()));
    scene.refuses(&chunked(PAGE, &[JSON], body.as_bytes(), 7));
}

#[test]
fn json_that_could_be_read_in_two_ways_is_refused_standards_18_50() {
    let scene = Scene::with(EVERYWHERE);
    for body in [
        r#"{"token":"L","token":"D"}"#,
        r#"{"token":"D","token":"L"}"#,
        r#"{"token":"L","\u0074oken":"D"}"#,
        r#"{"token":["D"]}"#,
        r#"{"token":{"a":"D"}}"#,
        r#"{"token":5}"#,
        r#"{"token":"D"}x"#,
        r#"{"token":"D",}"#,
        r"{'token':'D'}",
        "{\"token\":\"D\"",
        r#"{"token":"D"}{"token":"L"}"#,
    ] {
        let body = body.replace('D', &scene.dead).replace('L', &scene.live);
        scene.stops(400, &request("POST", PAGE, &[JSON], body.as_bytes()));
    }
    let twice = format!(
        "{{\"token\":\"{}\",\"token\":\"{}\"}}",
        scene.live, scene.dead
    );
    scene.stops(400, &request("POST", PAGE, &[], twice.as_bytes()));
}

#[test]
fn a_dead_token_is_found_in_a_form_whatever_stands_round_it_standards_6() {
    let scene = Scene::with(EVERYWHERE);
    let body = format!("a=b&token={}", scene.dead);
    for kind in [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8",
        "Application/X-WWW-Form-Urlencoded",
        "application/x-www-form-urlencoded;",
        // PHP ends the type at a comma or space.
        "application/x-www-form-urlencoded, application/json",
        "application/x-www-form-urlencoded json",
        "application/x-www-form-urlencoded; x=multipart/form-data",
        "text/plain",
        "",
    ] {
        scene.refuses(&request(
            "POST",
            PAGE,
            &[("Content-Type", kind)],
            body.as_bytes(),
        ));
    }
    scene.refuses(&request("POST", PAGE, &[JSON, FORM], body.as_bytes()));
    scene.refuses(&request("POST", PAGE, &[FORM, JSON], body.as_bytes()));
    scene.refuses(&request("POST", PAGE, &[FORM, MULTIPART], body.as_bytes()));
    scene.refuses(&request("POST", PAGE, &[MULTIPART, FORM], body.as_bytes()));
    scene.refuses(&chunked(PAGE, &[FORM], body.as_bytes(), 5));
    for neighbour in [
        &b"x=\xff&"[..],
        b"\xff&",
        b"x=%ff&",
        b"\xef\xbb\xbf&",
        b"\0&",
    ] {
        scene.refuses(&request(
            "POST",
            PAGE,
            &[FORM],
            &[neighbour, body.as_bytes()].concat(),
        ));
    }
}

#[test]
fn what_only_looks_like_a_credential_in_a_body_is_left_alone() {
    let scene = Scene::with(EVERYWHERE);
    let bearer = format!("Bearer {}", scene.live);
    for (kind, body) in [
        (JSON, r#"{"next":"https://shop.example.com/x?a=b&token=1"}"#),
        (JSON, r#"{"next":"/x;token=1;y"}"#),
        (JSON, r#"{"a":{"token":"1"},"tokens":"2"}"#),
        (JSON, r#"["token"]"#),
        (FORM, "a=b&tokens=1&xtoken=2&next=%26token%3D3"),
        (FORM, ""),
        (
            MULTIPART,
            "--b\r\nContent-Disposition: form-data; name=\"photo\"\r\n\r\nname, token\r\n--b--\r\n",
        ),
    ] {
        let seen = scene.passes(&request(
            "POST",
            PAGE,
            &[kind, ("Authorization", &bearer)],
            body.as_bytes(),
        ));
        assert_eq!(seen.body, body.as_bytes());
    }
}

#[test]
fn a_token_in_a_multipart_form_is_refused_standards_6() {
    let scene = Scene::with(EVERYWHERE);
    for name in [
        "name=\"token\"",
        "name=token",
        "NAME=\"token\"",
        "name='token'",
        "name=\" token\"",
        "name=\"token[]\"",
        "name=\"token\"; filename=\"f\"",
        "filename=\"f\"; name=\"token\"",
    ] {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; {name}\r\n\r\n{}\r\n--b--\r\n",
            scene.dead
        );
        scene.refuses(&request("POST", PAGE, &[MULTIPART], body.as_bytes()));
    }
    let body = "--b\r\nContent-Disposition: form-data; name=\"photo\"\r\n\r\nabc\r\n--b--\r\n";
    let seen = scene.passes(&request("POST", PAGE, &[MULTIPART], body.as_bytes()));
    assert_eq!(seen.body, body.as_bytes());
}

/// Bytes of every kind that no parser takes for anything.
fn noise(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at * at + at / 251) % 256).unwrap())
        .collect()
}

const READ_AHEAD: usize = 64 << 10;

/// Where a body could carry a credential, it is read ahead and then sent on.
#[test]
fn a_body_that_is_read_ahead_reaches_the_shop_byte_for_byte() {
    let scene = Scene::with(EVERYWHERE);
    let bearer = format!("Bearer {}", scene.live);
    let headers = [
        ("Content-Type", "application/octet-stream"),
        ("Authorization", bearer.as_str()),
    ];
    for length in [
        1,
        2,
        100,
        16_383,
        16_384,
        16_385,
        READ_AHEAD - 1,
        READ_AHEAD,
    ] {
        let body = noise(length);
        let seen = scene.passes(&request("POST", PAGE, &headers, &body));
        assert!(seen.body == body, "{length} bytes");
        for chunk in [1 << 20, 4096, 999] {
            let seen = scene.passes(&chunked(PAGE, &headers, &body, chunk));
            assert!(seen.body == body, "{length} bytes in chunks of {chunk}");
        }
    }
    let seen = scene.passes(&request("POST", PAGE, &headers, b""));
    assert!(seen.body.is_empty());
}

#[test]
fn a_body_that_is_read_ahead_may_arrive_letter_by_letter() {
    let scene = Scene::with(EVERYWHERE);
    let body = format!("{{\"a\":1,\"token\":\"{}\"}}", scene.live);
    let whole = request("POST", PAGE, &[JSON], body.as_bytes());
    let visits = scene.shop.visits();
    let mut connection = Connection::open(scene.edge.address());
    for letter in whole.chunks(1) {
        connection.send(letter);
    }
    connection.answer();
    assert_eq!(scene.shop.visits(), visits + 1);
    assert_eq!(scene.shop.seen().pop().unwrap().body, body.as_bytes());
}

#[test]
fn a_client_that_waits_for_100_continue_gets_its_body_read_ahead_standards_114() {
    let scene = Scene::with(EVERYWHERE);
    let body = format!("{{\"token\":\"{}\"}}", scene.live);
    let length = body.len().to_string();
    let headers = [
        JSON,
        ("Expect", "100-continue"),
        ("Content-Length", &length),
    ];
    let visits = scene.shop.visits();
    let mut client = TcpStream::connect(scene.edge.address()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    client
        .write_all(&request("POST", PAGE, &headers, b""))
        .unwrap();
    let mut line = [0; 12];
    client
        .read_exact(&mut line)
        .expect("somebody asks for the body");
    assert_eq!(line, *b"HTTP/1.1 100");
    client.write_all(body.as_bytes()).unwrap();
    eventually(|| scene.shop.visits() == visits + 1);
    assert_eq!(scene.shop.seen().pop().unwrap().body, body.as_bytes());
}

#[test]
fn a_body_too_long_to_be_examined_is_refused_where_it_could_carry_a_token() {
    let scene = Scene::with(EVERYWHERE);
    let bearer = format!("Bearer {}", scene.live);
    for headers in [
        vec![JSON],
        vec![FORM],
        vec![JSON, ("Authorization", &bearer)],
        vec![],
    ] {
        let body = noise(READ_AHEAD + 1);
        let answer = scene.stops(413, &request("POST", PAGE, &headers, &body));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        scene.stops(413, &chunked(PAGE, &headers, &body, 8192));
    }
    let packed = [JSON, ("Content-Encoding", "gzip")];
    scene.stops(413, &request("POST", PAGE, &packed, b"{\"token\":1}"));
    let mut connection = Connection::open(scene.edge.address());
    let announced = [JSON, ("Content-Length", "1000000000")];
    assert_eq!(
        connection.ask(&request("POST", PAGE, &announced, b"")),
        413,
        "before it arrives"
    );
    assert!(connection.closes());
}

#[test]
fn a_body_that_carries_no_credential_is_left_alone() {
    let scene = Scene::with("");
    let bearer = format!("Bearer {}", scene.live);
    let headers = [("Authorization", bearer.as_str()), JSON];
    for length in [1, READ_AHEAD, READ_AHEAD + 1, 1 << 20] {
        let body = noise(length);
        let seen = scene.passes(&request("POST", PAGE, &headers, &body));
        assert!(seen.body == body, "{length} bytes");
        let seen = scene.passes(&chunked(PAGE, &headers, &body, 10_000));
        assert!(seen.body == body, "{length} bytes in chunks");
    }
    let twice = format!("{{\"token\":\"{0}\",\"token\":\"{0}\"}}", scene.dead);
    let packed = [headers[0], JSON, ("Content-Encoding", "gzip")];
    assert_eq!(
        scene
            .passes(&request("POST", PAGE, &packed, twice.as_bytes()))
            .body,
        twice.as_bytes()
    );
}

// ---------------------------------------------------------------------------------------------------------------
// Refusals and their connection

#[test]
fn a_page_of_another_origin_can_read_why_it_was_refused_d8() {
    let scene = Scene::with("[[shop.route]]\npaths = [\"/account\"]\nenforce = \"required\"\n");
    let origin = ("Origin", "https://app.example.com");
    let dead = format!("Bearer {}", scene.dead);
    for bytes in [
        get(&[origin, ("Authorization", &dead)]),
        get(&[origin, ("Authorization", "Bearer eyJ9.e30.AA")]),
        get(&[origin, ("Authorization", "Bearer")]),
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
    let scene = Scene::with("");
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
    let scene = Scene::with("");
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
    let scene = Scene::with("");
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
    let scene = Scene::with("");
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

// ---------------------------------------------------------------------------------------------------------------
// Laws: the gate on its own, against what shops read

/// The gate of a shop that reads tokens everywhere, without a server round it.
struct Bare {
    gate: Gate,
    now: UnixTime,
    dead: String,
    live: String,
    _home: tempfile::TempDir,
}

/// Of this cookie's owner nothing else is known.
const DEAD_COOKIE: &str = "alice|s+t";

static BARE: LazyLock<Bare> = LazyLock::new(Bare::open);

impl Bare {
    fn open() -> Self {
        let home = tempfile::tempdir().unwrap();
        let secret = home.path().join("jwt.secret");
        fs::write(&secret, Shop::SECRET).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(home.path().join("data")).unwrap();
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n[[shop]]\nname = \"main\"\n\
             upstream = [\"127.0.0.1:9\"]\ntoken.algorithms = [\"HS256\"]\ntoken.secret_file = \"jwt.secret\"\n\
             {EVERYWHERE}"
        );
        let parsed = config::parse("doorward.toml", &text, home.path());
        let (config, _) = parsed.unwrap_or_else(|faults| panic!("{faults}"));
        let revocations = Arc::new(Revocations::open(&config.data_dir).unwrap());
        let shops = config.shops.into_iter().map(Arc::new).collect();
        let bare = Self {
            gate: Gate::new(shops, revocations),
            now: clock::now(),
            dead: token("a-1"),
            live: token("b-1"),
            _home: home,
        };
        let bearer = format!("Bearer {}", bare.dead);
        bare.log_out(&head("POST", OWN_LOGOUT, &[(AUTHORIZATION, bearer.as_bytes())]).unwrap());
        let cookie = format!("session_1={DEAD_COOKIE}");
        let site = (
            HeaderName::from_static("sec-fetch-site"),
            &b"same-origin"[..],
        );
        bare.log_out(&head("POST", OWN_LOGOUT, &[(COOKIE, cookie.as_bytes()), site]).unwrap());
        bare
    }

    fn log_out(&self, head: &Parts) {
        let Ok(Verdict::LogOut(logout)) = self.gate.judge(&Request { head, body: None }, self.now)
        else {
            panic!("a good credential logs out");
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime
            .block_on(self.gate.revocations().revoke(logout.revocations))
            .unwrap();
    }

    fn forwards(&self, head: &Parts, body: Option<&[u8]>) -> bool {
        matches!(
            self.gate.judge(&Request { head, body }, self.now),
            Ok(Verdict::Forward(_))
        )
    }

    /// Text with the tokens in their places.
    fn fill(&self, fragments: &[&str]) -> String {
        fragments
            .concat()
            .replace("DEAD", &self.dead)
            .replace("LIVE", &self.live)
    }
}

fn token(id: &str) -> String {
    let claims = json!({ "sub": id, "jti": id, "iat": 1_790_000_000, "exp": 4_000_000_000_u64 });
    let key = jsonwebtoken::EncodingKey::from_secret(Shop::SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

/// A request with these lines; none where they could not be sent.
fn head(method: &str, target: &str, lines: &[(HeaderName, &[u8])]) -> Option<Parts> {
    let mut request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", "shop.example.com");
    for (name, value) in lines {
        request = request.header(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// What shops in the field take for the bearer of an `Authorization` line.
fn read_bearers(line: &str) -> Vec<String> {
    let small = line.to_ascii_lowercase();
    let before_comma = |rest: &str| rest.split(',').next().unwrap_or_default().trim().to_owned();
    let mut words = line.split_whitespace();
    let scheme = words.next().unwrap_or_default();
    [
        // RFC 6750, without case.
        (scheme.eq_ignore_ascii_case("bearer"))
            .then(|| words.next().unwrap_or_default().to_owned()),
        // PHP-Open-Source-Saver/jwt-auth: the last "bearer", wherever it stands.
        small
            .rfind("bearer")
            .map(|at| before_comma(&line[at + 6..])),
        // Laravel: the last "bearer " with its space.
        small
            .rfind("bearer ")
            .map(|at| before_comma(&line[at + 7..])),
        // tymon/jwt-auth and many others: /bearer\s*(\S+)/i.
        small
            .find("bearer")
            .and_then(|at| line[at + 6..].split_whitespace().next().map(str::to_owned)),
        // Spree: the last word behind "Bearer ".
        line.starts_with("Bearer ")
            .then(|| line.split(' ').next_back().unwrap_or_default().to_owned()),
        // Many a shop on Node: the second word, the last, or what is left without "Bearer ".
        line.split(' ').nth(1).map(str::to_owned),
        line.split(' ').next_back().map(str::to_owned),
        Some(line.replacen("Bearer ", "", 1)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What PHP makes of a name: spaces before it go, a NUL ends it, and what no variable can have is an underscore.
/// `None`: it is an array.
fn php_name(name: &str) -> Option<String> {
    let name = name.trim_start_matches(' ').split('\0').next()?;
    let is_array = name
        .split_once('[')
        .is_some_and(|(_, index)| index.contains(']'));
    (!is_array).then(|| name.replace([' ', '.', '['], "_"))
}

/// The parameters that PHP reads, and those that Rack 2 reads.
fn read_parameters(text: &[u8]) -> Vec<(String, String)> {
    let parted: Vec<_> = text.split(|byte| *byte == b';').collect();
    let both = parse_form(text).chain(parted.into_iter().flat_map(parse_form));
    both.filter_map(|(name, value)| Some((php_name(&name)?, value.into_owned())))
        .collect()
}

/// What Python's `http.cookies` makes of a quoted value.
fn python_value(value: &str) -> String {
    let Some(mut rest) = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return value.to_owned();
    };
    let mut plain = String::new();
    while let Some((before, escaped)) = rest.split_once('\\') {
        plain += before;
        let octal = escaped
            .get(..3)
            .filter(|digits| digits.starts_with(['0', '1', '2', '3']));
        let octal = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.extend(octal.map(char::from).or_else(|| escaped.chars().next()));
        rest = escaped
            .get(if octal.is_some() { 3 } else { 1 }..)
            .unwrap_or_default();
    }
    plain + rest
}

/// The cookies that PHP reads; before 7.4.11 it decoded their names too. And those that Django reads.
fn read_cookies(line: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(line);
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut read = Vec::new();
    for (name, value) in text.split(';').filter_map(|pair| pair.split_once('=')) {
        let in_php = php_name(&decoded(&name.replace('+', " ")));
        read.extend(in_php.map(|name| (name, decoded(value.trim()))));
        read.push((name.trim().to_owned(), python_value(value.trim())));
    }
    read
}

/// Pieces in any order, some of them more often.
fn pieces(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(of), 0..8)
}

const BEARER_PIECES: &[&str] = &[
    "Bearer DEAD",
    "Bearer",
    "Bearer ",
    "bearer ",
    "BEARER",
    "Basic ",
    "foo ",
    "DEAD",
    "DEAD",
    "LIVE",
    " ",
    "  ",
    "\t",
    ",",
    ", ",
    ";",
    "=",
    ":",
    "\"",
    "x",
    "17|",
    ".",
];
const COOKIE_PIECES: &[&str] = &[
    "session_1=\"",
    "\\141",
    "lice|s+t",
    "lice|s+t\"",
    "\\",
    "\u{a0}",
    "session_1=alice|s+t",
    "jwt=DEAD",
    "session_1",
    "session.1",
    "session%5F1",
    "session[1",
    "jwt",
    "=",
    "=",
    "; ",
    ";",
    ",",
    " ",
    "%20",
    "+",
    "\"",
    "alice|s+t",
    "alice%7Cs%2Bt",
    "DEAD",
    "LIVE",
    "bob",
    "%",
    "x=y",
    "\u{e9}",
];
const PARAMETER_PIECES: &[&str] = &[
    "access_token=DEAD",
    "token=DEAD",
    "access_token",
    "access.token",
    "access%5ftoken",
    "token",
    "[]",
    "[",
    "=",
    "=",
    "&",
    "&",
    ";",
    "+",
    "%20",
    "%00",
    "DEAD",
    "DEAD",
    "LIVE",
    "x",
    "%",
    "%ff",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_line_in_which_a_shop_would_find_a_dead_bearer_is_forwarded_trap_4(
        lines in prop::collection::vec(pieces(BEARER_PIECES), 1..3),
    ) {
        let lines: Vec<_> = lines.iter().map(|pieces| BARE.fill(pieces)).collect();
        let sent: Vec<_> = lines.iter().map(|line| (AUTHORIZATION, line.as_bytes())).collect();
        let found = lines.iter().flat_map(|line| read_bearers(line)).any(|token| token == BARE.dead);
        if let Some(head) = head("GET", "/", &sent) {
            prop_assert!(!found || !BARE.forwards(&head, None));
        }
    }

    #[test]
    fn no_line_in_which_a_shop_would_find_a_dead_cookie_is_forwarded_d1(
        lines in prop::collection::vec(pieces(COOKIE_PIECES), 1..3),
    ) {
        let lines: Vec<_> = lines.iter().map(|pieces| BARE.fill(pieces)).collect();
        let sent: Vec<_> = lines.iter().map(|line| (COOKIE, line.as_bytes())).collect();
        let is_dead = |(name, value): &(String, String)| {
            (name == "jwt" && *value == BARE.dead) || (name.starts_with("session_") && value == DEAD_COOKIE)
        };
        let found = lines.iter().flat_map(|line| read_cookies(line.as_bytes())).any(|pair| is_dead(&pair));
        if let Some(head) = head("GET", "/", &sent) {
            prop_assert!(!found || !BARE.forwards(&head, None));
        }
    }

    #[test]
    fn no_query_or_form_in_which_a_shop_would_find_a_dead_token_is_forwarded_d1(
        pieces in pieces(PARAMETER_PIECES),
    ) {
        let text = BARE.fill(&pieces);
        let found = |name: &str| read_parameters(text.as_bytes()).iter().any(|pair| *pair == (name.to_owned(), BARE.dead.clone()));
        if let Some(head) = head("GET", &format!("/?{text}"), &[]) {
            prop_assert!(!found("access_token") || !BARE.forwards(&head, None));
        }
        let kind = (http::header::CONTENT_TYPE, &b"application/x-www-form-urlencoded"[..]);
        let head = head("POST", "/", &[kind]).unwrap();
        prop_assert!(!found("token") || !BARE.forwards(&head, Some(text.as_bytes())));
    }

    #[test]
    fn no_request_panics_d12(
        target in "/[ -~]{0,40}",
        lines in prop::collection::vec((0usize..5, prop::collection::vec(any::<u8>(), 0..60)), 0..4),
        body in prop::option::of(prop::collection::vec(any::<u8>(), 0..80)),
    ) {
        let names = ["authorization", "cookie", "cart-token", "connection", "content-type"].map(HeaderName::from_static);
        let sent: Vec<_> = lines.iter().map(|(name, value)| (names[*name].clone(), value.as_slice())).collect();
        if let Some(head) = head("POST", &target, &sent) {
            let _ = BARE.forwards(&head, body.as_deref());
        }
    }
}

#[test]
fn the_bare_gate_tells_the_dead_from_the_living() {
    for (token, passes) in [(&BARE.live, true), (&BARE.dead, false)] {
        let bearer = format!("Bearer {token}");
        let head = head("GET", "/", &[(AUTHORIZATION, bearer.as_bytes())]).unwrap();
        assert_eq!(BARE.forwards(&head, None), passes);
        assert_eq!(read_bearers(&bearer), [token.as_str(); 8]);
    }
    for (cookie, passes) in [("session_1=bob", true), ("session_1=alice%7Cs%2Bt", false)] {
        let head = head("GET", "/", &[(COOKIE, cookie.as_bytes())]).unwrap();
        assert_eq!(BARE.forwards(&head, None), passes);
    }
    assert_eq!(
        read_cookies(b"a=b; session.1=alice%7Cs%2Bt")[2],
        ("session_1".to_owned(), DEAD_COOKIE.to_owned())
    );
}
