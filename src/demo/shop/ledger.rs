//! The logouts that the pretend shop itself remembers.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use serde_json::Value;

/// Whether the shop's own logout means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Revokes by itself, as its documentation promises.
    Honest,
    /// Never does: a token keeps working upstream after its logout, as with most shops that issue JWTs.
    Stateless,
}

/// What a revocation can name a token by.
pub(super) struct TokenIdentity {
    id: String,
    pub(super) subject: String,
    issued_at: Option<i64>,
}

impl TokenIdentity {
    /// Reads the claims at these JSON pointers; a token without an id is its own id.
    pub(super) fn from_claims(token: &str, claims: &Value, id: &str, subject: &str) -> Self {
        let text = |pointer| claims.pointer(pointer).map(plain);
        Self {
            id: text(id).unwrap_or_else(|| token.to_owned()),
            subject: text(subject).unwrap_or_default(),
            issued_at: claims["iat"].as_i64(),
        }
    }
}

/// The same subject as a number and as text is one subject.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The tokens and the customers that have been logged out.
pub(super) struct TokenLedger {
    mood: Mood,
    tokens: Mutex<HashSet<String>>,
    cutoffs: Mutex<HashMap<String, i64>>,
}

impl TokenLedger {
    pub(super) fn in_mood(mood: Mood) -> Self {
        Self {
            mood,
            tokens: Mutex::default(),
            cutoffs: Mutex::default(),
        }
    }

    pub(super) fn revoke_token(&self, identity: &TokenIdentity) {
        match self.mood {
            Mood::Honest => drop(self.tokens.lock().insert(identity.id.clone())),
            Mood::Stateless => {}
        }
    }

    /// Ends every token of the customer from before `now`, and this one.
    pub(super) fn revoke_subject(&self, identity: &TokenIdentity, now: i64) {
        self.revoke_token(identity);
        self.cut_off(&identity.subject, now);
    }

    /// Ends every token of the customer from before `now`. The second of the logout is spared: a customer who logs in
    /// again at once holds a token with the same `iat`.
    pub(super) fn cut_off(&self, subject: &str, now: i64) {
        match self.mood {
            Mood::Honest => drop(self.cutoffs.lock().insert(subject.to_owned(), now)),
            Mood::Stateless => {}
        }
    }

    pub(super) fn covers(&self, identity: &TokenIdentity) -> bool {
        let cut_off = |cutoff: &i64| {
            identity
                .issued_at
                .is_none_or(|issued_at| issued_at < *cutoff)
        };
        self.tokens.lock().contains(&identity.id)
            || self
                .cutoffs
                .lock()
                .get(&identity.subject)
                .is_some_and(cut_off)
    }

    pub(super) fn mood(&self) -> Mood {
        self.mood
    }
}
