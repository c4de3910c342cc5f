//! The lowest rate at which a customer must read: a stalled reader holds memory of Doorward and of the shop.

use std::time::Duration;

use tokio::time::Instant;

/// The bytes that a connection has accepted, and how long it has stalled.
///
/// A socket takes little more than what is in transit (`listen` sets `TCP_NOTSENT_LOWAT`), so that what it took
/// the customer has nearly got.
#[derive(Debug)]
pub(super) struct SendRateLimit {
    /// Bytes a second that must be taken; 0: any.
    rate_min: u64,
    /// How long a customer may stall beyond what its bytes allow: in all, and each time.
    grace: Duration,
    sent: u64,
    /// How many bytes it took last.
    last: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
}

impl SendRateLimit {
    /// This many bytes a second, after this grace.
    pub(super) fn new(rate_min: usize, grace: Duration) -> Self {
        Self {
            rate_min: u64::try_from(rate_min).unwrap_or(u64::MAX),
            grace,
            sent: 0,
            last: 0,
            waited: Duration::ZERO,
            waiting_since: None,
        }
    }

    /// The next answer begins.
    pub(super) fn reset(&mut self) {
        (self.sent, self.last) = (0, 0);
        (self.waited, self.waiting_since) = (Duration::ZERO, None);
    }

    /// The socket took some bytes.
    pub(super) fn note_sent(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += now.duration_since(since);
        }
        self.last = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.sent = self.sent.saturating_add(self.last);
    }

    /// The socket takes nothing now: until when to wait. `None`: without limit.
    pub(super) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        if self.rate_min == 0 {
            return None;
        }
        let since = *self.waiting_since.get_or_insert(now);
        let earned = |bytes: u64| self.grace + Duration::from_secs(bytes / self.rate_min);
        let in_all = earned(self.sent).saturating_sub(self.waited);
        Some(since + in_all.min(earned(self.last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_earns_time_by_taking_bytes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut send_rate = SendRateLimit::new(1_000, Duration::from_secs(10));
        assert_eq!(send_rate.deadline(at(0)), Some(at(10)));
        assert_eq!(send_rate.deadline(at(4)), Some(at(10)));
        send_rate.note_sent(5_000, at(6)); // waited 6 of 15 by now
        assert_eq!(send_rate.deadline(at(100)), Some(at(109)));
        send_rate.note_sent(0, at(109));
        assert_eq!(send_rate.deadline(at(200)), Some(at(200)));
        send_rate.note_sent(900_000, at(200));
        send_rate.note_sent(3_000, at(200));
        assert_eq!(
            send_rate.deadline(at(300)),
            Some(at(313)),
            "what it took long ago buys no patience"
        );
        send_rate.reset();
        assert_eq!(send_rate.deadline(at(200)), Some(at(210)));
    }

    #[test]
    fn without_a_rate_nobody_is_hurried() {
        let mut send_rate = SendRateLimit::new(0, Duration::ZERO);
        assert_eq!(send_rate.deadline(Instant::now()), None);
    }
}
