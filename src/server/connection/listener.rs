//! What a listener does with its connections, beside TLS.

use std::sync::Arc;

use super::client_certificate::ClientAuthorities;
use crate::clients::Peers;

/// Which public listener of the process: its place in `listen`, which only a restart can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerNumber(pub(crate) usize);

/// What a listener does with its connections. A reload may change it.
#[derive(Clone, Debug, Default)]
pub struct ListenerRules {
    /// Every request is redirected to `https://`; nothing is forwarded.
    pub redirect: Option<HttpsRedirect>,
    /// The proxies that must send a header of the PROXY protocol; if there is one, no other peer may connect.
    pub proxy_protocol: Peers,
    /// The authorities of clients' certificates; `None`: no client is asked for one.
    pub client_authorities: Option<Arc<ClientAuthorities>>,
}

impl ListenerRules {
    /// Keeps the authorities from before where they have not changed: certificates are then not verified again.
    pub(crate) fn inherit(&mut self, before: &Self) {
        if let (Some(now), Some(before)) =
            (&mut self.client_authorities, &before.client_authorities)
            && now.are_same(before)
        {
            *now = Arc::clone(before);
        }
    }
}

/// A redirect of every request to `https://`.
#[derive(Clone, Copy, Debug)]
pub struct HttpsRedirect {
    /// The port that clients use there; `None`: the port of the first address with TLS.
    pub port: Option<u16>,
}
