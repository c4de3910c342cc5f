//! What the tests and the demo rely on in the pretend `WordPress` with `CoCart`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::demo::shop::tests::ask;
use crate::demo::shop::{Mood, PretendShop, Storefront};

const VALIDATE: &str = "POST /wp-json/cocart/jwt/validate-token";
const REFRESH: &str = "POST /wp-json/cocart/jwt/refresh-token";
const LOGOUT: &str = "POST /wp-json/cocart/v1/logout";

fn honest() -> PretendShop {
    PretendShop::open(Storefront::Cocart, Mood::Honest).unwrap()
}

/// A request with these header lines.
fn send(shop: &PretendShop, request_line: &str, lines: &[&str], body: &str) -> String {
    let lines: String = lines.iter().flat_map(|line| [line, "\r\n"]).collect();
    let length = body.len();
    ask(
        shop,
        &format!(
            "{request_line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
        ),
    )
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn is_valid(shop: &PretendShop, token: &str) -> bool {
    let answer = send(shop, VALIDATE, &[&bearer(token)], "");
    let said = body(&answer);
    match status(&answer) {
        200 => assert_eq!(said, json!({"message": "Token is valid."})),
        status => {
            let refused = json!({
                "code": "cocart_authentication_error", "message": "Authentication failed.", "data": {"status": 403},
            });
            assert_eq!((status, said), (403, refused));
        }
    }
    status(&answer) == 200
}

/// Logs in with a password, from a client that says what it is.
fn log_in(shop: &PretendShop, agent: &str) -> (String, String) {
    let basic = STANDARD.encode(format!("alice:{}", PretendShop::PASSWORD));
    let lines = [format!("Authorization: Basic {basic}"), agent.to_owned()];
    let lines: Vec<_> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| !line.is_empty())
        .collect();
    let answer = send(shop, "POST /wp-json/cocart/v2/login", &lines, "");
    let said = body(&answer);
    assert_eq!(
        (&said["user_id"], &said["role"]),
        (&json!("3"), &json!("Customer")),
        "{answer}"
    );
    let extra = |name: &str| said["extras"][name].as_str().unwrap().to_owned();
    (extra("jwt_token"), extra("jwt_refresh"))
}

#[test]
fn a_logout_of_nobody_clears_the_browser_and_spares_cart_and_token() {
    for route in [
        LOGOUT,
        "POST /wp-json/cocart/v2/logout",
        "POST /?rest_route=/cocart/v1/logout",
    ] {
        let shop = honest();
        let token = shop.sign_in("alice");
        let answer = send(&shop, route, &["Origin: https://front.example.com"], "");
        let hash = PretendShop::COOKIE_HASH;
        for line in [
            "Content-Type: application/json; charset=UTF-8",
            "Content-Length: 4",
            "Cache-Control: no-cache, must-revalidate, max-age=0, no-store, private",
            "Access-Control-Allow-Origin: https://front.example.com",
            "Access-Control-Allow-Credentials: true",
            &format!("Set-Cookie: wordpress_logged_in_{hash}=%20;"),
            &format!("Set-Cookie: wp_cocart_session_{hash}=%20;"),
            &format!("Set-Cookie: wp_woocommerce_session_{hash}=%20;"),
            "Set-Cookie: wp-settings-0=%20;",
        ] {
            assert!(answer.contains(&format!("\r\n{line}")), "{line}: {answer}");
        }
        for path in ["/", "/wp-admin", "/wp-content/plugins"] {
            let deleted = answer.lines().any(|line| {
                line.starts_with(&format!("Set-Cookie: wordpress_{hash}="))
                    && line.ends_with(&format!("path={path}"))
            });
            assert!(deleted, "{path}: {answer}");
        }
        assert!(answer.ends_with("\r\n\r\ntrue"), "{answer}");
        assert!(!shop.cart_deleted());
        assert!(is_valid(&shop, &token));
    }
}

#[test]
fn a_logout_with_the_token_takes_the_cart_and_every_token_of_the_customer() {
    for mood in [Mood::Honest, Mood::Stateless] {
        let shop = PretendShop::open(Storefront::Cocart, mood).unwrap();
        shop.set_date_offset(-10);
        let (earlier, refresh) = log_in(&shop, "");
        shop.set_date_offset(0);
        let token = shop.sign_in("alice");
        let others = shop.sign_in("bob");
        let answer = send(&shop, LOGOUT, &[&bearer(&token)], "");
        assert!(
            answer.contains("\r\nSet-Cookie: wp-settings-3=%20;"),
            "{answer}"
        );
        assert!(shop.cart_deleted());
        let stays = mood == Mood::Stateless;
        assert_eq!(is_valid(&shop, &token), stays);
        assert_eq!(is_valid(&shop, &earlier), stays);
        assert!(is_valid(&shop, &others));
        let refreshed = send(
            &shop,
            REFRESH,
            &[],
            &json!({"refresh_token": refresh}).to_string(),
        );
        assert_eq!(status(&refreshed), if stays { 200 } else { 403 });
    }
}

#[test]
fn a_logout_is_a_post_and_a_bad_token_fails_it() {
    let shop = honest();
    let answer = send(&shop, "GET /wp-json/cocart/v1/logout", &[], "");
    let no_route = json!({
        "code": "rest_no_route",
        "message": "No route was found matching the URL and request method.",
        "data": {"status": 404},
    });
    assert_eq!((status(&answer), body(&answer)), (404, no_route));
    assert_eq!(
        status(&send(&shop, LOGOUT, &["Authorization: Bearer x"], "")),
        403
    );
    let spelt = send(&shop, "POST /index.php/wp-json/CoCart/V1/Logout", &[], "");
    assert_eq!(
        status(&spelt),
        200,
        "routes have no case, with or without rewriting"
    );
}

#[test]
fn a_token_holds_on_the_device_it_was_issued_to() {
    let shop = honest();
    let (token, _) = log_in(&shop, "User-Agent: kettle/1");
    let from = |agent: &str| status(&send(&shop, VALIDATE, &[&bearer(&token), agent], ""));
    assert_eq!(from("User-Agent: kettle/1"), 200);
    assert_eq!(from("User-Agent: kettle/2"), 403);
    assert_eq!(from("X-Other: x"), 403);
}

#[test]
fn a_refresh_token_is_used_once_and_ends_the_token_beside_it() {
    let shop = honest();
    let refresh = |token: &str| {
        let answer = send(
            &shop,
            REFRESH,
            &[],
            &json!({"refresh_token": token}).to_string(),
        );
        (status(&answer), body(&answer))
    };
    let (token, first) = log_in(&shop, "");
    let (_, pair) = refresh(&first);
    let [fresh, second] = ["token", "refresh_token"].map(|name| pair[name].as_str().unwrap());
    assert!(is_valid(&shop, fresh) && !is_valid(&shop, &token));
    let message = |answer: (u16, Value)| {
        assert_eq!(answer.0, 403);
        answer.1["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(message(refresh(&first)), "Invalid refresh token.");
    shop.set_date_offset(31 * 24 * 3600);
    assert_eq!(message(refresh(second)), "Refresh token expired.");
    assert_eq!(status(&send(&shop, REFRESH, &[], "{}")), 403);
}

#[test]
fn the_link_of_the_site_logs_out_only_with_its_nonce() {
    for mood in [Mood::Honest, Mood::Stateless] {
        let shop = PretendShop::open(Storefront::Cocart, mood).unwrap();
        let token = shop.sign_in("alice");
        shop.set_date_offset(10);
        let form = format!("log=alice&pwd={}", PretendShop::PASSWORD);
        let answer = send(&shop, "POST /wp-login.php", &[], &form);
        assert_eq!(status(&answer), 302, "{answer}");
        let cookie = answer
            .lines()
            .find_map(|line| line.strip_prefix("Set-Cookie: "))
            .and_then(|line| line.split(';').next())
            .map(|pair| format!("Cookie: {pair}"));
        let cookie = cookie.as_deref().unwrap();
        let profile = || status(&send(&shop, "GET /wp-admin/profile.php", &[cookie], ""));
        assert_eq!(profile(), 200);

        let link = "/wp-login.php?action=logout";
        let page = send(&shop, &format!("GET {link}"), &[cookie], "");
        assert_eq!(status(&page), 403);
        let nonce = PretendShop::LOGOUT_NONCE;
        assert!(
            page.contains(&format!("{link}&amp;_wpnonce={nonce}")),
            "{page}"
        );
        assert_eq!((profile(), shop.cart_deleted()), (200, false));

        let answer = send(
            &shop,
            &format!("GET {link}&_wpnonce={nonce}"),
            &[cookie],
            "",
        );
        assert_eq!(status(&answer), 302, "{answer}");
        assert!(
            answer.contains("\r\nLocation: /wp-login.php?loggedout=true\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("\r\nSet-Cookie: wp-settings-3=%20;"),
            "{answer}"
        );
        let stays = mood == Mood::Stateless;
        assert_eq!(profile(), if stays { 200 } else { 302 });
        assert!(shop.cart_deleted());
        assert_eq!(is_valid(&shop, &token), stays);
    }
}
