//! Customers and token domains whose tokens of before a moment are dead.

use super::buckets::Buckets;
use super::compact_time::{Minutes, Seconds};
use super::id_tables::{Expiring, IdTable};
use super::summary::{Item, SumKey, item};
use crate::clock::UnixTime;
use crate::revocation::entry::{Id, Revocation};

/// Customers and token domains with the moment before which their tokens are dead: a map of
/// registers that only rise.
pub(super) type Cutoffs = Buckets<IdTable<CutoffEntry>>;

/// Eight bytes, for there may be one a customer.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct CutoffEntry {
    not_before: Seconds,
    until: Minutes,
}

impl CutoffEntry {
    pub(super) fn revocation(self, id: Id) -> Revocation {
        Revocation::Cutoff {
            id,
            not_before: self.not_before.moment(),
            until: self.until.moment(),
        }
    }
}

impl Expiring for CutoffEntry {
    fn until(&self) -> Minutes {
        self.until
    }

    fn item(&self, id: &Id) -> Item {
        item(id, self.not_before.moment(), self.until.moment())
    }
}

impl Cutoffs {
    /// The cutoff by which a token of that group, issued then, is dead. The second of the cutoff itself is spared.
    pub(super) fn cover(&self, id: &Id, issued_at: Option<UnixTime>) -> Option<UnixTime> {
        let cutoff = self.get(id)?;
        let covers = issued_at.is_none_or(|begin| cutoff.not_before.is_after(begin));
        covers.then(|| cutoff.not_before.moment())
    }

    /// Remembers a cutoff. Whether it was news.
    pub(super) fn raise(
        &self,
        id: Id,
        not_before: UnixTime,
        until: UnixTime,
        sum_key: &SumKey,
    ) -> bool {
        let not_before = Seconds::from_moment(not_before);
        let until = Minutes::rounded_up(until);
        self.merge(id, sum_key, |known| match known {
            None => CutoffEntry { not_before, until },
            Some(known) => CutoffEntry {
                not_before: not_before.max(known.not_before),
                until: until.max(known.until),
            },
        })
    }
}
