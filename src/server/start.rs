//! The start: journal, sockets, other nodes, keys, services, in this order.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use log::{info, warn};
use parking_lot::Mutex;
use pingora::connectors::http::Connector;
use pingora::server::{RunArgs, Server};

use super::connection::limiter::Slots;
use super::connection::limits::Limits;
use super::connection::tls::Certificate;
use super::keys::jwks::KeyFetcher;
use super::operator::log_id::LogKey;
use super::operator::metrics::Metrics;
use super::operator::near_misses::NearMisses;
use super::operator::reload_record::Record;
use super::outline::Outline;
use super::process::drain::Drain;
use super::process::inherited::Inherited;
use super::process::listen::{Bound, Listen};
use super::process::notify::Notify;
use super::process::self_probe::Pulse;
use super::process::services::Parts;
use super::process::shutdown::Shutdown;
use super::process::sockets::Sockets;
use super::process::traffic::Traffic;
use super::process::{descriptors, services, shutdown};
use super::proxy::body::budget::BodyBudget;
use super::proxy::hooks::Proxy;
use super::proxy::introspection::Turns;
use super::proxy::request_id::RequestIds;
use super::reload::{Fixed, Load, Reloads};
use super::snapshot::{Served, Site};
use super::upstream::{self, Upstreams};
use crate::clock;
use crate::request::{HostPattern, Shop, honour_meanings};
use crate::cluster::{ClusterSettings, Node, NodeError};
use crate::revocation::{JournalError, Revocations};

/// What the operator says of the process.
#[derive(Debug)]
pub struct Settings {
    /// The addresses that customers come to.
    pub listen: Vec<Listen>,
    /// Whether HTTP/2 is spoken without TLS, too, to whoever begins with it (RFC 9113 section 3.3).
    pub h2c: bool,
    /// The address of the operator's listener; `None`: there is none.
    pub operator: Option<Listen>,
    /// The path of the control socket.
    pub control: PathBuf,
    /// Where the journal lives.
    pub data_dir: PathBuf,
    /// What a reload may change.
    pub site: SiteSettings,
    /// The nodes that revocations are shared with; `None`: there is this one only.
    pub cluster: Option<ClusterSettings>,
    /// All that the configuration says, key by key.
    pub outline: Outline,
}

/// What the operator says of the shops and of who comes to them.
#[derive(Debug)]
pub struct SiteSettings {
    /// Proxies in front of us, whose word on the client's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Under which hosts the operator's listener answers, beside loopback and its own address.
    pub operator_hosts: Vec<HostPattern>,
    /// The servers of each shop, by its name.
    pub upstreams: HashMap<String, Arc<Upstreams>>,
    /// What one client may take.
    pub limits: Limits,
    /// The certificates of the addresses with TLS; the first is for whoever asks for no name of the others.
    pub certificates: Vec<Certificate>,
    /// How long the process takes to stop.
    pub drain: Drain,
}

/// Why the process does not start.
#[derive(Debug)]
pub enum StartError {
    /// The journal can't be used.
    Journal(JournalError),
    /// An address can't be listened on.
    Bind(String, io::Error),
    /// The cluster can't be joined.
    Cluster(NodeError),
    /// A socket was handed over that the configuration does not ask for.
    Unclaimed(SocketAddr),
    /// The system refuses something else.
    System(&'static str, io::Error),
}

impl std::error::Error for StartError {}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(error) => write!(f, "{error}"),
            Self::Bind(address, error) => write!(
                f,
                "{address} can't be listened on: {error}\n  \
                 help: see who has it with `ss -ltnp`; ports below 1024 need CAP_NET_BIND_SERVICE"
            ),
            Self::Cluster(error) => write!(f, "{error}"),
            Self::Unclaimed(address) => write!(
                f,
                "systemd hands over a socket on {address}, which neither `listen` nor `operator` names\n  \
                 help: write exactly this address there, or another ListenStream= in doorward.socket; \
                 0.0.0.0 and [::] are two addresses"
            ),
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

/// How long the start waits for other nodes. After that customers come in, and whoever shows a credential is told to
/// come back, until others have been heard: a start that takes too long is ended by systemd.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(2);

/// Serves until it is told to stop. The order is the promise: journal, sockets, other nodes, keys, services.
///
/// `load` reads the configuration anew, for reloads.
pub fn run(mut settings: Settings, shops: Vec<Shop>, load: Load) -> Result<(), StartError> {
    let inherited = Inherited::take()
        .map_err(|error| StartError::System("a socket that is handed over can't be used", error))?;
    let hangups =
        shutdown::outlive_signals().map_err(|error| StartError::System("signals", error))?;
    let revocations = Arc::new(replay(&settings)?);
    let fixed = Fixed::of(&settings);
    let sockets = Sockets::bind(&settings, inherited)?;
    note_old_meanings(&shops, &revocations);
    let all: Vec<_> = shops.iter().collect();
    honour_meanings(&all, &revocations.meanings(), clock::now());
    let node = join(&mut settings, &revocations, &shops)?;
    let mut server = Server::new_with_opt_and_conf(None, services::server_conf(&settings.data_dir));
    let site = Site::new(settings.site, shops, Arc::clone(&revocations));
    for former in site
        .gate
        .shops()
        .iter()
        .flat_map(|shop| shop.honoured_in_words())
    {
        info!("{former}");
    }
    let site: Served = Arc::new(ArcSwap::from_pointee(site));
    let keys = get_ready(&site)?;
    if let Some(node) = &node {
        node.await_standing(CLUSTER_PATIENCE);
    }
    let slots = Arc::new(Slots::at_most(descriptors::raise(&site.load().limits)));
    let proxy = proxy(&site, &sockets, &slots, &keys, node.as_deref())?;
    let traffic = Arc::clone(&proxy.traffic);
    let reloads = reloads(
        load,
        (fixed, std::mem::take(&mut settings.outline)),
        &proxy,
        &keys,
        sockets.addresses(),
        node.clone(),
    );
    let notify = Arc::clone(&reloads.notify);
    let parts = Parts {
        slots,
        proxy,
        reloads,
        hangups,
        keys,
        h2c: settings.h2c,
    };
    server.bootstrap();
    services::add_all(&mut server, sockets, parts)
        .map_err(|error| StartError::System("listeners", io::Error::other(error)))?;
    server.run(RunArgs {
        shutdown_signal: Box::new(Shutdown {
            traffic,
            served: site,
            notify,
        }),
    });
    if let Some(node) = node {
        node.leave();
    }
    revocations.close();
    info!("stopped");
    Ok(())
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

/// Entries of a version that kept no meanings were made under what this configuration says, as far as can be known.
fn note_old_meanings(shops: &[Shop], revocations: &Revocations) {
    let now = clock::now();
    let rows = shops
        .iter()
        .flat_map(|shop| revocations.meaning_of_unnamed(&shop.meaning_without_readings(), now));
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() && revocations.revoke_aside(rows).is_err() {
        warn!(
            "what the journal's entries mean could not be written: do not change the configuration before it is"
        );
    }
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

/// How long anything that was revoked needs to be kept; `None`: tokens of some shop live for ever.
pub(crate) fn longest_life<'s>(shops: impl IntoIterator<Item = &'s Shop>) -> Option<Duration> {
    let now = clock::now();
    let mut lives = shops.into_iter().map(|shop| shop.longest_life(now));
    lives.try_fold(Duration::ZERO, |longest, life| Some(longest.max(life?)))
}

/// Waits a moment for the first addresses and keys: it is no reason not to start that there are none.
fn get_ready(site: &Served) -> Result<Arc<KeyFetcher>, StartError> {
    let site = site.load();
    upstream::await_addresses(&site.upstreams)
        .map_err(|error| StartError::System("looking names up", error))?;
    let keys = KeyFetcher::default();
    keys.fetch_first(site.gate.shops())
        .map_err(|error| StartError::System("fetching keys", error))?;
    Ok(Arc::new(keys))
}

fn proxy(
    site: &Served,
    sockets: &Sockets,
    slots: &Arc<Slots>,
    keys: &Arc<KeyFetcher>,
    node: Option<&Node>,
) -> Result<Proxy, StartError> {
    let random = |_| StartError::System("random numbers", io::ErrorKind::Unsupported.into());
    let places = sockets.public.iter().filter_map(Bound::place).collect();
    let journal = Arc::clone(site.load().gate.revocations());
    let metrics = Arc::new(Metrics::beside(journal.journal(), node));
    Ok(Proxy {
        served: Arc::clone(site),
        request_ids: RequestIds::random().map_err(random)?,
        body_budget: Arc::new(BodyBudget::counting(Arc::clone(&metrics))),
        metrics,
        log_key: LogKey::random().map_err(random)?,
        near_misses: NearMisses::default(),
        connector: Arc::new(Connector::new(None)),
        keys: Arc::clone(keys),
        turns: Turns::default(),
        traffic: Arc::new(Traffic::default()),
        pulse: Arc::new(Pulse::through(places, Arc::clone(slots)).map_err(random)?),
    })
}

fn reloads(
    load: Load,
    (fixed, outline): (Fixed, Outline),
    proxy: &Proxy,
    keys: &Arc<KeyFetcher>,
    addresses: String,
    node: Option<Arc<Node>>,
) -> Arc<Reloads> {
    let record = Arc::new(Record::since(clock::now()));
    let notify = Arc::new(Notify {
        served: Arc::clone(&proxy.served),
        traffic: Arc::clone(&proxy.traffic),
        reloads: Arc::clone(&record),
        addresses,
        is_ready: AtomicBool::new(false),
    });
    Arc::new(Reloads {
        load,
        fixed,
        served: Arc::clone(&proxy.served),
        record,
        notify,
        keys: Arc::clone(keys),
        node,
        outline: Mutex::new(outline),
    })
}
