//! Everything that knows Pingora: the services and the order in which they start.

mod ask;
mod body;
mod client;
mod connection;
mod control;
mod forwarding;
mod framing;
mod gauges;
mod jwks;
mod key_schedule;
mod limits;
mod listen;
mod log_id;
mod metrics;
mod operator;
mod proxy;
mod reply;
mod request_id;
mod shutdown;
mod site;
mod target;
mod tls;
mod upstream;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use ipnet::IpNet;
use log::info;
use pingora::apps::{HttpServerApp, HttpServerOptions};
use pingora::connectors::http::Connector;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server, ShutdownWatch};
use pingora::services::background::{BackgroundService, background_service};
use pingora::services::listening::Service;
use pingora::{Error, ErrorType};
use pingora_proxy::http_proxy;

pub use client::exchange;
pub use control::{Order, call};
pub use limits::Limits;
pub use listen::Listen;
pub use tls::Certificate;
pub use upstream::{
    Balance, Check, Ejection, Endpoint, HashBy, Health, HttpCheck, ServerState, Thresholds,
    Timeouts, UnfitTls, UpstreamSettings, UpstreamTls, Upstreams,
};

use crate::request::Shop;
use crate::revocation::{JournalError, Revocations};
use connection::{Door, Reception, Requests, Slots};
use jwks::KeyFetcher;
use listen::{Bound, Listening};
use log_id::LogKey;
use metrics::Metrics;
use proxy::Proxy;
use request_id::RequestIds;
use site::{Served, Site};

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
}

/// What the operator says of the shops and of who comes to them.
#[derive(Debug)]
pub struct SiteSettings {
    /// Proxies in front of us, whose word on the client's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// The servers of each shop, by its name.
    pub upstreams: HashMap<String, Arc<Upstreams>>,
    /// What one client may take.
    pub limits: Limits,
    /// The certificates of the addresses with TLS; the first is for whoever asks for no name of the others.
    pub certificates: Vec<Certificate>,
}

/// Why the process does not start.
#[derive(Debug)]
pub enum StartError {
    /// The journal can't be used.
    Journal(JournalError),
    /// An address can't be listened on.
    Bind(String, io::Error),
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
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

/// Serves until it is told to stop. The order is the promise: journal, sockets, keys, services.
pub fn run(settings: Settings, shops: Vec<Shop>) -> Result<(), StartError> {
    shutdown::outlive_signals().map_err(|error| StartError::System("signals", error))?;
    let revocations = Arc::new(replay(&settings.data_dir)?);
    let sockets = Sockets::bind(&settings)?;
    let mut server = Server::new_with_opt_and_conf(None, server_conf(&settings.data_dir));
    let metrics = Arc::new(Metrics::beside(revocations.journal()));
    let site: Served = Arc::new(ArcSwap::from_pointee(Site::new(
        settings.site,
        shops,
        revocations,
    )));
    upstream::await_addresses(&site.load().upstreams)
        .map_err(|error| StartError::System("looking names up", error))?;
    let keys = KeyFetcher::default();
    keys.fetch_first(site.load().gate.shops())
        .map_err(|error| StartError::System("fetching keys", error))?;
    let in_flight = Arc::new(());
    let proxy = proxy(&site, &metrics, &in_flight)?;
    server.bootstrap();
    add_services(&mut server, sockets, proxy, settings.h2c)
        .map_err(|error| StartError::System("listeners", io::Error::other(error)))?;
    server.add_service(background_service("keys", KeyRefresh { site, keys }));
    info!("ready");
    server.run(RunArgs {
        shutdown_signal: Box::new(shutdown::Shutdown { in_flight }),
    });
    info!("stopped");
    Ok(())
}

fn replay(data_dir: &Path) -> Result<Revocations, StartError> {
    let revocations = Revocations::open(data_dir).map_err(StartError::Journal)?;
    let counts = revocations.counts();
    info!(tokens = counts.tokens, undated = counts.undated, cutoffs = counts.cutoffs; "journal replayed");
    Ok(revocations)
}

fn proxy(
    served: &Served,
    metrics: &Arc<Metrics>,
    in_flight: &Arc<()>,
) -> Result<Proxy, StartError> {
    let random = |_| StartError::System("random numbers", io::ErrorKind::Unsupported.into());
    Ok(Proxy {
        served: Arc::clone(served),
        request_ids: RequestIds::random().map_err(random)?,
        metrics: Arc::clone(metrics),
        log_key: LogKey::random().map_err(random)?,
        connector: Connector::new(None),
        in_flight: Arc::clone(in_flight),
    })
}

fn add_services(
    server: &mut Server,
    sockets: Sockets,
    proxy: Proxy,
    h2c: bool,
) -> pingora::Result<()> {
    let (site, metrics) = (Arc::clone(&proxy.served), Arc::clone(&proxy.metrics));
    let slots = Arc::new(Slots::default());
    let control = control::Control {
        served: Arc::clone(&site),
    };
    let operator = operator::Operator {
        served: Arc::clone(&site),
        slots: Arc::clone(&slots),
        metrics: Arc::clone(&metrics),
    };
    let housekeeping = Housekeeping(Arc::clone(&site));
    let upkeep = upstream::Upkeep::of(Arc::clone(&site));
    server.add_service(background_service("housekeeping", housekeeping));
    server.add_service(background_service("upkeep", upkeep));
    server.add_service(aside("control", control, sockets.control)?);
    server.add_service(aside("operator", operator, sockets.operator)?);
    let reception = Arc::new(Reception {
        served: Arc::clone(&site),
        slots,
        metrics,
    });
    let requests = requests(&server.configuration, proxy, h2c);
    let door = Door {
        reception: Arc::clone(&reception),
        requests: Arc::new(requests),
    };
    let mut public = Service::new("proxy".to_owned(), door);
    public.endpoints().set_pre_tls_callback(reception);
    let tls = || tls::settings(&site);
    server.add_service(Listening::new(public, sockets.public, tls)?);
    Ok(())
}

fn requests(conf: &Arc<ServerConf>, proxy: Proxy, h2c: bool) -> Requests {
    let mut options = HttpServerOptions::default();
    options.h2c = h2c;
    options.h2_idle_timeout = Some(proxy.served.load().limits.keepalive);
    Requests {
        served: Arc::clone(&proxy.served),
        metrics: Arc::clone(&proxy.metrics),
        log_key: proxy.log_key.clone(),
        proxy: Arc::new(http_proxy(conf, proxy)),
        options,
    }
}

/// Everything that is listened on.
struct Sockets {
    public: Vec<Bound>,
    operator: Vec<Bound>,
    control: Vec<Bound>,
}

impl Sockets {
    fn bind(settings: &Settings) -> Result<Self, StartError> {
        Ok(Self {
            public: bind_all("proxy", &settings.listen)?,
            operator: bind_all("operator", settings.operator.as_slice())?,
            control: bind_control(&settings.control)?,
        })
    }
}

fn bind_all(service: &'static str, addresses: &[Listen]) -> Result<Vec<Bound>, StartError> {
    let bind = |listen: &Listen| {
        let cannot = |error| StartError::Bind(listen.address.to_string(), error);
        let bound = Bound::tcp(*listen).map_err(cannot)?;
        info!(service, address = bound.at.as_str(); "listening");
        Ok(bound)
    };
    addresses.iter().map(bind).collect()
}

fn bind_control(path: &Path) -> Result<Vec<Bound>, StartError> {
    let cannot = |error| StartError::Bind(path.display().to_string(), error);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    Ok(vec![Bound::unix(path).map_err(cannot)?])
}

/// A small service with one thread of its own: customers can't keep it from answering.
fn aside<A>(name: &str, app: A, bound: Vec<Bound>) -> pingora::Result<Listening<A>>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let mut service = Service::new(name.to_owned(), app);
    service.threads = Some(1);
    Listening::new(service, bound, || Err(Error::new(ErrorType::InternalError)))
}

fn server_conf(data_dir: &Path) -> ServerConf {
    ServerConf {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        // Never used; the default is a predictable name in a folder that everybody may write to.
        upgrade_sock: data_dir.join("unused.sock").display().to_string(),
        pid_file: data_dir.join("unused.pid").display().to_string(),
        ..ServerConf::default()
    }
}

/// Drops what is over, once a second.
struct Housekeeping(Served);

#[async_trait]
impl BackgroundService for Housekeeping {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = ticks.tick() => self.0.load().gate.revocations().tick(),
                _ = shutdown.changed() => return,
            }
        }
    }
}

/// Has keys fetched, once a second if they are due.
struct KeyRefresh {
    site: Served,
    keys: KeyFetcher,
}

#[async_trait]
impl BackgroundService for KeyRefresh {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = ticks.tick() => self.keys.tick(self.site.load().gate.shops()),
                _ = shutdown.changed() => return,
            }
        }
    }
}
