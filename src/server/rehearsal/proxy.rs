//! The proxy of a rehearsal: with the configuration of its operator, and without a way out.

use std::io;
use std::sync::Arc;

use crate::server::access_log::queue::AccessLog;
use crate::server::connection::limiter::ConnectionLimiter;
use crate::server::keys::jwks::KeyFetcher;
use crate::server::operator::decisions::Decisions;
use crate::server::operator::endings::Endings;
use crate::server::operator::log_id::LogKey;
use crate::server::operator::metrics::Metrics;
use crate::server::operator::recorder::Recorder;
use crate::server::process::listen::Listen;
use crate::server::process::self_probe::SelfProbe;
use crate::server::process::traffic::Traffic;
use crate::server::proxy::body::budget::BodyBudget;
use crate::server::proxy::handling::copy::CopySender;
use crate::server::proxy::rate_limits::RateLimits;
use crate::server::proxy::request_id::RequestIds;
use crate::server::proxy::service::Proxy;
use crate::server::proxy::single_flight::SingleFlight;
use crate::server::snapshot::SharedSnapshot;
use crate::server::traces::span_queue::SpanQueue;

/// A proxy that sends nothing: it has no connector.
pub(super) fn without_connector(
    log_key: LogKey,
    listen: &[Listen],
    snapshot: SharedSnapshot,
    limiter: &Arc<ConnectionLimiter>,
) -> io::Result<Proxy> {
    let metrics = Arc::new(Metrics::default());
    let random = |_| io::Error::from(io::ErrorKind::Unsupported);
    let recorder = Arc::new(Recorder {
        access_log: AccessLog::start(&metrics)?,
        spans: SpanQueue::counting(Arc::clone(&metrics)),
        decisions: Decisions::default(),
        endings: Endings::default(),
        log_key: log_key.clone(),
        node: None,
    });
    Ok(Proxy {
        https_port: https_port(listen),
        snapshot,
        request_ids: Arc::new(RequestIds::random().map_err(random)?),
        logout_quota: Arc::default(),
        rate_limits: RateLimits::default(),
        body_budget: Arc::new(BodyBudget::counting(Arc::clone(&metrics))),
        copies: Arc::new(CopySender::counting(Arc::clone(&metrics))),
        metrics,
        log_key,
        recorder,
        near_misses: Arc::default(),
        connector: None,
        keys: Arc::new(KeyFetcher::default()),
        single_flight: SingleFlight::default(),
        traffic: Arc::new(Traffic::default()),
        self_probe: Arc::new(SelfProbe::new(Vec::new(), Arc::clone(limiter)).map_err(random)?),
    })
}

fn https_port(listen: &[Listen]) -> Option<u16> {
    let encrypted = listen.iter().find(|listen| listen.tls)?;
    Some(encrypted.address.tcp()?.port())
}
