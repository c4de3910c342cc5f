//! A request that is refused, and the answer that says so.

use std::sync::Arc;

use http::request::Parts;

use super::answer::{Answer, RefusalSettings};
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
    /// The words of the rule that it came under, where that has some for it.
    pub words: Option<&'g Words>,
    /// The cookies that the answer deletes: their tokens are dead.
    pub dead_cookies: Vec<DeadCookie>,
}

impl<'g> Refused<'g> {
    /// Refused before any shop was found.
    pub fn by_nobody(refusal: Refusal) -> Self {
        Self {
            refusal,
            shop: None,
            words: None,
            dead_cookies: Vec::new(),
        }
    }

    /// Refused for this shop.
    pub fn of(shop: &'g Arc<Shop>, refusal: Refusal) -> Self {
        Self {
            refusal,
            shop: Some(shop),
            words: None,
            dead_cookies: Vec::new(),
        }
    }

    pub(in crate::request) fn by(shop: &'g Arc<Shop>) -> impl FnOnce(Refusal) -> Self {
        move |refusal| Self::of(shop, refusal)
    }

    pub(in crate::request) fn in_words(self, words: Option<&'g Words>) -> Self {
        Self { words, ..self }
    }

    pub(in crate::request) fn deleting(self, dead_cookies: Vec<DeadCookie>) -> Self {
        Self {
            dead_cookies,
            ..self
        }
    }

    /// The answer in the shop's shape; in the rule's own words where it has some. By it the browser forgets what is dead.
    pub fn answer(&self, head: &Parts) -> Answer {
        let Some(shop) = self.shop else {
            return RefusalSettings::default().answer(self.refusal, self.words, head);
        };
        let refusals = shop.refusals_for(head);
        let mut answer = refusals.answer(self.refusal, self.words, head);
        answer.add_cookies(shop.deletions_of(&self.dead_cookies, head));
        answer
    }
}
