//! Bagisto's headless shop API as its documentation tells it: JWTs, and a logout that ends them all.

use std::sync::Arc;

use serde_json::json;

use super::answers::{account, key_refusal, name_card, said};
use super::coded::Coded;
use super::tokens::BearerTokens;
use crate::demo::shop::api::{Api, ShopState};
use crate::demo::shop::customers::{Customer, LoginOutcome};
use crate::demo::shop::mint::Mint;
use crate::demo::shop::wire::{SeenRequest, ShopAnswer};

const LOGOUT: &str = "/api/shop/customers/logout";
const WEEK_S: i64 = 7 * 24 * 3600;

/// A shop as documented. The paths of the code are there as well.
pub(super) struct Documented {
    state: Arc<ShopState>,
    tokens: Arc<BearerTokens>,
    coded: Coded,
}

impl Api for Documented {
    fn answer(&self, request: &SeenRequest) -> ShopAnswer {
        let path = request.path();
        if path.starts_with("/api/shop") {
            return key_refusal(request).unwrap_or_else(|| self.answer_with_key(request, &path));
        }
        match (request.verb(), path.as_str()) {
            ("GET", "/") => ShopAnswer::html("<!doctype html><title>Shop</title><h1>Welcome</h1>"),
            ("GET", "/cart") => self.cart(request),
            _ => self.not_found(),
        }
    }

    fn sign_in(&self, customer: &Customer) -> String {
        Mint::sign(&self.state.mint.claims(&customer.subject(), WEEK_S))
    }

    fn is_logout(&self, request: &SeenRequest) -> bool {
        request.verb() == "POST" && request.path() == LOGOUT || self.coded.is_logout(request)
    }

    fn not_found(&self) -> ShopAnswer {
        said(404, "Not Found")
    }
}

impl Documented {
    pub(super) fn new(state: Arc<ShopState>, tokens: Arc<BearerTokens>) -> Self {
        Self {
            coded: Coded::new(Arc::clone(&state), Arc::clone(&tokens)),
            state,
            tokens,
        }
    }

    fn answer_with_key(&self, request: &SeenRequest, path: &str) -> ShopAnswer {
        match (request.verb(), path) {
            ("POST", "/api/shop/customers/login") => self.log_in(request),
            ("GET", "/api/shop/customers/verify-token") => self.verify_token(request),
            ("GET", "/api/shop/customers/profile") => self.profile(request),
            ("POST", LOGOUT) => self.log_out(request),
            ("POST", "/api/shop/customers") => self.register(request),
            _ => {
                let as_coded = self.coded.answer_rest(request);
                as_coded.unwrap_or_else(|| self.not_found())
            }
        }
    }

    fn log_in(&self, request: &SeenRequest) -> ShopAnswer {
        let body = request.json();
        let (Some(email), Some(password)) = (body["email"].as_str(), body["password"].as_str())
        else {
            return said(400, "The email and password fields are required");
        };
        match self.state.customers.log_in(email, password) {
            LoginOutcome::Welcome(customer) => {
                let account =
                    json!({"customer": account(&customer), "token": self.sign_in(&customer)});
                ShopAnswer::json(
                    200,
                    &json!({"message": "Logged in successfully", "data": account}),
                )
            }
            LoginOutcome::WrongPassword => said(401, "Invalid email or password"),
            LoginOutcome::Suspended => said(403, "Your account has been suspended"),
        }
    }

    fn verify_token(&self, request: &SeenRequest) -> ShopAnswer {
        if request.header("authorization").is_none() {
            return said(400, "A Bearer token must be provided");
        }
        let Some(customer) = self.bearer_of(request) else {
            return said(401, "Token is invalid or expired");
        };
        let verified = json!({"valid": true, "customer": name_card(&customer)});
        ShopAnswer::json(200, &json!({"data": verified, "message": "Token is valid"}))
    }

    fn profile(&self, request: &SeenRequest) -> ShopAnswer {
        match self.bearer_of(request) {
            Some(customer) => {
                ShopAnswer::json(200, &json!({"data": {"customer": account(&customer)}}))
            }
            None => said(401, "Unauthenticated."),
        }
    }

    /// Not Bagisto's: the page every shop has, for stories that are not about an API.
    fn cart(&self, request: &SeenRequest) -> ShopAnswer {
        match self.bearer_of(request) {
            Some(customer) => ShopAnswer::json(
                200,
                &json!({"data": {"customer_id": customer.id, "items": []}}),
            ),
            None => said(401, "Unauthenticated."),
        }
    }

    /// Ends every session of the customer, as documented.
    fn log_out(&self, request: &SeenRequest) -> ShopAnswer {
        let Some(token) = request.authorization("Bearer") else {
            return said(
                400,
                "Invalid logout request: a Bearer token must be provided",
            );
        };
        if self.tokens.owner(token).is_none() {
            return said(401, "Only authenticated customers can log out");
        }
        self.tokens.end_all(token);
        said(200, "Successfully logged out")
    }

    fn register(&self, request: &SeenRequest) -> ShopAnswer {
        let body = request.json();
        let field = |name: &str| body[name].as_str().unwrap_or_default();
        let (email, password) = (field("email"), field("password"));
        let customers = &self.state.customers;
        if email.is_empty() || password.is_empty() || customers.known(email) {
            return said(
                422,
                "The email has already been taken, or a field is missing",
            );
        }
        let customer = customers.register(field("firstName"), field("lastName"), email, password);
        let data = json!({"customer": account(&customer)});
        ShopAnswer::json(
            201,
            &json!({"message": "Customer registered successfully", "data": data}),
        )
    }

    fn bearer_of(&self, request: &SeenRequest) -> Option<Customer> {
        self.tokens.owner(request.authorization("Bearer")?)
    }
}
