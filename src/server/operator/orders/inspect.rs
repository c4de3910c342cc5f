//! Looks a token up: whether it is refused, by what and since when, and what it says.

use std::iter::once;

use http::StatusCode;
use serde_json::{Value, json};

use crate::clock;
use crate::request::{Gate, HIDDEN_CUSTOMER, PastedClaims, Shop, Target, Token};
use crate::revocation::{Cause, Id, Identity, Revocation, Window};
use crate::server::operator::control::{Control, ControlResult, parse_order, shop_of, unfit};
use crate::server::operator::order::ControlOrder;

/// Why nothing is known of an entry but that it is there.
const UNTOLD: &str = "when and by which rule it was revoked is not known here: another node revoked it, or this one before \
    its last start. The journal keeps that for customers, and for single tokens only their end";

/// A digest by which a token is looked up.
struct TokenLookup {
    id: Id,
    window: Window,
    cause: Cause,
    /// Whether it is what the token was called under a former configuration.
    is_former: bool,
    entry: Option<Revocation>,
}

impl Control {
    /// Whether a token would be refused, and why; `null`: only the shop knows.
    pub(in crate::server::operator) fn look(&self, gate: &Gate, body: &[u8]) -> ControlResult {
        let order: ControlOrder = parse_order(body)?;
        let shop = shop_of(gate, &order)?;
        let Target::Token(text) = &order.target else {
            let why = "only a token can be looked up";
            return Err((StatusCode::BAD_REQUEST, why.into()));
        };
        let shown = shop
            .parse_pasted(text, clock::now())
            .map_err(|why| unfit(&why))?;
        let by_digest = shown.refused_by(gate.revocations());
        let token = match &shown.token {
            Ok(token) => token,
            Err(flaw) => {
                let told = json!({
                    "shop": shop.name, "verified": false, "flaw": flaw.name(), "refused": true,
                });
                return Ok(told);
            }
        };
        let cause = gate.cause_of(shop, token).or(by_digest);
        let is_untold = cause.is_none() && shop.has_hidden_customer(token);
        let readings = readings(gate, token.identity());
        let dead = shown.dead_digest(gate.revocations());
        let revoked = cause.and_then(|cause| entry_of(gate, &readings, cause, dead));
        let revoked = revoked.map(|entry| self.tell_revoked(gate, &entry));
        let mut notes = Vec::from(is_untold.then_some(HIDDEN_CUSTOMER).as_slice());
        notes.extend(
            revoked
                .as_ref()
                .filter(|told| told["rule"].is_null())
                .map(|_| UNTOLD),
        );
        let readings = readings.iter().map(|one| self.tell_reading(gate, one));
        let identity = token.identity();
        Ok(json!({
            "shop": shop.name,
            "verified": matches!(token, Token::Verified(_)),
            "verified_by": verified_by(shop, token, shown.claims.as_ref()),
            "log_name": self.log_key.name(&identity.id).to_string(),
            "opaque": !matches!(token, Token::Verified(_)),
            "expires_at": expiry_of(token),
            "issued_at": identity.issued_at.map(|begin| begin.to_string()),
            "claims": shown.claims.as_ref().map(tell_claims),
            "refused": (!is_untold).then_some(cause.is_some()),
            "revoked_by": cause.map(Cause::name),
            "revoked": revoked,
            "readings": readings.collect::<Vec<_>>(),
            "notes": notes,
        }))
    }

    /// What revoked a token; the node that did it is also known if it sent the entry lately.
    fn tell_revoked(&self, gate: &Gate, entry: &Revocation) -> Value {
        let mut told = self.tell_entry(gate, entry);
        if told["node"].is_null() {
            let origin = gate.revocations().origin_of(&entry.id());
            let node = self.reloads.node.as_deref().zip(origin);
            told["node"] = node
                .and_then(|(node, origin)| node.name_of_origin(origin))
                .into();
        }
        told
    }

    fn tell_reading(&self, gate: &Gate, reading: &TokenLookup) -> Value {
        json!({
            "as": reading.cause.name(),
            "former": reading.is_former,
            "log_name": self.log_key.name(&reading.id).to_string(),
            "entry": reading.entry.as_ref().map(|entry| self.tell_entry(gate, entry)),
        })
    }
}

/// Every digest by which a token is looked up, with what is in force about it.
fn readings(gate: &Gate, identity: &Identity) -> Vec<TokenLookup> {
    let revocations = gate.revocations();
    let former = identity.former.iter().map(|former| (former, true));
    let names = once((identity, false)).chain(former);
    let names = names.flat_map(|(name, is_former)| {
        let groups = name.groups.iter();
        let groups = groups.map(|group| (group.id, Window::UNDATED, group.cause));
        let all = once((name.id, name.window, Cause::Token)).chain(groups);
        all.map(move |(id, window, cause)| TokenLookup {
            id,
            window,
            cause,
            is_former,
            entry: None,
        })
    });
    let mut readings: Vec<_> = names.collect();
    for one in &mut readings {
        one.entry = revocations.find(&one.id, one.window);
    }
    readings
}

/// The entry by which a token is refused for this cause.
fn entry_of(
    gate: &Gate,
    readings: &[TokenLookup],
    cause: Cause,
    dead: Option<Id>,
) -> Option<Revocation> {
    let fits = |one: &&TokenLookup| match cause {
        Cause::Unknown => matches!(one.cause, Cause::Subject | Cause::TokenDomain),
        Cause::Token | Cause::Session | Cause::Subject | Cause::TokenDomain => one.cause == cause,
    };
    let mut entries = readings.iter().filter(fits).filter_map(|one| one.entry);
    let by_digest = || gate.revocations().find(&dead?, Window::UNDATED);
    entries.next().or_else(by_digest)
}

fn expiry_of(token: &Token) -> Option<String> {
    match token {
        Token::Verified(token) => token.expires_at.map(|end| end.to_string()),
        Token::Confirmed(_) | Token::Opaque(_) | Token::Inactive(_) => None,
    }
}

/// Which issuer's keys verified it; the word of the shop, for an opaque token.
fn verified_by(shop: &Shop, token: &Token, claims: Option<&PastedClaims>) -> Value {
    let settings = match token {
        Token::Verified(token) => &token.settings,
        Token::Confirmed(_) => return json!({ "introspection": true }),
        Token::Opaque(_) | Token::Inactive(_) => return Value::Null,
    };
    let issuers = shop.verifier.issuers();
    let at = issuers.iter().position(|issuer| {
        let own = issuer.settings();
        own.token_domain == settings.token_domain && own.issuers == settings.issuers
    });
    let source = at.and_then(|at| issuers.get(at)?.source());
    json!({
        "issuer": at.map(|at| at + 1),
        "token_domain": settings.token_domain,
        "algorithm": claims.and_then(|claims| claims.algorithm.as_ref()),
        "key_id": claims.and_then(|claims| claims.key_id.as_ref()),
        "keys": source.map_or("configuration".to_owned(), |source| source.url.to_string()),
    })
}

/// Which claims of a token are read, and which of them it has. The readings have the short names of their values.
fn tell_claims(claims: &PastedClaims) -> Value {
    json!({
        "has_id": claims.has_id, "id_claim": claims.id_claim,
        "has_subject": claims.has_subject, "subject_claims": claims.subject_claims,
        "has_session": claims.has_session, "session_claim": claims.session_claim,
        "issuer": claims.issuer,
        "not_before": claims.not_before.map(|moment| moment.to_string()),
    })
}
