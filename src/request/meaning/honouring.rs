//! Keeps the former meanings of names up to date: shops honour them while an entry that was made under one is kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::UnixTime;
use crate::request::gate::Gate;
use crate::request::shop::Shop;
use crate::revocation::{Meaning, Revocation};

impl Gate {
    /// Lets the shops look tokens up under former meanings, as far as entries made under these are kept, here or on another
    /// node.
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

    /// The entry that records the shop's meaning, if it must be put in force before these: a later configuration honours it.
    pub fn meaning_before(
        &self,
        shop: &Shop,
        revocations: &[Revocation],
        now: UnixTime,
    ) -> Vec<Revocation> {
        self.revocations
            .meaning_before(shop.meaning(), revocations, now)
    }

    /// [`Self::meaning_before`] for an operator's order, which also names tokens under former meanings: those are kept as long.
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

/// Lets each of these shops look its tokens up under the former ones of these meanings, too.
pub fn honour_meanings(shops: &[&Shop], meanings: &[Meaning], now: UnixTime) {
    for shop in shops {
        let others = shops.iter().filter(|other| other.name != shop.name);
        let others: Vec<_> = others.copied().collect();
        shop.honour(&others, meanings, now);
    }
}
