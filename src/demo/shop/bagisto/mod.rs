//! The three storefront APIs that Bagisto has, and the words they share.

mod sanctum;
mod tokens;
mod hourly_limit;
mod coded;
mod documented;
mod graphql;

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::{Api, Backroom};
use super::customers::Customer;
use super::wire::{Answer, Seen};

use self::coded::Coded;
use self::documented::Documented;
use self::graphql::Graphql;
use self::sanctum::Lookup;
use self::tokens::Tokens;

/// The only client key this shop has issued.
pub(super) const KEY: &str = "pk_storefront_0123456789abcdefghijklmnopqrstuv";

const UNAUTHENTICATED: &str = "Unauthenticated. Please login to perform this action";

/// The headless API as its documentation tells it, which has the coded paths as well. Both know the tokens of both.
pub(super) fn as_documented(backroom: Arc<Backroom>) -> Box<dyn Api> {
    let tokens = Tokens::of_both_kinds(Arc::clone(&backroom));
    Box::new(Documented::new(backroom, Arc::new(tokens)))
}

/// The headless API as its code behaves (bagisto/bagisto-api), weak look-ups included.
pub(super) fn as_coded(backroom: Arc<Backroom>) -> Box<dyn Api> {
    let tokens = Tokens::opaque(Arc::clone(&backroom), Lookup::RowAlone);
    Box::new(Coded::new(backroom, Arc::new(tokens)))
}

/// The older GraphQL API with JWTs (bagisto/headless-ecommerce).
pub(super) fn as_graphql(backroom: Arc<Backroom>) -> Box<dyn Api> {
    Box::new(Graphql::new(backroom))
}

/// What REST says to a request without the shop's client key, or with a wrong one.
fn key_refusal(request: &Seen) -> Option<Answer> {
    match request.header("x-storefront-key") {
        Some(KEY) => None,
        Some(_) => {
            let body =
                json!({"message": "Invalid or inactive shop API key", "error": "invalid_key"});
            Some(Answer::json(403, &body))
        }
        None => {
            let body = missing_key("X-STOREFRONT-KEY header is required");
            Some(Answer::json(401, &body))
        }
    }
}

fn missing_key(message: &str) -> Value {
    json!({
        "message": message,
        "error": "missing_key",
        "header_name": "X-STOREFRONT-KEY",
        "key_type": "shop",
    })
}

fn said(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({"message": message}))
}

/// Public: nobody looks at who is asking.
fn products() -> Value {
    json!([{"id": 1, "sku": "kettle", "name": "Kettle"}, {"id": 2, "sku": "mug", "name": "Mug"}])
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

#[cfg(test)]
mod tests;
