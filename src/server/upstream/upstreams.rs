//! The servers of a shop, and the choice of one for each request.
//!
//! Pingora's own load balancer knows neither requests in flight nor ejection, has one check for all servers and
//! forgets a server's health when its name is looked up anew; so the choice is ours, and connections, pools and
//! protocols are Pingora's.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::select_all;
use http::HeaderValue;
use http::request::Parts;
use log::{info, warn};
use parking_lot::Mutex;
use pingora::{Error, ErrorType, OkOrErr, Result};
use smallvec::SmallVec;
use tokio::sync::futures::Notified;

use super::balance::{Candidate, ServerAttempt, SmoothRoundRobin, Turn};
use super::endpoint::Endpoint;
use super::health::Check;
use super::names::ResolvedName;
use super::queue::{QueueState, RequestQueue};
use super::retry_budget::RetryBudget;
use super::server::{
    FULL_SHARE, InFlightGuard, Reached, ServerState, UpstreamServer, milliseconds, now_ms,
};
use super::settings::{ServerSettings, UpstreamLimits, UpstreamSettings};
use super::sticky::Sticky;
use crate::request::{ServerAddress, Share, sent_values};

/// The servers of one shop.
#[derive(Debug)]
pub struct Upstreams {
    pub(super) settings: UpstreamSettings,
    /// Those that have an address. A refresh replaces the list.
    pub(super) members: ArcSwap<Vec<Member>>,
    /// One for every server of the settings, in their order.
    pub(super) names: Vec<ResolvedName>,
    rebuilding: Mutex<()>,
    turns: SmoothRoundRobin,
    /// The requests that wait for room.
    queue: ArcSwap<RequestQueue>,
    /// Whether a server was chosen, so that one which appears now starts slowly.
    is_used: AtomicBool,
    /// Separates our connections from those under other settings.
    pub(super) pool: u64,
    retry_budget: RetryBudget,
}

/// A server as these settings use it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) server: Arc<UpstreamServer>,
    weight: u32,
    is_backup: bool,
    /// What the cookie says that holds a client on it.
    mark: Option<String>,
}

/// What comes of choosing a server.
enum ServerChoice {
    Chosen(InFlightGuard),
    /// All that may have the request have as many as they may.
    AllFull,
    /// None is left.
    None,
}

/// The error where no server has an address.
pub(crate) const NO_SERVER: ErrorType = ErrorType::Custom("NoServer");
/// The error where too many requests wait already.
pub(crate) const QUEUE_FULL: ErrorType = ErrorType::Custom("QueueFull");
/// The error where no server had room in time.
pub(crate) const QUEUE_TIMEOUT: ErrorType = ErrorType::Custom("QueueTimeout");

/// How often the first of the queue looks for servers that are back, or new.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Upstreams {
    /// These servers. Names are not resolved yet.
    pub fn new(settings: UpstreamSettings) -> Self {
        let names = settings.servers.iter();
        let names = names.map(|one| ResolvedName::from_endpoint(&one.endpoint));
        let upstreams = Self {
            pool: settings.pool_key(),
            names: names.collect(),
            settings,
            members: ArcSwap::default(),
            rebuilding: Mutex::default(),
            turns: SmoothRoundRobin::default(),
            queue: ArcSwap::default(),
            is_used: AtomicBool::default(),
            retry_budget: RetryBudget::default(),
        };
        upstreams.rebuild();
        upstreams
    }

    /// The servers as configured.
    pub fn configured(&self) -> &[ServerSettings] {
        &self.settings.servers
    }

    /// Whether both have a server in common.
    pub fn meets(&self, other: &Self) -> bool {
        let others = other.configured();
        let mut ours = self.configured().iter();
        ours.any(|one| others.iter().any(|other| other.endpoint == one.endpoint))
    }

    /// The `Host` header of requests to them, instead of the customer's.
    pub(crate) fn host(&self) -> Option<&HeaderValue> {
        self.settings.host.as_ref()
    }

    /// The state of the servers in the order of the configuration, one entry for each address of a name.
    pub fn servers(&self) -> Vec<ServerState> {
        let (members, now) = (self.members.load(), now_ms());
        let states = self.settings.servers.iter().flat_map(|one| {
            let endpoint = &one.endpoint;
            let addressed = members.iter().map(|member| &member.server);
            let addressed = addressed.filter(|server| server.endpoint == *endpoint);
            let mut states: Vec<_> = addressed.map(|server| self.state_of(server, now)).collect();
            if states.is_empty() {
                states.push(ServerState {
                    label: endpoint.to_string(),
                    address: None,
                    healthy: false,
                    ejected: false,
                    reached: Reached::Never,
                    in_flight: 0,
                    failures: 0,
                });
            }
            states
        });
        states.collect()
    }

    fn reached(&self, server: &UpstreamServer) -> Reached {
        let is_checked = self.settings.health.check != Check::None;
        match (server.is_tried(), server.is_failing()) {
            (false, _) => Reached::Never,
            (true, true) if !is_checked => Reached::NotLately,
            (true, _) => Reached::Yes,
        }
    }

    fn state_of(&self, server: &UpstreamServer, now_ms: u64) -> ServerState {
        ServerState {
            label: server.endpoint.to_string(),
            address: Some(server.address.clone()),
            healthy: self.is_healthy(server),
            ejected: server.is_ejected(now_ms),
            reached: self.reached(server),
            in_flight: server.in_flight(),
            failures: server.failures(),
        }
    }

    /// The state of the queue; `None`: no request ever waits.
    pub fn queue(&self) -> Option<QueueState> {
        let _limits = self.settings.limits?;
        Some(self.queue.load().state())
    }

    /// Each that has an address.
    pub(super) fn all_servers(&self) -> Vec<Arc<UpstreamServer>> {
        let members = self.members.load();
        let servers = members.iter().map(|member| Arc::clone(&member.server));
        servers.collect()
    }

    /// Takes over the addresses of names that both have.
    pub(super) fn inherit_names(&self, old: &Self) {
        for (name, one) in self.names.iter().zip(&self.settings.servers) {
            let mut known = old.names.iter().zip(&old.settings.servers);
            if let Some((known, _)) = known.find(|(_, known)| known.endpoint == one.endpoint) {
                name.inherit(known);
            }
        }
    }

    /// Counts the requests that wait for these, which it replaces, and what was counted of their retries.
    pub(super) fn inherit_queue(&self, old: &Self) {
        self.queue.store(Arc::new(old.queue.load().successor()));
        self.retry_budget.inherit(&old.retry_budget);
    }

    /// A request that may be sent again is sent for the first time.
    pub(crate) fn note_first_attempt(&self) {
        self.retry_budget.note_request(now_ms() / 1000);
    }

    /// Takes a retry from their budget, which is this share of such requests. Returns whether there was one.
    pub(crate) fn take_retry(&self, share: Share) -> bool {
        self.retry_budget.take(share, now_ms() / 1000)
    }

    /// Moves servers of former configurations that have a place here from `left` to `kept`, unless `kept` has one for it.
    pub(super) fn claim(
        &self,
        left: &mut Vec<Arc<UpstreamServer>>,
        kept: &mut Vec<Arc<UpstreamServer>>,
    ) {
        let mut filled = kept.clone();
        for (_, endpoint, address) in self.places() {
            let is_here = |server: &Arc<UpstreamServer>| server.is_at(endpoint, &address);
            if let Some(at) = filled.iter().position(is_here) {
                filled.swap_remove(at);
            } else if let Some(at) = left.iter().position(is_here) {
                kept.push(left.remove(at));
            }
        }
    }

    /// Goes on with these servers, with their health, ejections and requests in flight. Call it before requests use this.
    pub(super) fn continue_with(&self, kept: Vec<Arc<UpstreamServer>>) {
        let _one_at_a_time = self.rebuilding.lock();
        self.is_used.store(!kept.is_empty(), Ordering::Relaxed);
        self.rebuild_from(kept);
    }

    /// Where servers are, as far as their addresses are known, each with its settings.
    fn places(&self) -> Vec<(&ServerSettings, &Endpoint, ServerAddress)> {
        let all = self.names.iter().zip(&self.settings.servers);
        let places = all.flat_map(|(name, one)| {
            let addresses = name.addresses().into_iter();
            addresses.map(move |address| (one, &one.endpoint, address))
        });
        places.collect()
    }

    /// Rebuilds the list of servers after a look-up. Those that stay keep their state.
    pub(super) fn rebuild(&self) {
        let _one_at_a_time = self.rebuilding.lock();
        self.rebuild_from(self.all_servers());
    }

    fn rebuild_from(&self, mut known: Vec<Arc<UpstreamServer>>) {
        let is_used = self.is_used.load(Ordering::Relaxed);
        let members = self.places().into_iter().map(|(one, endpoint, address)| {
            let at = known
                .iter()
                .position(|server| server.is_at(endpoint, &address));
            let new = || {
                let server = UpstreamServer::new(endpoint.clone(), address);
                if is_used {
                    server.note_recovery(now_ms());
                }
                Arc::new(server)
            };
            let server = at.map_or_else(new, |at| known.swap_remove(at));
            let sticky = self.settings.sticky.as_ref();
            Member {
                mark: sticky.map(|sticky| sticky.mark_of(&server)),
                server,
                weight: one.weight,
                is_backup: one.is_backup,
            }
        });
        let members = members.collect();
        self.members.store(Arc::new(members));
    }

    /// Chooses a server that is not among `failed`; waits for one if all of them are full.
    pub(crate) async fn choose(
        &self,
        head: &Parts,
        client: IpAddr,
        failed: &[Arc<UpstreamServer>],
    ) -> Result<InFlightGuard> {
        let choice = self.choose_at_once(head, client, failed);
        if let Some(chosen) = choice.transpose() {
            return chosen;
        }
        let limits = self.settings.limits;
        let limits = limits.or_err(ErrorType::InternalError, "a queue without limits")?;
        self.wait(head, client, failed, limits).await
    }

    /// Chooses a server that is not among `failed`. `None`: all of them are full, or others wait for them.
    pub(crate) fn choose_at_once(
        &self,
        head: &Parts,
        client: IpAddr,
        failed: &[Arc<UpstreamServer>],
    ) -> Result<Option<InFlightGuard>> {
        if self.settings.limits.is_some() && !self.queue.load().is_empty() {
            return Ok(None); // it must not overtake them
        }
        match self.pick(head, client, failed) {
            ServerChoice::Chosen(guard) => Ok(Some(guard)),
            ServerChoice::AllFull => Ok(None),
            ServerChoice::None => {
                Error::e_explain(NO_SERVER, "no server of the shop has an address")
            }
        }
    }

    async fn wait(
        &self,
        head: &Parts,
        client: IpAddr,
        failed: &[Arc<UpstreamServer>],
        limits: UpstreamLimits,
    ) -> Result<InFlightGuard> {
        let queue = self.queue.load_full();
        let place = queue.enter(limits.queue);
        let place = place.or_err(QUEUE_FULL, "too many requests wait for a server")?;
        let waiting = async {
            let _first = place.become_first().await;
            self.wait_as_first(head, client, failed).await
        };
        let waited = tokio::time::timeout(limits.queue_timeout, waiting).await;
        waited.unwrap_or_else(|_| {
            queue.note_timed_out();
            Err(Error::explain(QUEUE_TIMEOUT, "no server had room in time"))
        })
    }

    async fn wait_as_first(
        &self,
        head: &Parts,
        client: IpAddr,
        failed: &[Arc<UpstreamServer>],
    ) -> Result<InFlightGuard> {
        loop {
            let members = self.members.load_full();
            let freed = members.iter().map(|member| member.server.freed.notified());
            let freed: Vec<Pin<Box<Notified<'_>>>> = freed.map(Box::pin).collect();
            // They notice what happens from here on.
            match self.pick(head, client, failed) {
                ServerChoice::Chosen(guard) => return Ok(guard),
                ServerChoice::None => return Error::e_explain(NO_SERVER, "no server is left"),
                ServerChoice::AllFull => {
                    let _ = tokio::time::timeout(LOOK_AGAIN, select_all(freed)).await;
                }
            }
        }
    }

    /// A server that is well; one that may fail is better than none. Backups come last among each.
    fn pick(&self, head: &Parts, client: IpAddr, failed: &[Arc<UpstreamServer>]) -> ServerChoice {
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
        let (members, now) = (self.members.load(), now_ms());
        let untried = members
            .iter()
            .filter(|member| !is_among(&member.server, failed));
        if let Some(guard) = self.take_holding(&untried, head, now) {
            return ServerChoice::Chosen(guard);
        }
        for must_be_up in [true, false] {
            for is_backup in [false, true] {
                let mut tier: SmallVec<[Candidate<'_>; 8]> = SmallVec::new();
                let of_tier = untried.clone().filter(|member| {
                    member.is_backup == is_backup
                        && (!must_be_up || self.is_up(&member.server, now))
                });
                tier.extend(of_tier.map(|member| Candidate {
                    server: &member.server,
                    weight: self.weight_of(member, now),
                }));
                if !tier.is_empty() {
                    let attempt = if failed.is_empty() {
                        ServerAttempt::First
                    } else {
                        ServerAttempt::Again
                    };
                    return self.take(&tier, attempt, head, client);
                }
            }
        }
        ServerChoice::None
    }

    /// The server that holds the client, also if it is a backup. `None`: no server does, it is down while others are up, or it is
    /// full.
    fn take_holding<'m>(
        &self,
        untried: &(impl Iterator<Item = &'m Member> + Clone),
        head: &Parts,
        now_ms: u64,
    ) -> Option<InFlightGuard> {
        let sticky = self.settings.sticky.as_ref()?;
        let is_up = |member: &&Member| self.is_up(&member.server, now_ms);
        let mut holding = untried.clone().filter(|member| member.holds(sticky, head));
        let limit = self.limit();
        holding.find_map(|member| {
            let may_be = is_up(&member) || !untried.clone().any(|other| is_up(&other));
            may_be.then(|| InFlightGuard::begin(&member.server, limit))?
        })
    }

    /// The cookie by which clients stay with a server.
    pub fn sticky_cookie(&self) -> Option<&str> {
        self.settings.sticky.as_ref().map(Sticky::cookie)
    }

    /// The cookie that holds a client on the server which has answered, by its name and value. `None`: the client has that one,
    /// or is held by another server that was full.
    pub(crate) fn cookie_to_set(
        &self,
        head: &Parts,
        server: &Arc<UpstreamServer>,
        failed: &[Arc<UpstreamServer>],
    ) -> Option<(&str, String)> {
        let sticky = self.settings.sticky.as_ref()?;
        let (members, now) = (self.members.load(), now_ms());
        let mut holding = members.iter().filter(|member| member.holds(sticky, head));
        let is_held = holding.any(|member| {
            let is_full = !is_among(&member.server, failed) && self.is_up(&member.server, now);
            Arc::ptr_eq(&member.server, server) || is_full
        });
        (!is_held).then(|| (sticky.cookie(), sticky.mark_of(server)))
    }

    /// How many requests a server may have in flight.
    fn limit(&self) -> Option<usize> {
        self.settings.limits.map(|limits| limits.connections)
    }

    /// One of these that has room.
    fn take(
        &self,
        tier: &[Candidate<'_>],
        attempt: ServerAttempt,
        head: &Parts,
        client: IpAddr,
    ) -> ServerChoice {
        let turns = &self.turns;
        let turn = Turn { turns, attempt };
        let limit = self.limit();
        let has_room =
            |one: &&Candidate<'_>| limit.is_none_or(|limit| one.server.in_flight() < limit);
        loop {
            let roomy: SmallVec<[Candidate<'_>; 8]> =
                tier.iter().filter(has_room).copied().collect();
            let balance = &self.settings.balance;
            let Some(picked) = balance.pick(&roomy, turn, head, || client) else {
                return ServerChoice::AllFull;
            };
            if let Some(guard) = InFlightGuard::begin(picked, limit) {
                return ServerChoice::Chosen(guard);
            }
            // Another request took the last room meanwhile.
        }
    }

    fn weight_of(&self, member: &Member, now_ms: u64) -> u32 {
        let share = self.settings.slow_start.map_or(FULL_SHARE, |slow_start| {
            member.server.share(slow_start, now_ms)
        });
        member.weight.saturating_mul(share)
    }

    /// Whether a server is left that is not among `failed`.
    pub(crate) fn has_other(&self, failed: &[Arc<UpstreamServer>]) -> bool {
        let members = self.members.load();
        members
            .iter()
            .any(|member| !is_among(&member.server, failed))
    }

    fn is_up(&self, server: &UpstreamServer, now_ms: u64) -> bool {
        self.is_healthy(server) && !server.is_ejected(now_ms)
    }

    fn is_healthy(&self, server: &UpstreamServer) -> bool {
        self.settings.health.check == Check::None || !server.is_unhealthy()
    }

    /// A request failed on a server. `error` must not quote the request.
    pub(crate) fn note_failure(&self, server: &UpstreamServer, error: &str) {
        let (shop, upstream, endpoint, address) = self.log_keys(server);
        let failures = server.fail();
        if failures == 1 {
            warn!(shop, upstream, server:% = endpoint, address:%; "the server fails: {error}");
        }
        let (ejection, now) = (self.settings.health.ejection, now_ms());
        let is_enough = ejection.after > 0 && failures >= ejection.after;
        if !is_enough || server.is_ejected(now) {
            return;
        }
        let members = self.members.load();
        let others = members.iter().map(|member| &member.server);
        let mut others = others.filter(|other| !std::ptr::eq(other.as_ref(), server));
        if others.any(|other| self.is_up(other, now)) {
            server.eject(ejection, now);
            let span_ms = milliseconds(ejection.lasts);
            warn!(shop, upstream, server:% = endpoint, address:%, failures, span_ms; "the server is ejected for a while: {error}");
        }
    }

    /// A server answered a request.
    pub(crate) fn note_success(&self, server: &UpstreamServer) {
        if server.succeed() {
            let (shop, upstream, endpoint, address) = self.log_keys(server);
            info!(shop, upstream, server:% = endpoint, address:%; "the server answers again");
        }
    }

    /// What a line of the log names a server by.
    pub(super) fn log_keys<'a>(
        &'a self,
        server: &'a UpstreamServer,
    ) -> (
        Option<&'a str>,
        Option<&'a str>,
        &'a Endpoint,
        &'a ServerAddress,
    ) {
        let (shop, upstream) = self.settings.owner.names();
        (shop, upstream, &server.endpoint, &server.address)
    }
}

impl Member {
    /// Whether a cookie of this request names it.
    fn holds(&self, sticky: &Sticky, head: &Parts) -> bool {
        let mark = self.mark.as_ref().map(String::as_bytes);
        let mut named = sent_values(&head.headers, sticky.cookie());
        named.any(|value| mark == Some(value))
    }
}

fn is_among(server: &Arc<UpstreamServer>, others: &[Arc<UpstreamServer>]) -> bool {
    others.iter().any(|other| Arc::ptr_eq(server, other))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::balance::Balance;
    use super::super::health::{HealthSettings, Thresholds};
    use super::super::settings::{Timeouts, UpstreamOwner};
    use super::super::tls::UpstreamTls;
    use super::*;

    /// A shop with these servers and the defaults for everything else.
    pub(crate) fn upstreams(endpoints: &[&str]) -> Upstreams {
        Upstreams::new(settings(endpoints))
    }

    /// An upstream with the servers of these numbers; every second one is a heavy backup.
    pub(crate) fn upstreams_of(numbers: &[u8]) -> Upstreams {
        let mut settings = settings(&["10.0.0.1:80"]);
        let servers = numbers.iter().enumerate().map(|(at, number)| {
            let is_backup = at % 2 == 1;
            ServerSettings {
                endpoint: Endpoint::parse(&format!("10.0.0.{number}:80")).unwrap(),
                weight: if is_backup { 9 } else { 1 },
                is_backup,
            }
        });
        settings.servers = servers.collect();
        Upstreams::new(settings)
    }

    /// A request in flight on this server.
    pub(crate) fn begin(server: &Arc<UpstreamServer>) -> InFlightGuard {
        InFlightGuard::begin(server, None).unwrap()
    }

    fn settings(endpoints: &[&str]) -> UpstreamSettings {
        let endpoints = endpoints.iter().map(|text| Endpoint::parse(text).unwrap());
        UpstreamSettings {
            owner: UpstreamOwner::Shop("main".to_owned()),
            servers: endpoints.map(ServerSettings::from).collect(),
            host: None,
            balance: Balance::Turn,
            sticky: None,
            slow_start: None,
            limits: None,
            health: HealthSettings::default(),
            timeouts: Timeouts::default(),
            tls: UpstreamTls::default(),
            http2: false,
            proxy_protocol: None,
            resolve_every: Duration::from_secs(10),
        }
    }

    pub(crate) fn choose(
        upstreams: &Upstreams,
        failed: &[Arc<UpstreamServer>],
    ) -> Option<InFlightGuard> {
        let head = http::Request::new(()).into_parts().0;
        let client = IpAddr::from([192, 0, 2, 7]);
        upstreams.choose_at_once(&head, client, failed).ok()?
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

    pub(crate) fn fail_often(upstreams: &Upstreams, server: &UpstreamServer) {
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
        let servers = upstreams.all_servers();
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
        let servers = upstreams.all_servers();
        servers[0].observe(false, once, 1);
        assert_eq!(spread(&upstreams, 4), ["10.0.0.2:80"]);
        servers[1].observe(false, once, 1);
        assert_eq!(spread(&upstreams, 4), ["10.0.0.1:80", "10.0.0.2:80"]);
    }

    #[test]
    fn a_server_with_tls_has_a_name_to_prove() {
        let upstreams = upstreams(&["https://[::1]:8443", "10.0.0.1:80"]);
        let servers = upstreams.all_servers();
        let peer = upstreams.peer(&servers[0], None).unwrap();
        assert_eq!((peer.is_tls(), peer.sni.as_str()), (true, "::1"));
        assert!(!upstreams.peer(&servers[1], None).unwrap().is_tls());
        let unnamed = UpstreamServer::new(
            Endpoint::parse("https://a_b:1").unwrap(),
            servers[0].address.clone(),
        );
        assert!(upstreams.peer(&unnamed, None).is_err());
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
