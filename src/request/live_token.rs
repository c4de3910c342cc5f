//! Looks one credential up: verified, and not revoked. Every request does so for each of its credentials.

use super::answers::Refusal;
use super::arrived::Arrived;
use super::credential::Credential;
use super::gate::Gate;
use super::shop::Shop;
use super::token::Token;
use crate::clock::UnixTime;
use crate::revocation::Cause;

impl Arrived<'_, '_> {
    /// The token of a credential; a refusal, if it is not valid or revoked.
    pub(super) fn live_token(
        &self,
        credential: &Credential<'_>,
        now: UnixTime,
    ) -> Result<Token, Refusal> {
        let (gate, shop) = (self.gate, self.shop);
        let read = shop.token(credential, self.is_counted, now);
        if !self.is_counted {
            credential.count_in_place(read.as_ref().err());
        }
        let token = read?;
        gate.refuse_revoked(shop, &token)?;
        gate.date(shop, &token, now);
        Ok(token)
    }
}

impl Gate {
    /// Refuses credentials while this node may not know all revocations. Guests pass.
    pub(super) fn refuse_unsynced(&self, is_guest: bool, now: UnixTime) -> Result<(), Refusal> {
        if is_guest || self.revocations.sync_state().may_judge(now) {
            return Ok(());
        }
        Err(Refusal::Syncing)
    }

    pub(super) fn refuse_revoked(&self, shop: &Shop, token: &Token) -> Result<(), Refusal> {
        match self.cause_of(shop, token) {
            Some(cause) => Err(Refusal::Revoked {
                cause,
                token: token.identity().id,
                by: self.revocations.entry_of(token.identity(), cause),
            }),
            None => Ok(()),
        }
    }

    /// Why a token of a shop is refused, if it is.
    pub fn cause_of(&self, shop: &Shop, token: &Token) -> Option<Cause> {
        let identity = token.identity();
        let is_old = || {
            let is_undated = identity.issued_at.is_none() && shop.is_unknown_old(token);
            is_undated && self.revocations.covers_unknown(identity)
        };
        let cause = self.revocations.covers(identity);
        cause.or_else(|| is_old().then_some(Cause::Unknown))
    }

    /// Dates a valid token without an issue time when it is first seen.
    pub(super) fn date(&self, shop: &Shop, token: &Token, now: UnixTime) {
        if let Some(until) = shop.dated_until(token, now) {
            self.revocations
                .note_seen(token.identity(), until, shop.meaning());
        }
    }

    /// Looks up a token that the shop has confirmed: the shop may have named a customer who has logged out.
    ///
    /// The token is dated first, unless undated tokens count as old: then it must be looked up without a date, because
    /// it may have been issued before the cutoff.
    pub(super) fn refuse_confirmed(
        &self,
        shop: &Shop,
        token: &Token,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        if !token.is_confirmed() {
            return Ok(());
        }
        if !shop.is_unknown_old(token) {
            self.date(shop, token, now);
        }
        self.refuse_revoked(shop, token)?;
        self.date(shop, token, now);
        Ok(())
    }

    /// Refuses a token that had expired before the clock was set back: its revocation may have been forgotten.
    pub(super) fn refuse_forgotten(&self, token: &Token, now: UnixTime) -> Result<(), Refusal> {
        let end = match token {
            Token::Verified(token) => token.expires_at,
            Token::Confirmed(_) | Token::Opaque(_) | Token::Inactive(_) => None,
        };
        match end {
            Some(end) if self.revocations.may_have_forgotten(end, now) => Err(Refusal::Expired),
            Some(_) | None => Ok(()),
        }
    }
}
