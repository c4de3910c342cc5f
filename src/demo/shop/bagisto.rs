//! Bagisto's shop API: the paths its documentation names, and those its code has.

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::{Api, Backroom};
use super::customers::{Attempt, Customer};
use super::ledger::Identity;
use super::mint::{ISSUER, Mint};
use super::sanctum::{LETTERS_AND_DIGITS, Sanctum};
use super::wire::{Answer, Seen};

/// The only client key this shop has issued.
pub(super) const KEY: &str = "pk_storefront_0123456789abcdefghijklmnopqrstuv";

const DOCUMENTED_LOGOUT: &str = "/api/shop/customers/logout";
const CODED_LOGOUT: &str = "/api/shop/customer/logout";
const WEEK_S: i64 = 7 * 24 * 3600;
const UNAUTHENTICATED: &str = "Unauthenticated. Please login to perform this action";

/// A Bagisto shop.
pub(super) struct Bagisto {
    backroom: Arc<Backroom>,
    sanctum: Sanctum,
}

impl Api for Bagisto {
    fn answer(&self, request: &Seen) -> Answer {
        let path = request.path();
        if path.starts_with("/api/shop") {
            return key_refusal(request).unwrap_or_else(|| self.answer_with_key(request, &path));
        }
        match (request.verb(), path.as_str()) {
            ("GET", "/") => Answer::html("<!doctype html><title>Shop</title><h1>Welcome</h1>"),
            ("GET", "/cart") => self.cart(request),
            _ => self.not_found(),
        }
    }

    fn sign_in(&self, customer: &Customer) -> String {
        let mint = &self.backroom.mint;
        let now = mint.clock.now();
        Mint::sign(&json!({
            "iss": ISSUER,
            "sub": customer.subject(),
            "iat": now,
            "nbf": now,
            "exp": now + WEEK_S,
            "jti": mint.word(LETTERS_AND_DIGITS, 16),
        }))
    }

    fn is_logout(&self, request: &Seen) -> bool {
        request.verb() == "POST"
            && [DOCUMENTED_LOGOUT, CODED_LOGOUT].contains(&request.path().as_str())
    }

    fn not_found(&self) -> Answer {
        said(404, "Not Found")
    }
}

impl Bagisto {
    pub(super) fn new(backroom: Arc<Backroom>) -> Self {
        Self {
            backroom,
            sanctum: Sanctum::default(),
        }
    }

    fn answer_with_key(&self, request: &Seen, path: &str) -> Answer {
        match (request.verb(), path) {
            ("POST", "/api/shop/customers/login") => self.log_in(request),
            ("GET", "/api/shop/customers/verify-token") => self.verify_token(request),
            ("GET", "/api/shop/customers/profile") => self.profile(request),
            ("POST", DOCUMENTED_LOGOUT) => self.log_out(request),
            ("POST", "/api/shop/customers") => self.register(request),
            ("GET", "/api/shop/products") => products(),
            ("POST", "/api/shop/customer/login") => self.log_in_as_coded(request),
            ("POST", "/api/shop/verify-tokens") => self.verify_token_as_coded(request),
            ("GET", "/api/shop/customer-profile") => self.profile_as_coded(request),
            ("POST", CODED_LOGOUT) => self.log_out_as_coded(request),
            _ => self.not_found(),
        }
    }

    fn log_in(&self, request: &Seen) -> Answer {
        let body = request.json();
        let (Some(email), Some(password)) = (body["email"].as_str(), body["password"].as_str())
        else {
            return said(400, "The email and password fields are required");
        };
        match self.backroom.customers.log_in(email, password) {
            Attempt::Welcome(customer) => {
                let account =
                    json!({"customer": account(&customer), "token": self.sign_in(&customer)});
                Answer::json(
                    200,
                    &json!({"message": "Logged in successfully", "data": account}),
                )
            }
            Attempt::WrongPassword => said(401, "Invalid email or password"),
            Attempt::Suspended => said(403, "Your account has been suspended"),
        }
    }

    fn verify_token(&self, request: &Seen) -> Answer {
        if request.header("authorization").is_none() {
            return said(400, "A Bearer token must be provided");
        }
        let Some(customer) = self.bearer_of(request) else {
            return said(401, "Token is invalid or expired");
        };
        let verified = json!({"valid": true, "customer": name_card(&customer)});
        Answer::json(200, &json!({"data": verified, "message": "Token is valid"}))
    }

    fn profile(&self, request: &Seen) -> Answer {
        match self.bearer_of(request) {
            Some(customer) => Answer::json(200, &json!({"data": {"customer": account(&customer)}})),
            None => said(401, "Unauthenticated."),
        }
    }

    /// Not Bagisto's: the page every shop has, for stories that are not about an API.
    fn cart(&self, request: &Seen) -> Answer {
        match self.bearer_of(request) {
            Some(customer) => Answer::json(
                200,
                &json!({"data": {"customer_id": customer.id, "items": []}}),
            ),
            None => said(401, "Unauthenticated."),
        }
    }

    /// Ends every session of the customer, as documented.
    fn log_out(&self, request: &Seen) -> Answer {
        let Some(token) = request.authorization("Bearer") else {
            return said(
                400,
                "Invalid logout request: a Bearer token must be provided",
            );
        };
        if self.owner(token).is_none() {
            return said(401, "Only authenticated customers can log out");
        }
        match self.identity(token) {
            Some(identity) => self
                .backroom
                .ledger
                .revoke_subject(&identity, self.backroom.mint.clock.now()),
            None => self.sanctum.revoke(token, self.backroom.ledger.mood()),
        }
        said(200, "Successfully logged out")
    }

    fn register(&self, request: &Seen) -> Answer {
        let body = request.json();
        let field = |name: &str| body[name].as_str().unwrap_or_default();
        let (email, password) = (field("email"), field("password"));
        let customers = &self.backroom.customers;
        if email.is_empty() || password.is_empty() || customers.known(email) {
            return said(
                422,
                "The email has already been taken, or a field is missing",
            );
        }
        let customer = customers.register(field("firstName"), field("lastName"), email, password);
        let data = json!({"customer": account(&customer)});
        Answer::json(
            201,
            &json!({"message": "Customer registered successfully", "data": data}),
        )
    }

    fn log_in_as_coded(&self, request: &Seen) -> Answer {
        let body = request.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        match self
            .backroom
            .customers
            .log_in(text("email"), text("password"))
        {
            Attempt::Welcome(customer) => {
                let token = self.sanctum.issue(&self.backroom.mint, &customer);
                logged_in_as_coded(customer.id, &token, true, "You have logged in successfully")
            }
            Attempt::WrongPassword => logged_in_as_coded(0, "", false, "Invalid email or password"),
            Attempt::Suspended => {
                logged_in_as_coded(0, "", false, "Your account has been suspended")
            }
        }
    }

    fn verify_token_as_coded(&self, request: &Seen) -> Answer {
        let mut verified = match self.bearer_of(request) {
            Some(customer) => name_card(&customer),
            None => json!({"id": 0, "firstName": "", "lastName": "", "email": ""}),
        };
        let valid = verified["id"] != 0;
        verified["isValid"] = json!(valid);
        verified["message"] = json!(if valid {
            "Token is valid"
        } else {
            UNAUTHENTICATED
        });
        Answer::json(201, &verified)
    }

    fn profile_as_coded(&self, request: &Seen) -> Answer {
        if let Some(customer) = self.bearer_of(request) {
            return Answer::json(200, &json!([account(&customer)]));
        }
        let problem = json!({"type": "/errors/401", "title": "Unauthorized", "status": 401});
        Answer::json(401, &problem).with("Content-Type", "application/problem+json")
    }

    /// Ends the presented token only, and says 201 whatever happens, as the code does.
    fn log_out_as_coded(&self, request: &Seen) -> Answer {
        let token = request.authorization("Bearer").unwrap_or_default();
        if self.owner(token).is_none() {
            return Answer::json(201, &json!({"success": false, "message": UNAUTHENTICATED}));
        }
        match self.identity(token) {
            Some(identity) => self.backroom.ledger.revoke_token(&identity),
            None => self.sanctum.revoke(token, self.backroom.ledger.mood()),
        }
        Answer::json(
            201,
            &json!({"success": true, "message": "Logged out successfully"}),
        )
    }

    fn bearer_of(&self, request: &Seen) -> Option<Customer> {
        self.owner(request.authorization("Bearer")?)
    }

    /// Whose token this is: a JWT of the documented API, or an opaque one of the real code.
    fn owner(&self, token: &str) -> Option<Customer> {
        let Some(identity) = self.identity(token) else {
            return self.sanctum.owner(token);
        };
        if self.backroom.ledger.covers(&identity) {
            return None;
        }
        self.backroom.customers.with_subject(&identity.subject)
    }

    fn identity(&self, token: &str) -> Option<Identity> {
        let claims = self.backroom.mint.verify(token)?;
        Some(Identity::of(token, &claims, "/jti", "/sub"))
    }
}

fn key_refusal(request: &Seen) -> Option<Answer> {
    match request.header("x-storefront-key") {
        Some(KEY) => None,
        Some(_) => {
            let body =
                json!({"message": "Invalid or inactive shop API key", "error": "invalid_key"});
            Some(Answer::json(403, &body))
        }
        None => {
            let body = json!({
                "message": "X-STOREFRONT-KEY header is required",
                "error": "missing_key",
                "header_name": "X-STOREFRONT-KEY",
                "key_type": "shop",
            });
            Some(Answer::json(401, &body))
        }
    }
}

fn said(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({"message": message}))
}

fn products() -> Answer {
    let catalogue = json!([{"id": 1, "sku": "kettle", "name": "Kettle"}, {"id": 2, "sku": "mug", "name": "Mug"}]);
    Answer::json(200, &json!({"data": catalogue}))
}

fn logged_in_as_coded(id: u64, token: &str, success: bool, message: &str) -> Answer {
    let api_token = if success {
        format!("{id:080}")
    } else {
        String::new()
    };
    let body = json!({
        "id": id, "_id": id, "apiToken": api_token, "token": token, "success": success, "message": message,
    });
    Answer::json(201, &body)
}

fn name_card(customer: &Customer) -> Value {
    json!({
        "id": customer.id,
        "firstName": customer.first_name,
        "lastName": customer.last_name,
        "email": customer.email,
    })
}

fn account(customer: &Customer) -> Value {
    let mut account = name_card(customer);
    account["phone"] = json!("1234567890");
    account["status"] = json!(1);
    account
}
