//! Entries that unverified credentials ask for: whether the client may make them, and the shop has room.

use std::net::IpAddr;

use super::allowance::{Allowance, OverLimit, WIDER};
use super::entry::{Revocation, ShopTag, Source, UNCONFIRMED_LIFE};
use super::revocations::Revocations;
use super::set::UnverifiedCounts;
use crate::clock::UnixTime;

impl Revocations {
    /// Whether a client may make these, as far as unverified credentials ask for them. If so, they count in its share.
    pub fn admit_unverified(
        &self,
        client: IpAddr,
        revocations: &[Revocation],
        allowance: Allowance,
        now: UnixTime,
    ) -> Result<(), OverLimit> {
        let entries = unverified_in(revocations);
        if entries == 0 {
            return Ok(());
        }
        if !self.has_room(revocations, allowance, now) {
            return Err(OverLimit::Shop);
        }
        let limit = allowance.per_client_minute;
        let is_admitted = self.clients.count_within(client, entries, limit, now);
        is_admitted.then_some(()).ok_or(OverLimit::Client)
    }

    /// These do not count in the client's share after all: they were confirmed.
    pub fn give_back(&self, client: IpAddr, revocations: &[Revocation], now: UnixTime) {
        let entries = unverified_in(revocations);
        if entries > 0 {
            self.clients.give_back(client, entries, now);
        }
    }

    /// The same for entries that a shop may have borne out by its answer: a client may make [`WIDER`] times as many, for
    /// one that speaks for many customers does.
    pub fn admit_borne_out(
        &self,
        client: IpAddr,
        revocations: &[Revocation],
        allowance: Allowance,
        now: UnixTime,
    ) -> bool {
        let entries = unverified_in(revocations);
        let limit = allowance.per_client_minute.saturating_mul(WIDER);
        entries == 0
            || self.has_room(revocations, allowance, now)
                && self.borne_out.count_within(client, entries, limit, now)
    }

    /// Whether a shop has room for these, as far as unverified credentials ask for them.
    pub fn has_room(
        &self,
        revocations: &[Revocation],
        allowance: Allowance,
        now: UnixTime,
    ) -> bool {
        let mut wanted = UnverifiedCounts::default();
        let mut held = UnverifiedCounts::default();
        for revocation in revocations {
            let Some((_, source)) = revocation.unverified_token() else {
                continue;
            };
            held = self.set.unverified(source, now); // all are of one shop
            if revocation.until() <= now.plus(UNCONFIRMED_LIFE) {
                wanted.unconfirmed += 1;
            } else {
                wanted.likely += 1;
            }
        }
        let fits = |held: u64, wanted: u64| wanted == 0 || held + wanted <= allowance.per_shop;
        fits(held.unconfirmed, wanted.unconfirmed) && fits(held.likely, wanted.likely)
    }

    /// How many live entries of a shop rest on unverified credentials.
    pub fn unverified(&self, shop: ShopTag, now: UnixTime) -> UnverifiedCounts {
        self.set.unverified(Source::Unverified(shop), now)
    }
}

/// How many of these rest on unverified credentials.
fn unverified_in(revocations: &[Revocation]) -> u32 {
    let unverified = revocations.iter().filter_map(Revocation::unverified_token);
    u32::try_from(unverified.count()).unwrap_or(u32::MAX)
}
