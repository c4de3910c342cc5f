//! The start of the process: journal, sockets, other nodes, keys, services, in this order.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use log::{info, warn};
use parking_lot::Mutex;
use pingora::connectors::http::Connector;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};

use super::access_log::queue::AccessLog;
use super::access_log::sink::AccessLogSink;
use super::acme::state::AcmeState;
use super::connection::limiter::ConnectionLimiter;
use super::keys::jwks::KeyFetcher;
use super::operator::decisions::Decisions;
use super::operator::endings::Endings;
use super::operator::log_id::LogKey;
use super::operator::metrics::Metrics;
use super::operator::recorder::Recorder;
use super::outline::Outline;
use super::process::inherited::Inherited;
use super::process::listen::BoundListener;
use super::process::notify::Notify;
use super::process::self_probe::SelfProbe;
use super::process::services::ServiceParts;
use super::process::shutdown::Shutdown;
use super::process::sockets::{SocketError, Sockets};
use super::process::traffic::Traffic;
use super::process::{descriptors, services, shutdown};
use super::proxy::body::budget::BodyBudget;
use super::proxy::handling::copy::CopySender;
use super::proxy::rate_limits::RateLimits;
use super::proxy::request_id::RequestIds;
use super::proxy::service::Proxy;
use super::proxy::single_flight::SingleFlight;
use super::reload::{Load, Reloader, RestartOnlySettings};
use super::reload_record::ReloadRecord;
use super::settings::Settings;
use super::snapshot::{SharedSnapshot, Snapshot, SnapshotSettings, longest_life};
use super::traces::span_queue::SpanQueue;
use super::upstream;
use crate::clock;
use crate::cluster::{Node, NodeError};
use crate::request::{Shop, honour_meanings};
use crate::revocation::{JournalError, Revocations};

/// Why the process does not start.
#[derive(Debug)]
pub enum StartError {
    /// The journal can't be used.
    Journal(JournalError),
    /// A socket can't be used.
    Sockets(SocketError),
    /// The cluster can't be joined.
    Cluster(NodeError),
    /// Another request to the system failed.
    System(&'static str, io::Error),
}

impl std::error::Error for StartError {}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(error) => write!(f, "{error}"),
            Self::Sockets(error) => write!(f, "{error}"),
            Self::Cluster(error) => write!(f, "{error}"),
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

/// How long the start waits for other nodes. After that the listeners open, and requests with credentials are answered 503
/// until the node is in sync: systemd ends a start that takes too long.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(2);

/// Serves until a signal ends the process. The order matters: journal, sockets, other nodes, keys, services.
///
/// `load` reads the configuration anew, for reloads.
pub fn run(mut settings: Settings, shops: Vec<Shop>, load: Load) -> Result<(), StartError> {
    let inherited = Inherited::from_environment()
        .map_err(|error| StartError::System("an inherited socket can't be used", error))?;
    let hangups =
        shutdown::take_over_signals().map_err(|error| StartError::System("signals", error))?;
    let revocations = Arc::new(replay(&settings)?);
    let fixed = RestartOnlySettings::from_settings(&settings);
    let sockets = Sockets::bind(&settings, inherited).map_err(StartError::Sockets)?;
    let all: Vec<_> = shops.iter().collect();
    honour_meanings(&all, &revocations.meanings(), clock::now());
    let naming = naming(&settings)?;
    let node = join(&mut settings, &revocations, &shops)?;
    let acme = AcmeState::in_folder(settings.data_dir.clone());
    let snapshot = first_snapshot(settings.site, shops, &revocations, acme);
    let keys = get_ready(&snapshot)?;
    if let Some(node) = &node {
        node.await_sync(CLUSTER_PATIENCE);
    }
    let limiter = Arc::new(ConnectionLimiter::at_most(descriptors::raise(
        &snapshot.load().limits,
    )));
    let proxy = proxy(&snapshot, &sockets, &limiter, &keys, naming)?;
    let recorder = Arc::clone(&proxy.recorder);
    let reloads = reloads(
        load,
        (fixed, std::mem::take(&mut settings.outline)),
        &proxy,
        sockets.addresses(),
        node.clone(),
    );
    let parts = ServiceParts {
        limiter,
        proxy,
        reloads,
        hangups,
        h2c: settings.h2c,
    };
    serve(services::server_conf(&settings.data_dir), sockets, parts)?;
    if let Some(node) = node {
        node.leave();
    }
    revocations.close();
    recorder.access_log.close();
    info!("stopped");
    Ok(())
}

/// Serves until the process ends.
fn serve(conf: ServerConf, sockets: Sockets, parts: ServiceParts) -> Result<(), StartError> {
    let shutdown = Shutdown {
        traffic: Arc::clone(&parts.proxy.traffic),
        snapshot: Arc::clone(&parts.proxy.snapshot),
        notify: Arc::clone(&parts.reloads.notify),
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    services::add_all(&mut server, sockets, parts)
        .map_err(|error| StartError::System("listeners", io::Error::other(error)))?;
    server.run(RunArgs {
        shutdown_signal: Box::new(shutdown),
    });
    Ok(())
}

fn first_snapshot(
    settings: SnapshotSettings,
    shops: Vec<Shop>,
    revocations: &Arc<Revocations>,
    acme: AcmeState,
) -> SharedSnapshot {
    if let Some(settings) = &settings.acme {
        acme.load(settings); // before the first handshake
    }
    let snapshot = Snapshot::new(settings, shops, Arc::clone(revocations), Arc::new(acme));
    let shops = snapshot.gate.shops().iter();
    for former in shops.flat_map(|shop| shop.honoured_in_words()) {
        info!("{former}");
    }
    Arc::new(ArcSwap::from_pointee(snapshot))
}

fn replay(settings: &Settings) -> Result<Revocations, StartError> {
    let revocations = match &settings.cluster {
        Some(cluster) => Revocations::open_syncing(&settings.data_dir, cluster.sum_key()),
        None => Revocations::open(&settings.data_dir),
    };
    let revocations = revocations.map_err(StartError::Journal)?;
    let counts = revocations.counts();
    info!(tokens = counts.tokens, undated = counts.undated, cutoffs = counts.cutoffs; "journal replayed");
    Ok(revocations)
}

/// Takes part in the cluster, if there is one.
fn join(
    settings: &mut Settings,
    revocations: &Arc<Revocations>,
    shops: &[Shop],
) -> Result<Option<Arc<Node>>, StartError> {
    let Some(cluster) = settings.cluster.take() else {
        return Ok(None);
    };
    let node =
        Node::start(&cluster, revocations, &settings.data_dir).map_err(StartError::Cluster)?;
    node.keep_at_most(longest_life(shops));
    Ok(Some(Arc::new(node)))
}

/// Waits a moment for the first addresses and keys. Without them the process starts all the same.
fn get_ready(snapshot: &SharedSnapshot) -> Result<Arc<KeyFetcher>, StartError> {
    let snapshot = snapshot.load();
    upstream::await_addresses(&snapshot.pools)
        .map_err(|error| StartError::System("looking names up", error))?;
    let keys = KeyFetcher::default();
    keys.fetch_first(snapshot.gate.shops())
        .map_err(|error| StartError::System("fetching keys", error))?;
    Ok(Arc::new(keys))
}

fn proxy(
    snapshot: &SharedSnapshot,
    sockets: &Sockets,
    limiter: &Arc<ConnectionLimiter>,
    keys: &Arc<KeyFetcher>,
    (log_key, node): (LogKey, Option<String>),
) -> Result<Proxy, StartError> {
    let random = |_| StartError::System("random numbers", io::ErrorKind::Unsupported.into());
    let public = sockets.public.iter();
    let listeners: Vec<_> = public.map(BoundListener::listen).collect();
    let encrypted = listeners.iter().find(|listen| listen.tls);
    let https = encrypted.and_then(|listen| listen.address.tcp());
    let metrics = Arc::new(Metrics::default());
    let recorder = Arc::new(Recorder {
        access_log: access_log(&snapshot.load(), &metrics)?,
        spans: SpanQueue::counting(Arc::clone(&metrics)),
        decisions: Decisions::default(),
        endings: Endings::default(),
        log_key: log_key.clone(),
        node,
    });
    Ok(Proxy {
        https_port: https.map(|address| address.port()),
        snapshot: Arc::clone(snapshot),
        request_ids: Arc::new(RequestIds::random().map_err(random)?),
        logout_quota: Arc::default(),
        rate_limits: RateLimits::default(),
        body_budget: Arc::new(BodyBudget::counting(Arc::clone(&metrics))),
        copies: Arc::new(CopySender::counting(Arc::clone(&metrics))),
        metrics,
        log_key,
        recorder,
        near_misses: Arc::default(),
        connector: Some(Arc::new(Connector::new(None))),
        keys: Arc::clone(keys),
        single_flight: SingleFlight::default(),
        traffic: Arc::new(Traffic::default()),
        self_probe: Arc::new(SelfProbe::new(listeners, Arc::clone(limiter)).map_err(random)?),
    })
}

/// Opens the access log, if there is one.
fn access_log(snapshot: &Snapshot, metrics: &Arc<Metrics>) -> Result<AccessLog, StartError> {
    let failed = |error| StartError::System("the access log can't be opened", error);
    let access_log = AccessLog::start(metrics).map_err(failed)?;
    if let Some(settings) = &snapshot.access_log {
        access_log.write_to(AccessLogSink::open(&settings.to).map_err(failed)?);
    }
    Ok(access_log)
}

/// By what tokens are named in logs, and the name of this node.
fn naming(settings: &Settings) -> Result<(LogKey, Option<String>), StartError> {
    let Some(cluster) = &settings.cluster else {
        let random = |error| StartError::System("random numbers", error);
        let kept = LogKey::kept_in(&settings.data_dir).or_else(|error| {
            warn!("the key for the names of tokens in logs can't be kept, and names change with the next start: {error}");
            LogKey::random()
        });
        return Ok((kept.map_err(random)?, None));
    };
    let key = LogKey::of_cluster(cluster.log_key());
    Ok((key, Some(cluster.node.to_string())))
}

fn reloads(
    load: Load,
    (fixed, outline): (RestartOnlySettings, Outline),
    proxy: &Proxy,
    addresses: String,
    node: Option<Arc<Node>>,
) -> Arc<Reloader> {
    let record = Arc::new(ReloadRecord::since(clock::now()));
    let notify = Arc::new(Notify {
        snapshot: Arc::clone(&proxy.snapshot),
        traffic: Arc::clone(&proxy.traffic),
        reloads: Arc::clone(&record),
        addresses,
        is_ready: AtomicBool::new(false),
    });
    Arc::new(Reloader {
        load,
        fixed,
        snapshot: Arc::clone(&proxy.snapshot),
        record,
        notify,
        keys: Arc::clone(&proxy.keys),
        node,
        outline: Mutex::new(outline),
        recorder: Arc::clone(&proxy.recorder),
    })
}
