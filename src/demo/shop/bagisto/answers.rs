//! What the three APIs of Bagisto answer in the same words.

use serde_json::{Value, json};

use crate::demo::shop::customers::Customer;
use crate::demo::shop::wire::{SeenRequest, ShopAnswer};

/// The only client key this shop has issued.
pub(in crate::demo::shop) const KEY: &str = "pk_storefront_0123456789abcdefghijklmnopqrstuv";

/// What the coded API says to a request without a customer.
pub(super) const UNAUTHENTICATED: &str = "Unauthenticated. Please login to perform this action";

/// What REST says to a request without the shop's client key, or with a wrong one.
pub(super) fn key_refusal(request: &SeenRequest) -> Option<ShopAnswer> {
    match request.header("x-storefront-key") {
        Some(KEY) => None,
        Some(_) => {
            let body =
                json!({"message": "Invalid or inactive shop API key", "error": "invalid_key"});
            Some(ShopAnswer::json(403, &body))
        }
        None => {
            let body = missing_key("X-STOREFRONT-KEY header is required");
            Some(ShopAnswer::json(401, &body))
        }
    }
}

pub(super) fn missing_key(message: &str) -> Value {
    json!({
        "message": message,
        "error": "missing_key",
        "header_name": "X-STOREFRONT-KEY",
        "key_type": "shop",
    })
}

pub(super) fn said(status: u16, message: &str) -> ShopAnswer {
    ShopAnswer::json(status, &json!({"message": message}))
}

/// Public: needs no token.
pub(super) fn products() -> Value {
    json!([{"id": 1, "sku": "kettle", "name": "Kettle"}, {"id": 2, "sku": "mug", "name": "Mug"}])
}

pub(super) fn name_card(customer: &Customer) -> Value {
    json!({
        "id": customer.id,
        "firstName": customer.first_name,
        "lastName": customer.last_name,
        "email": customer.email,
    })
}

pub(super) fn account(customer: &Customer) -> Value {
    let mut account = name_card(customer);
    account["phone"] = json!("1234567890");
    account["status"] = json!(1);
    account
}
