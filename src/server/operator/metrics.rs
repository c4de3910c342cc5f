//! The counters: requests, decisions and limits, by shop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

use super::known_labels;
use crate::request::{Refusal, RetryCause, Shop};

/// The prefix of every name.
pub(super) const PREFIX: &str = "doorward";

/// A request was sent again.
const RETRIED: &str = "retried";

/// It was not: the budget was used up.
const OVER_BUDGET: &str = "over_budget";

/// The counters of a process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    decisions: Family<DecisionLabels, Counter>,
    would_refuse: Family<WouldLabels, Counter>,
    overhead: Histogram,
    took: Family<ShopLabels, Histogram, fn() -> Histogram>,
    logouts: Family<OutcomeLabels, Counter>,
    near_misses: Family<ShopLabels, Counter>,
    token_responses: Family<OutcomeLabels, Counter>,
    reissued: Family<OutcomeLabels, Counter>,
    limits: Family<LimitLabels, Counter>,
    failed_handshakes: Counter,
    proxy_headers: Family<ReasonLabels, Counter>,
    cut_off: Family<ShopLabels, Counter>,
    retries: Family<RetryLabels, Counter>,
    copies: Family<CopyLabels, Counter>,
    dropped_lines: Family<ReasonLabels, Counter>,
    dropped_spans: Family<ReasonLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShopLabels {
    shop: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    shop: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    shop: String,
    verdict: &'static str,
    detail: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WouldLabels {
    shop: String,
    reason: &'static str,
    detail: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    shop: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RetryLabels {
    shop: String,
    cause: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CopyLabels {
    upstream: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Seconds from five microseconds to twenty.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_005, 2.5, 18))
}

/// Shows a metric from now on, before anything is counted.
fn begin<L, M, C>(family: &Family<L, M, C>, labels: &L)
where
    L: Clone + std::hash::Hash + Eq,
    C: MetricConstructor<M>,
{
    drop(family.get_or_create(labels));
}

/// Makes a counter that is shown under this name.
fn counter<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// Shows a time under this name.
fn timer<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

impl Default for Metrics {
    /// Nothing counted yet.
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let r = &mut registry;
        Self {
            requests: counter(r, "requests", "Answered requests, by status"),
            decisions: counter(r, "decisions", "Judged requests, by what was decided"),
            would_refuse: counter(
                r,
                "would_refuse",
                "Requests that were forwarded because of `observe`, by the reason for which they would be refused (or, with `dead_cookie`, lose a cookie)",
            ),
            overhead: timer(
                r,
                "overhead",
                "How long a request was judged, without waiting for its bytes, the disk or the shop",
                seconds(),
            ),
            took: timer(
                r,
                "request_duration",
                "How long a request took from its header block to the end of its answer",
                Family::new_with_constructor(seconds),
            ),
            logouts: counter(r, "logouts", "Logouts, by outcome"),
            near_misses: counter(
                r,
                "logout_near_misses",
                "Requests that look like a logout and match no rule",
            ),
            token_responses: counter(
                r,
                "token_endpoint_answers",
                "Answers that issue tokens, by whether their issue time was recorded or the answer could not be read",
            ),
            reissued: counter(
                r,
                "reissued_tokens",
                "Answers that issue a revoked token, by what becomes of it",
            ),
            limits: counter(
                r,
                "limits_hit",
                "Requests and connections refused because a limit was reached",
            ),
            failed_handshakes: counter(
                r,
                "failed_handshakes",
                "Connections whose TLS handshake failed",
            ),
            proxy_headers: counter(
                r,
                "proxy_protocol_refused",
                "Connections refused for their header of the PROXY protocol, or because their peer may send none",
            ),
            cut_off: counter(
                r,
                "cut_off",
                "Requests that were ended because one of their tokens was revoked",
            ),
            retries: counter(
                r,
                "retries",
                "Requests that were sent to an upstream again, or were not because the budget of retries was used up",
            ),
            copies: counter(
                r,
                "mirrored_requests",
                "Copies of requests to an upstream that mirrors, by what became of them",
            ),
            dropped_lines: counter(
                r,
                "access_log_dropped",
                "Lines of the access log that were dropped, because too many waited or they could not be written",
            ),
            dropped_spans: counter(
                r,
                "spans_dropped",
                "Spans that were dropped, because too many waited or the collector did not take them",
            ),
            registry,
        }
    }
}

impl Metrics {
    /// Begins every counter whose labels are known now. Those that have begun stay as they are.
    pub(super) fn begin(&self, shops: &[Arc<Shop>]) {
        for limit in known_labels::LIMITS {
            begin(&self.limits, &LimitLabels { limit });
        }
        for reason in known_labels::PROXY_HEADERS {
            begin(&self.proxy_headers, &ReasonLabels { reason });
        }
        self.begin_requests("", known_labels::without_shop());
        for shop in shops {
            self.begin_requests(&shop.name, known_labels::of_shop(shop));
            self.begin_shop(shop);
        }
    }

    fn begin_requests(
        &self,
        shop: &str,
        (codes, decisions): (BTreeSet<u16>, Vec<known_labels::CountedDecision>),
    ) {
        for code in codes {
            let shop = shop.to_owned();
            begin(&self.requests, &RequestLabels { shop, code });
        }
        begin(
            &self.took,
            &ShopLabels {
                shop: shop.to_owned(),
            },
        );
        for (verdict, detail) in decisions {
            let labels = DecisionLabels {
                shop: shop.to_owned(),
                verdict,
                detail,
            };
            begin(&self.decisions, &labels);
        }
    }

    fn begin_shop(&self, shop: &Shop) {
        let name = || shop.name.clone();
        for (reason, detail) in known_labels::observed_of(shop) {
            let labels = WouldLabels {
                shop: name(),
                reason,
                detail,
            };
            begin(&self.would_refuse, &labels);
        }
        let outcomes = |family: &Family<OutcomeLabels, Counter>, outcomes: &[&'static str]| {
            for outcome in outcomes {
                let (shop, outcome) = (name(), *outcome);
                begin(family, &OutcomeLabels { shop, outcome });
            }
        };
        outcomes(&self.logouts, &known_labels::LOGOUTS);
        if !shop.token_endpoints.is_empty() {
            outcomes(&self.token_responses, &["dated", "unread"]);
            outcomes(&self.reissued, &["refused", "revived"]);
        }
        begin(&self.near_misses, &ShopLabels { shop: name() });
        begin(&self.cut_off, &ShopLabels { shop: name() });
        for cause in known_labels::retries_of(shop) {
            for outcome in [RETRIED, OVER_BUDGET] {
                let (shop, cause) = (name(), cause.clone());
                begin(
                    &self.retries,
                    &RetryLabels {
                        shop,
                        cause,
                        outcome,
                    },
                );
            }
        }
        for upstream in known_labels::mirrors_of(shop) {
            for outcome in known_labels::COPIES {
                let upstream = upstream.to_owned();
                begin(&self.copies, &CopyLabels { upstream, outcome });
            }
        }
    }

    /// An answer issued tokens.
    pub(crate) fn note_token_response(&self, shop: &str, outcome: &'static str) {
        let outcome = OutcomeLabels {
            shop: shop.to_owned(),
            outcome,
        };
        self.token_responses.get_or_create(&outcome).inc();
    }

    /// An answer issued a revoked token.
    pub(crate) fn note_reissued(&self, shop: &str, outcome: &'static str) {
        let outcome = OutcomeLabels {
            shop: shop.to_owned(),
            outcome,
        };
        self.reissued.get_or_create(&outcome).inc();
    }

    /// A request was judged within this time.
    pub(crate) fn note_overhead(&self, took: Duration) {
        self.overhead.observe(took.as_secs_f64());
    }

    /// A request was served, from its header block to the end of its answer.
    pub(crate) fn note_duration(&self, shop: &str, took: Duration) {
        let shop = shop.to_owned();
        let labels = ShopLabels { shop };
        self.took.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A request was answered.
    pub(crate) fn note_request(&self, shop: &str, code: u16) {
        let shop = shop.to_owned();
        self.requests
            .get_or_create(&RequestLabels { shop, code })
            .inc();
    }

    /// A request was judged.
    pub(crate) fn note_decision(&self, shop: &str, verdict: &'static str, detail: &'static str) {
        let shop = shop.to_owned();
        let labels = DecisionLabels {
            shop,
            verdict,
            detail,
        };
        self.decisions.get_or_create(&labels).inc();
    }

    /// A request was forwarded because it is only observed.
    pub(crate) fn note_would_refuse(&self, shop: &str, reason: &'static str, detail: &'static str) {
        let shop = shop.to_owned();
        let labels = WouldLabels {
            shop,
            reason,
            detail,
        };
        self.would_refuse.get_or_create(&labels).inc();
    }

    /// A logout ended.
    pub(crate) fn note_logout(&self, shop: &str, outcome: &'static str) {
        let shop = shop.to_owned();
        self.logouts
            .get_or_create(&OutcomeLabels { shop, outcome })
            .inc();
    }

    /// A request looks like a logout, and no rule is about it.
    pub(crate) fn note_near_miss(&self, shop: &str) {
        let shop = shop.to_owned();
        self.near_misses.get_or_create(&ShopLabels { shop }).inc();
    }

    /// A limit was reached, by its key in the configuration.
    pub(crate) fn note_limit(&self, limit: &'static str) {
        self.limits.get_or_create(&LimitLabels { limit }).inc();
    }

    /// A connection ended in its TLS handshake.
    pub(crate) fn note_failed_handshake(&self) {
        self.failed_handshakes.inc();
    }

    /// A connection was refused for its header of the PROXY protocol.
    pub(crate) fn note_proxy_header(&self, reason: &'static str) {
        self.proxy_headers
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    /// A header block was refused before a request came of it.
    pub(crate) fn note_unread(&self, refusal: Refusal) {
        self.note_request("", refusal.status().as_u16());
        self.note_decision("", refusal.name(), "");
    }

    /// Pingora answered a request by itself, before any of our code saw it.
    pub(crate) fn note_malformed(&self, code: u16) {
        self.note_request("", code);
        self.note_decision("", "malformed", "");
    }

    /// Streams of HTTP/2 ended before any of our code saw a request.
    pub(crate) fn note_unserved(&self, streams: usize) {
        if streams > 0 {
            let labels = DecisionLabels {
                shop: String::new(),
                verdict: "malformed",
                detail: "http2",
            };
            let streams = u64::try_from(streams).unwrap_or(u64::MAX);
            self.decisions.get_or_create(&labels).inc_by(streams);
        }
    }

    /// A request was to be sent again, and was if the budget had a retry left.
    pub(crate) fn note_retry(&self, shop: &str, cause: RetryCause, is_left: bool) {
        let labels = RetryLabels {
            shop: shop.to_owned(),
            cause: cause.to_string(),
            outcome: if is_left { RETRIED } else { OVER_BUDGET },
        };
        self.retries.get_or_create(&labels).inc();
    }

    /// A copy of a request was answered by the upstream that mirrors, or failed, or was not made.
    pub(crate) fn note_copy(&self, upstream: &str, outcome: &'static str) {
        let labels = CopyLabels {
            upstream: upstream.to_owned(),
            outcome,
        };
        self.copies.get_or_create(&labels).inc();
    }

    /// A request was ended because a token of it was revoked.
    pub(crate) fn note_cut(&self, shop: &str) {
        let shop = shop.to_owned();
        self.cut_off.get_or_create(&ShopLabels { shop }).inc();
    }

    /// Lines of the access log were dropped.
    pub(crate) fn note_dropped_lines(&self, reason: &'static str, lines: usize) {
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        let reason = ReasonLabels { reason };
        self.dropped_lines.get_or_create(&reason).inc_by(lines);
    }

    /// Spans were dropped.
    pub(crate) fn note_dropped_spans(&self, reason: &'static str, spans: usize) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        let reason = ReasonLabels { reason };
        self.dropped_spans.get_or_create(&reason).inc_by(spans);
    }

    /// All of them.
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }
}
