//! What can only be told of a configuration by asking: whether servers answer, keys can be fetched, and addresses are free.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use http::{HeaderValue, Method};
use pingora::connectors::http::Connector;

use super::keys::jwks::probe_set;
use super::operator::control_client::call;
use super::process::listen::ListenAddress;
use super::settings::Settings;
use super::upstream::{ProbeCall, Upstreams};
use crate::request::{AnswerBy, HostPattern, LogoutRule, Shop};

/// One thing that was asked for.
#[derive(Debug)]
pub struct Probed {
    /// What.
    pub what: String,
    /// What was found, or why it does not work.
    pub outcome: Result<String, String>,
}

impl Probed {
    fn new(what: impl Into<String>, outcome: Result<String, String>) -> Self {
        let what = what.into();
        Self { what, outcome }
    }
}

/// Asks for everything that a process with these settings would need. Nothing is changed anywhere: a logout without a token
/// ends no login.
///
/// # Errors
///
/// Why nothing could be asked.
pub fn probe(settings: &Settings, shops: &[Shop]) -> io::Result<Vec<Probed>> {
    let mut probed = addresses(settings);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let connector = Connector::new(None);
    runtime.block_on(async {
        for (shop, upstream, servers) in settings.site.pools.all() {
            let owner = if upstream.is_empty() {
                format!("shop {shop}")
            } else {
                format!("upstream {upstream}")
            };
            for (server, outcome) in servers.probe(&connector).await {
                probed.push(Probed::new(format!("{owner}: {server}"), outcome));
            }
        }
        for shop in shops {
            probed.extend(logout(shop, settings, &connector).await);
            for source in shop
                .verifier
                .issuers()
                .iter()
                .filter_map(|one| Some((one, one.source()?)))
            {
                let (issuer, source) = source;
                let what = format!("shop {}: keys at {}", shop.name, source.url);
                let outcome = probe_set(&connector, source, &issuer.settings().algorithms).await;
                probed.push(Probed::new(what, outcome));
            }
        }
    });
    runtime.shutdown_background(); // a look-up that hangs would hold it
    Ok(probed)
}

/// Whether the addresses are free. Those of a process with this configuration are in use by it, as they should be.
fn addresses(settings: &Settings) -> Vec<Probed> {
    let is_running = call(&settings.control, "/inspect", None).is_ok();
    let public = settings.listen.iter().map(|one| &one.address);
    let operator = settings.operator.map(ListenAddress::Tcp);
    let cluster = settings.cluster.as_ref();
    let cluster = cluster.map(|cluster| ListenAddress::Tcp(cluster.listen));
    let all = public.cloned().chain(operator).chain(cluster);
    let probed = all.map(|address| {
        let outcome = match &address {
            ListenAddress::Tcp(at) => is_free(*at),
            ListenAddress::Unix { path, .. } => match UnixStream::connect(path) {
                Ok(_) => Err(io::Error::from(io::ErrorKind::AddrInUse)),
                Err(_) => Ok(()),
            },
        };
        let outcome = match outcome {
            Ok(()) => Ok("free".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_running => {
                Ok("in use by the running process".to_owned())
            }
            Err(error) => Err(error.to_string()),
        };
        Probed::new(format!("address {address}"), outcome)
    });
    probed.collect()
}

fn is_free(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

/// Asks the first logout of a shop that has a path of its own, without a token.
async fn logout(shop: &Shop, settings: &Settings, connector: &Connector) -> Option<Probed> {
    let servers = settings.site.pools.of_shop(&shop.name)?;
    let rules = shop.logouts.iter();
    let forwarded = rules.filter(|rule| !matches!(rule.answer, AnswerBy::Doorward));
    let (method, path) = forwarded.map(Arc::as_ref).find_map(plain_call)?;
    let call = ProbeCall {
        method: method.clone(),
        path: path.clone(),
        host: host_of(shop, servers),
    };
    let what = format!("shop {}: logout {method} {path} without a token", shop.name);
    let outcome = match servers.status_of(&call, connector).await {
        Ok(status @ (404 | 405 | 501)) => {
            Err(format!("{status}: the shop does not know this call"))
        }
        Ok(status @ 500..) => Err(format!("{status}: the shop fails")),
        Ok(status) => Ok(status.to_string()),
        Err(why) => Err(why),
    };
    Some(Probed::new(what, outcome))
}

/// The method and path of a call that needs nothing else.
fn plain_call(rule: &LogoutRule) -> Option<(Method, String)> {
    let call = &rule.call;
    let is_plain = call.conditions.is_empty() && call.graphql.is_none();
    let mut paths = call.paths.iter().map(ToString::to_string);
    let path = paths.find(|path| is_plain && !path.contains(['*', '{']))?;
    let method = call.methods.first().cloned().unwrap_or(Method::POST);
    Some((method, path))
}

fn host_of(shop: &Shop, servers: &Upstreams) -> Option<HeaderValue> {
    let named = shop.hosts.iter().find_map(|host| match host {
        HostPattern::Exact(name) => HeaderValue::from_str(name).ok(),
        HostPattern::Below(_) => None,
    });
    servers.host().cloned().or(named)
}
