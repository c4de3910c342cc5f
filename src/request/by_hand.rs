//! What an operator revokes or looks up by hand.

use serde::{Deserialize, Serialize};

use super::credential::cookie_value;
use super::flaw::Flaw;
use super::logout::{Reach, Scope, of_opaque, of_verified};
use super::shop::Shop;
use super::token::Token;
use super::token_settings::Kind;
use crate::clock::UnixTime;
use crate::revocation::{Id, Kind as Digest, Revocation, Source, Window};

/// Whom an operator means. Exactly one, in the JSON of the control socket.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// The token with this text.
    Token(String),
    /// The token with this id claim.
    Jti(Named),
    /// Every token of this session.
    Session(Named),
    /// Every token of this customer issued until now.
    Subject(Named),
    /// Every token of the realm issued before this moment, in seconds since the epoch.
    AllBefore(u64),
}

/// A name as a token carries it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The claim's value.
    pub name: String,
    /// The token's `iss`, where the shop pins several or, for an id, where tokens carry one.
    pub issuer: Option<String>,
}

impl Shop {
    /// What revoking `target` puts in force.
    pub fn revocations_by_hand(
        &self,
        target: &Target,
        now: UnixTime,
    ) -> Result<Vec<Revocation>, Flaw> {
        let settings = self.verifier.settings();
        let shop_time = self.clock.at(now);
        let until = self.verifier.longest_life();
        let until = until.map_or(UnixTime::FOREVER, |life| shop_time.plus(life));
        let cutoffs = |ids: Vec<Id>, not_before| {
            let cutoff = |id| Revocation::Cutoff {
                id,
                not_before,
                until,
            };
            ids.into_iter().map(cutoff).collect::<Vec<_>>()
        };
        Ok(match target {
            Target::Token(text) => match self.read_by_hand(text, now)? {
                Token::Verified(token) => {
                    of_verified(&token, Scope::Token, Reach::Always, shop_time)
                }
                token @ (Token::Confirmed(_) | Token::Opaque(_) | Token::Stranger(_)) => {
                    let identity = token.identity();
                    vec![of_opaque(identity, Source::Verified, settings, shop_time)]
                }
            },
            Target::Jti(named) => {
                let dead = |id| Revocation::Token {
                    id,
                    window: Window::UNDATED,
                    until,
                    source: Source::Verified,
                };
                let ids = self.named_by_hand(Digest::Token, named).into_iter();
                ids.map(dead).collect()
            }
            Target::Session(named) => {
                let ids = self.named_by_hand(Digest::Session, named).into_iter();
                ids.map(|id| Revocation::of_session(id, until)).collect()
            }
            Target::Subject(named) => {
                let ids = self.named_by_hand(Digest::Subject, named);
                let mut revocations = cutoffs(ids, shop_time);
                let customer = self.verifier.customer(&named.name);
                revocations.extend(self.seen_tokens_of(&customer, shop_time));
                revocations
            }
            Target::AllBefore(moment) => {
                let everybody = self.verifier.everybody();
                cutoffs(everybody, UnixTime::from_seconds(*moment))
            }
        })
    }

    /// Reads a token that the operator shows us.
    pub fn read_by_hand(&self, text: &str, now: UnixTime) -> Result<Token, Flaw> {
        let cookie = cookie_value(text.trim().into());
        let parts = self
            .places
            .iter()
            .filter(|place| place.spelling.pattern.is_some());
        for place in parts {
            if let Ok(Some(key)) = place.spelling.key(&cookie)
                && *key != *cookie
            {
                return Ok(self.verifier.opaque(&cookie, &key));
            }
        }
        let kind = self.verifier.kind();
        let kind = if kind == Kind::Jwt { Kind::Auto } else { kind };
        self.verifier.read(kind, text.trim(), now)
    }

    fn named_by_hand(&self, kind: Digest, named: &Named) -> Vec<Id> {
        self.verifier
            .named_by_hand(kind, named.issuer.as_deref(), &named.name)
    }
}
