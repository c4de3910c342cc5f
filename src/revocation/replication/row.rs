//! A revocation in the bytes that nodes exchange: 33 of them, little endian.
//!
//! `kind` (1: token, 2: cutoff, 3 to 6: date), `id` (16), then for a token `window` (u32), `source` (u32) and `until`
//! (u64), for a cutoff `not before` (u64) and `until` (u64), for a date its milliseconds (u64) and `until` (u64). Digests and times; no credential can be had from it.

use crate::clock::UnixTime;
use crate::revocation::entry::{DateKind, Id, Revocation, Source, Window};

/// One revocation in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row([u8; Row::BYTES]);

const TOKEN: u8 = 1;
const CUTOFF: u8 = 2;
/// A date has this and the number of its kind.
const DATE: u8 = 2;

impl Row {
    /// How long one is.
    pub const BYTES: usize = 33;

    /// The bytes of a revocation.
    pub fn encode(revocation: &Revocation) -> Self {
        let (kind, id, first, second) = match *revocation {
            Revocation::Token {
                id,
                window,
                until,
                source,
            } => {
                let place = u64::from(window.number()) | (u64::from(source.number()) << 32);
                (TOKEN, id, place, until)
            }
            Revocation::Cutoff {
                id,
                not_before,
                until,
            } => (CUTOFF, id, not_before.seconds(), until),
            Revocation::Date {
                id,
                kind,
                at_ms,
                until,
            } => (DATE + kind as u8, id, at_ms, until),
        };
        let mut bytes = [0; Self::BYTES];
        bytes[0] = kind;
        bytes[1..17].copy_from_slice(id.bytes());
        bytes[17..25].copy_from_slice(&first.to_le_bytes());
        bytes[25..].copy_from_slice(&second.seconds().to_le_bytes());
        Self(bytes)
    }

    /// The row with these bytes; whether they say anything is seen when it is read.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// What it is about.
    pub fn id(&self) -> Id {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0[1..17]);
        Id::from_bytes(id)
    }

    /// Whether it is a date: that revokes nothing.
    pub const fn is_date(&self) -> bool {
        self.0[0] > DATE
    }

    /// What it says; `None`: nothing that this version knows.
    pub fn revocation(&self) -> Option<Revocation> {
        let id = self.id();
        let number = |from: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.0[from..from + 8]);
            u64::from_le_bytes(bytes)
        };
        let (first, until) = (number(17), UnixTime::from_seconds(number(25)));
        let half = |from: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&self.0[from..from + 4]);
            u32::from_le_bytes(bytes)
        };
        match self.0[0] {
            TOKEN => Some(Revocation::Token {
                id,
                window: Window::from_number(half(17)),
                until,
                source: Source::from_number(half(21)),
            }),
            CUTOFF => Some(Revocation::Cutoff {
                id,
                not_before: UnixTime::from_seconds(first),
                until,
            }),
            kind => DateKind::from_number(kind.checked_sub(DATE)?).map(|kind| Revocation::Date {
                id,
                kind,
                at_ms: first,
                until,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(id: [u8; 16], window: u32, source: u32, first: u64, until: u64) {
            let (id, until) = (Id::from_bytes(id), UnixTime::from_seconds(until));
            let token = Revocation::Token {
                id,
                window: Window::from_number(window),
                until,
                source: Source::from_number(source),
            };
            let cutoff = Revocation::Cutoff {
                id,
                not_before: UnixTime::from_seconds(first),
                until,
            };
            let dates = DateKind::ALL.map(|kind| Revocation::Date {
                id,
                kind,
                at_ms: first,
                until,
            });
            for revocation in [token, cutoff].into_iter().chain(dates) {
                prop_assert_eq!(Row::encode(&revocation).revocation(), Some(revocation));
            }
        }

        #[test]
        fn no_bytes_are_a_surprise(bytes: [u8; 17], rest: [u8; 16]) {
            let mut row = [0; Row::BYTES];
            row[..17].copy_from_slice(&bytes);
            row[17..].copy_from_slice(&rest);
            let row = Row::from_bytes(row);
            if let Some(revocation) = row.revocation() {
                prop_assert_eq!(Row::encode(&revocation), row);
            } else {
                prop_assert!(!(TOKEN..=DATE + 4).contains(&bytes[0]));
            }
        }
    }
}
