//! Entries that unverified credentials ask for: whether the client may make them, and the shop has room.

use std::net::IpAddr;

use super::allowance::{Allowance, OverLimit};
use crate::clients::{CountsPerMinute, WIDER};
use crate::clock::UnixTime;
use crate::revocation::{Revocation, Revocations, Source, UNCONFIRMED_LIFE, UnverifiedCounts};

/// What the unverified credentials of each client have made of its quota in this minute.
#[derive(Default)]
pub struct LogoutQuota {
    unconfirmed: CountsPerMinute,
    /// The same of entries that the shop may have borne out.
    borne_out: CountsPerMinute,
}

impl LogoutQuota {
    /// Whether a client may make these, as far as unverified credentials ask for them. If so, they count in its share.
    pub fn admit_unverified(
        &self,
        client: IpAddr,
        asked: &[Revocation],
        held: &Revocations,
        allowance: Allowance,
        now: UnixTime,
    ) -> Result<(), OverLimit> {
        let entries = unverified_in(asked);
        if entries == 0 {
            return Ok(());
        }
        if !has_room(asked, held, allowance, now) {
            return Err(OverLimit::Shop);
        }
        let limit = allowance.per_client_minute;
        let is_admitted = self.unconfirmed.count_within(client, entries, limit, now);
        is_admitted.then_some(()).ok_or(OverLimit::Client)
    }

    /// These do not count in the client's share after all: they were confirmed.
    pub fn give_back(&self, client: IpAddr, confirmed: &[Revocation], now: UnixTime) {
        let entries = unverified_in(confirmed);
        if entries > 0 {
            self.unconfirmed.give_back(client, entries, now);
        }
    }

    /// As [`Self::admit_unverified`], for entries that a shop may have borne out by its answer: a client may make [`WIDER`] times as
    /// many, for one that speaks for many customers does.
    pub fn admit_borne_out(
        &self,
        client: IpAddr,
        asked: &[Revocation],
        held: &Revocations,
        allowance: Allowance,
        now: UnixTime,
    ) -> bool {
        let entries = unverified_in(asked);
        let limit = allowance.per_client_minute.saturating_mul(WIDER);
        entries == 0
            || has_room(asked, held, allowance, now)
                && self.borne_out.count_within(client, entries, limit, now)
    }
}

/// Whether a shop has room for these beside the entries that it has, as far as unverified credentials ask for them.
pub fn has_room(
    asked: &[Revocation],
    held: &Revocations,
    allowance: Allowance,
    now: UnixTime,
) -> bool {
    let mut wanted = UnverifiedCounts::default();
    let mut present = UnverifiedCounts::default();
    for revocation in asked {
        let Some((_, Source::Unverified(shop))) = revocation.unverified_token() else {
            continue;
        };
        present = held.unverified(shop, now); // all are of one shop
        if revocation.until() <= now.plus(UNCONFIRMED_LIFE) {
            wanted.unconfirmed += 1;
        } else {
            wanted.likely += 1;
        }
    }
    let fits = |present: u64, wanted: u64| wanted == 0 || present + wanted <= allowance.per_shop;
    fits(present.unconfirmed, wanted.unconfirmed) && fits(present.likely, wanted.likely)
}

/// How many of these rest on unverified credentials.
fn unverified_in(revocations: &[Revocation]) -> u32 {
    let unverified = revocations.iter().filter_map(Revocation::unverified_token);
    u32::try_from(unverified.count()).unwrap_or(u32::MAX)
}
