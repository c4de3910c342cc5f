//! `[[shop.credential]]`: where a shop's credentials are sent.

use std::sync::Arc;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};

use crate::config::fault::Fault;
use crate::config::reading::pattern;
use crate::config::reading::{TomlTable, TomlText};
use crate::config::rules::graphql;
use crate::config::rules::header::header_name;
use crate::config::token::settings::KINDS;
use crate::request::{
    Call, Carrier, Decoding, Fold, LogoutRule, NamePattern, Occasion, Occasions, Place, Pointer,
    RefreshRule, Spelling, TokenKind, Verifier,
};

/// The keys of places: a credential has exactly one.
const CARRIERS: [&str; 7] = [
    "header",
    "cookie",
    "query",
    "body",
    "form",
    "graphql",
    "subprotocol",
];

/// What may be wrapped around a token.
const DECODINGS: &[(&str, Decoding)] = &[
    ("percent", Decoding::Percent),
    ("json", Decoding::Json),
    ("base64", Decoding::Base64),
    ("signed", Decoding::Signed),
];

/// What a shop ignores when it compares tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folded {
    Case,
    Trim,
}

const FOLDS: &[(&str, Folded)] = &[("case", Folded::Case), ("trim", Folded::Trim)];

/// On which requests a credential counts.
const OCCASIONS: &[(&str, Occasion)] = &[
    ("visit", Occasion::Visit),
    ("logout", Occasion::Logout),
    ("refresh", Occasion::Refresh),
];

/// Reads every `[[shop.credential]]`; without any it is `Authorization: Bearer`.
///
/// The operator's table of a header, cookie or parameter overrides the preset's.
pub(crate) fn read(shop: &mut TomlTable<'_>, tokens: Option<&Verifier>) -> Vec<Place> {
    let usual = tokens.map_or(TokenKind::default(), Verifier::kind);
    let can_verify = tokens.is_none_or(Verifier::can_verify);
    let mut written: Vec<WrittenPlace> = Vec::new();
    let mut places = Vec::new();
    for mut table in shop.tables("credential") {
        let is_own = table.is_operators();
        let spot = table.spot();
        let kind = read_kind(&mut table, can_verify);
        let at = read_occasions(&mut table);
        let carrier = read_carrier(&mut table);
        let spelling = read_spelling(&mut table);
        table.finish();
        let Some((name, carrier)) = carrier else {
            continue;
        };
        let new = WrittenPlace::new(name, &carrier, is_own);
        if written
            .iter()
            .any(|known| known.name == new.name && known.is_own && !is_own)
        {
            continue; // the operator's table came first and overrides it
        }
        if let Some(twice) = written.iter().find_map(|known| known.repeated_by(&new)) {
            shop.report(Fault::error(format!("{twice} is given twice")).at(&spot));
            continue;
        }
        places.push(Place {
            at,
            spelling,
            ..Place::plain(carrier, kind.unwrap_or(usual))
        });
        written.push(new);
    }
    if places.is_empty() {
        places.push(bearer(usual));
    }
    places
}

/// The place of tokens in paths, if a rule has `{token}` in one.
pub(crate) fn of_paths(
    logouts: &[Arc<LogoutRule>],
    refreshes: &[RefreshRule],
    tokens: Option<&Verifier>,
) -> Option<Place> {
    let calls = logouts.iter().map(|rule| &rule.call);
    let mut calls = calls.chain(refreshes.iter().map(|rule| &rule.call));
    let kind = tokens.map_or(TokenKind::default(), Verifier::kind);
    calls.any(Call::names_token).then(|| Place {
        at: Occasions {
            visit: false,
            ..Occasions::ALL
        },
        ..Place::plain(Carrier::Path, kind)
    })
}

/// A table about a header, cookie or parameter.
struct WrittenPlace {
    name: String,
    /// Of a header: the schemes that a place is about, in small letters; none: its whole value.
    schemes: Option<Vec<String>>,
    is_own: bool,
}

impl WrittenPlace {
    fn new(name: String, carrier: &Carrier, is_own: bool) -> Self {
        let in_small_letters = |schemes: &[String]| {
            let schemes = schemes.iter();
            schemes.map(|one| one.to_ascii_lowercase()).collect()
        };
        let schemes = carrier.schemes().map(in_small_letters);
        Self {
            name,
            schemes,
            is_own,
        }
    }

    /// What both tables name. A header may carry a bare token and several schemes, each in a table of its own.
    fn repeated_by(&self, other: &Self) -> Option<String> {
        if self.name != other.name {
            return None;
        }
        match (&self.schemes, &other.schemes) {
            (None, None) => Some(self.name.clone()),
            (Some(ours), Some(others)) => {
                let both = ours.iter().find(|one| others.contains(one))?;
                Some(format!("{} with the scheme `{both}`", self.name))
            }
            (None, Some(_)) | (Some(_), None) => None,
        }
    }
}

/// RFC 6750 section 2.1: what every API understands.
fn bearer(kind: TokenKind) -> Place {
    let carrier = Carrier::Schemed {
        name: AUTHORIZATION,
        schemes: vec!["Bearer".to_owned()],
    };
    Place::plain(carrier, kind)
}

/// Reads `pattern`, `decode` and `fold`.
fn read_spelling(table: &mut TomlTable<'_>) -> Spelling {
    let pattern = table.string("pattern");
    let pattern = pattern.and_then(|text| text.parse(pattern::parse));
    let decode = table.string_or_strings("decode").unwrap_or_default();
    let decode = decode
        .iter()
        .filter_map(|text| text.choose("decode", DECODINGS));
    let decode: Vec<_> = decode.collect();
    let fold = table.string_or_strings("fold").unwrap_or_default();
    let fold = fold.iter().filter_map(|text| text.choose("fold", FOLDS));
    let fold: Vec<_> = fold.collect();
    Spelling {
        pattern,
        decode,
        fold: Fold {
            case: fold.contains(&Folded::Case),
            trim: fold.contains(&Folded::Trim),
        },
    }
}

fn read_kind(table: &mut TomlTable<'_>, can_verify: bool) -> Option<TokenKind> {
    let kind = table.choice("kind", KINDS)?;
    if kind != TokenKind::Opaque && !can_verify {
        table.report_at(
            "kind",
            Fault::error("no JWT can be verified: the shop has no key")
                .help("give [shop.token] algorithms and a key, or write kind = \"opaque\""),
        );
    }
    Some(kind)
}

/// Reads `at`; left out, a credential counts on every request.
fn read_occasions(table: &mut TomlTable<'_>) -> Occasions {
    let Some(texts) = table.strings("at") else {
        return Occasions::ALL;
    };
    if texts.is_empty() {
        table.report_at(
            "at",
            Fault::error("`at` names nothing")
                .help("leave `at` out for a credential that counts everywhere"),
        );
    }
    let occasions = texts.iter();
    let occasions = occasions.filter_map(|text| text.choose("at", OCCASIONS));
    let occasions: Vec<_> = occasions.collect();
    Occasions {
        logout: occasions.contains(&Occasion::Logout),
        refresh: occasions.contains(&Occasion::Refresh),
        visit: occasions.contains(&Occasion::Visit),
    }
}

/// A carrier, and what faults call it; two of one name are the same.
fn read_carrier(table: &mut TomlTable<'_>) -> Option<(String, Carrier)> {
    let schemes = table.strings("schemes");
    let join = read_join(table);
    let written = CARRIERS.map(|key| Some((key, table.string(key)?)));
    let is_broken = CARRIERS.iter().any(|key| table.spot_of(key).is_some());
    let written: Vec<_> = written.into_iter().flatten().collect();
    match written.as_slice() {
        [("header", text)] => {
            let carrier = header_carrier(table, text, schemes)?;
            let name = text.as_str().to_lowercase();
            Some((format!("header `{name}`"), carrier))
        }
        [(key, text)] => {
            let fault = Fault::error(format!("`schemes` makes no sense with `{key}`"));
            table.report_at("schemes", fault.label("only a header has schemes"));
            let mut carrier = carrier_of_key(key, text)?;
            if let Carrier::Cookie { join: others, .. } = &mut carrier {
                *others = join;
            }
            Some((format!("{key} `{}`", text.as_str()), carrier))
        }
        [(first, _), (second, text), ..] => {
            let message = format!("`{first}` and `{second}` can't both be given");
            text.report(Fault::error(message).help("write a [[shop.credential]] for each"));
            None
        }
        [] => {
            if !is_broken {
                table.missing(
                    "header",
                    "one of header, cookie, query, body, form, graphql, subprotocol",
                );
            }
            None
        }
    }
}

/// The cookies that hold the rest of a token.
fn read_join(table: &mut TomlTable<'_>) -> Vec<NamePattern> {
    let names = table.string_or_strings_as("join", NamePattern::parse);
    if table.spot_of("cookie").is_none() {
        table.report_at(
            "join",
            Fault::error("`join` makes no sense without `cookie`")
                .label("only a cookie is too small for a token"),
        );
    }
    names
}

fn header_carrier(
    table: &TomlTable<'_>,
    text: &TomlText<'_>,
    schemes: Option<Vec<TomlText<'_>>>,
) -> Option<Carrier> {
    let name = text.parse_as(header_name)?;
    if name == COOKIE {
        text.report(
            Fault::error("cookies are listed one by one")
                .help("write cookie = \"its name\" instead of header = \"cookie\""),
        );
        return None;
    }
    match schemes {
        None if table.spot_of("schemes").is_some() => None, // it had its fault
        None => Some(Carrier::Raw(name)),
        Some(schemes) if schemes.is_empty() => {
            let fault = Fault::error("`schemes` names no scheme");
            let help = "leave `schemes` out where the whole value is the credential";
            table.report_at("schemes", fault.help(help));
            None
        }
        Some(schemes) => {
            let schemes = schemes.iter().map(|text| text.parse_as(scheme));
            let schemes: Vec<_> = schemes.collect();
            Some(Carrier::Schemed {
                name,
                schemes: schemes.into_iter().collect::<Option<_>>()?,
            })
        }
    }
}

/// A scheme is a token (RFC 9110 section 11.1), as the name of a header is.
fn scheme(text: &str) -> Result<String, &'static str> {
    let is_token = HeaderName::try_from(text).is_ok();
    is_token
        .then(|| text.to_owned())
        .ok_or("a scheme such as Bearer")
}

fn carrier_of_key(key: &str, text: &TomlText<'_>) -> Option<Carrier> {
    match key {
        "cookie" => {
            let join = Vec::new();
            let name = text.parse_as(NamePattern::parse)?;
            Some(Carrier::Cookie { name, join })
        }
        "subprotocol" => text.parse_as(NamePattern::parse).map(Carrier::Subprotocol),
        "body" => text.parse_as(Pointer::parse).map(Carrier::Json),
        "query" => text.parse_as(field).map(Carrier::Query),
        "graphql" => graphql::carrier(text),
        _ => text.parse_as(field).map(Carrier::Form),
    }
}

fn field(text: &str) -> Result<String, &'static str> {
    let is_fit = !text.is_empty() && !text.contains(['[', ']', '&', '=']);
    is_fit
        .then(|| text.to_owned())
        .ok_or("the name of one parameter, such as token")
}
