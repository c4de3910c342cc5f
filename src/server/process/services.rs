//! The services that a process consists of: customers, operators, and what is done in the background.

use std::path::Path;
use std::sync::Arc;

use pingora::apps::{HttpServerOptions, ServerApp};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use pingora::{Error, ErrorType};
use pingora_proxy::http_proxy;
use tokio::signal::unix::Signal;

use super::background::{Housekeeping, KeyRefresh, Upkeep};
use super::listen::{Bound, Listening};
use super::sockets::Sockets;
use super::traffic::Attended;
use super::watchdog::Watchdog;
use crate::server::connection::acceptor::Reception;
use crate::server::connection::app::{Door, Requests};
use crate::server::connection::limiter::Slots;
use crate::server::connection::tls;
use crate::server::operator::app::OperatorDoor;
use crate::server::operator::control::Control;
use crate::server::operator::control_socket::ControlSocket;
use crate::server::operator::listener::Operator;
use crate::server::proxy::service::Proxy;
use crate::server::reload::{Hangups, Reloads};

/// What the services share.
pub(crate) struct Parts {
    pub(crate) proxy: Proxy,
    pub(crate) slots: Arc<Slots>,
    pub(crate) reloads: Arc<Reloads>,
    pub(crate) hangups: Signal,
    pub(crate) h2c: bool,
}

/// Adds them all. The public listener comes last: whatever it needs is there by then.
pub(crate) fn add_all(server: &mut Server, sockets: Sockets, parts: Parts) -> pingora::Result<()> {
    let Parts {
        proxy,
        slots,
        reloads,
        hangups,
        h2c,
    } = parts;
    add_background(server, &proxy, &reloads, hangups);
    let control = Control {
        served: Arc::clone(&proxy.served),
        reloads: Arc::clone(&reloads),
        log_key: proxy.log_key.clone(),
    };
    let operator = Operator {
        served: Arc::clone(&proxy.served),
        slots: Arc::clone(&slots),
        body_budget: Arc::clone(&proxy.body_budget),
        metrics: Arc::clone(&proxy.metrics),
        traffic: Arc::clone(&proxy.traffic),
        reloads,
    };
    let orders = ControlSocket::new(sockets.control, control);
    server.add_service(background_service("control", orders));
    server.add_service(aside(
        "operator",
        OperatorDoor::to(operator),
        sockets.operator,
    )?);
    let public = public(&server.configuration, sockets.public, proxy, slots, h2c)?;
    server.add_service(public);
    Ok(())
}

/// What looks after the process itself.
fn add_background(server: &mut Server, proxy: &Proxy, reloads: &Arc<Reloads>, hangups: Signal) {
    let site = || Arc::clone(&proxy.served);
    let watchdog = Watchdog {
        pulse: Arc::clone(&proxy.pulse),
        notify: Arc::clone(&reloads.notify),
        traffic: Arc::clone(&proxy.traffic),
    };
    let hangups = Hangups {
        signal: tokio::sync::Mutex::new(hangups),
        reloads: Arc::clone(reloads),
    };
    let refresh = KeyRefresh {
        site: site(),
        keys: Arc::clone(&proxy.keys),
    };
    server.add_service(background_service("housekeeping", Housekeeping(site())));
    server.add_service(background_service("upkeep", Upkeep::of(site())));
    server.add_service(background_service("keys", refresh));
    server.add_service(background_service("reload", hangups));
    server.add_service(background_service("watchdog", watchdog));
}

/// Customers: counted at the reception, attended until the end, one request after the other to the proxy.
fn public(
    conf: &Arc<ServerConf>,
    bound: Vec<Bound>,
    proxy: Proxy,
    slots: Arc<Slots>,
    h2c: bool,
) -> pingora::Result<Listening<Attended<Door>>> {
    let (site, traffic) = (Arc::clone(&proxy.served), Arc::clone(&proxy.traffic));
    let reception = Arc::new(Reception {
        served: Arc::clone(&site),
        slots,
        metrics: Arc::clone(&proxy.metrics),
        traffic: Arc::clone(&traffic),
    });
    let door = Door {
        reception: Arc::clone(&reception),
        requests: Arc::new(requests(conf, proxy, h2c)),
    };
    let mut service = Service::new("proxy".to_owned(), Attended::by(door, &traffic));
    service.endpoints().set_pre_tls_callback(reception);
    let tls = || tls::settings(&site);
    let listening = Listening::new(service, bound, tls)?;
    Ok(listening.until(traffic.doors()))
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

/// A small service with one thread of its own: customers can't keep it from answering.
fn aside<A>(name: &str, app: A, bound: Vec<Bound>) -> pingora::Result<Listening<A>>
where
    A: ServerApp + Send + Sync + 'static,
{
    let mut service = Service::new(name.to_owned(), app);
    service.threads = Some(1);
    let no_tls = || {
        Err(Error::explain(
            ErrorType::InternalError,
            "TLS is for customers",
        ))
    };
    Listening::new(service, bound, no_tls)
}

/// What Pingora is told of the process.
pub(crate) fn server_conf(data_dir: &Path) -> ServerConf {
    ServerConf {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        // Never used; the default is a predictable name in a folder that everybody may write to.
        upgrade_sock: data_dir.join("unused.sock").display().to_string(),
        pid_file: data_dir.join("unused.pid").display().to_string(),
        ..ServerConf::default()
    }
}
