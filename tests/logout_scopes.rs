//! How far a logout reaches, and the tokens that paths name.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use serde_json::json;
use support::{Customer, Edge, Shop, request, shop_table, stateless_bagisto};

const RULES: &str = r#"
[[shop.logout]]
paths = ["/logout-others"]
revoke = "others"
client_key = false
answer = "local"

[[shop.logout]]
methods = ["DELETE"]
paths = ["/oauth/tokens/{token}"]
client_key = false
revoke = "token"
answer = "local"
"#;

struct Scene {
    shop: Shop,
    edge: Edge,
}

impl Scene {
    fn open() -> Self {
        let shop = stateless_bagisto();
        let edge = Edge::with(&format!("{}{RULES}", shop_table(&shop)));
        Self { shop, edge }
    }

    /// A token of a customer, issued so many seconds ago.
    fn token(&self, customer: u64, id: &str, age: u64) -> Customer {
        let now = doorward::clock::now().seconds();
        let claims = json!({"sub": customer, "jti": id, "iat": now - age, "exp": now + 3600});
        Customer::holding(&self.shop, self.shop.sign(&claims))
    }

    /// Whether a visit reaches the shop, whatever that says of it.
    fn lives(&self, customer: &Customer) -> bool {
        let visits = self.shop.visits();
        let answer = customer.visit(&self.edge, "/cart");
        let reached = self.shop.visits() > visits;
        assert!(reached || answer == 401);
        reached
    }
}

#[test]
fn others_end_and_the_presented_token_lives_on_field_f8() {
    let mut scene = Scene::open();
    let (phone, laptop) = (scene.token(7, "phone", 60), scene.token(7, "laptop", 50));
    let (tablet, stranger) = (scene.token(7, "tablet", 5), scene.token(8, "other", 60));
    let answer = phone.send(&scene.edge, "POST", "/logout-others", b"");
    assert_eq!(answer, 200);
    for _ in 0..2 {
        assert!(!scene.lives(&laptop));
        assert!(
            !scene.lives(&tablet),
            "also those issued after the presented one"
        );
        assert!(scene.lives(&phone));
        assert!(scene.lives(&stranger));
        scene.edge.restart();
    }
    let again = phone.send(&scene.edge, "POST", "/logout-others", b"");
    assert_eq!(again, 200);
    assert!(scene.lives(&phone), "as often as the customer likes");
    phone.log_out(&scene.edge); // whatever the shop says of it
    assert!(!scene.lives(&phone), "a later logout ends it, too");
}

#[test]
fn revoking_the_others_of_no_customer_is_no_success_field_f8() {
    let scene = Scene::open();
    let nameless = scene
        .shop
        .sign(&json!({"jti": "x", "iat": 1, "exp": 4_000_000_000_u64}));
    let nameless = Customer::holding(&scene.shop, nameless);
    let answer = nameless.send(&scene.edge, "POST", "/logout-others", b"");
    assert_eq!(answer, 401);
    assert!(scene.lives(&nameless));
}

#[test]
fn a_token_that_the_path_names_dies_field_f8() {
    let scene = Scene::open();
    let (bearer, named) = (scene.token(7, "bearer", 60), scene.token(8, "named", 60));
    let opaque = "8f14e45fceea167a5a36dedd4bea2543abcdefgh12345678";
    for token in [named.token(), opaque] {
        let target = format!("/oauth/tokens/{token}");
        let answer = scene.edge.raw(&request("DELETE", &target, &[], b""));
        assert_eq!(answer, 200, "{}", answer.text());
        let bearer = format!("Bearer {token}");
        let visit = request("GET", "/cart", &[("Authorization", &bearer)], b"");
        assert_eq!(scene.edge.raw(&visit), 401, "{token}");
        let lines = scene.edge.log_lines();
        assert!(!lines.iter().any(|line| line.contains(token)), "{lines:?}");
    }
    assert!(scene.lives(&bearer));
}
