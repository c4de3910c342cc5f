//! `{subject}`: a route tells the shop, or an address, the customer in a verified token, and no other.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use doorward::clock;
use serde_json::{Value, json};
use support::frames::{Frames, fields_of};
use support::places::LOGOUT;
use support::{
    Customer, Edge, Scene, Shop, asked_shop_table, overlaid, request, said, shop_table,
    stateless_bagisto,
};

/// A shop that is told its customers in two headers, and a redirect to an address of one.
const ROUTES: &str = r#"
token.claims.subject = "/sub"
[[shop.credential]]
header = "authorization"
schemes = ["Bearer"]
[[shop.credential]]
cookie = "jwt"
[[shop.route]]
paths = ["/me"]
redirect = { to = "/customers/{subject}?of={shop}" }
[[shop.route]]
paths = ["/off/*"]
enforce = "off"
headers.request.set = { X-User = "{subject}" }
[[shop.route]]
headers.request.set = { X-User = "{subject}", X-Told = "{shop}: {subject}" }
headers.response.set = { X-Customer = "{subject}" }
"#;

/// A token with these claims over usual ones.
fn token(shop: &Shop, over: &Value) -> String {
    let now = clock::now().seconds();
    let usual = json!({ "sub": "alice", "iat": now - 5, "exp": now + 1000 });
    shop.sign(&overlaid(usual, over))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// The values of a header of the last request that a shop saw.
fn told(shop: &Shop, name: &str) -> Vec<String> {
    let seen = shop.seen().pop().unwrap();
    let named = seen.headers.iter();
    let named = named.filter(|(given, _)| given.replace('_', "-").eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.clone()).collect()
}

impl Scene {
    /// The customer of a request with these headers, as the shop is told.
    #[track_caller]
    fn user(&self, headers: &[(&str, &str)]) -> Option<String> {
        let (answer, visits) = self.watch(|edge| edge.raw(&request("GET", "/cart", headers, b"")));
        assert_eq!(visits, 1, "{}", answer.text());
        let mut lines = told(&self.shop, "x-user");
        assert!(lines.len() < 2, "{lines:?}");
        let user = lines.pop();
        assert_eq!(answer.header("x-customer"), user.as_deref());
        let both = user.as_ref().map(|user| format!("main: {user}"));
        assert_eq!(told(&self.shop, "x-told").pop(), both);
        user
    }
}

#[test]
fn a_shop_is_told_the_customer_of_a_verified_token_wherever_that_stands() {
    let scene = Scene::with(ROUTES);
    for (subject, written) in [
        (json!("alice"), "alice"),
        (json!(7), "7"),
        (json!("auth0|7"), "auth0|7"),
        (json!("alice@example.com"), "alice@example.com"),
        (
            json!("Zoë, née \"X\"\r\nX-Admin: 1"),
            "Zo%C3%AB%2C%20n%C3%A9e%20%22X%22%0D%0AX-Admin:%201",
        ),
    ] {
        let token = token(&scene.shop, &json!({ "sub": subject }));
        let (line, cookie) = (bearer(&token), format!("a=b; jwt={token}"));
        for headers in [
            vec![("Authorization", &*line)],
            vec![("Cookie", &*cookie)],
            vec![("Authorization", &*line), ("Cookie", &*cookie)],
        ] {
            assert_eq!(scene.user(&headers).as_deref(), Some(written), "{subject}");
        }
    }
}

/// Customers and clerks may have the same numbers: Bagisto's tokens say in a second claim which of them they mean.
#[test]
fn where_several_claims_name_a_customer_all_of_them_are_told() {
    let scene = Scene::with(&ROUTES.replace("token.claims.subject = \"/sub\"\n", ""));
    let token = token(&scene.shop, &json!({ "prv": "customers", "sub": 7 }));
    let user = scene.user(&[("Authorization", &bearer(&token))]);
    assert_eq!(user.as_deref(), Some("customers/7"));
}

#[test]
fn what_no_good_token_says_is_told_nobody() {
    let scene = Scene::with(&format!("token.unverifiable = \"forward\"{ROUTES}"));
    let good = token(&scene.shop, &json!({ "jti": "good" }));
    let other = token(&scene.shop, &json!({ "sub": "bob" }));
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    let expired = token(&scene.shop, &json!({ "iat": 1, "exp": 2 }));
    let early = token(&scene.shop, &json!({ "nbf": clock::now().seconds() + 500 }));
    let nobody = token(&scene.shop, &json!({ "sub": null }));
    let opaque = "17|0123456789012345678901234567890123456789";
    for (what, token) in [
        ("forged", &*forged),
        ("expired", &expired),
        ("not yet valid", &early),
        ("without a customer", &nobody),
        ("opaque", opaque),
    ] {
        assert_eq!(
            scene.user(&[("Authorization", &bearer(token))]),
            None,
            "{what}"
        );
    }
    let cookie = format!("jwt={other}");
    let both = [("Authorization", &*bearer(&good)), ("Cookie", &*cookie)];
    assert_eq!(scene.user(&both), None, "two customers");
    assert_eq!(scene.user(&[]), None, "a guest");
    let off = request("GET", "/off/x", &[("Authorization", &bearer(&good))], b"");
    scene.passes(&off);
    assert_eq!(told(&scene.shop, "x-user"), [""; 0], "nothing is verified");
}

#[test]
fn a_client_cannot_name_a_customer_itself() {
    let scene = Scene::with(ROUTES);
    let good = bearer(&token(&scene.shop, &json!({})));
    for name in ["X-User", "x-user", "X_User", "x_uSER"] {
        let forged = (name, "admin");
        assert_eq!(scene.user(&[forged]), None, "{name}");
        assert_eq!(scene.user(&[forged, forged]), None, "{name}");
        let with_token = [forged, ("Authorization", &*good)];
        assert_eq!(scene.user(&with_token).as_deref(), Some("alice"), "{name}");
        scene.passes(&request("GET", "/off/x", &[forged], b""));
        assert_eq!(told(&scene.shop, "x-user"), [""; 0], "{name}");
    }
}

#[test]
fn http_2_makes_no_difference() {
    let shop = stateless_bagisto();
    let table = format!("h2c = true\n{}{ROUTES}", shop_table(&shop));
    let scene = Scene::configured(shop, &table);
    let good = bearer(&token(&scene.shop, &json!({})));
    for (authorization, user) in [(Some(&*good), vec!["alice"]), (None, vec![])] {
        let mut headers = vec![("x-user", "admin"), ("x_user", "admin")];
        headers.extend(authorization.map(|line| ("authorization", line)));
        Frames::open(scene.edge.address()).ask(&fields_of("GET", "/cart", &headers), None);
        assert_eq!(told(&scene.shop, "x-user"), user);
    }
}

#[test]
fn a_redirect_names_a_customer_in_an_address_that_stays_one() {
    let scene = Scene::with(ROUTES);
    for (subject, to) in [
        (json!("alice"), "/customers/alice?of=main"),
        (
            json!("../admin?x=y#z"),
            "/customers/..%2Fadmin%3Fx%3Dy%23z?of=main",
        ),
        (json!("a@b:c"), "/customers/a%40b%3Ac?of=main"),
        (json!(null), "/customers/?of=main"),
    ] {
        let line = bearer(&token(&scene.shop, &json!({ "sub": subject })));
        let asked = request("GET", "/me", &[("Authorization", &line)], b"");
        let answer = scene.stops(302, &asked);
        assert_eq!(answer.header("location"), Some(to), "{subject}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[test]
fn a_logout_names_its_customer_too_and_a_dead_token_names_nobody() {
    let scene = Scene::with(ROUTES);
    let alice = token(&scene.shop, &json!({ "jti": "a" }));
    let customer = Customer::holding(&scene.shop, alice.clone());
    customer.log_out(&scene.edge);
    assert_eq!(scene.shop.seen().pop().unwrap().target, LOGOUT);
    assert_eq!(told(&scene.shop, "x-user"), ["alice"]);
    let cookie = format!("jwt={alice}");
    assert_eq!(scene.user(&[("Cookie", &*cookie)]), None, "a dead cookie");
    let bob = token(&scene.shop, &json!({ "sub": "bob" }));
    let both = [("Authorization", &*bearer(&bob)), ("Cookie", &*cookie)];
    assert_eq!(scene.user(&both).as_deref(), Some("bob"));
    let log = scene.edge.log_lines().join("\n");
    assert!(!log.contains("alice") && !log.contains("bob"), "{log}");
}

#[test]
fn the_shop_names_the_customer_of_an_opaque_token_that_it_knows() {
    let shop = stateless_bagisto();
    shop.recite("/cart", said(200, "{}"));
    shop.recite(
        "/who",
        said(200, &json!({"good": true, "id": "alice"}).to_string()),
    );
    let asked = "path = \"/who\"\nactive = { json = { \"/good\" = true } }\nsubject = \"/id\"";
    let route = "[[shop.route]]\nheaders.request.set = { X-User = \"{subject}\" }\n";
    let edge = Edge::with(&(asked_shop_table(shop.address(), "", asked) + route));
    let line = bearer("an-opaque-token-of-a-customer");
    let forged = ("X-User", "admin");
    for _ in ["asked", "remembered"] {
        edge.raw(&request(
            "GET",
            "/cart",
            &[forged, ("Authorization", &line)],
            b"",
        ));
        assert_eq!(told(&shop, "x-user"), ["alice"]);
    }
    edge.raw(&request("GET", "/cart", &[forged], b""));
    assert_eq!(told(&shop, "x-user"), [""; 0]);
}

#[test]
fn a_header_that_a_client_could_add_to_is_no_place_for_a_customer() {
    let shop = stateless_bagisto();
    let route = "[[shop.route]]\nheaders.request.add = { X-User = \"{subject}\" }\n";
    let outcome = Edge::try_start(&format!("{}{route}", shop_table(&shop)));
    let told = outcome.err().unwrap().stderr;
    assert!(
        told.contains("a client could send this header, too"),
        "{told}"
    );
    assert!(told.contains("write it in `set`"), "{told}");
}
