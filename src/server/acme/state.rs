//! The ordered certificates that are served, and what became of the orders. A reload keeps them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use super::challenges::Challenges;
use super::folder::AcmeFolder;
use super::settings::AcmeSettings;
use crate::clock::UnixTime;
use crate::server::connection::certificate::Certificate;

/// The ordered certificates, the pending challenges, and how orders went.
pub(crate) struct AcmeState {
    data_dir: PathBuf,
    /// By host.
    certificates: ArcSwap<HashMap<String, OrderedCertificate>>,
    pub(crate) challenges: Arc<Challenges>,
    placeholder: OnceLock<Option<Certificate>>,
    issued: AtomicU64,
    failed: AtomicU64,
    last_success: AtomicU64,
}

/// A certificate, and who issued it.
#[derive(Clone)]
pub(super) struct OrderedCertificate {
    /// The address of the authority's directory.
    pub(super) directory: String,
    pub(super) certificate: Certificate,
}

/// The name in the placeholder: no host of the internet (RFC 2606 section 2).
const PLACEHOLDER: &str = "doorward.invalid";

impl AcmeState {
    /// With the folder where certificates are stored.
    pub(crate) fn in_folder(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            certificates: ArcSwap::default(),
            challenges: Arc::default(),
            placeholder: OnceLock::new(),
            issued: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last_success: AtomicU64::new(0),
        }
    }

    pub(super) fn folder(&self, settings: &AcmeSettings) -> AcmeFolder {
        AcmeFolder::new(&self.data_dir, settings)
    }

    /// Serves the stored certificates of hosts that have none of this authority yet.
    pub(crate) fn load(&self, settings: &AcmeSettings) {
        let folder = self.folder(settings);
        for host in &settings.hosts {
            if self.ordered(host, settings).is_none()
                && let Some(certificate) = folder.certificate(host)
            {
                self.serve(host, settings, certificate);
            }
        }
    }

    /// Serves a certificate from the next handshake on. No connection is touched.
    pub(super) fn serve(&self, host: &str, settings: &AcmeSettings, certificate: Certificate) {
        let ordered = OrderedCertificate {
            directory: settings.directory_url(),
            certificate,
        };
        self.certificates.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.insert(host.to_owned(), ordered.clone());
            all
        });
    }

    /// The certificate for a host that this authority issued.
    pub(super) fn ordered(&self, host: &str, settings: &AcmeSettings) -> Option<Certificate> {
        let all = self.certificates.load();
        let ordered = all.get(host)?;
        let is_of_it = ordered.directory == settings.directory_url();
        is_of_it.then(|| ordered.certificate.clone())
    }

    /// The certificate that a host is served with.
    pub(crate) fn certificate(&self, host: &str) -> Option<Certificate> {
        let all = self.certificates.load();
        let ordered = match all.get(host) {
            Some(ordered) => Some(ordered),
            None => all.get(&host.to_ascii_lowercase()),
        };
        ordered.map(|ordered| ordered.certificate.clone())
    }

    /// The certificate for clients that name no host: the first one, else one that no client trusts. The self-probe, and
    /// health checks that do not verify it, get an answer before the first order has ended.
    pub(crate) fn nameless(&self, settings: &AcmeSettings) -> Option<Certificate> {
        let mut hosts = settings.hosts.iter();
        let first = hosts.find_map(|host| self.certificate(host));
        first.or_else(|| self.placeholder.get_or_init(placeholder).clone())
    }

    pub(super) fn note_issued(&self, now: UnixTime) {
        self.issued.fetch_add(1, Ordering::Relaxed);
        self.last_success.store(now.seconds(), Ordering::Relaxed);
    }

    pub(super) fn note_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many orders succeeded, and how many failed.
    pub(crate) fn outcomes(&self) -> [(&'static str, u64); 2] {
        let loaded = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("issued", loaded(&self.issued)),
            ("failed", loaded(&self.failed)),
        ]
    }

    /// When an order last succeeded; zero: not since the start.
    pub(crate) fn last_success(&self) -> u64 {
        self.last_success.load(Ordering::Relaxed)
    }
}

fn placeholder() -> Option<Certificate> {
    let made = rcgen::generate_simple_self_signed([PLACEHOLDER.to_owned()]).ok()?;
    let key = made.signing_key.serialize_pem();
    Certificate::parse(PLACEHOLDER, made.cert.pem().as_bytes(), key.as_bytes()).ok()
}
