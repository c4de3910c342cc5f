//! What names meant when entries were made, for as long as one of those entries lives.
//!
//! A meaning is a text that this module does not read. It is kept as cutoffs whose ids are no digests but pieces of the
//! text: so it is journalled, shared and dropped by the very means of the entries that were made under it, and a node
//! that begins with an empty disk learns it together with them. `not before` says when it was last used.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::UnixTime;
use crate::revocation::entry::{Id, Revocation};

/// What names meant when entries were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// What says it.
    pub text: String,
    /// When an entry was last made under it, at the latest [`Meaning::USED_EVERY`] after what is said here.
    pub used: UnixTime,
    /// Until when an entry that was made under it is kept.
    pub until: UnixTime,
}

impl Meaning {
    /// How often it is noted that a meaning is in use.
    pub const USED_EVERY: Duration = Duration::from_mins(10);

    /// How much later than an entry its meaning ends, so that it is not written anew for every entry.
    pub const KEPT_BEYOND: Duration = Duration::from_hours(1);
}

/// The meanings of all entries that are in force.
#[derive(Default)]
pub(in crate::revocation) struct Meanings {
    known: Mutex<BTreeMap<MeaningKey, Pieces>>,
    changes: AtomicU64,
}

/// The first bytes of the digest of a text.
type MeaningKey = [u8; 4];

/// What is known of one text.
struct Pieces {
    by_number: BTreeMap<u16, [u8; PIECE_BYTES]>,
    /// What they say, once all are there.
    text: Option<String>,
    used: UnixTime,
    until: UnixTime,
}

/// How an id begins that is a piece of a meaning: this, the key (4 bytes), the number of the piece (2, little endian), and
/// seven bytes of it. The first piece is the length (u32, little endian). One digest in 16 million begins so, too:
/// it is a cutoff as any other, and a text with such a piece is never whole.
const MARK: [u8; 3] = *b"\xd0\x0e\x1d";
const PIECE_BYTES: usize = 7;

/// The longest text that is taken in: sixteen times that of the largest preset.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// How many are kept, the last ones in use: a script may write a configuration a minute.
const KEYS_MAX: usize = 512;

/// How many are taken from other nodes, which may invent some: those never take the place of one that is known.
const KEYS_OF_OTHERS_MAX: usize = KEYS_MAX / 2;

impl Meanings {
    /// A cutoff was put in force; it may be a piece of a meaning. Whether it is.
    pub(in crate::revocation) fn note(&self, id: &Id, used: UnixTime, until: UnixTime) -> bool {
        let Some((key, number, piece)) = parse_piece(id) else {
            return false;
        };
        let mut known = self.known.lock();
        if known.len() >= KEYS_MAX && !known.contains_key(&key) {
            forget_oldest(&mut known);
        }
        let pieces = known.entry(key).or_insert_with(|| Pieces {
            by_number: BTreeMap::new(),
            text: None,
            used: UnixTime::EPOCH,
            until: UnixTime::EPOCH,
        });
        let before = (pieces.by_number.len(), pieces.used, pieces.until);
        if pieces.text.is_none() && pieces.by_number.len() <= TEXT_BYTES_MAX / PIECE_BYTES {
            pieces.by_number.entry(number).or_insert(piece);
            pieces.text = pieces.assemble(key);
        }
        pieces.used = pieces.used.max(used);
        pieces.until = pieces.until.max(until);
        if before != (pieces.by_number.len(), pieces.used, pieces.until) {
            self.changes.fetch_add(1, Ordering::Release);
        }
        true
    }

    /// Whether a cutoff of another node may be put in force: a piece of a meaning only as long as there is room.
    pub(in crate::revocation) fn has_room_for(&self, id: &Id) -> bool {
        parse_piece(id).is_none_or(|(key, ..)| {
            let known = self.known.lock();
            known.len() < KEYS_OF_OTHERS_MAX || known.contains_key(&key)
        })
    }

    /// Forgets those under which nothing is kept any more.
    pub(in crate::revocation) fn drop_ended(&self, now: UnixTime) {
        let mut known = self.known.lock();
        let before = known.len();
        known.retain(|_, pieces| pieces.until >= now);
        if known.len() != before {
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// Grows whenever there is another one, or one is known to be in use longer.
    pub(in crate::revocation) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// How many cutoffs they are.
    pub(in crate::revocation) fn pieces(&self) -> u64 {
        let known = self.known.lock();
        known
            .values()
            .map(|pieces| pieces.by_number.len() as u64)
            .sum()
    }

    /// All that are whole.
    pub(in crate::revocation) fn all(&self) -> Vec<Meaning> {
        let known = self.known.lock();
        known.values().filter_map(Pieces::meaning).collect()
    }

    /// What is to be written before an entry that is kept until then, made under this meaning; mostly nothing.
    pub(in crate::revocation) fn rows_before(
        &self,
        text: &str,
        until: UnixTime,
        now: UnixTime,
    ) -> Vec<Revocation> {
        let key = key_of(text);
        let known = self.known.lock();
        let is_noted = known.get(&key).is_some_and(|pieces| {
            pieces.until >= until
                && pieces.used.plus(Meaning::USED_EVERY) > now
                && pieces.text.as_deref() == Some(text)
        });
        if is_noted {
            return Vec::new();
        }
        rows(text, now, until.plus(Meaning::KEPT_BEYOND))
    }

    /// What keeps a meaning until then, as last used when it was; mostly nothing.
    pub(in crate::revocation) fn rows_until(&self, text: &str, until: UnixTime) -> Vec<Revocation> {
        let known = self.known.lock();
        match known.get(&key_of(text)) {
            Some(pieces) if pieces.until < until => {
                rows(text, pieces.used, until.plus(Meaning::KEPT_BEYOND))
            }
            Some(_) | None => Vec::new(),
        }
    }
}

impl Pieces {
    fn meaning(&self) -> Option<Meaning> {
        Some(Meaning {
            text: self.text.clone()?,
            used: self.used,
            until: self.until,
        })
    }

    /// The text, if every piece of it is there.
    fn assemble(&self, key: MeaningKey) -> Option<String> {
        let [a, b, c, d, ..] = *self.by_number.get(&0)?;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
        if length > TEXT_BYTES_MAX || self.by_number.len() <= length.div_ceil(PIECE_BYTES) {
            return None;
        }
        let mut bytes = Vec::with_capacity(length + PIECE_BYTES);
        for number in 1..=length.div_ceil(PIECE_BYTES) {
            bytes.extend_from_slice(self.by_number.get(&u16::try_from(number).ok()?)?);
        }
        bytes.truncate(length);
        let text = String::from_utf8(bytes).ok()?;
        (key_of(&text) == key).then_some(text)
    }
}

/// Makes room for another one.
fn forget_oldest(known: &mut BTreeMap<MeaningKey, Pieces>) {
    let oldest = known.iter().min_by_key(|(_, pieces)| pieces.used);
    if let Some(key) = oldest.map(|(key, _)| *key) {
        log::error!(
            "logouts are in force under more than {KEYS_MAX} configurations: what names meant under the oldest is forgotten"
        );
        known.remove(&key);
    }
}

/// A meaning as cutoffs.
pub(in crate::revocation) fn rows(text: &str, used: UnixTime, until: UnixTime) -> Vec<Revocation> {
    let key = key_of(text);
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let pieces = [&length[..]].into_iter();
    let pieces = pieces.chain(text.as_bytes().chunks(PIECE_BYTES));
    let row = |(number, piece): (u16, &[u8])| {
        let mut id = [0; 16];
        id[..3].copy_from_slice(&MARK);
        id[3..7].copy_from_slice(&key);
        id[7..9].copy_from_slice(&number.to_le_bytes());
        id[9..9 + piece.len()].copy_from_slice(piece);
        Revocation::Cutoff {
            id: Id::from_bytes(id),
            not_before: used,
            until,
        }
    };
    (0..).zip(pieces).map(row).collect()
}

/// Whether a cutoff of this id is a piece of a meaning.
pub(in crate::revocation) fn is_of_meaning(id: &Id) -> bool {
    parse_piece(id).is_some()
}

fn parse_piece(id: &Id) -> Option<(MeaningKey, u16, [u8; PIECE_BYTES])> {
    let [a, b, c, k0, k1, k2, k3, n0, n1, piece @ ..] = *id.bytes();
    let is_piece = [a, b, c] == MARK;
    is_piece.then_some(([k0, k1, k2, k3], u16::from_le_bytes([n0, n1]), piece))
}

fn key_of(text: &str) -> MeaningKey {
    let [a, b, c, d, ..] = *blake3::hash(text.as_bytes()).as_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_790_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn note_all(meanings: &Meanings, rows: &[Revocation]) {
        for row in rows {
            let Revocation::Cutoff {
                id,
                not_before,
                until,
            } = row
            else {
                panic!("{row:?}");
            };
            assert!(meanings.note(id, *not_before, *until));
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_apart_is_put_together_in_any_order(text in ".{0,200}", seed: u64) {
            let meanings = Meanings::default();
            let mut rows = rows(&text, NOW, NOW.plus(DAY));
            let middle = usize::try_from(seed % rows.len() as u64).unwrap();
            rows.rotate_left(middle);
            note_all(&meanings, &rows[1..]);
            prop_assert!(meanings.all().is_empty(), "a piece is missing");
            note_all(&meanings, &rows);
            let whole = Meaning { text, used: NOW, until: NOW.plus(DAY) };
            prop_assert_eq!(meanings.all(), vec![whole]);
        }
    }

    #[test]
    fn a_meaning_is_written_before_its_first_entry_and_as_long_as_its_last_one_attacks_a8() {
        let meanings = Meanings::default();
        let end = NOW.plus(DAY);
        let first = meanings.rows_before("a", end, NOW);
        assert!(!first.is_empty());
        note_all(&meanings, &first);
        assert!(meanings.rows_before("a", end, NOW).is_empty());
        let soon = end.plus(Duration::from_mins(59));
        assert!(meanings.rows_before("a", soon, NOW).is_empty());
        assert!(!meanings.rows_before("a", end.plus(DAY), NOW).is_empty());
        let later = NOW.plus(Meaning::USED_EVERY);
        assert!(!meanings.rows_before("a", end, later).is_empty());
        assert!(!meanings.rows_before("b", end, NOW).is_empty());
        meanings.drop_ended(end.plus(2 * DAY));
        assert_eq!((meanings.all(), meanings.pieces()), (Vec::new(), 0));
    }

    #[test]
    fn what_another_node_invents_takes_no_place_of_what_is_known() {
        let meanings = Meanings::default();
        let admitted = |text: &str| {
            let rows = rows(text, NOW.plus(DAY), NOW.plus(DAY));
            let all = rows.iter().all(|row| match row {
                Revocation::Cutoff { id, .. } => meanings.has_room_for(id),
                Revocation::Token { .. } | Revocation::Date { .. } => true,
            });
            if all {
                note_all(&meanings, &rows);
            }
            all
        };
        note_all(&meanings, &rows("own", NOW, NOW.plus(DAY)));
        let invented = (0..2 * KEYS_MAX).filter(|number| admitted(&number.to_string()));
        assert_eq!(invented.count(), KEYS_OF_OTHERS_MAX - 1);
        assert!(admitted("own"), "it may be used longer");
        note_all(&meanings, &rows("another own", NOW, NOW.plus(DAY)));
        let all = meanings.all();
        for own in ["own", "another own"] {
            assert!(all.iter().any(|meaning| meaning.text == own), "{own}");
        }
    }

    #[test]
    fn the_last_ones_in_use_are_kept() {
        let meanings = Meanings::default();
        for number in 0..2 * KEYS_MAX as u64 {
            let used = NOW.plus(Duration::from_secs(number));
            note_all(&meanings, &rows(&number.to_string(), used, used));
        }
        let all = meanings.all();
        assert_eq!(all.len(), KEYS_MAX);
        let middle = NOW.plus(Duration::from_secs(KEYS_MAX as u64));
        assert!(all.iter().all(|meaning| meaning.used >= middle));
    }
}
