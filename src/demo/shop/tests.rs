//! What the tests and the demo rely on in the pretend shop.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{Mood, PretendShop, ShopFailure, Storefront};

/// Sends these bytes and reads until the shop closes the connection.
pub(super) fn ask(shop: &PretendShop, request: &str) -> String {
    let mut stream = TcpStream::connect(shop.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(super) fn bagisto(
    shop: &PretendShop,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> String {
    ask(
        shop,
        &format!(
            "{method} {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nX-STOREFRONT-KEY: {}\r\n\
             Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
            PretendShop::KEY,
            body.len()
        ),
    )
}

fn profile(shop: &PretendShop, token: &str) -> String {
    bagisto(shop, "GET", "/api/shop/customers/profile", token, "")
        .chars()
        .take(12)
        .collect()
}

#[test]
fn an_honest_shop_ends_every_earlier_token_and_spares_the_next_login() {
    let shop = PretendShop::open(Storefront::Bagisto, Mood::Honest).unwrap();
    shop.set_date_offset(-10);
    let earlier = shop.sign_in("john@example.com");
    shop.set_date_offset(0);
    let presented = shop.sign_in("john@example.com");

    let answer = bagisto(
        &shop,
        "POST",
        "/api/shop/customers/logout",
        &presented,
        "{}",
    );
    assert!(
        answer.ends_with(r#"{"message":"Successfully logged out"}"#),
        "{answer}"
    );

    let login = json!({"email": "john@example.com", "password": PretendShop::PASSWORD}).to_string();
    let answer = bagisto(&shop, "POST", "/api/shop/customers/login", "", &login);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let later = body["data"]["token"].as_str().unwrap();

    assert_eq!(profile(&shop, &presented), "HTTP/1.1 401");
    assert_eq!(profile(&shop, &earlier), "HTTP/1.1 401");
    assert_eq!(profile(&shop, later), "HTTP/1.1 200");
    assert_eq!(shop.visits(), 5);
}

#[test]
fn a_stateless_shop_answers_the_logout_and_keeps_honouring_the_token() {
    let shop = PretendShop::open(Storefront::Bagisto, Mood::Stateless).unwrap();
    let token = shop.sign_in("jane@example.com");
    let answer = bagisto(&shop, "POST", "/api/shop/customers/logout", &token, "");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(profile(&shop, &token), "HTTP/1.1 200");
}

#[test]
fn one_connection_carries_many_requests_and_every_framing() {
    let shop = PretendShop::open(Storefront::Bagisto, Mood::Honest).unwrap();
    let answers = ask(
        &shop,
        "HEAD / HTTP/1.1\r\n\r\n\
         POST /first HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n\
         PUT /a%2Fb?q HTTP/1.1\r\ncOnNeCtIoN: close\r\nContent-Length: 2\r\n\r\nhi",
    );
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 3, "{answers}");
    assert_eq!(answers.matches("\r\nDate: ").count(), 3, "{answers}");
    let seen = shop.seen();
    assert_eq!(
        (seen[1].body.as_slice(), seen[2].body.as_slice()),
        (&b"abcde"[..], &b"hi"[..])
    );
    assert_eq!(seen[2].target, "/a%2Fb?q");
    assert_eq!(
        seen[2].headers[0],
        ("cOnNeCtIoN".to_owned(), "close".to_owned())
    );
}

#[test]
fn what_was_seen_can_be_printed_without_its_credentials() {
    let shop = PretendShop::open(Storefront::Bagisto, Mood::Honest).unwrap();
    bagisto(
        &shop,
        "GET",
        "/api/shop/products?token=query-secret",
        "header-secret",
        "body-secret",
    );
    let printed = format!("{:?}", shop.seen());
    assert!(
        printed.contains("/api/shop/products") && !printed.contains("-secret"),
        "{printed}"
    );
}

#[test]
fn a_failing_shop_fails_as_told_and_a_dropped_one_lets_its_clients_go() {
    let shop = PretendShop::open(Storefront::Bagisto, Mood::Honest).unwrap();
    let token = shop.sign_in("john");
    shop.fail(ShopFailure::Status(503));
    assert_eq!(profile(&shop, &token), "HTTP/1.1 503");
    shop.fail(ShopFailure::NotFoundAtLogout);
    assert!(
        bagisto(&shop, "POST", "/api/shop/customers/logout", &token, "")
            .starts_with("HTTP/1.1 404")
    );
    assert_eq!(profile(&shop, &token), "HTTP/1.1 200");
    shop.fail(ShopFailure::HangUp);
    assert_eq!(profile(&shop, &token), "");
    shop.fail(ShopFailure::Silent);
    let mut waiting = TcpStream::connect(shop.address()).unwrap();
    waiting.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    drop(shop);
    let read = waiting.read(&mut [0; 1]);
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[test]
fn what_the_shop_recites_is_said_byte_for_byte_and_ends_the_connection() {
    let shop = PretendShop::open(Storefront::Bagisto, Mood::Honest).unwrap();
    shop.recite("/odd", "HTTP/1.1 200 Fine\r\nContent-Length: 9\r\n\r\nhalf");
    let answer = ask(&shop, "GET /odd?x=1 HTTP/1.1\r\n\r\n");
    assert_eq!(answer, "HTTP/1.1 200 Fine\r\nContent-Length: 9\r\n\r\nhalf");
    assert_eq!(shop.visits(), 1);
}
