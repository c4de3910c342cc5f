//! The addresses of configured peers, by their names.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::cluster::peer_address::PeerAddress;

/// How long the system's resolver may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks up all names at once. The addresses of a name are sorted, without duplicates, and at least one.
pub(crate) async fn resolve(
    peers: &[PeerAddress],
) -> Vec<(PeerAddress, io::Result<Vec<SocketAddr>>)> {
    join_all(
        peers
            .iter()
            .map(async |peer| (peer.clone(), addresses(peer).await)),
    )
    .await
}

async fn addresses(peer: &PeerAddress) -> io::Result<Vec<SocketAddr>> {
    let (name, port) = match peer {
        PeerAddress::Address(address) => return Ok(vec![*address]),
        PeerAddress::Name(name, port) => (name.as_str(), *port),
    };
    let found = timeout(PATIENCE, lookup_host((name, port))).await;
    let found =
        found.map_err(|_| io::Error::new(ErrorKind::TimedOut, "the resolver does not answer"))?;
    let mut addresses: Vec<_> = found?.collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(io::Error::new(ErrorKind::NotFound, "it has no address"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::transport::resolve;

    #[tokio::test]
    async fn every_peer_has_its_own_answer() {
        let address: SocketAddr = "10.0.0.2:7946".parse().unwrap();
        let peers = [
            PeerAddress::Address(address),
            PeerAddress::Name("localhost".to_owned(), 7),
            PeerAddress::Name("x".repeat(300), 7),
        ];
        let found = resolve(&peers).await;
        let asked: Vec<_> = found.iter().map(|(peer, _)| peer.clone()).collect();
        assert_eq!(asked, peers);
        assert_eq!(found[0].1.as_ref().unwrap(), &[address]);
        let local = found[1].1.as_ref().unwrap();
        assert!(!local.is_empty() && local.is_sorted());
        assert!(
            local
                .iter()
                .all(|one| one.ip().is_loopback() && one.port() == 7)
        );
        assert!(found[2].1.is_err());
    }
}
