//! What is known of an entry: what it is, since when, by which rule, on which node, until when.

use serde_json::{Value, json};

use crate::clock::UnixTime;
use crate::request::{Gate, Shop};
use crate::revocation::{Id, Revocation, Source, Window};
use crate::server::operator::control::Control;

impl Control {
    /// What is known of an entry.
    pub(super) fn tell_entry(&self, gate: &Gate, entry: &Revocation) -> Value {
        let id = entry.id();
        let ending = self.recorder.endings.of(&id);
        let dated = gate.revocations().ended_ms(&id);
        let dated = dated.map(|ms| UnixTime::from_seconds(ms / 1_000));
        let not_before = match entry {
            Revocation::Cutoff { not_before, .. } => Some(*not_before),
            Revocation::Token { .. } | Revocation::Date { .. } => None,
        };
        let (since, by) = match (&ending, dated, not_before) {
            (Some(ending), _, _) => (Some(ending.at), Some("this node")),
            (None, Some(dated), _) => (Some(dated), Some("journal")),
            (None, None, Some(not_before)) => (Some(not_before), Some("clock of the shop")),
            (None, None, None) => (None, None),
        };
        let node = self.recorder.node.clone().filter(|_| ending.is_some());
        let shop = ending.as_ref().and_then(|ending| ending.shop.clone());
        let shop = shop.or_else(|| shops_of(gate, entry));
        json!({
            "kind": kind_of(gate, entry),
            "log_name": self.log_key.name(&id).to_string(),
            "shop": shop,
            "since": since.map(|since| since.to_string()),
            "since_by": by,
            "rule": ending.as_ref().map(|ending| &ending.rule),
            "request": ending.as_ref().and_then(|ending| ending.request.as_ref()),
            "node": node,
            "issued_before": not_before.map(|moment| moment.to_string()),
            "until": end_of(entry.until()),
            "verified": !matches!(entry, Revocation::Token { source: Source::Unverified(_), .. }),
        })
    }
}

/// `None`: there is no end.
fn end_of(until: UnixTime) -> Option<String> {
    (until < UnixTime::FOREVER).then(|| until.to_string())
}

fn kind_of(gate: &Gate, entry: &Revocation) -> &'static str {
    match entry {
        Revocation::Token {
            window: Window::UNDATED,
            ..
        } => "undated",
        Revocation::Token { .. } => "token",
        Revocation::Cutoff { id, .. } if of_domain(gate, id).next().is_some() => "token_domain",
        Revocation::Cutoff { .. } => "customer",
        Revocation::Date { .. } => "date",
    }
}

/// The shops whose token domain has this digest.
fn of_domain<'g>(gate: &'g Gate, id: &'g Id) -> impl Iterator<Item = &'g Shop> {
    let shops = gate.shops().iter().map(AsRef::as_ref);
    shops.filter(|shop: &&Shop| {
        let issuers = shop.verifier.issuers().iter();
        let mut domains = issuers.map(|issuer| &issuer.settings().token_domain);
        domains.any(|domain| Id::of_token_domain(domain) == *id)
    })
}

/// The shops of an entry, as far as it names them: a digest tells nothing.
fn shops_of(gate: &Gate, entry: &Revocation) -> Option<String> {
    let names: Vec<_> = match entry {
        Revocation::Token {
            source: Source::Unverified(tag),
            ..
        } => {
            let shops = gate.shops().iter().filter(|shop| shop.tag == *tag);
            shops.map(|shop| shop.name.as_str()).collect()
        }
        Revocation::Cutoff { id, .. } => {
            of_domain(gate, id).map(|shop| shop.name.as_str()).collect()
        }
        Revocation::Token { .. } | Revocation::Date { .. } => Vec::new(),
    };
    (!names.is_empty()).then(|| names.join(", "))
}
