//! `CoCart`'s API on `WordPress`, with its plugin for JWTs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::api::{Api, Backroom};
use super::customers::{Attempt, Customer};
use super::ledger::Identity;
use super::mint::{ISSUER, Mint};
use super::wire::{Answer, Seen};
use super::wordpress;

const TEN_DAYS_S: i64 = 10 * 24 * 3600;
const HEXADECIMAL: &str = "0123456789abcdef";
const LOGOUTS: [&str; 2] = ["/cocart/v1/logout", "/cocart/v2/logout"];

/// A `WordPress` shop with `CoCart`.
pub(super) struct Cocart {
    backroom: Arc<Backroom>,
    /// Whose each refresh token is; using one replaces it.
    refresh_tokens: Mutex<HashMap<String, Customer>>,
    cart_deleted: AtomicBool,
}

/// Who is asking, as far as `Authorization` tells.
enum Visitor {
    Guest,
    Customer(Customer, Option<Identity>),
}

impl Api for Cocart {
    fn answer(&self, request: &Seen) -> Answer {
        let Some(route) = rest_route(request) else {
            return self.page(request);
        };
        let answer = if request.verb() == "OPTIONS" {
            wordpress::rest(200, &json!({})) // a preflight carries no credential, so nothing is checked
        } else {
            match self.visitor(request) {
                Ok(visitor) => self.answer_visitor(request, &route, &visitor),
                Err(refusal) => refusal,
            }
        };
        wordpress::allow_origin(request, answer)
    }

    fn sign_in(&self, customer: &Customer) -> String {
        self.sign_in_on(customer, "")
    }

    fn is_logout(&self, request: &Seen) -> bool {
        request.verb() == "POST"
            && rest_route(request).is_some_and(|route| LOGOUTS.contains(&route.as_str()))
    }

    fn not_found(&self) -> Answer {
        wordpress::error(
            404,
            "rest_no_route",
            "No route was found matching the URL and request method.",
        )
    }

    fn cart_deleted(&self) -> bool {
        self.cart_deleted.load(Ordering::SeqCst)
    }
}

impl Cocart {
    pub(super) fn new(backroom: Arc<Backroom>) -> Self {
        Self {
            backroom,
            refresh_tokens: Mutex::default(),
            cart_deleted: AtomicBool::new(false),
        }
    }

    fn page(&self, request: &Seen) -> Answer {
        match (request.verb(), request.path().as_str()) {
            ("GET", "/") => Answer::html("<!doctype html><title>Shop</title><h1>Welcome</h1>"),
            _ => self.not_found(),
        }
    }

    fn answer_visitor(&self, request: &Seen, route: &str, visitor: &Visitor) -> Answer {
        match (request.verb(), route) {
            ("POST", route) if LOGOUTS.contains(&route) => self.log_out(visitor),
            ("POST", "/cocart/v1/login" | "/cocart/v2/login") => self.log_in(request, visitor),
            ("POST", "/cocart/jwt/validate-token") => validate_token(visitor),
            ("POST", "/cocart/jwt/refresh-token") => self.refresh(request),
            ("GET", "/cocart/v1/cart" | "/cocart/v2/cart") => cart(visitor),
            _ => self.not_found(),
        }
    }

    /// A token that does not convince fails the request wherever it goes, public routes included.
    fn visitor(&self, request: &Seen) -> Result<Visitor, Answer> {
        if let Some(token) = request.authorization("Bearer") {
            return self.bearer(request, token).ok_or_else(bad_token);
        }
        let Some(basic) = request.authorization("Basic") else {
            return Ok(Visitor::Guest);
        };
        let pair = STANDARD
            .decode(basic)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .unwrap_or_default();
        let (name, password) = pair.split_once(':').unwrap_or_default();
        match self.backroom.customers.log_in(name, password) {
            Attempt::Welcome(customer) => Ok(Visitor::Customer(customer, None)),
            Attempt::WrongPassword | Attempt::Suspended => Err(wordpress::error(
                401,
                "cocart_authentication_error",
                "Authentication invalid!",
            )),
        }
    }

    fn bearer(&self, request: &Seen, token: &str) -> Option<Visitor> {
        let claims = self.backroom.mint.verify(token)?;
        let device = claims
            .pointer("/data/user/device")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !device.is_empty() && device != user_agent(request) {
            return None;
        }
        let identity = Identity::of(token, &claims, "/data/user/pat", "/data/user/id");
        if self.backroom.ledger.covers(&identity) {
            return None;
        }
        let customer = self.backroom.customers.with_subject(&identity.subject)?;
        Some(Visitor::Customer(customer, Some(identity)))
    }

    /// Clears the browser. Only who is recognised loses tokens and cart with it.
    fn log_out(&self, visitor: &Visitor) -> Answer {
        let clock = &self.backroom.mint.clock;
        match visitor {
            Visitor::Guest => {}
            Visitor::Customer(customer, identity) => {
                self.cart_deleted.store(true, Ordering::SeqCst);
                self.refresh_tokens
                    .lock()
                    .retain(|_, owner| owner.id != customer.id);
                if let Some(identity) = identity {
                    self.backroom.ledger.revoke_subject(identity, clock.now());
                }
            }
        }
        wordpress::delete_cookies(wordpress::rest(200, &json!(true)), clock)
    }

    fn log_in(&self, request: &Seen, visitor: &Visitor) -> Answer {
        let Visitor::Customer(customer, _) = visitor else {
            return wordpress::error(
                401,
                "cocart_authentication_error",
                "You are not authenticated.",
            );
        };
        let extras = json!({
            "jwt_token": self.sign_in_on(customer, user_agent(request)),
            "jwt_refresh": self.refresh_token_for(customer),
        });
        let body = json!({
            "user_id": customer.id.to_string(),
            "first_name": customer.first_name,
            "last_name": customer.last_name,
            "display_name": customer.username(),
            "role": "Customer",
            "email": customer.email,
            "extras": extras,
            "dev_note": "Don't forget to store the users login information in order to authenticate all other routes with CoCart.",
        });
        wordpress::rest(200, &body)
    }

    fn refresh(&self, request: &Seen) -> Answer {
        let body = request.json();
        let Some(old) = body["refresh_token"].as_str() else {
            return wordpress::error(
                403,
                "cocart_authentication_error",
                "Refresh token is required.",
            );
        };
        let Some(customer) = self.refresh_tokens.lock().remove(old) else {
            return wordpress::error(403, "cocart_authentication_error", "Invalid refresh token.");
        };
        let token = self.sign_in_on(&customer, user_agent(request));
        wordpress::rest(
            200,
            &json!({"token": token, "refresh_token": self.refresh_token_for(&customer)}),
        )
    }

    /// The token holds on this device only; one without a device holds on all of them.
    fn sign_in_on(&self, customer: &Customer, device: &str) -> String {
        let mint = &self.backroom.mint;
        let now = mint.clock.now();
        let user = json!({
            "id": customer.id,
            "username": customer.username(),
            "ip": "127.0.0.1",
            "device": device,
            "pat": format!("pat_{}", mint.word(HEXADECIMAL, 24)),
        });
        Mint::sign(&json!({
            "iss": ISSUER, "iat": now, "nbf": now, "exp": now + TEN_DAYS_S, "data": {"user": user},
        }))
    }

    fn refresh_token_for(&self, customer: &Customer) -> String {
        let token = self.backroom.mint.word(HEXADECIMAL, 128);
        self.refresh_tokens
            .lock()
            .insert(token.clone(), customer.clone());
        token
    }
}

/// The route in either spelling: `/wp-json/...`, or `?rest_route=` where permalinks are plain.
fn rest_route(request: &Seen) -> Option<String> {
    let path = request.path();
    if let Some(route) = path.strip_prefix("/wp-json") {
        return Some(route.to_owned());
    }
    let front = path == "/" || path == "/index.php";
    let route = request.query("rest_route").filter(|_| front)?;
    Some(route.trim_end_matches('/').to_owned())
}

fn user_agent(request: &Seen) -> &str {
    request.header("user-agent").unwrap_or_default()
}

fn bad_token() -> Answer {
    wordpress::error(403, "cocart_authentication_error", "Authentication failed.")
}

fn validate_token(visitor: &Visitor) -> Answer {
    match visitor {
        Visitor::Customer(_, Some(_)) => {
            wordpress::rest(200, &json!({"message": "Token is valid."}))
        }
        Visitor::Customer(_, None) | Visitor::Guest => wordpress::error(
            401,
            "cocart_rest_permission_error",
            "Authorization header not found.",
        ),
    }
}

fn cart(visitor: &Visitor) -> Answer {
    let customer = match visitor {
        Visitor::Guest => json!({"user_id": 0}),
        Visitor::Customer(customer, _) => json!({"user_id": customer.id, "email": customer.email}),
    };
    wordpress::rest(
        200,
        &json!({"customer": customer, "items": [], "item_count": 0}),
    )
}
