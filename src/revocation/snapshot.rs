//! Everything in force at one moment, read while the process goes on.

use super::entry::{Portion, Revocation};
use super::journal::{JournalError, JournalSnapshot};

/// Everything in force at one moment.
pub(crate) struct RevocationSnapshot {
    pub(super) rows: JournalSnapshot,
    /// What is in force, but not on disk yet.
    pub(super) unwritten: Vec<Revocation>,
}

impl RevocationSnapshot {
    /// Hands every entry to `each` until it returns false, in the order of [`Portion::ALL`].
    pub(crate) fn read(
        &self,
        mut each: impl FnMut(&Revocation) -> bool,
    ) -> Result<(), JournalError> {
        let mut goes_on = true;
        for portion in Portion::ALL {
            self.rows.read(portion, |row| {
                goes_on = each(&row);
                goes_on
            })?;
            let unwritten = self.unwritten.iter();
            let mut unwritten = unwritten.filter(|one| Portion::of(one) == portion);
            goes_on = goes_on && unwritten.all(&mut each);
            if !goes_on {
                break;
            }
        }
        Ok(())
    }
}
