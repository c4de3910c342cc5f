//! The services of the process: the public listener, the operator's, and the background tasks.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora::apps::HttpServerOptions;
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::services::background::background_service;
use pingora::{Error, ErrorType};
use pingora_proxy::http_proxy;
use tokio::signal::unix::Signal;

use super::background::{Housekeeping, KeyRefresh, UpstreamRefresh};
use super::listen::{BoundListener, BoundService, BoundTcp};
use super::sockets::Sockets;
use super::traffic::DrainingApp;
use super::watchdog::Watchdog;
use crate::clock;
use crate::server::acme::renewal::CertificateOrders;
use crate::server::connection::acceptor::ConnectionAcceptor;
use crate::server::connection::app::{ConnectionApp, RequestApp};
use crate::server::connection::client_certificate::ClientVerifier;
use crate::server::connection::limiter::ConnectionLimiter;
use crate::server::connection::listener::ListenerNumber;
use crate::server::connection::tls;
use crate::server::connection::unread::UnreadRequests;
use crate::server::operator::app::OperatorApp;
use crate::server::operator::control::Control;
use crate::server::operator::control_socket::ControlSocket;
use crate::server::operator::dashboard::{DashboardFeed, HistorySampler};
use crate::server::operator::listener::{Audience, OperatorPages};
use crate::server::operator::status::StatusSources;
use crate::server::proxy::service::Proxy;
use crate::server::reload::{HangupReloads, Reloader};
use crate::server::traces::span_exporter::SpanExporter;

/// The parts that the services share.
pub(crate) struct ServiceParts {
    pub(crate) proxy: Proxy,
    pub(crate) limiter: Arc<ConnectionLimiter>,
    pub(crate) reloads: Arc<Reloader>,
    pub(crate) hangups: Signal,
    pub(crate) h2c: bool,
}

/// Adds them all. The public listener comes last, after everything that it needs.
pub(crate) fn add_all(
    server: &mut Server,
    sockets: Sockets,
    parts: ServiceParts,
) -> pingora::Result<()> {
    let ServiceParts {
        proxy,
        limiter,
        reloads,
        hangups,
        h2c,
    } = parts;
    add_background(server, &proxy, &reloads, hangups);
    let status = status(&proxy, &limiter, &reloads);
    let feed = DashboardFeed::new(Arc::clone(&status), Arc::clone(&proxy.recorder));
    let feed = Arc::new(feed);
    if sockets.operator.is_some() {
        let sampler = HistorySampler(Arc::clone(&feed));
        server.add_service(background_service("history", sampler));
    }
    let control = Control {
        snapshot: Arc::clone(&proxy.snapshot),
        reloads: Arc::clone(&reloads),
        log_key: proxy.log_key.clone(),
        recorder: Arc::clone(&proxy.recorder),
        status,
    };
    let pages = OperatorPages {
        audience: Audience::Operator,
        snapshot: Arc::clone(&proxy.snapshot),
        limiter: Arc::clone(&limiter),
        body_budget: Arc::clone(&proxy.body_budget),
        metrics: Arc::clone(&proxy.metrics),
        traffic: Arc::clone(&proxy.traffic),
        feed: Arc::clone(&feed),
        reloads,
    };
    let orders = ControlSocket::new(sockets.control, control);
    server.add_service(background_service("control", orders));
    let health = OperatorPages {
        audience: Audience::Anyone,
        ..pages.clone()
    };
    for (name, pages, bound) in [
        ("operator", pages, sockets.operator),
        ("health", health, sockets.health),
    ] {
        server.add_service(operator(name, OperatorApp::new(pages), bound)?);
    }
    let public = public(&server.configuration, sockets.public, proxy, limiter, h2c)?;
    server.add_service(public);
    Ok(())
}

/// What the status document is made of.
fn status(
    proxy: &Proxy,
    limiter: &Arc<ConnectionLimiter>,
    reloads: &Arc<Reloader>,
) -> Arc<StatusSources> {
    let now = clock::now();
    Arc::new(StatusSources {
        snapshot: Arc::clone(&proxy.snapshot),
        limiter: Arc::clone(limiter),
        body_budget: Arc::clone(&proxy.body_budget),
        metrics: Arc::clone(&proxy.metrics),
        traffic: Arc::clone(&proxy.traffic),
        reloads: Arc::clone(reloads),
        near_misses: Arc::clone(&proxy.near_misses),
        state: Mutex::new(("starting", now)),
        started_at: now,
    })
}

/// The background tasks.
fn add_background(server: &mut Server, proxy: &Proxy, reloads: &Arc<Reloader>, hangups: Signal) {
    let snapshot = || Arc::clone(&proxy.snapshot);
    let watchdog = Watchdog {
        self_probe: Arc::clone(&proxy.self_probe),
        notify: Arc::clone(&reloads.notify),
        traffic: Arc::clone(&proxy.traffic),
    };
    let hangups = HangupReloads {
        signal: tokio::sync::Mutex::new(hangups),
        reloads: Arc::clone(reloads),
    };
    let refresh = KeyRefresh {
        snapshot: snapshot(),
        keys: Arc::clone(&proxy.keys),
    };
    server.add_service(background_service("housekeeping", Housekeeping(snapshot())));
    server.add_service(background_service(
        "upstream refresh",
        UpstreamRefresh::new(snapshot()),
    ));
    server.add_service(background_service("keys", refresh));
    let spans = SpanExporter {
        snapshot: snapshot(),
        recorder: Arc::clone(&proxy.recorder),
    };
    server.add_service(background_service("spans", spans));
    let orders = CertificateOrders::new(snapshot(), Arc::clone(&proxy.traffic));
    server.add_service(background_service("certificates", orders));
    server.add_service(background_service("reload", hangups));
    server.add_service(background_service("watchdog", watchdog));
}

/// The public listeners: their connections are counted, watched and drained, and their requests go to the proxy.
fn public(
    conf: &Arc<ServerConf>,
    bound: Vec<BoundListener>,
    proxy: Proxy,
    limiter: Arc<ConnectionLimiter>,
    h2c: bool,
) -> pingora::Result<BoundService<DrainingApp<ConnectionApp>>> {
    let (snapshot, traffic) = (Arc::clone(&proxy.snapshot), Arc::clone(&proxy.traffic));
    let first = ConnectionAcceptor {
        listener: ListenerNumber(0),
        snapshot: Arc::clone(&snapshot),
        limiter,
        metrics: Arc::clone(&proxy.metrics),
        traffic: Arc::clone(&traffic),
        proxy_header_log: Arc::default(),
        unread: unread(&proxy),
    };
    let own = proxy.self_probe.certificate().clone();
    let requests = Arc::new(requests(conf, proxy, h2c));
    let mut service = BoundService::new("proxy", None);
    for (number, bound) in bound.into_iter().enumerate() {
        let acceptor = Arc::new(ConnectionAcceptor {
            listener: ListenerNumber(number),
            ..first.clone()
        });
        let app = ConnectionApp {
            acceptor: Arc::clone(&acceptor),
            requests: Arc::clone(&requests),
        };
        let app = DrainingApp::new(app, &traffic);
        match bound {
            BoundListener::Tcp(bound) => {
                let clients = ClientVerifier::new(acceptor.listener, &snapshot, own.clone());
                let tls = || tls::settings(&snapshot, clients);
                service.add(bound, app, Some(acceptor), tls)?;
            }
            BoundListener::Unix(bound) => service.add_unix(bound, app, acceptor),
        }
    }
    Ok(service.until(traffic.accept_watch()))
}

/// Takes down what no hook of the proxy sees.
fn unread(proxy: &Proxy) -> UnreadRequests {
    UnreadRequests {
        snapshot: Arc::clone(&proxy.snapshot),
        recorder: Arc::clone(&proxy.recorder),
        ids: Arc::clone(&proxy.request_ids),
    }
}

fn requests(conf: &Arc<ServerConf>, proxy: Proxy, h2c: bool) -> RequestApp {
    let mut options = HttpServerOptions::default();
    options.h2c = h2c;
    options.h2_idle_timeout = Some(proxy.snapshot.load().limits.keepalive);
    RequestApp {
        snapshot: Arc::clone(&proxy.snapshot),
        metrics: Arc::clone(&proxy.metrics),
        log_key: proxy.log_key.clone(),
        unread: unread(&proxy),
        proxy: Arc::new(http_proxy(conf, proxy)),
        options,
    }
}

/// The operator listener and the health listener have a thread each, so that they answer under any load of customers.
fn operator(
    name: &'static str,
    app: OperatorApp,
    bound: Option<BoundTcp>,
) -> pingora::Result<BoundService<OperatorApp>> {
    let mut service = BoundService::new(name, Some(1));
    let no_tls = || {
        Err(Error::explain(
            ErrorType::InternalError,
            "the operator listener has no TLS",
        ))
    };
    if let Some(bound) = bound {
        service.add(bound, app, None, no_tls)?;
    }
    Ok(service)
}

/// Pingora's configuration.
pub(crate) fn server_conf(data_dir: &Path) -> ServerConf {
    ServerConf {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        // Never used; the default is a predictable name in a folder that is writable for all.
        upgrade_sock: data_dir.join("unused.sock").display().to_string(),
        pid_file: data_dir.join("unused.pid").display().to_string(),
        ..ServerConf::default()
    }
}
