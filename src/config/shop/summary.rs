//! What `check` prints of a shop.

use super::left_out::{left_out, unclaimed};
use crate::request::{Issuer, Shop, UnknownToken, algorithm_name};
use crate::server::{ServerSettings, Upstreams};

/// The keys of an issuer, and what they are for.
fn keys_of(issuer: &Issuer) -> String {
    let algorithms = issuer.settings().algorithms.iter();
    let algorithms: Vec<_> = algorithms.map(|one| algorithm_name(*one)).collect();
    match (algorithms.is_empty(), issuer.source()) {
        (true, _) => "none: tokens are opaque".to_owned(),
        (false, Some(source)) => format!("from {} for {}", source.url, algorithms.join(", ")),
        (false, None) => format!("{} for {}", issuer.key_count(), algorithms.join(", ")),
    }
}

/// By what the tokens of an issuer are told from those of others.
fn marks_of(issuer: &Issuer) -> String {
    let settings = issuer.settings();
    let named = |what: &str, names: &[String]| match names {
        [] => format!("any {what}"),
        [..] => format!("{what} {}", names.join(", ")),
    };
    let (issuers, key_ids) = (&settings.issuers, &settings.key_ids);
    let domain = &settings.token_domain;
    format!(
        "{}, {}, token domain {domain}",
        named("iss", issuers),
        named("kid", key_ids)
    )
}

/// The lines of one shop.
pub(super) fn summary(shop: &Shop, preset: Option<&str>, upstreams: &Upstreams) -> Vec<String> {
    let issuers = shop.verifier.issuers();
    let keys = issuers
        .iter()
        .enumerate()
        .map(|(place, issuer)| match issuers {
            [_] => format!("  keys: {}", keys_of(issuer)),
            [..] => format!(
                "  issuer {}: {}; keys: {}",
                place + 1,
                marks_of(issuer),
                keys_of(issuer)
            ),
        });
    let upstreams = upstreams.configured().iter();
    let upstreams = upstreams.map(ServerSettings::to_string);
    let introspection = shop.verifier.settings().introspection.as_ref();
    let asked = introspection.map(|introspection| {
        format!(
            "  opaque tokens: the shop is asked, {} {}",
            introspection.method,
            introspection.path.path()
        )
    });
    let undated = match shop.verifier.settings().unknown {
        UnknownToken::New => {
            "new if no node has dated it (unknown_issue_time = new): a logout does not end what was never shown here"
        }
        UnknownToken::Old => {
            "old if no node has dated it (unknown_issue_time = old): after a logout, a login that does not pass here is refused"
        }
    };
    let mut lines = vec![
        format!("shop {}", shop.name),
        format!("  preset: {}", preset.unwrap_or("none")),
    ];
    lines.extend(keys);
    if shop.demand.is_observed {
        lines.push("  credentials: only observed".to_owned());
    }
    let upstreams: Vec<_> = upstreams.collect();
    lines.push(format!("  upstreams: {}", upstreams.join(", ")));
    lines.extend(unclaimed(shop));
    for route in shop.routes.routes() {
        lines.push(format!("  route {route}"));
        lines.extend(left_out(shop, route).map(|left| format!("    {left}")));
    }
    let others = shop.routes.handling(None).to_string();
    if let Some(others) = others.strip_prefix(", ") {
        lines.push(format!("  requests without a route: {others}"));
    }
    lines.extend(asked);
    lines.push(format!("  a token without an issue time: {undated}"));
    lines.push(format!("  token endpoints: {}", shop.token_endpoints.len()));
    lines
}
