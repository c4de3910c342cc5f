//! The last decisions, in memory, for `doorward explain --request-id`.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::server::access_log::record::{RecordedVerdict, RequestRecord};

/// How many decisions of each kind are kept.
pub(crate) const KEPT: usize = 10_000;

/// The last decisions: what was forwarded, and apart from it everything else, so that no number of visits displaces a refusal.
pub(crate) struct Decisions {
    forwarded: Ring,
    others: Ring,
}

/// The last records. A writer takes the next slot without waiting for other writers.
struct Ring {
    slots: Box<[Mutex<Option<Box<RequestRecord>>>]>,
    next: AtomicUsize,
}

impl Default for Decisions {
    fn default() -> Self {
        Self {
            forwarded: Ring::of(KEPT),
            others: Ring::of(KEPT),
        }
    }
}

impl Decisions {
    /// Keeps a record, in the place of the oldest.
    pub(crate) fn note(&self, record: RequestRecord) {
        let is_forwarded = record.verdict == RecordedVerdict::Forwarded
            && record.refusal.or(record.would).is_none();
        let ring = if is_forwarded {
            &self.forwarded
        } else {
            &self.others
        };
        ring.note(record);
    }

    /// The last records of what was forwarded, and of everything else, each with the newest first.
    pub(crate) fn latest(&self, most: usize) -> (Vec<RequestRecord>, Vec<RequestRecord>) {
        (self.forwarded.latest(most), self.others.latest(most))
    }

    /// The records with this id, the newest first.
    pub(crate) fn find(&self, request: &str) -> Vec<RequestRecord> {
        let mut found = self.others.find(request);
        found.extend(self.forwarded.find(request));
        found.sort_by_key(|record| std::cmp::Reverse(record.at_ms));
        found
    }
}

impl Ring {
    fn of(count: usize) -> Self {
        Self {
            slots: (0..count).map(|_| Mutex::default()).collect(),
            next: AtomicUsize::new(0),
        }
    }

    fn note(&self, record: RequestRecord) {
        let record = Some(Box::new(record));
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let old = self
            .slots
            .get(place)
            .map(|slot| std::mem::replace(&mut *slot.lock(), record));
        drop(old); // after the slot is free
    }

    /// From the slot before the next one backwards.
    fn latest(&self, most: usize) -> Vec<RequestRecord> {
        let count = self.slots.len();
        let next = self.next.load(Ordering::Relaxed);
        let newest = (1..=most.min(count)).map(|back| next.wrapping_sub(back) % count);
        let kept = newest.filter_map(|place| {
            let kept = self.slots.get(place)?.lock();
            kept.as_ref().map(|record| RequestRecord::clone(record))
        });
        kept.collect()
    }

    fn find(&self, request: &str) -> Vec<RequestRecord> {
        let kept = self.slots.iter().filter_map(|slot| {
            let kept = slot.lock();
            let found = kept.as_ref().filter(|record| record.request == request);
            found.map(|record| RequestRecord::clone(record))
        });
        kept.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Refusal;

    #[test]
    fn the_latest_come_newest_first_and_refusals_apart() {
        let decisions = Decisions::default();
        assert!(decisions.latest(3).0.is_empty());
        for number in 0..KEPT + 5 {
            decisions.note(record(number, None));
        }
        decisions.note(record(7, Some(Refusal::Expired)));
        let (forwarded, others) = decisions.latest(2);
        let ids = |records: Vec<RequestRecord>| records.into_iter().map(|one| one.request);
        assert_eq!(
            ids(forwarded).collect::<Vec<_>>(),
            [(KEPT + 4).to_string(), (KEPT + 3).to_string()]
        );
        assert_eq!(ids(others).collect::<Vec<_>>(), ["7"]);
    }

    fn record(number: usize, refusal: Option<Refusal>) -> RequestRecord {
        let verdict = match refusal {
            Some(_) => RecordedVerdict::Refused,
            None => RecordedVerdict::Forwarded,
        };
        RequestRecord {
            at_ms: u64::try_from(number).unwrap(),
            request: number.to_string(),
            verdict,
            refusal,
            ..RequestRecord::default()
        }
    }

    #[test]
    fn the_last_ten_thousand_are_kept_and_visits_displace_no_refusal() {
        let decisions = Decisions::default();
        decisions.note(record(0, Some(Refusal::NoCredential)));
        for number in 1..=KEPT + 1 {
            decisions.note(record(number, None));
        }
        assert_eq!(decisions.find("0").len(), 1);
        assert!(decisions.find("1").is_empty());
        assert_eq!(decisions.find("2").len(), 1);
        decisions.note(record(2, Some(Refusal::Expired)));
        assert_eq!(decisions.find("2").len(), 2);
    }
}
