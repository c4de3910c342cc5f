//! What a shop has said of tokens that say nothing themselves.
//!
//! It is no memory of logouts and may forget: whoever is not known is asked about again.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::request::Testimony;
use crate::clock::UnixTime;
use crate::request::credential::Occasion;
use crate::request::token::{Confirmed, Verifier};
use crate::revocation::{Id, Identity};

/// What one shop said lately.
pub struct Confirmations {
    words: Cache<Id, (UnixTime, Word)>,
}

/// What the shop said of a token.
#[derive(Clone)]
pub(in crate::request) enum Word {
    /// It is good, and this is known of it.
    Good(Arc<Confirmed>),
    /// It is not.
    Stranger,
    /// The shop gave no answer.
    Silence,
}

/// Whether the shop was asked about the tokens of the request that is being judged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::request) enum Asked {
    /// Not for this one.
    No,
    /// Just now.
    Yes,
}

impl Word {
    fn vouched(&self) -> Option<Arc<Confirmed>> {
        match self {
            Self::Good(confirmed) => Some(Arc::clone(confirmed)),
            Self::Stranger | Self::Silence => None,
        }
    }

    /// A token that is logged out may have been a stranger's or another customer's a moment ago, in the same session: the shop
    /// is asked anew then.
    pub(in crate::request) fn counts(occasion: Occasion, asked: Asked) -> bool {
        occasion != Occasion::Logout || asked == Asked::Yes
    }
}

/// How many tokens are remembered; the last ones.
const ENTRIES_MAX: u64 = 100_000;

/// How long the shop's silence counts: long enough for the request that met it, and to spare the shop the next.
const SILENCE: Duration = Duration::from_secs(2);

impl Default for Confirmations {
    fn default() -> Self {
        Self {
            words: Cache::new(ENTRIES_MAX),
        }
    }
}

impl Confirmations {
    /// What the shop said of a token lately.
    pub(in crate::request) fn word(
        &self,
        token: &Id,
        fresh: Duration,
        now: UnixTime,
    ) -> Option<Word> {
        let (at, word) = self.words.get(token)?;
        let counts = match &word {
            Word::Silence => SILENCE,
            Word::Good(_) | Word::Stranger => fresh.max(SILENCE),
        };
        (now.since(at) <= counts).then_some(word)
    }

    /// What the shop said last of a token, if that was good, however long ago: for an operator to read, not to judge by.
    pub(in crate::request) fn vouched(&self, token: &Id) -> Option<Arc<Confirmed>> {
        let (_, word) = self.words.get(token)?;
        word.vouched()
    }

    /// All that is remembered of tokens that the shop said to be good.
    pub(in crate::request) fn all_vouched(&self) -> Vec<Arc<Confirmed>> {
        let words = self.words.iter();
        words.filter_map(|(_, (_, word))| word.vouched()).collect()
    }

    /// The shop gave no answer.
    pub(in crate::request) fn note_silence(&self, token: Id, now: UnixTime) {
        self.words.insert(token, (now, Word::Silence));
    }

    /// The shop handed this token out just now, maybe to another customer.
    pub(in crate::request) fn forget(&self, token: &Id) {
        self.words.invalidate(token);
    }

    /// The shop has answered about a token of these names.
    pub(in crate::request) fn note(
        &self,
        token: &Identity,
        said: Option<&Testimony>,
        verifier: &Verifier,
        now: UnixTime,
    ) {
        let formers = verifier.formers().digest();
        let word = match said {
            None => Word::Stranger,
            Some(said) => {
                let subject = said.subject.as_deref();
                Word::Good(Arc::new(Confirmed {
                    identity: verifier.confirmed(token, said),
                    subject: subject.map(|subject| verifier.customer(subject)),
                    customer: subject.map(Into::into),
                    issued_at: said.issued_at,
                }))
            }
        };
        self.words.insert(token.id, (now, word));
        if verifier.formers().digest() != formers {
            self.words.invalidate(&token.id); // by other names, see `forget_words`
        }
    }

    /// Other names of its tokens count from now on: the shop is asked about them anew.
    pub(in crate::request) fn forget_words(&self) {
        self.words.invalidate_all();
    }
}
