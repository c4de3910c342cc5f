//! How far the clocks of a shop's servers are from this node's clock.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::moment::{Moment, ShopOffset};
use super::server_address::ServerAddress;
use super::server_clock::{DateBounds, Estimate, ServerClock};
use crate::clock::UnixTime;

/// How far the clocks of a shop's servers are from ours, learnt from the `Date` of their answers.
///
/// A clock that is off by more than `clock_offset_max` is ignored, and one outlier changes nothing. A cutoff is taken on the
/// earliest of the clocks: a token that any server issues after a logout must not be refused.
#[derive(Debug)]
pub struct ShopClock {
    offset_max: Duration,
    servers: Arc<Mutex<Vec<ObservedServer>>>,
}

/// What the answers of one server showed.
#[derive(Debug)]
struct ObservedServer {
    address: ServerAddress,
    clock: ServerClock,
    /// How many of its answers were ignored.
    disbelieved: u64,
    /// When a warning about it was last logged, in milliseconds since the epoch; zero: never.
    differing_warned_ms: u64,
    disbelieved_warned_ms: u64,
}

/// What is known of the clock of one server, for metrics and `doorward inspect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOffset {
    /// Its address.
    pub address: ServerAddress,
    /// How many whole seconds it is ahead of ours, by its answers; negative: behind.
    pub offset_s: i64,
    /// How many of its answers were ignored.
    pub disbelieved: u64,
}

/// A warning about an answer's `Date`; logged once in ten minutes for each server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockWarning {
    /// The server's clock is so many seconds ahead of ours; negative: behind.
    Differs(i64),
    /// So many seconds, which is too much: the answer is ignored.
    Disbelieved(i64),
}

/// How long an answer counts as recent. Without a recent one, the cutoff of a forwarded logout waits for the shop's answer.
const FRESH_MS: u64 = 120_000;

/// A server that has not answered for so long while others have is ignored.
const GONE_MS: u64 = 3_600_000;

/// How often the same warning is logged for a server.
const WARN_EVERY_MS: u64 = 600_000;

/// A greater difference is logged as a warning.
const DIFFERING_S: u64 = 2;

impl ShopClock {
    /// A clock of which nothing is known. Answers that differ from our clock by more than `offset_max` are ignored.
    pub fn new(offset_max: Duration) -> Self {
        Self {
            offset_max,
            servers: Arc::default(),
        }
    }

    /// The limit of this configuration, with what was learnt under the previous one.
    #[must_use]
    pub fn inheriting(&self, old: &Self) -> Self {
        Self {
            offset_max: self.offset_max,
            servers: Arc::clone(&old.servers),
        }
    }

    /// Learns from an answer of the server at `address` with this `Date`. The other times are ours, in milliseconds since the
    /// epoch.
    ///
    /// Do not pass answers from a cache (those with `Age`).
    pub fn observe(
        &self,
        address: &ServerAddress,
        (sent_ms, received_ms): (u64, u64),
        date: UnixTime,
    ) -> Option<ClockWarning> {
        if received_ms < sent_ms {
            return None; // our own clock was set back meanwhile
        }
        let bounds = DateBounds::from_answer(sent_ms, received_ms, date);
        let mut all = self.servers.lock();
        let at = all.iter().position(|known| known.address == *address);
        let at = at.unwrap_or_else(|| {
            all.retain(|other| !other.is_gone(received_ms));
            all.push(ObservedServer::new(address.clone()));
            all.len() - 1
        });
        let server = all.get_mut(at)?;
        server.clock.observe(date, received_ms, bounds);
        let offset_s = bounds.seconds();
        if !bounds.are_within(self.offset_max_ms()) {
            server.disbelieved += 1;
            let is_due = is_due(&mut server.disbelieved_warned_ms, received_ms);
            return is_due.then_some(ClockWarning::Disbelieved(offset_s));
        }
        let differs = offset_s.unsigned_abs() > DIFFERING_S;
        let is_due = differs && is_due(&mut server.differing_warned_ms, received_ms);
        is_due.then_some(ClockWarning::Differs(offset_s))
    }

    /// Whether a recent answer showed a clock within the limit.
    pub(in crate::request) fn is_known(&self, now: UnixTime) -> bool {
        let all = self.servers.lock();
        let last_answer_ms = all.iter().map(|server| server.clock.last_answer_ms()).max();
        drop(all);
        let is_fresh =
            last_answer_ms.is_some_and(|at| at.saturating_add(FRESH_MS) >= milliseconds(now));
        is_fresh
            && matches!(
                self.offset(),
                ShopOffset::One { .. } | ShopOffset::Several { .. }
            )
    }

    /// How many whole seconds the earliest clock of the shop is ahead of ours; negative: behind. Zero if none is known.
    pub fn offset_s(&self) -> i64 {
        match self.offset() {
            ShopOffset::Unknown | ShopOffset::Disbelieved(_) => 0,
            ShopOffset::One { bounds, .. } | ShopOffset::Several { bounds, .. } => bounds.seconds(),
        }
    }

    /// What the earliest clock of the shop shows when ours shows `now`.
    pub fn shop_time(&self, now: UnixTime) -> UnixTime {
        now.shifted(self.offset_s())
    }

    /// What is known of each server.
    pub fn servers(&self) -> Vec<ServerOffset> {
        let all = self.servers.lock();
        let offset = |one: &ObservedServer| ServerOffset {
            address: one.address.clone(),
            offset_s: earliest(&one.clock.estimates()).map_or(0, |one| one.bounds.seconds()),
            disbelieved: one.disbelieved,
        };
        all.iter().map(offset).collect()
    }

    /// A moment on our clock, with what is known of the shop's.
    pub(in crate::request) fn moment(&self, now: UnixTime) -> Moment {
        Moment {
            now,
            latest: now.plus(self.offset_max),
            offset: self.offset(),
        }
    }

    fn offset(&self) -> ShopOffset {
        let all = self.servers.lock();
        let newest_ms = all.iter().map(|server| server.clock.last_answer_ms()).max();
        let newest_ms = newest_ms.unwrap_or_default();
        let present = all.iter().filter(|server| !server.is_gone(newest_ms));
        let max_ms = self.offset_max_ms();
        let mut believed: SmallVec<[Estimate; 4]> = SmallVec::new();
        let mut servers = 0;
        for server in present.clone() {
            let estimates = server.clock.estimates_within(max_ms);
            servers += usize::from(!estimates.is_empty());
            believed.extend(estimates);
        }
        let Some(bounds) = earliest(&believed).map(|one| one.bounds) else {
            let all = present.flat_map(|server| server.clock.estimates());
            let all: SmallVec<[Estimate; 4]> = all.collect();
            return earliest(&all).map_or(ShopOffset::Unknown, |one| {
                ShopOffset::Disbelieved(one.bounds)
            });
        };
        let least = believed.iter().map(Estimate::least_certain).min();
        let least = least.unwrap_or(bounds.least).max(-max_ms);
        let is_one = servers == 1 && believed.iter().all(|one| one.bounds.least < bounds.most);
        if is_one {
            ShopOffset::One { bounds, least }
        } else {
            ShopOffset::Several { bounds, least }
        }
    }

    fn offset_max_ms(&self) -> i64 {
        i64::try_from(self.offset_max.as_millis()).unwrap_or(i64::MAX)
    }
}

impl ObservedServer {
    fn new(address: ServerAddress) -> Self {
        Self {
            address,
            clock: ServerClock::default(),
            disbelieved: 0,
            differing_warned_ms: 0,
            disbelieved_warned_ms: 0,
        }
    }

    fn is_gone(&self, newest_ms: u64) -> bool {
        self.clock.last_answer_ms().saturating_add(GONE_MS) < newest_ms
    }
}

impl Estimate {
    /// The lower bound; while it is not confirmed, not ahead of our own clock.
    fn least_certain(&self) -> i64 {
        if self.is_confirmed {
            self.bounds.least
        } else {
            self.bounds.least.min(0)
        }
    }
}

fn earliest(estimates: &[Estimate]) -> Option<&Estimate> {
    estimates.iter().min_by_key(|one| one.bounds.least)
}

/// Whether a warning is due again.
fn is_due(warned_ms: &mut u64, now_ms: u64) -> bool {
    let is_due = *warned_ms == 0 || now_ms >= warned_ms.saturating_add(WARN_EVERY_MS);
    if is_due {
        *warned_ms = now_ms;
    }
    is_due
}

fn milliseconds(time: UnixTime) -> u64 {
    time.seconds().saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::moment::UNKNOWN_LAG;
    use super::*;

    const MAX_S: u64 = 300;
    const MAX_MS: i64 = 300_000;
    /// When every story begins, in milliseconds.
    const BEGIN_MS: u64 = 1_790_000_000_000;
    const YEAR_S: i64 = 31_536_000;

    fn address(server: usize) -> ServerAddress {
        std::net::SocketAddr::from(([10, 0, 0, u8::try_from(server).unwrap()], 80)).into()
    }

    /// What a clock shows that is ahead by so many milliseconds.
    fn shown(ahead_ms: i64, at_ms: u64) -> UnixTime {
        UnixTime::from_seconds(at_ms.saturating_add_signed(ahead_ms) / 1000)
    }

    struct ClockStory {
        clock: ShopClock,
        now_ms: u64,
    }

    impl ClockStory {
        fn begin() -> Self {
            Self {
                clock: ShopClock::new(Duration::from_secs(MAX_S)),
                now_ms: BEGIN_MS,
            }
        }

        fn says(&mut self, server: usize, trip_ms: u64, date: UnixTime) -> Option<ClockWarning> {
            let sent_ms = self.now_ms;
            self.now_ms += trip_ms;
            self.clock
                .observe(&address(server), (sent_ms, self.now_ms), date)
        }

        /// A server whose clock is so far ahead answers, at any moment of the trip.
        fn answers(&mut self, server: usize, ahead_ms: i64, trip_ms: u64, stamped_ms: u64) {
            let date = shown(ahead_ms, self.now_ms + stamped_ms.min(trip_ms));
            self.says(server, trip_ms, date);
        }

        /// It answers in several seconds, one after the other.
        fn goes_on(&mut self, server: usize, ahead_ms: i64, answers: usize) {
            for _ in 0..answers {
                self.answers(server, ahead_ms, 5, 2);
                self.now_ms += 1_300;
            }
        }

        fn now(&self) -> UnixTime {
            shown(0, self.now_ms)
        }

        fn cutoff(&self, issued_at: Option<UnixTime>) -> UnixTime {
            self.clock.moment(self.now()).cutoff(issued_at)
        }

        /// How many seconds the cutoff is later than what a clock shows that is so far ahead.
        fn cutoff_s(&self, ahead_ms: i64) -> i64 {
            let shown = shown(ahead_ms, self.now_ms).seconds();
            self.cutoff(None).seconds().cast_signed() - shown.cast_signed()
        }
    }

    #[test]
    fn a_clock_is_learnt_however_far_it_is_off() {
        for ahead in [
            -299_000, -90_000, -2_500, -400, 0, 400, 7_000, 90_000, 299_000,
        ] {
            let mut story = ClockStory::begin();
            story.goes_on(1, ahead, 4);
            let late = story.cutoff_s(ahead);
            assert!((-3..=0).contains(&late), "{ahead}: {late}");
            let offset_ms = story.clock.offset_s() * 1000;
            assert!(
                (ahead - 2_000..=ahead.max(0)).contains(&offset_ms),
                "{ahead}: {offset_ms}"
            );
        }
    }

    #[test]
    fn one_odd_answer_changes_nothing_attacks_a7() {
        for ahead in [-60_000, 0, 60_000] {
            for odd_s in [-YEAR_S, -86_400, -3_600, -240, 240, 3_600, YEAR_S] {
                let mut story = ClockStory::begin();
                story.goes_on(1, ahead, 3);
                let offset_s = story.clock.offset_s();
                story.says(1, 5, shown(odd_s * 1000, story.now_ms));
                assert_eq!(story.clock.offset_s(), offset_s, "{odd_s}");
                let late = story.cutoff_s(ahead);
                assert!((-3..=0).contains(&late), "{ahead} {odd_s}: {late}");
            }
        }
    }

    #[test]
    fn a_first_answer_that_is_odd_is_outvoted_by_the_next() {
        for odd_s in [-YEAR_S, -240, 240, YEAR_S] {
            let mut story = ClockStory::begin();
            story.says(1, 5, shown(odd_s * 1000, story.now_ms));
            assert!(story.cutoff(None) <= story.now(), "{odd_s}");
            story.answers(1, 0, 5, 2);
            assert_eq!(story.clock.offset_s(), 0, "{odd_s}");
            assert!((-2..=0).contains(&story.cutoff_s(0)), "{odd_s}");
        }
    }

    #[test]
    fn a_clock_that_was_set_is_learnt_anew() {
        let mut story = ClockStory::begin();
        story.goes_on(1, 60_000, 8);
        story.goes_on(1, -60_000, 2);
        assert!(story.cutoff_s(-60_000) <= 0, "at once, where it went back");
        story.goes_on(1, -60_000, 6);
        story.goes_on(1, 60_000, 8);
        assert!(
            story.cutoff_s(60_000) >= -3,
            "and when nothing else is heard any more"
        );
    }

    #[test]
    fn a_page_that_was_kept_says_no_time_however_often_it_comes() {
        let mut story = ClockStory::begin();
        story.goes_on(1, 0, 2);
        let kept = shown(-100_000, story.now_ms);
        for _ in 0..20 {
            story.says(1, 5, kept);
            story.now_ms += 700;
        }
        assert!(
            (-3..=0).contains(&story.cutoff_s(0)),
            "{}",
            story.cutoff_s(0)
        );
    }

    #[test]
    fn what_is_out_of_bounds_is_told_now_and_then() {
        let mut story = ClockStory::begin();
        let hour = |story: &ClockStory| shown(3_600_000, story.now_ms);
        let date = hour(&story);
        assert_eq!(
            story.says(1, 5, date),
            Some(ClockWarning::Disbelieved(3_599))
        );
        assert_eq!(story.says(1, 5, date), None);
        assert_eq!(
            story.says(2, 5, date),
            Some(ClockWarning::Disbelieved(3_599))
        );
        story.now_ms += WARN_EVERY_MS;
        let date = hour(&story);
        assert!(story.says(1, 5, date).is_some());
        assert_eq!(story.clock.offset_s(), 0);
        let servers = story.clock.servers();
        assert_eq!(
            servers
                .iter()
                .map(|one| one.disbelieved)
                .collect::<Vec<_>>(),
            [3, 1]
        );
        assert!(servers.iter().all(|one| one.offset_s > 3_500));
        assert!(!story.clock.is_known(story.now()));
        story.answers(3, 0, 5, 2);
        assert!(story.clock.is_known(story.now()));
        story.now_ms += FRESH_MS + 2_000;
        assert!(
            !story.clock.is_known(story.now()),
            "nothing was heard lately"
        );
    }

    #[test]
    fn the_presented_token_proves_the_time_attacks_r3() {
        let mut story = ClockStory::begin();
        let now = story.now();
        let unknown = now.minus(UNKNOWN_LAG);
        for (issued_at, cutoff) in [
            (None, unknown),
            (Some(now.shifted(20)), now.shifted(21)),
            (Some(now), now), // its second is not over
            (Some(now.shifted(-900)), unknown),
            (Some(now.shifted(YEAR_S)), unknown), // no clock of the shop shows that
        ] {
            assert_eq!(story.cutoff(issued_at), cutoff, "{issued_at:?}");
        }
        story.answers(1, 20_000, 5, 2); // one answer alone is no proof that it is ahead
        assert!(story.cutoff(None) <= now);
        assert_eq!(story.cutoff(Some(now.shifted(20))), now.shifted(20));
        story.answers(2, 0, 5, 2);
        assert!(
            story.cutoff(Some(now.shifted(20))) <= now,
            "the other server is not ahead"
        );
    }

    #[test]
    fn a_clock_that_is_not_believed_refuses_no_login_where_the_token_bears_it_out() {
        for ahead_s in [-3_600, 3_600] {
            let mut story = ClockStory::begin();
            story.answers(1, ahead_s * 1000, 5, 2);
            let shown = shown(ahead_s * 1000, story.now_ms);
            assert_eq!(story.cutoff(Some(shown)), shown);
            let before = shown.shifted(-100);
            assert!((before..=shown).contains(&story.cutoff(Some(before))) || ahead_s > 0);
        }
        let mut story = ClockStory::begin();
        story.answers(1, -86_400_000, 5, 2);
        let now = story.now();
        let before = now.shifted(-1_000);
        let unknown = now.minus(UNKNOWN_LAG);
        assert_eq!(
            story.cutoff(Some(before)),
            unknown,
            "the token is later than that clock"
        );
    }

    #[test]
    fn servers_that_are_gone_count_no_more() {
        let mut story = ClockStory::begin();
        story.goes_on(1, -60_000, 3);
        story.goes_on(2, 0, 3);
        assert!(story.cutoff_s(0) < -50);
        story.now_ms += GONE_MS;
        story.goes_on(2, 0, 3);
        assert!(story.cutoff_s(0) >= -3);
        story.answers(3, 0, 5, 2);
        assert_eq!(story.clock.servers().len(), 2);
    }

    #[test]
    fn a_reload_keeps_what_was_heard_and_takes_the_new_limit() {
        let mut story = ClockStory::begin();
        story.goes_on(1, 60_000, 3);
        let narrow = ShopClock::new(Duration::from_secs(10)).inheriting(&story.clock);
        assert_eq!((story.clock.offset_s(), narrow.offset_s()), (59, 0));
    }

    /// How long each answer takes, when it is stamped, and how long nothing comes then; all in milliseconds.
    type Answers = Vec<(u64, u64, u64)>;

    /// How far each server is ahead, and its answers.
    fn servers() -> impl Strategy<Value = Vec<(i64, Answers)>> {
        let ahead = prop_oneof![-290_000i64..290_000, -3_000i64..3_000, Just(0)];
        let answer = (0u64..4_000, 0u64..4_000, 0u64..3_000);
        vec((ahead, vec(answer, 1..12)), 1..4)
    }

    fn played(servers: &[(i64, Answers)]) -> ClockStory {
        let mut story = ClockStory::begin();
        let longest = servers.iter().map(|(_, answers)| answers.len()).max();
        for turn in 0..longest.unwrap_or_default() {
            for (number, (ahead, answers)) in servers.iter().enumerate() {
                if let Some((trip, stamped, wait)) = answers.get(turn) {
                    story.answers(number, *ahead, *trip, *stamped);
                    story.now_ms += wait;
                }
            }
        }
        story
    }

    proptest! {
        #[test]
        fn no_token_that_is_issued_after_a_logout_is_refused(
            servers in servers(),
            issuer in 0usize..4,
            age_ms in 0u64..100_000,
            wait_ms in 0u64..3_000,
        ) {
            let story = played(&servers);
            let (ahead, _) = servers[issuer % servers.len()];
            let issued_at = shown(ahead, story.now_ms - age_ms);
            let cutoff = story.cutoff(Some(issued_at)).max(story.cutoff(None));
            for (ahead, _) in &servers {
                let login = shown(*ahead, story.now_ms + wait_ms);
                prop_assert!(login >= cutoff, "{login} < {cutoff}");
            }
        }

        #[test]
        fn the_other_devices_of_a_shop_with_one_clock_end(
            ahead in -290_000i64..290_000,
            answers in 2usize..12,
            age_ms in 4_000u64..1_000_000,
        ) {
            let mut story = ClockStory::begin();
            story.goes_on(1, ahead, answers);
            let other = shown(ahead, story.now_ms - age_ms);
            prop_assert!(other < story.cutoff(None));
        }

        #[test]
        fn no_date_ends_a_cutoff_or_moves_it_into_the_future(
            dates in vec((0usize..3, any::<u64>(), -700_000i64..700_000, any::<bool>()), 0..20),
            age_s in 0u64..100_000,
        ) {
            let mut story = ClockStory::begin();
            for (server, any, near, is_near) in dates {
                let date = if is_near { shown(near, story.now_ms) } else { UnixTime::from_seconds(any) };
                story.says(server, 5, date);
                story.now_ms += 500;
            }
            let now = story.now();
            let earliest = now.minus(Duration::from_secs(MAX_S));
            let issued_at = now.shifted(-age_s.cast_signed());
            let cutoff = story.cutoff(Some(issued_at));
            prop_assert!(cutoff >= earliest.min(issued_at), "{cutoff}");
            prop_assert!(cutoff <= now.plus(Duration::from_secs(MAX_S)), "{cutoff}");
            prop_assert!(story.cutoff(None) >= earliest);
            let offset_ms = story.clock.offset_s() * 1000;
            prop_assert!((-MAX_MS - 1_000..=MAX_MS).contains(&offset_ms));
        }
    }
}
