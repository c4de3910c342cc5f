//! Bodies: one that could carry a credential is read ahead as far as the limit, and reaches the shop byte for byte.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use support::places::{EVERYWHERE, FORM, JSON, PAGE, chunked, noise};
use support::{Aftermath, Connection, eventually, request};

const READ_AHEAD: usize = 64 << 10;

/// Where a body could carry a credential, it is read ahead and then sent on.
#[test]
fn a_body_that_is_read_ahead_reaches_the_shop_byte_for_byte() {
    let scene = Aftermath::with(EVERYWHERE);
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
    let scene = Aftermath::with(EVERYWHERE);
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
    let scene = Aftermath::with(EVERYWHERE);
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
    let scene = Aftermath::with(EVERYWHERE);
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
    let scene = Aftermath::with("");
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
