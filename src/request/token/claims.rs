//! The claims of a token, parsed strictly (RFC 7519 section 4).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::flaw::{ClaimName, Flaw, Unreadable};
use crate::clock::UnixTime;
use crate::request::payload::{NO_CHARACTER, Pointer};
use crate::revocation::Window;

/// Where the claims stand in a payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The token's own id.
    pub id: Pointer,
    /// The customer. Where one claim is not unique, several together: the last names the customer, those before it a
    /// population, which may be missing.
    pub subject: Vec<Pointer>,
    /// The session.
    pub session: Pointer,
    /// The end.
    pub expires_at: TimeClaim,
    /// When it was issued: by a claim, or computed from the end.
    pub issued_at: IssuedAt,
}

/// Where a time stands, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeClaim {
    /// Where it stands.
    pub pointer: Pointer,
    /// Its unit, if configured: then the digits may stand in quotes, too. `None`: a `NumericDate`.
    pub unit: Option<TimeUnit>,
}

/// The unit of a time since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// From where the issue time is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IssuedAt {
    /// By a claim.
    Claim(TimeClaim),
    /// From another claim, less a span: for shops whose tokens live for a fixed time.
    Before(TimeClaim, Duration),
}

/// The values of the claims that are used.
pub(in crate::request) struct ClaimValues {
    /// The token's id; `None`: it is named by its fingerprint.
    pub(in crate::request) id: Option<String>,
    pub(in crate::request) subject: Option<String>,
    pub(in crate::request) session: Option<String>,
    /// Rounded up.
    pub(in crate::request) expires_at: Option<UnixTime>,
    /// Rounded down, like the issue time.
    pub(in crate::request) not_before: Option<UnixTime>,
    pub(in crate::request) issued_at: Option<UnixTime>,
}

impl Claims {
    /// The claims of a payload whose signature is verified.
    pub(in crate::request) fn values_in(&self, payload: &Value) -> Result<ClaimValues, Flaw> {
        let expires_at = self.expires_at.pointer.find(payload);
        let unit = self.expires_at.unit;
        Ok(ClaimValues {
            id: self.token_id(payload)?,
            subject: self.customer(payload)?,
            session: parse_name(ClaimName::Session, self.session.find(payload))?,
            expires_at: parse_end(expires_at, unit)?,
            not_before: parse_moment(payload.get("nbf"), unit)
                .map_err(|found| Flaw::Claim(ClaimName::NotBefore, found))?,
            issued_at: self.issued_at.moment_in(payload)?,
        })
    }

    /// The token's id. A value of another type is ignored, because the token has a fingerprint.
    fn token_id(&self, payload: &Value) -> Result<Option<String>, Flaw> {
        let value = self.id.find(payload);
        refuse_broken(ClaimName::Id, value)?;
        Ok(value.and_then(name_from_json))
    }

    /// The customer's name: `3`, or `b/3` of several parts, each escaped as in a JSON pointer, so that names are unique.
    /// `None` without the last part; another missing part is empty.
    pub(super) fn customer(&self, payload: &Value) -> Result<Option<String>, Flaw> {
        let part = |pointer: &Pointer| parse_name(ClaimName::Subject, pointer.find(payload));
        let Some((last, populations)) = self.subject.split_last() else {
            return Ok(None);
        };
        let populations: Result<Vec<_>, _> = populations.iter().map(part).collect();
        let (populations, Some(last)) = (populations?, part(last)?) else {
            return Ok(None);
        };
        if populations.is_empty() {
            return Ok(Some(last));
        }
        let escaped = |part: String| part.replace('~', "~0").replace('/', "~1");
        let parts = populations.into_iter().map(Option::unwrap_or_default);
        let parts: Vec<_> = parts.chain([last]).map(escaped).collect();
        Ok(Some(parts.join("/")))
    }

    /// The customer's name without a population: as it was before populations were configured. `None`: the name has one
    /// part only.
    pub(in crate::request) fn former_customer(&self, payload: &Value) -> Option<String> {
        let (last, populations) = self.subject.split_last()?;
        let value = last.find(payload).filter(|_| !populations.is_empty());
        value.and_then(name_from_json)
    }
}

impl IssuedAt {
    /// The claim that says it; `None`: it is computed from another one.
    pub(super) fn claim(&self) -> Option<&TimeClaim> {
        match self {
            Self::Claim(claim) => Some(claim),
            Self::Before(..) => None,
        }
    }

    /// The source as a text: `/iat`, `/exp-3600`, with `ms` for milliseconds.
    pub(in crate::request) fn source_text(&self) -> String {
        let (claim, span) = match self {
            Self::Claim(claim) => (claim, Duration::ZERO),
            Self::Before(claim, span) => (claim, *span),
        };
        let unit = match claim.unit {
            None | Some(TimeUnit::Seconds) => "",
            Some(TimeUnit::Milliseconds) => "ms",
        };
        let minus = (!span.is_zero()).then(|| format!("-{}", span.as_secs()));
        format!("{}{unit}{}", claim.pointer, minus.unwrap_or_default())
    }

    fn moment_in(&self, payload: &Value) -> Result<Option<UnixTime>, Flaw> {
        let read = |claim: &TimeClaim| {
            let moment = parse_moment(claim.pointer.find(payload), claim.unit);
            moment.map_err(|found| Flaw::Claim(ClaimName::IssuedAt, found))
        };
        match self {
            Self::Claim(claim) => read(claim),
            Self::Before(claim, span) => {
                let from = read(claim)?;
                Ok(from.map(|from| from.minus(*span)))
            }
        }
    }
}

/// A moment in an answer of the shop; `None`: the value is missing or not a moment.
pub(in crate::request) fn moment_in_answer(value: Option<&Value>) -> Option<UnixTime> {
    parse_moment(value, None).ok().flatten()
}

#[derive(Clone, Copy)]
enum Rounding {
    Up,
    Down,
}

/// The end of a token, rounded up. A number that is too large counts as the last moment.
fn parse_end(claim: Option<&Value>, unit: Option<TimeUnit>) -> Result<Option<UnixTime>, Flaw> {
    match parse_seconds(claim, unit, Rounding::Up) {
        Err(Unreadable::TooLarge) => Ok(Some(Window::LAST_MOMENT)),
        read => read.map_err(|found| Flaw::Claim(ClaimName::ExpiresAt, found)),
    }
}

/// A moment, rounded down.
fn parse_moment(
    claim: Option<&Value>,
    unit: Option<TimeUnit>,
) -> Result<Option<UnixTime>, Unreadable> {
    parse_seconds(claim, unit, Rounding::Down)
}

/// A `NumericDate` (RFC 7519 section 2): a number, perhaps with a fraction, not negative; or a number in the configured
/// unit.
fn parse_seconds(
    claim: Option<&Value>,
    unit: Option<TimeUnit>,
    round: Rounding,
) -> Result<Option<UnixTime>, Unreadable> {
    let in_quotes: Number;
    let number = match claim {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(Value::String(text)) if unit.is_some() => {
            in_quotes = text.parse().map_err(|_| Unreadable::Text)?;
            &in_quotes
        }
        Some(other) => return Err(Unreadable::from_json(other)),
    };
    let divisor = match unit {
        None | Some(TimeUnit::Seconds) => 1,
        Some(TimeUnit::Milliseconds) => 1000,
    };
    let seconds = match (number.as_u64(), round, number.as_f64()) {
        (Some(whole), Rounding::Up, _) => whole.div_ceil(divisor),
        (Some(whole), Rounding::Down, _) => whole / divisor,
        (None, _, Some(fraction)) => whole_seconds(fraction, divisor, round)?,
        (None, _, None) => return Err(Unreadable::TooLarge),
    };
    let moment = UnixTime::from_seconds(seconds);
    if moment > Window::LAST_MOMENT {
        return Err(Unreadable::TooLarge);
    }
    Ok(Some(moment))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the range is checked first"
)]
fn whole_seconds(fraction: f64, divisor: u64, round: Rounding) -> Result<u64, Unreadable> {
    let seconds = fraction / divisor as f64;
    let whole = match round {
        Rounding::Up => seconds.ceil(),
        Rounding::Down => seconds.floor(),
    };
    if fraction < 0.0 {
        return Err(Unreadable::Negative);
    }
    if whole > Window::LAST_MOMENT.seconds() as f64 {
        return Err(Unreadable::TooLarge);
    }
    Ok(whole as u64)
}

/// A name: a string that is not empty, or a whole number (to shops 5 and "5" are the same customer).
pub(in crate::request) fn name_from_json(value: &Value) -> Option<String> {
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

/// A customer or session; an empty value names none. Another value that is not a name is refused: the shop may read a customer
/// from it, and no cutoff would reach the token.
fn parse_name(claim: ClaimName, value: Option<&Value>) -> Result<Option<String>, Flaw> {
    refuse_broken(claim, value)?;
    let value = value.filter(|value| !is_empty(value));
    let name =
        |value| name_from_json(value).ok_or(Flaw::Claim(claim, Unreadable::from_json(value)));
    value.map(name).transpose()
}

/// Whether a value is empty or false in some language.
pub(in crate::request) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_true) => !is_true,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// Refuses a text that two parsers could read as two names.
fn refuse_broken(claim: ClaimName, value: Option<&Value>) -> Result<(), Flaw> {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    if text.contains(NO_CHARACTER) {
        return Err(Flaw::Claim(claim, Unreadable::BrokenText));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(subject: &[&str]) -> Claims {
        let pointer = |text| Pointer::parse(text).unwrap();
        let time = |text, unit| TimeClaim {
            pointer: pointer(text),
            unit,
        };
        Claims {
            id: pointer("/jti"),
            subject: subject.iter().map(|text| pointer(text)).collect(),
            session: pointer("/sid"),
            expires_at: time("/exp", None),
            issued_at: IssuedAt::Claim(time("/iat", Some(TimeUnit::Milliseconds))),
        }
    }

    #[test]
    fn several_claims_name_a_customer_together_and_no_two_customers_alike_attacks_b12() {
        let claims = claims(&["/kind", "/id"]);
        let customer = |payload: Value| claims.values_in(&payload).map(|said| said.subject);
        let is = |name: &str| Ok(Some(name.to_owned()));
        assert_eq!(customer(json!({"kind": 3, "id": "7"})), is("3/7"));
        assert_eq!(customer(json!({"kind": "3/7", "id": "7~"})), is("3~17/7~0"));
        assert_eq!(customer(json!({"kind": "3", "id": "7/7"})), is("3/7~17"));
        assert_eq!(customer(json!({"id": 7})), is("/7"));
        assert_eq!(customer(json!({"kind": "", "id": 7})), is("/7"));
        assert_eq!(customer(json!({"kind": 3})), Ok(None));
        assert_eq!(customer(json!({"kind": 3, "id": []})), Ok(None));
        let flaw = Flaw::Claim(ClaimName::Subject, Unreadable::Array);
        assert_eq!(customer(json!({"kind": 3, "id": [7]})), Err(flaw));
        let former = claims.former_customer(&json!({"kind": 3, "id": 7}));
        assert_eq!(former.as_deref(), Some("7"));
    }

    #[test]
    fn an_empty_claim_names_no_customer_and_an_unreadable_one_is_refused_attacks_s5_field_f7() {
        let claims = claims(&["/sub"]);
        for empty in [json!(""), json!(false), json!([]), json!({}), json!(null)] {
            let said = claims
                .values_in(&json!({ "sub": empty, "sid": empty }))
                .unwrap();
            assert_eq!((said.subject, said.session), (None, None), "{empty}");
        }
        for (value, found) in [
            (json!(true), Unreadable::Boolean),
            (json!(5.5), Unreadable::Fraction),
            (json!([3]), Unreadable::Array),
            (json!({ "id": 3 }), Unreadable::Object),
            (json!("a\u{ffff}"), Unreadable::BrokenText),
        ] {
            for (claim, name) in [(ClaimName::Subject, "sub"), (ClaimName::Session, "sid")] {
                let read = claims.values_in(&json!({ name: value })).err();
                assert_eq!(read, Some(Flaw::Claim(claim, found)), "{value}");
            }
        }
    }

    #[test]
    fn an_end_may_be_as_far_ahead_as_it_likes_and_a_unit_may_be_told_attacks_s5_field_f7() {
        let claims = claims(&["/sub"]);
        let end = |value: Value| {
            claims
                .values_in(&json!({ "exp": value }))
                .map(|said| said.expires_at)
        };
        for far in [
            json!(9_223_372_036_854_775_u64),
            json!(9_007_199_254_740_991_u64),
            json!(253_402_300_799_999_u64),
            json!(u64::MAX),
            json!(1e300),
            json!(9.3e18),
        ] {
            assert_eq!(end(far.clone()), Ok(Some(Window::LAST_MOMENT)), "{far}");
        }
        let text = Flaw::Claim(ClaimName::ExpiresAt, Unreadable::Text);
        assert_eq!(end(json!("1790000000")), Err(text));
        let negative = Flaw::Claim(ClaimName::ExpiresAt, Unreadable::Negative);
        assert_eq!(end(json!(-1)), Err(negative));
        let begin = |value: Value| {
            claims
                .values_in(&json!({ "iat": value }))
                .map(|said| said.issued_at)
        };
        let at = |seconds| Ok(Some(UnixTime::from_seconds(seconds)));
        assert_eq!(begin(json!(1_790_000_000_999_u64)), at(1_790_000_000));
        assert_eq!(begin(json!("1790000000999")), at(1_790_000_000));
        assert_eq!(begin(json!(1_790_000_000_999.5)), at(1_790_000_000));
        for (value, found) in [
            (json!("soon"), Unreadable::Text),
            (json!(""), Unreadable::Text),
            (json!(true), Unreadable::Boolean),
            (json!(1e300), Unreadable::TooLarge),
        ] {
            assert_eq!(begin(value), Err(Flaw::Claim(ClaimName::IssuedAt, found)));
        }
    }
}
