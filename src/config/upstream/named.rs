//! `[[upstream]]`: servers that have a name, for shops and routes to lead to.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use super::settings::{UpstreamKeys, read_settings};
use crate::config::fault::{Fault, SourceSpot};
use crate::config::reading::{TomlTable, TomlText};
use crate::request::UpstreamName;
use crate::server::{ServerSettings, UpstreamOwner, Upstreams};

/// The upstreams that have a name, and whether something leads to them.
#[derive(Default)]
pub(crate) struct NamedUpstreams {
    all: Vec<NamedUpstream>,
}

struct NamedUpstream {
    name: UpstreamName,
    /// Faulty ones have none: they are known, so that no second fault is reported.
    servers: Option<Arc<Upstreams>>,
    spot: SourceSpot,
    is_used: Cell<bool>,
}

/// Reads every `[[upstream]]`.
pub(crate) fn read(root: &mut TomlTable<'_>) -> NamedUpstreams {
    let mut read = NamedUpstreams::default();
    for mut table in root.tables("upstream") {
        let expected = "the name of an upstream, such as \"api\"";
        let name = table.required_string("name", expected);
        let name = name.and_then(|text| read.claim(&text));
        let owner = name.clone().map(UpstreamOwner::Upstream);
        let servers = read_settings(&mut table, &UpstreamKeys::NAMED, owner);
        let spot = table.spot();
        table.finish();
        read.all.extend(name.map(|name| NamedUpstream {
            name,
            servers: servers.map(Arc::new),
            spot,
            is_used: Cell::default(),
        }));
    }
    read
}

impl NamedUpstreams {
    /// A name that no other upstream has.
    fn claim(&self, text: &TomlText<'_>) -> Option<UpstreamName> {
        let name = text.parse_as(UpstreamName::parse)?;
        if self.all.iter().any(|one| one.name == name) {
            text.report(Fault::error(format!("two upstreams are called `{name}`")));
            return None;
        }
        Some(name)
    }

    /// The servers of this name, to which something leads now. `None`: no upstream is called so.
    pub(crate) fn take(&self, name: &str) -> Option<(&UpstreamName, Option<&Arc<Upstreams>>)> {
        let found = self.all.iter().find(|one| one.name.as_str() == name)?;
        found.is_used.set(true);
        Some((&found.name, found.servers.as_ref()))
    }

    /// Reads the name of one of them.
    pub(crate) fn read_name(&self, text: &TomlText<'_>) -> Option<UpstreamName> {
        if let Some((name, _)) = self.take(text.as_str()) {
            return Some(name.clone());
        }
        let name = text.parse_as(UpstreamName::parse)?;
        let known = self.all.iter().map(|one| one.name.as_str());
        let fault = Fault::error(format!("no upstream is called `{name}`"));
        let help = format!("write [[upstream]] name = \"{name}\", with its servers");
        text.report(fault.suggest(name.as_str(), known).help(help));
        None
    }

    /// Each without faults, and where it is written.
    pub(crate) fn each(
        &self,
    ) -> impl Iterator<Item = (&UpstreamName, &Arc<Upstreams>, &SourceSpot)> {
        let all = self.all.iter();
        all.filter_map(|one| Some((&one.name, one.servers.as_ref()?, &one.spot)))
    }

    /// Reports those to which nothing leads.
    pub(crate) fn warn_of_unused(&self, root: &TomlTable<'_>) {
        for one in self.all.iter().filter(|one| !one.is_used.get()) {
            let fault = Fault::warning(format!("nothing leads to the upstream `{}`", one.name));
            let help = "name it in [[shop]] or in [[shop.route]], or delete it";
            root.report(fault.help(help).at(&one.spot));
        }
    }

    /// What `check` prints of them.
    pub(crate) fn summary(&self) -> Vec<String> {
        let all = self.all.iter().filter_map(|one| {
            let servers = one.servers.as_ref()?.configured().iter();
            let servers: Vec<_> = servers.map(ServerSettings::to_string).collect();
            Some(format!("upstream {}: {}", one.name, servers.join(", ")))
        });
        all.collect()
    }

    /// All of them, by their names.
    pub(crate) fn into_servers(self) -> HashMap<UpstreamName, Arc<Upstreams>> {
        let all = self.all.into_iter();
        all.filter_map(|one| Some((one.name, one.servers?)))
            .collect()
    }
}
