//! A shop as the gate knows it: what is said of it in the configuration, ready to be asked.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Method;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_LENGTH, ORIGIN};
use http::request::Parts;
use smallvec::SmallVec;

use super::answer::{RefusalSettings, Shape};
use super::call::{BodyNeed, Call};
use super::compact::jwts_in;
use super::confirmations::Confirmations;
use super::credential::{Carrier, Credential, Occasion, Place, trimmed};
use super::dead_cookie::DeadCookiePolicy;
use super::flaw::Flaw;
use super::former::{Formers, Honoured};
use super::graphql::{GraphQlSettings, Reading, UnknownHash};
use super::host::HostPattern;
use super::issuer::Issuer;
use super::known_logouts::KnownLogouts;
use super::likely_tokens::LikelyTokens;
use super::loggable::{loggable_path, without_token};
use super::logout::LogoutRule;
use super::meaning::ShopMeaning;
use super::mint::{MintRule, OnReissue};
use super::parameters::content_type;
use super::path::{Path, PathStyle};
use super::path_pattern::PathPattern;
use super::refresh::RefreshRule;
use super::refusal::Refusal;
use super::request::Request;
use super::request_line::RequestLine;
use super::route::{self, Enforce, Route};
use super::seen_cookies::SeenCookies;
use super::shop_clock::ShopClock;
use super::token::Token;
use super::token_settings::{Kind, UnknownToken};
use super::verify::Verifier;
use crate::clock::UnixTime;
use crate::revocation::{Allowance, Id, MARGIN, Meaning, ShopTag};

/// Everything by which one shop's requests are judged.
pub struct Shop {
    /// Its name: in logs, metrics and commands.
    pub name: String,
    /// The hosts it claims; none: every host.
    pub hosts: Vec<HostPattern>,
    /// The hosts that other shops claim, where it has what they leave.
    pub beside: Vec<HostPattern>,
    /// Its name in the journal.
    pub tag: ShopTag,
    /// Where credentials may travel.
    pub places: Vec<Place>,
    /// How its tokens are verified.
    pub verifier: Verifier,
    /// What it said of tokens that say nothing themselves.
    pub confirmations: Arc<Confirmations>,
    /// Its logouts, in the order they are tried.
    pub logouts: Vec<Arc<LogoutRule>>,
    /// Doorward's own logout for it.
    pub own_logout: Arc<LogoutRule>,
    /// The logouts of every shop that is known, of which this one could have some without a rule.
    pub known_logouts: Arc<KnownLogouts>,
    /// Where refresh tokens are exchanged for new tokens.
    pub refreshes: Vec<RefreshRule>,
    /// Where it hands out tokens.
    pub mints: Vec<Arc<MintRule>>,
    /// What becomes of a dead token that it hands out again.
    pub on_reissue: OnReissue,
    /// Where pages find the script that makes Ecwid's sign-out end the site's session, too.
    pub own_script: PathPattern,
    /// What paths demand, in the order they are tried.
    pub routes: Vec<Route>,
    /// How it compares paths.
    pub path_style: PathStyle,
    /// How it words refusals.
    pub refusals: RefusalSettings,
    /// What unverified credentials may store.
    pub allowance: Allowance,
    /// Its clock.
    pub clock: ShopClock,
    /// Tokens that it may know although nothing verifies them.
    pub likely: Arc<LikelyTokens>,
    /// How it sets its cookies.
    pub seen_cookies: Arc<SeenCookies>,
    /// How its GraphQL is read.
    pub graphql: GraphQlSettings,
    /// How many of its requests were judged.
    pub judged: AtomicU64,
    /// In which bodies dead tokens are looked for.
    pub examine: Examine,
    /// What becomes of a cookie whose token is dead.
    pub dead_cookie: DeadCookiePolicy,
    /// What its names mean, once that was asked for.
    pub meaning: OnceLock<String>,
}

/// In which bodies dead tokens are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Examine {
    /// In all, if the shop has credentials in bodies.
    #[default]
    Everything,
    /// In those of logouts, refreshes and wherever else a credential of a body counts.
    Routes,
}

/// What a request asks for.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'g> {
    /// To log out.
    LogOut(&'g Arc<LogoutRule>),
    /// Whether a page of another origin may log out here.
    Preflight,
    /// To read the script for Ecwid.
    Script,
    /// To exchange a refresh token.
    Refresh(&'g RefreshRule, Enforce),
    /// Anything else.
    Visit(Enforce),
}

impl Purpose<'_> {
    /// Where credentials are looked for.
    pub(super) fn occasion(self) -> Occasion {
        match self {
            Self::LogOut(_) | Self::Preflight => Occasion::Logout,
            Self::Refresh(..) => Occasion::Refresh,
            Self::Script | Self::Visit(_) => Occasion::Visit,
        }
    }
}

/// The credentials of a request that are not dead, and what they are.
pub(super) type Alive<'a> = SmallVec<[(Token, Credential<'a>); 2]>;

/// The tokens of one request.
pub type Tokens = SmallVec<[Token; 2]>;

impl Shop {
    /// Takes over what was learnt of this shop under an older configuration.
    pub fn inherit(&mut self, old: &Self) {
        self.clock = self.clock.inheriting(&old.clock);
        self.likely = Arc::clone(&old.likely);
        self.seen_cookies = Arc::clone(&old.seen_cookies);
        self.verifier.inherit(&old.verifier);
        let (new, former) = (self.verifier.settings(), old.verifier.settings());
        let is_same = new.inquiry == former.inquiry;
        // What it said is remembered by names, and says by which names a token is refused.
        if is_same && self.meaning_now().names == old.meaning_now().names {
            self.confirmations = Arc::clone(&old.confirmations);
        }
        self.graphql.learnt = Arc::clone(&old.graphql.learnt);
    }

    /// Whether a token that no node has dated counts as issued before every logout.
    pub(super) fn is_unknown_old(&self, token: &Token) -> bool {
        let settings = match token {
            Token::Verified(token) => &token.settings,
            Token::Confirmed(_) => self.verifier.settings(),
            Token::Opaque(_) | Token::Stranger(_) => return false,
        };
        match settings.unknown {
            UnknownToken::New => false,
            UnknownToken::Old => true,
        }
    }

    /// Until when the date of a token is needed; `None`: it is of no use, for the token says itself when it was issued, or
    /// nothing is known of it.
    pub(super) fn dated_until(&self, token: &Token, now: UnixTime) -> Option<UnixTime> {
        if token.identity().issued_at.is_some() {
            return None;
        }
        let shop_time = self.clock.at(now);
        match token {
            Token::Verified(token) => {
                let end = token.settings.accepted_until(token, shop_time);
                Some(end.plus(MARGIN))
            }
            Token::Confirmed(_) => Some(self.verifier.settings().undated_until(shop_time)),
            Token::Opaque(_) | Token::Stranger(_) => None,
        }
    }

    /// No other shop has the token domain that has its name: see [`Issuer::own_domain`].
    pub fn own_domain(&mut self) {
        let hosts: Vec<_> = self.hosts.iter().map(ToString::to_string).collect();
        self.verifier.own_domain(&self.name, &hosts);
    }

    /// What its names mean, for the journal: entries are made under it.
    pub fn meaning(&self) -> &str {
        self.meaning.get_or_init(|| self.meaning_now().text())
    }

    fn meaning_now(&self) -> ShopMeaning {
        let texts = |hosts: &[HostPattern]| hosts.iter().map(ToString::to_string).collect();
        let issuers = (self.verifier.issuers(), self.verifier.main_at());
        ShopMeaning {
            shop: self.name.clone(),
            hosts: texts(&self.hosts),
            beside: texts(&self.beside),
            ..ShopMeaning::of(issuers, &self.places)
        }
    }

    /// What they meant to versions that kept no meanings.
    pub fn meaning_without_readings(&self) -> String {
        let meaning = self.meaning_now();
        if self
            .verifier
            .issuers()
            .iter()
            .any(Issuer::differs_from_legacy)
        {
            meaning.legacy().text()
        } else {
            meaning.text()
        }
    }

    /// Looks its tokens up under the former ones of these meanings, too; `others` are the shops that are served with it.
    pub(super) fn honour(&self, others: &[&Self], meanings: &[Meaning], now: UnixTime) {
        let others: Vec<_> = others.iter().map(|other| other.meaning_now()).collect();
        let formers = Formers::of(&self.meaning_now(), &others, meanings, now);
        if formers.digest() != self.verifier.formers().digest() {
            self.verifier.honour(formers);
            self.confirmations.forget_words();
        }
    }

    /// The former meanings under which its tokens are looked up.
    pub fn honoured(&self) -> Vec<Honoured> {
        self.verifier.formers().honoured().cloned().collect()
    }

    /// How long entries about its tokens may live from now on, those that were made under former meanings included;
    /// `None`: for ever.
    pub fn longest_life(&self, now: UnixTime) -> Option<Duration> {
        let longest = self.verifier.longest_life()? + Meaning::KEPT_BEYOND;
        let honoured = self.honoured().into_iter().map(|former| former.until);
        match honoured.max() {
            None => Some(longest),
            Some(UnixTime::FOREVER) => None,
            Some(until) => Some(longest.max(until.since(now))),
        }
    }

    /// Whether a logout at one is none at the other, though both are in front of the same tokens: they have a key in
    /// common, and no token domain.
    pub fn shares_keys_only(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.verifier.issuers(), other.verifier.issuers());
        let has_key = |one: &Issuer| {
            let mark = one.key_mark();
            mark.is_some() && theirs.iter().any(|other| other.key_mark() == mark)
        };
        ours.iter().any(has_key) && !self.shares_domain(other)
    }

    /// Whether some token of it means the same at the other.
    pub fn shares_domain(&self, other: &Self) -> bool {
        let theirs = other.verifier.issuers();
        let is_theirs = |one: &Issuer| {
            let mut domains = theirs.iter().map(|other| &other.settings().token_domain);
            domains.any(|domain| *domain == one.settings().token_domain)
        };
        self.verifier.issuers().iter().any(is_theirs)
    }

    /// [`Shop::honoured`], a line each for people to read.
    pub fn honoured_in_words(&self) -> Vec<String> {
        let told = |former: &Honoured| {
            let of = if former.shop == self.name {
                String::new()
            } else {
                format!(" of shop {}", former.shop)
            };
            let until = if former.until == UnixTime::FOREVER {
                "for ever".to_owned()
            } else {
                format!("until {}", former.until)
            };
            let as_far = if former.differs.contains(&"ask") {
                "; a customer's other tokens, as far as the shop says whose they are as before"
            } else {
                ""
            };
            format!(
                "shop {} honours the former {}{of} {until}: tokens that were logged out under it stay dead{as_far}",
                self.name,
                former.differs.join(", "),
            )
        };
        self.verifier.formers().honoured().map(told).collect()
    }

    /// The calls that rules are about.
    fn calls(&self) -> impl Iterator<Item = &Call> {
        let refreshes = self.refreshes.iter().map(|rule| &rule.call);
        self.logout_calls().chain(refreshes)
    }

    /// The calls by which customers log out.
    pub(super) fn logout_calls(&self) -> impl Iterator<Item = &Call> {
        self.logouts.iter().map(|rule| &rule.call)
    }

    /// Whether a rule asks which mutation a request executes.
    fn asks_graphql(&self, line: &RequestLine<'_>) -> bool {
        self.calls().any(|call| call.asks_graphql(line))
    }

    /// A request as this shop's rules see it.
    pub(super) fn line_of<'r>(
        &self,
        request: &'r Request<'r>,
        path: &'r Path<'r>,
    ) -> RequestLine<'r> {
        RequestLine::of(request, path, self.path_style)
    }

    /// How a request is refused: a client of GraphQL looks for `errors`, whatever the rest of the shop speaks.
    pub(super) fn refusals_for(&self, head: &Parts) -> Cow<'_, RefusalSettings> {
        let mut calls = self
            .calls()
            .filter(|call| call.graphql.is_some())
            .peekable();
        let speaks = calls.peek().is_some() && {
            let (request, path) = (Request::new(head, None), Path::read(head.uri.path()));
            let line = self.line_of(&request, &path);
            calls.any(|call| call.is_under(&line))
        };
        if speaks {
            return Cow::Owned(RefusalSettings {
                shape: Shape::GraphQl,
                ..self.refusals.clone()
            });
        }
        Cow::Borrowed(&self.refusals)
    }

    /// Reads the GraphQL of a request, where a rule or a credential needs it, or refuses what hides it.
    pub(super) fn read_graphql(&self, line: &RequestLine<'_>) -> Result<(), Refusal> {
        let mut carriers = self.places.iter().map(|place| &place.carrier);
        let has_credentials = carriers.any(|one| matches!(one, Carrier::GraphQl(_)));
        let is_ruled = self.asks_graphql(line);
        if !is_ruled && !has_credentials {
            return Ok(());
        }
        let (request, settings) = (line.request, &self.graphql);
        let read = || Reading::of(request, &settings.learnt);
        let reading = request.graphql.get_or_init(read);
        reading.refuse_unread(is_ruled, has_credentials, settings.unread_body)?;
        let asks = is_ruled && settings.unknown_hash == UnknownHash::Ask;
        if asks && reading.has_unknown(|id| self.trusts(id)) {
            let batch = reading.batch();
            return Err(Refusal::UnknownDocument { batch });
        }
        Ok(())
    }

    /// Whether a rule names this stored document.
    fn trusts(&self, id: &str) -> bool {
        let mut conditions = self.calls().filter_map(|call| call.graphql.as_ref());
        conditions.any(|condition| condition.trusts(id))
    }

    /// What a request asks for, by its method, path and query, and the mutations that it executes.
    pub(super) fn purpose(
        &self,
        request: &Request<'_>,
        path: &Path<'_>,
    ) -> Result<Purpose<'_>, Refusal> {
        let line = self.line_of(request, path);
        self.refuse_ambiguous(&line)?;
        self.read_graphql(&line)?;
        if self.is_own(&self.own_logout.call.paths, path) {
            return match request.head.method {
                Method::POST => Ok(Purpose::LogOut(&self.own_logout)),
                Method::OPTIONS if asks_preflight(&line) => Ok(Purpose::Preflight),
                _ => Err(Refusal::MethodNotAllowed { allow: "POST" }),
            };
        }
        if self.is_own(std::slice::from_ref(&self.own_script), path) {
            return match request.head.method {
                Method::GET | Method::HEAD => Ok(Purpose::Script),
                _ => Err(Refusal::MethodNotAllowed { allow: "GET, HEAD" }),
            };
        }
        let enforce = route::demand(&self.routes, &line);
        if asks_preflight(&line) {
            return Ok(Purpose::Visit(enforce.min(Enforce::Revoked)));
        }
        let mut logouts = self.logouts.iter();
        if let Some(rule) = logouts.find(|rule| rule.call.claims(&line)) {
            return Ok(Purpose::LogOut(rule));
        }
        let mut refreshes = self.refreshes.iter();
        let refresh = refreshes.find(|rule| rule.call.claims(&line));
        Ok(match refresh {
            Some(rule) => Purpose::Refresh(rule, enforce),
            None => Purpose::Visit(enforce),
        })
    }

    /// Whether a path is one of Doorward's own. Those stand at the root, and no other server reads them.
    fn is_own(&self, own: &[PathPattern], path: &Path<'_>) -> bool {
        let mut own = own.iter();
        own.any(|pattern| {
            path.readings()
                .any(|reading| pattern.is_written(reading, self.path_style))
        })
    }

    /// A path as it may stand in a log: without what could be a credential, or what a rule names as the token.
    pub fn loggable_path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let read = Path::read(path);
        match self.token_in_path(&read) {
            Some(token) => without_token(path, token),
            None => loggable_path(path),
        }
    }

    /// What a rule names as the token in a path.
    pub(super) fn token_in_path<'p>(&self, path: &'p Path<'_>) -> Option<&'p str> {
        let mut calls = self.calls();
        calls.find_map(|call| call.captured(path, self.path_style))
    }

    /// Whether credentials may stand in the body of a request, or what it asks for.
    pub(super) fn needs_body(&self, request: &Request<'_>) -> BodyNeed {
        let path = Path::read(request.head.uri.path());
        let line = self.line_of(request, &path);
        let need = self.rules_need(&line);
        let places = self.places.iter();
        let mut in_bodies = places.filter(|place| place.carrier.is_in_body());
        if need == BodyNeed::Whole || !self.has_places_in_body() {
            return need;
        }
        let purpose = self.purpose(request, &path);
        if matches!(
            purpose,
            Ok(Purpose::Visit(Enforce::Off) | Purpose::Refresh(_, Enforce::Off))
        ) {
            return need;
        }
        let occasion = purpose.map_or(Occasion::Visit, Purpose::occasion);
        let is_said = occasion == Occasion::Logout && self.says_bearer_in_head(request);
        if in_bodies
            .any(|place| place.at.include(occasion) && !(is_said && self.is_bearer_too(place)))
        {
            BodyNeed::Whole
        } else if self.sweeps_bodies() && is_text(request) {
            need.max(BodyNeed::Sweep)
        } else {
            need
        }
    }

    /// How much of a body rules need that it could be under.
    fn rules_need(&self, line: &RequestLine<'_>) -> BodyNeed {
        let of_calls = self.calls().map(|call| call.body_need(line));
        let of_routes = self.routes.iter().map(|route| route.body_need(line));
        // What hands out tokens is recognised as far as its body can be read.
        let of_mints = self.mints.iter().map(|rule| rule.call.body_need(line));
        let of_mints = of_mints.map(|need| need.min(BodyNeed::Sweep));
        let need = of_calls
            .chain(of_routes)
            .chain(of_mints)
            .chain([self.hint_need(line)]);
        need.max().unwrap_or_default()
    }

    /// Whether a header of a request carries the shop's bearer.
    fn says_bearer_in_head(&self, request: &Request<'_>) -> bool {
        let carriers = self.places.iter().map(|place| &place.carrier);
        let mut schemed = carriers.filter(|carrier| carrier.schemes().is_some());
        let is_there = |name| request.head.headers.contains_key(name);
        schemed.any(|carrier| carrier.header().is_some_and(is_there))
    }

    /// Whether a place of the body only repeats the bearer, which the query carries on every occasion. A logout with the
    /// header needs no such body, however long it is.
    fn is_bearer_too(&self, place: &Place) -> bool {
        let name = place.carrier.parameter();
        name.is_some_and(|name| {
            let carries = |other: &Place| {
                matches!(&other.carrier, Carrier::Query(called) if called == name)
                    && !other.is_accompanying()
            };
            self.places.iter().any(carries)
        })
    }

    /// Whether its body is read only for the dead tokens in it: what else becomes of a request its head decides.
    pub(super) fn only_sweeps(&self, request: &Request<'_>) -> bool {
        let path = Path::read(request.head.uri.path());
        let line = self.line_of(request, &path);
        matches!(self.purpose(request, &path), Ok(Purpose::Visit(_)))
            && self.rules_need(&line) == BodyNeed::None
            && self.needs_body(request) == BodyNeed::Sweep
    }

    /// D9: a path that could be under a rule for the shop and not for us is refused.
    fn refuse_ambiguous(&self, line: &RequestLine<'_>) -> Result<(), Refusal> {
        if !line.path.is_ambiguous() {
            return Ok(());
        }
        let mut calls = self.calls().chain([&self.own_logout.call]);
        let ruled = line.path.is_endless()
            || calls.any(|call| call.is_under(line))
            || self.routes.iter().any(|route| route.is_at(line));
        if ruled {
            Err(Refusal::AmbiguousPath)
        } else {
            Ok(())
        }
    }

    /// Reads one credential: verified or opaque, else the refusal of a request that stands on it.
    pub(super) fn read(
        &self,
        credential: &Credential<'_>,
        now: UnixTime,
    ) -> Result<Token, Refusal> {
        let text = &*credential.text;
        let token = match &credential.key {
            Some(key) => Ok(self.verifier.opaque(text, key)),
            None => self.verifier.read(credential.kind, text, now),
        };
        match token {
            Ok(Token::Opaque(_)) if credential.hides_another() => Err(Refusal::MalformedCredential),
            Ok(token) => Ok(token),
            // A refresh token may be signed with a key that is not published: the shop alone can judge it.
            Err(flaw) if flaw.is_undecided() && credential.place.is_opaque_too() => {
                Ok(self.verifier.by_digest(text))
            }
            Err(flaw) => Err(Refusal::from(flaw)),
        }
    }

    /// The JWTs in a text of a body, as far as they verify.
    pub(super) fn read_jwts(&self, text: &str, now: UnixTime) -> Result<Tokens, Refusal> {
        let mut tokens = Tokens::new();
        for jwt in jwts_in(text) {
            match self.verifier.read(Kind::Jwt, jwt, now) {
                Ok(token) => tokens.push(token),
                Err(Flaw::NoKeys) if self.verifier.may_be_ours(jwt) => {
                    return Err(Refusal::KeysMissing);
                }
                // What can't be verified can't be dead but by its digest, or as what it was called.
                Err(_) if !self.verifier.formers().is_empty() => {
                    tokens.push(self.verifier.by_digest(jwt));
                }
                Err(_) => {}
            }
        }
        Ok(tokens)
    }

    /// What a text of a body could be revoked by, if it is an opaque token in one of the ways in which the shop's places
    /// are written.
    pub(super) fn digests_of(&self, text: &str) -> Result<SmallVec<[Id; 2]>, Refusal> {
        let bare = trimmed(text);
        let mut digests = SmallVec::new();
        if bare.contains(' ') || bare.contains(char::is_whitespace) {
            return Ok(digests);
        }
        let name = self.verifier.settings().opaque_name(bare);
        digests.extend(self.verifier.digests_of(bare, name));
        let formers = self.verifier.formers();
        let places = self.places.iter().chain(formers.places());
        for place in places.filter(|place| !place.spelling.is_plain()) {
            let spelling = &place.spelling;
            for text in spelling.unwrap(Cow::Borrowed(text)) {
                match spelling.key(&text) {
                    Ok(Some(key)) => digests.extend(self.verifier.digests_of(&text, &key)),
                    Err(refusal) if spelling.pattern.is_some() && !place.is_former() => {
                        return Err(refusal);
                    }
                    Ok(None) | Err(_) => {} // without a pattern nothing tells it from any other text
                }
            }
        }
        Ok(digests)
    }

    /// The token that a path names by way of its rule; of other methods, by way of any rule: it may be dead.
    pub(super) fn token_of_path<'p>(
        &self,
        purpose: Purpose<'_>,
        path: &'p Path<'_>,
    ) -> Option<&'p str> {
        let captured = |call: &Call| call.captured(path, self.path_style);
        match purpose {
            Purpose::LogOut(rule) => captured(&rule.call),
            Purpose::Refresh(rule, _) => captured(&rule.call),
            Purpose::Preflight | Purpose::Script => None,
            Purpose::Visit(_) => self.calls().find_map(captured),
        }
    }

    /// A request of it is judged.
    pub(super) fn note_judged(&self) {
        self.judged.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether dead tokens are looked for in every body, because some body carries a credential.
    pub(super) fn sweeps_bodies(&self) -> bool {
        self.examine == Examine::Everything && self.has_places_in_body()
    }

    /// Whether a body carries credentials, or did under a former meaning.
    fn has_places_in_body(&self) -> bool {
        let in_body = |place: &Place| place.carrier.is_in_body();
        self.places.iter().any(in_body) || self.verifier.formers().places().iter().any(in_body)
    }

    /// A bearer that stores itself at a logout must look like one of the shop's; a refresh token looks different.
    pub(super) fn refuse_implausible(
        &self,
        token: &Token,
        credential: &Credential<'_>,
    ) -> Result<(), Refusal> {
        if credential.is_ambient() || credential.place.is_accompanying() {
            return Ok(());
        }
        let plausible = self.verifier.refuse_implausible(token, &credential.text);
        plausible.map_err(Refusal::from)
    }
}

/// Whether a body may be a form or JSON by what it is said to be: media, streams and the like are not. What says nothing
/// and has no length may be a stream that waits for its answer.
fn is_text(request: &Request<'_>) -> bool {
    let kind = content_type(request);
    if kind.is_empty() {
        return request.head.headers.contains_key(CONTENT_LENGTH);
    }
    let words = ["json", "form", "multipart/", "text/", "graphql", "xml"];
    let streams = ["event-stream", "ndjson", "json-seq", "stream+json"];
    words.iter().any(|word| kind.contains(word)) && !streams.iter().any(|word| kind.contains(word))
}

/// A browser's question whether a page of another origin may send a request. It comes without credentials (Fetch,
/// section 4.8), so the shop answers it whatever a route demands.
fn asks_preflight(line: &RequestLine<'_>) -> bool {
    let head = line.request.head;
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        && !line.names_method()
}
