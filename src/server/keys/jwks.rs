//! Keys of identity providers, fetched in the background. A request whose token names a missing key waits a moment for a
//! fetch, and fetches nothing itself.
//!
//! An answer counts only if it comes from the configured address, from a server with a valid certificate, complete, in
//! time and within the size limit. Everything else is a failure, and after a failure the present keys stay.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{ACCEPT, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use jsonwebtoken::Algorithm;
use log::{debug, info, warn};
use parking_lot::Mutex;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use pingora::{Error, ErrorType};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::schedule::{Schedule, freshness};
use crate::clock;
use crate::request::{FetchUrl, Issuer, JwksSource, KeyRing, Keys, Shop, UnfitSet};
use crate::server::proxy::client::read_head;

/// How long a fetch may take, from the name to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one of several addresses may take to connect, so that there is time for another.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How many addresses of a name are tried.
const ADDRESSES_MAX: usize = 3;
/// The longest set: a thousand keys.
const SET_BYTES_MAX: usize = 1 << 20;
/// How long the start waits for the first keys.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);
/// How many requests may wait for a key at a time, so that invented key ids gain nothing from many connections.
const WAITING_MAX: usize = 1000;
/// How much of a foreign text is logged.
const TOLD_CHARS_MAX: usize = 200;

/// Fetches the keys of shops whose identity provider publishes them.
pub(crate) struct KeyFetcher {
    /// Made when it is needed: it reads the system's certificates.
    connector: OnceLock<Arc<Connector>>,
    /// One for each issuer whose keys are fetched.
    feeds: Mutex<Vec<Arc<Feed>>>,
    /// How many more requests may wait for a key.
    waiting: Semaphore,
}

impl Default for KeyFetcher {
    fn default() -> Self {
        Self {
            connector: OnceLock::new(),
            feeds: Mutex::default(),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }
}

/// The keys of one issuer, and when they are fetched.
struct Feed {
    ring: Arc<KeyRing>,
    schedule: Mutex<Schedule>,
    /// Signals the end of every fetch: whether it brought keys.
    ends: watch::Sender<bool>,
}

/// One fetch. Dropped before its end, it counts as failed.
struct FetchAttempt {
    shop: Arc<Shop>,
    /// Which of its issuers.
    place: usize,
    feed: Arc<Feed>,
    is_over: bool,
}

/// Why a fetch brought no keys.
#[derive(Debug)]
enum FetchFailure {
    /// The host's name can't be resolved.
    Name,
    /// No connection; with the error.
    Connection(String),
    /// The TLS handshake failed, perhaps because of the certificate.
    Tls(String),
    /// It was not over in time.
    Late,
    /// The exchange broke off.
    Exchange(&'static str),
    /// The status is not 200; redirects are not followed.
    Status(StatusCode),
    /// The answer has a content coding, which was not requested.
    Encoded,
    /// The answer is too long.
    TooLong,
    /// The answer is no key set for this shop.
    Unfit(UnfitSet),
}

impl FetchFailure {
    /// Its name in logs and metrics.
    const fn name(&self) -> &'static str {
        match self {
            Self::Name => "unknown_host",
            Self::Connection(_) => "no_connection",
            Self::Tls(_) => "tls",
            Self::Late => "late",
            Self::Exchange(_) => "broken_off",
            Self::Status(_) => "status",
            Self::Encoded => "encoded",
            Self::TooLong => "too_long",
            Self::Unfit(unfit) => unfit.name(),
        }
    }

    /// More of the failure; nothing of the answer's body.
    fn detail(&self) -> Option<String> {
        match self {
            Self::Connection(text) | Self::Tls(text) => Some(shortened(text)),
            Self::Status(status) => Some(status.as_u16().to_string()),
            Self::Exchange(kind) => Some((*kind).to_owned()),
            Self::Name | Self::Late | Self::Encoded | Self::TooLong | Self::Unfit(_) => None,
        }
    }
}

/// An exchange that broke off. Only its kind is kept: the rest may quote the answer.
impl From<Box<Error>> for FetchFailure {
    fn from(error: Box<Error>) -> Self {
        let kind = error.etype();
        if matches!(kind, ErrorType::ReadTimedout | ErrorType::WriteTimedout) {
            return Self::Late;
        }
        Self::Exchange(kind.as_str())
    }
}

impl KeyFetcher {
    fn connector(&self) -> Arc<Connector> {
        let made = self
            .connector
            .get_or_init(|| Arc::new(Connector::new(None)));
        Arc::clone(made)
    }

    /// Fetches for the first time, within a limit, so that no token is refused at the start for want of keys. Late keys are
    /// fetched in the background.
    pub(crate) fn fetch_first(&self, shops: &[Arc<Shop>]) -> std::io::Result<()> {
        if shops.iter().all(|shop| shop.verifier.has_keys()) {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut fetches = JoinSet::new();
            for attempt in self.due(shops) {
                fetches.spawn(attempt.run(self.connector()));
            }
            let all = async { while fetches.join_next().await.is_some() {} };
            let _ = timeout(FIRST_TIMEOUT, all).await;
        });
        runtime.shutdown_background(); // a name that is being resolved would hold up the start
        Ok(())
    }

    /// Begins every fetch that is due, and waits for none.
    pub(crate) fn tick(&self, shops: &[Arc<Shop>]) {
        for attempt in self.due(shops) {
            tokio::spawn(attempt.run(self.connector()));
        }
    }

    fn due(&self, shops: &[Arc<Shop>]) -> Vec<FetchAttempt> {
        let mut feeds = self.feeds.lock();
        feeds.retain(|feed| {
            let mut issuers = shops.iter().flat_map(|shop| shop.verifier.issuers());
            issuers.any(|issuer| feed.is_of(issuer))
        });
        let mut due = Vec::new();
        for shop in shops {
            for (place, issuer) in shop.verifier.issuers().iter().enumerate() {
                if issuer.source().is_some() {
                    due.extend(FetchAttempt::due(shop, place, feed_of(issuer, &mut feeds)));
                }
            }
        }
        due
    }

    /// Waits until keys that tokens of this shop named and that are missing have been fetched. Returns `false` if the
    /// identity provider is late, down, or was asked too often.
    pub(crate) async fn bring(&self, shop: &Arc<Shop>, patience: Duration) -> bool {
        let Ok(_waits) = self.waiting.try_acquire() else {
            return false;
        };
        let mut issuers = shop.verifier.issuers().iter().enumerate();
        let wanted = issuers.find(|(_, issuer)| issuer.ring().wants_keys(clock::now()));
        let Some((place, issuer)) = wanted else {
            return true; // they have come since
        };
        let feed = feed_of(issuer, &mut self.feeds.lock());
        let mut ends = feed.ends.subscribe();
        match FetchAttempt::due(shop, place, Arc::clone(&feed)) {
            Some(attempt) => drop(tokio::spawn(attempt.run(self.connector()))),
            None if feed.schedule.lock().is_running() => {}
            None => return !feed.ring.wants_keys(clock::now()),
        }
        let ended = timeout(patience, ends.changed()).await;
        ended.is_ok_and(|ended| ended.is_ok()) && *ends.borrow()
    }
}

/// The feed of an issuer's keys. After a reload that changed its source it is a new one, which is due at once.
fn feed_of(issuer: &Issuer, feeds: &mut Vec<Arc<Feed>>) -> Arc<Feed> {
    if let Some(feed) = feeds.iter().find(|feed| feed.is_of(issuer)) {
        return Arc::clone(feed);
    }
    let feed = Arc::new(Feed {
        ring: Arc::clone(issuer.ring()),
        schedule: Mutex::new(Schedule::starting(clock::instant())),
        ends: watch::Sender::new(false),
    });
    feeds.push(Arc::clone(&feed));
    feed
}

impl Feed {
    fn is_of(&self, issuer: &Issuer) -> bool {
        Arc::ptr_eq(&self.ring, issuer.ring())
    }
}

impl FetchAttempt {
    /// A fetch, if one is due.
    fn due(shop: &Arc<Shop>, place: usize, feed: Arc<Feed>) -> Option<Self> {
        let cooldown = shop.verifier.issuers()[place].source()?.cooldown;
        let wanted = feed.ring.wants_keys(clock::now());
        let mut schedule = feed.schedule.lock();
        if !schedule.begin(clock::instant(), wanted, cooldown) {
            return None;
        }
        feed.ring.begin_fetch();
        drop(schedule);
        Some(Self {
            shop: Arc::clone(shop),
            place,
            feed,
            is_over: false,
        })
    }

    async fn run(mut self, connector: Arc<Connector>) {
        let shop = Arc::clone(&self.shop);
        let issuer = &shop.verifier.issuers()[self.place];
        let Some(source) = issuer.source() else {
            return;
        };
        let fetched = timeout(FETCH_TIMEOUT, fetch(&connector, source)).await;
        let set = fetched.unwrap_or(Err(FetchFailure::Late));
        let algorithms = &issuer.settings().algorithms;
        let read = set.and_then(|set| {
            let read = Keys::from_fetched(&set.text, algorithms).map_err(FetchFailure::Unfit);
            read.map(|(keys, unfit_keys)| (keys, unfit_keys, set.fresh_for))
        });
        match read {
            Ok((keys, unfit_keys, fresh_for)) => {
                for unfit in &unfit_keys {
                    debug!(shop = shop.name.as_str(); "a fetched key is passed over: {}", shortened(unfit));
                }
                self.succeed(keys, unfit_keys.len(), fresh_for.unwrap_or(source.refresh));
            }
            Err(failure) => self.fail(&failure),
        }
    }

    fn succeed(&mut self, keys: Keys, passed_over: usize, fresh_for: Duration) {
        let are_new = self.feed.ring.replace_keys(keys, clock::now());
        self.feed
            .schedule
            .lock()
            .succeed(clock::instant(), fresh_for);
        self.is_over = true;
        self.feed.ends.send_replace(true);
        if are_new {
            let (shop, from) = (self.shop.name.as_str(), self.origin());
            let keys = self.feed.ring.state().count;
            info!(shop, from, keys, passed_over; "keys fetched");
        }
    }

    fn fail(&mut self, failure: &FetchFailure) {
        let reason = failure.name();
        self.feed.ring.note_failure(reason);
        self.feed.schedule.lock().fail(clock::instant());
        self.is_over = true;
        self.feed.ends.send_replace(false);
        let (shop, from) = (self.shop.name.as_str(), self.origin());
        let detail = failure.detail();
        let detail = detail.as_deref();
        let state = self.feed.ring.state();
        match state.age(clock::now()).map(|age| age.as_secs()) {
            Some(age_s) => {
                warn!(shop, from, reason, detail, age_s; "keys can't be fetched; the old ones stay in use");
            }
            None => {
                warn!(shop, from, reason, detail; "keys can't be fetched; tokens are answered 503");
            }
        }
    }

    fn origin(&self) -> String {
        let source = self.shop.verifier.issuers()[self.place].source();
        source.map_or_else(String::new, |source| source.url.to_string())
    }
}

impl Drop for FetchAttempt {
    fn drop(&mut self) {
        if !self.is_over {
            self.feed.schedule.lock().fail(clock::instant());
            self.feed.ends.send_replace(false);
        }
    }
}

/// A key set, and for how long it is fresh.
struct FetchedSet {
    text: Vec<u8>,
    fresh_for: Option<Duration>,
}

/// Fetches a set once, for `check --probe`: how many of its keys verify tokens, or why none do.
pub(crate) async fn probe_set(
    connector: &Connector,
    source: &JwksSource,
    algorithms: &[Algorithm],
) -> Result<String, String> {
    let fetched = timeout(FETCH_TIMEOUT, fetch(connector, source)).await;
    let set = fetched.unwrap_or(Err(FetchFailure::Late));
    let read =
        set.and_then(|set| Keys::from_fetched(&set.text, algorithms).map_err(FetchFailure::Unfit));
    match read {
        Ok((keys, passed_over)) => {
            let (count, others) = (keys.count(), passed_over.len());
            Ok(format!("{count} usable, {others} passed over"))
        }
        Err(failure) => {
            let detail = failure.detail().map(|detail| format!(": {detail}"));
            Err(format!("{}{}", failure.name(), detail.unwrap_or_default()))
        }
    }
}

async fn fetch(connector: &Connector, source: &JwksSource) -> Result<FetchedSet, FetchFailure> {
    let mut session = connect(connector, source).await?;
    session.set_read_timeout(Some(FETCH_TIMEOUT));
    session.set_write_timeout(Some(FETCH_TIMEOUT));
    let head = head_for(&source.url)?;
    session.write_request_header(Box::new(head)).await?;
    session.finish_request_body().await?;
    let head = read_head(&mut session).await?;
    if head.status != StatusCode::OK {
        return Err(FetchFailure::Status(head.status));
    }
    if head.headers.contains_key(CONTENT_ENCODING) {
        return Err(FetchFailure::Encoded);
    }
    Ok(FetchedSet {
        text: read_body(&mut session, &head.headers).await?,
        fresh_for: freshness(&head.headers),
    })
}

fn head_for(url: &FetchUrl) -> pingora::Result<RequestHeader> {
    let mut head = RequestHeader::build(Method::GET, url.target.as_bytes(), None)?;
    head.insert_header(HOST, url.authority())?;
    head.insert_header(USER_AGENT, concat!("doorward/", env!("CARGO_PKG_VERSION")))?;
    head.insert_header(ACCEPT, "application/jwk-set+json, application/json")?;
    head.insert_header(CONNECTION, "close")?;
    Ok(head)
}

async fn read_body(
    session: &mut HttpSession,
    headers: &HeaderMap,
) -> Result<Vec<u8>, FetchFailure> {
    let length = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok());
    let length = length.and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > SET_BYTES_MAX) {
        return Err(FetchFailure::TooLong);
    }
    let mut body = Vec::new();
    while let Some(chunk) = session.read_response_body().await? {
        body.extend_from_slice(&chunk);
        if body.len() > SET_BYTES_MAX {
            return Err(FetchFailure::TooLong);
        }
    }
    Ok(body)
}

/// A fresh connection to the first address that takes it.
async fn connect(connector: &Connector, source: &JwksSource) -> Result<HttpSession, FetchFailure> {
    let url = &source.url;
    let mut failure = FetchFailure::Name;
    for address in addresses(url).await?.into_iter().take(ADDRESSES_MAX) {
        // The name is what the certificate is checked for; without one nothing would be checked.
        let mut peer = HttpPeer::new(address, url.tls, url.host.clone());
        peer.options.connection_timeout = Some(CONNECT_TIMEOUT);
        peer.options.total_connection_timeout = Some(CONNECT_TIMEOUT);
        peer.options.read_timeout = Some(FETCH_TIMEOUT);
        peer.options.write_timeout = Some(FETCH_TIMEOUT);
        if !source.authorities.is_empty() {
            let authorities = source.authorities.iter().cloned();
            let authorities = authorities.map(|one| WrappedX509::new(one, parse_x509));
            peer.options.ca = Some(authorities.collect());
        }
        match connector.get_http_session(&peer).await {
            Ok((session, _)) => return Ok(session),
            Err(error) => failure = not_connected(&error),
        }
    }
    Err(failure)
}

async fn addresses(url: &FetchUrl) -> Result<Vec<SocketAddr>, FetchFailure> {
    if let Ok(address) = url.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, url.port)]);
    }
    let found = tokio::net::lookup_host((url.host.as_str(), url.port)).await;
    Ok(found.map_err(|_| FetchFailure::Name)?.collect())
}

fn not_connected(error: &Error) -> FetchFailure {
    let is_tls = matches!(
        error.etype(),
        ErrorType::TLSHandshakeFailure | ErrorType::TLSHandshakeTimedout | ErrorType::InvalidCert
    );
    if is_tls {
        FetchFailure::Tls(error.to_string())
    } else {
        FetchFailure::Connection(error.to_string())
    }
}

fn shortened(text: &impl fmt::Display) -> String {
    let text = text.to_string();
    text.chars().take(TOLD_CHARS_MAX).collect()
}
