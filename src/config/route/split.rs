//! How requests are split among several upstreams.

use crate::config::fault::Fault;
use crate::config::reading::{TextOrTable, TomlTable};
use crate::config::rules::cookie_name::cookie_name;
use crate::config::upstream::NamedUpstreams;
use crate::request::{Place, Split, SplitBy};

/// Reads `split` and `split_by`. `None`: there is no split, or it is faulty.
pub(super) fn read(
    table: &mut TomlTable<'_>,
    upstreams: &NamedUpstreams,
    places: &[Place],
) -> Option<Split> {
    let by = read_by(table, places);
    let is_split = !table.lacks("split");
    if !is_split {
        let fault = Fault::error("`split_by` means nothing without `split`");
        table.report_at("split_by", fault);
    }
    let mut shares = Vec::new();
    for mut share in table.tables("split") {
        let name = share.required_string("upstream", "the name of an upstream");
        let weight = share.integer("weight", 0..=Split::WEIGHT_MAX);
        share.missing("weight", "an integer such as 95");
        share.finish();
        let name = name.and_then(|name| upstreams.read_name(&name));
        shares.push(name.zip(weight));
    }
    if !is_split {
        return None;
    }
    let shares: Vec<_> = shares.into_iter().collect::<Option<_>>()?;
    let split = Split::new(shares, by?);
    if split.is_none() {
        let fault = Fault::error("a split needs an upstream with a weight");
        table.report_at("split", fault.help("split = [{ upstream = \"stable\", weight = 95 }, { upstream = \"canary\", weight = 5 }]"));
    }
    split
}

fn read_by(table: &mut TomlTable<'_>, places: &[Place]) -> Option<SplitBy> {
    if table.lacks("split_by") {
        table.ignore("split_by");
        return Some(SplitBy::Client);
    }
    match table.string_or_table("split_by")? {
        TextOrTable::Text(text) => text
            .choose("split_by", &[("client", ())])
            .map(|()| SplitBy::Client),
        TextOrTable::Table(mut by) => {
            let expected = "the name of a cookie that only Doorward uses";
            let name = by.required_string("cookie", expected);
            by.finish();
            let text = name?;
            let name = text.parse_as(cookie_name)?;
            let is_credential =
                |place: &Place| place.carrier.cookies().any(|one| one.matches(&name));
            if places.iter().any(is_credential) {
                let fault = Fault::error("this cookie is a credential of the shop");
                text.report(fault.label(format!("expected {expected}")));
                return None;
            }
            Some(SplitBy::Cookie(name))
        }
    }
}
