//! What is kept on disk: the account, the certificates with their keys, and the attempts that failed.
//!
//! A file is written aside, synchronised and renamed, so that there is the old one or the new one after a crash. Only
//! the owner may read it: it may hold a private key.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use log::warn;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::attempts::{Attempt, Attempts};
use super::settings::AcmeSettings;
use crate::clock::UnixTime;
use crate::server::connection::certificate::Certificate;

const FOLDER: &str = "acme";
const ACCOUNT: &str = "account.json";
/// No host has this name: it has no dot and an underscore.
const AUTHORITY: &str = "_authority";

/// The files of one authority. Another directory has a folder of its own, so that what a test authority issued is never
/// taken for what the real one did.
#[derive(Clone)]
pub(super) struct AcmeFolder(PathBuf);

/// The account at an authority.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredAccount {
    /// As the authority knows it.
    pub(super) email: Option<String>,
    /// The account, with its private key.
    pub(super) credentials: AccountCredentials,
}

impl AcmeFolder {
    /// The folder for the authority of these settings; it need not exist yet.
    pub(super) fn new(data_dir: &Path, settings: &AcmeSettings) -> Self {
        let url = settings.directory_url();
        let digest = blake3::hash(url.as_bytes()).to_hex();
        let name = format!(
            "{}-{}",
            settings.directory.host.replace(':', "."),
            &digest[..8]
        );
        Self(data_dir.join(FOLDER).join(name))
    }

    /// The certificate for a host, if one was stored that can be used.
    pub(super) fn certificate(&self, host: &str) -> Option<Certificate> {
        let bytes = self.read(&pem(host))?;
        let parsed = Certificate::parse(host, &bytes, &bytes);
        let unfit = |why: &dyn std::fmt::Display| {
            let file = self.0.join(pem(host)).display().to_string();
            warn!(host, file; "the stored certificate can't be used, and another one is ordered: {why}");
        };
        match parsed {
            Ok(certificate) if certificate.is_for_name(host) => Some(certificate),
            Ok(_) => {
                unfit(&"it is for another name");
                None
            }
            Err(why) => {
                unfit(&why);
                None
            }
        }
    }

    /// Keeps a certificate: its private key and its chain, in PEM, in one file, because they belong together.
    pub(super) fn keep_certificate(&self, host: &str, key: &str, chain: &str) -> io::Result<()> {
        self.write(&pem(host), &[key, chain].concat())
    }

    /// The account, if there is one that can be read.
    pub(super) fn account(&self) -> Option<StoredAccount> {
        let account = self.read_json(ACCOUNT)?;
        if account.is_none() {
            let file = self.0.join(ACCOUNT).display().to_string();
            warn!(file; "the stored account can't be read, and another one is opened");
        }
        account
    }

    /// Keeps an account.
    pub(super) fn keep_account(&self, account: &StoredAccount) -> io::Result<()> {
        self.write(ACCOUNT, &serde_json::to_string(account)?)
    }

    /// Forgets an account that the authority does not know.
    pub(super) fn forget_account(&self) {
        let _ = fs::remove_file(self.0.join(ACCOUNT));
    }

    /// The failed attempts of a host. A file that can't be read counts as a failure of this moment.
    pub(super) fn attempts(&self, host: &str, now: UnixTime) -> Attempts {
        let unreadable = || Attempts::default().failed(Attempt::Order, now, None);
        let stored = self.read_json(&attempts_file(host));
        stored.map_or_else(Attempts::default, |read| read.unwrap_or_else(unreadable))
    }

    /// The failed attempts to ask the authority at all.
    pub(super) fn authority_attempts(&self, now: UnixTime) -> Attempts {
        self.attempts(AUTHORITY, now)
    }

    /// Keeps the attempts of a host.
    pub(super) fn keep_attempts(&self, host: &str, attempts: Attempts) -> io::Result<()> {
        if attempts == Attempts::default() {
            return match fs::remove_file(self.0.join(attempts_file(host))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        self.write(&attempts_file(host), &serde_json::to_string(&attempts)?)
    }

    /// Keeps the attempts to ask the authority at all.
    pub(super) fn keep_authority_attempts(&self, attempts: Attempts) -> io::Result<()> {
        self.keep_attempts(AUTHORITY, attempts)
    }

    /// The content of a file; `None`: there is none that can be read.
    fn read(&self, file: &str) -> Option<Vec<u8>> {
        let path = self.0.join(file);
        match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let file = path.display().to_string();
                warn!(file; "a stored file can't be read: {error}");
                None
            }
        }
    }

    /// `None`: there is no such file; `Some(None)`: it is damaged.
    #[expect(clippy::option_option, reason = "a damaged file is not a missing one")]
    fn read_json<T: DeserializeOwned>(&self, file: &str) -> Option<Option<T>> {
        let bytes = self.read(file)?;
        Some(serde_json::from_slice(&bytes).ok())
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        let mut aside = NamedTempFile::with_prefix_in(".new-", &self.0)?; // mode 0600
        aside.write_all(text.as_bytes())?;
        aside.as_file().sync_all()?;
        aside
            .persist(self.0.join(file))
            .map_err(|failed| failed.error)?;
        File::open(&self.0)?.sync_all()
    }
}

fn pem(host: &str) -> String {
    format!("{host}.pem")
}

fn attempts_file(host: &str) -> String {
    format!("{host}.attempts.json")
}
