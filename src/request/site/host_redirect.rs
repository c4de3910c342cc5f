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
    /// Where a request for this host is redirected; `None`: it is not.
    pub fn of_host(&self, host: &str) -> Option<&str> {
        let is_from = self.from.iter().any(|pattern| pattern.claims(host));
        is_from.then_some(self.to.as_str())
    }
}
