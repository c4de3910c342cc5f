//! The values of labels that are known before anything happens: their counters begin at zero, because `increase()` never sees
//! the first event of a counter that begins at one.

use std::collections::BTreeSet;

use crate::request::{Flaw, Handling, Refusal, Shop};
use crate::revocation::{Cause, Id};

/// The reason of a request that would be forwarded without its dead cookies, if it were not observed.
pub(crate) const DEAD_COOKIE: &str = "dead_cookie";

/// Every limit that is counted, by its key in the configuration.
pub(super) const LIMITS: [&str; 14] = [
    "body_limit",
    "body_timeout",
    "connections",
    "connections_per_client",
    "failed_verifications",
    "limit",
    "logouts",
    "operator_connections",
    "own_paths",
    "read_ahead_bytes",
    "read_ahead_bytes_per_client",
    "send_rate_min",
    "unverified_entries",
    "unverified_per_client_minute",
];

/// Those by which requests are refused.
const RATES: [&str; 4] = ["failed_verifications", "limit", "logouts", "own_paths"];

/// What may be wrong with the header of the PROXY protocol.
pub(super) const PROXY_HEADERS: [&str; 6] = [
    "peer",
    "missing",
    "malformed",
    "too_long",
    "truncated",
    "late",
];

/// What becomes of logouts.
pub(super) const LOGOUTS: [&str; 8] = [
    "revoked",
    "declined",
    "not_durable",
    "upstream_failed",
    "upstream_timeout",
    "no_upstream",
    "queue_full",
    "queue_timeout",
];

/// What becomes of copies.
pub(super) const COPIES: [&str; 6] = [
    "answered",
    "failed",
    "revoked",
    "busy",
    "long_body",
    "slow_body",
];

/// A decision: its verdict, and why exactly.
pub(super) type CountedDecision = (&'static str, &'static str);

/// What is decided of requests that no shop was found for.
pub(super) fn without_shop() -> (BTreeSet<u16>, Vec<CountedDecision>) {
    let refusals = refusals().filter(|refusal| precedes_shop(*refusal));
    let (codes, mut decisions) = named(refusals);
    decisions.extend([
        ("redirected", ""),
        ("malformed", "http2"),
        (Refusal::AccessDenied.name(), ""),
        (Refusal::AccessDenied.name(), "connection"),
    ]);
    (codes, decisions)
}

/// What is decided of the requests of a shop, and the statuses that Doorward answers itself.
pub(super) fn of_shop(shop: &Shop) -> (BTreeSet<u16>, Vec<CountedDecision>) {
    let refusals = refusals().filter(|refusal| !precedes_shop(*refusal));
    let (mut codes, mut decisions) = named(refusals);
    codes.insert(200);
    decisions.extend([
        ("forwarded", ""),
        ("forwarded", DEAD_COOKIE),
        ("logout", ""),
        ("logout_declined", ""),
        ("redirected", ""),
    ]);
    if shop.observed_in_words().is_some() {
        decisions.push(("forwarded", "observed"));
    }
    (codes, decisions)
}

/// For which reasons the requests of a shop would be refused that is only observed.
pub(super) fn observed_of(shop: &Shop) -> Vec<CountedDecision> {
    if shop.observed_in_words().is_none() {
        return Vec::new();
    }
    let about_credentials = refusals().filter(|refusal| refusal.is_about_credentials());
    let (_, mut reasons) = named(about_credentials);
    reasons.push((DEAD_COOKIE, ""));
    reasons.push((Refusal::AmbiguousPath.name(), ""));
    reasons
}

/// For which causes requests of a shop are sent again.
pub(super) fn retries_of(shop: &Shop) -> BTreeSet<String> {
    let retries = handlings_of(shop).filter_map(|handling| handling.retries.as_ref());
    let causes = retries.flat_map(|retries| &retries.on);
    causes.map(ToString::to_string).collect()
}

/// The upstreams that copies of a shop's requests go to.
pub(super) fn mirrors_of(shop: &Shop) -> BTreeSet<&str> {
    let mirrors = handlings_of(shop).filter_map(|handling| handling.mirror.as_ref());
    mirrors.map(|mirror| mirror.upstream.as_str()).collect()
}

fn handlings_of(shop: &Shop) -> impl Iterator<Item = &Handling> {
    let routes = shop.routes.routes().iter().map(|route| &route.handling);
    routes.chain([shop.routes.handling(None)])
}

/// Every refusal with every detail.
fn refusals() -> impl Iterator<Item = Refusal> {
    let token = Id::from_bytes([0; 16]);
    Refusal::examples()
        .into_iter()
        .flat_map(move |refusal| -> Vec<Refusal> {
            let by = token;
            let revoked = |cause| Refusal::Revoked { cause, token, by };
            let limited = |limit| Refusal::RateLimited {
                limit,
                retry_after_s: 1,
            };
            if matches!(refusal, Refusal::Unverifiable(_)) {
                Flaw::EXAMPLES.map(Refusal::Unverifiable).to_vec()
            } else if matches!(refusal, Refusal::Revoked { .. }) {
                Cause::ALL.map(revoked).to_vec()
            } else if matches!(refusal, Refusal::RateLimited { .. }) {
                RATES.map(limited).to_vec()
            } else {
                vec![refusal]
            }
        })
}

fn named(refusals: impl Iterator<Item = Refusal>) -> (BTreeSet<u16>, Vec<CountedDecision>) {
    let name = |one: Refusal| {
        let code = one.status().as_u16();
        (code, (one.name(), one.detail().unwrap_or_default()))
    };
    refusals.map(name).unzip()
}

/// Whether it is refused before its shop is found.
fn precedes_shop(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::BadHost
            | Refusal::BadTarget
            | Refusal::TargetTooLong
            | Refusal::HeadTooLong
            | Refusal::HeadTimeout
            | Refusal::AmbiguousLength
            | Refusal::UnknownCoding
            | Refusal::RepeatedCoding
            | Refusal::Malformed
            | Refusal::UnknownHost
            | Refusal::UnknownPath
            | Refusal::LoopDetected
            | Refusal::TraceRefused
    )
}
