//! Doorward's own logout, for shops that have none and for pages that call it beside the shop's.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use serde_json::json;
use support::{
    Answer, Customer, Edge, Shop, request, shop_table, stateless_bagisto, stateless_cocart,
};

const OWN: &str = "/_doorward/logout";
const PROFILE: &str = "/api/shop/customers/profile";
const LOGGED_OUT: &str = r#"{"message":"Successfully logged out"}"#;

/// A session cookie beside the bearer.
const PLACES: &str = r#"
dead_cookie = "refuse"
[[shop.credential]]
header  = "authorization"
schemes = ["Bearer"]

[[shop.credential]]
cookie = "shop_session"
kind   = "opaque"
"#;

fn edge_with_cookie(shop: &Shop) -> Edge {
    Edge::with(&format!("{}{PLACES}", shop_table(shop)))
}

fn ask(edge: &Edge, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    edge.raw(&request(method, target, headers, b""))
}

/// A logout by cookie, from a page that the browser describes like this.
fn log_out_by_cookie(edge: &Edge, cookie: &str, page: &[(&str, &str)]) -> Answer {
    let headers = [&[("Cookie", cookie)], page].concat();
    ask(edge, "POST", OWN, &headers)
}

/// As `log_out_by_cookie`, by a customer who sends their token too; `site` is the word of `Sec-Fetch-Site`.
fn log_out_by_both(edge: &Edge, customer: &Customer, cookie: &str, site: &str) -> Answer {
    let bearer = format!("Bearer {}", customer.token());
    let page = [("Authorization", bearer.as_str()), ("Sec-Fetch-Site", site)];
    log_out_by_cookie(edge, cookie, &page)
}

/// Whether the shop still gets to see requests with this cookie.
fn is_alive(edge: &Edge, cookie: &str) -> bool {
    ask(edge, "GET", "/", &[("Cookie", cookie)]) == 200
}

#[track_caller]
fn is_logged_out(answer: &Answer) {
    assert_eq!((answer.status, answer.text().as_str()), (200, LOGGED_OUT));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn a_bearer_is_logged_out_and_the_shop_hears_nothing_of_it() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    shop.set_date_offset(-10);
    let tablet = Customer::signed_in(&shop);
    shop.set_date_offset(0);
    let (phone, bob) = (Customer::signed_in(&shop), Customer::named(&shop, "bob"));
    let bearer = format!("Bearer {}", phone.token());
    is_logged_out(&ask(&edge, "POST", OWN, &[("Authorization", &bearer)]));
    assert_eq!(phone.visit(&edge, PROFILE), 401);
    assert_eq!(
        tablet.visit(&edge, PROFILE),
        401,
        "it reaches as far as the shop's logout"
    );
    assert_eq!(shop.visits(), 0);
    assert_eq!(bob.visit(&edge, PROFILE), 200);
}

#[test]
fn every_spelling_of_its_path_stays_here() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    for target in [
        "/_doorward/logout/",
        "//_doorward/./logout",
        "/_doorward/%6cogout",
        "/x/../_doorward/logout?from=page",
        "/_doorward/logout;a=b",
    ] {
        let alice = Customer::signed_in(&shop);
        is_logged_out(&alice.send(&edge, "POST", target, b"{}"));
        assert_eq!(alice.visit(&edge, PROFILE), 401, "{target}");
    }
    let alice = Customer::signed_in(&shop);
    assert_eq!(alice.send(&edge, "POST", "/_doorward%2flogout", b""), 400);
    assert_eq!(shop.visits(), 0);
    assert_eq!(alice.visit(&edge, PROFILE), 200);
}

#[test]
fn its_folder_is_the_operators_choice() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!("prefix = \"/gate/keeper\"\n{}", shop_table(&shop)));
    let alice = Customer::signed_in(&shop);
    assert_eq!(alice.send(&edge, "POST", OWN, b""), 404, "the shop's word");
    assert_eq!(shop.visits(), 1);
    assert_eq!(alice.visit(&edge, PROFILE), 200);
    is_logged_out(&alice.send(&edge, "POST", "/gate/keeper/logout", b""));
    assert_eq!(alice.visit(&edge, PROFILE), 401);
    assert_eq!(shop.visits(), 2);
}

#[test]
fn it_takes_post_only() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = alice.send(&edge, method, OWN, b"");
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("POST")),
            "{method}"
        );
    }
    assert_eq!(shop.visits(), 0);
    assert_eq!(alice.visit(&edge, PROFILE), 200, "nobody was logged out");
}

#[test]
fn it_needs_a_credential() {
    let shop = stateless_bagisto();
    let edge = edge_with_cookie(&shop);
    for headers in [
        vec![],
        vec![("Cookie", "theme=dark")],
        vec![("Authorization", "Basic YTpi")],
    ] {
        let answer = ask(&edge, "POST", OWN, &headers);
        assert_eq!(answer, 401);
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"main\"")
        );
        assert_eq!(
            answer.json(),
            json!({"message": "Authentication is required"})
        );
    }
    assert_eq!(shop.visits(), 0);
}

#[test]
fn a_dead_or_bad_credential_is_refused() {
    let shop = stateless_bagisto();
    let edge = edge_with_cookie(&shop);
    let alice = Customer::signed_in(&shop);
    is_logged_out(&alice.send(&edge, "POST", OWN, b""));
    let again = alice.send(&edge, "POST", OWN, b"");
    assert_eq!(again, 401);
    assert_eq!(again.json(), json!({"message": "The token was revoked"}));
    let here = [("Sec-Fetch-Site", "same-origin")];
    is_logged_out(&log_out_by_cookie(&edge, "shop_session=a1", &here));
    // A cookie comes by itself: a dead one is deleted, and no fault.
    is_logged_out(&log_out_by_cookie(&edge, "shop_session=a1", &here));
    let bob = Customer::named(&shop, "bob");
    let (signed, _) = bob.token().rsplit_once('.').unwrap();
    let forged = Customer::holding(&shop, format!("{signed}.{}", "A".repeat(43)));
    assert_eq!(forged.send(&edge, "POST", OWN, b""), 401);
    assert_eq!(shop.visits(), 0);
    assert_eq!(bob.visit(&edge, PROFILE), 200);
}

#[test]
fn an_expired_token_is_over_already_and_says_so() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let claims = json!({"sub": 3, "jti": "old", "iat": 1_600_000_000, "exp": 1_600_000_060});
    let alice = Customer::holding(&shop, shop.sign(&claims));
    is_logged_out(&alice.send(&edge, "POST", OWN, b""));
    assert_eq!(alice.visit(&edge, PROFILE), 401);
    assert_eq!(shop.visits(), 0);
}

#[test]
fn a_page_of_another_origin_may_ask_whether_it_may_call() {
    let shop = stateless_bagisto();
    let edge = edge_with_cookie(&shop);
    let headers = [
        ("Origin", "https://front.example.net"),
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "authorization, content-type",
        ),
    ];
    let answer = ask(&edge, "OPTIONS", OWN, &headers);
    assert_eq!(answer, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://front.example.net"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "POST"),
        (
            "access-control-allow-headers",
            "authorization, content-type",
        ),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(shop.visits(), 0);
}

#[test]
fn a_page_of_another_origin_may_log_out_with_a_bearer() {
    let shop = stateless_bagisto();
    let edge = edge_with_cookie(&shop);
    let alice = Customer::signed_in(&shop);
    let bearer = format!("Bearer {}", alice.token());
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Origin", "https://front.example.net"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    let answer = ask(&edge, "POST", OWN, &headers);
    is_logged_out(&answer);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://front.example.net")
    );
    assert_eq!(answer.header("vary"), Some("Origin"));
    assert_eq!(alice.visit(&edge, PROFILE), 401);
}

#[test]
fn a_cookie_logs_out_from_the_shop_itself_only() {
    let shop = stateless_bagisto();
    let edge = edge_with_cookie(&shop);
    let own = ("Origin", "https://shop.example.com");
    let other = ("Origin", "https://evil.example.com");
    let site = |word| ("Sec-Fetch-Site", word);
    let pages: [(u16, &[(&str, &str)]); 14] = [
        (200, &[site("same-origin")]),
        (200, &[site("same-origin"), own]),
        (200, &[site("none")]),
        (200, &[own]),
        (200, &[("Origin", "http://shop.example.com")]),
        (403, &[site("cross-site")]),
        (403, &[site("same-site")]),
        (403, &[site("cross-site"), own]),
        (403, &[site("")]),
        (403, &[other]),
        (
            403,
            &[("Origin", "https://shop.example.com.evil.example.com")],
        ),
        (403, &[("Origin", "https://shop.example.com:8443")]),
        (403, &[("Origin", "null")]),
        (403, &[]),
    ];
    for (number, (status, page)) in pages.into_iter().enumerate() {
        let cookie = format!("shop_session=value-{number}");
        let answer = log_out_by_cookie(&edge, &cookie, page);
        assert_eq!(answer, status, "{page:?}");
        assert_eq!(is_alive(&edge, &cookie), status == 403, "{page:?}");
    }
    let refused = log_out_by_cookie(&edge, "shop_session=b2", &[other]);
    assert_eq!(
        refused.json(),
        json!({"message": "Logging out is only possible from the shop itself"})
    );
    assert!(refused.headers_named("set-cookie").is_empty());
    let logouts = shop
        .seen()
        .into_iter()
        .filter(|seen| seen.target.contains("logout"));
    assert_eq!(logouts.count(), 0);
}

#[test]
fn a_cookie_beside_a_bearer_makes_it_a_matter_of_the_shop_itself() {
    let shop = stateless_bagisto();
    let edge = edge_with_cookie(&shop);
    let alice = Customer::signed_in(&shop);
    let answer = log_out_by_both(&edge, &alice, "shop_session=c3", "cross-site");
    assert_eq!(answer, 403);
    assert_eq!(alice.visit(&edge, PROFILE), 200);
    assert!(is_alive(&edge, "shop_session=c3"));
}

#[test]
fn a_bearer_and_a_cookie_end_together() {
    let shop = stateless_bagisto();
    let edge = edge_with_cookie(&shop);
    let alice = Customer::signed_in(&shop);
    let cookies = "shop_session=d4; theme=dark";
    is_logged_out(&log_out_by_both(&edge, &alice, cookies, "same-origin"));
    let visits = shop.visits();
    assert_eq!(alice.visit(&edge, PROFILE), 401);
    assert!(!is_alive(&edge, "shop_session=d4"));
    assert!(!is_alive(&edge, "theme=dark; shop_session=\"d4\""));
    assert_eq!(shop.visits(), visits);
    assert!(is_alive(&edge, "shop_session=e5"));
}

#[test]
fn the_cookie_that_was_the_credential_is_deleted() {
    let shop = stateless_bagisto();
    let edge = edge_with_cookie(&shop);
    let answer = log_out_by_cookie(
        &edge,
        "shop_session=f6",
        &[("Sec-Fetch-Site", "same-origin")],
    );
    is_logged_out(&answer);
    let lines = answer.headers_named("set-cookie");
    let [line] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert!(line.starts_with("shop_session=;"), "{line}");
    assert!(
        line.contains("Max-Age=0") && line.contains("Path=/"),
        "{line}"
    );
}

#[test]
fn what_the_shops_own_logout_deletes_is_deleted_here_too() {
    let shop = stateless_cocart();
    let edge = Edge::with(&format!("{}dead_cookie = \"refuse\"\n", shop_table(&shop)));
    let hash = Shop::COOKIE_HASH;
    let cookie = format!("wordpress_logged_in_{hash}=alice%7C1%7Ca");
    let answer = log_out_by_cookie(&edge, &cookie, &[("Sec-Fetch-Site", "same-origin")]);
    assert_eq!(answer, 200);
    let lines = answer.headers_named("set-cookie");
    for (name, path) in [
        (format!("wordpress_logged_in_{hash}"), "/"),
        (format!("wordpress_sec_{hash}"), "/wp-admin"),
        (format!("wp_woocommerce_session_{hash}"), "/"),
        ("woocommerce_cart_hash".to_owned(), "/"),
    ] {
        let (begin, end) = (format!("{name}=;"), format!("Path={path}"));
        let there = lines
            .iter()
            .any(|line| line.starts_with(&begin) && line.ends_with(&end));
        assert!(there, "{name} {path}: {lines:?}");
    }
    let mut unique = lines.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), lines.len(), "each once: {lines:?}");
    assert_eq!(ask(&edge, "GET", "/", &[("Cookie", &cookie)]), 401);
    assert_eq!(shop.visits(), 0);
}

#[test]
fn each_shop_has_its_own() {
    let (one, other) = (stateless_bagisto(), stateless_bagisto());
    let table = |shop: &Shop, name: &str| {
        let table = shop_table(shop).replace("\"main\"", &format!("\"{name}\""));
        format!("{table}hosts = [\"{name}.example.com\"]\n")
    };
    let edge = Edge::with(&format!("{}{}", table(&one, "one"), table(&other, "other")));
    let bearer = format!("Bearer {}", one.sign_in("alice"));
    let at = |method: &str, target: &str, host: &str| {
        let headers = [
            ("Host", host),
            ("Authorization", &bearer),
            ("X-STOREFRONT-KEY", Shop::KEY),
        ];
        ask(&edge, method, target, &headers)
    };
    is_logged_out(&at("POST", OWN, "one.example.com"));
    assert_eq!(at("GET", PROFILE, "one.example.com"), 401);
    assert_eq!(at("GET", PROFILE, "other.example.com"), 200);
    assert_eq!(at("POST", OWN, "third.example.com"), 421);
}

/// Scripts without a token send `undefined`, all of them alike.
#[test]
fn a_word_for_a_missing_token_is_not_revoked() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{}\"]\ntoken.kind = \"opaque\"\n{PLACES}",
        shop.address()
    ));
    for word in ["undefined", "null"] {
        let bearer = format!("Bearer {word}");
        let bearer = [("Authorization", bearer.as_str())];
        assert_eq!(ask(&edge, "POST", OWN, &bearer), 401);
        assert_eq!(ask(&edge, "GET", "/", &bearer), 200, "{word}");
        let cookie = format!("shop_session={word}");
        let same = [("Sec-Fetch-Site", "same-origin")];
        assert_eq!(
            log_out_by_cookie(&edge, &cookie, &same),
            401,
            "no credential"
        );
        assert!(is_alive(&edge, &cookie), "{word}");
    }
}

/// A shop without any logout of its own has nowhere else to say it.
#[test]
fn it_deletes_the_cookies_that_stand_on_a_shop_without_logouts() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{}\"]\ntoken.kind = \"opaque\"\n\
         clear_cookies = [{{ name = \"refresh_token\", paths = [\"/blog\"] }}]\n",
        shop.address()
    ));
    let bearer = [("Authorization", "Bearer 0123456789abcdef0123")];
    let answer = ask(&edge, "POST", OWN, &bearer);
    is_logged_out(&answer);
    let deletion = answer.header("set-cookie").unwrap();
    assert!(deletion.starts_with("refresh_token=; "), "{deletion}");
    assert!(deletion.ends_with("Path=/blog"), "{deletion}");
}
