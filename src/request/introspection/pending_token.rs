//! Opaque tokens that a shop must be asked about, and how its answers are used.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, StatusCode};

use super::cache::{Asked, IntrospectionResult};
use super::request::IntrospectionResponse;
use crate::clock::UnixTime;
use crate::request::answers::{Answer, Refusal};
use crate::request::credential::{Certainty, Occasion};
use crate::request::presented_token::Presented;
use crate::request::shop::{Shop, Tokens};
use crate::request::token::{Confirmed, Token};
use crate::revocation::{Id, Identity};

/// A token that the shop must be asked about.
pub struct PendingToken {
    /// Its identity in the revocations.
    pub identity: Arc<Identity>,
    /// The occasion of the request that carried it.
    pub occasion: Occasion,
    /// The header that carried it; the introspection request carries it there, too.
    pub header: Option<HeaderName>,
    /// The token.
    pub text: String,
}

impl fmt::Debug for PendingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingToken(..)")
    }
}

impl PendingToken {
    /// Its id in the cache.
    pub fn id(&self) -> Id {
        self.identity.id
    }
}

impl Shop {
    /// Replaces opaque tokens by what the shop said of them. Returns the tokens that the shop must be asked about: those
    /// without a fresh result, and at a logout all that it was not asked about for this request.
    pub(in crate::request) fn confirm(
        &self,
        alive: &mut [Presented<'_>],
        occasion: Occasion,
        asked: Asked,
        now: UnixTime,
    ) -> Result<Vec<PendingToken>, Refusal> {
        let mut pending = Vec::new();
        let Some(introspection) = &self.verifier.settings().introspection else {
            return Ok(pending);
        };
        for Presented { token, credential } in alive {
            let Token::Opaque(identity) = &*token else {
                continue;
            };
            if credential.place.is_accompanying() || credential.certainty != Certainty::Exact {
                continue;
            }
            let identity = Arc::clone(identity);
            let implausible = self.verifier.refuse_implausible(token, &credential.text);
            if implausible.is_err() {
                continue; // not one of the shop's
            }
            let result = self
                .introspection_cache
                .result(&identity.id, introspection.fresh, now);
            let counts = IntrospectionResult::counts(occasion, asked);
            if let Some(result) = result.as_ref().filter(|_| counts) {
                self.verifier.note_introspected(result.acceptance());
            }
            match result {
                Some(IntrospectionResult::Active(confirmed)) => {
                    *token = Token::Confirmed(confirmed);
                    if counts {
                        continue;
                    }
                }
                Some(IntrospectionResult::Inactive) if counts => {
                    *token = Token::Inactive(identity);
                    continue;
                }
                // A shop that fails must not prevent a logout: the token is revoked by its own digest.
                Some(IntrospectionResult::Unavailable)
                    if counts && occasion == Occasion::Logout =>
                {
                    continue;
                }
                Some(IntrospectionResult::Unavailable) if counts => {
                    return Err(Refusal::Unconfirmed);
                }
                Some(IntrospectionResult::Inactive | IntrospectionResult::Unavailable) | None => {}
            }
            pending.push(PendingToken {
                identity,
                occasion,
                header: credential.place.carrier.header().cloned(),
                text: credential.text.clone().into_owned(),
            });
        }
        Ok(pending)
    }

    /// A token as the shop confirmed it earlier in its request, if it did. Its customer stays the same under any name.
    pub(in crate::request) fn as_confirmed_before(&self, token: Token, before: &Tokens) -> Token {
        let Token::Opaque(names) = &token else {
            return token;
        };
        let is_it = |one: &&Arc<Confirmed>| {
            let mut known = one.identity.names();
            known.any(|id| names.names().any(|name| name == id))
        };
        let confirmed = before.iter().filter_map(Token::confirmed);
        let Some(confirmed) = confirmed.into_iter().find(is_it) else {
            return token;
        };
        let customer = confirmed.customer.as_deref();
        let said = IntrospectionResponse::for_customer(customer);
        Token::Confirmed(Arc::new(Confirmed {
            identity: Identity {
                issued_at: confirmed.issued_at,
                ..self.verifier.confirmed(names, &said)
            },
            subject: customer.map(|subject| self.verifier.customer(subject)),
            customer: confirmed.customer.clone(),
            issued_at: confirmed.issued_at,
        }))
    }

    /// A token with its customer, if the shop has named one and the answer is still cached.
    pub(in crate::request) fn with_customer(&self, token: Token) -> Token {
        let is_asked = self.verifier.settings().introspection.is_some();
        let id = token.opaque_id().filter(|_| is_asked);
        let vouched = id.and_then(|id| self.introspection_cache.active(&id));
        vouched.map_or(token, Token::Confirmed)
    }

    /// Whether only the shop knows the customer of a token: a cutoff of that customer may refuse it.
    pub fn has_hidden_customer(&self, token: &Token) -> bool {
        let is_asked = self.verifier.settings().introspection.is_some();
        match token {
            Token::Opaque(_) | Token::Inactive(_) => is_asked,
            Token::Verified(_) | Token::Confirmed(_) => false,
        }
    }

    /// Whether there is still no result for it, also from other requests.
    pub fn is_still_pending(&self, token: &PendingToken, now: UnixTime) -> bool {
        let introspection = self.verifier.settings().introspection.as_ref();
        let result = introspection.and_then(|asked| {
            self.introspection_cache
                .result(&token.id(), asked.fresh, now)
        });
        result.is_none() || !IntrospectionResult::counts(token.occasion, Asked::No)
    }

    /// Stores what the shop answered about a token; `None`: it gave no answer.
    pub fn note_answer(&self, token: &PendingToken, answer: Option<&Answer>, now: UnixTime) {
        let introspection = self.verifier.settings().introspection.as_ref();
        let Some(introspection) = introspection else {
            return;
        };
        let known = self
            .introspection_cache
            .result(&token.id(), introspection.fresh, now);
        let was_good = matches!(known, Some(IntrospectionResult::Active(_)));
        let Some(answer) = answer else {
            if !was_good {
                self.introspection_cache.note_unavailable(token.id(), now);
            }
            return; // its last answer still counts
        };
        let said = introspection.parse_response(answer.status, &answer.body);
        if said.is_none() && was_good && token.occasion == Occasion::Logout {
            return; // the customer logged out at the shop first; the earlier result names the customer
        }
        let is_clean = answer.status == StatusCode::UNAUTHORIZED || answer.is_plain_json();
        if said.is_none() && !is_clean {
            self.likely.note(token.id()); // the answer may be that of a failing shop
        }
        let said = said.as_ref();
        self.introspection_cache
            .note(&token.identity, said, &self.verifier, now);
    }
}
