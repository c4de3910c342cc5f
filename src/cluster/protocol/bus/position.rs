//! A node's position in the stream, and the detection of lost entries.

use std::fmt;
use std::str;

/// The number of an entry: the server's time in milliseconds since the epoch, and a serial number within it
/// (<https://redis.io/docs/latest/develop/data-types/streams/#entry-ids>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryId {
    pub(crate) time_ms: u64,
    pub(crate) serial: u64,
}

impl EntryId {
    /// Before every entry.
    pub(crate) const ZERO: Self = Self {
        time_ms: 0,
        serial: 0,
    };

    /// Reads what the server writes.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (time, serial) = str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self {
            time_ms: time.parse().ok()?,
            serial: serial.parse().ok()?,
        })
    }

    /// The first one that can come after it.
    pub(crate) fn next(self) -> Self {
        match self.serial.checked_add(1) {
            Some(serial) => Self { serial, ..self },
            None => Self {
                time_ms: self.time_ms.saturating_add(1),
                serial: 0,
            },
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.time_ms, self.serial)
    }
}

/// What the server says of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamExtent {
    /// The oldest entry that is there.
    pub(crate) first: Option<EntryId>,
    /// The newest one that ever was.
    pub(crate) last: EntryId,
    /// How many there ever were; `None`: the server does not count (Redis before version 7).
    pub(crate) added: Option<u64>,
}

/// Why entries may be missing that were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Another process answers: it was started again, or another machine took over.
    OtherServer,
    /// There is no stream any more.
    Gone,
    /// It ends before what was read.
    Shorter,
    /// Another one has begun under the same name.
    Anew,
    /// What followed what was read is not kept any more.
    Trimmed,
    /// An entry is too large to be read; everything before this node's next entry was skipped.
    TooLarge,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherServer => "another server process answers than before",
            Self::Gone => "the stream is gone",
            Self::Shorter => "the stream ends before what was read of it",
            Self::Anew => "another stream has begun under the same name",
            Self::Trimmed => "the stream begins after what was read of it",
            Self::TooLarge => "something on it is too large, and was passed over",
        })
    }
}

/// Where a node is in the stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamPosition {
    /// The last entry that was read.
    pub(crate) read: EntryId,
    server: Option<String>,
    /// How many entries the server must have counted at least, if this is still the same stream: as many as when it was
    /// last asked, and those that were read since.
    added: Option<u64>,
    /// The newest entry at that time.
    counted_to: EntryId,
}

impl StreamPosition {
    /// After this entry.
    pub(crate) fn after(read: Option<(u64, u64)>) -> Self {
        let read = read.map(|(time_ms, serial)| EntryId { time_ms, serial });
        Self {
            read: read.unwrap_or_default(),
            server: None,
            added: None,
            counted_to: EntryId::ZERO,
        }
    }

    /// The next entry is read.
    pub(crate) fn go_on_to(&mut self, id: EntryId) {
        self.read = id;
        if id > self.counted_to {
            self.added = self.added.map(|added| added + 1);
        }
    }

    /// Which server process answers.
    pub(crate) fn check_run_id(&mut self, run_id: &str) -> Option<Loss> {
        let before = self.server.replace(run_id.to_owned());
        let is_other = before.is_some_and(|before| before != run_id);
        is_other.then_some(Loss::OtherServer)
    }

    /// What the stream is now; `None`: there is none. One that can't be continued is read from its beginning.
    pub(crate) fn check_stream(&mut self, stretch: Option<StreamExtent>) -> Option<Loss> {
        let loss = self.loss(stretch);
        if loss.is_some() {
            self.read = EntryId::ZERO;
        }
        self.added = stretch.map_or(Some(0), |stretch| stretch.added);
        self.counted_to = stretch.map_or(EntryId::ZERO, |stretch| stretch.last);
        loss
    }

    fn loss(&self, stretch: Option<StreamExtent>) -> Option<Loss> {
        if self.read == EntryId::ZERO {
            return None; // nothing was ever read
        }
        let Some(stretch) = stretch else {
            return Some(Loss::Gone);
        };
        if stretch.last < self.read {
            return Some(Loss::Shorter);
        }
        let counted = stretch.added.zip(self.added);
        if counted.is_some_and(|(added, at_least)| added < at_least) {
            return Some(Loss::Anew);
        }
        let begins_later = stretch.first.is_some_and(|first| first > self.read.next());
        let is_empty = stretch.first.is_none() && stretch.last > self.read;
        (begins_later || is_empty).then_some(Loss::Trimmed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(time_ms: u64) -> EntryId {
        EntryId { time_ms, serial: 0 }
    }

    fn stretch(first: u64, last: u64, added: u64) -> StreamExtent {
        StreamExtent {
            first: Some(id(first)),
            last: id(last),
            added: Some(added),
        }
    }

    #[test]
    fn a_stream_that_goes_on_has_lost_nothing() {
        let mut place = StreamPosition::after(None);
        assert_eq!(place.check_run_id("one"), None);
        assert_eq!(place.check_stream(None), None);
        assert_eq!(place.check_stream(Some(stretch(5, 9, 3))), None);
        place.read = id(9);
        assert_eq!(place.check_run_id("one"), None);
        assert_eq!(place.check_stream(Some(stretch(9, 20, 7))), None);
        let next = id(9).next();
        let trimmed_behind_us = StreamExtent {
            first: Some(next),
            last: next,
            added: Some(8),
        };
        assert_eq!(place.check_stream(Some(trimmed_behind_us)), None);
        assert_eq!(place.read, id(9));
    }

    #[test]
    fn every_loss_is_noticed() {
        let at = |read: u64| {
            let mut place = StreamPosition::after(Some((read, 0)));
            place.check_stream(Some(stretch(read, read, 100)));
            place
        };
        let mut place = at(50);
        assert_eq!(place.check_run_id("one"), None);
        assert_eq!(place.check_run_id("two"), Some(Loss::OtherServer));
        assert_eq!(place.read, id(50));
        assert_eq!(place.check_stream(None), Some(Loss::Gone));
        assert_eq!(place.read, EntryId::ZERO);
        let mut place = at(50);
        assert_eq!(
            place.check_stream(Some(stretch(1, 49, 100))),
            Some(Loss::Shorter)
        );
        assert_eq!(place.read, EntryId::ZERO);
        let mut place = at(50);
        assert_eq!(
            place.check_stream(Some(stretch(60, 70, 2))),
            Some(Loss::Anew)
        );
        assert_eq!(place.read, EntryId::ZERO);
        let mut place = at(50);
        assert_eq!(
            place.check_stream(Some(stretch(60, 70, 120))),
            Some(Loss::Trimmed)
        );
        assert_eq!(place.read, EntryId::ZERO);
        place.read = id(60);
        let emptied = StreamExtent {
            first: None,
            last: id(70),
            added: Some(130),
        };
        assert_eq!(place.check_stream(Some(emptied)), Some(Loss::Trimmed));
    }

    #[test]
    fn a_stream_that_is_emptied_between_two_looks_is_noticed_however_much_follows() {
        for before in [None, Some(stretch(50, 50, 1))] {
            let mut place = StreamPosition::after(None);
            assert_eq!(place.check_stream(before), None);
            if before.is_some() {
                place.go_on_to(id(50)); // which was counted
            }
            for read in 51..60 {
                place.go_on_to(id(read));
            }
            let (mut emptied, mut goes_on) = (place.clone(), place);
            for read in 70..80 {
                emptied.go_on_to(id(read));
                goes_on.go_on_to(id(read));
            }
            let counted = if before.is_some() { 20 } else { 19 };
            let same = stretch(50, 79, counted);
            assert_eq!(goes_on.check_stream(Some(same)), None);
            let another = stretch(70, 79, 10);
            assert_eq!(emptied.check_stream(Some(another)), Some(Loss::Anew));
        }
    }

    #[test]
    fn a_server_that_does_not_count_is_believed() {
        let mut place = StreamPosition::after(None);
        assert_eq!(place.check_stream(None), None);
        place.go_on_to(id(50));
        let uncounted = StreamExtent {
            first: Some(id(50)),
            last: id(60),
            added: None,
        };
        assert_eq!(place.check_stream(Some(uncounted)), None);
        assert_eq!(place.check_stream(Some(uncounted)), None);
    }

    proptest! {
        #[test]
        fn an_id_is_read_as_it_is_written(time_ms: u64, serial: u64) {
            let id = EntryId { time_ms, serial };
            prop_assert_eq!(EntryId::parse(id.to_string().as_bytes()), Some(id));
            prop_assert!(id.next() > id || id.time_ms == u64::MAX);
        }

        #[test]
        fn no_text_is_a_surprise(text: Vec<u8>) {
            let _ = EntryId::parse(&text);
        }
    }
}
