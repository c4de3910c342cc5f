//! What is counted, at the rim: by shop as configured and by what became of a request.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::site::Site;
use crate::request::{Gate, Refusal};
use crate::revocation::Health;

/// The counters of a process.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    decisions: Family<Decision, Counter>,
    logouts: Family<Outcome, Counter>,
    overhead: Histogram,
    took: Family<ShopName, Histogram, fn() -> Histogram>,
    limits: Family<Limit, Counter>,
    failed_handshakes: Counter,
    cut_off: Family<ShopName, Counter>,
    gauges: Gauges,
}

/// Read from the parts whenever somebody asks.
#[derive(Debug, Default)]
struct Gauges {
    revocations: Family<Held, Gauge>,
    revocation_bytes: Gauge,
    connections: Gauge,
    journal_writable: Gauge,
    journal_failures: Counter,
    journal_commits: Counter,
    clock_offset: Family<ShopName, Gauge>,
    keys: Family<ShopName, Gauge>,
    keys_fetched: Family<ShopName, Gauge>,
    servers: Family<Servers, Gauge>,
    server_in_flight: Family<Server, Gauge>,
    server_failures: Family<Server, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    shop: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decision {
    shop: String,
    verdict: &'static str,
    detail: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    shop: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Held {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShopName {
    shop: String,
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
struct Build {
    version: &'static str,
}

/// Seconds from five microseconds to twenty.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_005, 2.5, 18))
}

impl Metrics {
    /// Nothing counted yet; what the journal counts by itself is shown beside it.
    pub(super) fn beside(journal: &Health) -> Self {
        let mut registry = Registry::with_prefix("doorward");
        let (requests, decisions, logouts) =
            (Family::default(), Family::default(), Family::default());
        let (limits, cut_off) = (Family::default(), Family::default());
        let failed_handshakes = Counter::default();
        let gauges = Gauges::default();
        let overhead = seconds();
        let took = Family::new_with_constructor(seconds as fn() -> Histogram);
        let build: Family<Build, Gauge> = Family::default();
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&Build { version }).set(1);
        let r = &mut registry;
        r.register(
            "requests",
            "Answered requests, by status",
            Family::clone(&requests),
        );
        r.register(
            "decisions",
            "Judged requests, by what was decided",
            Family::clone(&decisions),
        );
        r.register_with_unit(
            "overhead",
            "How long a request was judged, without waiting for its bytes, the disk or the shop",
            Unit::Seconds,
            overhead.clone(),
        );
        r.register_with_unit(
            "request_duration",
            "How long a request took from its header block to the end of its answer",
            Unit::Seconds,
            Family::clone(&took),
        );
        r.register_with_unit(
            "journal_latency",
            "How long a transaction took to reach the disk",
            Unit::Seconds,
            journal.latency().clone(),
        );
        r.register("logouts", "Logouts, by outcome", Family::clone(&logouts));
        r.register(
            "limits_hit",
            "What was turned away because a limit was reached",
            Family::clone(&limits),
        );
        r.register(
            "failed_handshakes",
            "Connections that did not get through the TLS handshake",
            failed_handshakes.clone(),
        );
        r.register(
            "cut_off",
            "Requests that were ended because a token of theirs was revoked meanwhile",
            Family::clone(&cut_off),
        );
        r.register(
            "revocations",
            "Revocations in force",
            gauges.revocations.clone(),
        );
        r.register(
            "connections",
            "Connections of customers",
            gauges.connections.clone(),
        );
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
        r.register(
            "shop_clock_offset_seconds",
            "How far the shop's clock is ahead of ours",
            gauges.clock_offset.clone(),
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
        r.register("build_info", "The version that runs", build);
        Self {
            registry,
            requests,
            decisions,
            logouts,
            overhead,
            took,
            limits,
            failed_handshakes,
            cut_off,
            gauges,
        }
    }
}

impl Metrics {
    /// A request was judged within this time.
    pub(super) fn note_overhead(&self, took: Duration) {
        self.overhead.observe(took.as_secs_f64());
    }

    /// A request was served, from its header block to the end of its answer.
    pub(super) fn note_duration(&self, shop: &str, took: Duration) {
        let shop = shop.to_owned();
        let labels = ShopName { shop };
        self.took.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A request was answered.
    pub(super) fn note_request(&self, shop: &str, code: u16) {
        let shop = shop.to_owned();
        self.requests.get_or_create(&Request { shop, code }).inc();
    }

    /// A request was judged.
    pub(super) fn note_decision(&self, shop: &str, verdict: &'static str, detail: &'static str) {
        let shop = shop.to_owned();
        let labels = Decision {
            shop,
            verdict,
            detail,
        };
        self.decisions.get_or_create(&labels).inc();
    }

    /// A logout ended.
    pub(super) fn note_logout(&self, shop: &str, outcome: &'static str) {
        let shop = shop.to_owned();
        self.logouts.get_or_create(&Outcome { shop, outcome }).inc();
    }

    /// A limit was reached, by its key in the configuration.
    pub(super) fn note_limit(&self, limit: &'static str) {
        self.limits.get_or_create(&Limit { limit }).inc();
    }

    /// A connection ended in its TLS handshake.
    pub(super) fn note_failed_handshake(&self) {
        self.failed_handshakes.inc();
    }

    /// A header block was refused before a request came of it.
    pub(super) fn note_unread(&self, refusal: Refusal) {
        self.note_request("", refusal.status().as_u16());
        self.note_decision("", refusal.name(), "");
    }

    /// Pingora answered a request by itself, before any of our code saw it.
    pub(super) fn note_malformed(&self, code: u16) {
        self.note_request("", code);
        self.note_decision("", "malformed", "");
    }

    /// A request was ended because a token of it was revoked.
    pub(super) fn note_cut(&self, shop: &str) {
        let shop = shop.to_owned();
        self.cut_off.get_or_create(&ShopName { shop }).inc();
    }

    /// Everything in the `OpenMetrics` text format.
    pub(super) fn text(&self, site: &Site, connections: usize) -> Result<String, fmt::Error> {
        self.gauges.read(&site.gate);
        self.gauges.read_servers(site);
        let connections = i64::try_from(connections).unwrap_or(i64::MAX);
        self.gauges.connections.set(connections);
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

impl Gauges {
    fn read(&self, gate: &Gate) {
        let counts = gate.revocations().counts();
        let journal = gate.revocations().journal();
        for (kind, held) in [
            ("token", counts.tokens),
            ("undated_token", counts.undated),
            ("cutoff", counts.cutoffs),
            ("window", counts.windows),
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
        self.clock_offset.clear();
        self.keys.clear();
        self.keys_fetched.clear();
        for shop in gate.shops() {
            let name = ShopName {
                shop: shop.name.clone(),
            };
            self.clock_offset
                .get_or_create(&name)
                .set(shop.clock.offset_s());
            let keys = shop.verifier.ring().state();
            let count = i64::try_from(keys.count).unwrap_or(i64::MAX);
            self.keys.get_or_create(&name).set(count);
            if let Some(at) = keys.fetched_at {
                let at = i64::try_from(at.seconds()).unwrap_or(i64::MAX);
                self.keys_fetched.get_or_create(&name).set(at);
            }
        }
    }
}

impl Gauges {
    /// What was there under an older configuration is not shown any more.
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
