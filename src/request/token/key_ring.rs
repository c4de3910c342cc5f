//! The keys of an issuer and a cache of the tokens that they verified, replaced together while requests are judged; and the
//! keys that tokens named and that are missing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use moka::sync::Cache;
use parking_lot::Mutex;

use super::keys::{FirstSuccess, Keys};
use super::known_token::Verified;
use crate::clock::UnixTime;

/// The keys in use, the missing keys, and the record of the fetches.
pub struct KeyRing {
    held: ArcSwap<HeldKeys>,
    missing: Mutex<MissingKeys>,
    record: Mutex<FetchRecord>,
}

/// Keys and a cache of the tokens that they verified. They are replaced together, so that no token stays in the cache longer
/// than its key, not even one that was being verified meanwhile.
pub(in crate::request) struct HeldKeys {
    pub(in crate::request) keys: Arc<Keys>,
    pub(in crate::request) verified: Memory,
    /// Whether they have verified a token yet.
    pub(in crate::request) first_success: Arc<FirstSuccess>,
    /// The former meanings that the cached tokens were looked up under.
    formers: FormersDigest,
}

/// The digest of former meanings of names.
pub(in crate::request) type FormersDigest = [u8; 32];

/// Verified tokens by their whole text. Revocation is looked up each time, so entries may be dropped.
type Memory = Cache<TokenText, Arc<Verified>, foldhash::fast::RandomState>;

/// The text of a token. Kept in memory only, and never shown.
type TokenText = Box<str>;

/// The keys that tokens named and that are missing. Each causes one fetch; for a while after it the key counts as not
/// published. So an invented `kid` costs one fetch at most.
#[derive(Default)]
struct MissingKeys {
    /// In the order in which they were first named.
    keys: VecDeque<MissingKey>,
    /// The number of the last fetch that began.
    begun: u64,
    /// The number of the last fetch that succeeded.
    last_success: u64,
}

struct MissingKey {
    /// The digest of the `kid`.
    kid: blake3::Hash,
    /// The first fetch that could contain it: one that begins after a token named it.
    fetch: u64,
    /// When a token last asked for that fetch.
    at: UnixTime,
}

/// How many missing keys are remembered.
const MISSING_MAX: usize = 1024;
/// How long a key counts as not published after a fetch without it. Short, because it may be the next one.
const MISSING_MEMORY: Duration = Duration::from_secs(10);

impl MissingKeys {
    fn may_be_fetched(&mut self, kid: blake3::Hash, now: UnixTime) -> bool {
        let next = self.begun + 1;
        let Some(known) = self.keys.iter_mut().find(|miss| miss.kid == kid) else {
            self.keys.truncate(MISSING_MAX - 1);
            self.keys.push_front(MissingKey {
                kid,
                fetch: next,
                at: now,
            });
            return true;
        };
        let is_answered = known.fetch <= self.last_success;
        if is_answered && is_recent(known.at, now) {
            return false;
        }
        if is_answered {
            known.fetch = next;
        }
        known.at = now;
        true
    }

    fn want_fetch(&self, now: UnixTime) -> bool {
        let waits = |miss: &MissingKey| miss.fetch > self.last_success && is_recent(miss.at, now);
        self.keys.iter().any(waits)
    }
}

/// False, too, if the clock was set back.
fn is_recent(at: UnixTime, now: UnixTime) -> bool {
    at <= now && now.since(at) < MISSING_MEMORY
}

#[derive(Clone, Copy, Default)]
struct FetchRecord {
    fetched_at: Option<UnixTime>,
    failure: Option<&'static str>,
}

/// The state of an issuer's keys, for the operator.
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

impl HeldKeys {
    fn new(keys: Arc<Keys>, first_success: Arc<FirstSuccess>, formers: FormersDigest) -> Self {
        /// What an entry costs beside its text, measured at a million entries of moka 0.12.
        const ENTRY_BYTES: usize = 400;
        let weight =
            |text: &TokenText, _: &_| u32::try_from(text.len() + ENTRY_BYTES).unwrap_or(u32::MAX);
        let verified = Cache::builder()
            .weigher(weight)
            .max_capacity(VERIFIED_BYTES_MAX)
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self {
            keys,
            verified,
            first_success,
            formers,
        }
    }

    /// Remembers a token, unless other former meanings were honoured when it was verified.
    pub(in crate::request) fn remember(
        &self,
        text: &str,
        token: &Arc<Verified>,
        formers: FormersDigest,
    ) {
        if self.formers == formers {
            self.verified.insert(text.into(), Arc::clone(token));
        }
    }

    /// The tokens that are remembered.
    pub(in crate::request) fn tokens(&self) -> Vec<Arc<Verified>> {
        self.verified.iter().map(|(_, token)| token).collect()
    }
}

impl KeyRing {
    pub(in crate::request) fn new(keys: Keys) -> Self {
        Self::with_record(Arc::new(keys), FetchRecord::default())
    }

    fn with_record(keys: Arc<Keys>, record: FetchRecord) -> Self {
        Self {
            held: ArcSwap::from_pointee(HeldKeys::new(
                keys,
                Arc::default(),
                FormersDigest::default(),
            )),
            missing: Mutex::default(),
            record: Mutex::new(record),
        }
    }

    /// The same keys with an empty cache.
    pub(in crate::request) fn without_memory(&self) -> Self {
        Self::with_record(Arc::clone(&self.held().keys), *self.record.lock())
    }

    /// The keys in use now. A caller keeps them while it verifies a token, so that the token is cached beside its key.
    pub(in crate::request) fn held(&self) -> Guard<Arc<HeldKeys>> {
        self.held.load()
    }

    /// Notes that a token named a missing key. Returns whether a fetch may bring the key; not if one has just shown that the
    /// set does not hold it.
    pub(in crate::request) fn may_be_fetched(&self, kid: &str, now: UnixTime) -> bool {
        let kid = blake3::hash(kid.as_bytes());
        self.missing.lock().may_be_fetched(kid, now)
    }

    /// Whether a recent token waits for a fetch.
    pub fn wants_keys(&self, now: UnixTime) -> bool {
        self.missing.lock().want_fetch(now)
    }

    /// Notes that a fetch begins. There is one at a time.
    pub fn begin_fetch(&self) {
        self.missing.lock().begun += 1;
    }

    /// Puts fetched keys in use. Returns whether they differ from those before; then the cache is emptied.
    pub fn replace_keys(&self, keys: Keys, now: UnixTime) -> bool {
        let are_new = !self.held().keys.is_same_document(&keys);
        if are_new {
            keys.count_on(&self.held().keys);
            let keys = Arc::new(keys);
            self.held
                .rcu(|held| HeldKeys::new(Arc::clone(&keys), Arc::default(), held.formers));
        }
        let mut missing = self.missing.lock();
        missing.last_success = missing.begun;
        drop(missing);
        *self.record.lock() = FetchRecord {
            fetched_at: Some(now),
            failure: None,
        };
        are_new
    }

    /// From now on, tokens are looked up under these former meanings. Empties the cache if it held others.
    pub(in crate::request) fn honour(&self, formers: FormersDigest) {
        if self.held().formers != formers {
            self.held.rcu(|held| {
                let first_success = Arc::clone(&held.first_success);
                HeldKeys::new(Arc::clone(&held.keys), first_success, formers)
            });
        }
    }

    /// Whether the keys in use have verified a token yet.
    pub fn first_success(&self) -> Arc<FirstSuccess> {
        Arc::clone(&self.held().first_success)
    }

    /// Notes that the keys could not be fetched. Those in use stay.
    pub fn note_failure(&self, reason: &'static str) {
        self.record.lock().failure = Some(reason);
    }

    /// The name of each key, and how many tokens it has verified.
    pub fn verified(&self) -> Vec<(String, u64)> {
        let held = self.held();
        let verified = held.keys.verified();
        verified
            .map(|(name, count)| (name.to_owned(), count))
            .collect()
    }

    /// Their state, for the operator.
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

    use super::super::settings::settings_for_tests;
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
                id: Id::of_token_domain("main"),
                window: Window::UNDATED,
                groups: SmallVec::new(),
                issued_at: None,
                former: Box::default(),
            },
            expires_at: None,
            not_before: None,
            subject: None,
            session: None,
            fingerprint: None,
            is_revocable: true,
            settings: Arc::new(settings_for_tests("main", jsonwebtoken::Algorithm::ES256)),
        })
    }

    fn remember(held: &HeldKeys) {
        held.verified.insert("a token".into(), verified());
    }

    fn remembers(ring: &KeyRing) -> bool {
        ring.held().verified.contains_key("a token")
    }

    #[test]
    fn other_keys_begin_a_new_memory_and_the_same_keep_theirs_trap_17() {
        let ring = KeyRing::new(keys_named("a"));
        remember(&ring.held());
        assert!(!ring.replace_keys(keys_named("a"), NOW));
        assert!(remembers(&ring));
        assert!(ring.replace_keys(keys_named("b"), NOW));
        assert!(!remembers(&ring));
    }

    #[test]
    fn what_was_being_verified_during_the_exchange_is_not_remembered_trap_17() {
        let ring = KeyRing::new(keys_named("a"));
        let before = ring.held();
        assert!(ring.replace_keys(keys_named("b"), NOW));
        remember(&before);
        assert!(!remembers(&ring));
    }

    #[test]
    fn every_key_name_that_is_not_here_is_worth_one_fetch_attacks_s1() {
        let ring = KeyRing::new(keys_named("a"));
        let asks =
            |kid: &str, second| ring.may_be_fetched(kid, NOW.plus(Duration::from_secs(second)));
        let wants = |second| ring.wants_keys(NOW.plus(Duration::from_secs(second)));
        assert!(!wants(0));
        assert!(asks("b", 0) && asks("b", 1) && wants(1));
        ring.begin_fetch();
        assert!(asks("c", 1), "the fetch that runs may be too early for it");
        ring.note_failure("late");
        assert!(asks("b", 2) && wants(2), "nothing was said of it");
        ring.begin_fetch();
        ring.replace_keys(keys_named("a"), NOW);
        assert!(!asks("b", 2) && !asks("c", 2) && !wants(2));
        assert!(asks("d", 2), "another name");
        ring.begin_fetch();
        assert!(asks("e", 2));
        ring.replace_keys(keys_named("a"), NOW);
        assert!(!asks("d", 3) && asks("e", 3) && wants(3));
        ring.begin_fetch();
        ring.replace_keys(keys_named("a"), NOW);
        assert!(
            !asks("b", 9) && asks("b", 12),
            "it may be the next key's name"
        );
        assert!(wants(12) && !wants(30), "it is not waited for any more");
    }

    #[test]
    fn made_up_key_names_push_out_the_oldest_only_attacks_s1() {
        let ring = KeyRing::new(keys_named("a"));
        for number in 0..MISSING_MAX + 10 {
            assert!(ring.may_be_fetched(&number.to_string(), NOW));
        }
        ring.begin_fetch();
        ring.replace_keys(keys_named("a"), NOW);
        assert!(!ring.may_be_fetched(&(MISSING_MAX + 9).to_string(), NOW));
        assert!(ring.may_be_fetched("0", NOW));
        assert_eq!(ring.missing.lock().keys.len(), MISSING_MAX);
    }

    #[test]
    fn what_is_known_of_the_keys_can_be_read() {
        let ring = KeyRing::new(Keys::default());
        ring.note_failure("late");
        let state = KeyState {
            count: 0,
            fetched_at: None,
            failure: Some("late"),
        };
        assert_eq!(ring.state(), state);
        assert_eq!(state.age(NOW), None);
        ring.replace_keys(keys_named("a"), NOW);
        let state = KeyState {
            count: 1,
            fetched_at: Some(NOW),
            failure: None,
        };
        assert_eq!(ring.state(), state);
        ring.note_failure("tls");
        let age = ring.state().age(NOW.plus(Duration::from_mins(1)));
        assert_eq!(age, Some(Duration::from_mins(1)));
        assert_eq!(ring.state().count, 1, "the old ones stay");
        let copy = ring.without_memory();
        assert_eq!(copy.state(), ring.state());
    }
}
