//! A request that is refused, and the answer that says so.

use std::sync::Arc;

use http::request::Parts;

use super::answer::{Answer, ApiKind, RefusalSettings};
use super::refusal::Refusal;
use super::words::Words;
use crate::request::cookie::DeadCookie;
use crate::request::shop::Shop;

/// A request that is refused.
pub struct Refused<'g> {
    /// Why.
    pub refusal: Refusal,
    /// By which shop, if it got that far.
    pub shop: Option<&'g Arc<Shop>>,
    /// The API that it calls.
    pub api: ApiKind,
    /// The rule's own words for it.
    pub words: Option<&'g Words>,
    /// The cookies that the answer deletes, because their tokens are revoked or invalid.
    pub dead_cookies: Vec<DeadCookie>,
    /// Where the credential stands for which it is refused, for the log.
    pub place: Option<String>,
}

impl<'g> Refused<'g> {
    /// Refused before any shop was found.
    pub fn without_shop(refusal: Refusal) -> Self {
        Self {
            refusal,
            shop: None,
            api: ApiKind::default(),
            words: None,
            dead_cookies: Vec::new(),
            place: None,
        }
    }

    /// Refused for this shop and this API of it.
    pub fn for_shop(shop: &'g Arc<Shop>, api: ApiKind, refusal: Refusal) -> Self {
        Self {
            refusal,
            shop: Some(shop),
            api,
            words: None,
            dead_cookies: Vec::new(),
            place: None,
        }
    }

    pub(in crate::request) fn with_words(self, words: Option<&'g Words>) -> Self {
        Self { words, ..self }
    }

    pub(in crate::request) fn at_place(self, place: Option<String>) -> Self {
        Self { place, ..self }
    }

    pub(in crate::request) fn deleting_cookies(self, dead_cookies: Vec<DeadCookie>) -> Self {
        Self {
            dead_cookies,
            ..self
        }
    }

    /// The same, where the shop wants that with the id of the request in its body.
    pub fn answer_naming(&self, head: &Parts, id: &str) -> Answer {
        let mut answer = self.answer(head);
        let has_own_body = self.words.is_some_and(|words| words.body.is_some());
        if let Some(shop) = self.shop
            && shop.refusals.names_request
            && !has_own_body
            && !matches!(self.refusal, Refusal::UnknownDocument { .. })
        {
            shop.refusals_for(self.api)
                .name_request(&mut answer, head, id);
        }
        answer
    }

    /// The answer in the shop's shape, or in the rule's own words. It deletes the dead cookies.
    pub fn answer(&self, head: &Parts) -> Answer {
        let Some(shop) = self.shop else {
            return RefusalSettings::default().answer(self.refusal, self.words, head);
        };
        let refusals = shop.refusals_for(self.api);
        let mut answer = refusals.answer(self.refusal, self.words, head);
        answer.add_cookies(shop.deletions_of(&self.dead_cookies, head));
        answer
    }
}
