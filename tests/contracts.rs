//! The logout contracts Doorward was asked to serve, as their clients meet them.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::{
    Answer, Connection, Customer, Edge, Failure, Mood, Nobody, Shop, Storefront, eventually,
    request, shop_table, shop_table_at, stateless_bagisto, stateless_cocart,
};

const LOGOUT: &str = "/api/shop/customers/logout";
const PROFILE: &str = "/api/shop/customers/profile";
const VALIDATE: &str = "/wp-json/cocart/jwt/validate-token";
const COCART_V1: &str = "/wp-json/cocart/v1/logout";
const COCART_V2: &str = "/wp-json/cocart/v2/logout";
const LOGGED_OUT: &str = r#"{"message":"Successfully logged out"}"#;
const HASH: &str = Shop::COOKIE_HASH;

/// An edge that answers logouts itself.
fn answering_edge(shop: &Shop) -> Edge {
    Edge::with(&format!("{}answer = \"local\"\n", shop_table(shop)))
}

/// One of each kind: the shop answers its logouts, or Doorward does.
fn both_edges(shop: &Shop) -> [Edge; 2] {
    [Edge::in_front_of(shop), answering_edge(shop)]
}

fn post(edge: &Edge, target: &str, headers: &[(&str, &str)]) -> Answer {
    edge.raw(&request("POST", target, headers, b""))
}

#[track_caller]
fn is_logged_out(answer: &Answer) {
    assert_eq!((answer.status, answer.text().as_str()), (200, LOGGED_OUT));
}

fn issued_at(token: &str) -> i64 {
    let payload = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    claims["iat"].as_i64().unwrap()
}

// --- Contract 1: Bagisto's headless shop API -------------------------------------------------------------

#[test]
fn a_logout_is_answered_in_the_words_of_the_contract_and_ends_the_token() {
    let shop = stateless_bagisto();
    for edge in both_edges(&shop) {
        let alice = Customer::signed_in(&shop);
        assert_eq!(alice.visit(&edge, PROFILE), 200);
        let answer = alice.log_out(&edge);
        is_logged_out(&answer);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let refused = alice.visit(&edge, PROFILE);
        assert_eq!(refused, 401);
        assert_eq!(refused.json()["message"], "The token was revoked");
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(
            challenge.contains(r#"error="invalid_token""#),
            "{challenge}"
        );
    }
}

#[test]
fn an_empty_body_without_content_type_is_a_logout_too() {
    let shop = stateless_bagisto();
    for edge in both_edges(&shop) {
        let alice = Customer::signed_in(&shop);
        let bearer = format!("Bearer {}", alice.token());
        let headers = [("X-STOREFRONT-KEY", Shop::KEY), ("Authorization", &bearer)];
        is_logged_out(&post(&edge, LOGOUT, &headers));
        assert_eq!(alice.visit(&edge, PROFILE), 401);
    }
}

#[test]
fn every_spelling_of_the_documentation_is_a_logout() {
    let shop = stateless_bagisto();
    for edge in both_edges(&shop) {
        for path in [
            LOGOUT,
            "/api/customers/logout",
            "/api/shop/customers/logout/",
        ] {
            let alice = Customer::signed_in(&shop);
            is_logged_out(&alice.send(&edge, "POST", path, b"{}"));
            assert_eq!(alice.visit(&edge, PROFILE), 401, "{path}");
        }
    }
}

#[test]
fn a_logout_ends_every_device_and_no_other_customer() {
    let shop = stateless_bagisto();
    for (edge, name) in both_edges(&shop).iter().zip(["jane", "alice"]) {
        shop.set_date_offset(-10);
        let tablet = Customer::named(&shop, name);
        shop.set_date_offset(0);
        let (phone, bob) = (Customer::named(&shop, name), Customer::named(&shop, "bob"));
        assert_eq!(tablet.visit(edge, PROFILE), 200);
        is_logged_out(&phone.log_out(edge));
        assert_eq!(phone.visit(edge, PROFILE), 401);
        assert_eq!(tablet.visit(edge, PROFILE), 401);
        assert_eq!(bob.visit(edge, PROFILE), 200);
    }
}

#[test]
fn logging_in_again_works_in_the_same_second() {
    for mood in [Mood::Stateless, Mood::Honest] {
        let shop = Shop::open(Storefront::Bagisto, mood).unwrap();
        let edge = Edge::in_front_of(&shop);
        let mut alice = Customer::signed_in(&shop);
        eventually(|| {
            assert_eq!(alice.log_in(&edge), 200);
            let before = issued_at(alice.token());
            is_logged_out(&alice.log_out(&edge));
            assert_eq!(alice.visit(&edge, PROFILE), 401);
            assert_eq!(alice.log_in(&edge), 200);
            assert_eq!(alice.visit(&edge, PROFILE), 200, "a new login");
            issued_at(alice.token()) == before // login, logout and login in one second
        });
    }
}

#[test]
fn a_logout_without_bearer_is_a_bad_request() {
    let shop = stateless_bagisto();
    for edge in both_edges(&shop) {
        for scheme in [None, Some("Basic YWxpY2U6c2VjcmV0")] {
            let mut headers = vec![("X-STOREFRONT-KEY", Shop::KEY)];
            headers.extend(scheme.map(|value| ("Authorization", value)));
            let answer = post(&edge, LOGOUT, &headers);
            assert_eq!(answer, 400);
            assert_eq!(
                answer.json(),
                json!({"message": "A Bearer token must be provided"})
            );
        }
    }
    assert_eq!(shop.visits(), 0);
}

#[test]
fn only_authenticated_customers_can_log_out() {
    let shop = stateless_bagisto();
    let alice = Customer::signed_in(&shop);
    let (signed, _) = alice.token().rsplit_once('.').unwrap();
    let expired =
        shop.sign(&json!({"sub": 77, "jti": "old", "iat": 1_600_000_000, "exp": 1_600_000_060}));
    for edge in both_edges(&shop) {
        let bad = [
            format!("{signed}.{}", "A".repeat(43)),
            format!("{signed}."),
            "nonsense".to_owned(),
            expired.clone(),
        ];
        for token in bad {
            let answer = Customer::holding(&shop, token).log_out(&edge);
            assert_eq!(answer, 401);
            assert_eq!(
                answer.json(),
                json!({"message": "Only authenticated customers can log out"})
            );
        }
        assert_eq!(alice.visit(&edge, PROFILE), 200);
    }
}

#[test]
fn a_customer_who_is_logged_out_can_not_log_out_again() {
    let shop = stateless_bagisto();
    for edge in both_edges(&shop) {
        let alice = Customer::signed_in(&shop);
        is_logged_out(&alice.log_out(&edge));
        let visits = shop.visits();
        let again = alice.log_out(&edge);
        assert_eq!(again, 401);
        assert_eq!(
            again.json(),
            json!({"message": "Only authenticated customers can log out"})
        );
        assert_eq!(shop.visits(), visits);
    }
}

#[test]
fn a_logout_needs_the_client_key_and_leaves_the_token_alone_without_it() {
    let shop = stateless_bagisto();
    for edge in both_edges(&shop) {
        let alice = Customer::signed_in(&shop);
        let bearer = format!("Bearer {}", alice.token());
        let missing = post(&edge, LOGOUT, &[("Authorization", &bearer)]);
        assert_eq!(missing, 401);
        let documented = r#"{"message":"X-STOREFRONT-KEY header is required","error":"missing_key","header_name":"X-STOREFRONT-KEY","key_type":"shop"}"#;
        assert_eq!(missing.text(), documented);
        let headers = [
            ("Authorization", bearer.as_str()),
            ("X-STOREFRONT-KEY", "pk_other"),
        ];
        let bad = post(&edge, LOGOUT, &headers);
        assert_eq!(bad, 403);
        assert_eq!(
            bad.text(),
            r#"{"message":"Invalid or inactive shop API key","error":"invalid_key"}"#
        );
        assert_eq!(alice.visit(&edge, PROFILE), 200, "nobody was logged out");
    }
}

#[test]
fn the_path_of_the_code_answers_201_and_ends_a_sanctum_token() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let login = json!({"email": "alice@example.com", "password": Shop::PASSWORD}).to_string();
    let headers = [
        ("X-STOREFRONT-KEY", Shop::KEY),
        ("Content-Type", "application/json"),
    ];
    let enter = || {
        let answer = edge.raw(&request(
            "POST",
            "/api/shop/customer/login",
            &headers,
            login.as_bytes(),
        ));
        Customer::holding(&shop, answer.json()["token"].as_str().unwrap().to_owned())
    };
    let (phone, tablet) = (enter(), enter());
    let answer = phone.send(&edge, "POST", "/api/shop/customer/logout", b"{}");
    assert_eq!(answer, 201);
    assert_eq!(
        answer.json(),
        json!({"success": true, "message": "Logged out successfully"})
    );
    let visits = shop.visits();
    assert_eq!(phone.visit(&edge, "/api/shop/customer-profile"), 401);
    assert_eq!(
        phone.send(&edge, "POST", "/api/shop/verify-tokens", b"{}"),
        401
    );
    assert_eq!(
        shop.visits(),
        visits,
        "the shop still takes the token, and is not asked"
    );
    assert_eq!(tablet.visit(&edge, "/api/shop/customer-profile"), 200);
}

#[test]
fn a_shop_whose_logouts_are_answered_here_sees_nothing_of_them() {
    let shop = stateless_bagisto();
    let edge = answering_edge(&shop);
    for path in [LOGOUT, "/api/customers/logout", "/api/shop/customer/logout"] {
        let alice = Customer::signed_in(&shop);
        alice.send(&edge, "POST", path, b"{}");
        assert_eq!(alice.visit(&edge, PROFILE), 401, "{path}");
    }
    assert_eq!(shop.visits(), 0);
}

#[test]
fn a_script_of_another_origin_reads_what_doorward_answers() {
    let shop = stateless_bagisto();
    let edge = answering_edge(&shop);
    let alice = Customer::signed_in(&shop);
    let bearer = format!("Bearer {}", alice.token());
    let headers = [
        ("Origin", "https://front.example.com"),
        ("X-STOREFRONT-KEY", Shop::KEY),
        ("Authorization", &bearer),
    ];
    for status in [200, 401] {
        let answer = post(&edge, LOGOUT, &headers);
        assert_eq!(answer, status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://front.example.com")
        );
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            Some("true")
        );
        assert_eq!(answer.header("vary"), Some("Origin"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

// --- Contract 2: CoCart ----------------------------------------------------------------------------------

#[track_caller]
fn is_true(answer: &Answer) {
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"true"[..]));
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/json"), "{kind}");
}

/// What an answer deletes: names and paths, each once.
fn deletions(answer: &Answer) -> Vec<(String, String)> {
    let lines = answer.headers_named("set-cookie").into_iter();
    let mut deleted: Vec<_> = lines
        .map(|line| {
            assert!(line.contains("Max-Age=0"), "{line}");
            let (pair, attributes) = line.split_once(';').unwrap();
            let path = attributes.split(';').find_map(|part| {
                let (name, value) = part.trim().split_once('=')?;
                name.eq_ignore_ascii_case("path").then(|| value.to_owned())
            });
            (pair.split('=').next().unwrap().to_owned(), path.unwrap())
        })
        .collect();
    deleted.sort();
    deleted.dedup(); // one for browsers of this site, one for those of others
    deleted.dedup();
    deleted
}

#[test]
fn every_spelling_of_cocarts_logout_answers_true_and_ends_the_token() {
    let shop = stateless_cocart();
    for edge in both_edges(&shop) {
        for target in [
            COCART_V1,
            COCART_V2,
            "/?rest_route=/cocart/v1/logout",
            "/?rest_route=/cocart/v2/logout",
            "/index.php?rest_route=%2Fcocart%2Fv2%2Flogout",
            "/?lang=en&rest_route=/cocart/v1/logout/",
            "/index.php/wp-json/cocart/v1/logout",
            "/WP-JSON/COCART/V1/LOGOUT",
            "/wp-json//cocart/v2/./logout/",
        ] {
            let alice = Customer::signed_in(&shop);
            is_true(&alice.send(&edge, "POST", target, b""));
            let visits = shop.visits();
            let refused = alice.send(&edge, "POST", VALIDATE, b"");
            assert_eq!(refused, 401, "{target}");
            let error = json!({"code": "cocart_authentication_error", "message": "The token was revoked", "data": {"status": 401}});
            assert_eq!(refused.json(), error);
            assert_eq!(shop.visits(), visits);
        }
    }
}

#[test]
fn the_cookies_are_deleted_under_every_path_they_were_set_for() {
    let shop = stateless_cocart();
    let edge = answering_edge(&shop);
    let everywhere = |name: &str, paths: &[&str]| -> Vec<(String, String)> {
        paths
            .iter()
            .map(|path| (name.to_owned(), (*path).to_owned()))
            .collect()
    };
    let admin = ["/", "/wp-admin", "/wp-content/plugins"];
    let mut expected = [
        everywhere(&format!("wordpress_{HASH}"), &admin),
        everywhere(&format!("wordpress_sec_{HASH}"), &admin),
        everywhere(&format!("wordpress_logged_in_{HASH}"), &["/"]),
        everywhere(&format!("wordpressuser_{HASH}"), &["/"]),
        everywhere(&format!("wordpresspass_{HASH}"), &["/"]),
        everywhere(&format!("wp-postpass_{HASH}"), &["/"]),
        everywhere(&format!("wp_cocart_session_{HASH}"), &["/"]),
        everywhere(&format!("wp_woocommerce_session_{HASH}"), &["/"]),
        everywhere("woocommerce_cart_hash", &["/"]),
        everywhere("woocommerce_items_in_cart", &["/"]),
        everywhere("wp-settings-time-3", &["/"]),
    ]
    .concat();
    expected.sort();
    for known_by in [
        "wordpress_logged_in_",
        "wordpress_sec_",
        "wp_cocart_session_",
        "wp_woocommerce_session_",
    ] {
        for target in [COCART_V1, COCART_V2, "/?rest_route=/cocart/v1/logout"] {
            let cookie = format!(
                "theme=dark; wp-settings-time-3=17; {known_by}{HASH}=of-{known_by}{target}"
            );
            let answer = post(&edge, target, &[("Cookie", &cookie)]);
            is_true(&answer);
            assert_eq!(deletions(&answer), expected, "{known_by} {target}");
        }
    }
    assert_eq!(shop.visits(), 0);
}

/// A cookie for a front end of another site is set with `SameSite=None; Secure`; a browser ignores a deletion that a
/// cross-site answer brings without them (RFC 6265bis section 5.7).
#[test]
fn the_cookie_of_a_front_end_of_another_site_is_deleted_as_it_was_set() {
    let shop = stateless_cocart();
    let edge = answering_edge(&shop);
    let cookie = format!("wp_cocart_session_{HASH}=t_1");
    let headers = [("Origin", "https://front.example.net"), ("Cookie", &cookie)];
    let answer = post(&edge, COCART_V1, &headers);
    is_true(&answer);
    let lines = answer.headers_named("set-cookie");
    let cross_site = |line: &&&str| {
        let line = line.to_ascii_lowercase();
        line.contains("samesite=none") && line.contains("secure")
    };
    let mut named = lines
        .iter()
        .filter(|line| line.starts_with("wp_cocart_session_"));
    assert!(named.any(|line| cross_site(&line)), "{lines:?}");
}

#[test]
fn a_cookie_name_can_not_be_used_to_write_headers() {
    let shop = stateless_cocart();
    let edge = answering_edge(&shop);
    let cookie =
        "wordpress_logged_in_a%0d%0aX: y=1; wp_cocart_session_<script>=2; wp-settings-\"x\"=3";
    let answer = post(&edge, COCART_V1, &[("Cookie", cookie)]);
    is_true(&answer);
    let names: Vec<_> = deletions(&answer)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        ["woocommerce_cart_hash", "woocommerce_items_in_cart"]
    );
}

#[test]
fn a_logout_without_any_credential_is_fine() {
    let shop = stateless_cocart();
    for edge in both_edges(&shop) {
        for target in [COCART_V1, COCART_V2, "/?rest_route=/cocart/v1/logout"] {
            is_true(&post(&edge, target, &[]));
        }
    }
}

#[test]
fn the_shop_does_not_learn_who_logged_out_and_keeps_the_cart() {
    let shop = Shop::open(Storefront::Cocart, Mood::Honest).unwrap();
    let edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    let bearer = format!("Bearer {}", alice.token());
    let cookie = format!("wordpress_logged_in_{HASH}=alice%7C1%7Ca");
    let headers = [("Authorization", bearer.as_str()), ("Cookie", &cookie)];
    let answer = post(&edge, COCART_V1, &headers);
    is_true(&answer);
    let seen = shop.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!(seen[0].header("cookie"), Some(cookie.as_str()));
    assert!(!shop.cart_deleted());
    assert!(deletions(&answer).contains(&(format!("wordpress_logged_in_{HASH}"), "/".to_owned())));
    assert_eq!(alice.send(&edge, "POST", VALIDATE, b""), 401);
}

#[test]
fn an_operator_may_have_the_cart_cleared() {
    let shop = Shop::open(Storefront::Cocart, Mood::Honest).unwrap();
    let edge = Edge::with(&format!("{}cart = \"clear\"\n", shop_table(&shop)));
    for target in [COCART_V1, "/?rest_route=/cocart/v2/logout"] {
        let alice = Customer::signed_in(&shop);
        is_true(&alice.send(&edge, "POST", target, b""));
        let bearer = format!("Bearer {}", alice.token());
        assert_eq!(
            shop.seen().last().unwrap().header("authorization"),
            Some(bearer.as_str())
        );
        assert!(shop.cart_deleted());
        assert_eq!(alice.send(&edge, "POST", VALIDATE, b""), 401);
    }
}

#[test]
fn a_get_is_no_logout() {
    let shop = stateless_cocart();
    for edge in both_edges(&shop) {
        let alice = Customer::signed_in(&shop);
        for target in [COCART_V1, COCART_V2, "/?rest_route=/cocart/v1/logout"] {
            assert_eq!(alice.visit(&edge, target), 404);
        }
        assert_eq!(alice.send(&edge, "POST", VALIDATE, b""), 200);
    }
}

#[test]
fn a_logout_ends_the_browsers_session_and_the_token_together() {
    let shop = stateless_cocart();
    for answer in ["forward", "local"] {
        let keys = format!("answer = \"{answer}\"\ndead_cookie = \"refuse\"\n");
        let edge = Edge::with(&format!("{}{keys}", shop_table(&shop)));
        let alice = Customer::signed_in(&shop);
        let bearer = format!("Bearer {}", alice.token());
        let cookie = |value: &str| format!("wordpress_logged_in_{HASH}={value}");
        let old = cookie(&format!("alice%7C17%7C{}", edge.pid()));
        is_true(&post(
            &edge,
            COCART_V1,
            &[("Authorization", &bearer), ("Cookie", &old)],
        ));
        let cart = |name, value: &str| {
            edge.raw(&request(
                "GET",
                "/wp-json/cocart/v2/cart",
                &[(name, value)],
                b"",
            ))
        };
        let visits = shop.visits();
        assert_eq!(cart("Authorization", &bearer), 401);
        assert_eq!(cart("Cookie", &old), 401);
        assert_eq!(
            cart("Cookie", &old.replace("%7C", "|")),
            401,
            "the same cookie, spelled otherwise"
        );
        assert_eq!(cart("Cookie", &format!("a=b; {old}; c=d")), 401);
        assert_eq!(shop.visits(), visits);
        assert_eq!(cart("Cookie", &cookie("alice%7C18%7Cnew")), 200);
    }
}

#[test]
fn a_bad_token_logs_nobody_out_and_is_told_so_as_wordpress_would() {
    let shop = stateless_cocart();
    for edge in both_edges(&shop) {
        let alice = Customer::signed_in(&shop);
        let (signed, _) = alice.token().rsplit_once('.').unwrap();
        let forged = Customer::holding(&shop, format!("{signed}.{}", "A".repeat(43)));
        let answer = forged.log_out(&edge);
        assert_eq!(answer, 401);
        assert_eq!(answer.json()["code"], "cocart_authentication_error");
        assert_eq!(answer.json()["data"]["status"], 401);
        assert_eq!(alice.send(&edge, "POST", VALIDATE, b""), 200);
    }
}

// --- A shop that nobody has heard of ---------------------------------------------------------------------

const KETTLES: &str = r#"
[[shop.credential]]
header = "x-kettle-pass"

[[shop.logout]]
methods     = ["GET"]
paths       = ["/account"]
query       = { do = "logout" }
revoke      = "subject"
answer      = "local"
answer_body = '{"bye":true}'
"#;

fn kettles(shop: &Shop) -> Edge {
    let address = shop.address();
    Edge::with(&format!(
        "[[shop]]\nname = \"kettles\"\nupstream = [\"{address}\"]\n\
         token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{{secret_file}}\"\n{KETTLES}"
    ))
}

#[test]
fn a_shop_without_preset_is_described_in_the_operators_file() {
    let shop = stateless_bagisto();
    let edge = kettles(&shop);
    let token = shop.sign_in("alice");
    let get = |target: &str| edge.raw(&request("GET", target, &[("X-Kettle-Pass", &token)], b""));
    assert_eq!(get("/"), 200);
    assert_eq!(get("/account?do=login"), 404, "the shop's word");
    let visits = shop.visits();
    let answer = get("/account?x=1&do=logout");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, r#"{"bye":true}"#)
    );
    assert_eq!(get("/"), 401);
    assert_eq!(shop.visits(), visits);
}

// --- A shop that fails at its own logout -----------------------------------------------------------------

/// The customer is told what is true, the token is dead, and the shop was asked once.
#[track_caller]
fn fails_and_is_asked_once(shop: &Shop, edge: &Edge, how: &str) {
    shop.fail(Failure::None);
    let alice = Customer::signed_in(shop);
    assert_eq!(alice.visit(edge, "/cart"), 200); // a connection is open and can be used again
    if let Some(status) = how.strip_prefix("status ") {
        shop.fail(Failure::Status(status.parse().unwrap()));
    } else if how == "hang up" {
        shop.fail(Failure::HangUp);
    } else {
        shop.recite(LOGOUT, how);
    }
    let visits = shop.visits();
    is_logged_out(&alice.log_out(edge));
    assert_eq!(shop.visits(), visits + 1, "{how}");
    assert_eq!(alice.visit(edge, PROFILE), 401, "{how}");
    assert_eq!(shop.visits(), visits + 1, "{how}");
}

#[test]
fn a_shop_that_fails_at_its_logout_changes_nothing_for_the_customer() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    for how in [
        "status 500",
        "status 502",
        "status 503",
        "status 404",
        "status 405",
        "hang up",
    ] {
        fails_and_is_asked_once(&shop, &edge, how);
    }
}

#[test]
fn a_shop_that_hangs_up_in_the_middle_of_its_answers_head_changes_nothing_for_the_customer() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    for how in [
        "H",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/js",
        "nonsense\r\n\r\n",
    ] {
        fails_and_is_asked_once(&shop, &edge, how);
    }
}

#[test]
fn a_shop_that_hangs_up_in_the_middle_of_its_answers_body_changes_nothing_for_the_customer() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    for how in [
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 37\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 37\r\n\r\n{\"mess",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n25\r\n{\"message\":\"Succ",
    ] {
        fails_and_is_asked_once(&shop, &edge, how);
    }
}

#[test]
fn a_shop_that_is_not_there_changes_nothing_for_the_customer() {
    let (shop, nobody) = (stateless_bagisto(), Nobody::at_home());
    let edge = Edge::with(&shop_table_at(&shop, &[nobody.address()]));
    let alice = Customer::signed_in(&shop);
    is_logged_out(&alice.log_out(&edge));
    assert_eq!(alice.visit(&edge, PROFILE), 401);
    let (shop, edge) = {
        let shop = stateless_cocart();
        let edge = Edge::with(&shop_table_at(&shop, &[nobody.address()]));
        (shop, edge)
    };
    let alice = Customer::signed_in(&shop);
    let bearer = format!("Bearer {}", alice.token());
    let cookie = format!("wp_cocart_session_{HASH}=t_1");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Cookie", &cookie),
        ("Origin", "https://front.example.com"),
    ];
    let answer = post(&edge, COCART_V1, &headers);
    is_true(&answer);
    assert!(deletions(&answer).contains(&(format!("wp_cocart_session_{HASH}"), "/".to_owned())));
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://front.example.com")
    );
    assert_eq!(alice.send(&edge, "POST", VALIDATE, b""), 401);
}

/// The shop's own word on a logout is passed on, whatever it is, as long as it is one.
#[test]
fn what_the_shop_says_to_its_logout_is_passed_on() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    for status in [200, 201, 204, 302, 400, 401, 403, 429] {
        let said = format!(
            "HTTP/1.1 {status} Said\r\nConnection: close\r\nX-Said: yes\r\nContent-Length: 0\r\n\r\n"
        );
        shop.recite(
            LOGOUT,
            said.replace(
                "Content-Length: 0\r\n",
                if status == 204 {
                    ""
                } else {
                    "Content-Length: 0\r\n"
                },
            ),
        );
        let alice = Customer::signed_in(&shop);
        let answer = alice.log_out(&edge);
        assert_eq!(
            (answer.status, answer.header("x-said")),
            (status, Some("yes"))
        );
        assert_eq!(alice.visit(&edge, PROFILE), 401, "{status}");
    }
}

#[test]
fn a_customer_who_does_not_wait_for_the_answer_is_logged_out() {
    let shop = stateless_bagisto();
    for edge in both_edges(&shop) {
        for failure in [Failure::None, Failure::Silent] {
            shop.fail(failure);
            let alice = Customer::signed_in(&shop);
            let bearer = format!("Bearer {}", alice.token());
            let headers = [
                ("X-STOREFRONT-KEY", Shop::KEY),
                ("Authorization", bearer.as_str()),
            ];
            let mut connection = Connection::open(edge.address());
            connection.send(&request("POST", LOGOUT, &headers, b"{}"));
            drop(connection);
            shop.fail(Failure::None);
            eventually(|| alice.visit(&edge, PROFILE) == 401);
        }
    }
}
