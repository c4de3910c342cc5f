//! The servers of an upstream: addresses, weights, backups.

use crate::config::fault::Fault;
use crate::config::reading::{TextOrTable, TomlTable, TomlText};
use crate::server::{Endpoint, ServerSettings};

/// Reads the servers under this key. `None`: something in them has a fault, or there is none.
pub(super) fn read(table: &mut TomlTable<'_>, key: &str) -> Option<Vec<ServerSettings>> {
    let entries = table.text_or_texts_or_tables(key);
    table.missing(key, "addresses such as [\"127.0.0.1:8000\"]");
    let entries = entries?;
    if entries.is_empty() {
        table.report_at(key, Fault::error(format!("`{key}` names no address")));
    }
    let count = entries.len();
    let servers = entries.into_iter().filter_map(|entry| match entry {
        TextOrTable::Text(text) => read_endpoint(&text).map(ServerSettings::from),
        TextOrTable::Table(table) => read_server(table),
    });
    let servers: Vec<_> = servers.collect();
    if servers.len() == count && !servers.is_empty() && servers.iter().all(|one| one.is_backup) {
        let fault = Fault::error(format!("`{key}` names backups only"));
        table.report_at(key, fault.help("leave out `backup` at one server at least"));
    }
    Some(servers)
}

fn read_server(mut table: TomlTable<'_>) -> Option<ServerSettings> {
    let address = table.required_string("address", "an address such as \"127.0.0.1:8000\"");
    let endpoint = address.and_then(|text| read_endpoint(&text));
    let weight = table.integer("weight", 1..=1000);
    let is_backup = table.boolean("backup");
    table.finish();
    Some(ServerSettings {
        endpoint: endpoint?,
        weight: weight.unwrap_or(1),
        is_backup: is_backup.unwrap_or_default(),
    })
}

/// Standards 12: anyone on the network can read a bearer token that is sent in the clear.
fn read_endpoint(text: &TomlText<'_>) -> Option<Endpoint> {
    let endpoint = text.parse_as(Endpoint::parse)?;
    if endpoint.is_exposed() {
        let fault = Fault::warning("tokens travel to this upstream in the clear");
        let help = "write https:// before the address (RFC 6750 section 5.2)";
        text.report(fault.help(help));
    }
    Some(endpoint)
}
