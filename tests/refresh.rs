//! Refresh tokens: revoked with the logout that they come with, and refused where they would be exchanged.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::{Answer, Customer, Edge, Shop, request, shop_table, stateless_bagisto};

const LOGOUT: &str = "/api/shop/customers/logout";
const REFRESH: &str = "/auth/refresh";
const REFRESH_TOKEN: &str = "1d9e2a7c0b4f4c58a1d9e2a7c0b4f4c5";
const OTHER: &str = "ffff2a7c0b4f4c58a1d9e2a7c0b4f4c5";

const PLACES: &str = r#"
dead_cookie = "refuse"
[[shop.credential]]
header  = "authorization"
schemes = ["Bearer"]

[[shop.credential]]
body = "/refresh_token"
kind = "opaque"
at   = ["logout", "refresh"]

[[shop.credential]]
cookie = "refresh"
kind   = "opaque"
at     = ["logout", "refresh"]

[[shop.refresh]]
paths = ["/auth/refresh"]
"#;

struct Scene {
    shop: Shop,
    edge: Edge,
    alice: Customer,
}

impl Scene {
    fn open() -> Self {
        let shop = stateless_bagisto();
        for path in [REFRESH, "/elsewhere"] {
            shop.recite(
                path,
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
            );
        }
        let edge = Edge::with(&format!("{}{PLACES}", shop_table(&shop)));
        let alice = Customer::signed_in(&shop);
        Self { shop, edge, alice }
    }

    fn post(&self, path: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let headers = [
            &[
                ("X-STOREFRONT-KEY", Shop::KEY),
                ("Content-Type", "application/json"),
            ],
            more,
        ]
        .concat();
        self.edge
            .raw(&request("POST", path, &headers, body.as_bytes()))
    }

    fn log_out(&self, customer: &Customer, more: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {}", customer.token());
        self.post(
            LOGOUT,
            &[&[("Authorization", bearer.as_str())], more].concat(),
            body,
        )
    }

    /// Whether a refresh with it reaches the shop.
    fn refreshes(&self, more: &[(&str, &str)], body: &str) -> bool {
        let visits = self.shop.visits();
        let status = self.post(REFRESH, more, body).status;
        let reached = self.shop.visits() > visits;
        assert_eq!(status, if reached { 200 } else { 401 });
        reached
    }
}

fn body_with(token: &str) -> String {
    format!(r#"{{"refresh_token":"{token}"}}"#)
}

#[test]
fn a_refresh_token_in_the_body_of_a_logout_mints_nothing_any_more() {
    let scene = Scene::open();
    assert!(scene.refreshes(&[], &body_with(REFRESH_TOKEN)));
    assert_eq!(
        scene.log_out(&scene.alice, &[], &body_with(REFRESH_TOKEN)),
        200
    );
    assert!(!scene.refreshes(&[], &body_with(REFRESH_TOKEN)));
    assert!(!scene.refreshes(&[("Cookie", &format!("refresh={REFRESH_TOKEN}"))], "{}"));
    assert!(scene.refreshes(&[], &body_with(OTHER)), "somebody else's");
    assert_eq!(scene.alice.visit(&scene.edge, "/cart"), 401);
}

#[test]
fn a_refresh_token_in_a_cookie_of_a_logout_mints_nothing_any_more_trap_26() {
    let scene = Scene::open();
    let cookie = format!("theme=dark; refresh={REFRESH_TOKEN}");
    assert!(scene.refreshes(&[("Cookie", &cookie)], ""));
    assert_eq!(scene.log_out(&scene.alice, &[("Cookie", &cookie)], ""), 200);
    assert!(!scene.refreshes(&[("Cookie", &cookie)], ""));
    assert!(scene.refreshes(&[("Cookie", &format!("refresh={OTHER}"))], ""));
}

#[test]
fn a_dead_refresh_token_is_dead_elsewhere_too_and_no_upload_is_refused_for_its_length() {
    let scene = Scene::open();
    scene.log_out(&scene.alice, &[], &body_with(REFRESH_TOKEN));
    let visits = scene.shop.visits();
    assert_eq!(
        scene.post("/elsewhere", &[], &body_with(REFRESH_TOKEN)),
        401
    );
    assert_eq!(scene.shop.visits(), visits);
    assert_eq!(scene.post("/elsewhere", &[], &body_with(OTHER)), 200);
    // A long body is not refused for its length there.
    let long = format!(r#"{{"note":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(scene.post("/elsewhere", &[], &long), 200);
    assert_eq!(scene.post(REFRESH, &[], &long), 413);
}

/// It is the live token that wants to end.
#[test]
fn a_logout_with_a_dead_refresh_token_still_ends_the_other() {
    let scene = Scene::open();
    let bob = Customer::named(&scene.shop, "bob");
    scene.log_out(&scene.alice, &[], &body_with(REFRESH_TOKEN));
    assert_eq!(scene.log_out(&bob, &[], &body_with(REFRESH_TOKEN)), 200);
    assert_eq!(bob.visit(&scene.edge, "/cart"), 401);
    assert!(!scene.refreshes(&[], &body_with(REFRESH_TOKEN)));
}

/// Logouts with opaque credentials are limited per client; a refresh token beside a verified one is not counted.
#[test]
fn refresh_tokens_of_verified_customers_are_not_rationed() {
    let scene = Scene::open();
    for number in 0..40 {
        let customer = Customer::named(&scene.shop, &format!("guest{number}"));
        let token = format!("{number:032}");
        assert_eq!(scene.log_out(&customer, &[], &body_with(&token)), 200);
        assert!(!scene.refreshes(&[], &body_with(&token)));
    }
}

#[test]
fn a_dead_refresh_token_stays_dead_after_a_crash() {
    let mut scene = Scene::open();
    scene.log_out(&scene.alice, &[], &body_with(REFRESH_TOKEN));
    scene.edge.kill_dash_nine();
    scene.edge.restart();
    assert!(!scene.refreshes(&[], &body_with(REFRESH_TOKEN)));
}

/// An expired token that could still be exchanged was logged out: it stays dead (D5).
#[test]
fn an_expired_token_is_dead_for_as_long_as_it_could_be_exchanged() {
    let shop = stateless_bagisto();
    shop.recite(
        REFRESH,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    );
    let table = shop_table(&shop).replace("[shop.token]", "[shop.token]\nrefresh_window = \"14d\"");
    let edge = Edge::with(&format!("{table}{PLACES}"));
    shop.set_date_offset(-8 * 24 * 3600); // its tokens live for seven days
    let (alice, bob) = (Customer::signed_in(&shop), Customer::named(&shop, "bob"));
    shop.set_date_offset(0);
    let scene = Scene { shop, edge, alice };
    let bearer = |customer: &Customer| format!("Bearer {}", customer.token());
    assert!(scene.refreshes(&[("Authorization", &bearer(&scene.alice))], ""));
    scene.post(
        "/_doorward/logout",
        &[("Authorization", &bearer(&scene.alice))],
        "",
    );
    assert!(!scene.refreshes(&[("Authorization", &bearer(&scene.alice))], ""));
    assert!(
        scene.refreshes(&[("Authorization", &bearer(&bob))], ""),
        "nobody logged him out"
    );
}
