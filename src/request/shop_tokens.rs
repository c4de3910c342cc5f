//! From a credential or a text of a body to tokens of one shop, and until when their dates are kept.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::answers::Refusal;
use super::credential::{Credential, trimmed};
use super::routes::Enforce;
use super::shop::{Shop, Tokens};
use super::token::{FailureWeight, Flaw, Token, TokenKind, UnknownToken, jwts_in};
use crate::clock::UnixTime;
use crate::revocation::{Id, MARGIN};

impl Shop {
    /// Whether a token that no node has dated counts as issued before every logout.
    pub(super) fn is_unknown_old(&self, token: &Token) -> bool {
        let settings = match token {
            Token::Verified(token) => &token.settings,
            Token::Confirmed(_) => self.verifier.settings(),
            Token::Opaque(_) | Token::Inactive(_) => return false,
        };
        match settings.unknown {
            UnknownToken::New => false,
            UnknownToken::Old => true,
        }
    }

    /// Until when the date of a token is kept; `None`: it needs no date, because it has an issue time or it is neither
    /// verified nor confirmed.
    pub(super) fn dated_until(&self, token: &Token, now: UnixTime) -> Option<UnixTime> {
        if token.identity().issued_at.is_some() {
            return None;
        }
        let shop_time = self.clock.shop_time(now);
        match token {
            Token::Verified(token) => {
                let end = token.settings.accepted_until(token, shop_time);
                Some(end.plus(MARGIN))
            }
            Token::Confirmed(_) => Some(self.verifier.settings().undated_until(shop_time)),
            Token::Opaque(_) | Token::Inactive(_) => None,
        }
    }

    /// The token of a credential, verified or opaque; else why the credential is refused.
    /// `is_counted`: it was counted before.
    pub(super) fn token(
        &self,
        credential: &Credential<'_>,
        is_counted: bool,
        now: UnixTime,
    ) -> Result<Token, Refusal> {
        let (text, kind) = (&*credential.text, credential.kind);
        let is_passed_over = is_counted || credential.place.is_former();
        let token = match &credential.key {
            Some(key) => Ok(self.verifier.opaque(text, key)),
            None if is_passed_over => self.verifier.token_from_text(kind, text, now),
            None => self.verifier.token_of_credential(kind, text, now),
        };
        match token {
            Ok(Token::Opaque(_)) if credential.hides_another() => Err(Refusal::MalformedCredential),
            Ok(token) => Ok(token),
            // A refresh token may be signed with a key that is not published: only the shop can verify it.
            Err(flaw) if flaw.is_undecided() && credential.place.is_opaque_too() => {
                Ok(self.verifier.by_digest(text))
            }
            Err(flaw) => Err(Refusal::from(flaw)),
        }
    }

    /// Refuses a token by its times, where its route says so. Until the first is within its time, the others are counted.
    pub(super) fn refuse_untimely(
        &self,
        token: &Token,
        enforce: Enforce,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let judged = enforce.refuse_untimely(token, now);
        if enforce.judges_times() && token.is_verified() {
            let weigh = |refusal: Refusal| {
                let is_early = refusal == Refusal::NotYetValid;
                let weight = if is_early {
                    FailureWeight::Telling
                } else {
                    FailureWeight::Usual
                };
                (refusal.name(), weight)
            };
            self.verifier.note_timely(judged.map_err(weigh));
        }
        judged
    }

    /// The JWTs in a text of a body that verify.
    pub(super) fn jwts_of(&self, text: &str, now: UnixTime) -> Result<Tokens, Refusal> {
        let mut tokens = Tokens::new();
        for jwt in jwts_in(text) {
            match self.verifier.token_from_text(TokenKind::Jwt, jwt, now) {
                Ok(token) => tokens.push(token),
                Err(Flaw::NoKeys) if self.verifier.may_be_ours(jwt) => {
                    return Err(Refusal::KeysMissing);
                }
                // Without verification it can be revoked by its digest or a former name only.
                Err(_) if !self.verifier.formers().is_empty() => {
                    tokens.push(self.verifier.by_digest(jwt));
                }
                Err(_) => {}
            }
        }
        Ok(tokens)
    }

    /// The digests by which a text of a body may be revoked, if it is an opaque token in the spelling of any place.
    pub(super) fn digests_of(&self, text: &str) -> Result<SmallVec<[Id; 2]>, Refusal> {
        let bare = trimmed(text);
        let mut digests = SmallVec::new();
        if bare.contains(' ') || bare.contains(char::is_whitespace) {
            return Ok(digests);
        }
        let name = self.verifier.settings().token_key(bare);
        digests.extend(self.verifier.digests_of(bare, name));
        let formers = self.verifier.formers();
        let places = self.places.iter().chain(formers.places());
        for place in places.filter(|place| !place.spelling.is_plain()) {
            let spelling = &place.spelling;
            for text in spelling.unwrap(Cow::Borrowed(text)) {
                match spelling.key(&text) {
                    Ok(Some(key)) => digests.extend(self.verifier.digests_of(&text, &key)),
                    Err(refusal) if spelling.pattern.is_some() && !place.is_former() => {
                        return Err(refusal);
                    }
                    Ok(None) | Err(_) => {} // it is no token of this place
                }
            }
        }
        Ok(digests)
    }

    /// Refuses to store a bearer at a logout that does not look like one of the shop's. Refresh tokens may look different.
    pub(super) fn refuse_implausible(
        &self,
        token: &Token,
        credential: &Credential<'_>,
    ) -> Result<(), Refusal> {
        if credential.is_ambient() || credential.place.is_accompanying() {
            return Ok(());
        }
        let plausible = self.verifier.refuse_implausible(token, &credential.text);
        plausible.map_err(Refusal::from)
    }
}
