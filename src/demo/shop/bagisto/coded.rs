//! Bagisto's headless API as its code behaves: bagisto/bagisto-api, REST and GraphQL, with opaque tokens.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answers::{
    KEY, UNAUTHENTICATED, account, key_refusal, missing_key, name_card, products, said,
};
use super::hourly_limit::{HourlyLimit, seconds_left};
use super::sanctum::Lookup;
use super::tokens::BearerTokens;
use crate::demo::shop::api::{Api, ShopState};
use crate::demo::shop::customers::{Customer, LoginOutcome};
use crate::demo::shop::graphql::{self, GraphQlOperation};
use crate::demo::shop::wire::{SeenRequest, ShopAnswer};

const LOGOUT: &str = "/api/shop/customer/logout";
const GRAPHQL: &str = "/api/graphql";

/// A shop as the code runs it.
pub(super) struct Coded {
    state: Arc<ShopState>,
    tokens: Arc<BearerTokens>,
    limit: HourlyLimit,
}

impl Api for Coded {
    fn answer(&self, request: &SeenRequest) -> ShopAnswer {
        let path = request.path();
        if path == GRAPHQL {
            return self.answer_graphql(request);
        }
        if path.starts_with("/api/shop") {
            return key_refusal(request).unwrap_or_else(|| self.answer_with_key(request));
        }
        match (request.verb(), path.as_str()) {
            ("GET", "/") => ShopAnswer::html("<!doctype html><title>Shop</title><h1>Welcome</h1>"),
            _ => self.not_found(),
        }
    }

    fn sign_in(&self, customer: &Customer) -> String {
        self.tokens.issue_opaque(customer)
    }

    fn is_logout(&self, request: &SeenRequest) -> bool {
        request.verb() == "POST" && request.path() == LOGOUT
            || request.path() == GRAPHQL
                && graphql::operations(request)
                    .iter()
                    .any(|operation| operation.names("createLogout"))
    }

    fn not_found(&self) -> ShopAnswer {
        said(404, "Not Found")
    }

    /// Says how long in the body only: no `Retry-After`.
    fn limited(&self) -> ShopAnswer {
        let wait_s = seconds_left(self.state.mint.clock.now());
        let body = json!({"message": "Rate limit exceeded", "error": "rate_limit_exceeded", "retry_after": wait_s});
        ShopAnswer::json(429, &body)
    }

    fn trust_row_ids(&self, trusted: bool) {
        self.tokens.fall_back_on(if trusted {
            Lookup::RowAlone
        } else {
            Lookup::Secret
        });
    }
}

impl Coded {
    pub(super) fn new(state: Arc<ShopState>, tokens: Arc<BearerTokens>) -> Self {
        Self {
            state,
            tokens,
            limit: HourlyLimit::default(),
        }
    }

    fn answer_with_key(&self, request: &SeenRequest) -> ShopAnswer {
        let answer = self
            .answer_rest(request)
            .unwrap_or_else(|| self.not_found());
        self.limit.count(&self.state.mint.clock, answer)
    }

    /// The REST paths of the code; none where it has no such path. Every POST is answered 201, whatever happens.
    pub(super) fn answer_rest(&self, request: &SeenRequest) -> Option<ShopAnswer> {
        let answer = match (request.verb(), request.path().as_str()) {
            ("POST", "/api/shop/customer/login") => {
                let body = request.json();
                let text = |name: &str| body[name].as_str().unwrap_or_default();
                ShopAnswer::json(201, &self.log_in(text("email"), text("password")))
            }
            ("POST", "/api/shop/verify-tokens") => ShopAnswer::json(201, &self.verify(request)),
            ("POST", LOGOUT) => ShopAnswer::json(201, &self.log_out(request)),
            ("GET", "/api/shop/customer-profile") => self.profile(request),
            ("GET", "/api/shop/products") => ShopAnswer::json(200, &json!({"data": products()})),
            _ => return None,
        };
        Some(answer)
    }

    fn log_in(&self, email: &str, password: &str) -> Value {
        match self.state.customers.log_in(email, password) {
            LoginOutcome::Welcome(customer) => {
                let token = self.tokens.issue_opaque(&customer);
                logged_in(customer.id, &token, true, "You have logged in successfully")
            }
            LoginOutcome::WrongPassword => logged_in(0, "", false, "Invalid email or password"),
            LoginOutcome::Suspended => logged_in(0, "", false, "Your account has been suspended"),
        }
    }

    fn verify(&self, request: &SeenRequest) -> Value {
        let customer = bearer(request).and_then(|token| self.tokens.owner(token));
        let (mut verified, message) = match &customer {
            Some(customer) => (name_card(customer), "Token is valid"),
            None => (
                json!({"id": 0, "firstName": "", "lastName": "", "email": ""}),
                UNAUTHENTICATED,
            ),
        };
        verified["isValid"] = json!(customer.is_some());
        verified["message"] = json!(message);
        verified
    }

    fn profile(&self, request: &SeenRequest) -> ShopAnswer {
        if let Some(customer) = self.presumed(request) {
            return ShopAnswer::json(200, &json!([account(&customer)]));
        }
        let problem = json!({"type": "/errors/401", "title": "Unauthorized", "status": 401});
        ShopAnswer::json(401, &problem).with("Content-Type", "application/problem+json")
    }

    /// Ends the presented token only.
    fn log_out(&self, request: &SeenRequest) -> Value {
        let customer = self.presumed(request);
        if let Some(token) = bearer(request).filter(|_| customer.is_some()) {
            self.tokens.end(token);
            return json!({"success": true, "message": "Logged out successfully"});
        }
        json!({"success": false, "message": UNAUTHENTICATED})
    }

    fn presumed(&self, request: &SeenRequest) -> Option<Customer> {
        self.tokens.presumed_owner(bearer(request)?)
    }

    fn answer_graphql(&self, request: &SeenRequest) -> ShopAnswer {
        let operations = graphql::operations(request);
        let introspects = |operation: &GraphQlOperation| {
            ["__schema", "__type"]
                .iter()
                .any(|word| operation.text.contains(word))
        };
        if !operations.iter().any(introspects)
            && let Some(refusal) = graphql_key_refusal(request)
        {
            return refusal;
        }
        let answer = graphql::answer(request, |operation| self.perform(request, operation));
        self.limit.count(&self.state.mint.clock, answer) // counted, but GraphQL is never refused
    }

    fn perform(&self, request: &SeenRequest, operation: &GraphQlOperation) -> Value {
        let data = |field: &str, payload: Value| json!({"data": {field: payload}});
        if operation.names("createLogout") {
            return data("createLogout", json!({"logout": self.log_out(request)}));
        }
        if operation.names("createVerifyToken") {
            let payload = json!({"verifyToken": self.verify(request)});
            return data("createVerifyToken", payload);
        }
        if operation.names("createCustomerLogin") {
            let (email, password) = (operation.argument("email"), operation.argument("password"));
            let payload = self.log_in(&email, &password);
            return data("createCustomerLogin", json!({"customerLogin": payload}));
        }
        if operation.names("readCustomerProfile") {
            return match self.presumed(request) {
                Some(customer) => data("readCustomerProfile", account(&customer)),
                None => graphql::error(UNAUTHENTICATED, &json!({})),
            };
        }
        data("products", products())
    }
}

fn bearer(request: &SeenRequest) -> Option<&str> {
    request.authorization("Bearer")
}

fn graphql_key_refusal(request: &SeenRequest) -> Option<ShopAnswer> {
    let mut body = match request.header("x-storefront-key") {
        Some(KEY) => return None,
        Some(_) => json!({"message": "Invalid API key", "error": "invalid_key"}),
        None => missing_key("X-STOREFRONT-KEY header is required for this operation"),
    };
    let errors = graphql::error(
        body["message"].as_str().unwrap_or_default(),
        &json!({"code": "UNAUTHENTICATED"}),
    );
    body["errors"] = errors["errors"].clone();
    Some(ShopAnswer::json(401, &body))
}

fn logged_in(id: u64, token: &str, success: bool, message: &str) -> Value {
    let api_token = if success {
        format!("{id:080}")
    } else {
        String::new()
    };
    json!({
        "id": id, "_id": id, "apiToken": api_token, "token": token, "success": success, "message": message,
    })
}
