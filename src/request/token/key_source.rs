//! Where an issuer's keys come from.

use std::time::Duration;

use super::keys::Keys;
use crate::request::fetch_url::FetchUrl;

/// Where an issuer's keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// From the configuration.
    Given(Keys),
    /// From the JWK set that the identity provider publishes.
    Fetched(JwksSource),
}

/// A JWK set on the network, and how often it is fetched.
#[derive(Debug)]
pub struct JwksSource {
    /// Where it is.
    pub url: FetchUrl,
    /// The certificates of the authorities that its server is verified with, in DER; empty: those of the system.
    pub authorities: Vec<Vec<u8>>,
    /// How long an answer counts as fresh, if it does not say so itself.
    pub refresh: Duration,
    /// The time in which tokens with an unknown `kid` cause a handful of fetches at most.
    pub cooldown: Duration,
}

impl JwksSource {
    /// Whether it is the same set, however often it is fetched.
    pub(in crate::request) fn is_same_set(&self, other: &Self) -> bool {
        self.url == other.url && self.authorities == other.authorities
    }
}
