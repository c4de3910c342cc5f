//! Judges requests as the proxy does, and sends nothing.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::Method;
use pingora::http::RequestHeader;
use pingora::modules::http::HttpModules;
use pingora_proxy::{ProxyHttp, Session};
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};

use super::memory_stream::MemoryStream;
use super::proxy::without_connector;
use super::rehearsed::{Rehearsed, RehearsedLogout, RehearsedVerdict, SentRequest};
use super::sample::{SampleRequest, UnfitSample};
use crate::clients::Peer;
use crate::clock;
use crate::request::{
    ALLOWED, BodyNeed, Findings, LogOut, Refusal, Shop, Target, UnfitOrder, loggable_text,
};
use crate::revocation::{Id, Journal, JournalError, Revocations};
use crate::server::acme::state::AcmeState;
use crate::server::connection::limiter::ConnectionLimiter;
use crate::server::connection::listener::ListenerNumber;
use crate::server::connection::state::ConnectionState;
use crate::server::connection::stream::watched::WatchedStream;
use crate::server::connection::unread::UnreadRequests;
use crate::server::operator::log_id::LogKey;
use crate::server::process::listen::Listen;
use crate::server::proxy::body::encoding::{Encoding, decode_gzip};
use crate::server::proxy::context::Context;
use crate::server::proxy::decision::{Decision, write_as_sent};
use crate::server::proxy::incoming::request_of;
use crate::server::proxy::logout::{head_as_sent, put_in_force};
use crate::server::proxy::rate_limits::RateLimits;
use crate::server::proxy::service::Proxy;
use crate::server::settings::Settings;
use crate::server::snapshot::Snapshot;
use crate::server::upstream::Upstreams;

/// Judges requests as the proxy does, and sends nothing. What its logouts revoke stays in it.
pub struct Rehearsal {
    runtime: Runtime,
    proxy: Proxy,
    modules: HttpModules,
    limiter: Arc<ConnectionLimiter>,
    listen: Vec<Listen>,
    unread: UnreadRequests,
    last_logout: Option<Box<LogOut>>,
    has_log_names: bool,
    /// Holds the journal of its own revocations.
    _folder: TempDir,
}

/// More connections than it ever has at once.
const CONNECTIONS: usize = 16;

impl Rehearsal {
    /// With this configuration, and with nothing revoked.
    pub fn new(settings: Settings, shops: Vec<Shop>) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let data_dir = folder.path().join("data");
        Journal::init(&data_dir).map_err(|error| journal_failed(&error))?;
        let revocations =
            Arc::new(Revocations::open(&data_dir).map_err(|error| journal_failed(&error))?);
        let Settings {
            listen,
            mut site,
            cluster,
            data_dir: home,
            ..
        } = settings;
        site.access_log = None;
        let limiter = Arc::new(ConnectionLimiter::at_most(CONNECTIONS));
        let acme = Arc::new(AcmeState::in_folder(data_dir));
        let snapshot = Snapshot::new(site, shops, revocations, acme);
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let log_key = match &cluster {
            Some(cluster) => Some(LogKey::of_cluster(cluster.log_key())),
            None => LogKey::found_in(&home),
        };
        let has_log_names = log_key.is_some();
        let log_key = log_key.map_or_else(LogKey::random, Ok)?;
        let proxy = without_connector(log_key, &listen, Arc::clone(&snapshot), &limiter)?;
        let mut modules = HttpModules::new();
        proxy.init_downstream_modules(&mut modules);
        let unread = UnreadRequests {
            snapshot,
            recorder: Arc::clone(&proxy.recorder),
            ids: Arc::clone(&proxy.request_ids),
        };
        Ok(Self {
            runtime: runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            proxy,
            modules,
            limiter,
            listen,
            unread,
            last_logout: None,
            has_log_names,
            _folder: folder,
        })
    }

    /// The shops, in the order of the configuration.
    pub fn shops(&self) -> Vec<Arc<Shop>> {
        self.proxy.snapshot.load().gate.shops().to_vec()
    }

    /// Whether tokens have the names that they have in the log: its key was found.
    pub fn has_log_names(&self) -> bool {
        self.has_log_names
    }

    /// The short name of a token: that of the log, or one of this rehearsal alone.
    pub fn name_of(&self, id: &Id) -> String {
        self.proxy.log_key.name(id).to_string()
    }

    /// Fetches the keys that shops publish. Nothing else leaves the machine, and this only if it is asked for.
    pub fn fetch_keys(&self) -> io::Result<()> {
        self.proxy.keys.fetch_first(&self.shops())
    }

    /// What becomes of a request, by what the logouts before it have revoked.
    ///
    /// # Errors
    ///
    /// Says why it can't be sent.
    pub fn judge(&mut self, sample: &SampleRequest) -> Result<Rehearsed, UnfitSample> {
        let bytes = sample.bytes()?;
        self.last_logout = None;
        let (rehearsed, logout) = self.runtime.block_on(self.run(sample, bytes));
        self.last_logout = logout;
        Ok(rehearsed)
    }

    /// Revokes what the last request would have revoked: its shop agrees to it.
    pub fn carry_out_logout(&mut self) -> io::Result<()> {
        let Some(logout) = self.last_logout.take() else {
            return Ok(());
        };
        let cutoffs = logout.cutoffs();
        let tokens = logout.revocations.iter().filter(|one| one.is_token());
        let all = tokens.copied().chain(cutoffs).collect();
        self.put_in_force(&logout.shop, all)
    }

    /// Revokes a token as `doorward revoke --token` does. The outer result is about the journal.
    pub fn revoke_token(&self, shop: &str, token: &str) -> io::Result<Result<(), UnfitOrder>> {
        let snapshot = self.proxy.snapshot.load_full();
        let Some(shop) = snapshot.gate.shop_named(shop) else {
            return Ok(Err(UnfitOrder::OnlyOpaque));
        };
        let target = Target::Token(token.to_owned());
        let order = shop.operator_order(&target, snapshot.gate.revocations(), clock::now());
        match order {
            Ok(order) => self.put_in_force(shop, order.revocations).map(Ok),
            Err(why) => Ok(Err(why)),
        }
    }

    /// Begins the counts of every limit again: requests of hours are judged within seconds.
    pub fn forget_counts(&mut self) {
        self.proxy.rate_limits = RateLimits::default();
    }

    fn put_in_force(
        &self,
        shop: &Arc<Shop>,
        all: Vec<crate::revocation::Revocation>,
    ) -> io::Result<()> {
        let set = Arc::clone(self.proxy.snapshot.load().gate.revocations());
        let done = put_in_force(set, Arc::clone(shop), all);
        let done = self.runtime.block_on(done);
        done.map_err(|_| io::Error::other("the journal of the rehearsal can't be written"))
    }

    /// The listener for this request, and whether it takes it as it comes.
    fn listener_for(&self, sample: &SampleRequest) -> (usize, bool) {
        let mut listen = self.listen.iter();
        let fitting = listen.position(|one| one.tls == sample.is_encrypted);
        (fitting.unwrap_or_default(), fitting.is_some())
    }

    async fn run(
        &self,
        sample: &SampleRequest,
        bytes: Vec<u8>,
    ) -> (Rehearsed, Option<Box<LogOut>>) {
        let snapshot = self.proxy.snapshot.load_full();
        let (listener, is_taken) = self.listener_for(sample);
        let mut rehearsed = Rehearsed::closed(listener, !is_taken);
        let peer = Peer::at(sample.client);
        if !snapshot.forwarding.trusts(peer) && !snapshot.access.admits(Some(peer)) {
            rehearsed.refusal = Some(Refusal::AccessDenied);
            return (rehearsed, None);
        }
        let Some(mut session) = self.session(listener, peer, bytes, &snapshot) else {
            return (rehearsed, None);
        };
        let noted_before = self.last_noted().map(|(id, _)| id);
        let read = session.as_downstream_mut().read_request().await;
        if !matches!(read, Ok(true)) {
            // As `connection/` refuses a header block, or as the library does what is no request.
            let noted = self
                .last_noted()
                .filter(|(id, _)| noted_before.as_ref() != Some(id));
            let noted = noted.map(|(_, refusal)| refusal);
            let malformed = read.is_err().then_some(Refusal::Malformed);
            if let Some(refusal) = noted.or(malformed) {
                rehearsed.note_refusal(refusal);
            }
            return (rehearsed, None);
        }
        if session.req_header().method == Method::CONNECT {
            rehearsed.note_refusal(Refusal::MethodNotAllowed { allow: ALLOWED });
            return (rehearsed, None);
        }
        let traffic = self.proxy.traffic.begin_request();
        let mut context = Context::new(Arc::clone(&snapshot), traffic);
        let begun = self.proxy.early_request_filter(&mut session, &mut context);
        if begun.await.is_err() {
            return (rehearsed, None);
        }
        let request = (&mut session, &mut context);
        let logout = self
            .decide(request, &snapshot, sample, &mut rehearsed)
            .await;
        (rehearsed, logout)
    }

    /// A connection on which the request has arrived.
    fn session(
        &self,
        listener: usize,
        peer: Peer,
        bytes: Vec<u8>,
        snapshot: &Snapshot,
    ) -> Option<Session> {
        let permit = self.limiter.acquire(&snapshot.limits).ok()?;
        let metrics = &self.proxy.metrics;
        let digest = ConnectionState::attach(
            ListenerNumber(listener),
            peer,
            permit,
            self.proxy.traffic.pending_connection(),
            Arc::clone(metrics),
        );
        let digest = Arc::new(digest.ok()?);
        let is_encrypted = self.listen.get(listener).is_some_and(|listen| listen.tls);
        let stream = MemoryStream::new(bytes, is_encrypted, Arc::clone(&digest));
        let noted = (Arc::clone(metrics), self.unread.clone());
        let watched = WatchedStream::new(Box::new(stream), digest, &snapshot.limits, noted)?;
        Some(Session::new_h1_with_modules(
            Box::new(watched),
            &self.modules,
        ))
    }

    /// The id of the last request that was refused before a hook saw it, and why.
    fn last_noted(&self) -> Option<(String, Refusal)> {
        let record = self.proxy.recorder.decisions.latest(1).1.pop()?;
        Some((record.request, record.refusal?))
    }

    async fn decide(
        &self,
        (session, context): (&mut Session, &mut Context),
        snapshot: &Snapshot,
        sample: &SampleRequest,
        rehearsed: &mut Rehearsed,
    ) -> Option<Box<LogOut>> {
        rehearsed.note_call(session, snapshot);
        let decision = self.proxy.decide(session, context, snapshot).await;
        rehearsed.findings = findings(session, context, snapshot, &sample.body);
        let Ok(decision) = decision else {
            return None; // the connection is closed: its client has not shown the certificate that it must
        };
        let mut taken = None;
        match decision {
            Decision::Redirected(answer) => {
                rehearsed.verdict = RehearsedVerdict::Redirected;
                rehearsed.status = Some(answer.status);
            }
            Decision::Answered(answer) => {
                rehearsed.verdict = RehearsedVerdict::Answered;
                rehearsed.status = Some(answer.status);
            }
            Decision::Refused(refused) => {
                context.shop = refused.shop.cloned();
                rehearsed.note_refusal(refused.refusal);
                rehearsed.place = refused.place;
            }
            Decision::Forwarded(request) => {
                let answer = self.proxy.begin_forwarding(session, context, request);
                rehearsed.would = context.would();
                rehearsed.status = answer.as_ref().map(|answer| answer.status);
                rehearsed.verdict = match answer {
                    Some(_) => RehearsedVerdict::Answered,
                    None => RehearsedVerdict::Forwarded,
                };
                if rehearsed.status.is_none() {
                    rehearsed.sent = sent(session, context, snapshot);
                }
            }
            Decision::LogOut(logout, _) => {
                context.shop = Some(Arc::clone(&logout.shop));
                context.subject.clone_from(&logout.subject);
                rehearsed.note_logout(&logout);
                rehearsed.sent = sent_logout(session, context, snapshot, &logout);
                taken = Some(logout);
            }
        }
        rehearsed.note_way(context, snapshot);
        taken
    }
}

impl Rehearsed {
    fn closed(listener: usize, is_behind_proxy: bool) -> Self {
        Self {
            verdict: RehearsedVerdict::Closed,
            listener,
            is_behind_proxy,
            client: None,
            call: String::new(),
            host: None,
            shop: None,
            route: None,
            refusal: None,
            place: None,
            would: None,
            status: None,
            findings: None,
            logout: None,
            sent: None,
        }
    }

    fn note_call(&mut self, session: &Session, snapshot: &Snapshot) {
        let head = session.req_header();
        self.client = Some(snapshot.forwarding.client_peer_of(session).to_string());
        self.call = call_of(head, snapshot);
        let host = head.headers.get(http::header::HOST);
        self.host =
            host.map(|host| loggable_text(&String::from_utf8_lossy(host.as_bytes())).into());
    }

    fn note_refusal(&mut self, refusal: Refusal) {
        self.verdict = RehearsedVerdict::Refused;
        self.refusal = Some(refusal);
        self.status = Some(refusal.status());
    }

    fn note_logout(&mut self, logout: &LogOut) {
        self.verdict = RehearsedVerdict::Logout;
        self.logout = Some(RehearsedLogout {
            revocations: logout.revocations.len(),
            order: logout.order(),
            is_forwarded: logout.is_forwarded(),
            token: logout.token(),
        });
    }

    /// The numbers of its shop and of its route.
    fn note_way(&mut self, context: &Context, snapshot: &Snapshot) {
        let Some(shop) = &context.shop else {
            return;
        };
        let mut shops = snapshot.gate.shops().iter();
        self.shop = shops.position(|one| Arc::ptr_eq(one, shop));
        let mut routes = shop.routes.routes().iter();
        let route = context.route.as_ref();
        self.route = route.and_then(|taken| routes.position(|one| Arc::ptr_eq(one, taken)));
    }
}

/// What a request shows, with its body as far as that is needed.
fn findings(
    session: &Session,
    context: &Context,
    snapshot: &Snapshot,
    body: &[u8],
) -> Option<Findings> {
    let now = clock::now();
    let head = request_of(session, snapshot, None);
    let arrived = snapshot.gate.arrive(&head).ok()?;
    let plan = arrived.body_plan(now);
    let is_read = plan.is_ok_and(|plan| plan.need != BodyNeed::None) && !body.is_empty();
    let body = if Encoding::from_headers(&session.req_header().headers) == Encoding::Gzip {
        let share = context.body_share.as_ref();
        share.and_then(|share| decode_gzip(body, share).ok())
    } else {
        Some(Bytes::copy_from_slice(body))
    };
    let request = request_of(session, snapshot, body.as_deref().filter(|_| is_read));
    let mut arrived = snapshot.gate.arrive(&request).ok()?;
    arrived.note_counted();
    Some(arrived.findings(now))
}

fn sent(session: &Session, context: &mut Context, snapshot: &Snapshot) -> Option<SentRequest> {
    let upstreams = Arc::clone(context.attempts().ok()?.upstreams());
    let mut head = session.req_header().clone();
    let sent_to = (context.dead_cookies.as_slice(), &*upstreams);
    write_as_sent(session, context, sent_to, &mut head).ok()?;
    let mut sent = described(session.req_header(), &head, &upstreams, snapshot);
    sent.dead_cookies = context.dead_cookies.len();
    Some(sent)
}

fn sent_logout(
    session: &Session,
    context: &Context,
    snapshot: &Snapshot,
    logout: &LogOut,
) -> Option<SentRequest> {
    if !logout.is_forwarded() {
        return None;
    }
    let attempts = context.attempts_to(&logout.shop)?;
    let upstreams = attempts.upstreams();
    let head = head_as_sent(session, context, logout, upstreams).ok()?;
    let mut sent = described(session.req_header(), &head, upstreams, snapshot);
    sent.dead_cookies = logout.dead_cookies.len();
    Some(sent)
}

/// What is sent, without a value of a header: it may be a credential.
fn described(
    came: &RequestHeader,
    goes: &RequestHeader,
    upstreams: &Arc<Upstreams>,
    snapshot: &Snapshot,
) -> SentRequest {
    let mut named = snapshot.pools.named.iter();
    let upstream = named.find(|(_, one)| Arc::ptr_eq(one, upstreams));
    let values = |head: &RequestHeader, name: &http::HeaderName| {
        let lines = head.headers.get_all(name).iter();
        lines.cloned().collect::<Vec<_>>()
    };
    let is_changed = |name: &&http::HeaderName| values(came, name) != values(goes, name);
    let set = goes.headers.keys().filter(is_changed);
    let mut set: Vec<_> = set.map(ToString::to_string).collect();
    set.sort_unstable();
    let is_gone = |name: &&http::HeaderName| !goes.headers.contains_key(*name);
    let removed = came.headers.keys().filter(is_gone);
    SentRequest {
        upstream: upstream.map(|(name, _)| name.as_str().to_owned()),
        servers: upstreams
            .configured()
            .iter()
            .map(ToString::to_string)
            .collect(),
        call: call_of(goes, snapshot),
        set,
        removed: removed.map(ToString::to_string).collect(),
        dead_cookies: 0,
    }
}

fn call_of(head: &RequestHeader, snapshot: &Snapshot) -> String {
    let method = loggable_text(head.method.as_str()).into_owned();
    format!("{method} {}", snapshot.gate.loggable_path(head.uri.path()))
}

fn journal_failed(error: &JournalError) -> io::Error {
    io::Error::other(error.to_string())
}
