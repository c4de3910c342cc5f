//! The servers of a shop, and the choice of one for each request.
//!
//! Pingora's own load balancer knows neither requests in flight nor ejection, has one check for all servers and
//! forgets a server's health when its name is looked up anew; so the choice is ours, and connections, pools and
//! protocols are Pingora's.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use http::request::Parts;
use log::{info, warn};
use parking_lot::Mutex;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use smallvec::SmallVec;

use super::balance::Balance;
use super::endpoint::Endpoint;
use super::handshake::Handshake;
use super::health::{Check, HealthSettings};
use super::names::ResolvedName;
use super::server::{InFlightGuard, ServerState, UpstreamServer, milliseconds, now_ms};
use super::tls::UpstreamTls;

/// The settings of a shop's servers.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// The shop, for the log; empty, if they have a name of their own.
    pub shop: String,
    /// Its servers; there is one at least.
    pub endpoints: Vec<Endpoint>,
    /// The `Host` header of requests to them; `None`: the customer's.
    pub host: Option<HeaderValue>,
    /// How requests are spread over them.
    pub balance: Balance,
    /// How their health is watched.
    pub health: HealthSettings,
    /// How long they may take.
    pub timeouts: Timeouts,
    /// How TLS is spoken to those that speak it.
    pub tls: UpstreamTls,
    /// Whether to use HTTP/2: with TLS if the server offers it, in the clear by prior knowledge (RFC 9113
    /// section 3.3). gRPC needs it.
    pub http2: bool,
    /// How often names are resolved. The system's resolver, which reads `/etc/hosts` and search lists, does not return
    /// a time to live. A change of DNS takes effect within this time.
    pub resolve_every: Duration,
}

/// How long a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection is open, TLS included.
    pub connect: Duration,
    /// Between two bytes of its answer, and until the first one.
    pub silence: Duration,
    /// Until it accepts more of a request.
    pub write: Duration,
    /// How long an idle connection is kept for the next request. Less than most shops keep theirs.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            silence: Duration::from_mins(1),
            write: Duration::from_mins(1),
            idle: Duration::from_secs(30),
        }
    }
}

/// The servers of one shop.
#[derive(Debug)]
pub struct Upstreams {
    pub(super) settings: UpstreamSettings,
    /// Those that have an address. A refresh replaces the list.
    pub(super) servers: ArcSwap<Vec<Arc<UpstreamServer>>>,
    /// One for every endpoint, in their order.
    pub(super) names: Vec<ResolvedName>,
    rebuilding: Mutex<()>,
    turn: AtomicUsize,
    /// Separates our connections from those verified with other TLS settings.
    pool: u64,
}

/// The error where no server has an address.
pub(crate) const NO_SERVER: ErrorType = ErrorType::Custom("NoServer");

/// How many requests may share a connection of HTTP/2.
const STREAMS_MAX: usize = 100;

impl Upstreams {
    /// These servers. Names are not resolved yet.
    pub fn new(settings: UpstreamSettings) -> Self {
        let names = settings
            .endpoints
            .iter()
            .map(ResolvedName::from_endpoint)
            .collect();
        let mut pool = settings.tls.digest();
        pool.update(&[u8::from(settings.http2)]);
        let mut first_bytes = [0; size_of::<u64>()];
        pool.finalize_xof().fill(&mut first_bytes);
        let upstreams = Self {
            settings,
            servers: ArcSwap::default(),
            names,
            rebuilding: Mutex::default(),
            turn: AtomicUsize::default(),
            pool: u64::from_le_bytes(first_bytes),
        };
        upstreams.rebuild(&[]);
        upstreams
    }

    /// The endpoints as configured.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.settings.endpoints
    }

    /// The `Host` header of requests to them, instead of the customer's.
    pub(crate) fn host(&self) -> Option<&HeaderValue> {
        self.settings.host.as_ref()
    }

    /// The state of the servers in the order of the configuration, one entry for each address of a name.
    pub fn servers(&self) -> Vec<ServerState> {
        let (servers, now) = (self.servers.load(), now_ms());
        let states = self.settings.endpoints.iter().flat_map(|endpoint| {
            let addressed = servers.iter().filter(|one| one.endpoint == *endpoint);
            let mut states: Vec<_> = addressed.map(|one| self.state_of(one, now)).collect();
            if states.is_empty() {
                states.push(ServerState {
                    label: endpoint.to_string(),
                    address: None,
                    healthy: false,
                    ejected: false,
                    in_flight: 0,
                    failures: 0,
                });
            }
            states
        });
        states.collect()
    }

    fn state_of(&self, server: &UpstreamServer, now_ms: u64) -> ServerState {
        ServerState {
            label: server.endpoint.to_string(),
            address: Some(server.address),
            healthy: self.is_healthy(server),
            ejected: server.is_ejected(now_ms),
            in_flight: server.in_flight(),
            failures: server.failures(),
        }
    }

    /// Takes over the addresses, health, ejections and requests in flight of servers that both have.
    /// Call it before requests use these servers.
    pub fn inherit(&self, old: &Self) {
        for (name, endpoint) in self.names.iter().zip(&self.settings.endpoints) {
            let mut known = old.names.iter().zip(&old.settings.endpoints);
            if let Some((known, _)) = known.find(|(_, known)| *known == endpoint) {
                name.inherit(known);
            }
        }
        self.rebuild(&old.servers.load());
    }

    /// Rebuilds the list of servers. Servers in it, or in `others`, keep their state.
    pub(super) fn rebuild(&self, others: &[Arc<UpstreamServer>]) {
        let _one_at_a_time = self.rebuilding.lock();
        let before = self.servers.load_full();
        let mut servers: Vec<Arc<UpstreamServer>> = Vec::with_capacity(before.len());
        for (name, endpoint) in self.names.iter().zip(&self.settings.endpoints) {
            for address in name.addresses() {
                let mut known = others.iter().chain(before.iter());
                let known = known.find(|one| one.address == address && one.endpoint == *endpoint);
                servers.push(known.map_or_else(
                    || Arc::new(UpstreamServer::new(endpoint.clone(), address)),
                    Arc::clone,
                ));
            }
        }
        self.servers.store(Arc::new(servers));
    }

    /// Chooses a server that is not among `failed`. `None`: there is no other.
    pub(crate) fn choose(
        &self,
        head: &Parts,
        client: impl FnOnce() -> IpAddr,
        failed: &[Arc<UpstreamServer>],
    ) -> Option<InFlightGuard> {
        let (servers, now) = (self.servers.load(), now_ms());
        let untried = servers.iter().filter(|server| !is_among(server, failed));
        let well = untried.clone().filter(|server| self.is_up(server, now));
        let mut candidates: SmallVec<[&Arc<UpstreamServer>; 8]> = well.collect();
        if candidates.is_empty() {
            candidates.extend(untried); // one that may fail is better than none
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let picked = self
            .settings
            .balance
            .pick(&candidates, turn, head, client)?;
        Some(InFlightGuard::new(Arc::clone(picked)))
    }

    /// Whether a server is left that is not among `failed`.
    pub(crate) fn has_other(&self, failed: &[Arc<UpstreamServer>]) -> bool {
        let servers = self.servers.load();
        servers.iter().any(|server| !is_among(server, failed))
    }

    fn is_up(&self, server: &UpstreamServer, now_ms: u64) -> bool {
        self.is_healthy(server) && !server.is_ejected(now_ms)
    }

    fn is_healthy(&self, server: &UpstreamServer) -> bool {
        self.settings.health.check == Check::None || !server.is_unhealthy()
    }

    /// A request failed on a server. `error` must not quote the request.
    pub(crate) fn note_failure(&self, server: &UpstreamServer, error: &str) {
        let (shop, upstream, address) = self.log_keys(server);
        let failures = server.fail();
        if failures == 1 {
            warn!(shop, upstream:%, address:%; "the upstream fails: {error}");
        }
        let (ejection, now) = (self.settings.health.ejection, now_ms());
        let is_enough = ejection.after > 0 && failures >= ejection.after;
        if !is_enough || server.is_ejected(now) {
            return;
        }
        let servers = self.servers.load();
        let mut others = servers
            .iter()
            .filter(|other| !std::ptr::eq(other.as_ref(), server));
        if others.any(|other| self.is_up(other, now)) {
            server.eject(ejection, now);
            let span_ms = milliseconds(ejection.lasts);
            warn!(shop, upstream:%, address:%, failures, span_ms; "the upstream is ejected for a while: {error}");
        }
    }

    /// A server answered a request.
    pub(crate) fn note_success(&self, server: &UpstreamServer) {
        if server.succeed() {
            let (shop, upstream, address) = self.log_keys(server);
            info!(shop, upstream:%, address:%; "the upstream answers again");
        }
    }

    pub(super) fn log_keys<'a>(
        &'a self,
        server: &'a UpstreamServer,
    ) -> (&'a str, &'a Endpoint, std::net::SocketAddr) {
        (&self.settings.shop, &server.endpoint, server.address)
    }

    /// How to connect to a server.
    pub(crate) fn peer(&self, server: &UpstreamServer) -> Result<HttpPeer> {
        let settings = &self.settings;
        let tls = server.endpoint.is_tls();
        let name = settings.tls.name_for(server.endpoint.host());
        if tls && name.is_none() {
            let why = "no name to verify a server by"; // Pingora would not verify it
            return Err(Error::explain(ErrorType::InternalError, why));
        }
        let name = name.unwrap_or_default();
        let mut peer = HttpPeer::new(server.address, tls, name.to_owned());
        peer.group_key = self.pool;
        peer.client_cert_key = settings.tls.identity().cloned();
        let options = &mut peer.options;
        options.ca = settings.tls.authorities().cloned();
        if settings.http2 {
            options.set_http_version(2, if tls { 1 } else { 2 });
            options.max_h2_streams = STREAMS_MAX;
        }
        let timeouts = settings.timeouts;
        options.connection_timeout = Some(timeouts.connect);
        options.total_connection_timeout = Some(timeouts.connect);
        options.read_timeout = Some(timeouts.silence);
        options.write_timeout = Some(timeouts.write);
        options.idle_timeout = Some(timeouts.idle);
        Ok(peer)
    }

    /// As `peer`, for a request that may become a WebSocket: HTTP/1.1, on a connection that is shared with nothing.
    pub(crate) fn handshake_peer(&self, server: &UpstreamServer) -> Result<HttpPeer> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let mut peer = self.peer(server)?;
        peer.group_key ^= SERIAL.fetch_add(1, Ordering::Relaxed); // finds no old connection
        peer.options.idle_timeout = Some(Duration::ZERO); // and leaves none
        peer.options.custom_l4 = Some(Arc::new(Handshake));
        if peer.is_tls() {
            peer.options.set_http_version(1, 1);
        }
        Ok(peer)
    }

    /// As `peer`, for a connection that is not shared.
    pub(crate) fn lone_peer(&self, server: &UpstreamServer) -> Result<HttpPeer> {
        let mut peer = self.peer(server)?;
        peer.options.max_h2_streams = 1;
        Ok(peer)
    }
}

fn is_among(server: &Arc<UpstreamServer>, others: &[Arc<UpstreamServer>]) -> bool {
    others.iter().any(|other| Arc::ptr_eq(server, other))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::server::Thresholds;

    /// A shop with these servers and the defaults for everything else.
    pub(crate) fn upstreams(endpoints: &[&str]) -> Upstreams {
        Upstreams::new(settings(endpoints))
    }

    fn settings(endpoints: &[&str]) -> UpstreamSettings {
        let endpoints = endpoints.iter().map(|text| Endpoint::parse(text).unwrap());
        UpstreamSettings {
            shop: "main".to_owned(),
            endpoints: endpoints.collect(),
            host: None,
            balance: Balance::Turn,
            health: HealthSettings::default(),
            timeouts: Timeouts::default(),
            tls: UpstreamTls::default(),
            http2: false,
            resolve_every: Duration::from_secs(10),
        }
    }

    fn choose(upstreams: &Upstreams, failed: &[Arc<UpstreamServer>]) -> Option<InFlightGuard> {
        let head = http::Request::new(()).into_parts().0;
        upstreams.choose(&head, || IpAddr::from([192, 0, 2, 7]), failed)
    }

    /// The servers of so many requests, none of which fails.
    fn spread(upstreams: &Upstreams, requests: usize) -> Vec<String> {
        let chosen = (0..requests).map(|_| choose(upstreams, &[]).unwrap());
        let mut ports: Vec<_> = chosen
            .map(|guard| guard.server().address.to_string())
            .collect();
        ports.sort();
        ports.dedup();
        ports
    }

    fn fail_often(upstreams: &Upstreams, server: &UpstreamServer) {
        for _ in 0..upstreams.settings.health.ejection.after {
            upstreams.note_failure(server, "it was told to");
        }
    }

    #[test]
    fn a_request_tries_every_server_once() {
        let upstreams = upstreams(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
        let mut failed = Vec::new();
        while let Some(guard) = choose(&upstreams, &failed) {
            assert!(upstreams.has_other(&failed));
            failed.push(Arc::clone(guard.server()));
        }
        assert_eq!(failed.len(), 3);
        assert!(!upstreams.has_other(&failed));
    }

    #[test]
    fn the_last_server_is_never_left_out() {
        let upstreams = upstreams(&["10.0.0.1:80", "10.0.0.2:80"]);
        let servers = upstreams.servers.load_full();
        fail_often(&upstreams, &servers[0]);
        assert_eq!(spread(&upstreams, 4), ["10.0.0.2:80"]);
        fail_often(&upstreams, &servers[1]);
        let states = upstreams.servers();
        assert_eq!(
            [states[0].ejected, states[1].ejected],
            [true, false],
            "{states:?}"
        );
        assert_eq!(states[1].failures, 5);
    }

    #[test]
    fn where_all_are_out_all_are_tried() {
        let upstreams = Upstreams::new(UpstreamSettings {
            health: HealthSettings {
                check: Check::Tcp,
                ..HealthSettings::default()
            },
            ..settings(&["10.0.0.1:80", "10.0.0.2:80"])
        });
        let once = Thresholds {
            healthy_after: 1,
            unhealthy_after: 1,
        };
        let servers = upstreams.servers.load_full();
        servers[0].observe(false, once);
        assert_eq!(spread(&upstreams, 4), ["10.0.0.2:80"]);
        servers[1].observe(false, once);
        assert_eq!(spread(&upstreams, 4), ["10.0.0.1:80", "10.0.0.2:80"]);
    }

    #[test]
    fn a_reload_keeps_what_is_known_of_servers_that_stay() {
        let old = upstreams(&["10.0.0.1:80", "10.0.0.2:80", "shop.invalid:80"]);
        let guard = choose(&old, &[]).unwrap();
        fail_often(&old, guard.server());
        let mut before = old.servers();
        let new = upstreams(&[
            "shop.invalid:80",
            "10.0.0.2:80",
            "10.0.0.1:80",
            "10.0.0.9:80",
        ]);
        new.inherit(&old);
        let mut after = new.servers();
        assert_eq!(after.pop().unwrap().failures, 0);
        before.reverse();
        assert_eq!(before, after);
        let busy = after
            .iter()
            .filter(|state| state.in_flight == 1 && state.ejected);
        assert_eq!(busy.count(), 1);
        drop(guard);
        assert!(new.servers().iter().all(|state| state.in_flight == 0));
    }

    #[test]
    fn a_server_with_tls_has_a_name_to_prove() {
        let upstreams = upstreams(&["https://[::1]:8443", "10.0.0.1:80"]);
        let servers = upstreams.servers.load_full();
        let peer = upstreams.peer(&servers[0]).unwrap();
        assert_eq!((peer.is_tls(), peer.sni.as_str()), (true, "::1"));
        assert!(!upstreams.peer(&servers[1]).unwrap().is_tls());
        let unnamed = UpstreamServer::new(
            Endpoint::parse("https://a_b:1").unwrap(),
            servers[0].address,
        );
        assert!(upstreams.peer(&unnamed).is_err());
    }

    #[test]
    fn connections_under_other_settings_are_other_connections() {
        let plain = upstreams(&["10.0.0.1:80"]);
        let http2 = Upstreams::new(UpstreamSettings {
            http2: true,
            ..settings(&["10.0.0.1:80"])
        });
        assert_eq!(plain.pool, upstreams(&["10.0.0.2:80"]).pool);
        assert_ne!(plain.pool, http2.pool);
    }
}
