//! Reading everything in force, and taking over what a backup holds.

use super::entry::{DateKind, Id, Revocation, Window};
use super::identity::{Cause, Group, Identity};
use super::revocations::{NotDurable, Revocations};
use super::set::{Bucket, is_of_meaning};
use super::snapshot::RevocationSnapshot;
use crate::clock::{self, UnixTime};

impl Revocations {
    /// Everything that is in force now; `None`: the journal can't be read.
    pub(crate) async fn snapshot(&self) -> Option<RevocationSnapshot> {
        self.committer.snapshot().await.ok()
    }

    /// Puts these in force, as far as they are news. Nothing is taken back and no end comes earlier, for entries are merged
    /// (see [`Revocation`]). How many were news; on `Ok` they are on disk.
    pub(crate) async fn merge(&self, mut rows: Vec<Revocation>) -> Result<usize, NotDurable> {
        let now = clock::now();
        rows.retain(|row| self.set.has_room_for(row) && self.set.insert(row, now));
        let news = rows.len();
        self.revoke(rows).await?; // without a row, too: what an earlier attempt could not write is on disk then
        Ok(news)
    }

    /// The entry by which a token is refused for this cause: of all its names the first that is revoked.
    pub fn entry_of(&self, token: &Identity, cause: Cause) -> Id {
        let fits = |group: &&Group| match cause {
            Cause::Unknown => matches!(group.cause, Cause::Subject | Cause::TokenDomain),
            Cause::Token | Cause::Session | Cause::Subject | Cause::TokenDomain => {
                group.cause == cause
            }
        };
        let names = std::iter::once(token).chain(&token.former);
        let mut ids = names.flat_map(|name| {
            let own = (cause == Cause::Token).then_some((name.id, name.window));
            let groups = name.groups.iter().filter(fits);
            let groups = groups.map(|group| (group.id, Window::UNDATED));
            own.into_iter().chain(groups)
        });
        let found = ids.find(|(id, window)| self.find(id, *window).is_some());
        found.map_or_else(|| token.entry_of(cause), |(id, _)| id)
    }

    /// What is in force about this id. `window`: where it is looked for, if it is that of a token with an end.
    pub(crate) fn find(&self, id: &Id, window: Window) -> Option<Revocation> {
        self.set.find(id, window)
    }

    /// When the tokens of a customer, or a token, ended, by the clock of the node that ended them, in milliseconds since the
    /// epoch; `None`: that was not noted.
    pub(crate) fn ended_ms(&self, id: &Id) -> Option<u64> {
        self.set.date_of(DateKind::Ended, id)
    }

    /// The parts in which [`Self::entries`] hands out what is in force.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        let summaries = self.set.summaries(UnixTime::EPOCH).into_iter();
        let buckets = summaries.map(|summary| summary.bucket);
        buckets
            .filter(|bucket| !matches!(bucket, Bucket::Dates(..)))
            .collect()
    }

    /// The tokens and cutoffs of a part.
    pub(crate) fn entries(&self, bucket: Bucket) -> Vec<Revocation> {
        let entries = self.set.entries(bucket, UnixTime::EPOCH).into_iter();
        let entries = entries.map(|(_, revocation)| revocation);
        let is_one = |one: &Revocation| one.is_token() || !is_of_meaning(&one.id());
        entries.filter(is_one).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use smallvec::smallvec;

    use super::*;
    use crate::revocation::entry::{Portion, Source};
    use crate::revocation::journal::Journal;

    const UNTIL: UnixTime = UnixTime::from_seconds(4_000_000_000);

    fn id(number: u8) -> Id {
        Id::from_bytes([number; 16])
    }

    fn window(number: u8) -> Window {
        if number == 0 {
            Window::UNDATED
        } else {
            Window::of(Some(UNTIL.minus(Duration::from_hours(number.into()))))
        }
    }

    /// Some token, customer, spared token or date.
    fn revocation((kind, one, other, moment): (u8, u8, u8, u64)) -> Revocation {
        let (token, customer) = (id(one % 4), id(10 + other % 2));
        let not_before = UnixTime::from_seconds(100 + moment);
        let kept = |id, window| Revocation::Token {
            id,
            window,
            until: UNTIL,
            source: Source::Verified,
        };
        let date = |id, kind| Revocation::Date {
            id,
            kind,
            at_ms: (100 + moment) * 1_000,
            until: UNTIL,
        };
        match kind {
            0 => kept(token, window(one % 3)),
            1 | 2 => Revocation::Cutoff {
                id: customer,
                not_before,
                until: UNTIL,
            },
            3 | 4 => kept(Id::spared(&token, not_before), Window::UNDATED),
            5 => date(customer, DateKind::Ended),
            6 => date(token, DateKind::Seen),
            7 => date(token, DateKind::Issued),
            _ => date(token, DateKind::Revived),
        }
    }

    /// Every token that [`revocation`] could be about.
    fn tokens() -> Vec<Identity> {
        let moments = (98..112).map(|moment| Some(UnixTime::from_seconds(moment)));
        let moments: Vec<_> = moments.chain([None]).collect();
        let mut tokens = Vec::new();
        for (one, other) in (0..4).flat_map(|one| [(one, 10), (one, 11)]) {
            for issued_at in &moments {
                tokens.push(Identity {
                    id: id(one),
                    window: window(one % 3),
                    groups: smallvec![Group {
                        id: id(other),
                        cause: Cause::Subject,
                    }],
                    issued_at: *issued_at,
                    former: Box::default(),
                });
            }
        }
        tokens
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(future)
    }

    fn empty() -> (tempfile::TempDir, Revocations) {
        let folder = tempfile::tempdir().unwrap();
        Journal::init(folder.path()).unwrap();
        let revocations = Revocations::open(folder.path()).unwrap();
        revocations.let_revive(true);
        (folder, revocations)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Every row of an import comes into force before the next, and at no moment is a token refused that is not
        /// refused in the end.
        #[test]
        fn a_snapshot_refuses_elsewhere_what_it_refuses_here_and_nothing_else_meanwhile(
            rows in proptest::collection::vec((0_u8..9, any::<u8>(), any::<u8>(), 0_u64..10), 0..30),
        ) {
            let (_folder, here) = empty();
            for row in rows.into_iter().map(revocation) {
                prop_assert_eq!(wait(here.revoke(vec![row])), Ok(()));
            }
            let mut copied = Vec::new();
            wait(here.snapshot()).unwrap().read(|row| {
                copied.push(*row);
                true
            }).unwrap();
            prop_assert!(copied.is_sorted_by_key(|row| Portion::ALL.iter().position(|one| *one == Portion::of(row))));
            let (other_folder, there) = empty();
            let tokens = tokens();
            let refused = |at: &Revocations, token: &Identity| at.covers(token).is_some();
            for row in &copied {
                prop_assert!(wait(there.merge(vec![*row])).is_ok());
                for token in &tokens {
                    prop_assert!(!refused(&there, token) || refused(&here, token), "{:?} after {:?}", token, row);
                }
            }
            prop_assert_eq!(wait(there.merge(copied)), Ok(0), "a second time nothing is new");
            drop(there);
            let there = Revocations::open(other_folder.path()).unwrap();
            there.let_revive(true);
            for token in &tokens {
                prop_assert_eq!(refused(&here, token), refused(&there, token), "{:?}", token);
            }
        }
    }
}
