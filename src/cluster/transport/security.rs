//! How connections are secured: by certificates over TLS, or not at all on one machine.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::tls::Tls;
use super::unfit_certificates::UnfitCertificates;
use crate::cluster::settings::Security;
use crate::revocation::NodeName;

/// How connections are made.
pub(crate) struct Transport(ArcSwap<ChannelSecurity>);

/// How one connection is secured.
pub(super) enum ChannelSecurity {
    /// Not at all, with this machine only.
    Plain,
    Encrypted(Tls),
}

impl Transport {
    /// # Errors
    ///
    /// The certificates can't be used.
    pub(crate) fn new(security: &Security) -> Result<Self, UnfitCertificates> {
        Ok(Self(ArcSwap::from_pointee(ChannelSecurity::of(security)?)))
    }

    /// How new connections are secured.
    pub(super) fn security(&self) -> Arc<ChannelSecurity> {
        self.0.load_full()
    }

    /// The names of nodes in a certificate chain that another node passed on; none if it is not valid here.
    pub(crate) fn names_certified(&self, chain: &[Bytes]) -> Vec<NodeName> {
        match &**self.0.load() {
            ChannelSecurity::Plain => Vec::new(),
            ChannelSecurity::Encrypted(tls) => tls.names_certified(chain),
        }
    }

    /// Secures new connections in another way; open ones stay as they are.
    ///
    /// # Errors
    ///
    /// The certificates can't be used; nothing has changed then.
    pub(crate) fn replace(&self, security: &Security) -> Result<(), UnfitCertificates> {
        self.0.store(ChannelSecurity::of(security)?.into());
        Ok(())
    }
}

impl ChannelSecurity {
    fn of(security: &Security) -> Result<Self, UnfitCertificates> {
        match security {
            Security::Loopback => Ok(Self::Plain),
            Security::Certificates(certificates) => Tls::new(certificates).map(Self::Encrypted),
        }
    }
}

/// Connections without TLS stay on this machine, whatever the configuration says.
pub(super) fn stays_here(address: SocketAddr) -> io::Result<()> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let text = format!("without TLS only this machine may be a peer, and {address} is not");
    Err(io::Error::new(ErrorKind::PermissionDenied, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::transport::Link;
    use crate::cluster::transport::fixtures::{TestAuthority, linked};

    #[test]
    fn plain_text_stays_on_this_machine() {
        for here in [
            "127.0.0.1:1",
            "127.8.9.1:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(stays_here(here.parse().unwrap()).is_ok(), "{here}");
        }
        for away in [
            "10.0.0.1:1",
            "0.0.0.0:1",
            "[::]:1",
            "[fe80::1]:1",
            "[::ffff:10.0.0.1]:1",
        ] {
            let error = stays_here(away.parse().unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{away}");
        }
    }

    #[tokio::test]
    async fn no_other_machine_is_dialed_without_tls() {
        let transport = Transport::new(&Security::Loopback).unwrap();
        let error = transport.dial("192.0.2.1:1".parse().unwrap()).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::PermissionDenied);
    }

    #[tokio::test]
    async fn nodes_know_each_other_by_their_certificates() {
        let authority = TestAuthority::new();
        let a =
            authority.with_certificate(&authority.issue(&["a", "A.Internal", "*.internal"]), &[]);
        let b = authority.with_certificate(&authority.issue(&["b", "10.0.0.1"]), &[]);
        let (to_b, to_a) = linked(&a, &b).await;
        let names = |link: &Link| {
            let names = link.names.iter().map(NodeName::as_str);
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&to_b), "b");
        assert_eq!(names(&to_a), "a a.internal");
        assert!(to_b.is_dialed && !to_a.is_dialed);
        assert!(to_a.remote.ip().is_loopback());
    }

    #[tokio::test]
    async fn only_names_that_are_allowed_are_names_of_a_peer() {
        let authority = TestAuthority::new();
        let a = authority.with_certificate(&authority.issue(&["a", "c"]), &["b"]);
        let b = authority.with_certificate(&authority.issue(&["b", "c"]), &["a"]);
        let (to_b, to_a) = linked(&a, &b).await;
        assert_eq!(to_b.names, [NodeName::parse("b").unwrap()]);
        assert_eq!(to_a.names, [NodeName::parse("a").unwrap()]);
    }
}
