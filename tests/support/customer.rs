//! A customer of a shop, who knows the shop only through an edge.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::edge::Edge;
use super::wire::{Answer, request};
use super::{Shop, Storefront};

const GRAPHQL_LOGIN: &str =
    "mutation($input: LoginInput!) { customerLogin(input: $input) { accessToken } }";
const GRAPHQL_LOGOUT: &[u8] = br#"{"query":"mutation { customerLogout { success message } }"}"#;

/// Somebody with an account and a token.
pub struct Customer {
    name: String,
    storefront: Storefront,
    token: String,
}

impl Customer {
    /// Alice, with a fresh token.
    pub fn signed_in(shop: &Shop) -> Self {
        Self::named(shop, "alice")
    }

    /// Somebody else, with a fresh token; the shop opens an account where there is none.
    pub fn named(shop: &Shop, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            storefront: shop.storefront(),
            token: shop.sign_in(name),
        }
    }

    /// Alice, with a token of the test's own making.
    pub fn holding(shop: &Shop, token: String) -> Self {
        Self {
            name: "alice".to_owned(),
            storefront: shop.storefront(),
            token,
        }
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// Asks for a page, as the customer.
    #[track_caller]
    pub fn visit(&self, edge: &Edge, path: &str) -> Answer {
        self.send(edge, "GET", path, b"")
    }

    /// Logs out as this storefront's clients do.
    #[track_caller]
    pub fn log_out(&self, edge: &Edge) -> Answer {
        match self.storefront {
            Storefront::Bagisto => self.send(edge, "POST", "/api/shop/customers/logout", b"{}"),
            Storefront::BagistoApi => self.send(edge, "POST", "/api/shop/customer/logout", b"{}"),
            Storefront::BagistoGraphql => self.send(edge, "POST", "/graphql", GRAPHQL_LOGOUT),
            Storefront::Cocart => self.send(edge, "POST", "/wp-json/cocart/v1/logout", b""),
            Storefront::Ecwid => self.send(edge, "POST", "/_doorward/logout", b"{}"),
        }
    }

    /// Logs in through the edge; the token is the new one from here on.
    #[track_caller]
    pub fn log_in(&mut self, edge: &Edge) -> Answer {
        let email = format!("{}@example.com", self.name);
        let credentials = json!({"email": email, "password": Shop::PASSWORD});
        let (answer, place) = match self.storefront {
            Storefront::Bagisto => (
                post(edge, "/api/shop/customers/login", &credentials),
                "/data/token",
            ),
            Storefront::BagistoApi => (
                post(edge, "/api/shop/customer/login", &credentials),
                "/token",
            ),
            Storefront::BagistoGraphql => {
                let login = json!({"query": GRAPHQL_LOGIN, "variables": {"input": credentials}});
                (
                    post(edge, "/graphql", &login),
                    "/data/customerLogin/accessToken",
                )
            }
            Storefront::Cocart => (log_in_to_cocart(edge, &email), "/extras/jwt_token"),
            Storefront::Ecwid => (post(edge, "/login", &credentials), "/token"),
        };
        let body = answer.json();
        let token = body.pointer(place).and_then(|token| token.as_str());
        token
            .unwrap_or_else(|| panic!("no token in {body}"))
            .clone_into(&mut self.token);
        answer
    }

    /// Any request, with the customer's token and the storefront's key.
    #[track_caller]
    pub fn send(&self, edge: &Edge, method: &str, target: &str, body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("Content-Type", "application/json"),
            ("X-STOREFRONT-KEY", Shop::KEY),
            ("Authorization", &bearer),
        ];
        edge.raw(&request(method, target, &headers, body))
    }
}

#[track_caller]
fn post(edge: &Edge, path: &str, body: &Value) -> Answer {
    let headers = [
        ("Content-Type", "application/json"),
        ("X-STOREFRONT-KEY", Shop::KEY),
    ];
    edge.raw(&request(
        "POST",
        path,
        &headers,
        body.to_string().as_bytes(),
    ))
}

#[track_caller]
fn log_in_to_cocart(edge: &Edge, email: &str) -> Answer {
    let basic = format!(
        "Basic {}",
        STANDARD.encode(format!("{email}:{}", Shop::PASSWORD))
    );
    edge.raw(&request(
        "POST",
        "/wp-json/cocart/v2/login",
        &[("Authorization", &basic)],
        b"",
    ))
}
