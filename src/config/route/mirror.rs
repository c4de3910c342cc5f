//! Where copies of requests go.

use super::switched::{Switched, refuse_true, switched};
use crate::config::reading::{TextOrTable, TomlTable};
use crate::config::upstream::NamedUpstreams;
use crate::request::{Mirror, Share};

/// Reads `mirror`; where it is left out, it is as the shop says.
pub(super) fn read(
    table: &mut TomlTable<'_>,
    upstreams: &NamedUpstreams,
    of_shop: Option<&Mirror>,
) -> Option<Mirror> {
    const NAME: &str = "the name of an upstream, or false";
    match switched(table, "mirror") {
        Switched::LeftOut => of_shop.cloned(),
        Switched::Off => None,
        Switched::On => refuse_true(table, "mirror", NAME),
        Switched::Written => match table.string_or_table("mirror")? {
            TextOrTable::Text(name) => Some(Mirror {
                upstream: upstreams.read_name(&name)?,
                rate: Share::ALL,
            }),
            TextOrTable::Table(mut table) => {
                let name = table.required_string("upstream", NAME);
                let rate = match table.string("rate") {
                    Some(text) => text.parse_as(Share::parse),
                    None => Some(Share::ALL),
                };
                table.finish();
                let upstream = upstreams.read_name(&name?)?;
                Some(Mirror {
                    upstream,
                    rate: rate?,
                })
            }
        },
    }
}
