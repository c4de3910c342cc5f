//! A shop: its part of the configuration, and what this node has learnt about it.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderValue;
use smallvec::SmallVec;

use super::answers::{ApiKind, ErrorPages, RefusalSettings, Shape};
use super::calls::{Call, Path, PathPattern, PathStyle, RefreshRule, RequestView};
use super::clocks::ShopClock;
use super::cookie::SeenCookies;
use super::credential::Place;
use super::graphql::GraphQlSettings;
use super::introspection::{IntrospectionCache, LikelyTokens};
use super::limits::ShopLimits;
use super::loggable_path::{loggable_path, without_token};
use super::logout::{Allowance, KnownLogouts, LogoutRule};
use super::meaning::{FormerMeanings, Honoured, ShopMeaning};
use super::routes::{Demand, RouteTable};
use super::site::{HostPattern, HostRedirect};
use super::token::{Issuer, Token, Verifier};
use super::token_endpoint::{OnReissue, TokenEndpoint};
use crate::clients::{AccessList, Peer};
use crate::clock::UnixTime;
use crate::revocation::{Meaning, ShopTag};

/// What the requests of one shop are judged by.
pub struct Shop {
    /// Its name: in logs, metrics and commands.
    pub name: String,
    /// The hosts it claims; empty: every host.
    pub hosts: Vec<HostPattern>,
    /// The paths that it claims of these hosts; empty: every path.
    pub paths: Vec<PathPattern>,
    /// Hosts from which requests are redirected to the first of those.
    pub host_redirect: Option<HostRedirect>,
    /// `Strict-Transport-Security` of every answer over TLS.
    pub hsts: Option<HeaderValue>,
    /// The hosts that other shops claim, if it claims every other host.
    pub beside: Vec<HostPattern>,
    /// The paths that other shops claim of its hosts.
    pub path_neighbours: PathNeighbours,
    /// The token domains of other shops that have a key of this one and share no logouts with it.
    pub key_neighbours: Vec<String>,
    /// Which clients are served: all of these lists admit them.
    pub access: Vec<AccessList>,
    /// Its name in the journal.
    pub tag: ShopTag,
    /// Where requests carry credentials.
    pub places: Vec<Place>,
    /// How its tokens are verified.
    pub verifier: Verifier,
    /// Its last answers about opaque tokens (token introspection).
    pub introspection_cache: Arc<IntrospectionCache>,
    /// Its logouts, in the order they are tried.
    pub logouts: Vec<Arc<LogoutRule>>,
    /// Doorward's own logout for it.
    pub own_logout: Arc<LogoutRule>,
    /// The logouts of all presets. Some may work at this shop although no rule names them.
    pub known_logouts: Arc<KnownLogouts>,
    /// Where refresh tokens are exchanged for new tokens.
    pub refreshes: Vec<RefreshRule>,
    /// The calls that issue tokens.
    pub token_endpoints: Vec<Arc<TokenEndpoint>>,
    /// What happens to a revoked token that it issues again.
    pub on_reissue: OnReissue,
    /// The paths of the script that makes Ecwid's sign-out end the site's session, too.
    pub own_scripts: Vec<PathPattern>,
    /// Where its requests go, and what they must meet.
    pub routes: RouteTable,
    /// How it compares paths.
    pub path_style: PathStyle,
    /// How it words refusals.
    pub refusals: RefusalSettings,
    /// The pages of the operator in the place of refusals.
    pub error_pages: Arc<ErrorPages>,
    /// How often Doorward answers for it by itself.
    pub limits: ShopLimits,
    /// How many unverified credentials may be stored.
    pub allowance: Allowance,
    /// Its clock.
    pub clock: ShopClock,
    /// Unverified tokens that the shop may know.
    pub likely: Arc<LikelyTokens>,
    /// How it sets its cookies.
    pub seen_cookies: Arc<SeenCookies>,
    /// How its GraphQL is read.
    pub graphql: GraphQlSettings,
    /// How many of its requests were judged.
    pub judged: AtomicU64,
    /// Which bodies are searched for revoked tokens.
    pub examine: Examine,
    /// What its requests must meet, where no route says otherwise.
    pub demand: Demand,
    /// What its names mean, computed on first use.
    pub meaning: OnceLock<String>,
}

/// The paths that other shops claim of a shop's hosts.
#[derive(Clone, Debug, Default)]
pub struct PathNeighbours {
    /// What shops before it claim of its own paths: each a host and a path, such as `shop.example.com/admin/*`. Without a
    /// host: of every host.
    pub before: Vec<String>,
    /// Whether there are any, before it or after it.
    pub is_any: bool,
}

/// Which bodies are searched for revoked tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Examine {
    /// All, if the shop has credentials in bodies.
    #[default]
    Everything,
    /// Those of logouts and refreshes, and others whose credentials count.
    Routes,
}

/// The tokens of one request.
pub type Tokens = SmallVec<[Token; 2]>;

impl Shop {
    /// Whether it claims a host.
    pub(super) fn claims_host(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.claims(host))
    }

    /// Whether it claims a reading of a path.
    pub(super) fn claims_path(&self, reading: &str) -> bool {
        let mut paths = self.paths.iter();
        self.paths.is_empty() || paths.any(|path| path.is_written(reading, self.path_style))
    }

    /// Whether another shop has paths of its hosts: browsers send the cookies of both to either.
    pub(super) fn shares_hosts(&self) -> bool {
        self.path_neighbours.is_any
    }

    /// Takes over what was learnt of this shop under the previous configuration.
    pub fn inherit(&mut self, old: &Self) {
        self.clock = self.clock.inheriting(&old.clock);
        self.likely = Arc::clone(&old.likely);
        self.seen_cookies = Arc::clone(&old.seen_cookies);
        self.verifier.inherit(&old.verifier);
        let (new, former) = (self.verifier.settings(), old.verifier.settings());
        let is_same = new.introspection == former.introspection;
        // The cached answers hold names of tokens, so they hold only while names mean the same.
        if is_same && self.meaning_now().names == old.meaning_now().names {
            self.introspection_cache = Arc::clone(&old.introspection_cache);
        }
        self.graphql.learnt = Arc::clone(&old.graphql.learnt);
    }

    /// Ties the token domain of its name to its hosts and paths, because no other shop shares it: see
    /// [`Issuer::own_domain`]. So a shop that was part of this one until now honours its former logouts only.
    pub fn own_domain(&mut self) {
        let hosts = self.hosts.iter().map(ToString::to_string);
        let paths = self.paths.iter().map(ToString::to_string);
        let without = self.path_neighbours.before.iter();
        let without = without.map(|taken| format!("without {taken}"));
        let claims: Vec<_> = hosts.chain(paths).chain(without).collect();
        self.verifier.own_domain(&self.name, &claims);
    }

    /// What its names mean, as a text for the journal: entries are made under this meaning.
    pub fn meaning(&self) -> &str {
        self.meaning.get_or_init(|| self.meaning_now().text())
    }

    fn meaning_now(&self) -> ShopMeaning {
        let texts = |hosts: &[HostPattern]| hosts.iter().map(ToString::to_string).collect();
        let issuers = (self.verifier.issuers(), self.verifier.main_at());
        let paths = self.paths.iter().map(ToString::to_string);
        ShopMeaning {
            shop: self.name.clone(),
            hosts: texts(&self.hosts),
            paths: paths.collect(),
            beside: texts(&self.beside),
            taken: self.path_neighbours.before.clone(),
            keyed: self.key_neighbours.clone(),
            ..ShopMeaning::from_issuers(issuers, &self.places)
        }
    }

    /// Also looks its tokens up under the former ones of these meanings. `others` are the other shops of the configuration.
    pub(super) fn honour(&self, others: &[&Self], meanings: &[Meaning], now: UnixTime) {
        let others: Vec<_> = others.iter().map(|other| other.meaning_now()).collect();
        let formers = FormerMeanings::select(&self.meaning_now(), &others, meanings, now);
        if formers.digest() != self.verifier.formers().digest() {
            self.verifier.honour(formers);
            self.introspection_cache.clear();
        }
    }

    /// The former meanings under which its tokens are looked up.
    pub fn honoured(&self) -> Vec<Honoured> {
        self.verifier.formers().honoured().cloned().collect()
    }

    /// How long entries about its tokens are kept from now on, also those made under former meanings; `None`: for ever.
    pub fn longest_life(&self, now: UnixTime) -> Option<Duration> {
        let longest = self.verifier.longest_life()? + Meaning::KEPT_BEYOND;
        let honoured = self.honoured().into_iter().map(|former| former.until);
        match honoured.max() {
            None => Some(longest),
            Some(UnixTime::FOREVER) => None,
            Some(until) => Some(longest.max(until.since(now))),
        }
    }

    /// Whether both shops verify with the same key and share no token domain: then a logout at one does not revoke the
    /// token at the other.
    pub fn shares_keys_only(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.verifier.issuers(), other.verifier.issuers());
        let has_key = |one: &Issuer| {
            let marks = one.key_marks();
            let mut theirs = theirs.iter().flat_map(Issuer::key_marks);
            theirs.any(|mark| marks.contains(&mark))
        };
        ours.iter().any(has_key) && !self.shares_domain(other)
    }

    /// Whether both shops have a token domain in common.
    pub fn shares_domain(&self, other: &Self) -> bool {
        let theirs = other.verifier.issuers();
        let is_theirs = |one: &Issuer| {
            let mut domains = theirs.iter().map(|other| &other.settings().token_domain);
            domains.any(|domain| *domain == one.settings().token_domain)
        };
        self.verifier.issuers().iter().any(is_theirs)
    }

    /// [`Shop::honoured`] in words, a line for each.
    pub fn honoured_in_words(&self) -> Vec<String> {
        let line = |former: &Honoured| {
            let of_shop = if former.shop == self.name {
                String::new()
            } else {
                format!(" of shop {}", former.shop)
            };
            let until = if former.until == UnixTime::FOREVER {
                "for ever".to_owned()
            } else {
                format!("until {}", former.until)
            };
            let limit = if former.differs.contains(&"ask") {
                "; a customer's other tokens, as far as the shop says whose they are as before"
            } else {
                ""
            };
            format!(
                "shop {} honours the former {}{of_shop} {until}: tokens that were logged out under it stay dead{limit}",
                self.name,
                former.differs.join(", "),
            )
        };
        self.verifier.formers().honoured().map(line).collect()
    }

    /// Whether a client is served.
    pub(super) fn admits(&self, client: Option<Peer>) -> bool {
        self.access.iter().all(|list| list.admits(client))
    }

    /// The calls of logout and refresh rules.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        let refreshes = self.refreshes.iter().map(|rule| &rule.call);
        self.logout_calls().chain(refreshes)
    }

    /// The calls by which customers log out.
    pub(super) fn logout_calls(&self) -> impl Iterator<Item = &Call> {
        self.logouts.iter().map(|rule| &rule.call)
    }

    /// The API that a request calls, as far as a rule is about GraphQL.
    pub(super) fn api(&self, view: &RequestView<'_>) -> ApiKind {
        let mut calls = self.calls().filter(|call| call.graphql.is_some());
        if calls.any(|call| call.is_under(view)) {
            ApiKind::GraphQl
        } else {
            ApiKind::Other
        }
    }

    /// How a request is refused: a client of GraphQL looks for `errors`, whatever the rest of the shop answers.
    pub(super) fn refusals_for(&self, api: ApiKind) -> Cow<'_, RefusalSettings> {
        if api == ApiKind::GraphQl {
            return Cow::Owned(RefusalSettings {
                shape: Shape::GraphQl,
                ..self.refusals.clone()
            });
        }
        Cow::Borrowed(&self.refusals)
    }

    /// A path for the log: without what could be a credential, and without the token that a rule finds in it.
    pub fn loggable_path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let read = Path::parse(path);
        match self.token_in_path(&read) {
            Some(token) => without_token(path, token),
            None => loggable_path(path),
        }
    }

    /// The token that a rule finds in a path.
    pub(super) fn token_in_path<'p>(&self, path: &'p Path<'_>) -> Option<&'p str> {
        let mut calls = self.calls();
        calls.find_map(|call| call.captured_token(path, self.path_style))
    }

    /// Counts a request that was judged.
    pub(super) fn note_judged(&self) {
        self.judged.fetch_add(1, Ordering::Relaxed);
    }
}
