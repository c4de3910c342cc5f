//! Hosts of a shop from which requests are redirected to its main one.

use super::host::HostPattern;

/// Hosts of a shop from which requests are redirected to its main one, such as the one that begins with `www.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRedirect {
    /// From these.
    pub from: Vec<HostPattern>,
    /// To this host, which is one of the shop's.
    pub to: String,
}

impl HostRedirect {
    /// The closest of the patterns that mean this host.
    pub(in crate::request) fn closest(&self, host: &str) -> Option<&HostPattern> {
        let meant = self.from.iter().filter(|pattern| pattern.claims(host));
        meant.max_by_key(|pattern| pattern.closeness())
    }
}
