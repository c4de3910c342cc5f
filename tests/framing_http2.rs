//! Where a request ends and what it is, in HTTP/2: the same as in HTTP/1, before a shop sees a byte of it.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use support::encrypted::{Certificates, Hello};
use support::frames::{self, Frames, Reply, fields_in_bytes, fields_of, get_fields};
use support::gatehouse::{BODY, COOKIE, Gatehouse, HEAD};
use support::places::{chunked, noise};
use support::{PATIENCE, Recorder, eventually, request};

#[test]
fn a_host_of_http_2_is_one_and_in_the_right_place_standards_101_121() {
    let scene = Gatehouse::with("");
    let base = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let with = |more: &[(&'static str, &'static str)]| [&base, more].concat();
    for fields in [
        with(&[]),
        with(&[(":authority", "")]),
        with(&[
            (":authority", "shop.example.com"),
            ("host", "other.example.com"),
        ]),
        with(&[(":authority", "shop.example.com"), ("host", "")]),
        with(&[
            (":authority", "shop.example.com"),
            ("host", "shop.example.com:80"),
        ]),
        with(&[(":authority", "user@shop.example.com")]),
        with(&[(":authority", "shop.example.com/x")]),
        with(&[(":authority", "shop.example.com\r\nX: y")]),
        with(&[(":authority", "shop.example.com other")]),
        with(&[(":authority", "a,b")]),
        with(&[("host", "shop.example.com"), ("host", "shop.example.com")]),
        with(&[("host", "")]),
        with(&[("host", "a/b")]),
        with(&[
            (":authority", "shop.example.com"),
            (":authority", "other.example.com"),
        ]),
        with(&[(":authority", "[::1")]),
    ] {
        scene.refuses_fields(&fields, None);
    }
    for fields in [
        with(&[(":authority", "shop.example.com")]),
        with(&[("host", "shop.example.com")]),
        with(&[
            (":authority", "shop.example.com"),
            ("host", "shop.example.com"),
        ]),
    ] {
        let (reply, seen) = scene.asks(&fields, None);
        assert_eq!((reply.status, seen), (200, 1), "{fields:?}");
        let seen = scene.shop.last().to_ascii_lowercase();
        assert_eq!(
            seen.matches("\r\nhost: shop.example.com\r\n").count(),
            1,
            "{seen}"
        );
        assert_eq!(seen.matches("\r\nhost:").count(), 1, "{seen}");
        assert!(seen.starts_with("get / http/1.1\r\n"), "{seen}");
        assert!(
            seen.contains("\r\nx-forwarded-host: shop.example.com\r\n"),
            "{seen}"
        );
        assert!(seen.contains("\r\nx-forwarded-proto: http\r\n"), "{seen}");
        assert!(seen.contains("\r\nvia: 2.0 doorward\r\n"), "{seen}");
    }
}

#[test]
fn malformed_fields_of_http_2_reach_no_shop_standards_120_121() {
    let scene = Gatehouse::with("");
    for more in [
        ("X-Upper", "a"),
        ("x y", "a"),
        ("x:y", "a"),
        ("", "a"),
        ("x\r\ny", "a"),
        ("x\0", "a"),
        ("x\u{7f}", "a"),
        ("x-a", "b\r\nX-Smuggled: c"),
        ("x-a", "b\nX-Smuggled: c"),
        ("x-a", "b\rc"),
        ("x-a", "b\0c"),
        ("connection", "close"),
        ("connection", "authorization"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, chunked"),
        (":evil", "a"),
        (":path", "/other"),
        (":method", "POST"),
        (":status", "200"),
        ("content-length", "5"),
        ("content-length", "-1"),
        ("content-length", "x"),
    ] {
        let reply = scene.refuses_fields(&get_fields("/", &[more]), None);
        assert_ne!(reply.status, 200, "{more:?}");
    }
    let lengths = [("content-length", "0"), ("content-length", "1")];
    scene.refuses_fields(&get_fields("/", &lengths), None);
    let late = [
        (":method", "GET"),
        (":scheme", "http"),
        ("x-a", "b"),
        (":authority", "shop.example.com"),
        (":path", "/"),
    ];
    scene.refuses_fields(&late, None);
    for missing in 0..4 {
        let mut fields = get_fields("/", &[]);
        if fields.remove(missing).0 != ":authority" {
            scene.refuses_fields(&fields, None);
        }
    }
    assert!(!scene.shop.has_heard("smuggled"));
}

#[test]
fn a_target_of_http_2_is_judged_like_any_other_standards_102_103() {
    let scene = Gatehouse::with("");
    for path in [
        "",
        "a",
        "*",
        "http://shop.example.com/",
        "http://evil.example.com/",
        "http:/\\evil.example.com/",
        "shop.example.com:80",
        "/a b",
        "/a HTTP/1.1\r\nX-Smuggled: y\r\n\r\n",
        "/a\r\nX-Smuggled: y",
        "/a\nb",
        "/a\tb",
        "/a\0b",
        "/a\u{7f}",
        "/a\u{e9}",
        "?a",
    ] {
        scene.refuses_fields(&get_fields(path, &[]), None);
    }
    for path in ["/", "/a?b=c", "/%00", "//x", "/a/../b"] {
        let (reply, _) = scene.asks(&get_fields(path, &[]), None);
        if reply.status == 200 {
            assert!(
                scene
                    .shop
                    .last()
                    .starts_with(&format!("GET {path} HTTP/1.1\r\n")),
                "{path}"
            );
        }
    }
    let smuggling = [
        ("GET / HTTP/1.1\r\nX", "/"),
        ("GET /x", "/"),
        ("G ET", "/"),
        ("", "/"),
    ];
    for (method, path) in smuggling {
        scene.refuses_fields(&fields_of(method, path, &[]), None);
    }
}

#[test]
fn a_length_of_http_2_must_be_that_of_the_body_standards_122() {
    for more in ["", BODY] {
        let scene = Gatehouse::with(more);
        let json = ("content-type", "application/json");
        for (length, body) in [
            ("5", "hell"),
            ("5", "hello!"),
            ("0", "x"),
            ("5", ""),
            ("100000", "{}"),
        ] {
            let fields = fields_of("POST", "/", &[json, ("content-length", length)]);
            let reply = Frames::open(scene.edge.address()).ask(&fields, Some(body.as_bytes()));
            // Without a body to wait for, the shop may have answered before the byte comes that should not.
            assert!(
                length == "0" || reply.status != 200,
                "{length} and {body:?}"
            );
        }
        for seen in scene.shop.connections() {
            let seen = String::from_utf8_lossy(&seen).to_lowercase();
            let length = seen
                .split_once("content-length: ")
                .and_then(|(_, rest)| rest.lines().next());
            let body = seen.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            assert!(
                length == 0 || body.len() < length,
                "whole for the shop: {seen}"
            );
        }
        let fields = fields_of("POST", "/", &[json, ("content-length", "2")]);
        let scene = Gatehouse::with(more);
        let (reply, seen) = scene.asks(&fields, Some(b"{}"));
        assert_eq!((reply.status, seen), (200, 1));
        assert!(scene.shop.last().ends_with("\r\n\r\n{}"));
    }
}

#[test]
fn the_crumbs_of_a_cookie_are_judged_each_and_joined_for_the_shop_standards_122_d1() {
    let scene = Gatehouse::with(COOKIE);
    let token = |bearer: &str| format!("jwt={}", bearer.trim_start_matches("Bearer "));
    let (live, dead) = (token(&scene.live), token(&scene.dead));
    let joined = format!("a=1; {dead}; b=2");
    for crumbs in [
        vec!["a=1", &*dead, "b=2"],
        vec![&*dead],
        vec!["a=1", &*dead],
        vec![&*live, &*dead],
        vec![&*dead, &*live],
        vec!["a=1", &*joined],
    ] {
        let crumbs: Vec<_> = crumbs.iter().map(|crumb| ("cookie", *crumb)).collect();
        let reply = scene.refuses_fields(&get_fields("/", &crumbs), None);
        assert!(matches!(reply.status, 400 | 401), "{crumbs:?}: {reply:?}");
    }
    let crumbs = [
        ("cookie", "a=1"),
        ("cookie", &*live),
        ("x", "y"),
        ("cookie", "b=2; c=3"),
    ];
    let (reply, seen) = scene.asks(&get_fields("/", &crumbs), None);
    assert_eq!((reply.status, seen), (200, 1));
    let seen = scene.shop.last();
    assert_eq!(
        seen.to_lowercase().matches("\r\ncookie:").count(),
        1,
        "{seen}"
    );
    assert!(
        seen.to_lowercase()
            .contains(&format!("\r\ncookie: a=1; {live}; b=2; c=3\r\n").to_lowercase()),
        "{seen}"
    );
    let (head, tail) = dead.split_at(30);
    let reply = Frames::open(scene.edge.address()).ask(
        &get_fields("/", &[("cookie", head), ("cookie", tail)]),
        None,
    );
    assert!(
        !scene.shop.has_heard(&dead),
        "a token in two crumbs was put together: {reply:?}"
    );
}

type Way<'w> = &'w dyn Fn(&[(&str, &str)]) -> Reply;

#[test]
fn a_dead_token_is_dead_in_http_2_with_and_without_tls() {
    let files = Certificates::default();
    files.issue("shop", &["shop.example.com"]);
    let top = format!(
        "listen = [\"https://127.0.0.1:0\"]\n{}",
        files.table("shop")
    );
    let h2 = Hello {
        alpn: &["h2"],
        ..Hello::default()
    };
    let plain = Gatehouse::with("");
    let encrypted = Gatehouse::configured(&top, Recorder::open(), "");
    let over_tls =
        |fields: &[(&str, &str)]| Frames::over(h2.to(encrypted.edge.address())).ask(fields, None);
    let over_tcp = |fields: &[(&str, &str)]| Frames::open(plain.edge.address()).ask(fields, None);
    let ways: [(&Gatehouse, Way<'_>); 2] = [(&plain, &over_tcp), (&encrypted, &over_tls)];
    for (scene, ask) in ways {
        let dead = ("authorization", &*scene.dead);
        for method in ["GET", "POST", "HEAD", "OPTIONS", "FOO"] {
            assert_eq!(
                ask(&fields_of(method, "/", &[dead])).status,
                401,
                "{method}"
            );
        }
        let twice = [("authorization", &*scene.live), dead];
        assert_eq!(ask(&get_fields("/", &twice)).status, 400);
        assert_eq!(scene.shop.visits(), 0);
        assert_eq!(ask(&get_fields("/", &twice[..1])).status, 200);
        assert!(scene.shop.has_heard(&scene.live));
    }
}

#[test]
fn a_logout_in_http_2_is_one() {
    let scene = Gatehouse::with("");
    let bearer = ("authorization", &*scene.live);
    let mut frames = Frames::open(scene.edge.address());
    assert_eq!(frames.ask(&get_fields("/", &[bearer]), None).status, 200);
    let logout = fields_of("POST", "/_doorward/logout", &[bearer]);
    assert_eq!(frames.ask(&logout, None).status, 200);
    assert_eq!(
        frames.ask(&get_fields("/", &[bearer]), None).status,
        401,
        "on the same connection"
    );
    assert_eq!(
        scene
            .edge
            .raw(&request("GET", "/", &[("Authorization", &scene.live)], b"")),
        401
    );
}

#[test]
fn trailers_bring_no_credential_in_http_1_and_2_standards_10() {
    let route = "[[shop.route]]\npaths = [\"/closed\"]\nenforce = \"required\"\n";
    let scene = Gatehouse::with(route);
    let send = |path: &str, fields: &[(&str, &str)], trailer: &[(&str, &str)]| {
        let mut frames = Frames::open(scene.edge.address());
        let stream = frames.open_stream(&fields_of("POST", path, fields), false);
        frames.send_body(stream, b"{}", false);
        let flags = frames::END_STREAM | frames::END_HEADERS;
        frames.frame(frames::HEADERS, flags, stream, &fields_in_bytes(trailer));
        frames.reply(stream)
    };
    for bearer in [&scene.live, &scene.dead] {
        let trailer = [("authorization", &**bearer)];
        assert_eq!(send("/closed", &[], &trailer).status, 401);
    }
    assert_eq!(scene.shop.visits(), 0);
    let live = [("authorization", &*scene.live)];
    send(
        "/closed",
        &live,
        &[
            ("authorization", "Bearer of-the-trailer"),
            ("x-doorward-subject", "1"),
        ],
    );
    let mut bytes = chunked("/closed", &[("Authorization", &scene.live)], b"{}", 2);
    bytes.truncate(bytes.len() - 2);
    bytes.extend(b"Authorization: Bearer of-the-trailer\r\nX-Doorward-Subject: 1\r\n\r\n");
    scene.edge.raw(&bytes);
    for seen in scene.shop.connections() {
        let seen = String::from_utf8_lossy(&seen).into_owned();
        let (head, _) = seen.split_once("\r\n\r\n").unwrap_or((&seen, ""));
        assert!(
            !head.contains("of-the-trailer") && !head.to_lowercase().contains("x-doorward"),
            "{seen}"
        );
    }
}

#[test]
fn a_body_of_http_2_that_is_read_ahead_arrives_whole_or_not_at_all() {
    const READ_AHEAD: usize = 64 << 10;
    let scene = Gatehouse::with(BODY);
    for length in [
        1,
        16_384,
        16_385,
        65_535,
        READ_AHEAD,
        READ_AHEAD + 1,
        READ_AHEAD + 20_000,
    ] {
        for announced in [false, true] {
            let body = noise(length);
            let text = length.to_string();
            let more = [
                ("content-type", "application/octet-stream"),
                ("content-length", &*text),
            ];
            let fields = fields_of("POST", "/", &more[..=usize::from(announced)]);
            let (reply, seen) = scene.asks(&fields, Some(&body));
            if length > READ_AHEAD {
                assert_eq!((reply.status, seen), (413, 0), "{length}");
                continue;
            }
            let arrived = scene.shop.connections().pop().unwrap_or_default();
            assert_eq!(
                (reply.status, seen),
                (200, 1),
                "{length}: {}",
                String::from_utf8_lossy(&reply.body)
            );
            let start = arrived
                .windows(4)
                .position(|part| part == b"\r\n\r\n")
                .unwrap()
                + 4;
            assert!(unchunked(&arrived, start) == body, "{length}");
        }
    }
}

/// The body of a request as it arrived, without its coding.
fn unchunked(bytes: &[u8], start: usize) -> Vec<u8> {
    let (head, mut rest) = bytes.split_at(start);
    if !String::from_utf8_lossy(head)
        .to_lowercase()
        .contains("transfer-encoding")
    {
        return rest.to_vec();
    }
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|part| part == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}

#[test]
fn the_shop_is_told_which_version_the_customer_spoke_standards_111() {
    let scene = Gatehouse::with("");
    scene
        .edge
        .raw(&request("GET", "/", &[("Via", "1.0 before")], b""));
    let seen = scene.shop.last().to_lowercase();
    let first = seen.find("via: 1.0 before").unwrap();
    assert!(seen.find("1.1 doorward").unwrap() > first, "{seen}");
    scene
        .edge
        .raw(format!("GET / HTTP/1.0\r\n{HEAD}\r\n").as_bytes());
    assert!(
        scene
            .shop
            .last()
            .to_lowercase()
            .contains("via: 1.0 doorward\r\n"),
        "{}",
        scene.shop.last()
    );
    scene.asks(&get_fields("/", &[("via", "2.0 before")]), None);
    let seen = scene.shop.last().to_lowercase();
    assert!(
        seen.contains("2.0 before") && seen.contains("2.0 doorward"),
        "{seen}"
    );
}

#[test]
fn http_2_without_tls_is_spoken_only_where_it_is_configured() {
    let scene = Gatehouse::configured("", Recorder::open(), "");
    let mut stream = TcpStream::connect(scene.edge.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    assert!(
        answer.starts_with(b"HTTP/1.1 400 "),
        "{}",
        answer.escape_ascii()
    );
    let nearly = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rx";
    let scene = Gatehouse::with("");
    let answer = scene.hears(nearly);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(scene.shop.visits(), 0);
}

#[test]
fn what_the_library_refuses_is_counted_when_its_connection_ends() {
    let scene = Gatehouse::with("[limits]\nheader_bytes = 2048\n");
    assert_eq!(scene.asks(&get_fields("/", &[]), None).0.status, 200);
    let counted = |wanted: usize| {
        let series = "doorward_decisions_total{shop=\"\",verdict=\"malformed\",detail=\"http2\"}";
        eventually(|| {
            scene
                .edge
                .metrics()
                .contains(&format!("{series} {wanted}\n"))
        });
    };
    scene.refuses_fields(&get_fields("/", &[("connection", "close")]), None);
    counted(1);
    let long = "x".repeat(9_000);
    scene.refuses_fields(&get_fields("/", &[("x-long", &long)]), None);
    counted(2);
    let connect = [
        (":method", "CONNECT"),
        (":authority", "shop.example.com:443"),
    ];
    scene.refuses_fields(&connect, None);
    counted(3);
    assert_eq!(scene.asks(&get_fields("/", &[]), None).0.status, 200);
    eventually(|| scene.edge.metrics().contains("doorward_connections 0\n"));
    counted(3);
}
