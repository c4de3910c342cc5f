//! The tokens that an answer of a shop issues: which are dated, and which were revoked before.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::rule::{AnswerTokens, TokenEndpoint};
use crate::clock::UnixTime;
use crate::request::calls::RequestView;
use crate::request::gate::Gate;
use crate::request::introspection::IntrospectionResponse;
use crate::request::shop::Shop;
use crate::request::token::Token;
use crate::revocation::{Cause, Group, Id, Identity, MARGIN};

/// The tokens that an answer issues.
#[derive(Default)]
pub struct HandedOut {
    /// Tokens without an issue time, and until when their dates are kept.
    pub dated: Vec<(Id, UnixTime)>,
    /// Tokens that are revoked, and until when one could be accepted.
    pub dead: Vec<(Id, UnixTime)>,
    /// Tokens that have a date already, in answers that name no customer, and until when one could be accepted: a logout of their
    /// customer may have revoked them.
    pub again: Vec<(Id, UnixTime)>,
    /// Whether their customer may have logged out: then their dates must be on other nodes before the answer is forwarded.
    pub is_awaited: bool,
}

impl Shop {
    /// The rule of a call that hands out tokens, if a request is one.
    pub(in crate::request) fn token_endpoint(
        &self,
        view: &RequestView<'_>,
    ) -> Option<&Arc<TokenEndpoint>> {
        self.token_endpoints
            .iter()
            .find(|rule| rule.call.claims(view))
    }

    /// A text of an answer without the scheme before the token.
    fn without_scheme<'t>(&self, text: &'t str) -> &'t str {
        let Some((scheme, rest)) = text.split_once(' ') else {
            return text;
        };
        let mut carriers = self.places.iter().map(|place| &place.carrier);
        let is_scheme = carriers.any(|carrier| {
            let mut schemes = carrier.schemes().unwrap_or_default().iter();
            schemes.any(|one| one.eq_ignore_ascii_case(scheme))
        });
        if is_scheme { rest.trim() } else { text }
    }

    /// The identities that a text of an answer has when a request carries it as a token, until when it could be accepted, and
    /// whether it must be dated.
    fn identities_of_issued(
        &self,
        text: &str,
        customer: Option<&str>,
        now: UnixTime,
    ) -> SmallVec<[(Identity, UnixTime, bool); 2]> {
        let shop_time = self.clock.shop_time(now);
        let settings = self.verifier.settings();
        let read = self
            .verifier
            .token_from_text(self.verifier.kind(), text, now);
        if let Ok(Token::Verified(token)) = read {
            let until = token.settings.accepted_until(&token, shop_time);
            let identity = token.identity.clone();
            let is_dated = identity.issued_at.is_none();
            return SmallVec::from_iter([(identity, until.plus(MARGIN), is_dated)]);
        }
        let introspection = settings.introspection.as_ref();
        let is_dated = introspection.is_some_and(|asked| asked.issued_at.is_none());
        let until = settings.undated_until(shop_time);
        let digests = self.digests_of(text).unwrap_or_default();
        let known = digests.into_iter();
        let said = IntrospectionResponse::for_customer(customer);
        let known = known.map(|id| {
            let identity = self.verifier.confirmed(&Identity::undated(id), &said);
            (identity, until, is_dated)
        });
        known.collect()
    }
}

impl Gate {
    /// The tokens that an answer of a shop issues.
    pub fn handed_out(&self, shop: &Shop, tokens: &AnswerTokens, now: UnixTime) -> HandedOut {
        let revocations = self.revocations();
        let customer = tokens.customer.as_deref();
        let mut handed_out = HandedOut::default();
        for text in &tokens.texts {
            for text in spellings_of(text) {
                let text = shop.without_scheme(&text);
                for (identity, until, is_dated) in shop.identities_of_issued(text, customer, now) {
                    shop.introspection_cache.forget(&identity.id);
                    match revocations.covers(&identity) {
                        Some(Cause::Unknown) | None if !is_dated => {}
                        Some(Cause::Unknown) | None => {
                            let names_customer = |group: &Group| group.cause == Cause::Subject;
                            handed_out.is_awaited |= if identity.groups.iter().any(names_customer) {
                                revocations.has_cutoff_of(&identity)
                            } else {
                                if revocations.has_cutoffs() && revocations.is_dated(&identity) {
                                    let names = identity.names();
                                    handed_out.again.extend(names.map(|id| (*id, until)));
                                }
                                revocations.has_cutoffs()
                            };
                            handed_out.dated.push((identity.id, until));
                        }
                        Some(_) => {
                            let names = identity.names();
                            handed_out.dead.extend(names.map(|id| (*id, until)));
                        }
                    }
                }
            }
        }
        handed_out
    }
}

/// A text as it stands, and percent-decoded.
fn spellings_of(text: &str) -> SmallVec<[Cow<'_, str>; 2]> {
    let mut spellings: SmallVec<[Cow<'_, str>; 2]> = SmallVec::new();
    spellings.push(Cow::Borrowed(text));
    if text.contains('%')
        && let Ok(decoded) = percent_encoding::percent_decode_str(text).decode_utf8()
        && decoded != text
    {
        spellings.push(decoded);
    }
    spellings
}
