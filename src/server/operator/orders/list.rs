//! Lists every revocation in force, a line of JSON each.

use std::sync::Arc;

use serde_json::{Value, json};

use super::pieces::LongAnswer;
use crate::server::operator::control::Control;

/// The media type of a list.
const LINES: &str = "application/x-ndjson";

impl Control {
    /// Every token and cutoff in force, those of one part of the set after those of another: no more than a part is in
    /// memory. `shop`: only those that are known to be of this shop. The last line counts.
    pub(in crate::server::operator) fn list(self: &Arc<Self>, shop: Option<String>) -> LongAnswer {
        let control = Arc::clone(self);
        LongAnswer::made_by(LINES, move |out| {
            let snapshot = control.snapshot.load_full();
            let gate = &snapshot.gate;
            let (mut listed, mut others) = (0_u64, 0_u64);
            for bucket in gate.revocations().buckets() {
                for entry in gate.revocations().entries(bucket) {
                    let told = control.tell_entry(gate, &entry);
                    if shop.as_deref().is_some_and(|shop| !is_of(&told, shop)) {
                        others += 1;
                        continue;
                    }
                    listed += 1;
                    out.buffer.extend_from_slice(told.to_string().as_bytes());
                    out.buffer.push(b'\n');
                    if !out.goes_on() {
                        return;
                    }
                }
            }
            let end = json!({ "listed": listed, "not_known_to_be_of_the_shop": others });
            out.buffer.extend_from_slice(end.to_string().as_bytes());
            out.buffer.push(b'\n');
        })
    }
}

fn is_of(told: &Value, shop: &str) -> bool {
    let shops = told["shop"].as_str().unwrap_or_default();
    shops.split(", ").any(|one| one == shop)
}
