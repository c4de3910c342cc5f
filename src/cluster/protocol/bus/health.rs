//! The health of the bus: whether all its entries were read, and whether it still delivers.

use std::collections::VecDeque;

/// For how long a node listens to the bus before it takes itself for alone: every node pings twice a second.
const LISTENING_MS: u64 = 3_000;

/// How old what is read of the bus may be, beside its round trip; a node reads its own pings on it twice a second.
pub(crate) const BUS_SILENCE_MAX_MS: u64 = 3_000;

/// How old it may be at the most, however long that way is.
const LATE_MAX_MS: u64 = 5_000;

/// By how many of this node's pings the round trip is measured.
const ECHOES_KEPT: usize = 8;

/// What a node knows of the state of its bus.
#[derive(Debug)]
pub(crate) struct BusHealth {
    /// When it was asked how far the bus reaches, and when everything up to there was read.
    read: Option<Read>,
    /// When the last of what was read was written, or before: this node wrote its own last ping of that then.
    read_until_ms: u64,
    /// How long this node's last pings took until they were read.
    echoes_ms: VecDeque<u64>,
    lacks_some: bool,
}

#[derive(Clone, Copy, Debug)]
struct Read {
    asked_ms: u64,
    done_ms: u64,
}

/// What it comes to, for deciding where this node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BusView {
    /// Everything on it was read, and it was listened to for long enough to hear every node on it.
    pub(crate) is_every_node_heard: bool,
    /// Something that this node has not read may have been on it, and is not any more.
    pub(crate) lacks_some: bool,
    /// Nothing was heard on it for too long.
    pub(crate) is_silent: bool,
}

impl BusHealth {
    /// Nothing was heard yet.
    pub(crate) fn since(now_ms: u64) -> Self {
        Self {
            read: None,
            read_until_ms: now_ms,
            echoes_ms: VecDeque::new(),
            lacks_some: false,
        }
    }

    /// Everything was read that was on the bus `asked_ms`. What was read before `since_ms` counts no more.
    pub(crate) fn read(&mut self, asked_ms: u64, since_ms: u64, now_ms: u64) {
        if asked_ms >= since_ms && self.read.is_none_or(|read| read.asked_ms < since_ms) {
            self.read = Some(Read {
                asked_ms,
                done_ms: now_ms,
            });
        }
    }

    /// This node's own ping was read, which was written then: so was everything that was written before it.
    pub(crate) fn on_own_ping(&mut self, written_ms: u64, now_ms: u64) {
        self.read_until_ms = self.read_until_ms.max(written_ms);
        self.echoes_ms.push_back(now_ms.saturating_sub(written_ms));
        if self.echoes_ms.len() > ECHOES_KEPT {
            self.echoes_ms.pop_front();
        }
    }

    /// How long something takes by way of the bus to another node and back, in milliseconds; `None`: that is not known.
    pub(crate) fn round_trip_ms(&self) -> Option<u64> {
        Some(self.echoes_ms.iter().min()? * 2)
    }

    /// The connection to it broke.
    pub(crate) fn break_off(&mut self) {
        self.read = None;
    }

    /// It was found to have lost something.
    pub(crate) fn lack_some(&mut self) {
        self.lacks_some = true;
    }

    /// What it may have lost was compared since, or does not matter.
    pub(crate) fn lack_nothing(&mut self) {
        self.lacks_some = false;
    }

    fn silence_max_ms(&self) -> u64 {
        let way_ms = self.round_trip_ms().unwrap_or_default();
        BUS_SILENCE_MAX_MS.saturating_add(way_ms).min(LATE_MAX_MS)
    }

    /// What is known now, as far as it was learnt since a moment.
    pub(crate) fn view(&self, since_ms: u64, now_ms: u64) -> BusView {
        let since = |then: u64| now_ms.saturating_sub(then);
        let read = self.read.filter(|read| read.asked_ms >= since_ms);
        BusView {
            is_every_node_heard: read.is_some_and(|read| since(read.done_ms) >= LISTENING_MS),
            lacks_some: self.lacks_some,
            is_silent: since(self.read_until_ms) > self.silence_max_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_heard_a_while_after_all_was_read() {
        let mut listening = BusHealth::since(10_000);
        let heard =
            |listening: &BusHealth, now_ms| listening.view(10_000, now_ms).is_every_node_heard;
        assert!(!heard(&listening, 60_000));
        listening.read(9_999, 10_000, 60_100); // asked before it counts
        assert!(!heard(&listening, 70_000));
        listening.read(61_000, 10_000, 61_500);
        listening.read(64_000, 10_000, 64_001); // later ones do not begin it anew
        assert!(!heard(&listening, 64_499));
        assert!(heard(&listening, 64_500));
        assert!(!listening.view(62_000, 70_000).is_every_node_heard);
        listening.read(70_500, 62_000, 70_600);
        assert!(listening.view(62_000, 73_600).is_every_node_heard);
        listening.break_off();
        assert!(!listening.view(62_000, 90_000).is_every_node_heard);
    }

    #[test]
    fn a_bus_that_says_nothing_is_silent() {
        let mut listening = BusHealth::since(1_000);
        assert!(!listening.view(0, 4_000).is_silent);
        assert!(listening.view(0, 4_001).is_silent);
        listening.on_own_ping(4_500, 4_500);
        assert!(!listening.view(0, 7_500).is_silent);
        assert!(listening.view(0, 7_501).is_silent);
    }

    #[test]
    fn what_is_read_late_is_old_and_a_long_way_is_no_silence() {
        let mut listening = BusHealth::since(1_000);
        listening.on_own_ping(2_000, 4_000);
        listening.on_own_ping(2_500, 3_100);
        assert_eq!(listening.round_trip_ms(), Some(1_200));
        assert!(!listening.view(0, 6_700).is_silent);
        assert!(listening.view(0, 6_701).is_silent);
        for _ in 0..8 {
            listening.on_own_ping(2_500, 60_000);
        }
        assert!(listening.view(0, 7_501).is_silent, "but an endless one is");
    }
}
