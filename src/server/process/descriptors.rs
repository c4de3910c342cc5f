//! The limit of file descriptors: each connection of a customer takes one, and often one to the shop.

use log::info;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::server::connection::limits::Limits;

/// Descriptors for the journal, listeners, operators, and the runtime.
const RESERVE: u64 = 64;

/// Raises the soft limit to the hard one, and returns how many connections of customers it allows. A process without
/// descriptors could accept no connection, and not even log it.
pub(crate) fn raise(limits: &Limits) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let good_for = connections(current);
    if good_for < limits.connections {
        let descriptors = current.unwrap_or(u64::MAX);
        info!(descriptors, good_for; "`connections` exceeds the limit of file descriptors; raise LimitNOFILE");
    }
    good_for
}

/// Two for each; `None` is no limit.
fn connections(descriptors: Option<u64>) -> usize {
    let good_for = descriptors.map_or(u64::MAX, |all| all.saturating_sub(RESERVE) / 2);
    usize::try_from(good_for).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_has_two_descriptors() {
        assert_eq!(connections(Some(1024)), 480);
        assert_eq!(connections(Some(10)), 1);
        assert_eq!(connections(None), usize::MAX);
    }
}
