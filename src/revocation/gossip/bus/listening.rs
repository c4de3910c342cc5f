//! What is known of the bus as a whole: whether all that was on it was read, and whether it still speaks.

/// For how long a node listens to the bus before it believes that nobody else is there: everybody speaks every second.
const LISTENING_MS: u64 = 3_000;

/// For how long the bus may be silent; one hears oneself on it every second.
pub(in crate::revocation::gossip) const BUS_SILENCE_MAX_MS: u64 = 3_000;

/// How a node of a bus hears it.
#[derive(Debug)]
pub(in crate::revocation::gossip) struct Listening {
    /// When it was asked how far the bus reaches, and when everything up to there was read.
    read: Option<Read>,
    heard_ms: u64,
    lacks_some: bool,
}

#[derive(Clone, Copy, Debug)]
struct Read {
    asked_ms: u64,
    done_ms: u64,
}

/// What it comes to, for deciding where this node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::revocation::gossip) struct OnBus {
    /// Everything on it was read, and it was listened to for long enough to hear everybody who is there.
    pub(in crate::revocation::gossip) is_everybody_heard: bool,
    /// Something that this node has not read may have been on it, and is not any more.
    pub(in crate::revocation::gossip) lacks_some: bool,
    /// Nothing was heard on it for too long.
    pub(in crate::revocation::gossip) is_silent: bool,
}

impl Listening {
    /// Nothing was heard yet.
    pub(in crate::revocation::gossip) fn since(now_ms: u64) -> Self {
        Self {
            read: None,
            heard_ms: now_ms,
            lacks_some: false,
        }
    }

    /// Everything was read that was on the bus `asked_ms`. What was read before `since_ms` counts no more.
    pub(in crate::revocation::gossip) fn read(
        &mut self,
        asked_ms: u64,
        since_ms: u64,
        now_ms: u64,
    ) {
        if asked_ms >= since_ms && self.read.is_none_or(|read| read.asked_ms < since_ms) {
            self.read = Some(Read {
                asked_ms,
                done_ms: now_ms,
            });
        }
    }

    /// Somebody spoke on it just now.
    pub(in crate::revocation::gossip) fn hear(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
    }

    /// The connection to it broke.
    pub(in crate::revocation::gossip) fn break_off(&mut self) {
        self.read = None;
    }

    /// It was found to have lost something.
    pub(in crate::revocation::gossip) fn lack_some(&mut self) {
        self.lacks_some = true;
    }

    /// What it may have lost was compared since, or does not matter.
    pub(in crate::revocation::gossip) fn lack_nothing(&mut self) {
        self.lacks_some = false;
    }

    /// What is known now, as far as it was learnt since a moment.
    pub(in crate::revocation::gossip) fn view(&self, since_ms: u64, now_ms: u64) -> OnBus {
        let since = |then: u64| now_ms.saturating_sub(then);
        let read = self.read.filter(|read| read.asked_ms >= since_ms);
        OnBus {
            is_everybody_heard: read.is_some_and(|read| since(read.done_ms) >= LISTENING_MS),
            lacks_some: self.lacks_some,
            is_silent: since(self.heard_ms) > BUS_SILENCE_MAX_MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_heard_a_while_after_all_was_read() {
        let mut listening = Listening::since(10_000);
        let heard =
            |listening: &Listening, now_ms| listening.view(10_000, now_ms).is_everybody_heard;
        assert!(!heard(&listening, 60_000));
        listening.read(9_999, 10_000, 60_100); // asked before it counts
        assert!(!heard(&listening, 70_000));
        listening.read(61_000, 10_000, 61_500);
        listening.read(64_000, 10_000, 64_001); // later ones do not begin it anew
        assert!(!heard(&listening, 64_499));
        assert!(heard(&listening, 64_500));
        assert!(!listening.view(62_000, 70_000).is_everybody_heard);
        listening.read(70_500, 62_000, 70_600);
        assert!(listening.view(62_000, 73_600).is_everybody_heard);
        listening.break_off();
        assert!(!listening.view(62_000, 90_000).is_everybody_heard);
    }

    #[test]
    fn a_bus_that_says_nothing_is_silent() {
        let mut listening = Listening::since(1_000);
        assert!(!listening.view(0, 4_000).is_silent);
        assert!(listening.view(0, 4_001).is_silent);
        listening.hear(4_500);
        assert!(!listening.view(0, 7_500).is_silent);
        assert!(listening.view(0, 7_501).is_silent);
    }
}
