//! Watches the tokens of a request while it is served, and ends it when one of them is revoked.
//!
//! A check at the beginning is enough for a page; a WebSocket or a stream of events would outlive its logout
//! by hours. A request that was sent, and whose answer has not begun, may still finish within ten seconds after the
//! logout: the shop may have booked an order. One that still waits for a server is not cut: it is answered with the refusal.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::request::Parts;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::clock;
use crate::request::{Refusal, Request, Shop, Tokens};
use crate::revocation::{Cause, Id, Revocations};
use crate::server::snapshot::{SharedSnapshot, Snapshot};

/// How often the tokens of a request are looked up again: half of the promised second.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long an exchange may go on after a look has found its token revoked, if its answer had not begun by then. It ends ten
/// seconds after the logout at the latest, for a look is up to half a second late.
const FINISH_WITHIN: Duration = Duration::from_secs(9);

tokio::task_local! {
    /// The request that this task serves.
    static CURRENT: Arc<RevocationWatch>;
}

/// The watch of one request. It has nothing to watch before the request is judged.
#[derive(Default)]
pub(crate) struct RevocationWatch {
    watched: OnceLock<WatchedRequest>,
    began: Notify,
    /// Whether a revocation ends it at once.
    is_open: AtomicBool,
    /// Whether it waits for a server, which got nothing of it, and is refused if it is revoked.
    waits: AtomicBool,
    /// What was found revoked.
    found: OnceLock<Refusal>,
    was_found: Notify,
    /// It was opened, or waits no more.
    went_on: Notify,
    /// Reads its tokens again if it lasts: under another configuration they may have other keys.
    reader: OnceLock<TokenReader>,
    /// Why the request is ended.
    cut_by: OnceLock<Refusal>,
}

/// The head of a request that lasts, and the current configuration.
pub(crate) struct TokenReader {
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) head: Parts,
}

/// The tokens as read again, and under which configuration and former meanings.
struct RereadTokens {
    snapshot: Arc<Snapshot>,
    meanings: u64,
    tokens: Tokens,
}

/// The request that is watched.
pub(crate) struct WatchedRequest {
    /// The revocations in force.
    pub(crate) revocations: Arc<Revocations>,
    /// The tokens that it came with.
    pub(crate) tokens: Tokens,
    /// [`Revocations::changes`] before it was judged.
    pub(crate) judged_at: u64,
    /// Its id in the log.
    pub(crate) request: String,
    /// Its shop.
    pub(crate) shop: Arc<Shop>,
}

/// A request that may no longer be served, and why.
pub(crate) struct RevokedRequest<'l> {
    pub(crate) request: &'l str,
    pub(crate) shop: &'l Arc<Shop>,
    pub(crate) cause: Cause,
    pub(crate) token: Id,
    /// The entry that covers it.
    by: Id,
}

impl RevokedRequest<'_> {
    /// As a refusal.
    fn refusal(&self) -> Refusal {
        Refusal::Revoked {
            cause: self.cause,
            token: self.token,
            by: self.by,
        }
    }
}

/// Serves a request under this watch.
pub(crate) fn watched_by<F: Future>(
    watch: &Arc<RevocationWatch>,
    served: F,
) -> impl Future<Output = F::Output> {
    CURRENT.scope(Arc::clone(watch), served)
}

impl RevocationWatch {
    /// Watches the request that this task serves.
    pub(crate) fn watch(watched: WatchedRequest) {
        let _ = CURRENT.try_with(|watch| {
            if watch.watched.set(watched).is_ok() {
                watch.began.notify_one();
            }
        });
    }

    /// The answer to the request that this task serves begins. From here on a revocation ends the exchange at once,
    /// unless it came first and the answer is no stream: an order in flight may finish.
    pub(crate) fn begin_answer(is_stream: bool) {
        let _ = CURRENT.try_with(|watch| {
            let is_late = || {
                watch
                    .watched
                    .get()
                    .is_some_and(|watched| watched.revoked().is_some())
            };
            if is_stream || !is_late() {
                watch.open();
            }
        });
    }

    /// The watch of the request that this task serves.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// The request that this task serves looks for a server, for the first time or again. Nothing of it is on its way.
    pub(crate) fn begin_waiting() {
        let _ = CURRENT.try_with(|watch| watch.waits.store(true, Ordering::Relaxed));
    }

    /// The request that this task serves is about to be sent. Why it must not be, if one of its tokens was revoked after it was
    /// judged: it may have waited, and every attempt is sent anew.
    pub(crate) fn begin_sending() -> Result<(), Refusal> {
        let begun = CURRENT.try_with(|watch| {
            watch.refusal().map_or(Ok(()), Err)?;
            watch.waits.store(false, Ordering::Relaxed);
            watch.went_on.notify_one();
            Ok(())
        });
        begun.unwrap_or(Ok(()))
    }

    /// Why the request that this task serves is refused, if it waits and one of its tokens was revoked.
    pub(crate) fn refusal_of_waiting() -> Option<Refusal> {
        let refusal = CURRENT.try_with(|watch| {
            let waits = watch.waits.load(Ordering::Relaxed);
            waits.then(|| watch.refusal()).flatten()
        });
        refusal.ok().flatten()
    }

    /// Until a token of the request that this task serves is found revoked.
    pub(crate) async fn found() {
        let Some(watch) = Self::current() else {
            return std::future::pending().await;
        };
        while watch.found.get().is_none() {
            watch.was_found.notified().await;
        }
    }

    /// Why it may not be sent, if one of its tokens was revoked after it was judged.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        if let Some(found) = self.found.get() {
            return Some(*found);
        }
        let watched = self.watched.get()?;
        if watched.revocations.changes() == watched.judged_at {
            return None;
        }
        let reader = self.reader.get();
        let reread = reader.map(|reader| reader.read_again(watched).tokens);
        Some(watched.revoked_with(reread.as_ref())?.refusal())
    }

    /// Why the request that this task serves is ended early, if one of its tokens was revoked.
    pub(crate) fn cut_by() -> Option<Refusal> {
        let refusal = CURRENT.try_with(|watch| watch.cut_by.get().copied());
        refusal.ok().flatten()
    }

    /// The request that this task serves is a stream itself, whatever its answer will be.
    pub(crate) fn begin_stream() {
        let _ = CURRENT.try_with(|watch| watch.open());
    }

    /// The request that this task serves lasts: from here on its tokens are also looked up by the keys of every later
    /// configuration.
    pub(crate) fn reread_with(reader: impl FnOnce() -> TokenReader) {
        let _ = CURRENT.try_with(|watch| {
            if watch.watched.get().is_some() {
                watch.reader.get_or_init(reader);
            }
        });
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
        self.went_on.notify_one();
    }

    /// Waits until one of the tokens is revoked and the exchange must end; for ever, if there is none.
    pub(crate) async fn revoked(&self) -> RevokedRequest<'_> {
        self.began.notified().await;
        let mut seen = None;
        let mut reread: Option<RereadTokens> = None;
        loop {
            sleep(LOOK_EVERY).await;
            let Some(watched) = self.watched.get() else {
                continue;
            };
            let changes = Some(watched.revocations.changes());
            let reader = self.reader.get();
            let is_stale =
                reader.is_some_and(|reader| !reader.is_current(reread.as_ref(), watched));
            if seen == changes && !is_stale {
                continue;
            }
            seen = changes; // read before the look: what changes meanwhile is seen the next time
            if let Some(reader) = reader.filter(|_| is_stale) {
                reread = Some(reader.read_again(watched));
            }
            let tokens = reread.as_ref().map(|reread| &reread.tokens);
            if let Some(revoked) = watched.revoked_with(tokens) {
                self.found.get_or_init(|| revoked.refusal());
                self.was_found.notify_one();
                self.finish().await;
                let _ = self.cut_by.set(revoked.refusal());
                return revoked;
            }
        }
    }

    /// Waits until what is revoked must end.
    async fn finish(&self) {
        let mut is_late = false;
        let late = sleep(FINISH_WITHIN);
        tokio::pin!(late);
        loop {
            let may_end = is_late || self.is_open.load(Ordering::Relaxed);
            if may_end && !self.waits.load(Ordering::Relaxed) {
                return;
            }
            tokio::select! {
                () = &mut late, if !is_late => is_late = true,
                () = self.went_on.notified() => {}
            }
        }
    }
}

impl TokenReader {
    /// Whether these were read under the current configuration.
    fn is_current(&self, reread: Option<&RereadTokens>, watched: &WatchedRequest) -> bool {
        reread.is_some_and(|reread| {
            Arc::ptr_eq(&reread.snapshot, &self.snapshot.load())
                && reread.meanings == watched.revocations.meaning_changes()
        })
    }

    fn read_again(&self, watched: &WatchedRequest) -> RereadTokens {
        let snapshot = self.snapshot.load_full();
        let meanings = watched.revocations.meaning_changes(); // read first, as in `revoked`
        let request = Request::new(&self.head, None);
        let tokens = snapshot
            .gate
            .tokens_again(&request, &watched.tokens, clock::now());
        RereadTokens {
            snapshot,
            meanings,
            tokens,
        }
    }
}

impl WatchedRequest {
    fn revoked(&self) -> Option<RevokedRequest<'_>> {
        self.revoked_with(None)
    }

    /// The same, with the tokens as read again.
    fn revoked_with(&self, since: Option<&Tokens>) -> Option<RevokedRequest<'_>> {
        let since = since.into_iter().flatten();
        self.tokens.iter().chain(since).find_map(|token| {
            let identity = token.identity();
            let cause = self.revocations.covers(identity)?;
            Some(RevokedRequest {
                request: &self.request,
                shop: &self.shop,
                cause,
                token: identity.id,
                by: self.revocations.entry_of(identity, cause),
            })
        })
    }
}
