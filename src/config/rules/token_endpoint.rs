//! `[[shop.token_endpoint]]`: the calls whose answers contain tokens.

use std::sync::Arc;

use http::Method;

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::rules::base::Bases;
use crate::config::rules::call;
use crate::config::rules::header::header_name;
use crate::request::{Base, NamePattern, OnReissue, Pointer, TokenEndpoint};

const ON_REISSUE: &[(&str, OnReissue)] =
    &[("refuse", OnReissue::Refuse), ("revive", OnReissue::Revive)];

/// The token endpoints of a shop, and the policy for their tokens.
pub(crate) struct TokenEndpoints {
    /// Every `[[shop.token_endpoint]]`.
    pub(crate) rules: Vec<Arc<TokenEndpoint>>,
    /// What happens to a revoked token that is handed out again.
    pub(crate) on_reissue: OnReissue,
}

/// Reads every `[[shop.token_endpoint]]`, and `on_reissue`.
pub(crate) fn read(shop: &mut TomlTable<'_>, bases: &Bases) -> TokenEndpoints {
    shop.renamed_tables("token_endpoint", "mint");
    let mut rules = Vec::new();
    for table in shop.tables("token_endpoint") {
        let base = bases.for_rule(&table);
        let spot = table.spot();
        let rule = read_rule(table, base);
        if rule.pointers.is_empty() && rule.headers.is_empty() && rule.cookies.is_empty() {
            let fault = Fault::error("no key says where the tokens are in the answer");
            let help =
                "write token = { json = [\"/data/token\"] }, or name a header or a cookie there";
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
                .help("list the calls whose answers contain tokens under [[shop.token_endpoint]]"),
        );
    }
    TokenEndpoints { rules, on_reissue }
}

fn read_rule(mut table: TomlTable<'_>, base: &Base) -> TokenEndpoint {
    let call = call::read(&mut table, base, &[Method::POST, Method::GET]);
    let mut rule = TokenEndpoint {
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
