//! Answers that are compressed on their way to the client.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::frames::{Frames, get_fields};
use support::{
    Answer, Backend, Deed, House, Shop, asked_shop_table, request, said_with, stateless_bagisto,
};

const EVERYTHING: (&str, &str) = ("accept-encoding", "gzip, deflate, br, zstd");

fn page() -> String {
    "<p>A page of some length, which says the same again and again.</p>\n".repeat(100)
}

/// A page with these header lines, each of them ended.
fn answer(lines: &str, body: &str) -> Deed {
    let length = body.len();
    Deed::Say(
        format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {length}\r\n\r\n{body}").into_bytes(),
    )
}

fn html(more: &str) -> Deed {
    answer(
        &format!("Content-Type: text/html; charset=utf-8\r\n{more}"),
        &page(),
    )
}

fn decoded(coding: Option<&str>, body: &[u8]) -> String {
    let mut plain = Vec::new();
    match coding {
        None => plain.extend_from_slice(body),
        Some("gzip") => drop(
            flate2::read::GzDecoder::new(body)
                .read_to_end(&mut plain)
                .unwrap(),
        ),
        Some("br") => drop(
            brotli::Decompressor::new(body, 4096)
                .read_to_end(&mut plain)
                .unwrap(),
        ),
        Some("zstd") => drop(
            zstd::Decoder::new(body)
                .unwrap()
                .read_to_end(&mut plain)
                .unwrap(),
        ),
        Some(other) => panic!("{other}"),
    }
    String::from_utf8(plain).unwrap()
}

/// The coding of an answer, whose body is what the shop said.
#[track_caller]
fn coding_of(answer: &Answer) -> Option<&str> {
    let coding = answer.header("content-encoding");
    assert_eq!(decoded(coding, &answer.body), page());
    coding
}

#[test]
fn a_page_is_compressed_as_the_client_likes_it_best() {
    let house = House::with("compress = true");
    house
        .front
        .does(html("ETag: \"abc\"\r\nAccept-Ranges: bytes\r\n"));
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, deflate, br", Some("br")),
        ("gzip", Some("gzip")),
        ("br;q=0.5, gzip", Some("gzip")),
        ("deflate", None),
        ("gzip;q=0", None),
    ] {
        let answer = house.ask("GET", "/", &[("accept-encoding", accepted)]);
        assert_eq!(coding_of(&answer), coding, "{accepted}");
        assert_eq!(
            answer.headers_named("vary"),
            ["Accept-Encoding"],
            "{accepted}"
        );
        let (tag, ranges) = (answer.header("etag"), answer.header("accept-ranges"));
        if coding.is_some() {
            assert_eq!((tag, ranges), (Some("W/\"abc\""), None), "{accepted}");
            assert_eq!(answer.header("content-length"), None, "{accepted}");
            assert!(answer.body.len() < 500, "{accepted}");
        } else {
            assert_eq!(
                (tag, ranges),
                (Some("\"abc\""), Some("bytes")),
                "{accepted}"
            );
        }
    }
    assert_eq!(
        coding_of(&house.ask("GET", "/", &[])),
        None,
        "it did not ask"
    );
    let sent = House::last(&house.front);
    assert!(
        !sent.to_ascii_lowercase().contains("accept-encoding"),
        "{sent}"
    );
}

#[test]
fn a_page_is_compressed_in_every_version_of_http() {
    let house = House::with("compress = true");
    house.front.does(html(""));
    let fields = get_fields("/", &[EVERYTHING]);
    let reply = Frames::open(house.edge.address()).ask(&fields, None);
    assert_eq!((reply.status, reply.reset), (200, None));
    assert_eq!(decoded(Some("zstd"), &reply.body), page());
    let old = "GET / HTTP/1.0\r\nHost: shop.example.com\r\nAccept-Encoding: gzip\r\n\r\n";
    let answer = house.edge.raw(old.as_bytes());
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(coding_of(&answer), Some("gzip"));
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        page().len(),
        page()
    );
    house.front.does(Deed::Say(chunked.into_bytes()));
    for _ in 0..2 {
        let answer = house.ask("GET", "/", &[EVERYTHING]);
        assert_eq!(coding_of(&answer), Some("zstd"));
    }
    let until_closed = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{}",
        page()
    );
    house.front.says(&until_closed);
    let answer = house.ask("GET", "/", &[EVERYTHING]);
    assert_eq!(coding_of(&answer), Some("zstd"));
}

/// A server of HTTP/2 that says 503 to its first request, and the page from then on; how many it was sent.
fn moody_server() -> (SocketAddr, Arc<AtomicUsize>) {
    let counted = Arc::new(AtomicUsize::new(0));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let counting = Arc::clone(&counted);
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_io().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let counting = Arc::clone(&counting);
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((_, respond))) = connection.accept().await {
                        say_page(respond, counting.fetch_add(1, Ordering::SeqCst) == 0);
                    }
                });
            }
        });
    });
    (address, counted)
}

fn say_page(mut respond: h2::server::SendResponse<bytes::Bytes>, is_first: bool) {
    let status = if is_first { 503 } else { 200 };
    let head = http::Response::builder()
        .status(status)
        .header("content-type", "text/html");
    let mut body = respond
        .send_response(head.body(()).unwrap(), false)
        .unwrap();
    body.send_data(page().into(), true).unwrap();
}

#[test]
fn a_server_of_http_2_is_asked_again_and_its_answer_is_compressed() {
    let (address, heard) = moody_server();
    let house = House::with(&format!(
        "[[shop.route]]\nupstream = \"modern\"\nretries = true\ncompress = true\n\
         [[upstream]]\nname = \"modern\"\nservers = [\"{address}\"]\nhttp2 = true\n"
    ));
    let answer = house.ask("GET", "/", &[EVERYTHING]);
    assert_eq!(coding_of(&answer), Some("zstd"));
    assert_eq!(heard.load(Ordering::SeqCst), 2, "once more after the 503");
    let fields = get_fields("/", &[EVERYTHING]);
    let reply = Frames::open(house.edge.address()).ask(&fields, None);
    assert_eq!((reply.status, reply.reset), (200, None));
    assert_eq!(decoded(Some("zstd"), &reply.body), page());
    assert_eq!(heard.load(Ordering::SeqCst), 3);
    let metrics = house.edge.metrics();
    let retries = "doorward_retries_total{shop=\"main\"";
    let mut retries = metrics.lines().filter(|line| line.starts_with(retries));
    assert!(retries.any(|line| !line.ends_with(" 0")), "{metrics}");
}

#[test]
fn what_must_not_or_need_not_be_compressed_stays_as_it_is() {
    let house = House::with("compress = true");
    let text = "Content-Type: text/css\r\n";
    for (deed, varies) in [
        (answer("Content-Type: image/png\r\n", &page()), false),
        (answer("", &page()), false),
        (html("Cache-Control: no-transform\r\n"), false),
        (html("Content-Digest: sha-256=:x:\r\n"), false),
        (html("Content-Range: bytes 0-1/2\r\n"), false),
        (
            answer("Content-Type: text/event-stream\r\n", &page()),
            false,
        ),
        (answer("Content-Type: application/grpc\r\n", &page()), false),
    ] {
        house.front.does(deed.clone());
        let answer = house.ask("GET", "/", &[EVERYTHING]);
        assert_eq!(coding_of(&answer), None, "{deed:?}");
        assert_eq!(answer.header("vary").is_some(), varies, "{deed:?}");
    }
    house.front.does(answer(
        &format!("{text}Content-Encoding: br\r\n"),
        "no brotli",
    ));
    let encoded = house.ask("GET", "/", &[EVERYTHING]);
    assert_eq!(
        (encoded.header("content-encoding"), encoded.text().as_str()),
        (Some("br"), "no brotli")
    );
    house.front.does(answer(text, "short"));
    let short = house.ask("GET", "/", &[EVERYTHING]);
    assert_eq!(
        (short.header("content-encoding"), short.text().as_str()),
        (None, "short")
    );
    house.front.does(html("Vary: Origin, accept-encoding\r\n"));
    let head = house.ask("HEAD", "/", &[EVERYTHING]);
    assert_eq!(
        (head.header("content-encoding"), head.body.len()),
        (None, 0)
    );
    let varied = house.ask("GET", "/", &[EVERYTHING]);
    assert_eq!(varied.headers_named("vary"), ["Origin, accept-encoding"]);
    house.front.does(Deed::Say(
        b"HTTP/1.1 304 Not Modified\r\nContent-Type: text/html\r\nETag: \"a\"\r\n\r\n".to_vec(),
    ));
    let unchanged = house.ask("GET", "/", &[EVERYTHING]);
    assert_eq!(
        (unchanged.status, unchanged.header("content-encoding")),
        (304, None)
    );
}

#[test]
fn a_route_says_what_is_compressed_and_how() {
    let house = House::with(
        "compress = true\n\
         [[shop.route]]\npaths = [\"/plain\"]\ncompress = false\n\
         [[shop.route]]\npaths = [\"/images\"]\ncompress = { types = [\"image/*\"], min_size = \"10KiB\", level = 9 }\n\
         [[shop.route]]\npaths = [\"/said\"]\nrespond = { body = \"said by the route, again and again, said by the route, again and again\", headers = { etag = '\"x\"' } }\ncompress = { min_size = \"20B\", types = \"text/plain\" }\n",
    );
    house.front.does(html(""));
    assert_eq!(
        coding_of(&house.ask("GET", "/", &[EVERYTHING])),
        Some("zstd")
    );
    for target in ["/plain", "/images"] {
        assert_eq!(coding_of(&house.ask("GET", target, &[EVERYTHING])), None);
    }
    let image = "x".repeat(20_000);
    house
        .front
        .does(answer("Content-Type: image/bmp\r\n", &image));
    let answer = house.ask("GET", "/images", &[EVERYTHING]);
    assert_eq!(
        decoded(answer.header("content-encoding"), &answer.body),
        image
    );
    assert_eq!(answer.header("content-encoding"), Some("zstd"));
    for accepted in ["gzip", "br", "zstd"] {
        let said = house.ask("GET", "/said", &[("accept-encoding", accepted)]);
        assert_eq!(said.header("content-encoding"), Some(accepted));
        assert_eq!(
            (said.header("etag"), said.header("vary")),
            (Some("W/\"x\""), Some("Accept-Encoding"))
        );
        assert!(decoded(Some(accepted), &said.body).starts_with("said by the route"));
    }
    assert_eq!(house.ask("GET", "/said", &[]).header("etag"), Some("\"x\""));
}

/// Doorward reads what a login hands out, and the client gets it compressed.
#[test]
fn an_answer_that_issues_tokens_is_read_before_it_is_compressed() {
    let shop: Shop = stateless_bagisto();
    let table = asked_shop_table(
        shop.address(),
        "opaque_pattern = '[a-z0-9-]{20,}'",
        "path = \"/who\"\nactive = { json = { \"/good\" = true } }\nsubject = \"/id\"",
    );
    let edge = support::Edge::with(&format!(
        "{table}\n[[shop.token_endpoint]]\npaths = [\"/login\"]\ntoken = {{ json = [\"/token\"] }}\n\
         [[shop.route]]\ncompress = true\n"
    ));
    let said = format!(
        "{{\"token\":\"fresh-0123456789-0001\",\"more\":\"{}\"}}",
        "x".repeat(2000)
    );
    shop.recite(
        "/login",
        said_with(200, "Content-Type: application/json\r\n", &said),
    );
    let headers = [EVERYTHING, ("content-type", "application/json")];
    let answer = edge.raw(&request("POST", "/login", &headers, b"{}"));
    assert_eq!(
        decoded(answer.header("content-encoding"), &answer.body),
        said
    );
    assert_eq!(answer.header("content-encoding"), Some("zstd"));
    let dated = "doorward_token_endpoint_answers_total{shop=\"main\",outcome=\"dated\"} 1";
    assert!(
        edge.metrics().lines().any(|line| line == dated),
        "{}",
        edge.metrics()
    );
}

#[test]
fn nothing_is_compressed_unless_it_is_said() {
    let house = House::with("");
    house.front.does(html("ETag: \"abc\"\r\n"));
    let answer = house.ask("GET", "/", &[EVERYTHING]);
    assert_eq!(coding_of(&answer), None);
    assert_eq!(
        (answer.header("vary"), answer.header("etag")),
        (None, Some("\"abc\""))
    );
    let _: &Backend = &house.api;
}
