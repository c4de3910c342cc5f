//! The revocations in memory: exact, never evicted, dropped only when their time is over.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hashbrown::{HashMap as CompactMap, HashSet as CompactSet};
use moka::Expiry;
use moka::notification::RemovalCause;
use moka::sync::Cache;
use parking_lot::{Mutex, RwLock};

use super::buckets::{Dated, Digest, Minutes, Parts, Table};
use super::dates::Dates;
use super::meaning::{Meaning, Meanings};
use super::summary::{Item, Section, Sum, SumKey, Summary, item, item_of};
use crate::clock::UnixTime;
use crate::revocation::entry::{
    Cause, DateKind, Group, Id, Identity, MARGIN, Revocation, Source, UNCONFIRMED_LIFE, Window,
};

/// Every live revocation. A check is two probes, of the windows and of the window's ids, plus one for each of
/// the undated ids, the session, the customer and the realm, as far as there are any.
///
/// moka holds every window and decides when one ends; there is no `max_capacity`, on purpose: both policies
/// of moka were seen to drop live entries. Checks ask the index instead, for every `get` of moka writes to a
/// log that all threads share.
pub struct Set {
    windows: Cache<Window, Arc<Ids>, foldhash::fast::RandomState>,
    /// The same windows, and never fewer: one leaves only after moka has dropped it, under `writing`.
    index: RwLock<Index>,
    undated: Undated,
    cutoffs: Cutoffs,
    dates: Dates,
    /// Whether dead tokens that were handed out again live.
    revives: AtomicBool,
    /// What the names of the entries meant.
    meanings: Meanings,
    /// Windows that moka has dropped since they were last asked for.
    ended: Arc<Mutex<Vec<Window>>>,
    /// How long what seems to be over is kept all the same: at a start the wall clock may be wrong, and
    /// what is dropped then would be forgotten.
    grace: Duration,
    /// How often something was put in force.
    changes: AtomicU64,
    /// Held while a window is created or its end moves, so that no two writers make the same window.
    writing: Mutex<()>,
    sum_key: SumKey,
}

/// The windows by their number.
type Index = CompactMap<Window, Arc<Ids>, foldhash::fast::RandomState>;

/// How much the set holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Revoked tokens whose end is known.
    pub tokens: u64,
    /// Revoked tokens whose end is not known, and ended sessions.
    pub undated: u64,
    /// Cut-off customers and realms.
    pub cutoffs: u64,
    /// Windows of end times.
    pub windows: u64,
    /// Tokens that say nothing of their issue, and were seen.
    pub seen: u64,
    /// Tokens that say nothing of their issue, and whose handing out was seen.
    pub minted: u64,
    /// Dead tokens that the shop handed out again, and that live.
    pub revived: u64,
}

/// How many live entries of one shop rest on credentials that nobody could verify.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unverified {
    /// Those that end within the hour: nothing shows that the shop knew their tokens.
    pub unconfirmed: u64,
    /// Those that are kept for longer: the shop may know their tokens.
    pub likely: u64,
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
        let ended = Arc::new(Mutex::new(Vec::new()));
        let dropped = Arc::clone(&ended);
        let windows = Cache::builder()
            .expire_after(EndOfWindow)
            .eviction_listener(move |window: Arc<Window>, _ids, cause| {
                if cause == RemovalCause::Expired {
                    dropped.lock().push(*window);
                }
            })
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self {
            windows,
            index: RwLock::default(),
            undated: Undated::default(),
            cutoffs: Cutoffs::default(),
            dates: Dates::default(),
            revives: AtomicBool::new(false),
            meanings: Meanings::default(),
            ended,
            grace,
            changes: AtomicU64::new(0),
            writing: Mutex::new(()),
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
            Cause::Subject | Cause::Realm | Cause::Unknown => self.cut_off(name, token, group),
        })
    }

    /// Whether a cutoff of this customer or realm covers a token.
    fn cut_off(&self, name: &Identity, token: &Identity, group: &Group) -> Option<Cause> {
        let moment = self.cutoffs.cover(&group.id, name.issued_at)?;
        let cause = match name.issued_at {
            Some(_) => group.cause,
            None => self.cut_off_by_date(token, group, moment)?,
        };
        (!self.spares(token, group, moment)).then_some(cause)
    }

    /// The same for a token that said nothing of its issue. One that nobody has dated, and that says nothing now, is new,
    /// except under a cutoff of which only the shop's time is known: those of a realm, and those of before tokens were
    /// dated.
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

    /// Whether a token says nothing of its issue, and no node has seen it or its handing out.
    pub fn is_unknown(&self, token: &Identity) -> bool {
        token.issued_at.is_none() && self.dates.issued_ms(token).is_none()
    }

    /// Whether a cutoff covers a token if it is older than every date that is known.
    pub fn covers_if_old(&self, token: &Identity) -> bool {
        let names = std::iter::once(token).chain(&token.former);
        let mut groups = names.flat_map(|name| &name.groups);
        groups.any(|group| match group.cause {
            Cause::Token | Cause::Session => false,
            Cause::Subject | Cause::Realm | Cause::Unknown => {
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
        !self.undated.is_empty()
    }

    /// Whether such a token of this digest is revoked.
    pub fn has_undated_token(&self, id: &Id) -> bool {
        self.undated.contains(id) && !(self.revives() && self.dates.is_revived_alone(id))
    }

    /// Whether everything that this revocation refuses is refused by its name already. Reads every window.
    pub fn holds(&self, revocation: &Revocation) -> bool {
        match revocation {
            Revocation::Token { id, .. } => {
                let dated = || self.index.read().values().any(|ids| ids.contains(id));
                self.undated.contains(id) || dated()
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

    /// Whether any customer or realm is cut off.
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
                let (ids, is_later) = self.window_until(window, until, now);
                ids.insert(id, &self.sum_key) || is_later
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

    /// Whether there is room for what another node tells of; see [`Meaning`].
    pub fn admits(&self, revocation: &Revocation) -> bool {
        match revocation {
            Revocation::Cutoff { id, .. } => self.meanings.admits(id),
            Revocation::Token { .. } | Revocation::Date { .. } => true,
        }
    }

    /// What is to be put in force before an entry that is kept until then; see [`Meaning`].
    pub fn meaning_before(&self, text: &str, until: UnixTime, now: UnixTime) -> Vec<Revocation> {
        self.meanings.rows_before(text, until, now)
    }

    /// What keeps a meaning until then; see [`Meaning`].
    pub fn meaning_until(&self, text: &str, until: UnixTime) -> Vec<Revocation> {
        self.meanings.rows_until(text, until)
    }

    /// The meanings of the entries.
    pub fn meanings(&self) -> Vec<Meaning> {
        self.meanings.all()
    }

    /// Grows whenever [`Set::meanings`] are others.
    pub fn meaning_changes(&self) -> u64 {
        self.meanings.changes()
    }

    /// Drops the windows that are over, and names those that ended since the last call. None ends that lives
    /// beyond the horizon: the clock may have been wrong when its end was reckoned.
    pub fn drop_ended_windows(&self, horizon: UnixTime, now: UnixTime) -> Vec<Window> {
        self.windows.run_pending_tasks();
        let _writing = self.writing.lock();
        let mut ended = std::mem::take(&mut *self.ended.lock());
        // One that ended and came back, because somebody wrote to it meanwhile, is alive.
        ended.retain(|window| !self.windows.contains_key(window));
        ended.retain(|window| !self.lives_on(*window, horizon, now));
        if !ended.is_empty() {
            let mut index = self.index.write();
            for window in &ended {
                index.remove(window);
            }
        }
        ended
    }

    /// Whether a window that moka has dropped is not over, and was given back to it.
    fn lives_on(&self, window: Window, horizon: UnixTime, now: UnixTime) -> bool {
        let ids = self.index.read().get(&window).cloned();
        let Some(ids) = ids.filter(|ids| ids.kept_until() >= horizon) else {
            return false;
        };
        ids.ends_in(now, self.grace.max(MARGIN));
        self.windows.insert(window, ids);
        true
    }

    /// Drops the undated ids, the cutoffs and the dates that are over. Reads all of them.
    pub fn drop_ended_undated(&self, now: UnixTime) {
        self.undated.drop_ended(now, &self.sum_key);
        self.cutoffs.drop_ended(now, &self.sum_key);
        self.dates.drop_ended(now, &self.sum_key);
        self.meanings.drop_ended(now);
    }

    /// Measures the ends of all windows anew, for the wall clock was set back and moka counts on the
    /// monotonic one.
    pub fn clock_stepped(&self, now: UnixTime) {
        let _writing = self.writing.lock();
        for (window, ids) in self.index.read().iter() {
            ids.ends_in(now, self.grace);
            self.windows.insert(*window, Arc::clone(ids));
        }
    }

    /// How much is held now.
    pub fn counts(&self) -> Counts {
        let cutoffs = self.cutoffs.len.load(Ordering::Relaxed);
        let mut counts = Counts {
            undated: self.undated.len.load(Ordering::Relaxed),
            cutoffs: cutoffs.saturating_sub(self.meanings.pieces()),
            seen: self.dates.count(DateKind::Seen),
            minted: self.dates.count(DateKind::Minted),
            revived: self.dates.count(DateKind::Revived),
            ..Counts::default()
        };
        for ids in self.index.read().values() {
            counts.windows += 1;
            counts.tokens += ids.len.load(Ordering::Relaxed);
        }
        counts
    }

    /// How many bytes the ids, cutoffs and dates take, the free places of their tables included.
    pub fn bytes(&self) -> usize {
        let windows = self.index.read();
        let dated = windows.values().flat_map(|ids| &ids.shards);
        let dated: usize = dated.map(|shard| shard.read().allocation_size()).sum();
        let undated = self.undated.parts.bytes();
        let cutoffs = self.cutoffs.parts.bytes();
        dated + undated + cutoffs + self.dates.bytes()
    }

    /// How many live entries were made on the word of unverified credentials with this tag. What is over by `now` and was
    /// not dropped yet does not count.
    pub fn unverified(&self, source: Source, now: UnixTime) -> Unverified {
        let by_source = self.undated.by_source.lock();
        let ends = by_source.get(&source.number());
        ends.map_or(Unverified::default(), |ends| ends.live_at(now))
    }

    fn has_token(&self, token: &Identity) -> bool {
        let dated = token.window != Window::UNDATED
            && self
                .index
                .read()
                .get(&token.window)
                .is_some_and(|ids| ids.contains(&token.id));
        dated || self.undated.contains(&token.id)
    }

    /// The ids of a window, which lives at least until `until` from now on, and whether that is longer than before.
    fn window_until(&self, window: Window, until: UnixTime, now: UnixTime) -> (Arc<Ids>, bool) {
        let _writing = self.writing.lock();
        let known = self.index.read().get(&window).cloned();
        let ids = known.clone().unwrap_or_default();
        let later = until.seconds() > ids.until.fetch_max(until.seconds(), Ordering::Relaxed);
        if later || !self.windows.contains_key(&window) {
            ids.ends_in(now, self.grace);
            self.windows.insert(window, Arc::clone(&ids));
        }
        if known.is_none() {
            self.index.write().insert(window, Arc::clone(&ids));
        }
        (ids, later)
    }
}

/// What two nodes compare. Only what is kept beyond a moment is: what one of them drops a little earlier than the
/// other is no difference.
impl Set {
    /// What every section holds that is not empty, in the order of the sections.
    pub fn summaries(&self, beyond: UnixTime) -> Vec<Summary> {
        let windows = self.index.read();
        let of_window = |(window, ids): (&Window, &Arc<Ids>)| Summary {
            section: Section::Window(*window),
            count: ids.len.load(Ordering::Relaxed),
            sum: ids.sum(),
            until: ids.kept_until(),
        };
        let mut summaries: Vec<_> = windows.iter().map(of_window).collect();
        drop(windows);
        summaries.retain(|summary| summary.until > beyond && summary.count > 0);
        let key = &self.sum_key;
        if !self.undated.is_empty() {
            let parts = &self.undated.parts;
            summaries.extend(parts.summaries(Section::Undated, beyond, key));
        }
        if !self.cutoffs.is_empty() {
            let parts = &self.cutoffs.parts;
            summaries.extend(parts.summaries(Section::Cutoffs, beyond, key));
        }
        summaries.extend(self.dates.summaries(beyond, key));
        summaries.sort_unstable_by_key(|summary| summary.section);
        summaries
    }

    /// The entries of a section.
    pub fn entries(&self, section: Section, beyond: UnixTime) -> Vec<(Item, Revocation)> {
        match section {
            Section::Window(window) => {
                let ids = self.index.read().get(&window).cloned();
                let ids = ids.filter(|ids| ids.kept_until() > beyond);
                ids.map_or(Vec::new(), |ids| ids.entries(window))
            }
            Section::Undated(number) => self.undated.entries(number, beyond),
            Section::Cutoffs(number) => self.cutoffs.entries(number, beyond),
            Section::Dates(kind, number) => self.dates.entries(kind, number, beyond),
        }
    }

    /// Keeps a window at least until then, if there is one.
    pub fn keep_window(&self, window: Window, until: UnixTime, now: UnixTime) {
        let is_shorter = |ids: &Arc<Ids>| ids.kept_until() < until;
        if self.index.read().get(&window).is_some_and(is_shorter) {
            self.window_until(window, until, now);
        }
    }
}

/// How many locks the ids of one window are spread over: few ids wait for each other, and a table that
/// grows is small.
const SHARDS: usize = 16;

/// The ids of one window.
#[derive(Default)]
struct Ids {
    shards: [RwLock<CompactSet<Id, BuildHasherDefault<Digest>>>; SHARDS],
    len: AtomicU64,
    /// The latest retention of the ids, in seconds since the epoch.
    until: AtomicU64,
    /// How many seconds that was away when moka was last told.
    seconds_left: AtomicU64,
    /// The two halves of the sum of the ids' digests.
    sums: [AtomicU64; 2],
}

impl Ids {
    fn contains(&self, id: &Id) -> bool {
        self.shards[shard_of(id)].read().contains(id)
    }

    fn insert(&self, id: Id, sum_key: &SumKey) -> bool {
        let news = self.shards[shard_of(&id)].write().insert(id);
        if news {
            let share = sum_key.share(&item(&id, UnixTime::EPOCH, UnixTime::EPOCH));
            self.sums[0].fetch_add(share.0, Ordering::Relaxed);
            self.sums[1].fetch_add(share.1, Ordering::Relaxed);
            self.len.fetch_add(1, Ordering::Relaxed);
        }
        news
    }

    fn sum(&self) -> Sum {
        let [first, second] = &self.sums;
        Sum(
            first.load(Ordering::Relaxed),
            second.load(Ordering::Relaxed),
        )
    }

    fn kept_until(&self) -> UnixTime {
        UnixTime::from_seconds(self.until.load(Ordering::Relaxed))
    }

    fn entries(&self, window: Window) -> Vec<(Item, Revocation)> {
        let until = self.kept_until();
        let entry = |id: &Id| {
            let revocation = Revocation::Token {
                id: *id,
                window,
                until,
                source: Source::Verified,
            };
            (item_of(&revocation), revocation)
        };
        let mut entries = Vec::new();
        for shard in &self.shards {
            entries.extend(shard.read().iter().map(entry));
        }
        entries
    }

    /// Notes how long the window has to live, counted from now.
    fn ends_in(&self, now: UnixTime, grace: Duration) {
        let left = self.kept_until().since(now).max(grace);
        self.seconds_left.store(left.as_secs(), Ordering::Relaxed);
    }
}

/// Tells moka when a window ends, at its creation and whenever its end moved.
struct EndOfWindow;

impl EndOfWindow {
    fn left(ids: &Ids) -> Duration {
        /// moka takes at most a thousand years; a window that long is measured anew by then.
        const LONGEST: Duration = Duration::from_hours(4_380_000);
        Duration::from_secs(ids.seconds_left.load(Ordering::Relaxed)).min(LONGEST)
    }
}

impl Expiry<Window, Arc<Ids>> for EndOfWindow {
    fn expire_after_create(&self, _: &Window, ids: &Arc<Ids>, _: Instant) -> Option<Duration> {
        Some(Self::left(ids))
    }

    fn expire_after_update(
        &self,
        _: &Window,
        ids: &Arc<Ids>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(Self::left(ids))
    }
}

/// Ids that no window can hold, those of sessions among them: probed by every check, each with its own end.
#[derive(Default)]
struct Undated {
    parts: Parts<Table<Lone>>,
    len: AtomicU64,
    /// The ends of the entries of each unverified source.
    by_source: Mutex<HashMap<u32, Ends>>,
}

/// How many entries end in which minute.
#[derive(Default)]
struct Ends {
    count: u64,
    by_minute: BTreeMap<Minutes, u64>,
}

impl Ends {
    fn add(&mut self, end: Minutes) {
        self.count += 1;
        *self.by_minute.entry(end).or_default() += 1;
    }

    fn remove(&mut self, end: Minutes) {
        self.count -= 1;
        if let Some(count) = self.by_minute.get_mut(&end) {
            *count -= 1;
            if *count == 0 {
                self.by_minute.remove(&end);
            }
        }
    }

    fn live_at(&self, now: UnixTime) -> Unverified {
        /// Ends are whole minutes, and clocks of nodes differ a little.
        const SLACK: Duration = Duration::from_mins(1);
        let soon = Minutes::up(now.plus(UNCONFIRMED_LIFE + SLACK));
        let (mut over, mut unconfirmed) = (0, 0);
        for (end, count) in self.by_minute.range(..=soon) {
            if end.are_over(now) {
                over += count;
            } else {
                unconfirmed += count;
            }
        }
        Unverified {
            unconfirmed,
            likely: self.count - over - unconfirmed,
        }
    }
}

/// What is remembered of such an id.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Lone {
    until: Minutes,
    source: u32,
}

impl Lone {
    /// What two nodes know together: the later end, and that it was verified if one of them knows it.
    fn merged(self, other: Self) -> Self {
        Self {
            until: self.until.max(other.until),
            source: self.source.min(other.source),
        }
    }
}

impl Dated for Lone {
    fn until(&self) -> Minutes {
        self.until
    }

    fn item(&self, id: &Id) -> Item {
        item(id, self.until.moment(), UnixTime::EPOCH)
    }
}

impl Undated {
    fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    fn contains(&self, id: &Id) -> bool {
        !self.is_empty() && self.parts.of(id).read().table.contains_key(id)
    }

    fn insert(&self, id: Id, until: UnixTime, source: Source, sum_key: &SumKey) -> bool {
        let told = Lone {
            until: Minutes::up(until),
            source: source.number(),
        };
        let mut part = self.parts.of(&id).write();
        let known = part.table.get(&id).copied();
        let lone = known.map_or(told, |known| known.merged(told));
        if known == Some(lone) {
            return false;
        }
        part.put(id, lone, sum_key);
        // Counted before the lock is given back: a reader that sees the count sees the id.
        if known.is_none() {
            self.len.fetch_add(1, Ordering::Release);
        }
        self.count(known, Some(lone));
        true
    }

    /// Counts what is known of an id of unverified sources instead of what was.
    fn count(&self, before: Option<Lone>, now: Option<Lone>) {
        let is_unverified = |lone: &Lone| lone.source != Source::Verified.number();
        let [before, now] = [before, now].map(|lone| lone.filter(is_unverified));
        if before.is_none() && now.is_none() {
            return;
        }
        let mut by_source = self.by_source.lock();
        if let Some(before) = before {
            by_source
                .entry(before.source)
                .or_default()
                .remove(before.until);
        }
        if let Some(now) = now {
            by_source.entry(now.source).or_default().add(now.until);
        }
    }

    fn entries(&self, number: u8, beyond: UnixTime) -> Vec<(Item, Revocation)> {
        let entry = |(id, lone): (&Id, &Lone)| {
            let until = lone.until.moment();
            let revocation = Revocation::Token {
                id: *id,
                window: Window::UNDATED,
                until,
                source: Source::from_number(lone.source),
            };
            (until > beyond).then(|| (item_of(&revocation), revocation))
        };
        let part = self.parts.numbered(number).read();
        part.table.iter().filter_map(entry).collect()
    }

    fn drop_ended(&self, now: UnixTime, sum_key: &SumKey) {
        for part in self.parts.0.iter() {
            let mut part = part.write();
            for lone in part.take_ended(now, sum_key) {
                self.len.fetch_sub(1, Ordering::Relaxed);
                self.count(Some(lone), None);
            }
        }
    }
}

/// Customers and realms with the moment before which their tokens are dead: a map of
/// registers that only rise.
#[derive(Default)]
struct Cutoffs {
    parts: Parts<Table<Cutoff>>,
    len: AtomicU64,
}

/// Eight bytes, for there may be one a customer.
#[derive(Clone, Copy)]
struct Cutoff {
    not_before: Seconds,
    until: Minutes,
}

impl Dated for Cutoff {
    fn until(&self) -> Minutes {
        self.until
    }

    fn item(&self, id: &Id) -> Item {
        item(id, self.not_before.moment(), self.until.moment())
    }
}

/// A moment in whole seconds since the epoch; the greatest (in 2106) and what is later never comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seconds(u32);

impl Seconds {
    fn of(moment: UnixTime) -> Self {
        Self(u32::try_from(moment.seconds()).unwrap_or(u32::MAX))
    }

    fn moment(self) -> UnixTime {
        match self.0 {
            u32::MAX => UnixTime::FOREVER,
            seconds => UnixTime::from_seconds(u64::from(seconds)),
        }
    }

    fn is_after(self, moment: UnixTime) -> bool {
        self.0 == u32::MAX || moment.seconds() < u64::from(self.0)
    }
}

impl Cutoffs {
    fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// The cutoff by which a token of that group, issued then, is dead. The second of the cutoff itself is spared.
    fn cover(&self, id: &Id, issued_at: Option<UnixTime>) -> Option<UnixTime> {
        if self.is_empty() {
            return None;
        }
        let part = self.parts.of(id).read();
        let cutoff = part.table.get(id)?;
        let covers = issued_at.is_none_or(|begin| cutoff.not_before.is_after(begin));
        covers.then(|| cutoff.not_before.moment())
    }

    fn raise(&self, id: Id, not_before: UnixTime, until: UnixTime, sum_key: &SumKey) -> bool {
        let mut raised = Cutoff {
            not_before: Seconds::of(not_before),
            until: Minutes::up(until),
        };
        let mut part = self.parts.of(&id).write();
        let known = part.table.get(&id).copied();
        if let Some(known) = known {
            if raised.not_before <= known.not_before && raised.until <= known.until {
                return false;
            }
            raised.not_before = raised.not_before.max(known.not_before);
            raised.until = raised.until.max(known.until);
        }
        part.put(id, raised, sum_key);
        if known.is_none() {
            self.len.fetch_add(1, Ordering::Release);
        }
        true
    }

    fn entries(&self, number: u8, beyond: UnixTime) -> Vec<(Item, Revocation)> {
        let entry = |(id, cutoff): (&Id, &Cutoff)| {
            let (not_before, until) = (cutoff.not_before.moment(), cutoff.until.moment());
            let revocation = Revocation::Cutoff {
                id: *id,
                not_before,
                until,
            };
            (until > beyond).then(|| (item_of(&revocation), revocation))
        };
        let part = self.parts.numbered(number).read();
        part.table.iter().filter_map(entry).collect()
    }

    fn drop_ended(&self, now: UnixTime, sum_key: &SumKey) {
        for part in self.parts.0.iter() {
            let dropped = part.write().take_ended(now, sum_key).len();
            self.len.fetch_sub(dropped as u64, Ordering::Relaxed);
        }
    }
}

/// The last byte of a digest chooses the shard; the table inside uses the first eight.
fn shard_of(id: &Id) -> usize {
    usize::from(id.bytes()[15]) % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;

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
            let entries = set.entries(summary.section, beyond);
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
                let ends = of_token.clone().map(|(_, minutes, _)| Minutes::up(at(*minutes)));
                let latest = ends.max().map(Minutes::moment);
                let is_verified = of_token.clone().any(|(.., source)| *source == 0);
                for set in [&here, &there] {
                    let entries = set.entries(Section::Undated(number), UnixTime::EPOCH);
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
                let of_source = |set: &Set| (0..4).flat_map(|number| set.entries(Section::Undated(number), UnixTime::EPOCH))
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
            let Unverified {
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
        let set = Set::summed_under(SumKey::of(b"a key"), MARGIN);
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
