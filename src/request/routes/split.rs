//! Requests that are split among several upstreams, each client being held by one.

use std::fmt;

use super::upstream_name::UpstreamName;

/// Requests that are split among several upstreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The upstreams in order, each with its weight.
    shares: Vec<(UpstreamName, u32)>,
    /// By what a client is held.
    pub by: SplitBy,
}

/// By what a client is told from others, so that one upstream gets all of its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitBy {
    /// By its network: the address, or the /64 of IPv6.
    Client,
    /// By a cookie of this name, which Doorward sets, and takes out of what a server is sent.
    Cookie(String),
}

impl Split {
    /// The heaviest weight.
    pub const WEIGHT_MAX: u32 = 1_000_000;

    /// The split with these weights. `None`: there is no upstream, or none has a weight.
    pub fn new(shares: Vec<(UpstreamName, u32)>, by: SplitBy) -> Option<Self> {
        let split = Self { shares, by };
        (split.total() > 0).then_some(split)
    }

    fn total(&self) -> u64 {
        self.shares
            .iter()
            .map(|(_, weight)| u64::from(*weight))
            .sum()
    }

    /// The upstream of the client at this place among all 64-bit numbers.
    ///
    /// Each upstream has the range that its weight is of all, in order. So a change of two weights moves the clients between the
    /// old border and the new one only, and routes with the same weights hold a client on the same side.
    pub fn upstream_at(&self, place: u64) -> &UpstreamName {
        let at = (u128::from(place) * u128::from(self.total())) >> u64::BITS;
        let mut end = 0;
        let mut ranges = self.shares.iter();
        let found = ranges.find(|(_, weight)| {
            end += u128::from(*weight);
            at < end
        });
        let (name, _) = found.unwrap_or(&self.shares[0]);
        name
    }

    /// The place of a client that is called so. It is the same on every node, after every restart, and in every split.
    pub fn place_of(client: &[u8]) -> u64 {
        let hash = blake3::derive_key("doorward 2026 place of a client in a split", client);
        let mut first = [0; size_of::<u64>()];
        first.copy_from_slice(&hash[..size_of::<u64>()]);
        u64::from_le_bytes(first)
    }
}

/// The upstreams and their weights, as `check` lists them.
impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares: Vec<_> = self
            .shares
            .iter()
            .map(|(name, weight)| format!("{name} {weight}"))
            .collect();
        write!(f, "{}", shares.join(", "))?;
        match &self.by {
            SplitBy::Client => Ok(()),
            SplitBy::Cookie(name) => write!(f, " by the cookie {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn split(weights: &[u32]) -> Option<Split> {
        let shares = weights.iter().enumerate().map(|(at, weight)| {
            let name = UpstreamName::parse(&format!("u{at}")).unwrap();
            (name, *weight)
        });
        Split::new(shares.collect(), SplitBy::Client)
    }

    /// So many clients, and how many of them each upstream gets.
    fn clients(split: &Split, count: u32) -> BTreeMap<String, u32> {
        let mut found = BTreeMap::new();
        for client in 0..count {
            let place = Split::place_of(format!("client {client}").as_bytes());
            let name = split.upstream_at(place).to_string();
            *found.entry(name).or_default() += 1;
        }
        found
    }

    #[test]
    fn a_split_without_weights_is_none() {
        assert!(split(&[]).is_none() && split(&[0, 0]).is_none());
        let last = split(&[0, 3, 0]).unwrap();
        for place in [0, u64::MAX] {
            assert_eq!(last.upstream_at(place).as_str(), "u1");
        }
    }

    proptest! {
        #[test]
        fn every_upstream_gets_its_share_of_the_clients(
            weights in prop::collection::vec(0_u32..100, 1..5),
        ) {
            let Some(split) = split(&weights) else { return Ok(()) };
            let total: u32 = weights.iter().sum();
            let found = clients(&split, 2000);
            for (at, weight) in weights.iter().enumerate() {
                let got = f64::from(found.get(&format!("u{at}")).copied().unwrap_or_default());
                let expected = 2000.0 * f64::from(*weight) / f64::from(total);
                prop_assert!((got - expected).abs() <= 120.0, "{got} of u{at}, not {expected}");
                prop_assert!(*weight > 0 || got == 0.0);
            }
        }

        #[test]
        fn a_change_of_weights_moves_only_the_clients_between_the_borders(
            before in 0_u32..=100, after in 0_u32..=100, place in any::<u64>(),
        ) {
            let [old, new] = [before, after].map(|canary| split(&[100 - canary, canary]).unwrap());
            let moved = old.upstream_at(place) != new.upstream_at(place);
            let at = u32::try_from((u128::from(place) * 100) >> 64).unwrap();
            let borders = [100 - before, 100 - after];
            let is_between = at >= borders[0].min(borders[1]) && at < borders[0].max(borders[1]);
            prop_assert_eq!(moved, is_between);
        }

        #[test]
        fn weights_that_say_the_same_hold_every_client(
            weights in prop::collection::vec(0_u32..1000, 1..5), times in 1_u32..100, place in any::<u64>(),
        ) {
            let Some(one) = split(&weights) else { return Ok(()) };
            let more: Vec<_> = weights.iter().map(|weight| weight * times).collect();
            let more = split(&more).unwrap();
            prop_assert_eq!(one.upstream_at(place), more.upstream_at(place));
        }
    }
}
