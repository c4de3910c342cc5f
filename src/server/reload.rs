//! A reload: another configuration takes the place of the current one, as a whole or not at all.
//!
//! Requests in flight end under the configuration that they began with, and no connection is touched.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use log::{LevelFilter, error, info, warn};
use parking_lot::Mutex;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::Signal;

use super::access_log::sink::AccessLogSink;
use super::keys::jwks::KeyFetcher;
use super::operator::recorder::Recorder;
use super::outline::Outline;
use super::process::listen::Listen;
use super::process::notify::Notify;
use super::reload_record::ReloadRecord;
use super::settings::Settings;
use super::snapshot::{SharedSnapshot, Snapshot, longest_life};
use super::upstream;
use crate::clock;
use crate::cluster::{Bus, ClusterSettings, Node, Security, UnfitCertificates};
use crate::request::Shop;
use crate::revocation::NodeName;

/// Reads the configuration as the start does.
pub type Load = Box<dyn Fn() -> Result<Loaded, FaultReport> + Send + Sync>;

/// Every fault of a configuration, for the operator to read.
#[derive(Debug)]
pub struct FaultReport(pub String);

/// A configuration that was loaded.
pub struct Loaded {
    /// The server's settings.
    pub server: Settings,
    /// The shops.
    pub shops: Vec<Shop>,
    /// The log level.
    pub log: LevelFilter,
    /// The report of its warnings; empty, if there are none.
    pub warnings: String,
    /// The configuration, key by key.
    pub outline: Outline,
}

/// Reloads, one after the other.
pub(crate) struct Reloader {
    pub(crate) load: Load,
    pub(crate) fixed: RestartOnlySettings,
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) record: Arc<ReloadRecord>,
    pub(crate) notify: Arc<Notify>,
    pub(crate) keys: Arc<KeyFetcher>,
    pub(crate) node: Option<Arc<Node>>,
    /// The outline of the current configuration. A running reload holds the lock.
    pub(crate) outline: Mutex<Outline>,
    pub(crate) recorder: Arc<Recorder>,
}

/// The result of a reload.
pub(crate) struct Reloaded {
    pub(crate) shops: usize,
    /// The keys whose value has changed.
    pub(crate) changed: Vec<String>,
    pub(crate) warnings: String,
    /// The former meanings of names that still apply, one line each.
    pub(crate) former_meanings: Vec<String>,
}

/// Why nothing was reloaded.
#[derive(Debug)]
pub(crate) enum ReloadError {
    /// The configuration has faults; their report.
    Faults(String),
    /// Some keys have changed that are read at the start only.
    NeedsRestart {
        /// These.
        keys: Vec<&'static str>,
        /// All keys that have changed.
        changed: Vec<String>,
    },
    /// The keys of this shop can't be fetched: it would refuse every token.
    NoKeys(String),
}

/// The settings that only a restart can change.
#[derive(PartialEq, Eq)]
pub(crate) struct RestartOnlySettings {
    listen: Vec<Listen>,
    h2c: bool,
    operator: Option<SocketAddr>,
    health: Option<SocketAddr>,
    control: PathBuf,
    data_dir: PathBuf,
    cluster: Option<RestartOnlyCluster>,
}

/// The settings of `[cluster]` that only a restart can change.
#[derive(PartialEq, Eq)]
struct RestartOnlyCluster {
    node: NodeName,
    listen: SocketAddr,
    is_insecure: bool,
    bus: Option<Bus>,
}

impl Reloader {
    /// Reads the configuration and serves with it, or keeps the old one.
    pub(crate) fn reload(&self) -> Result<Reloaded, ReloadError> {
        let mut outline = self.outline.lock();
        self.notify.reloading();
        let outcome = self.replace(&mut outline);
        let failure = outcome.as_ref().err().map(ReloadError::first_line);
        self.record.record(failure, clock::now());
        match &outcome {
            Ok(Reloaded {
                shops,
                changed,
                warnings,
                former_meanings,
            }) => {
                let changed = changed.join(", ");
                info!(shops, changed = changed.as_str(); "reloaded");
                for former in former_meanings {
                    info!("{former}");
                }
                if !warnings.is_empty() {
                    warn!("the configuration has warnings\n{warnings}");
                }
            }
            Err(why) => error!("reload failed; the old configuration stays in use\n{why}"),
        }
        self.notify.reloaded();
        outcome
    }

    /// The same on a blocking thread.
    pub(crate) async fn reload_aside(self: &Arc<Self>) -> Option<Result<Reloaded, ReloadError>> {
        let reloads = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || reloads.reload()).await;
        let failed = |_| {
            let why = "error: the reload ended in a panic".to_owned();
            self.record.record(Some(why), clock::now());
            error!("a reload ended in a panic; the old configuration stays in use");
        };
        done.map_err(failed).ok()
    }

    fn replace(&self, outline: &mut Outline) -> Result<Reloaded, ReloadError> {
        let loaded = (self.load)().map_err(|FaultReport(report)| ReloadError::Faults(report))?;
        let changed = outline.changed_in(&loaded.outline);
        let keys = self.fixed.changed_in(&loaded.server);
        if !keys.is_empty() {
            return Err(ReloadError::NeedsRestart { keys, changed });
        }
        let shops = loaded.shops.len();
        let next = self.snapshot.load().after(loaded.server.site, loaded.shops);
        let system = |error: io::Error| ReloadError::Faults(format!("error: {error}"));
        upstream::await_addresses(&next.pools).map_err(system)?;
        self.keys.fetch_first(next.gate.shops()).map_err(system)?;
        let without = |shop: &&Arc<Shop>| !shop.verifier.has_keys();
        if let Some(shop) = next.gate.shops().iter().find(without) {
            return Err(ReloadError::NoKeys(shop.name.clone()));
        }
        let sink = open_access_log(&next)?;
        if let (Some(node), Some(cluster)) = (&self.node, &loaded.server.cluster) {
            let unfit = |why: UnfitCertificates| ReloadError::Faults(format!("error: {why}"));
            node.reconfigure(cluster).map_err(unfit)?;
        }
        next.gate.honour_meanings(clock::now());
        if let Some(node) = &self.node {
            node.keep_at_most(longest_life(next.gate.shops().iter().map(Arc::as_ref)));
        }
        let former_meanings = next
            .gate
            .shops()
            .iter()
            .flat_map(|shop| shop.honoured_in_words());
        let former_meanings = former_meanings.collect();
        self.snapshot.store(Arc::new(next));
        if let Some(sink) = sink {
            self.recorder.access_log.write_to(sink);
        }
        log::set_max_level(loaded.log);
        *outline = loaded.outline;
        Ok(Reloaded {
            shops,
            changed,
            warnings: loaded.warnings,
            former_meanings,
        })
    }
}

/// Opens the access log anew: its file may have been renamed.
fn open_access_log(next: &Snapshot) -> Result<Option<AccessLogSink>, ReloadError> {
    let Some(settings) = &next.access_log else {
        return Ok(None);
    };
    let opened = AccessLogSink::open(&settings.to);
    let failed = |error: io::Error| {
        let why = format!("error: the access log can't be opened: {error}");
        ReloadError::Faults(why)
    };
    opened.map(Some).map_err(failed)
}

impl ReloadError {
    /// What is wrong in one line, without the lines of the file, which may hold secrets.
    fn first_line(&self) -> String {
        let text = self.to_string();
        let mut lines = text.lines();
        let fault = lines.find(|line| line.starts_with("error"));
        fault
            .or_else(|| text.lines().next())
            .unwrap_or_default()
            .to_owned()
    }
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(report) => f.write_str(report),
            Self::NoKeys(shop) => write!(
                f,
                "error: the keys of shop {shop} can't be fetched from its `jwks_url`, and nothing of the file is applied\n  \
                 help: the log says why; try again when they can be had"
            ),
            Self::NeedsRestart { keys, changed } => {
                let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
                let needs = if keys.len() == 1 { "needs" } else { "need" };
                let (keys, changed) = (keys.join(", "), changed.join(", "));
                write!(
                    f,
                    "error: {keys} {needs} a restart, and nothing of the file is applied\n  \
                     note: changed since the last reload: {changed}"
                )
            }
        }
    }
}

impl RestartOnlySettings {
    /// Of these settings.
    pub(crate) fn from_settings(settings: &Settings) -> Self {
        Self {
            listen: settings.listen.clone(),
            h2c: settings.h2c,
            operator: settings.operator,
            health: settings.health,
            control: settings.control.clone(),
            data_dir: settings.data_dir.clone(),
            cluster: settings
                .cluster
                .as_ref()
                .map(RestartOnlyCluster::from_settings),
        }
    }

    /// Where the operator listens.
    pub(crate) fn operator(&self) -> Option<SocketAddr> {
        self.operator
    }

    /// The control socket.
    pub(crate) fn control(&self) -> &Path {
        &self.control
    }

    /// The data folder.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The keys whose value differs there.
    fn changed_in(&self, settings: &Settings) -> Vec<&'static str> {
        let there = Self::from_settings(settings);
        let keys = [
            ("listen", self.listen != there.listen),
            ("h2c", self.h2c != there.h2c),
            ("operator_listen", self.operator != there.operator),
            ("health", self.health != there.health),
            ("control", self.control != there.control),
            ("data_dir", self.data_dir != there.data_dir),
        ];
        let keys = keys.into_iter().chain(self.changed_in_cluster(&there));
        let changed = keys.filter(|(_, changed)| *changed);
        changed.map(|(key, _)| key).collect()
    }

    fn changed_in_cluster(&self, there: &Self) -> Vec<(&'static str, bool)> {
        match (&self.cluster, &there.cluster) {
            (Some(here), Some(there)) => here.changed_in(there).to_vec(),
            (here, there) => vec![("cluster", here.is_some() != there.is_some())],
        }
    }
}

impl RestartOnlyCluster {
    fn from_settings(settings: &ClusterSettings) -> Self {
        Self {
            node: settings.node.clone(),
            listen: settings.listen,
            is_insecure: matches!(settings.security, Security::Loopback),
            bus: settings.bus.clone(),
        }
    }

    fn changed_in(&self, there: &Self) -> [(&'static str, bool); 5] {
        let url = |bus: &Option<Bus>| bus.as_ref().map(|bus| bus.url.clone());
        let has_other_bus = url(&self.bus) != url(&there.bus);
        [
            ("cluster.node", self.node != there.node),
            ("cluster.listen", self.listen != there.listen),
            ("cluster.insecure", self.is_insecure != there.is_insecure),
            ("cluster.bus", has_other_bus),
            (
                "cluster.bus_ca_file",
                !has_other_bus && self.bus != there.bus,
            ),
        ]
    }
}

/// Reloads on every SIGHUP.
pub(crate) struct HangupReloads {
    pub(crate) signal: tokio::sync::Mutex<Signal>,
    pub(crate) reloads: Arc<Reloader>,
}

#[async_trait]
impl BackgroundService for HangupReloads {
    async fn start(&self, _: ShutdownWatch) {
        let mut signal = self.signal.lock().await;
        while signal.recv().await.is_some() {
            let _ = self.reloads.reload_aside().await; // it was logged
        }
    }
}
