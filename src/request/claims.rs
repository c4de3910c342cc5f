//! What the payload of a token says, read strictly (RFC 7519 section 4).

use std::time::Duration;

use serde_json::Value;

use super::flaw::Flaw;
use super::json::Pointer;
use crate::clock::UnixTime;
use crate::revocation::Window;

/// Where the claims stand in a payload.
#[derive(Debug, PartialEq, Eq)]
pub struct Claims {
    /// The token's own id.
    pub id: Pointer,
    /// The customer; where one claim does not tell all customers apart, several that do so together.
    pub subject: Vec<Pointer>,
    /// The session.
    pub session: Pointer,
    /// The end.
    pub expires_at: Pointer,
    /// The beginning, as the token says it or as it follows from the end.
    pub issued_at: IssuedAt,
}

/// How a token says when it was issued.
#[derive(Debug, PartialEq, Eq)]
pub enum IssuedAt {
    /// By a claim.
    Claim(Pointer),
    /// So long before another claim, for shops whose tokens live for a fixed time.
    Before(Pointer, Duration),
}

/// What a payload says, as far as we ask.
pub(super) struct Said {
    /// The token's id; without one it is known by its fingerprint.
    pub(super) id: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) session: Option<String>,
    /// Rounded up.
    pub(super) expires_at: Option<UnixTime>,
    /// Rounded down, as the beginning is too.
    pub(super) not_before: Option<UnixTime>,
    pub(super) issued_at: Option<UnixTime>,
}

impl Claims {
    /// Reads a payload whose signature is good.
    pub(super) fn read(&self, payload: &Value) -> Result<Said, Flaw> {
        Ok(Said {
            id: self.id.find(payload).and_then(name_of),
            subject: self.customer(payload)?,
            session: named(self.session.find(payload))?,
            expires_at: moment(self.expires_at.find(payload), Round::Up)?,
            not_before: moment(payload.get("nbf"), Round::Down)?,
            issued_at: self.issued_at.read(payload)?,
        })
    }
}

impl Claims {
    /// The parts of the customer's name, if all are there: `3/7`, each part written as in a JSON pointer, so that no
    /// two customers have the same.
    fn customer(&self, payload: &Value) -> Result<Option<String>, Flaw> {
        if let [only] = self.subject.as_slice() {
            return named(only.find(payload));
        }
        let parts = self.subject.iter().map(|part| named(part.find(payload)));
        let parts: Option<Vec<_>> = parts.collect::<Result<_, _>>()?;
        let escaped = |part: &String| part.replace('~', "~0").replace('/', "~1");
        Ok(parts.map(|parts| parts.iter().map(escaped).collect::<Vec<_>>().join("/")))
    }
}

impl IssuedAt {
    fn read(&self, payload: &Value) -> Result<Option<UnixTime>, Flaw> {
        match self {
            Self::Claim(pointer) => moment(pointer.find(payload), Round::Down),
            Self::Before(pointer, span) => {
                let from = moment(pointer.find(payload), Round::Down)?;
                Ok(from.map(|from| from.minus(*span)))
            }
        }
    }
}

/// A moment that an answer of the shop names; what is none is left out.
pub(super) fn moment_of(value: Option<&Value>) -> Option<UnixTime> {
    moment(value, Round::Down).ok().flatten()
}

#[derive(Clone, Copy)]
enum Round {
    Up,
    Down,
}

/// A `NumericDate` (RFC 7519 section 2): a number, perhaps with a fraction, not negative, not absurd.
fn moment(claim: Option<&Value>, round: Round) -> Result<Option<UnixTime>, Flaw> {
    let number = match claim {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(Flaw::Claim),
    };
    let seconds = match (number.as_u64(), number.as_f64()) {
        (Some(whole), _) => whole,
        (None, Some(fraction)) => whole_seconds(fraction, round).ok_or(Flaw::Claim)?,
        (None, None) => return Err(Flaw::Claim),
    };
    let moment = UnixTime::from_seconds(seconds);
    if moment > Window::LAST_MOMENT {
        return Err(Flaw::Claim);
    }
    Ok(Some(moment))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the range is checked first"
)]
fn whole_seconds(fraction: f64, round: Round) -> Option<u64> {
    let whole = match round {
        Round::Up => fraction.ceil(),
        Round::Down => fraction.floor(),
    };
    let fits = fraction >= 0.0 && whole <= Window::LAST_MOMENT.seconds() as f64;
    fits.then_some(whole as u64)
}

/// A name as one text: a string that is not empty, or a whole number (to a shop 5 and "5" are one customer).
pub(super) fn name_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => None,
    }
}

/// A customer or session: absent, or a proper name. Anything else is a token that we do not understand.
fn named(value: Option<&Value>) -> Result<Option<String>, Flaw> {
    value
        .map(|value| name_of(value).ok_or(Flaw::Claim))
        .transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn several_claims_name_a_customer_together_and_no_two_customers_alike() {
        let pointer = |text| Pointer::parse(text).unwrap();
        let claims = Claims {
            id: pointer("/jti"),
            subject: vec![pointer("/kind"), pointer("/id")],
            session: pointer("/sid"),
            expires_at: pointer("/exp"),
            issued_at: IssuedAt::Claim(pointer("/iat")),
        };
        let customer = |payload: Value| claims.read(&payload).map(|said| said.subject);
        let is = |name: &str| Ok(Some(name.to_owned()));
        assert_eq!(customer(json!({"kind": 3, "id": "7"})), is("3/7"));
        assert_eq!(customer(json!({"kind": "3/7", "id": "7~"})), is("3~17/7~0"));
        assert_eq!(customer(json!({"kind": "3", "id": "7/7"})), is("3/7~17"));
        assert_eq!(customer(json!({"kind": 3})), Ok(None));
        assert_eq!(customer(json!({"kind": 3, "id": []})), Err(Flaw::Claim));
    }
}
