//! Where a request ends and what it is: whatever two servers could read differently is refused before a shop sees a
//! byte of it, in HTTP/1.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use support::frames::fields_of;
use support::gatehouse::{BODY, Gatehouse, HEAD, SMUGGLED};
use support::places::noise;
use support::{Connection, PATIENCE, eventually, request, tick};

fn post(lines: &str, body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\n{HEAD}{lines}\r\n{body}").into_bytes()
}

#[test]
fn a_length_beside_a_coding_is_refused_in_every_spelling_standards_105() {
    let scene = Gatehouse::with("");
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "transfer-encoding:chunked\r\ncontent-length:5\r\n",
        "TRANSFER-ENCODING:\tCHUNKED\r\nCONTENT-LENGTH:\t5\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: \r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5, 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: x\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\nTransfer-Encoding: chunked\n",
        "Transfer-Encoding: chunked\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n",
    ] {
        scene.refuses_and_ends(&post(lines, &format!("0\r\n\r\n{SMUGGLED}")));
    }
}

#[test]
fn a_coding_that_is_not_chunked_alone_is_refused_standards_106() {
    let scene = Gatehouse::with("");
    for line in [
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\u{b}",
        "Transfer-Encoding: chunked\u{c}",
        "Transfer-Encoding: \0chunked",
        "Transfer-Encoding: chunk ed",
        "Transfer-Encoding: \u{a0}chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: ,",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding:\r\n\tchunked",
        "Transfer-Encoding: identity\r\n , chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding\0: chunked",
        "Transfer-Encoding: chunked\rContent-Length: 5",
    ] {
        scene.refuses_and_ends(&post(
            &format!("{line}\r\n"),
            &format!("0\r\n\r\n{SMUGGLED}"),
        ));
    }
    let old = format!("POST / HTTP/1.0\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    scene.refuses_and_ends(old.as_bytes());
    for line in [
        "Transfer-Encoding: Chunked",
        "transfer-encoding:\t chunked \t",
    ] {
        let visits = scene.shop.visits();
        let answer = scene
            .edge
            .raw(&post(&format!("{line}\r\n"), "5\r\nhello\r\n0\r\n\r\n"));
        assert_eq!(answer, 200, "{line}");
        assert_eq!(scene.shop.visits(), visits + 1);
        assert!(
            scene
                .shop
                .last()
                .ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            "{line}"
        );
        assert!(!scene.shop.last().to_lowercase().contains("content-length"));
    }
}

/// Only the last coding counts for Pingora, and the shop would hear of no other.
#[test]
fn a_coding_beside_chunked_never_reaches_the_shop_attacks_s2() {
    let scene = Gatehouse::with("");
    for (line, status) in [
        ("Transfer-Encoding: chunked, chunked", 400),
        ("Transfer-Encoding: chunked,chunked", 400),
        ("Transfer-Encoding: Chunked , CHUNKED", 400),
        ("Transfer-Encoding: chunked, chunked, chunked", 400),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
        ),
        (
            "transfer-encoding: chunked\r\nX: y\r\nTransfer-Encoding: CHUNKED",
            400,
        ),
        ("Transfer-Encoding: chunked,", 400),
        ("Transfer-Encoding: , chunked", 400),
        ("Transfer-Encoding: ,,chunked", 400),
        ("Transfer-Encoding:\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: deflate,chunked", 501),
        ("Transfer-Encoding: x-unknown;a=b, chunked", 501),
        ("Transfer-Encoding: identity, chunked", 501),
        ("Transfer-Encoding: trailers, chunked", 501),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501),
        ("Transfer-Encoding: chunked;a=b, chunked", 501),
    ] {
        let bytes = post(&format!("{line}\r\n"), &format!("0\r\n\r\n{SMUGGLED}"));
        let mut connection = scene.refuses(status, &bytes);
        assert!(connection.closes(), "{line}");
        assert!(!scene.shop.has_heard("GET /smuggled"), "{line}");
    }
    assert_eq!(scene.shop.visits(), 0);
}

/// Whatever is answered without a shop says when, and does not say what it is made of.
#[test]
fn every_answer_of_ours_is_dated_and_names_no_library_attacks_s8() {
    let scene = Gatehouse::with("");
    let long = "a".repeat(20_000);
    let fields = "a: b\r\n".repeat(300);
    for (bytes, status) in [
        ("NONSENSE\r\n\r\n".to_owned(), 400),
        (
            "\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03\r\n\r\n".to_owned(),
            400,
        ),
        ("SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("GET /\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\n{HEAD}A b\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{HEAD}{fields}\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{HEAD}Host: b\r\n\r\n"), 400),
        (
            format!("POST / HTTP/1.1\r\n{HEAD}Content-Length: x\r\n\r\n"),
            400,
        ),
        (
            format!("POST / HTTP/1.0\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n"),
            400,
        ),
        (
            format!("POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: gzip\r\n\r\n"),
            400,
        ),
        (format!("GET /a b HTTP/1.1\r\n{HEAD}\r\n"), 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned(), 405),
        (format!("TRACE / HTTP/1.1\r\n{HEAD}\r\n"), 405),
        (format!("GET /{long} HTTP/1.1\r\n{HEAD}\r\n"), 414),
        (
            format!("GET / HTTP/1.1\r\n{HEAD}A: {long}{long}\r\n\r\n"),
            431,
        ),
    ] {
        let answer = scene.edge.raw(bytes.as_bytes());
        let shown = bytes[..bytes.len().min(60)].escape_debug().to_string();
        assert_eq!(answer, status, "{shown}");
        let date = answer.header("date").unwrap_or_default();
        assert!(httpdate::parse_http_date(date).is_ok(), "{shown}: {date:?}");
        assert_eq!(answer.header("server"), None, "{shown}");
        assert!(!answer.body.is_empty(), "{shown}: it says why");
    }
    assert_eq!(scene.shop.visits(), 0);
    let (reply, _) = scene.asks(
        &[
            (":method", "CONNECT"),
            (":authority", "shop.example.com:443"),
        ],
        None,
    );
    assert_eq!(reply.status, 405);
    assert!(!reply.body.is_empty());
}

#[test]
fn a_length_that_is_no_number_or_not_one_is_refused_standards_107() {
    let scene = Gatehouse::with("");
    for value in [
        "",
        "+5",
        "-5",
        "-0",
        "0x5",
        "5x",
        "x5",
        "5 5",
        "5;5",
        "5.0",
        "5e0",
        "\u{b}5",
        "5\u{b}",
        "5,6",
        "5, 6",
        "5,",
        ",5",
        "5\0",
        "18446744073709551616",
        "18446744073709551621",
        "99999999999999999999999999",
        "\u{665}",
        "5\u{a0}",
    ] {
        let line = format!("Content-Length: {value}\r\n");
        scene.smuggles_nothing(&post(&line, &format!("hello{SMUGGLED}")));
        let seen = scene.shop.visits();
        assert_eq!(seen, 0, "{value:?}");
    }
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 6\r\nX: y\r\ncontent-length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: \r\n",
        "Content-Length : 5\r\n",
        "Content-Length: 5\r\n 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5,\r\n",
        "Content-Length\0: 5\r\n",
    ] {
        scene.refuses_and_ends(&post(lines, &format!("hello{SMUGGLED}")));
    }
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
    ] {
        scene.refuses_and_ends(&post(lines, "hello"));
    }
    for lines in [
        "Content-Length: 5\r\n",
        "Content-Length:5\r\n",
        "Content-Length: 005\r\n",
    ] {
        let before = scene.shop.visits();
        scene.smuggles_nothing(&post(lines, &format!("hello{SMUGGLED}")));
        if scene.shop.visits() > before {
            let seen = scene.shop.last();
            assert!(seen.ends_with("\r\n\r\nhello"), "{lines}: {seen}");
            assert_eq!(
                seen.to_lowercase().matches("content-length").count(),
                1,
                "{seen}"
            );
        }
    }
}

#[test]
fn chunks_that_are_none_never_end_a_body_for_the_shop_standards_108() {
    for (more, read_ahead) in [("", false), (BODY, true)] {
        let scene = Gatehouse::with(more);
        for body in [
            "10000000000000000\r\nhello\r\n0\r\n\r\n",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
            "ffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
            "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
            "fffffffffffffffb\r\nhello\r\n0\r\n\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "g\r\nhello\r\n0\r\n\r\n",
            "5 5\r\nhello\r\n0\r\n\r\n",
            "5,\r\nhello\r\n0\r\n\r\n",
            "5\0\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhelloxx0\r\n\r\n",
            "4\r\nhello\r\n0\r\n\r\n",
            "5\rhello\r\n0\r\n\r\n",
            "hello",
        ] {
            let lines = "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n";
            let visits = scene.shop.visits();
            let answer = scene.smuggles_nothing(&post(lines, &format!("{body}{SMUGGLED}")));
            assert!(!answer.starts_with("HTTP/1.1 200"), "{body:?}: {answer}");
            if read_ahead {
                assert_eq!(scene.shop.visits(), visits, "{body:?}");
            } else if scene.shop.visits() > visits {
                assert!(
                    !scene.shop.last().ends_with("0\r\n\r\n"),
                    "{body:?}: {}",
                    scene.shop.last()
                );
            }
        }
        for body in [
            "\r\nhello\r\n0\r\n\r\n", // taken for a last chunk
            ";x\r\nhello\r\n0\r\n\r\n",
            "5\nhello\n0\n\n",
            "5\r\nhello\r\n0\n\n",
            "5;a=b\nx\r\nhello\r\n0\r\n\r\n",
            "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\r\n0;x\r\n\r\n",
            "5\r\nhello\r\n00000\r\n\r\n",
            "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        ] {
            let lines = "Transfer-Encoding: chunked\r\n";
            scene.smuggles_nothing(&post(lines, &format!("{body}{SMUGGLED}")));
        }
    }
}

#[test]
fn an_extension_of_a_chunk_without_end_is_bounded_standards_108() {
    let scene = Gatehouse::with("");
    let mut stream = TcpStream::connect(scene.edge.address()).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(&post("Transfer-Encoding: chunked\r\n", "5;"))
        .unwrap();
    let mut sent = 0;
    while sent < 64 << 20 && stream.write_all(&vec![b'x'; 64 << 10]).is_ok() {
        sent += 64 << 10;
    }
    assert!(sent < 64 << 20, "64 MiB of nothing were taken");
}

/// Lines that begin no request, or begin another one than they seem to.
#[test]
fn a_request_line_that_is_none_is_refused_and_never_mended_standards_103() {
    let scene = Gatehouse::with("");
    for line in [
        "GET /",
        "GET",
        "/",
        "GET / HTTP/0.9",
        "GET / HTTP/2.0",
        "GET / HTTP/3",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / http/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1 x",
        "GET / HTTP/1.1\r",
        "GET / HTTP/1.1\0",
        "GET / FTP/1.1",
        "GET / ",
        "GET /\tHTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "\tGET / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /a\tb HTTP/1.1",
        "GET /a\rb HTTP/1.1",
        "GET /\r HTTP/1.1",
        "GET \r/ HTTP/1.1",
        "GET /a\0b HTTP/1.1",
        "GET /a\u{1}b HTTP/1.1",
        "GET /a\u{7f}b HTTP/1.1",
        "GET /a\u{e9}b HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET a HTTP/1.1",
        "GET ?a HTTP/1.1",
        "GET shop.example.com:80 HTTP/1.1",
        "GE\0T / HTTP/1.1",
        "GE\rT / HTTP/1.1",
        "\rGET / HTTP/1.1",
        "GE:T / HTTP/1.1",
        "G(T / HTTP/1.1",
        "GÉT / HTTP/1.1",
        "GET /\nX / HTTP/1.1",
        "GET / HTTP/1.1\rX: y",
    ] {
        scene.refuses(400, format!("{line}\r\n{HEAD}\r\n").as_bytes());
    }
    for (bytes, seen) in [
        (
            "\r\n\r\nGET /1 HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
            "GET /1 ",
        ),
        ("GET /2 HTTP/1.1\nHost: shop.example.com\n\n", "GET /2 "),
        (
            "get /3 HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
            "get /3 ",
        ),
    ] {
        assert_eq!(scene.edge.raw(bytes.as_bytes()), 200, "{bytes:?}");
        assert!(scene.shop.last().starts_with(seen), "{bytes:?}");
        assert!(
            !scene.shop.last().replace("\r\n", "").contains('\n'),
            "{bytes:?}"
        );
    }
}

#[test]
fn every_target_that_passes_is_sent_on_as_it_was_written_standards_103_112() {
    let scene = Gatehouse::with("");
    for byte in 0x21..0x7f_u8 {
        if byte == b'#' {
            continue;
        }
        let target = format!("/a?q={}z", char::from(byte));
        let answer = scene.edge.raw(&request("GET", &target, &[], b""));
        if answer == 200 {
            let line = format!("GET {target} HTTP/1.1\r\n");
            assert!(
                scene.shop.last().starts_with(&line),
                "{}",
                scene.shop.last()
            );
        } else {
            assert_eq!(answer, 400, "{target}");
        }
    }
}

/// All that Doorward or Pingora says of a customer and the way of a request.
const IDENTITY: [&str; 14] = [
    "host",
    "Host",
    "forwarded",
    "via",
    "x-forwarded-for",
    "X-Forwarded-Proto",
    "x-forwarded-host",
    "x-forwarded-anything",
    "x_forwarded_for",
    "x-real-ip",
    "X-Request-Id",
    "x-doorward-subject",
    "x_doorward_subject",
    "content-length",
];

#[test]
fn no_connection_option_takes_away_who_the_customer_is_standards_110() {
    let scene = Gatehouse::with("");
    for name in IDENTITY {
        for option in [
            name.to_owned(),
            format!("close, {name}"),
            format!("{name}, close"),
            format!("close,,\t{name} "),
            format!("keep-alive\r\nConnection: {name}"),
            format!("{name}\r\nConnection: close"),
        ] {
            let visits = scene.shop.visits();
            let answer = scene
                .edge
                .raw(&request("GET", "/", &[("Connection", &option)], b""));
            assert_eq!(answer, 400, "{option}");
            assert_eq!(scene.shop.visits(), visits, "{option}");
        }
        let mut bytes =
            format!("GET / HTTP/1.1\r\n{HEAD}Connection: \u{e9}, {name}\r\n\r\n").into_bytes();
        let visits = scene.shop.visits();
        let answer = scene.edge.raw(&bytes);
        assert_eq!(
            (answer.status, scene.shop.visits()),
            (400, visits),
            "beside what is no ASCII: {name}"
        );
        let place = bytes.iter().position(|byte| *byte == 0xc3).unwrap();
        bytes.remove(place);
        let answer = scene.edge.raw(&bytes);
        assert_eq!(
            (answer.status, scene.shop.visits()),
            (400, visits),
            "beside a broken letter: {name}"
        );
    }
}

#[test]
fn trace_and_connect_reach_no_shop_in_http_1_and_2_standards_113() {
    let scene = Gatehouse::with("");
    for (line, status) in [
        ("TRACE / HTTP/1.1", 405),
        ("TRACE * HTTP/1.1", 405),
        ("CONNECT shop.example.com:80 HTTP/1.1", 405),
        ("CONNECT / HTTP/1.1", 405),
        ("CONNECT http://shop.example.com/ HTTP/1.1", 405),
    ] {
        let bytes = format!("{line}\r\n{HEAD}Authorization: {}\r\n\r\n", scene.live);
        let answer = scene.edge.raw(bytes.as_bytes());
        assert!(
            answer == status || answer == 400,
            "{line}: {}",
            answer.status
        );
        assert!(!answer.text().contains(&scene.live), "{line}");
    }
    assert_eq!(
        scene
            .refuses_fields(&fields_of("TRACE", "/", &[]), None)
            .status,
        405
    );
    let tunnel = [
        (":method", "CONNECT"),
        (":authority", "shop.example.com:80"),
    ];
    scene.refuses_fields(&tunnel, None);
    scene.refuses_fields(&tunnel, Some(SMUGGLED.as_bytes()));
    scene.refuses_fields(&fields_of("CONNECT", "/", &[]), None);
    let websocket = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "shop.example.com"),
        (":path", "/"),
    ];
    scene.refuses_fields(&websocket, None);
    assert_eq!(scene.shop.visits(), 0);
}

#[test]
fn a_refused_request_and_its_body_leave_nothing_behind_standards_21() {
    let scene = Gatehouse::with("");
    let dead = format!("Authorization: {}\r\n", scene.dead);
    let long = format!("{SMUGGLED}{}", "x".repeat(100_000));
    let chunks = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let heads = [
        format!("POST / HTTP/1.1\r\n{HEAD}{dead}"),
        "POST / HTTP/1.1\r\n".to_owned(),
        format!("POST / HTTP/1.1\r\n{HEAD}{HEAD}"),
        format!("TRACE / HTTP/1.1\r\n{HEAD}"),
        format!("POST / HTTP/1.1\r\n{HEAD}Connection: via\r\n"),
        format!("POST / HTTP/1.1\r\n{HEAD}Authorization: Bearer a, Bearer b\r\n"),
        format!("POST a HTTP/1.1\r\n{HEAD}"),
        format!("GET / HTTP/1.1\r\n{HEAD}{dead}"),
        format!("HEAD / HTTP/1.1\r\n{HEAD}{dead}"),
    ];
    for head in &heads {
        for (framing, body) in [
            (format!("Content-Length: {}\r\n", SMUGGLED.len()), SMUGGLED),
            (format!("Content-Length: {}\r\n", long.len()), &*long),
            ("Transfer-Encoding: chunked\r\n".to_owned(), &*chunks),
            (
                format!(
                    "Expect: 100-continue\r\nContent-Length: {}\r\n",
                    SMUGGLED.len()
                ),
                SMUGGLED,
            ),
        ] {
            for late in [false, true] {
                let mut connection = Connection::open(scene.edge.address());
                let first = format!("{head}{framing}\r\n");
                let second = request("GET", "/second", &[("Authorization", &scene.live)], b"");
                let visits = scene.shop.visits();
                let mut all = first.clone().into_bytes();
                if late {
                    connection.send(&all);
                    all.clear();
                    assert!(
                        connection.try_answer().is_ok_and(|it| it.status >= 400),
                        "{first}"
                    );
                }
                all.extend(body.bytes());
                all.extend(second);
                connection.send(&all);
                let mut served = 0;
                while let Ok(answer) = connection.try_answer() {
                    served += usize::from(answer.status == 200);
                    if served > 0 {
                        break;
                    }
                }
                assert_eq!(scene.shop.visits(), visits + served, "{first}");
                assert!(!scene.shop.has_heard("/smuggled"), "{first}");
            }
        }
    }
}

#[test]
fn a_client_that_is_still_sending_a_refused_body_hears_why_standards_21() {
    let scene = Gatehouse::with("");
    let body = vec![b'b'; 8 << 20];
    for (headers, status) in [
        ([("Authorization", &*scene.dead)], 401),
        ([("Connection", "via")], 400),
    ] {
        let mut connection = Connection::open(scene.edge.address());
        let answer = connection.ask(&request("POST", "/", &headers, &body));
        assert_eq!(answer, status);
        let reply = scene.refuses_fields(
            &fields_of("POST", "/", &[("authorization", &scene.dead)]),
            Some(&body),
        );
        assert_eq!(reply.status, 401, "in HTTP/2");
    }
    assert_eq!(scene.shop.visits(), 0);
}

#[test]
fn what_is_refused_before_it_is_judged_is_counted() {
    let scene = Gatehouse::with("");
    for (bytes, code) in [
        (&b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"[..], 405),
        (b"GET / HTTP/1.1\r\nA b\r\n\r\n", 400),
        (
            b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ] {
        assert_eq!(scene.edge.raw(bytes), code, "{}", bytes.escape_ascii());
    }
    let mut connection = Connection::open(scene.edge.address());
    assert_eq!(connection.ask(&request("GET", "/", &[], b"")), 200);
    assert_eq!(
        connection.ask(b"NONSENSE\r\n\r\n"),
        400,
        "behind another request"
    );
    let metrics = scene.edge.metrics();
    for line in [
        "doorward_requests_total{shop=\"\",code=\"405\"} 1",
        "doorward_requests_total{shop=\"\",code=\"400\"} 5",
        "doorward_requests_total{shop=\"main\",code=\"200\"} 1",
        "doorward_decisions_total{shop=\"\",verdict=\"malformed\",detail=\"\"} 6",
    ] {
        assert!(
            metrics.lines().any(|known| known == line),
            "{line}:\n{metrics}"
        );
    }
}

#[test]
fn bytes_that_follow_a_request_at_once_are_its_own_request_or_none_standards_109() {
    let scene = Gatehouse::with("");
    let body = noise(30_000);
    let first = request("POST", "/first", &[("Authorization", &scene.live)], &body);
    let dead = request("GET", "/second", &[("Authorization", &scene.dead)], b"");
    let whole = [&first[..], &dead].concat();
    for cut in [
        whole.len(),
        first.len() + 1,
        first.len() + 20,
        first.len(),
        first.len() - 1,
        40,
    ] {
        let mut connection = Connection::open(scene.edge.address());
        connection.send(&whole[..cut]);
        tick();
        connection.send(&whole[cut..]);
        let mut statuses = Vec::new();
        while let Ok(answer) = connection.try_answer() {
            statuses.push(answer.status);
            if statuses.len() == 2 {
                break;
            }
        }
        assert!(
            [&[][..], &[200], &[200, 401]].contains(&&statuses[..]),
            "cut at {cut}: {statuses:?}"
        );
        assert!(!scene.shop.has_heard("/second"), "cut at {cut}");
    }
    let closing = request("GET", "/", &[("Connection", "close")], b"");
    scene.smuggles_nothing(&[&closing[..], SMUGGLED.as_bytes()].concat());
    let old = format!("GET / HTTP/1.0\r\n{HEAD}Connection: keep-alive\r\n\r\n{SMUGGLED}");
    scene.smuggles_nothing(old.as_bytes());
}

#[test]
fn bytes_behind_an_upgrade_wait_for_it_standards_114() {
    let scene = Gatehouse::with("");
    for upgrade in ["websocket", "h2c", "foo", "websocket, h2c"] {
        let head = format!(
            "GET /ws HTTP/1.1\r\n{HEAD}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n"
        );
        let answer = scene.smuggles_nothing(&[head.as_bytes(), SMUGGLED.as_bytes()].concat());
        assert!(!answer.starts_with("HTTP/1.1 101"), "{upgrade}");
        assert!(!scene.shop.has_heard("/smuggled"), "{upgrade}");
        assert!(!scene.shop.has_heard("http2-settings"), "{upgrade}");
    }
}

#[test]
fn a_client_that_has_finished_sending_hears_why_it_was_refused() {
    let scene = Gatehouse::with("");
    for (bytes, status) in [
        (
            request("GET", "/", &[("Authorization", &scene.dead)], b""),
            "401",
        ),
        (request("GET", "/", &[("Host", "")], b""), "400"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "400"),
        (b"NONSENSE\r\n\r\n".to_vec(), "400"),
        (
            request("GET", &format!("/{}", "t".repeat(20_000)), &[], b""),
            "414",
        ),
        (
            request("GET", "/", &[("X", &"h".repeat(40_000))], b""),
            "431",
        ),
    ] {
        let mut stream = TcpStream::connect(scene.edge.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        drop(stream.write_all(&bytes));
        drop(stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let line = format!("HTTP/1.1 {status} ");
        assert!(
            answer.starts_with(line.as_bytes()),
            "{status}: {}",
            answer.escape_ascii()
        );
    }
    let answer = scene.hears(&request("GET", "/", &[], b""));
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 200 "),
        "{answer}"
    );
    let cut = request("POST", "/", &[("Content-Length", "9")], b"short");
    let answer = scene.hears(&cut);
    assert!(!answer.starts_with("HTTP/1.1 200 "), "{answer}");
    eventually(|| scene.edge.metrics().contains("doorward_connections 0\n"));
}

#[test]
fn who_is_asked_to_wait_is_refused_without_being_read() {
    let scene = Gatehouse::with(BODY);
    let length = (65_537).to_string();
    let waits = [
        ("Expect", "100-continue"),
        ("Content-Type", "application/json"),
        ("Content-Length", &*length),
    ];
    let mut connection = Connection::open(scene.edge.address());
    connection.send(&request("POST", "/", &waits, b""));
    assert_eq!(connection.interim(), 413);
    assert_eq!(scene.shop.visits(), 0);
}

#[test]
fn nothing_that_a_client_sends_panics() {
    let scene = Gatehouse::with(BODY);
    let seed: u64 = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    eprintln!("seed {seed}");
    let mut state = seed | 1;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let words: [&[u8]; 24] = [
        b"GET ",
        b"POST ",
        b"/ ",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
        b"Host: shop.example.com",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Expect: 100-continue",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\x04\0\0\0\0\0",
        b"\0\0\x05\x01\x05\0\0\0\x01\x82\x84\x86\x41\x00",
        b"\xff\xfe",
        b"Upgrade: websocket",
    ];
    for _ in 0..400 {
        let mut bytes = Vec::new();
        for _ in 0..=random(14) {
            bytes.extend_from_slice(words[random(words.len())]);
        }
        let mut stream = TcpStream::connect(scene.edge.address()).unwrap();
        for part in bytes.chunks(1 + random(bytes.len())) {
            drop(stream.write_all(part));
        }
        if random(2) == 0 {
            drop(stream.shutdown(Shutdown::Write));
            stream.set_read_timeout(Some(PATIENCE / 100)).unwrap();
            drop(stream.read(&mut [0; 100]));
        }
    }
    eventually(|| scene.edge.metrics().contains("doorward_connections 0\n"));
    let lines = scene.edge.log_lines().join("\n");
    assert!(!lines.contains("panicked"), "{lines}");
    assert_eq!(scene.edge.raw(&request("GET", "/", &[], b"")), 200);
}
