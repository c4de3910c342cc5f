//! `CoCart`'s API on `WordPress`, with its plugin for JWTs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::login::{self, LOGIN, PROFILE, Sessions};
use super::refresh_tokens::RefreshTokens;
use super::site;
use crate::demo::shop::api::{Api, ShopState};
use crate::demo::shop::customers::{Customer, LoginOutcome};
use crate::demo::shop::ledger::{Mood, TokenIdentity};
use crate::demo::shop::mint::{HEXADECIMAL, ISSUER, Mint};
use crate::demo::shop::wire::{SeenRequest, ShopAnswer};

const TEN_DAYS_S: i64 = 10 * 24 * 3600;
const LOGOUTS: [&str; 2] = ["/cocart/v1/logout", "/cocart/v2/logout"];

/// A `WordPress` shop with `CoCart`.
pub(in crate::demo::shop) struct Cocart {
    state: Arc<ShopState>,
    refresh_tokens: RefreshTokens,
    sessions: Sessions,
    /// What lies in the carts of customers; guests have none here.
    carts: Mutex<HashMap<u64, Vec<Value>>>,
    cart_deleted: AtomicBool,
}

/// Who is asking, as far as `Authorization` tells.
enum Visitor {
    Guest,
    Customer(Customer, Option<TokenIdentity>),
}

impl Api for Cocart {
    fn answer(&self, request: &SeenRequest) -> ShopAnswer {
        let Some(route) = rest_route(request) else {
            return self.page(request);
        };
        let answer = if request.verb() == "OPTIONS" {
            site::rest(200, &json!({})) // a preflight carries no credential, so nothing is checked
        } else {
            match self.visitor(request) {
                Ok(visitor) => self.answer_visitor(request, &route, &visitor),
                Err(refusal) => refusal,
            }
        };
        site::allow_origin(request, answer)
    }

    fn sign_in(&self, customer: &Customer) -> String {
        self.sign_in_on(customer, "")
    }

    fn is_logout(&self, request: &SeenRequest) -> bool {
        login::is_logout(request)
            || request.verb() == "POST"
                && rest_route(request).is_some_and(|route| LOGOUTS.contains(&route.as_str()))
    }

    fn not_found(&self) -> ShopAnswer {
        site::error(
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
    pub(in crate::demo::shop) fn new(state: Arc<ShopState>) -> Self {
        Self {
            state,
            refresh_tokens: RefreshTokens::default(),
            sessions: Sessions::default(),
            carts: Mutex::default(),
            cart_deleted: AtomicBool::new(false),
        }
    }

    fn page(&self, request: &SeenRequest) -> ShopAnswer {
        match (request.verb(), request.path().as_str()) {
            ("GET", "/") => ShopAnswer::html("<!doctype html><title>Shop</title><h1>Welcome</h1>"),
            ("GET", LOGIN) if login::is_logout(request) => self.follow_logout(request),
            ("POST", LOGIN) => self.sessions.log_in(request, &self.state),
            ("GET", PROFILE) => self.sessions.profile(request),
            _ => self.not_found(),
        }
    }

    fn answer_visitor(&self, request: &SeenRequest, route: &str, visitor: &Visitor) -> ShopAnswer {
        match (request.verb(), route) {
            ("POST", route) if LOGOUTS.contains(&route) => self.log_out(request, visitor),
            ("POST", "/cocart/v1/login" | "/cocart/v2/login") => self.log_in(request, visitor),
            ("POST", "/cocart/jwt/validate-token") => validate_token(visitor),
            ("POST", "/cocart/jwt/refresh-token") => self.refresh(request),
            ("GET", "/cocart/v1/cart" | "/cocart/v2/cart") => self.cart(visitor),
            ("POST", "/cocart/v2/cart/add-item") => self.add_item(request, visitor),
            _ => self.not_found(),
        }
    }

    /// A token that does not convince fails the request wherever it goes, public routes included.
    fn visitor(&self, request: &SeenRequest) -> Result<Visitor, ShopAnswer> {
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
        match self.state.customers.log_in(name, password) {
            LoginOutcome::Welcome(customer) => Ok(Visitor::Customer(customer, None)),
            LoginOutcome::WrongPassword | LoginOutcome::Suspended => Err(site::error(
                401,
                "cocart_authentication_error",
                "Authentication invalid!",
            )),
        }
    }

    fn bearer(&self, request: &SeenRequest, token: &str) -> Option<Visitor> {
        let claims = self.state.mint.verify(token)?;
        let device = claims
            .pointer("/data/user/device")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !device.is_empty() && device != user_agent(request) {
            return None;
        }
        let identity = identity_of(token, &claims);
        if self.state.ledger.covers(&identity) {
            return None;
        }
        let customer = self.state.customers.with_subject(&identity.subject)?;
        Some(Visitor::Customer(customer, Some(identity)))
    }

    /// Clears the browser. Only a recognised customer loses tokens and cart.
    fn log_out(&self, request: &SeenRequest, visitor: &Visitor) -> ShopAnswer {
        let user = match visitor {
            Visitor::Guest => 0,
            Visitor::Customer(customer, identity) => {
                if let Some(identity) = identity {
                    self.state.ledger.revoke_token(identity);
                }
                self.forget(customer);
                customer.id
            }
        };
        self.sessions.end(request, self.state.ledger.mood());
        let answer = site::rest(200, &json!(true));
        site::delete_cookies(answer, user, &self.state.mint.clock)
    }

    /// The link of the site's pages.
    fn follow_logout(&self, request: &SeenRequest) -> ShopAnswer {
        if !login::is_meant(request) {
            return login::are_you_sure();
        }
        let customer = self.sessions.customer(request);
        if let Some(customer) = &customer {
            self.forget(customer);
        }
        self.sessions.end(request, self.state.ledger.mood());
        let user = customer.map_or(0, |customer| customer.id);
        let answer = login::goodbye(request);
        site::delete_cookies(answer, user, &self.state.mint.clock)
    }

    /// Deletes the cart of the customer in every mood, and the tokens if the shop is honest.
    fn forget(&self, customer: &Customer) {
        self.carts.lock().remove(&customer.id);
        self.cart_deleted.store(true, Ordering::SeqCst);
        let (ledger, now) = (&self.state.ledger, self.state.mint.clock.now());
        ledger.cut_off(&customer.id.to_string(), now);
        match ledger.mood() {
            Mood::Honest => self.refresh_tokens.forget(customer),
            Mood::Stateless => {}
        }
    }

    fn cart(&self, visitor: &Visitor) -> ShopAnswer {
        let (user, items) = match visitor {
            Visitor::Guest => (json!({"user_id": 0}), Vec::new()),
            Visitor::Customer(customer, _) => (
                json!({"user_id": customer.id, "email": customer.email}),
                self.carts
                    .lock()
                    .get(&customer.id)
                    .cloned()
                    .unwrap_or_default(),
            ),
        };
        let cart = json!({"customer": user, "item_count": items.len(), "items": items});
        site::rest(200, &cart)
    }

    /// Every item is a kettle.
    fn add_item(&self, request: &SeenRequest, visitor: &Visitor) -> ShopAnswer {
        if let Visitor::Customer(customer, _) = visitor {
            let id = request.json()["id"].clone();
            let kettle = json!({"id": id, "name": "Kettle"});
            self.carts
                .lock()
                .entry(customer.id)
                .or_default()
                .push(kettle);
        }
        self.cart(visitor)
    }

    fn log_in(&self, request: &SeenRequest, visitor: &Visitor) -> ShopAnswer {
        let Visitor::Customer(customer, _) = visitor else {
            return site::error(
                401,
                "cocart_authentication_error",
                "You are not authenticated.",
            );
        };
        let token = self.sign_in_on(customer, user_agent(request));
        let refresh = self
            .refresh_tokens
            .issue(&self.state.mint, customer, &token);
        let extras = json!({"jwt_token": token, "jwt_refresh": refresh});
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
        site::rest(200, &body)
    }

    /// A new pair for an old one, which ends with it.
    fn refresh(&self, request: &SeenRequest) -> ShopAnswer {
        let refused = |message: &str| site::error(403, "cocart_authentication_error", message);
        let body = request.json();
        let Some(old) = body["refresh_token"].as_str() else {
            return refused("Refresh token is required.");
        };
        let mint = &self.state.mint;
        let grant = match self.refresh_tokens.redeem(old, mint.clock.now()) {
            Ok(grant) => grant,
            Err(message) => return refused(message),
        };
        if let Some(claims) = Mint::signed_claims(&grant.jwt) {
            let ended = identity_of(&grant.jwt, &claims);
            self.state.ledger.revoke_token(&ended);
        }
        let token = self.sign_in_on(&grant.customer, user_agent(request));
        let refresh = self.refresh_tokens.issue(mint, &grant.customer, &token);
        site::rest(200, &json!({"token": token, "refresh_token": refresh}))
    }

    /// The token holds on this device only; one without a device holds on all of them.
    fn sign_in_on(&self, customer: &Customer, device: &str) -> String {
        let mint = &self.state.mint;
        let now = mint.clock.now();
        let user = json!({
            "id": customer.id,
            "username": customer.username(),
            "ip": "127.0.0.1",
            "device": device,
            "pat": format!("pat_{}", mint.random_text(HEXADECIMAL, 24)),
        });
        Mint::sign(&json!({
            "iss": ISSUER, "iat": now, "nbf": now, "exp": now + TEN_DAYS_S, "data": {"user": user},
        }))
    }
}

/// The route in either spelling: `/wp-json/...`, or `?rest_route=` where permalinks are plain. Routes have no case.
fn rest_route(request: &SeenRequest) -> Option<String> {
    let path = request.path();
    let below_front = path.strip_prefix("/index.php").unwrap_or(&path);
    if let Some(route) = below_front.strip_prefix("/wp-json") {
        return Some(route.to_ascii_lowercase());
    }
    let front = path == "/" || path == "/index.php";
    let route = request.query("rest_route").filter(|_| front)?;
    Some(route.trim_end_matches('/').to_ascii_lowercase())
}

fn identity_of(token: &str, claims: &Value) -> TokenIdentity {
    TokenIdentity::from_claims(token, claims, "/data/user/pat", "/data/user/id")
}

fn user_agent(request: &SeenRequest) -> &str {
    request.header("user-agent").unwrap_or_default()
}

fn bad_token() -> ShopAnswer {
    site::error(403, "cocart_authentication_error", "Authentication failed.")
}

fn validate_token(visitor: &Visitor) -> ShopAnswer {
    match visitor {
        Visitor::Customer(_, Some(_)) => site::rest(200, &json!({"message": "Token is valid."})),
        Visitor::Customer(_, None) | Visitor::Guest => site::error(
            401,
            "cocart_rest_permission_error",
            "Authorization header not found.",
        ),
    }
}
