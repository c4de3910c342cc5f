//! The metrics that are measured at each scrape.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Metric, Registry, Unit};

use super::metrics::PREFIX;
use crate::clock;
use crate::cluster::Node;
use crate::request::Shop;
use crate::revocation::SyncPhase;
use crate::server::reload_record::ReloadRecord;
use crate::server::snapshot::Snapshot;

/// The parts that are measured.
pub(crate) struct Measured<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) connections: usize,
    pub(crate) read_ahead_bytes: usize,
    pub(crate) in_flight: usize,
    pub(crate) is_draining: bool,
    pub(crate) reloads: &'a ReloadRecord,
    pub(crate) node: Option<&'a Node>,
}

/// The metrics of one scrape: each is named, explained and read in one place.
pub(super) struct Scrape(pub(super) Registry);

/// The names and values of labels.
pub(super) type Labels<const N: usize> = [(&'static str, String); N];

impl Scrape {
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl TryInto<i64>) {
        self.0.register(name, help, ConstGauge::new(whole(value)));
    }

    pub(super) fn in_unit(&mut self, unit: Unit, name: &str, help: &str, metric: impl Metric) {
        self.0.register_with_unit(name, help, unit, metric);
    }

    /// Values with the same labels are added up.
    pub(super) fn gauges<const N: usize, V: TryInto<i64>>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<N>, V)>,
    ) {
        let family: Family<Labels<N>, Gauge> = Family::default();
        for (labels, value) in values {
            family.get_or_create_owned(&labels).inc_by(whole(value));
        }
        self.0.register(name, help, family);
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, total: u64) {
        self.0.register(name, help, ConstCounter::new(total));
    }

    /// Totals with the same labels are added up.
    pub(super) fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        totals: impl IntoIterator<Item = (Labels<N>, u64)>,
    ) {
        let family: Family<Labels<N>, Counter> = Family::default();
        for (labels, total) in totals {
            family.get_or_create_owned(&labels).inc_by(total);
        }
        self.0.register(name, help, family);
    }
}

fn whole(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

fn label(name: &'static str, value: &str) -> (&'static str, String) {
    (name, value.to_owned())
}

fn loaded(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

impl Measured<'_> {
    /// Measures everything.
    pub(crate) fn registry(&self) -> Registry {
        let mut scrape = Scrape(Registry::with_prefix(PREFIX));
        self.measure_journal(&mut scrape);
        self.measure_revocations(&mut scrape);
        self.measure_process(&mut scrape);
        self.measure_reloads(&mut scrape);
        self.measure_clocks(&mut scrape);
        self.measure_credentials(&mut scrape);
        self.measure_observed(&mut scrape);
        self.measure_unjudged(&mut scrape);
        self.measure_keys(&mut scrape);
        self.measure_servers(&mut scrape);
        if let Some(node) = self.node {
            self.measure_cluster(&mut scrape, node);
        }
        scrape.0
    }

    /// One value for each shop.
    fn by_shop<V>(&self, value: impl Fn(&Shop) -> V) -> impl Iterator<Item = (Labels<1>, V)> {
        let shops = self.snapshot.gate.shops().iter();
        shops.map(move |shop| ([label("shop", &shop.name)], value(shop)))
    }

    fn measure_journal(&self, scrape: &mut Scrape) {
        let journal = self.snapshot.gate.revocations().journal();
        scrape.in_unit(
            Unit::Seconds,
            "journal_latency",
            "How long a transaction took to reach the disk",
            journal.latency().clone(),
        );
        scrape.gauge(
            "journal_writable",
            "Whether the last write to the journal succeeded",
            journal.is_writable(),
        );
        scrape.counter(
            "journal_failures",
            "Writes to the journal that failed",
            journal.failures(),
        );
        scrape.counter(
            "journal_commits",
            "Transactions that reached the disk",
            journal.commits(),
        );
    }

    fn measure_revocations(&self, scrape: &mut Scrape) {
        let revocations = self.snapshot.gate.revocations();
        let counts = revocations.counts();
        let kinds = [
            ("token", counts.tokens),
            ("undated_token", counts.undated),
            ("cutoff", counts.cutoffs),
            ("window", counts.windows),
            ("seen", counts.seen),
            ("issued", counts.issued),
            ("revived", counts.revived),
        ];
        scrape.gauges(
            "revocations",
            "Revocations in force",
            kinds.map(|(kind, count)| ([label("kind", kind)], count)),
        );
        scrape.in_unit(
            Unit::Bytes,
            "revocations",
            "Memory used by the revocations",
            ConstGauge::new(whole(revocations.bytes())),
        );
        let now = clock::now();
        let unverified = self.snapshot.gate.shops().iter().flat_map(|shop| {
            let held = revocations.unverified(shop.tag, now);
            let kinds = [("unconfirmed", held.unconfirmed), ("likely", held.likely)];
            kinds.map(|(kind, count)| ([label("shop", &shop.name), label("kind", kind)], count))
        });
        scrape.gauges(
            "unverified_entries",
            "Live entries of credentials that could not be verified: kept for an hour (unconfirmed) or for longer (likely)",
            unverified,
        );
        scrape.gauges(
            "unverified_entries_limit",
            "How many of each kind a shop may have (limits.unverified_entries)",
            self.by_shop(|shop| shop.allowance.per_shop),
        );
        let unknown = revocations.unknown_counts();
        let counted_as = [("new", unknown.passed), ("old", unknown.refused)];
        scrape.counters(
            "unknown_tokens",
            "Tokens without a known issue time whose customer has logged out, by what they counted as",
            counted_as.map(|(name, count)| ([label("counted_as", name)], count)),
        );
        scrape.gauges(
            "former_meanings",
            "Former configurations under which a shop's tokens are still looked up, because a logout made under one is in force",
            self.by_shop(|shop| shop.honoured().len()),
        );
    }

    fn measure_process(&self, scrape: &mut Scrape) {
        scrape.gauge("connections", "Connections of customers", self.connections);
        scrape.gauge(
            "read_ahead_bytes",
            "Bytes of request bodies that are kept while they are examined and forwarded",
            self.read_ahead_bytes,
        );
        scrape.gauge(
            "requests_in_flight",
            "Requests that are being served",
            self.in_flight,
        );
        scrape.gauge(
            "draining",
            "Whether the process was told to stop",
            self.is_draining,
        );
        self.measure_certificates(scrape);
        let version = [label("version", env!("CARGO_PKG_VERSION"))];
        scrape.gauges("build_info", "The version that runs", [(version, 1)]);
    }

    fn measure_certificates(&self, scrape: &mut Scrape) {
        let acme = &self.snapshot.acme;
        let hosts = self.snapshot.acme_settings.iter();
        let ordered = hosts
            .flat_map(|settings| &settings.hosts)
            .filter_map(|host| acme.certificate(host));
        let certificates = self.snapshot.certificates.iter().cloned().chain(ordered);
        scrape.gauges(
            "certificate_not_after_timestamp_seconds",
            "When a certificate expires",
            certificates.map(|one| ([label("certificate", &one.name)], one.not_after.seconds())),
        );
        let outcomes = acme.outcomes();
        scrape.counters(
            "certificate_orders",
            "Orders of certificates, by outcome",
            outcomes.map(|(outcome, count)| ([label("outcome", outcome)], count)),
        );
        scrape.gauge(
            "certificate_last_order_timestamp_seconds",
            "When a certificate was last issued to an order of [acme]; 0: not since the start",
            acme.last_success(),
        );
    }

    fn measure_reloads(&self, scrape: &mut Scrape) {
        let reloads = self.reloads;
        scrape.gauge(
            "last_reload_successful",
            "Whether the last reload succeeded",
            reloads.is_last_good(),
        );
        scrape.gauge(
            "last_reload_success_timestamp_seconds",
            "When a configuration was last loaded, the start included",
            reloads.last_good_at().seconds(),
        );
        let outcomes = [
            ("succeeded", reloads.succeeded()),
            ("failed", reloads.failed()),
        ];
        scrape.counters(
            "reloads",
            "Reloads, by outcome",
            outcomes.map(|(outcome, count)| ([label("outcome", outcome)], count)),
        );
    }

    fn measure_clocks(&self, scrape: &mut Scrape) {
        scrape.gauges(
            "shop_clock_offset_seconds",
            "How far the shop's clock is ahead of this node's; of several servers the earliest that is trusted",
            self.by_shop(|shop| shop.clock.offset_s()),
        );
        let servers = || {
            let shops = self.snapshot.gate.shops().iter();
            shops.flat_map(|shop| {
                let servers = shop.clock.servers().into_iter();
                servers.map(|one| {
                    let server = label("server", &one.address.to_string());
                    ([label("shop", &shop.name), server], one)
                })
            })
        };
        scrape.gauges(
            "shop_server_clock_offset_seconds",
            "How far the clock of a shop's server is ahead of this node's, by the Date of its answers",
            servers().map(|(labels, one)| (labels, one.offset_s)),
        );
        scrape.counters(
            "shop_dates_disbelieved",
            "Answers of a shop's server whose Date was ignored, because it differed from this node's clock by more than clock_offset_max",
            servers().map(|(labels, one)| (labels, one.disbelieved)),
        );
    }

    fn measure_credentials(&self, scrape: &mut Scrape) {
        let places = self.snapshot.gate.shops().iter().flat_map(|shop| {
            let judged = loaded(&shop.judged);
            shop.places.iter().flat_map(move |place| {
                let (tokens, unreadable) = (place.counts.tokens(), place.counts.unreadable());
                let all = [
                    ("token", tokens),
                    ("unreadable", unreadable),
                    ("nothing", judged.saturating_sub(tokens + unreadable)),
                ];
                all.map(|(held, count)| {
                    let labels = [
                        label("shop", &shop.name),
                        label("place", &place.label()),
                        label("held", held),
                    ];
                    (labels, count)
                })
            })
        });
        scrape.counters(
            "credential_places",
            "Requests, by what a configured place held: a token, something else, or nothing",
            places,
        );
    }

    fn measure_observed(&self, scrape: &mut Scrape) {
        let shops = self.snapshot.gate.shops().iter();
        let observed = shops.flat_map(|shop| {
            let whole = shop.demand.is_observed.then_some("");
            let routes = shop.otherwise_observed().map(|route| &*route.name);
            let routes = routes.filter(move |_| whole.is_none());
            let names = whole.into_iter().chain(routes);
            names.map(|route| ([label("shop", &shop.name), label("route", route)], 1))
        });
        scrape.gauges(
            "observing",
            "Shops that are only observed, or single routes of them: nothing is refused there for its credentials",
            observed,
        );
    }

    fn measure_unjudged(&self, scrape: &mut Scrape) {
        let shops = self.snapshot.gate.shops().iter();
        let unjudged = shops.flat_map(|shop| {
            let routes = shop.unjudged_routes();
            routes.map(|route| ([label("shop", &shop.name), label("route", &route.name)], 1))
        });
        scrape.gauges(
            "enforce_off",
            "Routes with `enforce = \"off\"`: a customer who logged out still has access there",
            unjudged,
        );
    }

    fn measure_keys(&self, scrape: &mut Scrape) {
        scrape.gauges(
            "keys",
            "Keys that verify a shop's tokens",
            self.by_shop(|shop| shop.verifier.key_count()),
        );
        let verified = self.snapshot.gate.shops().iter().flat_map(|shop| {
            let issuers = shop.verifier.issuers().iter();
            issuers
                .flat_map(|issuer| issuer.ring().verified())
                .map(|(key, count)| ([label("shop", &shop.name), label("key", &key)], count))
        });
        scrape.counters(
            "tokens_verified",
            "Tokens that a key has verified; a token that comes again while it is remembered is not counted",
            verified,
        );
        scrape.gauges(
            "no_token_accepted",
            "Whether tokens of a shop came and none of them has verified, or was within its time, since the start or since its keys changed",
            self.by_shop(|shop| {
                let mut awaited = shop.verifier.awaited();
                awaited.any(|one| one.record.none_accepted().is_some())
            }),
        );
        // Of several issuers the one whose keys are the oldest.
        let fetched = self.by_shop(|shop| {
            let issuers = shop.verifier.issuers().iter();
            issuers
                .filter_map(|issuer| issuer.ring().state().fetched_at)
                .min()
        });
        scrape.gauges(
            "keys_last_fetch_timestamp_seconds",
            "When a shop's keys were last fetched from its jwks_url",
            fetched.filter_map(|(labels, at)| Some((labels, at?.seconds()))),
        );
    }

    fn measure_servers(&self, scrape: &mut Scrape) {
        let pools = || {
            self.snapshot.pools.all().map(|(shop, upstream, pool)| {
                let owner = if upstream.is_empty() {
                    label("shop", shop)
                } else {
                    label("upstream", upstream)
                };
                (owner, pool)
            })
        };
        let servers = || {
            pools().flat_map(|(owner, pool)| {
                let servers = pool.servers().into_iter();
                servers.map(move |one| ([owner.clone(), label("server", &one.label)], one))
            })
        };
        scrape.gauges(
            "upstream_servers",
            "Addresses of the servers of a shop or an upstream, by state",
            servers()
                .map(|([owner, server], one)| ([owner, server, label("state", one.state())], 1)),
        );
        scrape.gauges(
            "upstream_in_flight",
            "Requests in flight on a server",
            servers().map(|(labels, one)| (labels, one.in_flight)),
        );
        scrape.counters(
            "upstream_failures",
            "Requests that failed on a server",
            servers().map(|(labels, one)| (labels, one.failures)),
        );
        let queues = || pools().filter_map(|(owner, pool)| Some((owner, pool.queue()?)));
        scrape.gauges(
            "upstream_queue",
            "Requests that wait until a server of a shop or an upstream has room",
            queues().map(|(owner, queue)| ([owner], queue.waiting)),
        );
        scrape.counters(
            "upstream_queue_refusals",
            "Requests that were refused because too many waited (full), or because no server had room in time (timeout)",
            queues().flat_map(|(owner, queue)| {
                let reasons = [("full", queue.full), ("timeout", queue.timed_out)];
                reasons.map(|(reason, count)| ([owner.clone(), label("reason", reason)], count))
            }),
        );
    }

    fn measure_cluster(&self, scrape: &mut Scrape, node: &Node) {
        let revocations = self.snapshot.gate.revocations();
        scrape.in_unit(
            Unit::Seconds,
            "propagation",
            "Time from a revocation being on the disk of another node until its token is refused here",
            node.propagation().clone(),
        );
        let now = revocations.sync_state().state();
        scrape.gauges(
            "cluster_state",
            "The sync state of this node",
            SyncPhase::ALL.map(|state| ([label("state", state.name())], state == now)),
        );
        let counts = node.counts();
        let peers = [("connected", counts.connected), ("missing", counts.missing)];
        scrape.gauges(
            "peers",
            "Other nodes, by whether they are connected",
            peers.map(|(state, count)| ([label("state", state)], count)),
        );
        scrape.in_unit(
            Unit::Seconds,
            "clock_skew",
            "How far this node's clock is ahead of the other nodes' clocks",
            ConstGauge::new(counts.clock_ahead_s),
        );
        scrape.counter(
            "ack_shortfalls",
            "Logouts that were answered before the number of nodes in `ack` had them",
            revocations.acks().shortfalls(),
        );
        measure_exchange(scrape, node);
        measure_bus(scrape, node);
    }
}

/// The exchange with other nodes.
fn measure_exchange(scrape: &mut Scrape, node: &Node) {
    let exchanged = node.exchanged();
    let directions = [
        ("sent", loaded(&exchanged.sent)),
        ("received", loaded(&exchanged.received)),
    ];
    scrape.counters(
        "peer_records",
        "Revocations that were exchanged with other nodes",
        directions.map(|(direction, count)| ([label("direction", direction)], count)),
    );
    scrape.counter(
        "peer_capped",
        "Revocations of other nodes that were cut to what a node may claim",
        loaded(&exchanged.capped),
    );
    scrape.counter(
        "peer_foreign",
        "Groups of revocations dropped because a peer sent them in the name of another node",
        loaded(&exchanged.foreign),
    );
    scrape.counter(
        "peer_throttled",
        "How often reading from a peer was paused because it sent too much",
        loaded(&exchanged.throttled),
    );
    let levels = [
        ("range", loaded(&exchanged.ranges)),
        ("digest", loaded(&exchanged.repairs)),
    ];
    scrape.counters(
        "repairs",
        "Repairs of missing revocations: ranges requested, and comparisons that found a difference",
        levels.map(|(level, count)| ([label("level", level)], count)),
    );
}

/// The bus, where there is one.
fn measure_bus(scrape: &mut Scrape, node: &Node) {
    let Some(bus) = node.bus() else {
        return;
    };
    scrape.gauge(
        "bus_connected",
        "Whether there is a connection to the bus",
        bus.is_connected,
    );
    scrape.counter(
        "bus_resets",
        "How often the bus had lost entries or was another one",
        bus.resets,
    );
    scrape.counter(
        "bus_skipped",
        "Malformed entries of the bus that were skipped",
        bus.skipped,
    );
}
