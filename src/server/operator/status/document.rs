//! The status document. Fields are added, and none changes its meaning.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::text;
use serde_json::{Value, json};

use super::samples::Samples;
use crate::clock::{self, UnixTime};
use crate::request::{Issuer, Place, Shop};
use crate::revocation::{Journal, SyncPhase};
use crate::server::connection::limiter::ConnectionLimiter;
use crate::server::operator::gauges::Measured;
use crate::server::operator::metrics::Metrics;
use crate::server::operator::near_misses::NearMisses;
use crate::server::operator::process_stats;
use crate::server::operator::readiness::{ReadinessCheck, ReadinessReport};
use crate::server::process::traffic::Traffic;
use crate::server::proxy::body::budget::BodyBudget;
use crate::server::reload::Reloader;
use crate::server::snapshot::{SharedSnapshot, Snapshot};
use crate::server::upstream::Upstreams;

/// How many near misses are shown.
const NEAR_MISSES: usize = 10;

/// What the document is made of.
pub(crate) struct StatusSources {
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) limiter: Arc<ConnectionLimiter>,
    pub(crate) body_budget: Arc<BodyBudget>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) reloads: Arc<Reloader>,
    pub(crate) near_misses: Arc<NearMisses>,
    /// The state that was seen last, and since when.
    pub(crate) state: Mutex<(&'static str, UnixTime)>,
    pub(crate) started_at: UnixTime,
}

impl StatusSources {
    /// Everything about the process.
    pub(crate) fn document(&self) -> Value {
        let snapshot = self.snapshot.load();
        let checks = self.checks(&snapshot);
        let (state, since) = self.observe_state();
        let samples = Samples::parse(&self.metrics_text());
        let shops = snapshot.gate.shops().iter();
        let shops = shops.map(|shop| tell_shop(&snapshot, shop, &samples));
        let now = clock::now();
        json!({
            "format": 1,
            "at": now.to_string(),
            "version": env!("CARGO_PKG_VERSION"),
            "node": self.reloads.recorder.node,
            "pid": std::process::id(),
            "started_at": self.started_at.to_string(),
            "uptime_s": now.since(self.started_at).as_secs(),
            "state": state,
            "since": since.to_string(),
            "ready": !checks.iter().any(ReadinessCheck::is_bad),
            "checks": checks.iter().map(ReadinessCheck::to_json).collect::<Vec<_>>(),
            "configuration": self.tell_configuration(),
            "log_level": log::max_level().to_string().to_lowercase(),
            "listeners": self.tell_listeners(),
            "connections": self.limiter.open(),
            "requests_in_flight": self.traffic.in_flight(),
            "read_ahead_bytes": self.body_budget.kept(),
            "shops": shops.collect::<Vec<_>>(),
            "upstreams": tell_upstreams(&snapshot),
            "certificates": tell_certificates(&snapshot),
            "revocations": tell_revocations(&snapshot),
            "journal": self.tell_journal(&snapshot),
            "cluster": self.reloads.node.as_ref().map(|node| serde_json::to_value(node.status()).ok()),
            "totals": tell_totals(&samples),
            "times": tell_times(&samples),
            "near_misses": self.tell_near_misses(),
        })
    }

    /// The state in one word, and since when it lasts. To be called about once a second.
    pub(crate) fn observe_state(&self) -> (&'static str, UnixTime) {
        let state = self.state_now();
        let mut seen = self.state.lock();
        if seen.0 != state {
            *seen = (state, clock::now());
        }
        *seen
    }

    fn state_now(&self) -> &'static str {
        let snapshot = self.snapshot.load();
        let revocations = snapshot.gate.revocations();
        if self.traffic.is_stopping() {
            return "stopping";
        }
        if self.traffic.is_draining() {
            return "draining";
        }
        if !self.reloads.notify.has_been_ready() {
            return "starting";
        }
        match revocations.sync_state().state() {
            state @ (SyncPhase::Starting
            | SyncPhase::Restoring
            | SyncPhase::Syncing
            | SyncPhase::Stale) => state.name(),
            SyncPhase::Ready if !revocations.journal().is_writable() => "degraded",
            SyncPhase::Ready => "serving",
        }
    }

    fn checks(&self, snapshot: &Snapshot) -> Vec<ReadinessCheck> {
        let report = ReadinessReport {
            snapshot,
            traffic: &self.traffic,
            notify: &self.reloads.notify,
            reloads: &self.reloads.record,
            node: self.reloads.node.as_deref(),
        };
        report.checks()
    }

    /// The page of metrics, without its end.
    pub(crate) fn metrics_text(&self) -> String {
        let snapshot = self.snapshot.load();
        self.metrics.begin(snapshot.gate.shops());
        let measured = Measured {
            snapshot: &snapshot,
            connections: self.limiter.open(),
            read_ahead_bytes: self.body_budget.kept(),
            in_flight: self.traffic.in_flight(),
            is_draining: self.traffic.is_draining(),
            reloads: &self.reloads.record,
            node: self.reloads.node.as_deref(),
        };
        let mut page = String::new();
        for registry in [
            self.metrics.registry(),
            &measured.registry(),
            &process_stats::registry(),
        ] {
            let _ = text::encode_registry(&mut page, registry); // a String takes everything
        }
        page
    }

    /// What was counted since the start.
    pub(crate) fn totals(&self) -> Value {
        let mut page = String::new();
        let _ = text::encode_registry(&mut page, self.metrics.registry()); // a String takes everything
        tell_totals(&Samples::parse(&page))
    }

    fn tell_configuration(&self) -> Value {
        let record = &self.reloads.record;
        let (read_at, failure) = record.last();
        // A running reload holds the lock; then the hash is about to change.
        let outline = self.reloads.outline.try_lock();
        let hash = outline.map(|outline| outline.digest().to_hex()[..16].to_owned());
        json!({
            "hash": hash,
            "loaded_at": record.last_good_at().to_string(),
            "last_reload": {
                "succeeded": failure.is_none(), "at": read_at.to_string(), "error": failure,
            },
            "reloads": { "succeeded": record.succeeded(), "failed": record.failed() },
        })
    }

    fn tell_listeners(&self) -> Vec<Value> {
        let public = self.reloads.notify.addresses.split(", ");
        let public = public.filter(|address| !address.is_empty());
        let public = public.map(|address| json!({ "for": "customers", "address": address }));
        let operator = self.reloads.fixed.operator();
        let operator =
            operator.map(|address| json!({ "for": "operator", "address": address.to_string() }));
        let control = self.reloads.fixed.control().display().to_string();
        let control = json!({ "for": "commands", "address": control });
        public.chain(operator).chain([control]).collect()
    }

    fn tell_journal(&self, snapshot: &Snapshot) -> Value {
        let journal = snapshot.gate.revocations().journal();
        let path = self.reloads.fixed.data_dir().join(Journal::FILE);
        let bytes = std::fs::metadata(&path).map(|found| found.len()).ok();
        json!({
            "path": path.display().to_string(), "bytes": bytes, "writable": journal.is_writable(),
            "commits": journal.commits(), "written": journal.written(), "failures": journal.failures(),
        })
    }

    fn tell_near_misses(&self) -> Vec<Value> {
        let most = self.near_misses.most_frequent(NEAR_MISSES).into_iter();
        let told =
            most.map(|(shop, path, count)| json!({ "shop": shop, "path": path, "count": count }));
        told.collect()
    }
}

fn tell_shop(snapshot: &Snapshot, shop: &Shop, samples: &Samples) -> Value {
    let verified = samples.totals_where(
        "doorward_tokens_verified_total",
        ("shop", &shop.name),
        "key",
    );
    let refused = samples.totals_where("doorward_decisions_total", ("shop", &shop.name), "verdict");
    let servers = snapshot
        .pools
        .of_shop(&shop.name)
        .map(|pool| tell_servers(pool));
    let issuers = shop.verifier.issuers().iter();
    json!({
        "name": shop.name,
        "token_domain": shop.verifier.settings().token_domain,
        "observed": shop.demand.is_observed,
        "observed_in_words": shop.observed_in_words(),
        "unjudged_routes": shop.unjudged_routes().map(|route| &*route.name).collect::<Vec<_>>(),
        "places": shop.places.iter().map(tell_place).collect::<Vec<_>>(),
        "keys": issuers.map(tell_keys).collect::<Vec<_>>(),
        "tokens_verified": verified,
        "decisions": refused,
        "clock_offset_s": shop.clock.offset_s(),
        "servers": servers,
    })
}

fn tell_place(place: &Place) -> Value {
    let counts = &place.counts;
    json!({
        "place": place.label(), "tokens": counts.tokens(), "other_values": counts.unreadable(),
        "protects_nothing": counts.is_vain(),
    })
}

fn tell_keys(issuer: &Issuer) -> Value {
    let (source, state) = (issuer.source(), issuer.ring().state());
    let keys = issuer.keys().described().into_iter();
    let keys =
        keys.map(|key| json!({ "id": key.id, "name": key.name, "kind": key.kind, "algorithms": key.algorithms, "verified": key.verified }));
    let due = source.zip(state.fetched_at);
    let due = due.map(|(source, at)| at.plus(source.refresh));
    json!({
        "from": source.map_or("configuration".to_owned(), |source| source.url.to_string()),
        "issuers": issuer.settings().issuers,
        "fetched_at": state.fetched_at.map(|at| at.to_string()),
        "fetched_again_at": due.map(|at| at.to_string()),
        "failure": state.failure,
        "keys": keys.collect::<Vec<_>>(),
    })
}

fn tell_servers(pool: &Upstreams) -> Vec<Value> {
    let servers = pool.servers().into_iter();
    let told = servers.map(|one| {
        json!({
            "server": one.label, "state": one.state(), "in_flight": one.in_flight,
            "failures": one.failures,
        })
    });
    told.collect()
}

fn tell_upstreams(snapshot: &Snapshot) -> Vec<Value> {
    let told = snapshot.pools.all().map(|(shop, upstream, pool)| {
        let queue = pool.queue().map(|queue| queue.waiting);
        json!({
            "shop": (!shop.is_empty()).then_some(shop),
            "upstream": (!upstream.is_empty()).then_some(upstream),
            "servers": tell_servers(pool), "waiting": queue,
        })
    });
    told.collect()
}

fn tell_certificates(snapshot: &Snapshot) -> Vec<Value> {
    let hosts = snapshot.acme_settings.iter();
    let hosts = hosts.flat_map(|settings| &settings.hosts);
    let ordered = hosts.filter_map(|host| snapshot.acme.certificate(host));
    let all = snapshot.certificates.iter().cloned().chain(ordered);
    let now = clock::now();
    let told = all.map(|one| {
        let left = one.not_after.since(now);
        json!({
            "certificate": one.name, "ends": one.not_after.to_string(),
            "days_left": left.as_secs() / Duration::from_hours(24).as_secs(),
        })
    });
    told.collect()
}

fn tell_revocations(snapshot: &Snapshot) -> Value {
    let revocations = snapshot.gate.revocations();
    let counts = revocations.counts();
    json!({
        "live": counts.tokens + counts.undated + counts.cutoffs,
        "tokens": counts.tokens, "undated_tokens": counts.undated, "cutoffs": counts.cutoffs,
        "bytes": revocations.bytes(),
    })
}

fn tell_totals(samples: &Samples) -> Value {
    json!({
        "requests": samples.totals("doorward_requests_total", "code"),
        "decisions": samples.totals("doorward_decisions_total", "verdict"),
        "would_refuse": samples.totals("doorward_would_refuse_total", "reason"),
        "logouts": samples.totals("doorward_logouts_total", "outcome"),
        "near_misses": samples.totals("doorward_logout_near_misses_total", "shop"),
    })
}

/// In seconds, as upper bounds.
fn tell_times(samples: &Samples) -> Value {
    let of = |name: &str| {
        let at = |share| samples.quantile(name, share);
        json!({ "p50_s": at(0.5), "p99_s": at(0.99), "buckets": samples.buckets(name) })
    };
    json!({
        "judging": of("doorward_overhead_seconds"),
        "requests": of("doorward_request_duration_seconds"),
        "propagation": of("doorward_propagation_seconds"),
        "journal": of("doorward_journal_latency_seconds"),
    })
}
