//! `[[shop.refresh]]`: the calls that exchange refresh tokens.

use http::Method;

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::rules::base::Bases;
use crate::config::rules::call;
use crate::config::rules::words;
use crate::request::{Place, RefreshRule};

/// Reads every `[[shop.refresh]]`.
pub(crate) fn read(shop: &mut TomlTable<'_>, bases: &Bases, places: &[Place]) -> Vec<RefreshRule> {
    let mut rules = Vec::new();
    for mut table in shop.tables("refresh") {
        let base = bases.for_rule(&table);
        let methods = [Method::POST, Method::GET];
        let call = call::read(&mut table, base, &methods);
        let invalid = table.table("errors").and_then(|mut errors| {
            let invalid = words::read_refusal(&mut errors, "invalid");
            errors.finish();
            invalid
        });
        table.finish();
        rules.push(RefreshRule { call, invalid });
    }
    let is_looked_for = |place: &Place| place.at.refresh && !place.at.visit;
    if rules.is_empty() && places.iter().any(is_looked_for) && shop.lacks("refresh") {
        let fault = Fault::warning("no rule says where tokens are refreshed");
        shop.report_here(
            fault.help(
                "list the calls under [[shop.refresh]], or they accept a revoked refresh token",
            ),
        );
    }
    rules
}
