//! Which answers of a shop say that it has logged the customer out.

use std::ops::RangeInclusive;

use http::StatusCode;
use serde_json::Value;

use crate::request::payload::{Pointer, json};

/// The answers of a shop that count as a yes. Many shops say no with 200 or 201, and only in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Its status is one of these.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// Its body is JSON and has all of these.
    pub json: Vec<(Pointer, Wanted)>,
}

/// The value that a place of an answer must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Anything but null.
    Anything,
    /// This value.
    Value(Value),
}

impl Default for Agreement {
    /// Any success (RFC 9110 section 15.3).
    fn default() -> Self {
        Self {
            statuses: vec![200..=299],
            json: Vec::new(),
        }
    }
}

impl Agreement {
    /// The answers to a form that was accepted: a page or a redirect. A shop refuses a forged form with 4xx.
    pub(in crate::request) fn for_form() -> Self {
        Self {
            statuses: vec![200..=399],
            json: Vec::new(),
        }
    }

    /// Whether an answer is a yes. One whose body can't be parsed is not.
    pub fn holds(&self, status: StatusCode, body: &[u8]) -> bool {
        self.has_status(status)
            && (self.json.is_empty() || json::parse(body).is_some_and(|body| self.fits(&body)))
    }

    /// Whether an answer with this status can be a yes.
    pub(in crate::request) fn has_status(&self, status: StatusCode) -> bool {
        let mut statuses = self.statuses.iter();
        statuses.any(|one| one.contains(&status.as_u16()))
    }

    /// Whether it depends on the body.
    pub fn reads_body(&self) -> bool {
        !self.json.is_empty()
    }

    fn fits(&self, body: &Value) -> bool {
        self.json.iter().all(|(pointer, wanted)| match wanted {
            Wanted::Anything => pointer.find(body).is_some(),
            Wanted::Value(value) => pointer.find(body) == Some(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreement(json: &[(&str, Wanted)]) -> Agreement {
        let place =
            |(text, wanted): &(&str, Wanted)| (Pointer::parse(text).unwrap(), wanted.clone());
        Agreement {
            statuses: vec![201..=201, 300..=399],
            json: json.iter().map(place).collect(),
        }
    }

    #[test]
    fn a_yes_has_the_status_and_every_value() {
        let holds = |agreement: &Agreement, status, body: &str| {
            agreement.holds(StatusCode::from_u16(status).unwrap(), body.as_bytes())
        };
        let by_status = agreement(&[]);
        assert!(holds(&by_status, 201, "") && holds(&by_status, 302, "<html>"));
        assert!(!holds(&by_status, 200, ""));
        assert!(holds(&Agreement::default(), 204, "") && !holds(&Agreement::default(), 401, ""));
        let yes = agreement(&[
            ("/success", Wanted::Value(Value::Bool(true))),
            ("/data/id", Wanted::Anything),
        ]);
        assert!(holds(&yes, 201, r#"{"success":true,"data":{"id":0}}"#));
        for no in [
            r#"{"success":false,"data":{"id":0}}"#,
            r#"{"success":"true","data":{"id":0}}"#,
            r#"{"success":true,"data":{"id":null}}"#,
            r#"{"success":true,"success":true,"data":{"id":0}}"#,
            r#"{"success":true}"#,
            "true",
            "",
        ] {
            assert!(!holds(&yes, 201, no), "{no}");
        }
    }
}
