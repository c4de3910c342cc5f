//! The life of a request: find the shop, take its credentials, verify, ask whether they are revoked, act.
//!
//! Nothing here awaits, does I/O or asks what time it is.

mod agreement;
mod answer;
mod by_hand;
mod call;
mod claims;
mod compact;
mod condition;
mod confirmations;
mod cookie_deletion;
mod credential;
mod dead_cookie;
mod doubtful;
mod flaw;
mod former;
mod graphql;
mod host;
mod inquiry;
mod issuer;
mod json;
mod key_ring;
mod key_source;
mod keys;
mod known_logouts;
mod lax_json;
mod likely_tokens;
mod loggable;
mod logout;
mod meaning;
mod mint;
mod multipart;
mod near_miss;
mod parameters;
mod path;
mod path_pattern;
mod refresh;
mod refusal;
mod request_line;
mod request_site;
mod route;
mod seen_cookies;
mod server_clock;
mod set_cookie;
mod shop;
mod shop_clock;
mod shop_cookies;
mod token;
mod token_settings;
mod verify;
mod web_origin;
mod words;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use smallvec::SmallVec;

pub use agreement::{Agreement, Wanted};
pub use answer::{ALLOWED, Answer, RefusalSettings, Shape};
pub use by_hand::{ByHand, HIDDEN_OWNER, Named, Shown, Target, UnfitOrder};
pub use call::{BodyNeed, Call};
pub use claims::{Claims, IssuedAt, TimeClaim, TimeUnit};
pub use condition::{Condition, ConditionPlace, ConditionValue};
pub use confirmations::Confirmations;
pub use cookie_deletion::{CookieDeletion, deletions_beside};
pub use credential::{
    Carrier, Credential, Decoding, Fold, NamePattern, Occasion, Occasions, Place, PlaceCounts,
    Spelling,
};
pub use dead_cookie::{DeadCookie, DeadCookiePolicy};
pub use doubtful::Doubtful;
pub use flaw::{ClaimName, Flaw, Unreadable};
pub use former::Honoured;
pub use graphql::{GraphQlCondition, GraphQlSettings, Learnt, UnknownHash, UnreadBody};
pub use host::{HostPattern, host_of};
pub use inquiry::{ContentType, Inquiry};
pub use issuer::Issuer;
pub use json::Pointer;
pub use key_ring::{KeyRing, KeyState};
pub use key_source::{JwksSource, JwksUrl, KeySource};
pub use keys::{ALGORITHMS, Keys, UnfitKey, UnfitSet, name_of, secret_bytes_min};
pub use known_logouts::KnownLogouts;
pub use likely_tokens::LikelyTokens;
pub use loggable::loggable_path;
pub use logout::{AnswerBy, Assent, ClientKey, LogoutRule, Scope, When};
pub use mint::{AnswerTokens, HandedOut, MintRule, OnReissue};
pub use path::{Path, PathStyle};
pub use path_pattern::{Base, Fit, Folder, PathPattern};
pub use refresh::RefreshRule;
pub use refusal::Refusal;
pub use request_site::RequestSite;
pub use route::{Enforce, Route};
pub use seen_cookies::SeenCookies;
pub use shop::{Examine, Shop, Tokens};
pub use shop_clock::{ClockWarning, ServerOffset, ShopClock};
pub use token::{Confirmed, Token, Verified};
pub use token_settings::{Kind, TokenSettings, UnknownToken};
pub use verify::{TOKEN_BYTES_MAX, Verifier};
pub use web_origin::WebOrigin;
pub use words::Words;

use crate::clock::UnixTime;
use crate::revocation::{Cause, Id, Meaning, Revocation, Revocations, Source, UNCONFIRMED_LIFE};
use confirmations::Asked;
use credential::Segments;
use dead_cookie::SetAside;
use loggable::without_token;
use logout::Reach;
use request_site::may_be_sent_by_another_site;
use shop::{Alive, Purpose};

/// A request as it is judged.
pub struct Request<'a> {
    /// Its head, as it came.
    pub head: &'a Parts,
    /// Its body, where [`Gate::needs_body`] asked for it.
    pub body: Option<&'a [u8]>,
    /// The host that the customer asked for, where a trusted proxy says that it was another one.
    forwarded_host: Option<&'a str>,
    /// Its GraphQL, once it was read.
    graphql: OnceCell<graphql::Reading>,
}

impl<'a> Request<'a> {
    /// A request with this head, and its body where [`Gate::needs_body`] asked for it.
    pub fn new(head: &'a Parts, body: Option<&'a [u8]>) -> Self {
        let graphql = OnceCell::new();
        Self {
            head,
            body,
            forwarded_host: None,
            graphql,
        }
    }

    /// The same, asked for under this host as a trusted proxy says.
    #[must_use]
    pub fn forwarded_as(self, host: Option<&'a str>) -> Self {
        Self {
            forwarded_host: host,
            ..self
        }
    }
}

/// A request on its way through the gate.
#[derive(Clone, Copy)]
struct Arrival<'a, 'r> {
    request: &'a Request<'r>,
    /// Whether its shop was asked about its tokens.
    asked: Asked,
    /// The token that its path names.
    token_of_path: Option<&'a str>,
}

/// Judges requests. It needs the revocations, and those exist only once the journal was replayed.
pub struct Gate {
    shops: Vec<Arc<Shop>>,
    revocations: Arc<Revocations>,
    /// Which meanings of names the shops honour: see [`Revocations::meaning_changes`].
    meanings: AtomicU64,
    /// Held while that changes.
    honouring: Mutex<()>,
}

/// What becomes of a request that is not refused.
pub enum Verdict<'g> {
    /// It goes to the shop, for as long as none of its tokens is revoked.
    Forward {
        /// Which one.
        shop: &'g Arc<Shop>,
        /// The tokens that it stands on, and those that it carries besides.
        tokens: Tokens,
        /// Whether its route demands a credential: the shop answers it with success only to a token that it knows.
        is_demanded: bool,
        /// The cookies that are taken out of it.
        dead_cookies: Vec<DeadCookie>,
    },
    /// These are revoked first; then it is answered, or goes to the shop.
    LogOut(Box<LogOut>),
    /// A browser asked whether a page may call Doorward's own logout.
    Preflight,
    /// The shop is to be asked about these first; then it is judged again.
    Ask(&'g Arc<Shop>, Vec<Doubtful>),
    /// A page asked for the script for Ecwid.
    Script,
}

/// A logout that was recognised.
pub struct LogOut {
    /// Of which shop.
    pub shop: Arc<Shop>,
    /// By which rule.
    pub rule: Arc<LogoutRule>,
    /// What it revokes, for as long as a token can be accepted; nothing, when it came without a credential and that is
    /// fine.
    pub revocations: Vec<Revocation>,
    /// The tokens that the shop may know although nothing verifies them.
    likely: Vec<Id>,
    /// Whether a yes of the shop can only be about the one token that it came with.
    is_single: bool,
    /// When it counts.
    when: When,
    /// Whether a page of another site may have sent it.
    may_be_foreign: bool,
    /// The presented tokens, where these alone live on.
    spared: Vec<Id>,
    /// When the presented tokens of a customer were issued.
    issued: Vec<(Id, UnixTime)>,
    /// When it was judged.
    at: UnixTime,
    /// The cookies that are taken out of it: their tokens are dead already.
    pub dead_cookies: Vec<DeadCookie>,
    /// The lines that delete the customer's cookies.
    deletions: Vec<HeaderValue>,
    /// Its token had expired already.
    expired: bool,
    /// What is executed beside it, if it came as GraphQL.
    graphql: Option<graphql::Outcome>,
}

/// In which order a logout is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All of it, then the shop is told.
    AtOnce,
    /// The presented token; then the shop is told, whose clock is not known yet; then the cutoffs.
    TokensFirst,
    /// The shop is asked; if it agrees, all of it.
    ShopFirst,
}

/// A request that is refused.
pub struct Refused<'g> {
    /// Why.
    pub refusal: Refusal,
    /// By which shop, if it got that far.
    pub shop: Option<&'g Arc<Shop>>,
    /// The words of the rule that it came under, where that has some for it.
    pub words: Option<&'g Words>,
    /// The cookies that the answer deletes: their tokens are dead.
    pub dead_cookies: Vec<DeadCookie>,
}

impl Gate {
    /// A gate in front of these shops; the first that claims a host has it.
    pub fn new(shops: Vec<Arc<Shop>>, revocations: Arc<Revocations>) -> Self {
        let revives = shops
            .iter()
            .any(|shop| shop.on_reissue == OnReissue::Revive);
        revocations.let_revive(revives);
        Self {
            shops,
            revocations,
            meanings: AtomicU64::new(u64::MAX),
            honouring: Mutex::new(()),
        }
    }

    /// Has tokens looked up by what they were called under former configurations, as far as entries live that were made
    /// under those: here, or at another node.
    pub fn honour_meanings(&self, now: UnixTime) {
        let is_up_to_date =
            || self.meanings.load(Ordering::Acquire) == self.revocations.meaning_changes();
        if is_up_to_date() {
            return;
        }
        let _honouring = self.honouring.lock();
        if is_up_to_date() {
            return;
        }
        let changes = self.revocations.meaning_changes(); // read first: what changes meanwhile is seen the next time
        let meanings = self.revocations.meanings();
        let shops: Vec<_> = self.shops.iter().map(Arc::as_ref).collect();
        honour_meanings(&shops, &meanings, now);
        self.meanings.store(changes, Ordering::Release);
    }

    /// What is to be put in force before these, so that a later configuration does not forget what the shop's names mean.
    pub fn meaning_before(
        &self,
        shop: &Shop,
        revocations: &[Revocation],
        now: UnixTime,
    ) -> Vec<Revocation> {
        self.revocations
            .meaning_before(shop.meaning(), revocations, now)
    }

    /// The same for an order by hand, which goes by former names as well: their meanings are kept as long.
    pub fn meanings_before(
        &self,
        shop: &Shop,
        revocations: &[Revocation],
        now: UnixTime,
    ) -> Vec<Revocation> {
        let mut meant = self.meaning_before(shop, revocations, now);
        if let Some(until) = revocations.iter().map(Revocation::until).max() {
            for text in shop.verifier.formers().texts() {
                meant.extend(self.revocations.meaning_until(text, until));
            }
        }
        meant
    }

    /// The shops.
    pub fn shops(&self) -> &[Arc<Shop>] {
        &self.shops
    }

    /// The shop of that name.
    pub fn shop_named(&self, name: &str) -> Option<&Arc<Shop>> {
        self.shops.iter().find(|shop| shop.name == name)
    }

    /// What is revoked.
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// The whole path of a request.
    pub fn judge(&self, request: &Request<'_>, now: UnixTime) -> Result<Verdict<'_>, Refused<'_>> {
        self.judge_with(request, Asked::No, now)
    }

    /// The same, after the shop was asked about its tokens.
    pub fn judge_again(
        &self,
        request: &Request<'_>,
        now: UnixTime,
    ) -> Result<Verdict<'_>, Refused<'_>> {
        self.judge_with(request, Asked::Yes, now)
    }

    fn judge_with(
        &self,
        request: &Request<'_>,
        asked: Asked,
        now: UnixTime,
    ) -> Result<Verdict<'_>, Refused<'_>> {
        self.honour_meanings(now);
        let shop = self.shop_of(request).map_err(Refused::by_nobody)?;
        shop.note_judged();
        let path = Path::read(request.head.uri.path());
        let purpose = shop.purpose(request, &path).map_err(Refused::by(shop))?;
        let arrival = Arrival {
            request,
            asked,
            token_of_path: shop.token_of_path(purpose, &path),
        };
        match purpose {
            Purpose::Preflight => Ok(Verdict::Preflight),
            Purpose::Script => Ok(Verdict::Script),
            Purpose::Visit(Enforce::Off) | Purpose::Refresh(_, Enforce::Off) => {
                Ok(Verdict::Forward {
                    shop,
                    tokens: Tokens::new(),
                    is_demanded: false,
                    dead_cookies: Vec::new(),
                })
            }
            Purpose::Visit(enforce) => {
                let mut aside = SetAside::under(shop.dead_cookie);
                let occasion = (Occasion::Visit, enforce);
                self.admit(shop, occasion, arrival, &mut aside, now)
                    .map_err(|refusal| Refused::of(shop, refusal).deleting(aside.cookies))
            }
            Purpose::Refresh(rule, enforce) => {
                let mut aside = SetAside::under(shop.dead_cookie);
                let occasion = (Occasion::Refresh, enforce);
                self.admit(shop, occasion, arrival, &mut aside, now)
                    .map_err(|refusal| {
                        let refused = Refused::of(shop, refusal).in_words(rule.words_for(refusal));
                        refused.deleting(aside.cookies)
                    })
            }
            Purpose::LogOut(rule) => {
                let mut aside = SetAside::under(shop.dead_cookie);
                self.log_out(shop, rule, arrival, &mut aside, now)
                    .map_err(|refusal| {
                        let refused = Refused::of(shop, refusal).in_words(rule.words_for(refusal));
                        refused.deleting(aside.cookies)
                    })
            }
        }
    }

    /// A visit: every credential is judged by itself, and what the route demands is there.
    fn admit<'g>(
        &self,
        shop: &'g Arc<Shop>,
        (occasion, enforce): (Occasion, Enforce),
        arrival: Arrival<'_, '_>,
        aside: &mut SetAside,
        now: UnixTime,
    ) -> Result<Verdict<'g>, Refusal> {
        let Arrival { request, asked, .. } = arrival;
        let named = arrival.token_of_path;
        let formers = shop.verifier.formers();
        let mut credentials = credential::take_all(&shop.places, occasion, request, named)?;
        if !formers.places().is_empty() {
            credentials.extend(credential::take_former(formers.places(), occasion, request));
        }
        self.refuse_unknowing(credentials.is_empty(), now)?;
        let (mut alive, mut watched) = (Alive::new(), Tokens::new());
        for credential in credentials {
            let counts = credential.counts_at(occasion);
            match self.read(shop, &credential, now) {
                Ok(token) if counts => alive.push((token, credential)),
                Ok(token) => watched.push(token),
                Err(refusal) if credential.is_ignored(refusal, counts) => {}
                Err(refusal) => aside.take(&credential, refusal)?,
            }
        }
        self.refuse_dead_body(shop, request, now)?;
        let doubtful = shop.confirm(&mut alive, (occasion, asked), now)?;
        if !doubtful.is_empty() {
            return Ok(Verdict::Ask(shop, doubtful));
        }
        let mut tokens = Tokens::new();
        let mut living: SmallVec<[Segments<'_>; 2]> = SmallVec::new();
        for (token, credential) in alive {
            let judged = self
                .refuse_confirmed(shop, &token, now)
                .and_then(|()| self.refuse_forgotten(&token, now))
                .and_then(|()| enforce.admit_token(&token, now));
            match judged {
                Ok(()) => {
                    tokens.push(token);
                    living.extend((!credential.segments.is_empty()).then_some(credential.segments));
                }
                Err(refusal) => aside.take(&credential, refusal)?,
            }
        }
        if enforce.needs_credential() && tokens.is_empty() {
            return Err(aside.refusal.unwrap_or(Refusal::NoCredential));
        }
        tokens.extend(watched);
        aside.keep_names_of(living.iter().flatten().copied());
        Ok(Verdict::Forward {
            shop,
            tokens,
            is_demanded: enforce.needs_credential(),
            dead_cookies: std::mem::take(&mut aside.cookies),
        })
    }

    /// A logout: every credential is judged by itself. What is alive ends, what is dead stays dead and keeps nothing
    /// else from ending; what has expired may still be revoked.
    fn log_out<'g>(
        &self,
        shop: &'g Arc<Shop>,
        rule: &'g Arc<LogoutRule>,
        arrival: Arrival<'_, '_>,
        aside: &mut SetAside,
        now: UnixTime,
    ) -> Result<Verdict<'g>, Refusal> {
        let Arrival { request, asked, .. } = arrival;
        rule.check_client_key(request)?;
        let named = arrival.token_of_path;
        let mut credentials = credential::take_all(&shop.places, Occasion::Logout, request, named)?;
        credentials.retain(|credential| credential.counts_at(Occasion::Logout));
        self.refuse_unknowing(credentials.is_empty(), now)?;
        let when = rule.when_sent_by(request, &credentials, &shop.hosts)?;
        let may_be_foreign = may_be_sent_by_another_site(request, &credentials, &shop.hosts);
        let mut is_bare = true;
        let (mut alive, mut refused) = (Alive::new(), None);
        for credential in credentials {
            match self.read_for_logout(shop, &credential, now) {
                Ok(token) if !token.is_revocable() => {} // nobody's, so it is no credential here
                Ok(token) => {
                    is_bare = false;
                    alive.push((token, credential));
                }
                Err(refusal) if refusal.is_passing() => return Err(refusal),
                Err(refusal) => {
                    is_bare = false;
                    note_refused(&mut refused, rule, &credential, refusal);
                    if !credential.is_ignored(refusal, true) {
                        aside.note(&credential, refusal);
                    }
                }
            }
        }
        let mut doubtful = shop.confirm(&mut alive, (Occasion::Logout, asked), now)?;
        // What is dead as the shop's word was does not get there.
        doubtful.retain(|one| {
            let mut tokens = alive.iter().map(|(token, _)| token);
            let known = tokens.find(|token| token.identity().id == one.id());
            known.is_none_or(|token| self.refuse_confirmed(shop, token, now).is_ok())
        });
        if !doubtful.is_empty() {
            return Ok(Verdict::Ask(shop, doubtful));
        }
        alive.retain(|(token, credential)| {
            let judged = self
                .refuse_confirmed(shop, token, now)
                .and_then(|()| shop.refuse_implausible(token, credential));
            if let Err(refusal) = judged {
                note_refused(&mut refused, rule, credential, refusal);
                aside.note(credential, refusal);
            }
            judged.is_ok()
        });
        match refused {
            Some(refusal) if alive.is_empty() => return Err(refusal),
            None if is_bare && rule.missing.is_some() => return Err(Refusal::NoCredential),
            Some(_) | None => {}
        }
        let dead_cookies = std::mem::take(&mut aside.cookies);
        let revocations = self.revocations_of(&alive, shop, rule, now);
        let spared = spared_by(rule, &alive);
        let is_vain = revocations.is_empty() && !alive.is_empty() && !spared.is_empty();
        if is_vain {
            return Err(Refusal::Unverifiable(Flaw::NoCustomer)); // nobody knows whose the others are
        }
        let ended = ended_cookies(&alive, &spared, &dead_cookies);
        Ok(Verdict::LogOut(Box::new(LogOut {
            shop: Arc::clone(shop),
            rule: Arc::clone(rule),
            revocations,
            likely: likely_among(&alive, shop),
            is_single: is_single(&alive),
            issued: issue_times_of(&alive),
            spared,
            when,
            may_be_foreign,
            at: now,
            deletions: shop.deletions_at(rule, &ended, request),
            dead_cookies,
            expired: are_expired(&alive, now),
            graphql: graphql_of(rule, request),
        })))
    }

    /// The tokens in the head of a request that was let in before, by what they are called now. Nothing else of it is judged.
    /// What the shop said of those `before` still counts.
    pub fn tokens_again(&self, request: &Request<'_>, before: &Tokens, now: UnixTime) -> Tokens {
        self.honour_meanings(now);
        let Ok(shop) = self.shop_of(request) else {
            return Tokens::new();
        };
        let path = Path::read(request.head.uri.path());
        let named = shop.token_in_path(&path);
        let formers = shop.verifier.formers();
        let taken = credential::take_all(&shop.places, Occasion::Visit, request, named);
        let former = credential::take_former(formers.places(), Occasion::Visit, request);
        let credentials = taken.unwrap_or_default().into_iter().chain(former);
        let read = credentials.filter_map(|credential| shop.read(&credential, now).ok());
        read.map(|token| shop.vouched_before(token, before))
            .collect()
    }

    /// One credential: what it is, unless it is bad or dead.
    fn read(
        &self,
        shop: &Shop,
        credential: &Credential<'_>,
        now: UnixTime,
    ) -> Result<Token, Refusal> {
        let read = shop.read(credential, now);
        credential.count(read.as_ref().err());
        let token = read?;
        self.refuse_revoked(shop, &token)?;
        self.date(shop, &token, now);
        Ok(token)
    }

    /// The same at a logout, where a JWT that no key can judge ends by its digest: the shop may know it.
    fn read_for_logout(
        &self,
        shop: &Shop,
        credential: &Credential<'_>,
        now: UnixTime,
    ) -> Result<Token, Refusal> {
        match self.read(shop, credential, now) {
            Err(Refusal::Unverifiable(flaw)) if flaw.is_undecided() => {
                let token = shop.verifier.by_digest(&credential.text);
                self.refuse_revoked(shop, &token)?;
                Ok(token)
            }
            judged => judged,
        }
    }

    /// What a logout with these revokes.
    fn revocations_of(
        &self,
        alive: &Alive<'_>,
        shop: &Shop,
        rule: &LogoutRule,
        now: UnixTime,
    ) -> Vec<Revocation> {
        let settings = shop.verifier.settings();
        let moment = shop.clock.moment(now);
        let companions = companions_in(alive);
        let mut revocations = Vec::with_capacity(2);
        let spared = spared_by(rule, alive);
        for (token, credential) in alive {
            let id = token.identity().id;
            let is_vouched =
                companions.contains(&id) || self.revocations.was_accepted(token.identity());
            let source = if is_vouched {
                Source::Verified
            } else {
                Source::Unverified(shop.tag)
            };
            let reach = if credential.place.is_hint() {
                Reach::Always
            } else {
                Reach::WhileAccepted
            };
            revocations.extend(rule.revocations(token, settings, source, reach, moment));
        }
        if rule.revoke == Scope::Others {
            let is_spared = |one: &Revocation| matches!(one, Revocation::Token { id, .. } if spared.contains(id));
            revocations.retain(|one| !is_spared(one));
            return sparing(&spared, revocations);
        }
        revocations
    }

    /// No text of the body is a dead token, whatever it is called there.
    fn refuse_dead_body(
        &self,
        shop: &Shop,
        request: &Request<'_>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        if request.body.is_none() || !shop.sweeps_bodies() {
            return Ok(());
        }
        if credential::is_in_strange_letters(request) {
            return Err(Refusal::MalformedCredential);
        }
        let mut jwts: SmallVec<[Id; 4]> = SmallVec::new();
        let mut look = |text: &str| self.refuse_dead_text(shop, text, &mut jwts, now).err();
        let refusal = credential::texts_of(request, &mut look);
        refusal.map_or(Ok(()), Err)
    }

    /// A text of a body is no dead token, and no JWT of it is one. `jwts`: those that were found before it.
    fn refuse_dead_text(
        &self,
        shop: &Shop,
        text: &str,
        jwts: &mut SmallVec<[Id; 4]>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        for token in shop.read_jwts(text, now)? {
            self.refuse_revoked(shop, &token)?;
            let id = token.identity().id;
            if token.is_verified() && !jwts.contains(&id) {
                jwts.push(id);
            }
        }
        if jwts.len() > SWEPT_JWTS_MAX {
            return Err(Refusal::MalformedCredential);
        }
        if !self.revocations.has_undated() {
            return Ok(());
        }
        for token in shop.digests_of(text)? {
            if self.revocations.has_undated_token(&token) {
                let cause = Cause::Token;
                return Err(Refusal::Revoked { cause, token });
            }
        }
        Ok(())
    }

    /// A node that may not know what was revoked judges no credential. Guests pass.
    fn refuse_unknowing(&self, is_guest: bool, now: UnixTime) -> Result<(), Refusal> {
        if is_guest || self.revocations.standing().serves(now) {
            return Ok(());
        }
        Err(Refusal::Syncing)
    }

    fn refuse_revoked(&self, shop: &Shop, token: &Token) -> Result<(), Refusal> {
        match self.cause_of(shop, token) {
            Some(cause) => Err(Refusal::Revoked {
                cause,
                token: token.identity().id,
            }),
            None => Ok(()),
        }
    }

    /// Why a token of a shop is refused, if it is.
    pub fn cause_of(&self, shop: &Shop, token: &Token) -> Option<Cause> {
        let identity = token.identity();
        let is_old = || {
            let is_undated = identity.issued_at.is_none() && shop.is_unknown_old(token);
            is_undated && self.revocations.covers_unknown(identity)
        };
        let cause = self.revocations.covers(identity);
        cause.or_else(|| is_old().then_some(Cause::Unknown))
    }

    /// A token that is good and says nothing of its issue is dated when it is first seen.
    fn date(&self, shop: &Shop, token: &Token, now: UnixTime) {
        if let Some(until) = shop.dated_until(token, now) {
            self.revocations
                .see(token.identity(), until, shop.meaning());
        }
    }

    /// What the shop said of a token may name a customer who has logged out.
    ///
    /// Such a token is dated before that, unless what no node has dated is old: a cutoff of which only the shop's time is
    /// known was made when opaque tokens counted as new.
    fn refuse_confirmed(&self, shop: &Shop, token: &Token, now: UnixTime) -> Result<(), Refusal> {
        if !token.is_confirmed() {
            return Ok(());
        }
        if !shop.is_unknown_old(token) {
            self.date(shop, token, now);
        }
        self.refuse_revoked(shop, token)?;
        self.date(shop, token, now);
        Ok(())
    }

    /// A token that was over once stays over, though the clock was set back: whether it was logged out is forgotten.
    fn refuse_forgotten(&self, token: &Token, now: UnixTime) -> Result<(), Refusal> {
        let end = match token {
            Token::Verified(token) => token.expires_at,
            Token::Confirmed(_) | Token::Opaque(_) | Token::Stranger(_) => None,
        };
        match end {
            Some(end) if self.revocations.may_have_forgotten(end, now) => Err(Refusal::Expired),
            Some(_) | None => Ok(()),
        }
    }

    /// The shop that a request is for, by its host.
    fn shop_of(&self, request: &Request<'_>) -> Result<&Arc<Shop>, Refusal> {
        if request.head.method == Method::TRACE {
            return Err(Refusal::TraceRefused);
        }
        let host = host_of(request)?;
        let claims = |shop: &&Arc<Shop>| {
            shop.hosts.is_empty() || shop.hosts.iter().any(|pattern| pattern.claims(host))
        };
        self.shops.iter().find(claims).ok_or(Refusal::UnknownHost)
    }

    /// How much of the body must be read before the request can be judged.
    pub fn needs_body(&self, head: &Parts) -> BodyNeed {
        let request = Request::new(head, None);
        let shop = self.shop_of(&request);
        shop.map_or(BodyNeed::None, |shop| shop.needs_body(&request))
    }

    /// A path as it may stand in a log, whichever shop it was for.
    pub fn loggable_path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let read = Path::read(path);
        let mut shops = self.shops.iter();
        match shops.find_map(|shop| shop.token_in_path(&read)) {
            Some(token) => without_token(path, token),
            None => loggable_path(path),
        }
    }

    /// The refusal of a request by its head alone, where its body can only make it worse. It is not waited for.
    pub fn refuse_before_body(&self, request: &Request<'_>, now: UnixTime) -> Option<Refused<'_>> {
        let shop = self.shop_of(request).ok()?;
        if !shop.only_sweeps(request) {
            return None;
        }
        let refused = self.judge(request, now).err();
        refused.filter(|refused| !refused.refusal.is_passing())
    }

    /// Whether a request whose body could not be read as far as needed goes to the shop all the same. An upload is
    /// never refused for its size where no rule is about it.
    pub fn passes_unread(&self, head: &Parts) -> bool {
        let request = Request::new(head, None);
        self.shop_of(&request).is_ok_and(|shop| {
            shop.graphql.unread_body == UnreadBody::Forward
                || shop.needs_body(&request) != BodyNeed::Whole
        })
    }

    /// The refusal of a request whose body could not be read as far as needed.
    pub fn refuse_unread(&self, head: &Parts, refusal: Refusal) -> Refused<'_> {
        let shop = self.shop_of(&Request::new(head, None)).ok();
        Refused {
            refusal,
            shop,
            words: None,
            dead_cookies: Vec::new(),
        }
    }
}

/// Has each of these shops look its tokens up by what they were called under former ones of these meanings, too.
pub fn honour_meanings(shops: &[&Shop], meanings: &[Meaning], now: UnixTime) {
    for shop in shops {
        let others = shops.iter().filter(|other| other.name != shop.name);
        let others: Vec<_> = others.copied().collect();
        shop.honour(&others, meanings, now);
    }
}

/// How many JWTs of one body are verified; no client sends as many.
const SWEPT_JWTS_MAX: usize = 16;

/// How many tokens beside a verified one are taken on its word. A browser sends a few; each verified token speaks once, for it
/// is dead then.
const COMPANIONS_MAX: usize = 4;

/// The tokens that came with a verified one, and are not rationed: there are no more of them than of those.
fn companions_in(alive: &Alive<'_>) -> SmallVec<[Id; COMPANIONS_MAX]> {
    let mut companions = SmallVec::new();
    if !alive.iter().any(|(token, _)| token.is_verified()) {
        return companions;
    }
    for (token, _) in alive {
        let id = token.identity().id;
        let is_new = !token.is_verified() && !companions.contains(&id);
        if is_new && companions.len() < COMPANIONS_MAX {
            companions.push(id);
        }
    }
    companions
}

/// The tokens that the shop may know although nothing verifies them, or that it could not be asked about.
fn likely_among(alive: &Alive<'_>, shop: &Shop) -> Vec<Id> {
    let is_asked = shop.verifier.settings().inquiry.is_some();
    let is_likely = |token: &Token| {
        let is_silent = is_asked && token.opaque_id().is_some();
        is_silent || (!token.is_verified() && shop.likely.holds(&token.identity().id))
    };
    let likely = alive.iter().filter(|(token, _)| is_likely(token));
    likely.map(|(token, _)| token.identity().id).collect()
}

/// Whether a yes to a logout can only be about one token; it may bring one other, such as a refresh token.
fn is_single(alive: &Alive<'_>) -> bool {
    let own = |(_, credential): &&(Token, Credential<'_>)| !credential.place.is_accompanying();
    match alive.len() {
        0 | 1 => true,
        2 => alive.iter().filter(own).count() == 1,
        _ => false,
    }
}

/// When the presented tokens were issued that name their customer, as far as they or the shop say so.
fn issue_times_of(alive: &Alive<'_>) -> Vec<(Id, UnixTime)> {
    let tokens = alive.iter().map(|(token, _)| token);
    let issued = tokens.filter_map(|token| token.customer().zip(token.said_issued_at()));
    issued.collect()
}

/// The presented tokens that a logout leaves alive.
fn spared_by(rule: &LogoutRule, alive: &Alive<'_>) -> Vec<Id> {
    if rule.revoke != Scope::Others {
        return Vec::new();
    }
    alive.iter().map(|(token, _)| token.identity().id).collect()
}

/// Before each cutoff, what it spares: a token that is spared is never refused in between.
fn sparing(spared: &[Id], revocations: Vec<Revocation>) -> Vec<Revocation> {
    let all = revocations.into_iter();
    all.flat_map(|one| {
        let exceptions = spared.iter().filter_map(move |id| one.sparing(*id));
        exceptions.chain([one])
    })
    .collect()
}

/// The names of the cookies whose tokens are dead after a logout.
fn ended_cookies(alive: &Alive<'_>, spared: &[Id], dead: &[DeadCookie]) -> Vec<String> {
    let ended = alive
        .iter()
        .filter(|(token, _)| !spared.contains(&token.identity().id));
    let segments = ended.flat_map(|(_, credential)| &credential.segments);
    let alive = segments.map(|segment| dead_cookie::name_in(segment));
    let dead = dead.iter().map(|cookie| cookie.name.clone());
    alive.chain(dead).collect()
}

/// Whether all that a logout brought had expired. A hint may have.
fn are_expired(alive: &Alive<'_>, now: UnixTime) -> bool {
    let is_expired = |(token, credential): &(Token, Credential<'_>)| {
        !credential.place.is_hint()
            && Enforce::Valid.admit_token(token, now) == Err(Refusal::Expired)
    };
    !alive.is_empty() && alive.iter().all(is_expired)
}

/// The first thing that is wrong with what a logout brought. A cookie comes by itself: a dead one is no fault where
/// the shop has no words for it.
fn note_refused(
    refused: &mut Option<Refusal>,
    rule: &LogoutRule,
    credential: &Credential<'_>,
    refusal: Refusal,
) {
    let is_excused = credential.is_ambient() && rule.invalid.is_none();
    if !is_excused && !credential.is_ignored(refusal, true) {
        refused.get_or_insert(refusal);
    }
}

/// What a GraphQL request executes beside this logout.
fn graphql_of(rule: &LogoutRule, request: &Request<'_>) -> Option<graphql::Outcome> {
    let condition = rule.call.graphql.as_ref()?;
    Some(condition.outcome(request.graphql.get()?))
}

impl LogOut {
    /// The answer that we give when the shop gives none.
    pub fn answer(&self, head: &Parts) -> Answer {
        if self.expired && self.rule.invalid.is_some() {
            let words = self.rule.invalid.as_ref();
            let refusals = self.shop.refusals_for(head);
            let answer = refusals.answer(Refusal::Expired, words, head);
            return self.deleting_cookies(answer);
        }
        let shape = self.shop.refusals.shape;
        let shaped = self.graphql.as_ref();
        let shaped = shaped.map(|outcome| outcome.words(&self.rule.success));
        let words = shaped.as_ref().unwrap_or(&self.rule.success);
        answer::logged_out(words, shape, &self.deletions, head)
    }

    /// Who answers. What else a GraphQL request executes only the shop can.
    pub fn answer_by(&self) -> AnswerBy {
        match (self.rule.answer, &self.graphql) {
            (AnswerBy::Doorward, Some(outcome)) if !outcome.is_pure() => AnswerBy::Shop {
                with_credentials: true,
            },
            (answer, _) => answer,
        }
    }

    /// Whether the shop's answer says that it has logged the customer out.
    pub fn is_agreed(&self, answer: &Answer) -> bool {
        match &self.rule.agreed {
            Some(agreed) => self.fits(agreed, answer),
            None if self.when == When::ShopAgreed => self.fits(&Agreement::of_form(), answer),
            None => true,
        }
    }

    /// What the shop's answer says of a credential that could not be verified.
    pub fn assent(&self, answer: &Answer) -> Assent {
        let proves = |confirms| self.fits(confirms, answer);
        let proof = self.rule.confirms.as_ref().map(proves);
        let form = Agreement::of_form();
        let is_yes = self.fits(self.rule.agreed.as_ref().unwrap_or(&form), answer);
        let is_rest = self.graphql.is_none(); // in GraphQL the client chooses what it is told
        match proof {
            Some(true) => Assent::Proved,
            Some(false) if is_rest && answer.is_plain_json() => Assent::Denied,
            Some(_) | None if is_yes => Assent::Given,
            Some(_) | None if answer.status == StatusCode::UNAUTHORIZED => Assent::Denied,
            Some(_) | None => Assent::Unclear,
        }
    }

    /// Whether the shop hears of the logout with its credentials.
    pub fn is_heard(&self) -> bool {
        match self.answer_by() {
            AnswerBy::Shop { with_credentials } => with_credentials,
            AnswerBy::Doorward => false,
        }
    }

    /// Whether an answer has all that is wanted; in GraphQL whatever the client calls it.
    fn fits(&self, wanted: &Agreement, answer: &Answer) -> bool {
        let Some(outcome) = self.graphql.as_ref().filter(|_| wanted.reads_body()) else {
            return wanted.holds(answer.status, &answer.body);
        };
        let mut bodies = outcome.plain(&answer.body).into_iter();
        bodies.any(|body| wanted.holds(answer.status, body.as_ref()))
    }

    /// Whether the shop has logged the customer out, by the status of its answer alone; `None`: its body must say it.
    pub fn is_agreed_by(&self, status: StatusCode) -> Option<bool> {
        let of_form = Agreement::of_form();
        let agreed = self.rule.agreed.as_ref();
        let agreed = match (agreed, self.when) {
            (Some(agreed), _) => agreed,
            (None, When::ShopAgreed) => &of_form,
            (None, When::AtOnce) => return Some(true),
        };
        match agreed.has_status(status) {
            true if agreed.reads_body() => None,
            has_status => Some(has_status),
        }
    }

    /// In which order it is carried out. Cutoffs are taken on the shop's clock: while nobody knows how far that
    /// is off they wait for its answer, for one that is too late would refuse the customer's next login.
    pub fn order(&self) -> Order {
        match (self.answer_by(), self.when) {
            (AnswerBy::Doorward, _) => Order::AtOnce,
            (AnswerBy::Shop { .. }, When::ShopAgreed) => Order::ShopFirst,
            (AnswerBy::Shop { .. }, When::AtOnce) if self.shop.clock.is_known(self.at) => {
                Order::AtOnce
            }
            (AnswerBy::Shop { .. }, When::AtOnce) => Order::TokensFirst,
        }
    }

    /// An answer of the shop, by which the browser forgets the customer's cookies too, where something is dead.
    pub fn deleting_cookies(&self, mut answer: Answer) -> Answer {
        if !(self.revocations.is_empty() && self.dead_cookies.is_empty()) {
            let lines = deletions_beside(&answer.headers, &self.deletions, self.at);
            answer.add_cookies(lines);
        }
        answer
    }

    /// What is put in force before the shop is asked. What no one vouches for is kept for an hour, unless the shop is
    /// not asked and may know it.
    pub fn provisional(&self) -> Vec<Revocation> {
        let hour = self.at.plus(UNCONFIRMED_LIFE);
        let is_heard = self.is_heard();
        let shortened = |one: &Revocation| match one.unverified_token() {
            Some((id, source)) if is_heard || !self.likely.contains(&id) => {
                one.vouched(source, one.until().min(hour))
            }
            Some(_) | None => *one,
        };
        self.revocations.iter().map(shortened).collect()
    }

    /// What rests on credentials that nobody could verify, as the shop's answer bears it out: kept for as long as a
    /// token can be accepted.
    pub fn borne_out(&self, assent: Assent) -> Vec<Revocation> {
        let is_proved = assent == Assent::Proved && self.is_single;
        let is_borne_out = |id: &Id| match assent {
            Assent::Proved | Assent::Given | Assent::Unclear => true,
            Assent::Denied => self.likely.contains(id),
            Assent::NotAsked => false,
        };
        let raised = |one: &Revocation| {
            let (_, source) = one.unverified_token().filter(|(id, _)| is_borne_out(id))?;
            let source = if is_proved { Source::Verified } else { source };
            Some(one.vouched(source, one.until()))
        };
        self.revocations.iter().filter_map(raised).collect()
    }

    /// The tokens, and the session, that it revokes on a word that needs no other.
    pub fn verified_tokens(&self) -> Vec<Revocation> {
        let is_verified = |one: &&Revocation| one.is_token() && one.unverified_token().is_none();
        self.revocations
            .iter()
            .filter(is_verified)
            .copied()
            .collect()
    }

    /// Whether a page of another site may have made the browser send it.
    pub fn may_be_foreign(&self) -> bool {
        self.may_be_foreign
    }

    /// Its cutoffs, by what is known of the shop's clock now.
    pub fn cutoffs(&self) -> Vec<Revocation> {
        let moment = self.shop.clock.moment(self.at);
        let on_time = |one: &Revocation| match *one {
            Revocation::Token { .. } | Revocation::Date { .. } => None,
            Revocation::Cutoff { id, until, .. } => Some(Revocation::Cutoff {
                id,
                not_before: moment.cutoff(self.issued_at(id)),
                until,
            }),
        };
        let cutoffs = self.revocations.iter().filter_map(on_time).collect();
        sparing(&self.spared, cutoffs)
    }

    /// When the last of the presented tokens of a customer was issued.
    fn issued_at(&self, customer: Id) -> Option<UnixTime> {
        let of_customer = self.issued.iter().filter(|(id, _)| *id == customer);
        of_customer.map(|(_, at)| *at).max()
    }

    /// The answer when it could not be carried out.
    pub fn refuse(&self, refusal: Refusal) -> Refused<'_> {
        Refused::of(&self.shop, refusal).in_words(self.rule.words_for(refusal))
    }

    /// The token whose logout it is, for the log.
    pub fn token(&self) -> Option<Id> {
        self.revocations
            .iter()
            .find_map(|revocation| match revocation {
                Revocation::Token { id, .. } => Some(*id),
                Revocation::Cutoff { .. } | Revocation::Date { .. } => None,
            })
    }
}

impl<'g> Refused<'g> {
    /// Refused before any shop was found.
    pub fn by_nobody(refusal: Refusal) -> Self {
        Self {
            refusal,
            shop: None,
            words: None,
            dead_cookies: Vec::new(),
        }
    }

    /// Refused for this shop.
    pub fn of(shop: &'g Arc<Shop>, refusal: Refusal) -> Self {
        Self {
            refusal,
            shop: Some(shop),
            words: None,
            dead_cookies: Vec::new(),
        }
    }

    fn by(shop: &'g Arc<Shop>) -> impl FnOnce(Refusal) -> Self {
        move |refusal| Self::of(shop, refusal)
    }

    fn in_words(self, words: Option<&'g Words>) -> Self {
        Self { words, ..self }
    }

    fn deleting(self, dead_cookies: Vec<DeadCookie>) -> Self {
        Self {
            dead_cookies,
            ..self
        }
    }

    /// The answer in the shop's shape; in the rule's own words where it has some. By it the browser forgets what is dead.
    pub fn answer(&self, head: &Parts) -> Answer {
        let Some(shop) = self.shop else {
            return RefusalSettings::default().answer(self.refusal, self.words, head);
        };
        let refusals = shop.refusals_for(head);
        let mut answer = refusals.answer(self.refusal, self.words, head);
        answer.add_cookies(shop.deletions_of(&self.dead_cookies, head));
        answer
    }
}

/// The answer to a browser's question about Doorward's own logout.
pub fn preflight(head: &Parts) -> Answer {
    answer::preflight(head)
}
