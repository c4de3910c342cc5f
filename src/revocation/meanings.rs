//! What the names in revocations mean, kept as long as the revocations are.

use std::path::Path;

use super::entry::Revocation;
use super::journal::{Journal, JournalError};
use super::revocations::Revocations;
use super::set::{Meaning, Meanings};
use crate::clock::UnixTime;

impl Revocations {
    /// What keeps a meaning as long as entries that an operator makes under it; when it was last used stays as it is.
    pub fn meaning_until(&self, text: &str, until: UnixTime) -> Vec<Revocation> {
        self.set.meanings().rows_until(text, until)
    }

    /// What is to be put in force before these, made under the meaning with this text: mostly nothing. See [`Meaning`].
    pub fn meaning_before(
        &self,
        text: &str,
        revocations: &[Revocation],
        now: UnixTime,
    ) -> Vec<Revocation> {
        let last = revocations.iter().map(Revocation::until).max();
        last.map_or(Vec::new(), |last| {
            self.set.meanings().rows_before(text, last, now)
        })
    }

    /// The meanings in the journal of a data folder that no process uses; none, where there is no journal.
    ///
    /// # Errors
    ///
    /// The journal can't be read.
    pub fn meanings_on_disk(data_dir: &Path) -> Result<Vec<Meaning>, JournalError> {
        let meanings = Meanings::default();
        if data_dir.join(Journal::FILE).exists() {
            Journal::inspect_rows(data_dir, |revocation| {
                if let Revocation::Cutoff {
                    id,
                    not_before,
                    until,
                } = revocation
                {
                    meanings.note(&id, not_before, until);
                }
            })?;
        }
        Ok(meanings.all())
    }

    /// The meanings under which entries are in force, those that are in use among them.
    pub fn meanings(&self) -> Vec<Meaning> {
        self.set.meanings().all()
    }

    /// Grows whenever [`Revocations::meanings`] are others.
    pub fn meaning_changes(&self) -> u64 {
        self.set.meanings().changes()
    }

    /// Writes these, and before them what their names mean. Does not wait for the disk.
    pub(super) fn write_behind(&self, revocations: Vec<Revocation>, meaning: &str, now: UnixTime) {
        let meant = self.meaning_before(meaning, &revocations, now);
        for piece in &meant {
            self.set.insert(piece, now); // so that it is written once
        }
        drop(self.committer.write([meant, revocations].concat()));
    }
}
