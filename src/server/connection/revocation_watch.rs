//! For how long a request may be served: as long as none of the tokens that it came with is revoked.
//!
//! A check at the beginning is enough for a page; a WebSocket or a stream of events would outlive its logout
//! by hours (trap 28). An order whose answer has not begun is another matter: the shop may have booked it, so it may
//! finish within ten seconds after the logout.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::request::Parts;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::request::{Request, Shop, Tokens};
use crate::revocation::{Cause, Id, Revocations};
use crate::server::snapshot::{Served, Site};

/// How often the tokens of a long request are looked up again. Half of what is promised.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long an exchange may go on after a look has found its token revoked, if its answer had not begun by then. It ends ten
/// seconds after the logout at the latest, for a look is up to half a second late.
const FINISH_WITHIN: Duration = Duration::from_secs(9);

tokio::task_local! {
    /// The request that this task serves.
    static CURRENT: Arc<Lease>;
}

/// The lease of one request. It has no terms before the request is judged.
#[derive(Default)]
pub(crate) struct Lease {
    terms: OnceLock<Terms>,
    signed: Notify,
    /// Whether a revocation ends it at once.
    is_open: AtomicBool,
    opened: Notify,
    /// Reads its tokens anew, where it lasts: another configuration may call them otherwise.
    reader: OnceLock<Reader>,
}

/// A request that lasts, and the configuration that is served.
pub(crate) struct Reader {
    pub(crate) served: Served,
    pub(crate) head: Parts,
}

/// What was read anew, and under which configuration and former meanings.
struct Reread {
    site: Arc<Site>,
    meanings: u64,
    tokens: Tokens,
}

/// What a request stands on.
pub(crate) struct Terms {
    /// What is revoked.
    pub(crate) revocations: Arc<Revocations>,
    /// The tokens that it came with.
    pub(crate) tokens: Tokens,
    /// Its name in the log.
    pub(crate) request: String,
    /// Where it went.
    pub(crate) shop: Arc<Shop>,
}

/// Why a request may no longer be served.
pub(crate) struct Ended<'l> {
    pub(crate) request: &'l str,
    pub(crate) shop: &'l Arc<Shop>,
    pub(crate) cause: Cause,
    pub(crate) token: Id,
}

/// Serves a request under a lease.
pub(crate) fn within<F: Future>(lease: &Arc<Lease>, served: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(Arc::clone(lease), served)
}

impl Lease {
    /// Binds the request that this task serves to its tokens.
    pub(crate) fn sign(terms: Terms) {
        let _ = CURRENT.try_with(|lease| {
            if lease.terms.set(terms).is_ok() {
                lease.signed.notify_one();
            }
        });
    }

    /// The answer to the request that this task serves begins. From here on a revocation ends the exchange at once,
    /// unless it came first and the answer is no stream: an order in flight may finish.
    pub(crate) fn begin_answer(is_stream: bool) {
        let _ = CURRENT.try_with(|lease| {
            let is_late = || {
                lease
                    .terms
                    .get()
                    .is_some_and(|terms| terms.ended().is_some())
            };
            if is_stream || !is_late() {
                lease.open();
            }
        });
    }

    /// The request that this task serves is a stream itself, whatever its answer will be.
    pub(crate) fn begin_stream() {
        let _ = CURRENT.try_with(|lease| lease.open());
    }

    /// The request that this task serves lasts: from here on its tokens are looked up by what every later configuration
    /// calls them, too.
    pub(crate) fn read_anew(reader: impl FnOnce() -> Reader) {
        let _ = CURRENT.try_with(|lease| {
            if lease.terms.get().is_some() {
                lease.reader.get_or_init(reader);
            }
        });
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
        self.opened.notify_one();
    }

    /// Waits until one of the tokens is revoked and the exchange must end; for ever, if there is none.
    pub(crate) async fn ended(&self) -> Ended<'_> {
        self.signed.notified().await;
        let mut seen = None;
        let mut reread: Option<Reread> = None;
        loop {
            sleep(LOOK_EVERY).await;
            let Some(terms) = self.terms.get() else {
                continue;
            };
            let changes = Some(terms.revocations.changes());
            let reader = self.reader.get();
            let is_stale = reader.is_some_and(|reader| !reader.is_current(reread.as_ref(), terms));
            if seen == changes && !is_stale {
                continue;
            }
            seen = changes; // read before the look: what changes meanwhile is seen the next time
            if let Some(reader) = reader.filter(|_| is_stale) {
                reread = Some(reader.read(terms));
            }
            let tokens = reread.as_ref().map(|reread| &reread.tokens);
            if let Some(ended) = terms.ended_with(tokens) {
                if !self.is_open.load(Ordering::Relaxed) {
                    let _ = timeout(FINISH_WITHIN, self.opened.notified()).await;
                }
                return ended;
            }
        }
    }
}

impl Reader {
    /// Whether these were read by what is served now.
    fn is_current(&self, reread: Option<&Reread>, terms: &Terms) -> bool {
        reread.is_some_and(|reread| {
            Arc::ptr_eq(&reread.site, &self.served.load())
                && reread.meanings == terms.revocations.meaning_changes()
        })
    }

    fn read(&self, terms: &Terms) -> Reread {
        let site = self.served.load_full();
        let meanings = terms.revocations.meaning_changes(); // read first, as in `ended`
        let request = Request::new(&self.head, None);
        let tokens = site
            .gate
            .tokens_again(&request, &terms.tokens, clock::now());
        Reread {
            site,
            meanings,
            tokens,
        }
    }
}

impl Terms {
    fn ended(&self) -> Option<Ended<'_>> {
        self.ended_with(None)
    }

    /// The same for what its tokens are called since.
    fn ended_with(&self, since: Option<&Tokens>) -> Option<Ended<'_>> {
        let since = since.into_iter().flatten();
        self.tokens.iter().chain(since).find_map(|token| {
            let identity = token.identity();
            let cause = self.revocations.covers(identity)?;
            Some(Ended {
                request: &self.request,
                shop: &self.shop,
                cause,
                token: identity.id,
            })
        })
    }
}
