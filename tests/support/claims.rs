//! The claims of a token, some of them other than usual.

use serde_json::Value;

/// The usual claims with these laid over them; `null` removes one.
pub fn overlaid(mut usual: Value, over: &Value) -> Value {
    let claims = usual.as_object_mut().unwrap();
    claims.extend(over.as_object().unwrap().clone());
    claims.retain(|_, value| !value.is_null());
    usual
}
