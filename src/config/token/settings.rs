//! `[shop.token]`: how the tokens of a shop are read.

use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily};

use crate::config::fault::Fault;
use crate::config::reading::duration;
use crate::config::reading::pattern;
use crate::config::reading::{TextOrTable, TomlTable};
use crate::config::token::{introspection, key_files};
use crate::request::{
    ALGORITHMS, Claims, IssuedAt, Issuer, Pointer, TimeClaim, TimeUnit, TokenKind, TokenSettings,
    UnknownToken, Verifier,
};

/// What a credential can be taken for.
pub(crate) const KINDS: &[(&str, TokenKind)] = &[
    ("jwt", TokenKind::Jwt),
    ("opaque", TokenKind::Opaque),
    ("auto", TokenKind::Auto),
];

const UNKNOWN_ISSUE_TIMES: &[(&str, UnknownToken)] =
    &[("new", UnknownToken::New), ("old", UnknownToken::Old)];

/// How far clocks may differ by default.
const LEEWAY: Duration = Duration::from_mins(1);
/// "No more than a few minutes" (RFC 7519 section 4.1.4).
const LEEWAY_MAX: Duration = Duration::from_mins(10);

/// Reads `[shop.token]`, or every `[[shop.token]]`: how tokens are read, and the keys that verify them.
pub(crate) fn read(shop: &mut TomlTable<'_>, name: &str) -> Option<Verifier> {
    let mut tables = shop.table_or_tables("token");
    shop.missing("token", "[shop.token] with algorithms and a key");
    for table in &mut tables {
        table.renamed("unknown_issue_time", "mint");
    }
    let unknown = read_former_mint(shop, &tables).unwrap_or_default();
    let mut issuers: Vec<Option<Issuer>> = Vec::new();
    for mut table in tables {
        let settings = read_settings(&mut table, (name, unknown));
        let keys = key_files::read(&mut table, &settings);
        let known = issuers.iter().flatten();
        if known
            .map(Issuer::settings)
            .any(|one| one.overlaps(&settings))
        {
            let fault = Fault::error("a token could belong to two [[shop.token]]");
            let remedy = "tell them apart by `issuer`, by `kid` or by `algorithms`, of which none may be in both";
            table.report_here(fault.label("this one and one before it").help(remedy));
        }
        table.finish();
        issuers.push(keys.map(|keys| Issuer::new(settings, keys)));
    }
    let issuers: Option<Vec<_>> = issuers.into_iter().collect();
    let mut issuers = issuers?.into_iter();
    let first = issuers.next()?;
    Some(Verifier::new(first, issuers.collect()))
}

fn read_settings(
    table: &mut TomlTable<'_>,
    (name, unknown): (&str, UnknownToken),
) -> TokenSettings {
    let kind = table.choice("kind", KINDS).unwrap_or_default();
    let refresh_window = table.duration("refresh_window");
    let unverifiable = [("refuse", false), ("forward", true)];
    let forward_unverifiable = table.choice("unverifiable", &unverifiable);
    TokenSettings {
        token_domain: read_token_domain(table, name),
        kind,
        algorithms: read_algorithms(table, kind),
        issuers: read_names(table, "issuer"),
        key_ids: read_names(table, "kid"),
        audiences: read_names(table, "audience"),
        claims: read_claims(table),
        revocable_with: read_revocable_with(table),
        leeway: read_leeway(table),
        refresh_window: refresh_window.unwrap_or_default(),
        max_lifetime: read_max_lifetime(table),
        opaque_pattern: {
            let text = table.string("opaque_pattern");
            text.and_then(|text| text.parse(pattern::parse))
        },
        forward_unverifiable: forward_unverifiable.unwrap_or_default(),
        introspection: introspection::read(table),
        unknown: read_unknown_issue_time(table).unwrap_or(unknown),
    }
}

/// How a token counts whose issue time is unknown.
fn read_unknown_issue_time(table: &mut TomlTable<'_>) -> Option<UnknownToken> {
    let former = [("partial", "new"), ("complete", "old")];
    table.choice_renamed("unknown_issue_time", UNKNOWN_ISSUE_TIMES, &former)
}

/// Reads the former key `mint` of `[[shop]]`, which held for every `[shop.token]` without the key.
fn read_former_mint(shop: &mut TomlTable<'_>, tokens: &[TomlTable<'_>]) -> Option<UnknownToken> {
    if !shop.has_string("mint") {
        return None;
    }
    let names = [
        ("partial", UnknownToken::New),
        ("complete", UnknownToken::Old),
    ];
    let unknown = shop.former_choice("mint", &names)?;
    let is_new = |table: &TomlTable<'_>| {
        table.spot_of("unknown_issue_time").is_some()
            && !table.is_by_former_name("unknown_issue_time")
    };
    let fault = if tokens.iter().any(is_new) {
        Fault::error(
            "`mint` is the former name of `token.unknown_issue_time`: only one of them may be given",
        )
    } else {
        Fault::warning("`mint` is now called `token.unknown_issue_time`")
    };
    let help = "write unknown_issue_time = \"new\" for partial, or \"old\" for complete, under [shop.token]: the next \
                release does not read the former name";
    shop.report_at("mint", fault.help(help));
    Some(unknown)
}

/// Shops with one token domain share their tokens, and so their logouts.
fn read_token_domain(table: &mut TomlTable<'_>, name: &str) -> String {
    table.renamed("token_domain", "realm");
    let domain = table.string_as("token_domain", not_empty);
    domain.unwrap_or(name).to_owned()
}

/// A customer can revoke only tokens with one of these claims.
fn read_revocable_with(table: &mut TomlTable<'_>) -> Vec<Pointer> {
    table.renamed("revocable_with", "only_with");
    table.strings_as("revocable_with", Pointer::parse)
}

fn not_empty(text: &str) -> Result<&str, &'static str> {
    if text.is_empty() {
        Err("a name")
    } else {
        Ok(text)
    }
}

/// Reads the algorithms, which the token must not choose (RFC 8725 section 3.1).
fn read_algorithms(table: &mut TomlTable<'_>, kind: TokenKind) -> Vec<Algorithm> {
    let texts = table.strings("algorithms");
    if kind != TokenKind::Opaque || key_files::is_written(table) {
        table.missing(
            "algorithms",
            "what the shop signs with, such as [\"HS256\"]",
        );
    }
    let mut algorithms = Vec::new();
    for text in texts.unwrap_or_default() {
        let algorithm = text.choose("algorithms", ALGORITHMS);
        algorithms.extend(algorithm.filter(|one| !algorithms.contains(one)));
    }
    let is_secret = |one: &Algorithm| one.family() == AlgorithmFamily::Hmac;
    if algorithms.iter().any(is_secret) && !algorithms.iter().all(is_secret) {
        let fault = Fault::error("symmetric and asymmetric algorithms are mixed");
        let help = "anyone who knows the public key could sign (RFC 8725 section 2.1)";
        table.report_at("algorithms", fault.help(help));
    }
    algorithms
}

fn read_names(table: &mut TomlTable<'_>, key: &str) -> Vec<String> {
    let texts = table.string_or_strings(key);
    if texts.as_ref().is_some_and(Vec::is_empty) {
        table.report_at(
            key,
            Fault::error(format!("`{key}` names nothing"))
                .help(format!("leave `{key}` out for tokens of any {key}")),
        );
    }
    let texts = texts.unwrap_or_default();
    let names = texts.iter();
    names
        .filter_map(|text| text.parse_as(not_empty))
        .map(str::to_owned)
        .collect()
}

fn read_leeway(table: &mut TomlTable<'_>) -> Duration {
    let leeway = table.duration_within("leeway", Duration::ZERO..=LEEWAY_MAX, "at most 10m");
    leeway.unwrap_or(LEEWAY)
}

/// The lifetime of a token without an expiry; `None`: unlimited.
fn read_max_lifetime(table: &mut TomlTable<'_>) -> Option<Duration> {
    let text = table.string("max_token_lifetime")?;
    if text.as_str() == "forever" {
        return None;
    }
    text.parse(duration::parse)
}

fn read_claims(token: &mut TomlTable<'_>) -> Claims {
    let mut table = token.table("claims");
    let table_of_claims = &mut table;
    let expires_at = read_expires_at(table_of_claims);
    let claims = Claims {
        id: read_pointer(table_of_claims, "id", "/jti"),
        subject: read_subject(table_of_claims),
        session: read_pointer(table_of_claims, "session", "/sid"),
        issued_at: read_issued_at(table_of_claims, &expires_at),
        expires_at,
    };
    if let Some(table) = table {
        table.finish();
    }
    claims
}

fn read_pointer(claims: &mut Option<TomlTable<'_>>, key: &str, usual: &str) -> Pointer {
    let text = claims.as_mut().and_then(|table| table.string(key));
    let written = text.and_then(|text| text.parse_as(Pointer::parse));
    written.unwrap_or_else(|| usual_pointer(usual))
}

/// One claim, or several that name a customer together.
fn read_subject(claims: &mut Option<TomlTable<'_>>) -> Vec<Pointer> {
    let Some(table) = claims.as_mut() else {
        return vec![usual_pointer("/sub")];
    };
    let texts = table.string_or_strings("subject");
    if texts.as_ref().is_some_and(Vec::is_empty) {
        table.report_at(
            "subject",
            Fault::error("`subject` names no claim").help("leave `subject` out for the claim /sub"),
        );
    }
    let texts = texts.unwrap_or_default();
    let parts: Vec<_> = texts
        .iter()
        .filter_map(|text| text.parse_as(Pointer::parse))
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

/// The units of times.
const UNITS: &[(&str, TimeUnit)] = &[
    ("seconds", TimeUnit::Seconds),
    ("milliseconds", TimeUnit::Milliseconds),
];

/// A `NumericDate`, which is the default.
fn numeric(pointer: Pointer) -> TimeClaim {
    TimeClaim {
        pointer,
        unit: None,
    }
}

/// The claim, or the claim and its unit (`expires_at = { claim = "/exp", unit = "milliseconds" }`).
fn read_expires_at(claims: &mut Option<TomlTable<'_>>) -> TimeClaim {
    let table = claims.as_mut();
    let written = table.and_then(|table| table.string_or_table("expires_at"));
    let expires_at = match written {
        None => None,
        Some(TextOrTable::Text(text)) => text.parse_as(Pointer::parse).map(numeric),
        Some(TextOrTable::Table(mut table)) => {
            let claim = read_claim_and_unit(&mut table);
            table.finish();
            claim
        }
    };
    expires_at.unwrap_or_else(|| numeric(usual_pointer("/exp")))
}

fn read_claim_and_unit(table: &mut TomlTable<'_>) -> Option<TimeClaim> {
    let claim = table.required_string("claim", "a JSON pointer such as /exp");
    let unit = table.choice("unit", UNITS);
    table.missing("unit", "\"seconds\" or \"milliseconds\"");
    let pointer = claim?.parse_as(Pointer::parse)?;
    Some(TimeClaim {
        pointer,
        unit: Some(unit?),
    })
}

/// The claim itself, perhaps with its unit, or how it follows from another
/// (`issued_at = { from = "expires_at", minus = "1h" }`).
fn read_issued_at(claims: &mut Option<TomlTable<'_>>, expires_at: &TimeClaim) -> IssuedAt {
    let table = claims.as_mut();
    let written = table.and_then(|table| table.string_or_table("issued_at"));
    let issued_at = match written {
        None => None,
        Some(TextOrTable::Text(text)) => {
            let pointer = text.parse_as(Pointer::parse);
            pointer.map(numeric).map(IssuedAt::Claim)
        }
        Some(TextOrTable::Table(mut table)) if table.spot_of("claim").is_some() => {
            let claim = read_claim_and_unit(&mut table);
            table.finish();
            claim.map(IssuedAt::Claim)
        }
        Some(TextOrTable::Table(table)) => read_derived(table, expires_at),
    };
    issued_at.unwrap_or_else(|| IssuedAt::Claim(numeric(usual_pointer("/iat"))))
}

fn read_derived(mut table: TomlTable<'_>, expires_at: &TimeClaim) -> Option<IssuedAt> {
    let from = table.required_string("from", "expires_at or a JSON pointer");
    let minus = table.duration("minus");
    table.missing("minus", "how long tokens live, such as 1h");
    table.finish();
    let from = from?;
    let from = match from.as_str() {
        "expires_at" => expires_at.clone(),
        _ => numeric(from.parse_as(pointer_or_end)?),
    };
    Some(IssuedAt::Before(from, minus?))
}

fn pointer_or_end(text: &str) -> Result<Pointer, &'static str> {
    Pointer::parse(text).map_err(|_| "expires_at or a JSON pointer such as /exp")
}
