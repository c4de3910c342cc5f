//! What is measured whenever somebody asks: how much there is, and how the parts fare.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::reload_record::Record;
use crate::clock;
use crate::cluster::Node;
use crate::request::{Gate, Shop};
use crate::revocation::{Health, Revocations, State};
use crate::server::snapshot::Site;

/// Read from the parts whenever somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    revocations: Family<Held, Gauge>,
    revocation_bytes: Gauge,
    connections: Gauge,
    read_ahead_bytes: Gauge,
    in_flight: Gauge,
    draining: Gauge,
    certificate_ends: Family<CertificateName, Gauge>,
    reload_good: Gauge,
    reload_good_at: Gauge,
    reloads: Family<Outcome, Counter>,
    journal_writable: Gauge,
    journal_failures: Counter,
    journal_commits: Counter,
    unverified: Family<UnverifiedHeld, Gauge>,
    unverified_limit: Family<ShopName, Gauge>,
    unknown_tokens: Family<CountedAs, Counter>,
    clock_offset: Family<ShopName, Gauge>,
    server_clock_offset: Family<Server, Gauge>,
    dates_disbelieved: Family<Server, Counter>,
    former_meanings: Family<ShopName, Gauge>,
    places: Family<PlaceHeld, Counter>,
    keys: Family<ShopName, Gauge>,
    keys_fetched: Family<ShopName, Gauge>,
    servers: Family<Servers, Gauge>,
    server_in_flight: Family<Server, Gauge>,
    server_failures: Family<Server, Counter>,
    cluster_state: Family<StateName, Gauge>,
    peers: Family<StateName, Gauge>,
    clock_skew: Gauge<f64, AtomicU64>,
    ack_shortfalls: Counter,
    peer_records: Family<Direction, Counter>,
    peer_capped: Counter,
    peer_foreign: Counter,
    peer_throttled: Counter,
    repairs: Family<Level, Counter>,
    bus_connected: Gauge,
    bus_resets: Counter,
    bus_skipped: Counter,
}

/// What is measured, and where.
pub(crate) struct Measured<'a> {
    pub(crate) site: &'a Site,
    pub(crate) connections: usize,
    pub(crate) read_ahead_bytes: usize,
    pub(crate) in_flight: usize,
    pub(crate) is_draining: bool,
    pub(crate) reloads: &'a Record,
    pub(crate) node: Option<&'a Node>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ShopName {
    pub(crate) shop: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateName {
    certificate: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Held {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UnverifiedHeld {
    shop: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlaceHeld {
    shop: String,
    place: String,
    held: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Server {
    shop: String,
    server: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Servers {
    shop: String,
    server: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateName {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Direction {
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CountedAs {
    counted_as: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Level {
    level: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

impl Gauges {
    /// What credentials store that nobody could verify.
    fn register_unverified(&self, r: &mut Registry) {
        r.register(
            "unverified_entries",
            "Live entries of credentials that could not be verified: kept for an hour (unconfirmed) or for longer (likely)",
            self.unverified.clone(),
        );
        r.register(
            "unverified_entries_limit",
            "How many of each kind a shop may have (limits.unverified_entries)",
            self.unverified_limit.clone(),
        );
    }

    /// What customers take of the process.
    fn register_customers(&self, r: &mut Registry) {
        r.register(
            "connections",
            "Connections of customers",
            self.connections.clone(),
        );
        r.register(
            "read_ahead_bytes",
            "Bytes of request bodies that are kept while they are examined and forwarded",
            self.read_ahead_bytes.clone(),
        );
    }

    /// Gauges that are shown from now on; what the journal measures by itself is shown beside them.
    pub(crate) fn register(r: &mut Registry, journal: &Health) -> Self {
        let gauges = Self::default();
        let build: Family<Build, Gauge> = Family::default();
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&Build { version }).set(1);
        r.register_with_unit(
            "journal_latency",
            "How long a transaction took to reach the disk",
            Unit::Seconds,
            journal.latency().clone(),
        );
        r.register(
            "revocations",
            "Revocations in force",
            gauges.revocations.clone(),
        );
        gauges.register_unverified(r);
        gauges.register_customers(r);
        r.register_with_unit(
            "revocations",
            "Memory that the revocations take",
            Unit::Bytes,
            gauges.revocation_bytes.clone(),
        );
        r.register(
            "journal_writable",
            "Whether the last write to the journal succeeded",
            gauges.journal_writable.clone(),
        );
        r.register(
            "journal_failures",
            "Writes to the journal that failed",
            gauges.journal_failures.clone(),
        );
        r.register(
            "journal_commits",
            "Transactions that reached the disk",
            gauges.journal_commits.clone(),
        );
        gauges.register_identities(r);
        r.register(
            "credential_places",
            "Requests, by what a place held that the configuration names: a token, something else, or nothing",
            gauges.places.clone(),
        );
        r.register(
            "keys",
            "Keys that verify a shop's tokens",
            gauges.keys.clone(),
        );
        r.register(
            "keys_last_fetch_timestamp_seconds",
            "When a shop's keys were last fetched from its jwks_url",
            gauges.keys_fetched.clone(),
        );
        r.register(
            "upstream_servers",
            "Addresses of a shop's servers, by what is known of them",
            gauges.servers.clone(),
        );
        r.register(
            "upstream_in_flight",
            "Requests that a server has to answer",
            gauges.server_in_flight.clone(),
        );
        r.register(
            "upstream_failures",
            "Requests that failed on a server",
            gauges.server_failures.clone(),
        );
        r.register(
            "requests_in_flight",
            "Requests that are being served",
            gauges.in_flight.clone(),
        );
        r.register(
            "certificate_not_after_timestamp_seconds",
            "When a certificate ends",
            gauges.certificate_ends.clone(),
        );
        r.register(
            "draining",
            "Whether the process was told to stop",
            gauges.draining.clone(),
        );
        r.register(
            "last_reload_successful",
            "Whether the configuration was taken the last time that it was read",
            gauges.reload_good.clone(),
        );
        r.register(
            "last_reload_success_timestamp_seconds",
            "When a configuration was last taken, the start included",
            gauges.reload_good_at.clone(),
        );
        r.register("reloads", "Reloads, by outcome", gauges.reloads.clone());
        r.register("build_info", "The version that runs", build);
        gauges
    }

    fn register_identities(&self, r: &mut Registry) {
        r.register(
            "former_meanings",
            "Former configurations under which a shop's tokens are looked up, for a logout that was made under one is in force",
            self.former_meanings.clone(),
        );
        r.register(
            "unknown_tokens",
            "Tokens whose customer has logged out and whose time of issue is not known, by what they counted as",
            Family::clone(&self.unknown_tokens),
        );
        r.register(
            "shop_clock_offset_seconds",
            "How far the shop's clock is ahead of ours; of several servers the earliest that is believed",
            self.clock_offset.clone(),
        );
        r.register(
            "shop_server_clock_offset_seconds",
            "How far the clock of a shop's server is ahead of ours, as its answers say",
            self.server_clock_offset.clone(),
        );
        r.register(
            "shop_dates_disbelieved",
            "Answers of a shop's server whose Date was further from our clock than clock_offset_max",
            self.dates_disbelieved.clone(),
        );
    }

    /// What is shown of a cluster; what the node measures by itself is shown beside it.
    pub(crate) fn register_cluster(&self, r: &mut Registry, node: &Node) {
        r.register_with_unit(
            "propagation",
            "From a revocation's being on the disk of another node until its token is refused here",
            Unit::Seconds,
            node.propagation().clone(),
        );
        r.register(
            "cluster_state",
            "Where this node stands",
            self.cluster_state.clone(),
        );
        r.register(
            "peers",
            "Other nodes, by whether they are heard",
            self.peers.clone(),
        );
        r.register_with_unit(
            "clock_skew",
            "How far our clock is ahead of those of the other nodes",
            Unit::Seconds,
            self.clock_skew.clone(),
        );
        r.register(
            "ack_shortfalls",
            "Logouts that were answered before as many nodes had them as `ack` asks for",
            self.ack_shortfalls.clone(),
        );
        r.register(
            "peer_records",
            "Revocations that were exchanged with other nodes",
            self.peer_records.clone(),
        );
        r.register(
            "peer_capped",
            "Revocations of other nodes that said more than a node may say",
            self.peer_capped.clone(),
        );
        r.register(
            "peer_foreign",
            "Groups of revocations that a peer sent in the name of another node and that were left out",
            self.peer_foreign.clone(),
        );
        r.register(
            "peer_throttled",
            "How often a peer that sent too much was not read for a while",
            self.peer_throttled.clone(),
        );
        r.register(
            "repairs",
            "What was missing here: ranges that were asked for, and comparisons that found something",
            self.repairs.clone(),
        );
        if node.bus().is_some() {
            self.register_bus(r);
        }
    }

    fn register_bus(&self, r: &mut Registry) {
        r.register(
            "bus_connected",
            "Whether there is a connection to the bus",
            self.bus_connected.clone(),
        );
        r.register(
            "bus_resets",
            "How often the bus was found to have lost something, or to be another one",
            self.bus_resets.clone(),
        );
        r.register(
            "bus_skipped",
            "Entries of the bus that no node would write",
            self.bus_skipped.clone(),
        );
    }

    /// Measures everything anew.
    pub(crate) fn read(&self, measured: &Measured<'_>) {
        let whole = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.connections.set(whole(measured.connections));
        self.read_ahead_bytes.set(whole(measured.read_ahead_bytes));
        self.in_flight.set(whole(measured.in_flight));
        self.draining.set(i64::from(measured.is_draining));
        let reloads = measured.reloads;
        self.reload_good.set(i64::from(reloads.is_last_good()));
        let at = i64::try_from(reloads.last_good_at().seconds());
        self.reload_good_at.set(at.unwrap_or(i64::MAX));
        let outcome = |outcome| self.reloads.get_or_create_owned(&Outcome { outcome });
        catch_up(&outcome("succeeded"), reloads.succeeded());
        catch_up(&outcome("failed"), reloads.failed());
        self.read_revocations(&measured.site.gate);
        self.read_shops(&measured.site.gate);
        self.read_servers(measured.site);
        if let Some(node) = measured.node {
            self.read_cluster(node, measured.site.gate.revocations());
        }
        self.certificate_ends.clear();
        for one in &measured.site.certificates {
            let certificate = one.name.clone();
            let end = i64::try_from(one.not_after.seconds()).unwrap_or(i64::MAX);
            let labels = CertificateName { certificate };
            self.certificate_ends.get_or_create(&labels).set(end);
        }
    }

    fn read_cluster(&self, node: &Node, revocations: &Revocations) {
        let now = revocations.standing().state();
        for state in State::ALL {
            let labels = StateName {
                state: state.name(),
            };
            let is_now = i64::from(state == now);
            self.cluster_state.get_or_create(&labels).set(is_now);
        }
        let counts = node.counts();
        for (state, count) in [("connected", counts.connected), ("missing", counts.missing)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.peers.get_or_create(&StateName { state }).set(count);
        }
        self.clock_skew.set(counts.clock_ahead_s);
        catch_up(&self.ack_shortfalls, revocations.acks().shortfalls());
        let exchanged = node.exchanged();
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        for (direction, count) in [
            ("sent", of(&exchanged.sent)),
            ("received", of(&exchanged.received)),
        ] {
            let records = self
                .peer_records
                .get_or_create_owned(&Direction { direction });
            catch_up(&records, count);
        }
        catch_up(&self.peer_capped, of(&exchanged.capped));
        catch_up(&self.peer_foreign, of(&exchanged.foreign));
        catch_up(&self.peer_throttled, of(&exchanged.throttled));
        for (level, count) in [
            ("range", of(&exchanged.ranges)),
            ("digest", of(&exchanged.repairs)),
        ] {
            catch_up(&self.repairs.get_or_create_owned(&Level { level }), count);
        }
        if let Some(bus) = node.bus() {
            self.bus_connected.set(i64::from(bus.is_connected));
            catch_up(&self.bus_resets, bus.resets);
            catch_up(&self.bus_skipped, bus.skipped);
        }
    }

    fn read_revocations(&self, gate: &Gate) {
        let counts = gate.revocations().counts();
        let journal = gate.revocations().journal();
        for (kind, held) in [
            ("token", counts.tokens),
            ("undated_token", counts.undated),
            ("cutoff", counts.cutoffs),
            ("window", counts.windows),
            ("seen", counts.seen),
            ("minted", counts.minted),
            ("revived", counts.revived),
        ] {
            let held = i64::try_from(held).unwrap_or(i64::MAX);
            self.revocations.get_or_create(&Held { kind }).set(held);
        }
        let bytes = gate.revocations().bytes();
        self.revocation_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.journal_writable.set(i64::from(journal.is_writable()));
        catch_up(&self.journal_failures, journal.failures());
        catch_up(&self.journal_commits, journal.commits());
        let unknown = gate.revocations().unknown();
        for (counted_as, count) in [("new", unknown.passed()), ("old", unknown.refused())] {
            let counter = self
                .unknown_tokens
                .get_or_create_owned(&CountedAs { counted_as });
            catch_up(&counter, count);
        }
    }

    /// What was there under an older configuration is not shown any more.
    fn read_shops(&self, gate: &Gate) {
        self.unverified.clear();
        self.unverified_limit.clear();
        self.clock_offset.clear();
        self.server_clock_offset.clear();
        self.dates_disbelieved.clear();
        self.places.clear();
        self.keys.clear();
        self.keys_fetched.clear();
        self.former_meanings.clear();
        for shop in gate.shops() {
            let name = ShopName {
                shop: shop.name.clone(),
            };
            let honoured = i64::try_from(shop.honoured().len()).unwrap_or(i64::MAX);
            self.former_meanings.get_or_create(&name).set(honoured);
            self.clock_offset
                .get_or_create(&name)
                .set(shop.clock.offset_s());
            self.read_unverified(shop, gate.revocations());
            self.read_clocks(shop);
            self.read_places(shop);
            let count = i64::try_from(shop.verifier.key_count()).unwrap_or(i64::MAX);
            self.keys.get_or_create(&name).set(count);
            let issuers = shop.verifier.issuers().iter();
            // Of several issuers the one whose keys are the oldest.
            let fetched_at = issuers.filter_map(|issuer| issuer.ring().state().fetched_at);
            if let Some(at) = fetched_at.min() {
                let at = i64::try_from(at.seconds()).unwrap_or(i64::MAX);
                self.keys_fetched.get_or_create(&name).set(at);
            }
        }
    }

    fn read_unverified(&self, shop: &Shop, revocations: &Revocations) {
        let whole = |count| i64::try_from(count).unwrap_or(i64::MAX);
        let held = revocations.unverified(shop.tag, clock::now());
        for (kind, count) in [("unconfirmed", held.unconfirmed), ("likely", held.likely)] {
            let shop = shop.name.clone();
            let entries = self
                .unverified
                .get_or_create_owned(&UnverifiedHeld { shop, kind });
            entries.set(whole(count));
        }
        let shop_name = ShopName {
            shop: shop.name.clone(),
        };
        let limit = self.unverified_limit.get_or_create_owned(&shop_name);
        limit.set(whole(shop.allowance.per_shop));
    }

    fn read_clocks(&self, shop: &Shop) {
        for one in shop.clock.servers() {
            let labels = Server {
                shop: shop.name.clone(),
                server: one.address.to_string(),
            };
            let offset = self.server_clock_offset.get_or_create(&labels);
            offset.set(one.offset_s);
            let disbelieved = self.dates_disbelieved.get_or_create(&labels);
            disbelieved.inc_by(one.disbelieved);
        }
    }

    fn read_places(&self, shop: &Shop) {
        let judged = shop.judged.load(Ordering::Relaxed);
        for place in &shop.places {
            let (tokens, unreadable) = (place.counts.tokens(), place.counts.unreadable());
            let nothing = judged.saturating_sub(tokens + unreadable);
            let all = [
                ("token", tokens),
                ("unreadable", unreadable),
                ("nothing", nothing),
            ];
            for (held, count) in all {
                let labels = PlaceHeld {
                    shop: shop.name.clone(),
                    place: place.label(),
                    held,
                };
                let counter = self.places.get_or_create(&labels);
                counter.inner().store(count, Ordering::Relaxed);
            }
        }
    }

    /// The same for the servers.
    fn read_servers(&self, site: &Site) {
        self.servers.clear();
        self.server_in_flight.clear();
        self.server_failures.clear();
        for (shop, upstreams) in &site.upstreams {
            for one in upstreams.servers() {
                let labels = Server {
                    shop: shop.clone(),
                    server: one.label.clone(),
                };
                let in_flight = i64::try_from(one.in_flight).unwrap_or(i64::MAX);
                self.server_in_flight
                    .get_or_create(&labels)
                    .inc_by(in_flight);
                self.server_failures
                    .get_or_create(&labels)
                    .inc_by(one.failures);
                let labels = Servers {
                    shop: shop.clone(),
                    state: one.state(),
                    server: one.label,
                };
                self.servers.get_or_create(&labels).inc();
            }
        }
    }
}

/// Raises a counter to what another one says.
fn catch_up(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
