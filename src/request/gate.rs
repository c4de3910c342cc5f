//! The gate: the shops, what is revoked, and the shop that a request is for.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::{HeaderValue, Method};
use parking_lot::Mutex;

use super::answers::Refusal;
use super::calls::{Path, Request, RequestView};
use super::credential::{self, Occasion};
use super::loggable_path::{loggable_path, loggable_referer, without_token};
use super::shop::{Shop, Tokens};
use super::site::host_of;
use super::token_endpoint::OnReissue;
use crate::clock::UnixTime;
use crate::revocation::Revocations;

/// Judges requests. It needs the revocations, which exist once the journal is replayed.
pub struct Gate {
    shops: Vec<Arc<Shop>>,
    /// Those that redirect hosts.
    redirecting: Vec<Arc<Shop>>,
    pub(super) revocations: Arc<Revocations>,
    /// The [`Revocations::meaning_changes`] up to which the shops honour former meanings.
    pub(super) meanings: AtomicU64,
    /// Held while that changes.
    pub(super) honouring: Mutex<()>,
}

impl Gate {
    /// A gate in front of these shops. A request belongs to the first shop that claims its host and its path.
    pub fn new(shops: Vec<Arc<Shop>>, revocations: Arc<Revocations>) -> Self {
        let revives = shops
            .iter()
            .any(|shop| shop.on_reissue == OnReissue::Revive);
        revocations.let_revive(revives);
        let redirecting = shops.iter().filter(|shop| shop.host_redirect.is_some());
        Self {
            redirecting: redirecting.cloned().collect(),
            shops,
            revocations,
            meanings: AtomicU64::new(u64::MAX),
            honouring: Mutex::new(()),
        }
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

    /// Whether a shop claims the host of a request, if only to redirect it; otherwise, why the request is refused.
    pub fn serves(&self, request: &Request<'_>) -> Result<(), Refusal> {
        match self.host_redirect(request) {
            Some(_) => Ok(()),
            None => self.first_of_host(request).map(drop),
        }
    }

    /// Where the host of a request is redirected, and the shop that does so. A host that a shop claims as closely stays where
    /// it is: `*.example.com` redirects neither `shop.example.com` to itself nor the host of another shop.
    pub fn host_redirect(&self, request: &Request<'_>) -> Option<(&Arc<Shop>, &str)> {
        if self.redirecting.is_empty() || request.head.method == Method::TRACE {
            return None;
        }
        let host = host_of(request).ok()?;
        let mut chosen = None;
        for shop in &self.redirecting {
            let found = shop.host_redirect.as_ref();
            let found = found.and_then(|redirect| Some((redirect.closest(host)?, redirect)));
            if let Some((pattern, redirect)) = found
                && chosen.is_none_or(|(closeness, _, _)| closeness < pattern.closeness())
            {
                chosen = Some((pattern.closeness(), shop, redirect.to.as_str()));
            }
        }
        let (closeness, shop, to) = chosen?;
        let claimed = self.shops.iter().flat_map(|shop| &shop.hosts);
        let mut claimed = claimed.filter(|claim| claim.closeness() >= closeness);
        (!claimed.any(|claim| claim.claims(host))).then_some((shop, to))
    }

    /// Whether a shop wants `Strict-Transport-Security`.
    pub fn has_hsts(&self) -> bool {
        self.shops.iter().any(|shop| shop.hsts.is_some())
    }

    /// The `Strict-Transport-Security` of the host of a request: browsers know of hosts only, so that of shops on one host the
    /// first that wants it has it for all.
    pub fn hsts_of(&self, request: &Request<'_>) -> Option<&HeaderValue> {
        if let Some((shop, _)) = self.host_redirect(request) {
            return shop.hsts.as_ref();
        }
        let host = host_of(request).ok()?;
        for shop in self.shops.iter().filter(|shop| shop.claims_host(host)) {
            if shop.hsts.is_some() || shop.paths.is_empty() {
                return shop.hsts.as_ref();
            }
        }
        None
    }

    /// The shop that a request is for: the first one that claims its host and its path.
    pub(super) fn shop_of(
        &self,
        request: &Request<'_>,
        path: &Path<'_>,
    ) -> Result<&Arc<Shop>, Refusal> {
        let (host, first) = self.first_of_host(request)?;
        if first.paths.is_empty() {
            Ok(first) // as nearly always
        } else {
            self.shop_by_path(host, path)
        }
    }

    /// The host of a request, and the first shop that claims it.
    fn first_of_host<'r>(&self, request: &Request<'r>) -> Result<(&'r str, &Arc<Shop>), Refusal> {
        if request.head.method == Method::TRACE {
            return Err(Refusal::TraceRefused);
        }
        let host = host_of(request)?;
        let mut shops = self.shops.iter();
        let first = shops.find(|shop| shop.claims_host(host));
        Ok((host, first.ok_or(Refusal::UnknownHost)?))
    }

    /// The first shop that claims a host and a path. Parsers that read the path differently must not find different shops.
    fn shop_by_path(&self, host: &str, path: &Path<'_>) -> Result<&Arc<Shop>, Refusal> {
        let first = |reading: &str| {
            let mut shops = self.shops.iter();
            shops.position(|shop| shop.claims_host(host) && shop.claims_path(reading))
        };
        let taken = first(path.normal());
        let mut others = path.readings().skip(1);
        if path.has_too_many_readings() || others.any(|reading| first(reading) != taken) {
            return Err(Refusal::AmbiguousPath);
        }
        let taken = taken.and_then(|at| self.shops.get(at));
        taken.ok_or(Refusal::UnknownPath)
    }

    /// The tokens in the head of a request that was forwarded before, under the names that they have now. The request is not
    /// judged again. What the shop said of the tokens `before` still counts.
    pub fn tokens_again(&self, request: &Request<'_>, before: &Tokens, now: UnixTime) -> Tokens {
        self.honour_meanings(now);
        let path = Path::parse(request.head.uri.path());
        let Ok(shop) = self.shop_of(request, &path) else {
            return Tokens::new();
        };
        let formers = shop.verifier.formers();
        let view = RequestView::new(*request, path, shop.path_style);
        let token_of_path = shop.token_in_path(&view.path);
        let taken = credential::extract_credentials(
            &shop.places,
            Occasion::Visit,
            &view,
            token_of_path,
            false,
        );
        let former = credential::extract_former(formers.places(), Occasion::Visit, &view);
        let credentials = taken.unwrap_or_default().into_iter().chain(former);
        let tokens = credentials.filter_map(|credential| shop.token(&credential, true, now).ok());
        tokens
            .map(|token| shop.as_confirmed_before(token, before))
            .collect()
    }

    /// A path without what could be a token to any shop, for the log.
    pub fn loggable_path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let read = Path::parse(path);
        let mut shops = self.shops.iter();
        match shops.find_map(|shop| shop.token_in_path(&read)) {
            Some(token) => without_token(path, token),
            None => loggable_path(path),
        }
    }

    /// A `Referer` without what could be a credential, for the log.
    pub fn loggable_referer(&self, text: &str) -> String {
        loggable_referer(text, |path| self.loggable_path(path))
    }
}
