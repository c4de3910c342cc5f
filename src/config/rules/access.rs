//! `allow` and `deny`: which clients are served.

use crate::clients::AccessList;
use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::rules::network;

/// Reads `allow` and `deny`. An empty `allow` would serve no client, and is a fault.
pub(crate) fn read(table: &mut TomlTable<'_>) -> AccessList {
    if table
        .string_or_strings("allow")
        .is_some_and(|texts| texts.is_empty())
    {
        let fault = Fault::error("`allow` names no network: no client would be served");
        table.report_at("allow", fault.help("leave it out to serve every client"));
    }
    AccessList {
        allow: table.string_or_strings_as("allow", network::parse),
        deny: table.string_or_strings_as("deny", network::parse),
    }
}
