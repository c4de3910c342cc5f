//! What the operator says of a shop's tokens.

use std::path::Path;
use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily};

use crate::config::fault::{Fault, Faults};
use crate::config::reading::duration;
use crate::config::reading::pattern;
use crate::config::reading::{Table, TextOrTable};
use crate::config::rules::mint;
use crate::config::token::inquiry;
use crate::config::token::key_files;
use crate::request::{
    ALGORITHMS, Claims, IssuedAt, Issuer, Kind, Pointer, TimeClaim, TimeUnit, TokenSettings,
    UnknownToken, Verifier,
};

/// What a credential can be taken for.
pub(crate) const KINDS: &[(&str, Kind)] = &[
    ("jwt", Kind::Jwt),
    ("opaque", Kind::Opaque),
    ("auto", Kind::Auto),
];

/// How far clocks may differ, unless the operator says otherwise.
const LEEWAY: Duration = Duration::from_mins(1);
/// "No more than a few minutes" (RFC 7519 section 4.1.4).
const LEEWAY_MAX: Duration = Duration::from_mins(10);

/// Reads `[shop.token]`, or every `[[shop.token]]`: how tokens are read, and the keys that verify them.
pub(crate) fn read(
    shop: &mut Table<'_>,
    (name, unknown): (&str, UnknownToken),
    base_dir: &Path,
    faults: &mut Faults,
) -> Option<Verifier> {
    let tables = shop.table_or_tables("token", faults);
    shop.missing("token", "[shop.token] with algorithms and a key", faults);
    let mut issuers: Vec<Option<Issuer>> = Vec::new();
    for mut table in tables {
        let settings = read_settings(&mut table, (name, unknown), faults);
        let keys = key_files::read(&mut table, &settings, base_dir, faults);
        let known = issuers.iter().flatten();
        if known
            .map(Issuer::settings)
            .any(|one| one.overlaps(&settings))
        {
            let fault = Fault::error("a token could belong to two [[shop.token]]");
            let fault = fault.at(&table.spot()).label("this one and one before it");
            let remedy = "tell them apart by `issuer`, by `kid` or by `algorithms`, of which none may be in both";
            faults.push(fault.help(remedy));
        }
        table.finish(faults);
        issuers.push(keys.map(|keys| Issuer::new(settings, keys)));
    }
    let issuers: Option<Vec<_>> = issuers.into_iter().collect();
    let mut issuers = issuers?.into_iter();
    let first = issuers.next()?;
    Some(Verifier::new(first, issuers.collect()))
}

fn read_settings(
    table: &mut Table<'_>,
    (name, unknown): (&str, UnknownToken),
    faults: &mut Faults,
) -> TokenSettings {
    let kind = table.choice("kind", KINDS, faults).unwrap_or_default();
    let refresh_window = table.duration("refresh_window", faults);
    let unverifiable = [("refuse", false), ("forward", true)];
    let forward_unverifiable = table.choice("unverifiable", &unverifiable, faults);
    TokenSettings {
        token_domain: read_token_domain(table, name, faults),
        kind,
        algorithms: read_algorithms(table, kind, faults),
        issuers: read_names(table, "issuer", faults),
        key_ids: read_names(table, "kid", faults),
        audiences: read_names(table, "audience", faults),
        claims: read_claims(table, faults),
        only_with: read_only_with(table, faults),
        leeway: read_leeway(table, faults),
        refresh_window: refresh_window.unwrap_or_default(),
        max_lifetime: read_max_lifetime(table, faults),
        opaque_pattern: {
            let text = table.string("opaque_pattern", faults);
            text.and_then(|text| text.parse(pattern::parse, faults))
        },
        forward_unverifiable: forward_unverifiable.unwrap_or_default(),
        inquiry: inquiry::read(table, faults),
        unknown: table
            .choice("mint", mint::UNKNOWN, faults)
            .unwrap_or(unknown),
    }
}

/// Shops with one token domain share their tokens, and so their logouts. It was called `realm`.
fn read_token_domain(table: &mut Table<'_>, name: &str, faults: &mut Faults) -> String {
    let written = table.string("token_domain", faults);
    let former = table.string("realm", faults);
    if let Some(former) = &former {
        let fault = if written.is_some() {
            Fault::error("`token_domain` and `realm` can't both be given")
        } else {
            Fault::warning("`realm` of tokens is now called `token_domain`")
        };
        let help = "write token_domain instead of realm: the logouts stay";
        faults.push(fault.at(former.spot()).help(help));
    }
    let domain = written.or(former);
    let domain = domain.and_then(|text| text.parse_as(not_empty, faults));
    domain.unwrap_or(name).to_owned()
}

/// The claims without which a customer can't revoke a token.
fn read_only_with(table: &mut Table<'_>, faults: &mut Faults) -> Vec<Pointer> {
    let texts = table.strings("only_with", faults).unwrap_or_default();
    let pointers = texts.iter();
    let pointers = pointers.filter_map(|text| text.parse_as(Pointer::parse, faults));
    pointers.collect()
}

fn not_empty(text: &str) -> Result<&str, &'static str> {
    if text.is_empty() {
        Err("a name")
    } else {
        Ok(text)
    }
}

/// The algorithms are pinned here, for the token must not choose (RFC 8725 section 3.1).
fn read_algorithms(table: &mut Table<'_>, kind: Kind, faults: &mut Faults) -> Vec<Algorithm> {
    let texts = table.strings("algorithms", faults);
    if kind != Kind::Opaque || key_files::is_written(table) {
        table.missing(
            "algorithms",
            "what the shop signs with, such as [\"HS256\"]",
            faults,
        );
    }
    let mut algorithms = Vec::new();
    for text in texts.unwrap_or_default() {
        let algorithm = text.choose("algorithms", ALGORITHMS, faults);
        algorithms.extend(algorithm.filter(|one| !algorithms.contains(one)));
    }
    if let Some(spot) = table.spot_of("algorithms") {
        let secret = |one: &Algorithm| one.family() == AlgorithmFamily::Hmac;
        if algorithms.iter().any(secret) && !algorithms.iter().all(secret) {
            let fault = Fault::error("symmetric and asymmetric algorithms are mixed").at(&spot);
            faults.push(fault.help("who knows the public key could sign (RFC 8725 section 2.1)"));
        }
    }
    algorithms
}

fn read_names(table: &mut Table<'_>, key: &str, faults: &mut Faults) -> Vec<String> {
    let texts = table.string_or_strings(key, faults);
    if texts.as_ref().is_some_and(Vec::is_empty)
        && let Some(spot) = table.spot_of(key)
    {
        let fault = Fault::error(format!("`{key}` names nobody")).at(&spot);
        faults.push(fault.help(format!("leave `{key}` out for tokens of any {key}")));
    }
    let texts = texts.unwrap_or_default();
    let names = texts.iter();
    names
        .filter_map(|text| text.parse_as(not_empty, faults))
        .map(str::to_owned)
        .collect()
}

fn read_leeway(table: &mut Table<'_>, faults: &mut Faults) -> Duration {
    let leeway = table.duration("leeway", faults).unwrap_or(LEEWAY);
    if leeway > LEEWAY_MAX
        && let Some(spot) = table.spot_of("leeway")
    {
        let fault = Fault::error("`leeway` is out of range").at(&spot);
        faults.push(fault.label("expected at most 10m"));
    }
    leeway
}

/// How long a token lives that does not say so; `None`: for ever.
fn read_max_lifetime(table: &mut Table<'_>, faults: &mut Faults) -> Option<Duration> {
    let text = table.string("max_token_lifetime", faults)?;
    if text.as_str() == "forever" {
        return None;
    }
    text.parse(duration::parse, faults)
}

fn read_claims(token: &mut Table<'_>, faults: &mut Faults) -> Claims {
    let mut table = token.table("claims", faults);
    let table_of_claims = &mut table;
    let expires_at = read_expires_at(table_of_claims, faults);
    let claims = Claims {
        id: read_pointer(table_of_claims, "id", "/jti", faults),
        subject: read_subject(table_of_claims, faults),
        session: read_pointer(table_of_claims, "session", "/sid", faults),
        issued_at: read_issued_at(table_of_claims, &expires_at, faults),
        expires_at,
    };
    if let Some(table) = table {
        table.finish(faults);
    }
    claims
}

fn read_pointer(
    claims: &mut Option<Table<'_>>,
    key: &str,
    usual: &str,
    faults: &mut Faults,
) -> Pointer {
    let text = claims.as_mut().and_then(|table| table.string(key, faults));
    let written = text.and_then(|text| text.parse_as(Pointer::parse, faults));
    written.unwrap_or_else(|| usual_pointer(usual))
}

/// One claim, or several that name a customer together.
fn read_subject(claims: &mut Option<Table<'_>>, faults: &mut Faults) -> Vec<Pointer> {
    let Some(table) = claims.as_mut() else {
        return vec![usual_pointer("/sub")];
    };
    let texts = table.string_or_strings("subject", faults);
    if texts.as_ref().is_some_and(Vec::is_empty)
        && let Some(spot) = table.spot_of("subject")
    {
        let fault = Fault::error("`subject` names no claim").at(&spot);
        faults.push(fault.help("leave `subject` out for the claim /sub"));
    }
    let texts = texts.unwrap_or_default();
    let parts: Vec<_> = texts
        .iter()
        .filter_map(|text| text.parse_as(Pointer::parse, faults))
        .collect();
    if parts.is_empty() {
        vec![usual_pointer("/sub")]
    } else {
        parts
    }
}

fn usual_pointer(text: &str) -> Pointer {
    Pointer::parse(text).expect("the usual pointers begin with a slash")
}

/// What a time counts.
const UNITS: &[(&str, TimeUnit)] = &[
    ("seconds", TimeUnit::Seconds),
    ("milliseconds", TimeUnit::Milliseconds),
];

/// A `NumericDate`, as every time is of which nothing else is said.
fn numeric(pointer: Pointer) -> TimeClaim {
    TimeClaim {
        pointer,
        unit: None,
    }
}

/// The claim, or the claim and its unit (`expires_at = { claim = "/exp", unit = "milliseconds" }`).
fn read_expires_at(claims: &mut Option<Table<'_>>, faults: &mut Faults) -> TimeClaim {
    let table = claims.as_mut();
    let written = table.and_then(|table| table.string_or_table("expires_at", faults));
    let expires_at = match written {
        None => None,
        Some(TextOrTable::Text(text)) => text.parse_as(Pointer::parse, faults).map(numeric),
        Some(TextOrTable::Table(mut table)) => {
            let claim = read_claim_and_unit(&mut table, faults);
            table.finish(faults);
            claim
        }
    };
    expires_at.unwrap_or_else(|| numeric(usual_pointer("/exp")))
}

fn read_claim_and_unit(table: &mut Table<'_>, faults: &mut Faults) -> Option<TimeClaim> {
    let claim = table.string("claim", faults);
    table.missing("claim", "a JSON pointer such as /exp", faults);
    let unit = table.choice("unit", UNITS, faults);
    table.missing("unit", "\"seconds\" or \"milliseconds\"", faults);
    let pointer = claim?.parse_as(Pointer::parse, faults)?;
    Some(TimeClaim {
        pointer,
        unit: Some(unit?),
    })
}

/// The claim itself, perhaps with its unit, or how it follows from another
/// (`issued_at = { from = "expires_at", minus = "1h" }`).
fn read_issued_at(
    claims: &mut Option<Table<'_>>,
    expires_at: &TimeClaim,
    faults: &mut Faults,
) -> IssuedAt {
    let table = claims.as_mut();
    let written = table.and_then(|table| table.string_or_table("issued_at", faults));
    let issued_at = match written {
        None => None,
        Some(TextOrTable::Text(text)) => {
            let pointer = text.parse_as(Pointer::parse, faults);
            pointer.map(numeric).map(IssuedAt::Claim)
        }
        Some(TextOrTable::Table(mut table)) if table.spot_of("claim").is_some() => {
            let claim = read_claim_and_unit(&mut table, faults);
            table.finish(faults);
            claim.map(IssuedAt::Claim)
        }
        Some(TextOrTable::Table(table)) => read_derived(table, expires_at, faults),
    };
    issued_at.unwrap_or_else(|| IssuedAt::Claim(numeric(usual_pointer("/iat"))))
}

fn read_derived(
    mut table: Table<'_>,
    expires_at: &TimeClaim,
    faults: &mut Faults,
) -> Option<IssuedAt> {
    let from = table.string("from", faults);
    table.missing("from", "expires_at or a JSON pointer", faults);
    let minus = table.duration("minus", faults);
    table.missing("minus", "how long tokens live, such as 1h", faults);
    table.finish(faults);
    let from = from?;
    let from = match from.as_str() {
        "expires_at" => expires_at.clone(),
        _ => numeric(from.parse_as(pointer_or_end, faults)?),
    };
    Some(IssuedAt::Before(from, minus?))
}

fn pointer_or_end(text: &str) -> Result<Pointer, &'static str> {
    Pointer::parse(text).map_err(|_| "expires_at or a JSON pointer such as /exp")
}
