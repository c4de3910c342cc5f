//! The windows of revoked tokens: each holds the ids of the tokens that end in it, and ends as a whole.

use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hashbrown::{HashMap as CompactMap, HashSet as CompactSet};
use moka::Expiry;
use moka::notification::RemovalCause;
use moka::sync::Cache;
use parking_lot::{Mutex, RwLock};

use super::id_tables::IdHasher;
use super::summary::{Bucket, Item, Sum, SumKey, Summary, item, item_of};
use crate::clock::UnixTime;
use crate::revocation::entry::{Id, MARGIN, Revocation, Source, Window};

/// Every window in which a revoked token ends.
///
/// moka holds every window and decides when one ends; there is no `max_capacity`, on purpose: both policies
/// of moka were seen to drop live entries. Checks ask the index instead, for every `get` of moka writes to a
/// log that all threads share.
pub(super) struct Windows {
    held: Cache<Window, Arc<WindowIds>, foldhash::fast::RandomState>,
    /// The same windows, and never fewer: one leaves only after moka has dropped it, under `writing`.
    index: RwLock<Index>,
    /// Windows that moka has dropped since they were last asked for.
    ended: Arc<Mutex<Vec<Window>>>,
    /// How long what seems to be over is kept all the same: at a start the wall clock may be wrong, and
    /// what is dropped then would be forgotten.
    grace: Duration,
    /// Held while a window is created or its end moves, so that no two writers make the same window.
    writing: Mutex<()>,
}

/// The windows by their number.
type Index = CompactMap<Window, Arc<WindowIds>, foldhash::fast::RandomState>;

impl Windows {
    /// No windows; each will live at least for `grace` from its last change on.
    pub(super) fn with_grace(grace: Duration) -> Self {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let dropped = Arc::clone(&ended);
        let held = Cache::builder()
            .expire_after(EndOfWindow)
            .eviction_listener(move |window: Arc<Window>, _ids, cause| {
                if cause == RemovalCause::Expired {
                    dropped.lock().push(*window);
                }
            })
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self {
            held,
            index: RwLock::default(),
            ended,
            grace,
            writing: Mutex::new(()),
        }
    }

    /// Whether a token that ends in this window is revoked.
    pub(super) fn contains(&self, window: Window, id: &Id) -> bool {
        let index = self.index.read();
        index.get(&window).is_some_and(|ids| ids.contains(id))
    }

    /// The entry of a token that ends in this window.
    pub(super) fn find(&self, window: Window, id: &Id) -> Option<Revocation> {
        let index = self.index.read();
        let ids = index.get(&window).filter(|ids| ids.contains(id))?;
        Some(Revocation::Token {
            id: *id,
            window,
            until: ids.kept_until(),
            source: Source::Verified,
        })
    }

    /// Whether a token of this id is revoked, whenever it ends. Reads every window.
    pub(super) fn any_contains(&self, id: &Id) -> bool {
        self.index.read().values().any(|ids| ids.contains(id))
    }

    /// Puts an id into a window that lives at least until `until` from now on. Whether it was news.
    pub(super) fn insert(
        &self,
        id: Id,
        (window, until): (Window, UnixTime),
        now: UnixTime,
        sum_key: &SumKey,
    ) -> bool {
        let (ids, is_later) = self.window_until(window, until, now);
        ids.insert(id, sum_key) || is_later
    }

    /// Keeps a window at least until then, if there is one.
    pub(super) fn keep(&self, window: Window, until: UnixTime, now: UnixTime) {
        let is_shorter = |ids: &Arc<WindowIds>| ids.kept_until() < until;
        if self.index.read().get(&window).is_some_and(is_shorter) {
            self.window_until(window, until, now);
        }
    }

    /// Drops the windows that are over, and names those that ended since the last call. None ends that lives
    /// beyond the horizon: the clock may have been wrong when its end was reckoned.
    pub(super) fn drop_ended(&self, horizon: UnixTime, now: UnixTime) -> Vec<Window> {
        self.held.run_pending_tasks();
        let _writing = self.writing.lock();
        let mut ended = std::mem::take(&mut *self.ended.lock());
        // One that ended and came back, because a writer wrote to it meanwhile, is alive.
        ended.retain(|window| !self.held.contains_key(window));
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
        self.held.insert(window, ids);
        true
    }

    /// Measures the ends of all windows anew, for the wall clock was set back and moka counts on the
    /// monotonic one.
    pub(super) fn clock_stepped(&self, now: UnixTime) {
        let _writing = self.writing.lock();
        for (window, ids) in self.index.read().iter() {
            ids.ends_in(now, self.grace);
            self.held.insert(*window, Arc::clone(ids));
        }
    }

    /// How many windows there are, and how many ids in them.
    pub(super) fn count(&self) -> (u64, u64) {
        let index = self.index.read();
        let ids = index.values().map(|ids| ids.len.load(Ordering::Relaxed));
        (index.len() as u64, ids.sum())
    }

    /// How many bytes the ids take, the free places of their tables included.
    pub(super) fn bytes(&self) -> usize {
        let index = self.index.read();
        let shards = index.values().flat_map(|ids| &ids.shards);
        shards.map(|shard| shard.read().allocation_size()).sum()
    }

    pub(super) fn summaries(&self, beyond: UnixTime) -> Vec<Summary> {
        let index = self.index.read();
        let of_window = |(window, ids): (&Window, &Arc<WindowIds>)| Summary {
            bucket: Bucket::Window(*window),
            count: ids.len.load(Ordering::Relaxed),
            sum: ids.sum(),
            until: ids.kept_until(),
        };
        let mut summaries: Vec<_> = index.iter().map(of_window).collect();
        drop(index);
        summaries.retain(|summary| summary.until > beyond && summary.count > 0);
        summaries
    }

    pub(super) fn entries(&self, window: Window, beyond: UnixTime) -> Vec<(Item, Revocation)> {
        let ids = self.index.read().get(&window).cloned();
        let ids = ids.filter(|ids| ids.kept_until() > beyond);
        ids.map_or(Vec::new(), |ids| ids.entries(window))
    }

    /// The ids of a window, which lives at least until `until` from now on, and whether that is longer than before.
    fn window_until(
        &self,
        window: Window,
        until: UnixTime,
        now: UnixTime,
    ) -> (Arc<WindowIds>, bool) {
        let _writing = self.writing.lock();
        let known = self.index.read().get(&window).cloned();
        let ids = known.clone().unwrap_or_default();
        let later = until.seconds() > ids.until.fetch_max(until.seconds(), Ordering::Relaxed);
        if later || !self.held.contains_key(&window) {
            ids.ends_in(now, self.grace);
            self.held.insert(window, Arc::clone(&ids));
        }
        if known.is_none() {
            self.index.write().insert(window, Arc::clone(&ids));
        }
        (ids, later)
    }
}

/// How many locks the ids of one window are spread over: few ids wait for each other, and a table that
/// grows is small.
const SHARDS: usize = 16;

/// The ids of one window.
#[derive(Default)]
struct WindowIds {
    shards: [RwLock<CompactSet<Id, BuildHasherDefault<IdHasher>>>; SHARDS],
    len: AtomicU64,
    /// The latest retention of the ids, in seconds since the epoch.
    until: AtomicU64,
    /// How many seconds that was away when moka was last given the window.
    seconds_left: AtomicU64,
    /// The two halves of the sum of the ids' digests.
    sums: [AtomicU64; 2],
}

impl WindowIds {
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
    fn left(ids: &WindowIds) -> Duration {
        /// moka takes at most a thousand years; a window that long is measured anew by then.
        const LONGEST: Duration = Duration::from_hours(4_380_000);
        Duration::from_secs(ids.seconds_left.load(Ordering::Relaxed)).min(LONGEST)
    }
}

impl Expiry<Window, Arc<WindowIds>> for EndOfWindow {
    fn expire_after_create(
        &self,
        _: &Window,
        ids: &Arc<WindowIds>,
        _: Instant,
    ) -> Option<Duration> {
        Some(Self::left(ids))
    }

    fn expire_after_update(
        &self,
        _: &Window,
        ids: &Arc<WindowIds>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(Self::left(ids))
    }
}

/// The last byte of a digest chooses the shard; the table inside uses the first eight.
fn shard_of(id: &Id) -> usize {
    usize::from(id.bytes()[15]) % SHARDS
}
