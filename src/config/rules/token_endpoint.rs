//! `[[shop.mint]]`: the calls that hand out tokens.

use std::sync::Arc;

use http::Method;

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::rules::base::Bases;
use crate::config::rules::call;
use crate::config::rules::header::header_name;
use crate::request::{Base, MintRule, NamePattern, OnReissue, Pointer, UnknownToken};

/// The names of `mint`.
pub(crate) const UNKNOWN: &[(&str, UnknownToken)] = &[
    ("partial", UnknownToken::New),
    ("complete", UnknownToken::Old),
];

const ON_REISSUE: &[(&str, OnReissue)] =
    &[("refuse", OnReissue::Refuse), ("revive", OnReissue::Revive)];

/// The calls that hand out tokens, and the policies for such tokens.
pub(crate) struct Mints {
    /// Every `[[shop.mint]]`.
    pub(crate) rules: Vec<Arc<MintRule>>,
    /// How an undated token counts, unless its `[shop.token]` has a key of its own.
    pub(crate) unknown: UnknownToken,
    /// What happens to a revoked token that is handed out again.
    pub(crate) on_reissue: OnReissue,
}

/// Reads `mint`, every `[[shop.mint]]`, and `on_reissue`.
pub(crate) fn read(shop: &mut TomlTable<'_>, bases: &Bases) -> Mints {
    let (unknown, tables) = shop.text_and_tables("mint");
    let unknown = unknown.and_then(|text| text.choose("mint", UNKNOWN));
    let mut rules = Vec::new();
    for table in tables {
        let base = bases.of(&table, shop);
        let spot = table.spot();
        let rule = read_rule(table, base);
        if rule.pointers.is_empty() && rule.headers.is_empty() && rule.cookies.is_empty() {
            let fault = Fault::error("no key says where the tokens stand in the answer");
            let help = "such as token = { json = [\"/data/token\"] }, or `header`, or `cookie`";
            shop.report(fault.help(help).at(&spot));
        }
        rules.push(Arc::new(rule));
    }
    let on_reissue = shop.choice("on_reissue", ON_REISSUE);
    let on_reissue = on_reissue.unwrap_or_default();
    if on_reissue == OnReissue::Revive && rules.is_empty() {
        shop.report_at(
            "on_reissue",
            Fault::warning("no token can be revived")
                .help("list the calls that hand out tokens under [[shop.mint]]"),
        );
    }
    Mints {
        rules,
        unknown: unknown.unwrap_or_default(),
        on_reissue,
    }
}

fn read_rule(mut table: TomlTable<'_>, base: &Base) -> MintRule {
    let call = call::read(&mut table, base, &[Method::POST, Method::GET]);
    let mut rule = MintRule {
        call,
        pointers: Vec::new(),
        headers: Vec::new(),
        cookies: Vec::new(),
        subject: None,
    };
    if let Some(mut token) = table.table("token") {
        rule.pointers = token.string_or_strings_as("json", Pointer::parse);
        rule.headers = token.string_or_strings_as("header", header_name);
        rule.cookies = token.string_or_strings_as("cookie", NamePattern::parse);
        rule.subject = token.string_as("subject", Pointer::parse);
        token.finish();
    }
    table.finish();
    rule
}
