//! The snapshot of a configuration that requests are served by. A reload replaces it as a whole, or not at all.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::access_log::settings::AccessLogSettings;
use super::acme::settings::AcmeSettings;
use super::acme::state::AcmeState;
use super::connection::certificate::Certificate;
use super::connection::limits::Limits;
use super::connection::listener::{ListenerNumber, ListenerRules};
use super::process::drain::Drain;
use super::proxy::forwarding::Forwarding;
use super::traces::settings::TraceSettings;
use super::upstream::Pools;
use crate::clients::{AccessList, Peers};
use crate::clock;
use crate::request::{ErrorPages, Gate, HostPattern, Shop};
use crate::revocation::Revocations;

/// The settings that a reload may change.
#[derive(Debug)]
pub struct SnapshotSettings {
    /// What each public listener does with its connections, in the order of [`super::Settings::listen`].
    pub listeners: Vec<ListenerRules>,
    /// Proxies in front of Doorward whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Peers,
    /// The hosts of the operator listener, besides loopback and its own address.
    pub operator_hosts: Vec<HostPattern>,
    /// Where requests go.
    pub pools: Pools,
    /// The limits of a client.
    pub limits: Limits,
    /// Which clients may connect.
    pub access: AccessList,
    /// The pages of the operator for requests without a shop.
    pub error_pages: Arc<ErrorPages>,
    /// The certificates of the addresses with TLS; the first is the default.
    pub certificates: Vec<Certificate>,
    /// The certificates that Doorward orders itself; `None`: none.
    pub acme: Option<AcmeSettings>,
    /// How long the process takes to stop.
    pub drain: Drain,
    /// The access log; `None`: there is none.
    pub access_log: Option<AccessLogSettings>,
    /// The spans of requests; `None`: there are none.
    pub traces: Option<TraceSettings>,
}

/// The shops, their servers, and what else a configuration says of serving them.
pub(crate) struct Snapshot {
    pub(crate) gate: Gate,
    /// Whether a shop wants `Strict-Transport-Security`.
    pub(crate) has_hsts: bool,
    listeners: Vec<ListenerRules>,
    /// The cookies that name servers, each once.
    pub(crate) sticky_cookies: Vec<String>,
    pub(crate) pools: Pools,
    pub(crate) forwarding: Forwarding,
    pub(crate) limits: Limits,
    pub(crate) access: AccessList,
    pub(crate) error_pages: Arc<ErrorPages>,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) acme_settings: Option<Arc<AcmeSettings>>,
    /// What was ordered. It outlives every snapshot.
    pub(crate) acme: Arc<AcmeState>,
    pub(crate) operator_hosts: Vec<HostPattern>,
    pub(crate) drain: Drain,
    pub(crate) access_log: Option<Arc<AccessLogSettings>>,
    pub(crate) traces: Option<TraceSettings>,
}

/// The current snapshot. A request takes a copy of the `Arc`, so that it sees one configuration.
pub(crate) type SharedSnapshot = Arc<ArcSwap<Snapshot>>;

impl Snapshot {
    /// The first one.
    pub(crate) fn new(
        settings: SnapshotSettings,
        shops: Vec<Shop>,
        revocations: Arc<Revocations>,
        acme: Arc<AcmeState>,
    ) -> Self {
        let gate = Gate::new(shops.into_iter().map(Arc::new).collect(), revocations);
        Self {
            has_hsts: gate.has_hsts(),
            gate,
            listeners: settings.listeners,
            sticky_cookies: settings.pools.sticky_cookies(),
            pools: settings.pools,
            forwarding: Forwarding::trusting(settings.trusted_proxies),
            limits: settings.limits,
            access: settings.access,
            error_pages: settings.error_pages,
            certificates: settings.certificates,
            acme_settings: settings.acme.map(Arc::new),
            acme,
            operator_hosts: settings.operator_hosts,
            drain: settings.drain,
            access_log: settings.access_log.map(Arc::new),
            traces: settings.traces,
        }
    }

    /// What a listener does with its connections.
    pub(crate) fn rules_of(&self, listener: ListenerNumber) -> Option<&ListenerRules> {
        self.listeners.get(listener.0)
    }

    /// The next one: the revocations stay, and so does what was learnt about shops that are still configured.
    pub(crate) fn after(&self, mut settings: SnapshotSettings, mut shops: Vec<Shop>) -> Self {
        for (rules, before) in settings.listeners.iter_mut().zip(&self.listeners) {
            rules.inherit(before);
        }
        for shop in &mut shops {
            if let Some(old) = self.gate.shop_named(&shop.name) {
                shop.inherit(old);
            }
        }
        settings.pools.inherit(&self.pools);
        let revocations = Arc::clone(self.gate.revocations());
        Self::new(settings, shops, revocations, Arc::clone(&self.acme))
    }
}

/// How long a revocation must be kept at most; `None`: tokens of some shop do not expire.
pub(crate) fn longest_life<'s>(shops: impl IntoIterator<Item = &'s Shop>) -> Option<Duration> {
    let now = clock::now();
    let mut lives = shops.into_iter().map(|shop| shop.longest_life(now));
    lives.try_fold(Duration::ZERO, |longest, life| Some(longest.max(life?)))
}
