//! A site with a login of its own and an Ecwid store in its pages.
//!
//! The site's token is a JWT in an `HttpOnly` cookie. Ecwid is a stand-in script; how it loads and how its sign-out
//! goes is said by the query of the page, `/?load=late&sign-out=fails`.

use std::sync::Arc;

use serde_json::json;

use crate::demo::shop::api::{Api, ShopState};
use crate::demo::shop::customers::{Customer, LoginOutcome};
use crate::demo::shop::ledger::TokenIdentity;
use crate::demo::shop::mint::{ISSUER, Mint};
use crate::demo::shop::wire::{SeenRequest, ShopAnswer};

/// The cookie that the site knows its customers by.
pub(in crate::demo::shop) const COOKIE: &str = "site_token";

const WEEK_S: i64 = 7 * 24 * 3600;
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
/// Nothing from elsewhere, and no code in the page itself.
const POLICY: &str = "default-src 'self'; script-src 'self'";

/// A site with an Ecwid store.
pub(in crate::demo::shop) struct Ecwid {
    state: Arc<ShopState>,
}

impl Api for Ecwid {
    fn answer(&self, request: &SeenRequest) -> ShopAnswer {
        match (request.verb(), request.path().as_str()) {
            ("GET", "/") => page(request),
            ("GET", "/page.js") => script(include_str!("page.js")),
            ("GET", "/ecwid/script.js") => script(include_str!("script.js")),
            ("GET", "/favicon.ico") => ShopAnswer::json(204, &json!(null)),
            ("POST", "/login") => self.log_in(request),
            ("GET", "/account") => self.account(request),
            _ => self.not_found(),
        }
    }

    fn sign_in(&self, customer: &Customer) -> String {
        let mint = &self.state.mint;
        let now = mint.clock.now();
        Mint::sign(&json!({
            "iss": ISSUER,
            "sub": customer.subject(),
            "iat": now,
            "exp": now + WEEK_S,
            "jti": mint.random_text(LETTERS, 16),
        }))
    }

    /// It has none: that is what Doorward is there for.
    fn is_logout(&self, _: &SeenRequest) -> bool {
        false
    }

    fn not_found(&self) -> ShopAnswer {
        ShopAnswer::json(404, &json!({"message": "Not Found"}))
    }
}

impl Ecwid {
    pub(in crate::demo::shop) fn new(state: Arc<ShopState>) -> Self {
        Self { state }
    }

    fn log_in(&self, request: &SeenRequest) -> ShopAnswer {
        let body = request.json();
        let word = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let customers = &self.state.customers;
        match customers.log_in(&word("email"), &word("password")) {
            LoginOutcome::Welcome(customer) => {
                let token = self.sign_in(&customer);
                let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax");
                let body = json!({"email": customer.email, "token": token}); // for pages that keep it themselves
                ShopAnswer::json(200, &body).with("Set-Cookie", cookie)
            }
            LoginOutcome::WrongPassword | LoginOutcome::Suspended => unauthenticated(),
        }
    }

    /// The cookie counts, or a bearer where the page keeps the token itself.
    fn account(&self, request: &SeenRequest) -> ShopAnswer {
        let bearer = request.authorization("Bearer").map(str::to_owned);
        let token = bearer.or_else(|| request.cookie(COOKIE));
        let customer = token.and_then(|token| self.holder_of(&token));
        customer.map_or_else(unauthenticated, |customer| {
            ShopAnswer::json(200, &json!({"email": customer.email}))
        })
    }

    fn holder_of(&self, token: &str) -> Option<Customer> {
        let claims = self.state.mint.verify(token)?;
        let identity = TokenIdentity::from_claims(token, &claims, "/jti", "/sub");
        self.state.customers.with_subject(&identity.subject)
    }
}

fn page(request: &SeenRequest) -> ShopAnswer {
    let query = request.target.find('?').map(|at| &request.target[at..]);
    let plain = |text: &&str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"?=&-".contains(&byte))
    };
    let query = query.filter(plain).unwrap_or_default();
    ShopAnswer::html(&include_str!("page.html").replace("{query}", query))
        .with("Content-Security-Policy", POLICY)
}

fn script(text: &str) -> ShopAnswer {
    ShopAnswer::html(text).with("Content-Type", "text/javascript; charset=utf-8")
}

fn unauthenticated() -> ShopAnswer {
    ShopAnswer::json(401, &json!({"message": "Unauthenticated"}))
}
