//! What a shop knows of a credential: the token that it is, and for how long that is to be dated.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::answers::Refusal;
use super::credential::{Credential, trimmed};
use super::shop::{Shop, Tokens};
use super::token::{Flaw, Token, TokenKind, UnknownToken, jwts_in};
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

    /// Until when the date of a token is needed; `None`: it is of no use, for the token says itself when it was issued, or
    /// nothing is known of it.
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

    /// The token of a credential, verified or opaque; else the refusal of a request that rests on it.
    pub(super) fn token(
        &self,
        credential: &Credential<'_>,
        now: UnixTime,
    ) -> Result<Token, Refusal> {
        let text = &*credential.text;
        let token = match &credential.key {
            Some(key) => Ok(self.verifier.opaque(text, key)),
            None => self.verifier.token_from_text(credential.kind, text, now),
        };
        match token {
            Ok(Token::Opaque(_)) if credential.hides_another() => Err(Refusal::MalformedCredential),
            Ok(token) => Ok(token),
            // A refresh token may be signed with a key that is not published: the shop alone can judge it.
            Err(flaw) if flaw.is_undecided() && credential.place.is_opaque_too() => {
                Ok(self.verifier.by_digest(text))
            }
            Err(flaw) => Err(Refusal::from(flaw)),
        }
    }

    /// The JWTs in a text of a body, as far as they verify.
    pub(super) fn jwts_of(&self, text: &str, now: UnixTime) -> Result<Tokens, Refusal> {
        let mut tokens = Tokens::new();
        for jwt in jwts_in(text) {
            match self.verifier.token_from_text(TokenKind::Jwt, jwt, now) {
                Ok(token) => tokens.push(token),
                Err(Flaw::NoKeys) if self.verifier.may_be_ours(jwt) => {
                    return Err(Refusal::KeysMissing);
                }
                // What can't be verified can't be dead but by its digest, or as what it was called.
                Err(_) if !self.verifier.formers().is_empty() => {
                    tokens.push(self.verifier.by_digest(jwt));
                }
                Err(_) => {}
            }
        }
        Ok(tokens)
    }

    /// What a text of a body could be revoked by, if it is an opaque token in one of the ways in which the shop's places
    /// are written.
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
                    Ok(None) | Err(_) => {} // without a pattern nothing tells it from any other text
                }
            }
        }
        Ok(digests)
    }

    /// A bearer that stores itself at a logout must look like one of the shop's; a refresh token looks different.
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
