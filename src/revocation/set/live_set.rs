//! The revocations in memory: exact, never evicted, dropped only when their time is over.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::cutoffs::{CutoffEntry, Cutoffs};
use super::dates::Dates;
use super::meaning::Meanings;
use super::summary::{Bucket, Item, SumKey, Summary};
use super::undated::{Undated, UndatedEntry, UnverifiedCounts};
use super::windows::Windows;
use crate::clock::UnixTime;
use crate::revocation::entry::{DateKind, Id, MARGIN, Revocation, Source, Window};
use crate::revocation::identity::{Cause, Group, Identity};

/// Every live revocation. A check is two probes, of the windows and of the window's ids, plus one for each of
/// the undated ids, the session, the customer and the token domain, as far as there are any.
pub struct Set {
    windows: Windows,
    undated: Undated,
    cutoffs: Cutoffs,
    dates: Dates,
    /// Whether dead tokens that were handed out again live.
    revives: AtomicBool,
    /// What the names of the entries meant.
    meanings: Meanings,
    /// How often something was put in force.
    changes: AtomicU64,
    sum_key: SumKey,
}

/// How much the set holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetCounts {
    /// Revoked tokens whose end is known.
    pub tokens: u64,
    /// Revoked tokens whose end is not known, and ended sessions.
    pub undated: u64,
    /// Cut-off customers and token domains.
    pub cutoffs: u64,
    /// Windows of end times.
    pub windows: u64,
    /// Tokens without an issue time that were seen.
    pub seen: u64,
    /// Tokens without an issue time whose handing out was seen.
    pub issued: u64,
    /// Dead tokens that the shop handed out again, and that live.
    pub revived: u64,
}

impl Default for Set {
    fn default() -> Self {
        Self::with_grace(MARGIN)
    }
}

impl Set {
    /// An empty set whose windows live at least for `grace` from their last change on.
    pub fn with_grace(grace: Duration) -> Self {
        Self::summed_under(SumKey::default(), grace)
    }

    /// The same, to be compared with the sets of other nodes that have this key.
    pub fn summed_under(sum_key: SumKey, grace: Duration) -> Self {
        Self {
            windows: Windows::with_grace(grace),
            undated: Undated::default(),
            cutoffs: Cutoffs::default(),
            dates: Dates::default(),
            revives: AtomicBool::new(false),
            meanings: Meanings::default(),
            changes: AtomicU64::new(0),
            sum_key,
        }
    }

    /// Why this token is refused, if it is: by what it is called, or was called when an entry was made.
    pub fn covers(&self, token: &Identity) -> Option<Cause> {
        let former = || {
            let mut former = token.former.iter();
            former.find_map(|name| self.cause(name, token))
        };
        let cause = self.cause(token, token).or_else(former)?;
        let is_revived = self.revives() && self.dates.is_revived(token);
        (!is_revived).then_some(cause)
    }

    /// Why a token is refused by one of its names: what it is called, or was.
    fn cause(&self, name: &Identity, token: &Identity) -> Option<Cause> {
        if self.has_token(name) {
            return Some(Cause::Token);
        }
        let mut groups = name.groups.iter();
        groups.find_map(|group| match group.cause {
            Cause::Token | Cause::Session => {
                self.undated.contains(&group.id).then_some(group.cause)
            }
            Cause::Subject | Cause::TokenDomain | Cause::Unknown => {
                self.cut_off(name, token, group)
            }
        })
    }

    /// Whether a cutoff of this customer or token domain covers a token.
    fn cut_off(&self, name: &Identity, token: &Identity, group: &Group) -> Option<Cause> {
        let moment = self.cutoffs.cover(&group.id, name.issued_at)?;
        let cause = match name.issued_at {
            Some(_) => group.cause,
            None => self.cut_off_by_date(token, group, moment)?,
        };
        (!self.spares(token, group, moment)).then_some(cause)
    }

    /// The same for a token that had no issue time. One without a date, and without an issue time now, is new,
    /// except under a cutoff of which only the shop's time is known, such as one of a token domain.
    fn cut_off_by_date(&self, token: &Identity, group: &Group, moment: UnixTime) -> Option<Cause> {
        let ended_ms = self.dates.ended_ms(&group.id);
        let is_over = match (ended_ms, self.dates.issued_ms(token), token.issued_at) {
            (Some(ended), Some(issued), _) => issued <= ended,
            (None, Some(issued), _) => issued / 1_000 < moment.seconds(),
            (_, None, Some(issued_at)) => issued_at < moment,
            (Some(_), None, None) => false,
            (None, None, None) => return Some(Cause::Unknown),
        };
        is_over.then_some(group.cause)
    }

    /// Whether a token has no issue time, and no node has seen it or its handing out.
    pub fn is_unknown(&self, token: &Identity) -> bool {
        token.issued_at.is_none() && self.dates.issued_ms(token).is_none()
    }

    /// Whether a cutoff covers a token if it is older than every date that is known.
    pub fn covers_if_old(&self, token: &Identity) -> bool {
        let names = std::iter::once(token).chain(&token.former);
        let mut groups = names.flat_map(|name| &name.groups);
        groups.any(|group| match group.cause {
            Cause::Token | Cause::Session => false,
            Cause::Subject | Cause::TokenDomain | Cause::Unknown => {
                let moment = self.cutoffs.cover(&group.id, None);
                moment.is_some_and(|moment| !self.spares(token, group, moment))
            }
        })
    }

    /// A date for something that happens now; see [`Dates::next_ms`].
    pub fn next_ms(&self, now_ms: u64) -> u64 {
        self.dates.next_ms(now_ms)
    }

    /// Whether any token is revoked whose end is not known.
    pub fn has_undated(&self) -> bool {
        !self.undated.ids.is_empty()
    }

    /// Whether such a token of this digest is revoked.
    pub fn has_undated_token(&self, id: &Id) -> bool {
        self.undated.contains(id) && !(self.revives() && self.dates.is_revived_alone(id))
    }

    /// What is in force about this id. `window`: where it is looked for, if it is that of a token with an end.
    pub fn find(&self, id: &Id, window: Window) -> Option<Revocation> {
        let undated = || Some(self.undated.ids.get(id)?.revocation(*id));
        let cutoff = || Some(self.cutoffs.get(id)?.revocation(*id));
        let of_window = self.windows.find(window, id);
        of_window.or_else(undated).or_else(cutoff)
    }

    /// The date of this kind of a token or a customer, in milliseconds since the epoch.
    pub fn date_of(&self, kind: DateKind, id: &Id) -> Option<u64> {
        self.dates.date_of(kind, id)
    }

    /// Whether everything that this revocation refuses is refused by its name already. Reads every window.
    pub fn holds(&self, revocation: &Revocation) -> bool {
        match revocation {
            Revocation::Token { id, .. } => {
                self.undated.contains(id) || self.windows.any_contains(id)
            }
            Revocation::Date { .. } => false,
            Revocation::Cutoff { id, not_before, .. } => {
                let last = not_before.minus(Duration::from_secs(1));
                self.cutoffs.cover(id, Some(last)).is_some()
            }
        }
    }

    /// Whether dead tokens that were handed out again live.
    pub fn revives(&self) -> bool {
        self.revives.load(Ordering::Relaxed)
    }

    /// Lets dead tokens live that were handed out again, or not.
    pub fn let_revive(&self, revives: bool) {
        self.revives.store(revives, Ordering::Relaxed);
    }

    /// Whether any customer or token domain is cut off.
    pub fn has_cutoffs(&self) -> bool {
        !self.cutoffs.is_empty()
    }

    /// Whether a customer's cutoff of this moment leaves a token alive.
    fn spares(&self, token: &Identity, group: &Group, cutoff: UnixTime) -> bool {
        let spares = |id: &Id| self.undated.contains(&Id::spared(id, cutoff));
        group.cause == Cause::Subject && token.ids().any(spares)
    }

    /// Remembers a revocation. Whether it was news.
    pub fn insert(&self, revocation: &Revocation, now: UnixTime) -> bool {
        let news = self.put(revocation, now);
        self.changes.fetch_add(1, Ordering::Release);
        news
    }

    /// Grows whenever something was put in force: as long as it does not, no answer of
    /// [`Set::covers`] has become `Some`.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn put(&self, revocation: &Revocation, now: UnixTime) -> bool {
        match *revocation {
            Revocation::Token {
                id,
                window: Window::UNDATED,
                until,
                source,
            } => self.undated.insert(id, until, source, &self.sum_key),
            Revocation::Token {
                id, window, until, ..
            } => {
                let place = (window, until);
                self.windows.insert(id, place, now, &self.sum_key)
            }
            Revocation::Cutoff {
                id,
                not_before,
                until,
            } => {
                self.meanings.note(&id, not_before, until);
                self.cutoffs.raise(id, not_before, until, &self.sum_key)
            }
            Revocation::Date {
                id,
                kind,
                at_ms,
                until,
            } => self.dates.note((kind, id), at_ms, until, &self.sum_key),
        }
    }

    /// Whether there is room for a revocation of another node; see [`super::Meaning`].
    pub fn has_room_for(&self, revocation: &Revocation) -> bool {
        match revocation {
            Revocation::Cutoff { id, .. } => self.meanings.has_room_for(id),
            Revocation::Token { .. } | Revocation::Date { .. } => true,
        }
    }

    /// What the names of the entries meant.
    pub(in crate::revocation) fn meanings(&self) -> &Meanings {
        &self.meanings
    }

    /// Drops the windows that are over, and names those that ended since the last call. None ends that lives
    /// beyond the horizon: the clock may have been wrong when its end was reckoned.
    pub fn drop_ended_windows(&self, horizon: UnixTime, now: UnixTime) -> Vec<Window> {
        self.windows.drop_ended(horizon, now)
    }

    /// Drops the undated ids, the cutoffs and the dates that are over. Reads all of them.
    pub fn drop_ended_undated(&self, now: UnixTime) {
        self.undated.drop_ended(now, &self.sum_key);
        self.cutoffs.drop_ended(now, &self.sum_key, drop);
        for kind in DateKind::ALL {
            let dates = self.dates.of_kind(kind);
            dates.drop_ended(now, &self.sum_key, drop);
        }
        self.meanings.drop_ended(now);
    }

    /// Measures the ends of all windows anew, for the wall clock was set back and moka counts on the
    /// monotonic one.
    pub fn clock_stepped(&self, now: UnixTime) {
        self.windows.clock_stepped(now);
    }

    /// How much is held now.
    pub fn counts(&self) -> SetCounts {
        let (windows, tokens) = self.windows.count();
        let dates = |kind| self.dates.of_kind(kind).count();
        SetCounts {
            tokens,
            undated: self.undated.ids.count(),
            cutoffs: self.cutoffs.count().saturating_sub(self.meanings.pieces()),
            windows,
            seen: dates(DateKind::Seen),
            issued: dates(DateKind::Issued),
            revived: dates(DateKind::Revived),
        }
    }

    /// How many bytes the ids, cutoffs and dates take, the free places of their tables included.
    pub fn bytes(&self) -> usize {
        let dates = DateKind::ALL.map(|kind| self.dates.of_kind(kind).bytes());
        let dates: usize = dates.into_iter().sum();
        self.windows.bytes() + self.undated.ids.bytes() + self.cutoffs.bytes() + dates
    }

    /// How many live entries were made on the word of unverified credentials with this tag. What is over by `now` and was
    /// not dropped yet does not count.
    pub fn unverified(&self, source: Source, now: UnixTime) -> UnverifiedCounts {
        self.undated.unverified(source, now)
    }

    fn has_token(&self, token: &Identity) -> bool {
        let has_end = token.window != Window::UNDATED;
        has_end && self.windows.contains(token.window, &token.id)
            || self.undated.contains(&token.id)
    }
}

/// What two nodes compare. Only what is kept beyond a moment is: what one of them drops a little earlier than the
/// other is no difference.
impl Set {
    /// What every bucket holds that is not empty, in the order of the sections.
    pub fn summaries(&self, beyond: UnixTime) -> Vec<Summary> {
        let key = &self.sum_key;
        let mut summaries = self.windows.summaries(beyond);
        summaries.extend(self.undated.ids.summaries(Bucket::Undated, beyond, key));
        summaries.extend(self.cutoffs.summaries(Bucket::Cutoffs, beyond, key));
        for kind in DateKind::ALL {
            let dates = self.dates.of_kind(kind);
            let bucket = |number| Bucket::Dates(kind, number);
            summaries.extend(dates.summaries(bucket, beyond, key));
        }
        summaries.sort_unstable_by_key(|summary| summary.bucket);
        summaries
    }

    /// The entries of a bucket.
    pub fn entries(&self, bucket: Bucket, beyond: UnixTime) -> Vec<(Item, Revocation)> {
        match bucket {
            Bucket::Window(window) => self.windows.entries(window, beyond),
            Bucket::Undated(number) => {
                let ids = &self.undated.ids;
                ids.entries(number, beyond, UndatedEntry::revocation)
            }
            Bucket::Cutoffs(number) => {
                let cutoffs = &self.cutoffs;
                cutoffs.entries(number, beyond, CutoffEntry::revocation)
            }
            Bucket::Dates(kind, number) => {
                let dates = self.dates.of_kind(kind);
                dates.entries(number, beyond, |date, id| date.revocation(kind, id))
            }
        }
    }

    /// Keeps a window at least until then, if there is one.
    pub fn keep_window(&self, window: Window, until: UnixTime, now: UnixTime) {
        self.windows.keep(window, until, now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::compact_time::Minutes;
    use super::super::summary::Sum;
    use super::*;
    use crate::clock::UnixTime;
    use crate::revocation::entry::UNCONFIRMED_LIFE;

    const NOW: UnixTime = UnixTime::from_seconds(1_790_000_000);

    fn at(minutes: u64) -> UnixTime {
        NOW.plus(Duration::from_secs(60 * minutes))
    }

    #[test]
    fn what_is_in_force_by_its_name_is_no_news() {
        let set = Set::default();
        let token = |number: u8, window| Revocation::Token {
            id: Id::from_bytes([number; 16]),
            window,
            until: at(60),
            source: Source::Verified,
        };
        let cutoff = |number: u8, minute| Revocation::Cutoff {
            id: Id::from_bytes([number; 16]),
            not_before: at(minute),
            until: at(60),
        };
        let dated = Window::of(Some(at(30)));
        for revocation in [token(1, dated), token(2, Window::UNDATED), cutoff(3, 10)] {
            assert!(!set.holds(&revocation));
            set.insert(&revocation, NOW);
            assert!(set.holds(&revocation));
        }
        assert!(set.holds(&token(1, Window::UNDATED)), "whenever it ends");
        assert!(set.holds(&cutoff(3, 9)) && !set.holds(&cutoff(3, 11)));
        assert!(!set.holds(&token(4, Window::UNDATED)) && !set.holds(&cutoff(4, 1)));
    }

    /// Every sum is that of the entries which are kept beyond a moment.
    fn expect_true_sums(set: &Set, beyond: UnixTime) {
        let mut sections = 0;
        for summary in set.summaries(beyond) {
            let entries = set.entries(summary.bucket, beyond);
            let mut sum = Sum::default();
            for (item, _) in &entries {
                sum.add(set.sum_key.share(item));
            }
            assert_eq!((summary.count, summary.sum), (entries.len() as u64, sum));
            sections += 1;
        }
        assert!(sections > 0, "nothing was summed up");
    }

    proptest::proptest! {
        /// Confirmed or not, in whatever order and however often: nodes end up with the same, and count it alike.
        #[test]
        fn tokens_of_unverified_credentials_merge_by_maximum(
            rows in proptest::collection::vec((0_u8..4, 0_u64..200, 0_u32..3), 1..40),
            order in proptest::prelude::any::<u64>(),
        ) {
            let row = |(number, minutes, source): &(u8, u64, u32)| Revocation::Token {
                id: Id::from_bytes([*number; 16]),
                window: Window::UNDATED,
                until: at(*minutes),
                source: Source::from_number(*source),
            };
            let (here, there) = (Set::default(), Set::default());
            for one in &rows {
                here.insert(&row(one), NOW);
            }
            let mut shuffled = rows.clone();
            shuffled.sort_by_key(|(number, minutes, source)| {
                order.wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ (minutes << 16) ^ u64::from(*source) ^ u64::from(*number))
            });
            for one in shuffled.iter().chain(&rows) {
                there.insert(&row(one), NOW);
            }
            for number in 0..4 {
                let of_token = rows.iter().filter(|(one, ..)| *one == number);
                let ends = of_token.clone().map(|(_, minutes, _)| Minutes::rounded_up(at(*minutes)));
                let latest = ends.max().map(Minutes::moment);
                let is_verified = of_token.clone().any(|(.., source)| *source == 0);
                for set in [&here, &there] {
                    let entries = set.entries(Bucket::Undated(number), UnixTime::EPOCH);
                    let Some((_, entry)) = entries.first() else {
                        proptest::prop_assert!(latest.is_none());
                        continue;
                    };
                    proptest::prop_assert_eq!(Some(entry.until()), latest);
                    proptest::prop_assert_eq!(entry.unverified_token().is_none(), is_verified);
                }
            }
            for source in [1, 2].map(Source::from_number) {
                let held = here.unverified(source, NOW);
                proptest::prop_assert_eq!(held, there.unverified(source, NOW));
                let of_source = |set: &Set| (0..4).flat_map(|number| set.entries(Bucket::Undated(number), UnixTime::EPOCH))
                    .filter(|(_, entry)| entry.unverified_token().is_some_and(|(_, one)| one == source))
                    .count() as u64;
                proptest::prop_assert_eq!(held.unconfirmed + held.likely, of_source(&here));
            }
            expect_true_sums(&here, UnixTime::EPOCH);
        }
    }

    #[test]
    fn what_is_unconfirmed_stops_counting_when_its_hour_is_over() {
        let set = Set::default();
        let shop = Source::from_number(7);
        let token = |number, until| Revocation::Token {
            id: Id::from_bytes([number; 16]),
            window: Window::UNDATED,
            until,
            source: shop,
        };
        set.insert(&token(1, NOW.plus(UNCONFIRMED_LIFE)), NOW);
        set.insert(&token(2, NOW.plus(UNCONFIRMED_LIFE)), NOW);
        set.insert(&token(3, UnixTime::FOREVER), NOW);
        let held = |minutes| {
            let UnverifiedCounts {
                unconfirmed,
                likely,
            } = set.unverified(shop, at(minutes));
            (unconfirmed, likely)
        };
        assert_eq!((held(0), held(59), held(62)), ((2, 1), (2, 1), (0, 1)));
        set.insert(&token(2, UnixTime::FOREVER), NOW);
        assert_eq!((held(0), held(62)), ((1, 2), (0, 2)), "borne out");
        set.insert(
            &token(3, UnixTime::FOREVER).vouched(Source::Verified, UnixTime::FOREVER),
            NOW,
        );
        assert_eq!(held(0), (1, 1), "confirmed");
        set.drop_ended_undated(at(62));
        assert_eq!(held(0), (0, 1), "dropped");
        let ids: Vec<_> = [1, 2, 3]
            .map(|number| set.has_undated_token(&Id::from_bytes([number; 16])))
            .into();
        assert_eq!(ids, [false, true, true]);
    }

    /// What another node says brings no dead token back where no shop here lets one live.
    #[test]
    fn a_revival_counts_only_where_it_is_allowed() {
        let set = Set::default();
        let id = Id::from_bytes([3; 16]);
        let token = Identity {
            id,
            window: Window::UNDATED,
            groups: smallvec::SmallVec::new(),
            issued_at: None,
            former: Box::default(),
        };
        set.insert(&Revocation::of_session(id, at(100)), NOW);
        set.insert(
            &Revocation::Date {
                id,
                kind: DateKind::Revived,
                at_ms: 1,
                until: at(100),
            },
            NOW,
        );
        assert_eq!(set.covers(&token), Some(Cause::Token));
        assert!(set.has_undated_token(&id));
        set.let_revive(true);
        assert_eq!(set.covers(&token), None);
        assert!(!set.has_undated_token(&id));
    }

    #[test]
    fn sums_follow_whatever_comes_rises_and_ends() {
        let set = Set::summed_under(SumKey::derive(b"a key"), MARGIN);
        for turn in 0..4_000_u64 {
            let [low, high, ..] = (turn % 700).to_le_bytes();
            let id = Id::from_bytes([low, high, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, low]);
            let until = at(turn * 7_919 % 1_000);
            let revocation = match turn % 4 {
                3 => Revocation::Date {
                    id,
                    kind: DateKind::ALL[usize::from(low) % 4],
                    at_ms: turn * 31 % 97,
                    until,
                },
                0 => Revocation::of_session(id, until),
                1 => Revocation::Cutoff {
                    id,
                    not_before: at(turn * 31 % 97),
                    until,
                },
                _ => Revocation::Token {
                    id,
                    window: Window::of(Some(until)),
                    until,
                    source: Source::Verified,
                },
            };
            set.insert(&revocation, NOW);
        }
        for beyond in [UnixTime::EPOCH, at(1), at(500), at(998)] {
            expect_true_sums(&set, beyond);
        }
        set.drop_ended_undated(at(700));
        for beyond in [UnixTime::EPOCH, at(998)] {
            expect_true_sums(&set, beyond);
        }
    }
}
