//! Bodies: one that could carry a credential is read ahead as far as the limit, and reaches the shop byte for byte.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
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
    let twice = |token: &str| format!("{{\"token\":\"{token}\",\"token\":\"{token}\"}}");
    let packed = [headers[0], JSON, ("Content-Encoding", "gzip")];
    let (living, dead) = (twice(&scene.live), twice(&scene.dead));
    let seen = scene.passes(&request("POST", PAGE, &packed, living.as_bytes()));
    assert_eq!(seen.body, living.as_bytes());
    // A shop that ignores the encoding reads it.
    scene.stops(401, &request("POST", PAGE, &packed, dead.as_bytes()));
}

/// The bytes as gzip has them.
fn packed(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const GZIP: (&str, &str) = ("Content-Encoding", "gzip");

#[test]
fn a_token_is_found_in_a_gzip_body_and_the_shop_is_sent_the_body_as_it_came_field_f3() {
    let scene = Aftermath::with(EVERYWHERE);
    for encoding in ["gzip", "x-gzip", "GZip", "identity, gzip", " gzip ,"] {
        let headers = [JSON, ("Content-Encoding", encoding)];
        let body = |token: &str| {
            let text = json!({ "token": token, "filling": "x".repeat(40_000) });
            packed(text.to_string().as_bytes(), Compression::best())
        };
        scene.stops(401, &request("POST", PAGE, &headers, &body(&scene.dead)));
        let living = body(&scene.live);
        let seen = scene.passes(&request("POST", PAGE, &headers, &living));
        assert_eq!(seen.body, living, "{encoding}");
        let form = packed(
            format!("a=b&token={}", scene.dead).as_bytes(),
            Compression::fast(),
        );
        let headers = [FORM, ("Content-Encoding", encoding)];
        scene.stops(401, &request("POST", PAGE, &headers, &form));
    }
    let plain = format!("{{\"token\":\"{}\"}}", scene.dead);
    let identity = [JSON, ("Content-Encoding", "identity")];
    scene.stops(401, &request("POST", PAGE, &identity, plain.as_bytes()));
}

#[test]
fn a_body_in_another_encoding_is_refused_in_words_that_are_true_field_f3() {
    let scene = Aftermath::with(EVERYWHERE);
    let good = packed(b"{\"a\":1}", Compression::best());
    let text = json!({ "token": scene.dead }).to_string();
    let form = format!("a=b&token={}", scene.dead);
    let twice = packed(&good, Compression::best());
    let mut torn = good.clone();
    torn.truncate(good.len() - 5);
    let mut damaged = good.clone();
    let end = damaged.len() - 6;
    damaged[end] ^= 1;
    for (what, encoding, body) in [
        ("brotli", "br", good.clone()),
        ("zstd", "zstd", good.clone()),
        ("deflate", "deflate", good.clone()),
        ("two", "gzip, gzip", twice),
        ("two kinds", "br, gzip", good.clone()),
        ("text behind the name", "gzip", text.clone().into_bytes()),
        (
            "a stored form",
            "gzip",
            packed(form.as_bytes(), Compression::none()),
        ),
        ("two members", "gzip", [good.clone(), good.clone()].concat()),
        (
            "a tail",
            "gzip",
            [good.clone(), b"&token=x".to_vec()].concat(),
        ),
        ("torn", "gzip", torn),
        ("damaged", "gzip", damaged),
        ("a parameter", "gzip;q=1", good.clone()),
    ] {
        let headers = [JSON, ("Content-Encoding", encoding)];
        let answer = scene.stops(415, &request("POST", PAGE, &headers, &body));
        assert!(
            answer.text().contains("encoding"),
            "{what}: {}",
            answer.text()
        );
        assert!(
            !answer.text().contains("large"),
            "{what}: {}",
            answer.text()
        );
        assert_eq!(answer.header("accept-encoding"), Some("gzip"), "{what}");
    }
    let lines = scene.edge.log_lines();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("reason=encoded_body"))
    );
    let mut lines = [GZIP, GZIP].to_vec();
    lines.push(JSON);
    scene.stops(415, &request("POST", PAGE, &lines, &good));
}

/// What is small on its way may be large.
#[test]
fn a_gzip_body_is_read_as_far_as_any_other_field_f3() {
    let scene = Aftermath::with(EVERYWHERE);
    let packed_json = |bytes: usize| {
        let filling = "x".repeat(bytes - 8);
        packed(
            format!("{{\"a\":\"{filling}\"}}").as_bytes(),
            Compression::best(),
        )
    };
    let bomb = packed_json(40 << 20);
    assert!(bomb.len() < READ_AHEAD);
    let answer = scene.stops(413, &request("POST", PAGE, &[JSON, GZIP], &bomb));
    assert!(answer.text().contains("large"), "{}", answer.text());
    let exact = packed_json(READ_AHEAD);
    scene.passes(&request("POST", PAGE, &[JSON, GZIP], &exact));
    let more = packed_json(READ_AHEAD + 1);
    scene.stops(413, &request("POST", PAGE, &[JSON, GZIP], &more));
}

#[test]
fn unread_body_forward_passes_what_can_not_be_decoded_field_f3() {
    let scene = Aftermath::with(&format!("limits.unread_body = \"forward\"\n{EVERYWHERE}"));
    let good = packed(b"{\"a\":1}", Compression::best());
    let large = packed(&vec![b' '; READ_AHEAD + 1], Compression::best());
    for (encoding, body) in [("br", &good), ("gzip, gzip", &good), ("gzip", &large)] {
        let headers = [JSON, ("Content-Encoding", encoding)];
        let seen = scene.passes(&request("POST", PAGE, &headers, body));
        assert_eq!(&seen.body, body, "{encoding}");
    }
    let dead = packed(
        json!({ "token": scene.dead }).to_string().as_bytes(),
        Compression::best(),
    );
    scene.stops(401, &request("POST", PAGE, &[JSON, GZIP], &dead));
}
