//! What a configuration says, ready to serve. A reload replaces it whole, or not at all.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::connection::limits::Limits;
use super::connection::tls::Certificate;
use super::process::drain::Drain;
use super::proxy::forwarding::Forwarding;
use super::start::SiteSettings;
use super::upstream::AllUpstreams;
use crate::request::{Gate, HostPattern, Shop};
use crate::revocation::Revocations;

/// The shops and how they are reached.
pub(crate) struct Site {
    pub(crate) gate: Gate,
    pub(crate) upstreams: AllUpstreams,
    pub(crate) forwarding: Forwarding,
    pub(crate) limits: Limits,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) operator_hosts: Vec<HostPattern>,
    pub(crate) drain: Drain,
}

/// The site that is served now. Whoever needs it for more than a moment takes a copy of the `Arc`, so that
/// one request sees one configuration.
pub(crate) type Served = Arc<ArcSwap<Site>>;

impl Site {
    /// The first one.
    pub(crate) fn new(
        settings: SiteSettings,
        shops: Vec<Shop>,
        revocations: Arc<Revocations>,
    ) -> Self {
        Self {
            gate: Gate::new(shops.into_iter().map(Arc::new).collect(), revocations),
            upstreams: settings.upstreams,
            forwarding: Forwarding::believing(settings.trusted_proxies),
            limits: settings.limits,
            certificates: settings.certificates,
            operator_hosts: settings.operator_hosts,
            drain: settings.drain,
        }
    }

    /// The next one: the revocations stay, and so does what was learnt of shops that are still there.
    pub(crate) fn after(&self, settings: SiteSettings, mut shops: Vec<Shop>) -> Self {
        for shop in &mut shops {
            if let Some(old) = self.gate.shop_named(&shop.name) {
                shop.inherit(old);
            }
            let servers = (
                settings.upstreams.get(&shop.name),
                self.upstreams.get(&shop.name),
            );
            if let (Some(upstreams), Some(old)) = servers {
                upstreams.inherit(old);
            }
        }
        Self::new(settings, shops, Arc::clone(self.gate.revocations()))
    }
}
