//! Whether one credential is alive: what every request asks of each of its tokens.

use super::answers::Refusal;
use super::arrived::Arrived;
use super::credential::Credential;
use super::gate::Gate;
use super::shop::Shop;
use super::token::Token;
use crate::clock::UnixTime;
use crate::revocation::Cause;

impl Arrived<'_, '_> {
    /// The token of a credential, unless that is bad or dead.
    pub(super) fn live_token(
        &self,
        credential: &Credential<'_>,
        now: UnixTime,
    ) -> Result<Token, Refusal> {
        let (gate, shop) = (self.gate, self.shop);
        let read = shop.token(credential, now);
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
    /// A node that may not know all that was revoked judges no credential. Guests pass.
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

    /// A token that is good and says nothing of its issue is dated when it is first seen.
    pub(super) fn date(&self, shop: &Shop, token: &Token, now: UnixTime) {
        if let Some(until) = shop.dated_until(token, now) {
            self.revocations
                .see(token.identity(), until, shop.meaning());
        }
    }

    /// What the shop said of a token may name a customer who has logged out.
    ///
    /// Such a token is dated before that, unless what no node has dated is old: a cutoff of which only the shop's time is
    /// known was made when opaque tokens counted as new.
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

    /// A token that was over once stays over, though the clock was set back: whether it was logged out is forgotten.
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
