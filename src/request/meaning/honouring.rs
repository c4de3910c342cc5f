//! What the names of a shop's tokens meant under former configurations, honoured as long as an entry made under one lives.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::UnixTime;
use crate::request::gate::Gate;
use crate::request::shop::Shop;
use crate::revocation::{Meaning, Revocation};

impl Gate {
    /// Has tokens looked up by what they were called under former configurations, as far as entries live that were made
    /// under those: here, or at another node.
    pub fn honour_meanings(&self, now: UnixTime) {
        let is_up_to_date =
            || self.meanings.load(Ordering::Acquire) == self.revocations.meaning_changes();
        if is_up_to_date() {
            return;
        }
        let _honouring = self.honouring.lock();
        if is_up_to_date() {
            return;
        }
        let changes = self.revocations.meaning_changes(); // read first: what changes meanwhile is seen the next time
        let meanings = self.revocations.meanings();
        let shops: Vec<_> = self.shops().iter().map(Arc::as_ref).collect();
        honour_meanings(&shops, &meanings, now);
        self.meanings.store(changes, Ordering::Release);
    }

    /// What is to be put in force before these, so that a later configuration does not forget what the shop's names mean.
    pub fn meaning_before(
        &self,
        shop: &Shop,
        revocations: &[Revocation],
        now: UnixTime,
    ) -> Vec<Revocation> {
        self.revocations
            .meaning_before(shop.meaning(), revocations, now)
    }

    /// The same for an order by hand, which goes by former names as well: their meanings are kept as long.
    pub fn meanings_before(
        &self,
        shop: &Shop,
        revocations: &[Revocation],
        now: UnixTime,
    ) -> Vec<Revocation> {
        let mut meant = self.meaning_before(shop, revocations, now);
        if let Some(until) = revocations.iter().map(Revocation::until).max() {
            for text in shop.verifier.formers().texts() {
                meant.extend(self.revocations.meaning_until(text, until));
            }
        }
        meant
    }
}

/// Has each of these shops look its tokens up by what they were called under former ones of these meanings, too.
pub fn honour_meanings(shops: &[&Shop], meanings: &[Meaning], now: UnixTime) {
    for shop in shops {
        let others = shops.iter().filter(|other| other.name != shop.name);
        let others: Vec<_> = others.copied().collect();
        shop.honour(&others, meanings, now);
    }
}
