//! The background task that orders certificates and renews them, one after the other.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use instant_acme::Account;
use log::{error, info, warn};
use parking_lot::Mutex;
use pingora::connectors::http::Connector;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::attempts::{Attempt, Attempts, renewal_at};
use super::authority::AuthorityClient;
use super::failure::{FailureReason, OrderFailure};
use super::folder::AcmeFolder;
use super::order::{IssuedCertificate, fault_of, open_account, order};
use super::settings::AcmeSettings;
use crate::clock::{self, UnixTime};
use crate::server::connection::certificate::Certificate;
use crate::server::process::traffic::Traffic;
use crate::server::snapshot::{SharedSnapshot, Snapshot};

/// How often it is looked whether an order is due.
const TICK: Duration = Duration::from_secs(1);

/// Orders certificates.
pub(crate) struct CertificateOrders {
    snapshot: SharedSnapshot,
    traffic: Arc<Traffic>,
    /// Made when it is needed: it reads the system's certificates.
    connector: OnceLock<Arc<Connector>>,
}

/// What is known of the orders under one configuration.
struct OrderBook {
    settings: Arc<AcmeSettings>,
    folder: AcmeFolder,
    /// Of asking the authority at all.
    contact: Attempts,
    /// By host.
    attempts: HashMap<String, Attempts>,
}

impl CertificateOrders {
    /// For the hosts of the current snapshot.
    pub(crate) fn new(snapshot: SharedSnapshot, traffic: Arc<Traffic>) -> Self {
        Self {
            snapshot,
            traffic,
            connector: OnceLock::new(),
        }
    }
}

#[async_trait]
impl BackgroundService for CertificateOrders {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stopping = self.traffic.accept_watch();
        let mut book = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopping.changed() => return,
                _ = shutdown.changed() => return,
            }
            let snapshot = self.snapshot.load_full();
            let Some((book, host)) = due(&mut book, &snapshot) else {
                continue;
            };
            let before = book.attempts_of(&host);
            let _held = self.traffic.pending_connection(); // the end waits for what is written below
            let is_stopped = tokio::select! {
                () = self.order(book, &host, &snapshot) => false,
                _ = stopping.changed() => true,
                _ = shutdown.changed() => true,
            };
            if is_stopped {
                let broken_off = before.broken_off(clock::now());
                if book.attempts_of(&host) != before {
                    let _ = book.folder.keep_attempts(&host, broken_off); // else it counts as failed
                }
                return;
            }
        }
    }
}

/// The first host that needs a certificate and may be ordered for; the book is opened anew for a new configuration.
fn due<'b>(
    book: &'b mut Option<OrderBook>,
    snapshot: &Snapshot,
) -> Option<(&'b mut OrderBook, String)> {
    let Some(settings) = &snapshot.acme_settings else {
        *book = None;
        return None;
    };
    let now = clock::now();
    let is_current = |book: &OrderBook| Arc::ptr_eq(&book.settings, settings);
    if !book.as_ref().is_some_and(is_current) {
        snapshot.acme.load(settings);
        *book = Some(OrderBook::open(settings, snapshot, now));
    }
    let book = book.as_mut()?;
    let host = book.due(snapshot, now)?;
    Some((book, host))
}

impl OrderBook {
    fn open(settings: &Arc<AcmeSettings>, snapshot: &Snapshot, now: UnixTime) -> Self {
        let folder = snapshot.acme.folder(settings);
        let hosts = settings.hosts.iter();
        let attempts = hosts.map(|host| (host.clone(), folder.attempts(host, now)));
        Self {
            settings: Arc::clone(settings),
            contact: folder.authority_attempts(now),
            attempts: attempts.collect(),
            folder,
        }
    }

    fn attempts_of(&self, host: &str) -> Attempts {
        self.attempts.get(host).copied().unwrap_or_default()
    }

    fn due(&self, snapshot: &Snapshot, now: UnixTime) -> Option<String> {
        if !self.contact.allow(now) {
            return None;
        }
        let mut hosts = self.settings.hosts.iter();
        let host = hosts.find(|host| {
            let is_given = snapshot
                .certificates
                .iter()
                .any(|one| one.is_for_name(host));
            let ordered = snapshot.acme.ordered(host, &self.settings);
            let is_fresh = ordered.is_some_and(|one| !is_due(&one, now));
            !is_given && !is_fresh && self.attempts_of(host).allow(now)
        });
        host.cloned()
    }

    /// Keeps the attempts of a host, on disk first.
    fn keep(&mut self, host: &str, attempts: Attempts) -> Result<(), OrderFailure> {
        let kept = self.folder.keep_attempts(host, attempts);
        kept.map_err(|error| OrderFailure::new(FailureReason::NotStored, &error))?;
        self.attempts.insert(host.to_owned(), attempts);
        Ok(())
    }

    /// The authority could not be asked, or asks every client to wait: this holds for every host.
    fn keep_contact(&mut self, attempts: Attempts) {
        if attempts != self.contact {
            self.contact = attempts;
            let _ = self.folder.keep_authority_attempts(attempts); // an order needs the disk anyway
        }
    }
}

impl CertificateOrders {
    /// Orders a certificate for a host. What became of it is logged and counted.
    async fn order(&self, book: &mut OrderBook, host: &str, snapshot: &Snapshot) {
        let client = AuthorityClient {
            connector: Arc::clone(
                self.connector
                    .get_or_init(|| Arc::new(Connector::new(None))),
            ),
            tls: book.settings.tls.clone(),
            retry_after: Arc::new(Mutex::new(None)),
        };
        let retry_after = Arc::clone(&client.retry_after);
        let told = |failure: OrderFailure| OrderFailure {
            retry_after: *retry_after.lock(),
            ..failure
        };
        match open_account(client, &book.settings, &book.folder).await {
            Ok(account) => {
                book.keep_contact(Attempts::default());
                let ordered = order_for(&account, book, host, snapshot).await;
                if let Err(failure) = ordered.map_err(told) {
                    note_failed_order(book, host, &failure, snapshot);
                }
            }
            Err(failure) => note_failed_contact(book, &told(failure), snapshot),
        }
    }
}

/// The order is on disk as a failed one before it is made: a crash is no way to order again at once.
async fn order_for(
    account: &Account,
    book: &mut OrderBook,
    host: &str,
    snapshot: &Snapshot,
) -> Result<(), OrderFailure> {
    let begun = book.attempts_of(host);
    book.keep(host, begun.failed(Attempt::Order, clock::now(), None))?;
    let issued = order(account, host, book.settings.challenge, &snapshot.acme).await;
    let IssuedCertificate {
        certificate,
        key,
        chain,
    } = issued?;
    if let Some(fault) = fault_of(&certificate, host, clock::now()) {
        let unfit = FailureReason::UnfitCertificate;
        return Err(OrderFailure::new(unfit, &fault));
    }
    let is_renewal = snapshot.acme.certificate(host).is_some();
    let (until, is_due) = (certificate.not_after, is_due(&certificate, clock::now()));
    let stored = book.folder.keep_certificate(host, &key, &chain);
    snapshot.acme.serve(host, &book.settings, certificate);
    snapshot.acme.note_issued(clock::now());
    if is_renewal {
        info!(host, until:%; "certificate renewed");
    } else {
        info!(host, until:%; "certificate ordered");
    }
    if let Err(error) = stored {
        let help = FailureReason::NotStored.help(book.settings.challenge);
        error!(host; "the certificate is served, but can't be stored: {error}; after a restart another one is ordered; {help}");
        return Ok(());
    }
    if is_due {
        warn!(host, until:%; "the new certificate is due for renewal already; is the clock of this machine right?");
        return Ok(()); // the next order waits as it would after a failure
    }
    book.keep(host, Attempts::default())
}

/// Whether a certificate is to be renewed.
fn is_due(certificate: &Certificate, now: UnixTime) -> bool {
    let leaf = certificate.chain().first();
    let seed = leaf.map_or(&[][..], |leaf| leaf.as_ref());
    renewal_at(certificate.not_before, certificate.not_after, seed) <= now
}

fn note_failed_order(
    book: &mut OrderBook,
    host: &str,
    failure: &OrderFailure,
    snapshot: &Snapshot,
) {
    snapshot.acme.note_failed();
    let now = clock::now();
    let mut attempts = book.attempts_of(host);
    if let Some(told) = failure
        .retry_after
        .filter(|told| *told > attempts.retry_at())
    {
        attempts = attempts.put_off(now, told);
        let _ = book.keep(host, attempts); // what is there has an hour at least
    }
    match failure.reason {
        FailureReason::NoAccount => book.folder.forget_account(),
        // Limits are mostly of the account: another host would only be refused, too.
        FailureReason::RateLimited | FailureReason::NotStored => {
            let contact = book.contact;
            book.keep_contact(contact.failed(Attempt::Contact, now, failure.retry_after));
        }
        FailureReason::Unreachable
        | FailureReason::Refused
        | FailureReason::NoChallenge
        | FailureReason::NotValidated
        | FailureReason::Late
        | FailureReason::UnfitCertificate => {}
    }
    let (reason, detail) = (failure.reason.name(), failure.detail.as_str());
    let help = failure.reason.help(book.settings.challenge);
    let retry_at = attempts.retry_at();
    match snapshot.acme.certificate(host).map(|one| one.not_after) {
        Some(until) if until > now => {
            warn!(host, reason, detail, retry_at:%, until:%; "no certificate was issued; the old one stays in use; {help}");
        }
        Some(_) | None => {
            error!(host, reason, detail, retry_at:%; "no certificate was issued, and there is no valid one; {help}");
        }
    }
}

fn note_failed_contact(book: &mut OrderBook, failure: &OrderFailure, snapshot: &Snapshot) {
    snapshot.acme.note_failed();
    let contact = book.contact;
    book.keep_contact(contact.failed(Attempt::Contact, clock::now(), failure.retry_after));
    if failure.reason == FailureReason::NoAccount {
        book.folder.forget_account();
    }
    let (reason, detail) = (failure.reason.name(), failure.detail.as_str());
    let help = failure.reason.help(book.settings.challenge);
    let (directory, retry_at) = (book.settings.directory.to_string(), book.contact.retry_at());
    warn!(directory, reason, detail, retry_at:%; "the authority for certificates can't be asked; {help}");
}
