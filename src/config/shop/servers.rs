//! The servers of a shop: its own, or an upstream that has a name.

use std::sync::Arc;

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::upstream::{NamedUpstreams, UpstreamKeys, read_settings};
use crate::server::{UpstreamOwner, Upstreams};

/// Reads the servers of the shop with this name.
pub(crate) fn read(
    shop: &mut TomlTable<'_>,
    name: &str,
    upstreams: &NamedUpstreams,
) -> Option<Arc<Upstreams>> {
    let keys = &UpstreamKeys::OF_SHOP;
    let named = shop
        .has_string(keys.servers)
        .then(|| shop.string(keys.servers));
    let named = named
        .flatten()
        .and_then(|text| upstreams.take(text.as_str()));
    let Some((upstream, servers)) = named else {
        let owner = UpstreamOwner::Shop(name.to_owned());
        return read_settings(shop, keys, Some(owner)).map(Arc::new);
    };
    let tables = UpstreamKeys::TABLES.into_iter();
    let own = [
        keys.host,
        keys.http2,
        keys.proxy_protocol,
        keys.limits,
        keys.tls,
    ];
    for key in tables.chain(own) {
        if !shop.lacks(key) {
            let fault = Fault::error(format!("`{key}` beside an upstream that has a name"));
            shop.report_at(
                key,
                fault.help(format!("write it under [[upstream]] name = \"{upstream}\"")),
            );
        }
        shop.ignore(key);
    }
    servers.cloned()
}
