//! How many retries an upstream can bear: a share of the requests that it was sent lately, so that retries never multiply the
//! load of servers that fail.

use parking_lot::Mutex;

use crate::request::Share;

/// How many seconds count.
const SECONDS: usize = 10;

/// So many retries are allowed in that time however few requests there are: an upstream with little traffic has retries, too.
const ALWAYS: u64 = 10;

/// The requests and retries of the last ten seconds.
#[derive(Debug, Default)]
pub(super) struct RetryBudget(Mutex<RecentCounts>);

/// One count for each of the last seconds.
#[derive(Clone, Copy, Debug, Default)]
struct RecentCounts {
    requests: [u32; SECONDS],
    retries: [u32; SECONDS],
    /// The second that is counted now.
    now_s: u64,
}

impl RetryBudget {
    /// A request that may be retried is sent for the first time.
    pub(super) fn note_request(&self, now_s: u64) {
        let mut counts = self.0.lock();
        let at = counts.advance_to(now_s);
        let requests = &mut counts.requests[at];
        *requests = requests.saturating_add(1);
    }

    /// Takes a retry from the budget, which is this share of the requests. Returns whether there was one.
    pub(super) fn take(&self, share: Share, now_s: u64) -> bool {
        let mut counts = self.0.lock();
        let at = counts.advance_to(now_s);
        let sum = |counts: &[u32; SECONDS]| counts.iter().copied().map(u64::from).sum::<u64>();
        let is_left = sum(&counts.retries) < ALWAYS + share.of(sum(&counts.requests));
        if is_left {
            counts.retries[at] += 1;
        }
        is_left
    }

    /// Takes over what was counted under the previous configuration.
    pub(super) fn inherit(&self, old: &Self) {
        let counts = *old.0.lock();
        *self.0.lock() = counts;
    }
}

impl RecentCounts {
    /// Forgets what is too old, and returns where this second is counted. Of two threads, the later may come first: what is behind
    /// counts in the last second known.
    fn advance_to(&mut self, now_s: u64) -> usize {
        let passed = now_s.saturating_sub(self.now_s);
        self.now_s = self.now_s.max(now_s);
        let seconds = SECONDS as u64;
        for back in 0..passed.min(seconds) {
            let at = place_of(self.now_s - back);
            (self.requests[at], self.retries[at]) = (0, 0);
        }
        place_of(self.now_s)
    }
}

fn place_of(second: u64) -> usize {
    usize::try_from(second % SECONDS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_few_retries_are_always_allowed_and_come_back_with_time() {
        let (budget, none) = (RetryBudget::default(), Share::parse("0%").unwrap());
        let taken = |now_s| (0..100).filter(|_| budget.take(none, now_s)).count();
        assert_eq!(taken(1000), 10);
        assert_eq!(taken(1009), 0);
        assert_eq!(taken(1010), 10);
        assert_eq!(taken(999), 0, "what is behind brings nothing back");
    }

    #[test]
    fn a_reload_keeps_what_was_counted() {
        let (old, new, none) = (
            RetryBudget::default(),
            RetryBudget::default(),
            Share::parse("0%").unwrap(),
        );
        for _ in 0..ALWAYS {
            assert!(old.take(none, 7));
        }
        new.inherit(&old);
        assert!(!new.take(none, 7));
    }

    proptest! {
        #[test]
        fn retries_never_exceed_their_share_of_any_ten_seconds(
            percent in 0_u64..=100,
            steps in prop::collection::vec((0_u64..4, 0_u32..60, 0_u32..60), 1..40),
        ) {
            let (budget, share) = (RetryBudget::default(), Share::parse(&format!("{percent}%")).unwrap());
            let mut now = 100;
            let mut log: Vec<(u64, u64, u64)> = Vec::new(); // second, requests, retries
            for (wait, requests, wanted) in steps {
                now += wait;
                for _ in 0..requests {
                    budget.note_request(now);
                }
                let taken = (0..wanted).filter(|_| budget.take(share, now)).count() as u64;
                log.push((now, u64::from(requests), taken));
                let lately = || log.iter().filter(|(second, ..)| now - second < SECONDS as u64);
                let requests: u64 = lately().map(|(_, requests, _)| requests).sum();
                let retries: u64 = lately().map(|(.., retries)| retries).sum();
                let allowed = ALWAYS + requests * percent / 100;
                // Retries of before stay where they are when the requests that allowed them have passed.
                prop_assert!(taken == 0 || retries <= allowed, "{retries} of {allowed}");
                prop_assert!(taken == u64::from(wanted) || retries >= allowed, "{retries} of {allowed}");
            }
        }
    }
}
