//! Where a shop hands out tokens, and what a token counts as that no node has dated.

use std::sync::Arc;

use http::{HeaderName, Method};

use crate::config::fault::{Fault, Faults};
use crate::config::reading::Table;
use crate::config::rules::base::Bases;
use crate::config::rules::call;
use crate::request::{Base, MintRule, NamePattern, OnReissue, Pointer, UnknownToken};

/// The names of `mint`.
pub(crate) const UNKNOWN: &[(&str, UnknownToken)] = &[
    ("partial", UnknownToken::New),
    ("complete", UnknownToken::Old),
];

const ON_REISSUE: &[(&str, OnReissue)] =
    &[("refuse", OnReissue::Refuse), ("revive", OnReissue::Revive)];

/// What a shop says of the tokens that it hands out.
pub(crate) struct Mints {
    /// Every `[[shop.mint]]`.
    pub(crate) rules: Vec<Arc<MintRule>>,
    /// What a token counts as that no node has dated, unless its `[shop.token]` says so.
    pub(crate) unknown: UnknownToken,
    /// What becomes of a dead token that is handed out again.
    pub(crate) on_reissue: OnReissue,
}

/// Reads `mint`, every `[[shop.mint]]`, and `on_reissue`.
pub(crate) fn read(shop: &mut Table<'_>, bases: &Bases, faults: &mut Faults) -> Mints {
    let (unknown, tables) = shop.text_and_tables("mint", faults);
    let unknown = unknown.and_then(|text| text.choose("mint", UNKNOWN, faults));
    let mut rules = Vec::new();
    for table in tables {
        let base = bases.of(&table, shop);
        let spot = table.spot();
        let rule = read_rule(table, base, faults);
        if rule.pointers.is_empty() && rule.headers.is_empty() && rule.cookies.is_empty() {
            let fault = Fault::error("nothing says where the tokens stand in the answer").at(&spot);
            faults
                .push(fault.help(
                    "such as token = { json = [\"/data/token\"] }, or `header`, or `cookie`",
                ));
        }
        rules.push(Arc::new(rule));
    }
    let on_reissue = shop.choice("on_reissue", ON_REISSUE, faults);
    let on_reissue = on_reissue.unwrap_or_default();
    if on_reissue == OnReissue::Revive
        && rules.is_empty()
        && let Some(spot) = shop.spot_of("on_reissue")
    {
        let fault = Fault::warning("no token is ever revived").at(&spot);
        faults.push(fault.help("say with [[shop.mint]] where the shop hands out tokens"));
    }
    Mints {
        rules,
        unknown: unknown.unwrap_or_default(),
        on_reissue,
    }
}

fn read_rule(mut table: Table<'_>, base: &Base, faults: &mut Faults) -> MintRule {
    let call = call::read(&mut table, base, &[Method::POST, Method::GET], faults);
    let mut rule = MintRule {
        call,
        pointers: Vec::new(),
        headers: Vec::new(),
        cookies: Vec::new(),
        subject: None,
    };
    if let Some(mut token) = table.table("token", faults) {
        let json = token.string_or_strings("json", faults).unwrap_or_default();
        let json = json.iter();
        rule.pointers = json
            .filter_map(|text| text.parse_as(Pointer::parse, faults))
            .collect();
        let headers = token.string_or_strings("header", faults);
        let headers = headers.unwrap_or_default();
        rule.headers = headers
            .iter()
            .filter_map(|text| text.parse_as(header, faults))
            .collect();
        let cookies = token.string_or_strings("cookie", faults);
        let cookies = cookies.unwrap_or_default();
        rule.cookies = cookies
            .iter()
            .filter_map(|text| text.parse_as(NamePattern::parse, faults))
            .collect();
        let subject = token.string("subject", faults);
        rule.subject = subject.and_then(|text| text.parse_as(Pointer::parse, faults));
        token.finish(faults);
    }
    table.finish(faults);
    rule
}

fn header(text: &str) -> Result<HeaderName, &'static str> {
    text.parse()
        .map_err(|_| "the name of a header, such as vendure-auth-token")
}
