//! Judges requests: finds the shop, takes the credentials, verifies, asks whether they are revoked.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use http::request::Parts;
use parking_lot::Mutex;

use super::call::BodyNeed;
use super::confirmations::Asked;
use super::credential::{self, Occasion};
use super::dead_cookie::SetAside;
use super::graphql::UnreadBody;
use super::host::host_of;
use super::loggable::{loggable_path, without_token};
use super::mint::OnReissue;
use super::path::Path;
use super::refusal::Refusal;
use super::refused::Refused;
use super::request::Request;
use super::route::Enforce;
use super::shop::{Purpose, Shop, Tokens};
use super::verdict::Verdict;
use crate::clock::UnixTime;
use crate::revocation::{Meaning, Revocation, Revocations};

/// A request on its way through the gate.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a, 'r> {
    pub(super) request: &'a Request<'r>,
    /// Whether its shop was asked about its tokens.
    pub(super) asked: Asked,
    /// The token that its path names.
    pub(super) token_of_path: Option<&'a str>,
}

/// Judges requests. It needs the revocations, and those exist only once the journal was replayed.
pub struct Gate {
    shops: Vec<Arc<Shop>>,
    pub(super) revocations: Arc<Revocations>,
    /// Which meanings of names the shops honour: see [`Revocations::meaning_changes`].
    meanings: AtomicU64,
    /// Held while that changes.
    honouring: Mutex<()>,
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
