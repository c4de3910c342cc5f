//! Bagisto's older GraphQL API: bagisto/headless-ecommerce, with the JWTs of the library jwt-auth.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answers::{account, products, said};
use crate::demo::shop::api::{Api, ShopState};
use crate::demo::shop::customers::{Customer, LoginOutcome};
use crate::demo::shop::graphql::{self, GraphQlOperation};
use crate::demo::shop::ledger::TokenIdentity;
use crate::demo::shop::mint::{LETTERS_AND_DIGITS, Mint};
use crate::demo::shop::wire::{SeenRequest, ShopAnswer};

const PATH: &str = "/graphql";
/// The library's own example of a route that refreshes (its quick start); headless-ecommerce has none of its own.
const REFRESH: &str = "/api/auth/refresh";
/// `JWT_TTL=525600` minutes, which the installer writes.
const LIFETIME_S: i64 = 525_600 * 60;
/// `refresh_ttl`, counted from the first login.
const REFRESHABLE_S: i64 = 14 * 24 * 3600;
/// The class of the customer, hashed: it keeps the tokens of admins apart. Its value is made up.
const PROVIDER: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f001234567";
/// The library's words; that the shop passes them on is not verified.
const UNAUTHENTICATED: &str = "Unauthenticated.";

/// A shop that knows customers by JWTs, and keeps a list of those that ended.
pub(super) struct Graphql {
    state: Arc<ShopState>,
}

impl Api for Graphql {
    fn answer(&self, request: &SeenRequest) -> ShopAnswer {
        match (request.verb(), request.path().as_str()) {
            ("GET" | "POST", PATH) => {
                graphql::answer(request, |operation| self.perform(request, operation))
            }
            ("POST", REFRESH) => self.refresh(request),
            ("GET", "/") => ShopAnswer::html("<!doctype html><title>Shop</title><h1>Welcome</h1>"),
            _ => self.not_found(),
        }
    }

    fn sign_in(&self, customer: &Customer) -> String {
        let mut claims = self.state.mint.claims(&customer.subject(), LIFETIME_S);
        claims["prv"] = json!(PROVIDER);
        Mint::sign(&claims)
    }

    fn is_logout(&self, request: &SeenRequest) -> bool {
        let operations = graphql::operations(request);
        request.path() == PATH && operations.iter().any(|known| known.names("customerLogout"))
    }

    fn not_found(&self) -> ShopAnswer {
        said(404, "Not Found")
    }
}

impl Graphql {
    pub(super) fn new(state: Arc<ShopState>) -> Self {
        Self { state }
    }

    fn perform(&self, request: &SeenRequest, operation: &GraphQlOperation) -> Value {
        let data = |field: &str, payload: Value| json!({"data": {field: payload}});
        if operation.names("customerLogin") {
            return self.log_in(
                &operation.argument("email"),
                &operation.argument("password"),
            );
        }
        if operation.names("customerLogout") {
            let Some((identity, _)) = self.visitor(request) else {
                return unauthenticated();
            };
            self.state.ledger.revoke_token(&identity);
            let message = "Success: Customer logout successful.";
            return data(
                "customerLogout",
                json!({"success": true, "message": message}),
            );
        }
        if operation.names("accountInfo") {
            return match self.visitor(request) {
                Some((_, customer)) => data("accountInfo", account(&customer)),
                None => unauthenticated(),
            };
        }
        data("allProducts", json!({"data": products()}))
    }

    fn log_in(&self, email: &str, password: &str) -> Value {
        match self.state.customers.log_in(email, password) {
            LoginOutcome::Welcome(customer) => {
                let payload = json!({
                    "success": true,
                    "message": "Success: Customer login successfully.",
                    "accessToken": self.sign_in(&customer),
                    "tokenType": "Bearer",
                    "expiresIn": LIFETIME_S,
                    "customer": account(&customer),
                });
                json!({"data": {"customerLogin": payload}})
            }
            LoginOutcome::WrongPassword | LoginOutcome::Suspended => {
                graphql::error("Invalid Email or Password.", &json!({}))
            }
        }
    }

    fn visitor(&self, request: &SeenRequest) -> Option<(TokenIdentity, Customer)> {
        let token = token_of(request)?;
        let claims = self.state.mint.verify(&token)?;
        self.known(&token, &claims)
    }

    fn known(&self, token: &str, claims: &Value) -> Option<(TokenIdentity, Customer)> {
        let identity = TokenIdentity::from_claims(token, claims, "/jti", "/sub");
        if self.state.ledger.covers(&identity) {
            return None;
        }
        let customer = self.state.customers.with_subject(&identity.subject)?;
        Some((identity, customer))
    }

    /// A token for a token, which may have expired. The new one says that it was issued when the first one was; the
    /// old one goes on the list.
    fn refresh(&self, request: &SeenRequest) -> ShopAnswer {
        match self.refreshed(request) {
            Some(token) => ShopAnswer::json(
                200,
                &json!({"access_token": token, "token_type": "bearer", "expires_in": LIFETIME_S}),
            ),
            None => said(401, UNAUTHENTICATED),
        }
    }

    fn refreshed(&self, request: &SeenRequest) -> Option<String> {
        let mint = &self.state.mint;
        let token = token_of(request)?;
        let mut claims = Mint::signed_claims(&token)?;
        let (identity, _) = self.known(&token, &claims)?;
        let now = mint.clock.now();
        if now >= claims["iat"].as_i64()? + REFRESHABLE_S {
            return None;
        }
        self.state.ledger.revoke_token(&identity);
        claims["nbf"] = json!(now);
        claims["exp"] = json!(now + LIFETIME_S);
        claims["jti"] = json!(mint.random_text(LETTERS_AND_DIGITS, 16));
        Some(Mint::sign(&claims))
    }
}

fn unauthenticated() -> Value {
    graphql::error(UNAUTHENTICATED, &json!({}))
}

/// Where the library looks, in its order.
fn token_of(request: &SeenRequest) -> Option<String> {
    let header = request.header("authorization").and_then(after_bearer);
    let in_json = || request.json()["token"].as_str().map(str::to_owned);
    let in_form = || Some(request.form("token")).filter(|token| !token.is_empty());
    header
        .map(str::to_owned)
        .or_else(|| request.query("token"))
        .or_else(in_json)
        .or_else(in_form)
        .or_else(|| request.cookie("token"))
}

/// What follows the last "bearer" anywhere in the value, up to a comma.
fn after_bearer(value: &str) -> Option<&str> {
    const WORD: &str = "bearer";
    let at = value.to_ascii_lowercase().rfind(WORD)?;
    let rest = &value[at + WORD.len()..];
    let token = rest.split(',').next().unwrap_or_default().trim();
    (!token.is_empty()).then_some(token)
}
