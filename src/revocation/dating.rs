//! Tokens that do not say when they were issued: when they were seen, handed out or accepted.

use std::sync::atomic::Ordering;

use super::entry::{DateKind, Id, Revocation, Source, Window};
use super::identity::Identity;
use super::revocations::{NotDurable, Revocations};
use crate::clock::{self, UnixTime};

/// How often a token without issue time and date was presented whose customer had logged out.
#[derive(Clone, Copy, Debug)]
pub struct UnknownCounts {
    /// It counted as issued after the logout.
    pub passed: u64,
    /// It counted as issued before the logout.
    pub refused: u64,
}

impl Revocations {
    /// Dates a token without an issue time, unless it has a date already. Does not wait for the disk. `meaning`: what its
    /// names mean.
    pub fn note_seen(&self, token: &Identity, until: UnixTime, meaning: &str) {
        let now = clock::now();
        if !self.set.is_unknown(token) || until <= now {
            return;
        }
        let seen = Revocation::Date {
            id: token.id,
            kind: DateKind::Seen,
            at_ms: self.set.next_ms(clock::now_ms()),
            until,
        };
        if self.set.covers_if_old(token) {
            self.unknown_new.fetch_add(1, Ordering::Relaxed);
        }
        if self.set.insert(&seen, now) {
            self.write_behind(vec![seen], meaning, now);
        }
    }

    /// Dates tokens that an answer hands out, as happening now. With `is_awaited`, `Ok` means that the dates are on disk and
    /// sent to other nodes; without it, nothing is waited for.
    pub async fn date(
        &self,
        kind: DateKind,
        tokens: &[(Id, UnixTime)],
        meaning: &str,
        is_awaited: bool,
    ) -> Result<(), NotDurable> {
        let now = clock::now();
        let at_ms = self.set.next_ms(clock::now_ms());
        let date = |(id, until): &(Id, UnixTime)| Revocation::Date {
            id: *id,
            kind,
            at_ms,
            until: *until,
        };
        let mut dates: Vec<_> = tokens.iter().map(date).collect();
        dates.retain(|date| date.until() > now && self.set.insert(date, now));
        if dates.is_empty() {
            return Ok(());
        }
        if is_awaited {
            let meant = self.meaning_before(meaning, &dates, now);
            return self.revoke([meant, dates].concat()).await;
        }
        self.write_behind(dates, meaning, now);
        Ok(())
    }

    /// Whether a token without an issue time was seen or handed out before, here or at another node.
    pub fn is_dated(&self, token: &Identity) -> bool {
        token.issued_at.is_none() && !self.set.is_unknown(token)
    }

    /// Whether a token is refused if every token without a date counts as old: no node has seen it or its handing
    /// out, and its customer has logged out.
    pub fn covers_unknown(&self, token: &Identity) -> bool {
        let is_covered = self.set.is_unknown(token) && self.set.covers_if_old(token);
        if is_covered {
            self.unknown_old.fetch_add(1, Ordering::Relaxed);
        }
        is_covered
    }

    /// How often it mattered that no node knew when a token was issued.
    pub fn unknown_counts(&self) -> UnknownCounts {
        UnknownCounts {
            passed: self.unknown_new.load(Ordering::Relaxed),
            refused: self.unknown_old.load(Ordering::Relaxed),
        }
    }

    /// Notes that the shop accepted a token where it demands one. Does not wait for the disk.
    pub fn note_accepted(&self, token: &Id, until: UnixTime, meaning: &str) {
        let id = Id::accepted(token);
        if !self.set.has_undated_token(&id) {
            let accepted = Revocation::Token {
                id,
                window: Window::UNDATED,
                until,
                source: Source::Verified,
            };
            self.write_behind(vec![accepted], meaning, clock::now());
        }
    }

    /// Whether the shop was seen to accept a token where it demands one, to vouch for it or to hand it out, by any node, under
    /// any of its names.
    pub fn was_accepted(&self, token: &Identity) -> bool {
        let mut names = token.names();
        names.any(|id| self.set.has_undated_token(&Id::accepted(id))) || self.is_dated(token)
    }
}
