//! `allow` and `deny`: which clients are served.

use crate::clients::AccessList;
use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::rules::network;

/// Reads `allow` and `deny`. An empty `allow` would serve no client, and is a fault.
pub(crate) fn read(table: &mut TomlTable<'_>) -> AccessList {
    let allow = table.string_or_strings("allow");
    if allow.as_ref().is_some_and(Vec::is_empty) {
        let fault = Fault::error("`allow` names no network: no client would be served");
        table.report_at("allow", fault.help("leave it out to serve every client"));
    }
    AccessList {
        allow: network::read_peers(&allow.unwrap_or_default()),
        deny: network::read_peers(&table.string_or_strings("deny").unwrap_or_default()),
    }
}
