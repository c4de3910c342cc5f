//! The keys of a shop together with the tokens that they have verified, exchanged as one while requests are judged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use moka::sync::Cache;
use parking_lot::Mutex;

use super::keys::Keys;
use super::token::Verified;
use crate::clock::UnixTime;

/// The keys that are in use, and what is known of their coming.
pub struct KeyRing {
    held: ArcSwap<Held>,
    /// A token named a key that is not here.
    misses_key: AtomicBool,
    record: Mutex<Record>,
}

/// Keys and the memory of what they verified. One value: who exchanges the keys begins a new memory, so that
/// no token outlives its key there, not even one that was being verified meanwhile.
pub(super) struct Held {
    pub(super) keys: Arc<Keys>,
    pub(super) verified: Memory,
}

/// Tokens that verified, by their whole text. It never says "not revoked", so it may forget.
type Memory = Cache<Text, Arc<Verified>, foldhash::fast::RandomState>;

/// The text of a token. Kept in memory only, and never shown.
type Text = Box<str>;

#[derive(Clone, Copy, Default)]
struct Record {
    fetched_at: Option<UnixTime>,
    failure: Option<&'static str>,
}

/// What an operator may ask of a shop's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// How many there are.
    pub count: usize,
    /// When they were last fetched; `None`: never, or they come from a file.
    pub fetched_at: Option<UnixTime>,
    /// Why the last fetch failed, in one word; `None`: it did not.
    pub failure: Option<&'static str>,
}

impl KeyState {
    /// How long ago they were fetched.
    pub fn age(&self, now: UnixTime) -> Option<Duration> {
        self.fetched_at.map(|then| now.since(then))
    }
}

/// How many bytes of verified tokens are remembered.
const VERIFIED_BYTES_MAX: u64 = 64 << 20;

impl Held {
    fn new(keys: Arc<Keys>) -> Self {
        /// What an entry costs beside its text, measured at a million entries of moka 0.12.
        const ENTRY_BYTES: usize = 400;
        let weight =
            |text: &Text, _: &_| u32::try_from(text.len() + ENTRY_BYTES).unwrap_or(u32::MAX);
        let verified = Cache::builder()
            .weigher(weight)
            .max_capacity(VERIFIED_BYTES_MAX)
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self { keys, verified }
    }
}

impl KeyRing {
    pub(super) fn new(keys: Keys) -> Self {
        Self::of(Arc::new(keys), Record::default())
    }

    fn of(keys: Arc<Keys>, record: Record) -> Self {
        Self {
            held: ArcSwap::from_pointee(Held::new(keys)),
            misses_key: AtomicBool::new(false),
            record: Mutex::new(record),
        }
    }

    /// The same keys, and nothing that they verified.
    pub(super) fn without_memory(&self) -> Self {
        Self::of(Arc::clone(&self.held().keys), *self.record.lock())
    }

    /// What is in use now. Whoever asks uses it to the end: what it verifies is remembered beside its keys.
    pub(super) fn held(&self) -> Guard<Arc<Held>> {
        self.held.load()
    }

    /// A token named a key that is not here: perhaps there is a newer set.
    pub(super) fn miss_key(&self) {
        if !self.misses_key.load(Ordering::Relaxed) {
            self.misses_key.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a token named a key that is not here, since the keys last came.
    pub fn wants_keys(&self) -> bool {
        self.misses_key.load(Ordering::Relaxed)
    }

    /// Takes the keys that were fetched, and says whether they are others than before. What the old ones
    /// verified is forgotten with them.
    pub fn take(&self, keys: Keys, now: UnixTime) -> bool {
        let are_new = !self.held().keys.is_same_document(&keys);
        if are_new {
            self.held.store(Arc::new(Held::new(Arc::new(keys))));
        }
        self.misses_key.store(false, Ordering::Relaxed);
        *self.record.lock() = Record {
            fetched_at: Some(now),
            failure: None,
        };
        are_new
    }

    /// The keys could not be fetched; those that are here stay.
    pub fn note_failure(&self, reason: &'static str) {
        self.record.lock().failure = Some(reason);
    }

    /// What an operator may ask.
    pub fn state(&self) -> KeyState {
        let record = *self.record.lock();
        KeyState {
            count: self.held().keys.count(),
            fetched_at: record.fetched_at,
            failure: record.failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;

    use super::*;
    use crate::revocation::{Id, Identity, Window};

    const NOW: UnixTime = UnixTime::from_seconds(1_790_000_000);

    /// The example of RFC 7517 appendix A.1, under this name.
    fn keys_named(id: &str) -> Keys {
        let text = format!(
            r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"{id}",
            "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}}]}}"#
        );
        let read = Keys::from_fetched(text.as_bytes(), &[jsonwebtoken::Algorithm::ES256]);
        read.unwrap().0
    }

    fn verified() -> Arc<Verified> {
        Arc::new(Verified {
            identity: Identity {
                id: Id::of_realm("main"),
                window: Window::UNDATED,
                groups: SmallVec::new(),
                issued_at: None,
            },
            expires_at: None,
            not_before: None,
            subject: None,
            session: None,
            fingerprint: None,
        })
    }

    fn remember(held: &Held) {
        held.verified.insert("a token".into(), verified());
    }

    fn remembers(ring: &KeyRing) -> bool {
        ring.held().verified.contains_key("a token")
    }

    #[test]
    fn other_keys_begin_a_new_memory_and_the_same_keep_theirs_trap_17() {
        let ring = KeyRing::new(keys_named("a"));
        remember(&ring.held());
        assert!(!ring.take(keys_named("a"), NOW));
        assert!(remembers(&ring));
        assert!(ring.take(keys_named("b"), NOW));
        assert!(!remembers(&ring));
    }

    #[test]
    fn what_was_being_verified_during_the_exchange_is_not_remembered_trap_17() {
        let ring = KeyRing::new(keys_named("a"));
        let before = ring.held();
        assert!(ring.take(keys_named("b"), NOW));
        remember(&before);
        assert!(!remembers(&ring));
    }

    #[test]
    fn what_is_known_of_the_keys_can_be_read() {
        let ring = KeyRing::new(Keys::default());
        ring.note_failure("late");
        ring.miss_key();
        let state = KeyState {
            count: 0,
            fetched_at: None,
            failure: Some("late"),
        };
        assert_eq!((ring.state(), ring.wants_keys()), (state, true));
        assert_eq!(state.age(NOW), None);
        ring.take(keys_named("a"), NOW);
        let state = KeyState {
            count: 1,
            fetched_at: Some(NOW),
            failure: None,
        };
        assert_eq!((ring.state(), ring.wants_keys()), (state, false));
        ring.note_failure("tls");
        let age = ring.state().age(NOW.plus(Duration::from_mins(1)));
        assert_eq!(age, Some(Duration::from_mins(1)));
        assert_eq!(ring.state().count, 1, "the old ones stay");
        let copy = ring.without_memory();
        assert_eq!(copy.state(), ring.state());
    }
}
