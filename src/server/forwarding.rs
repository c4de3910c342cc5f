//! What the shop is told of where a request came from, and what it is not told of the customer (D10).

use std::net::IpAddr;

use http::HeaderName;
use http::header::{HOST, VIA};
use ipnet::IpNet;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora_proxy::Session;

use super::request_id::RequestIds;
use crate::request::Shop;

/// Whom we believe about the client's address.
pub(super) struct Forwarding {
    trusted: Vec<IpNet>,
}

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST_ASKED: &str = "x-forwarded-host";
const REAL_IP: &str = "x-real-ip";
const REQUEST_ID: &str = "x-request-id";

impl Forwarding {
    /// Believes these proxies, and nobody else.
    pub(super) fn believing(trusted: Vec<IpNet>) -> Self {
        Self { trusted }
    }

    /// The name of a request: a trusted proxy's, or ours.
    pub(super) fn id_of(&self, session: &Session, ids: &RequestIds) -> String {
        let mut given = session.req_header().headers.get_all(REQUEST_ID).iter();
        let only = match (given.next(), given.next()) {
            (Some(only), None) => only.to_str().ok(),
            (None | Some(_), _) => None,
        };
        let fits = |id: &&str| {
            (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match only.filter(fits) {
            Some(id) if self.trusts(peer_of(session)) => id.to_owned(),
            Some(_) | None => ids.next(),
        }
    }

    /// The customer's address: the peer's, or the last one in the chain that no trusted proxy has.
    pub(super) fn client_of(&self, session: &Session) -> IpAddr {
        let mut client = peer_of(session);
        let chain = chain_of(session);
        let mut hops = chain.rsplit(',');
        while self.trusts(client) {
            match hops.next().and_then(|hop| hop.trim().parse().ok()) {
                Some(hop) => client = hop,
                None => break,
            }
        }
        client
    }

    /// Says what we know, and drops what a stranger says of it.
    pub(super) fn rewrite(
        &self,
        session: &Session,
        id: &str,
        upstream: &mut RequestHeader,
    ) -> Result<()> {
        remove_where(upstream, is_forged);
        let peer = peer_of(session);
        let chain = if self.trusts(peer) {
            chain_of(session)
        } else {
            for name in ["forwarded", REAL_IP] {
                upstream.remove_header(name);
            }
            upstream.insert_header(PROTO, "http")?;
            match session.req_header().headers.get(HOST) {
                Some(host) => upstream.insert_header(HOST_ASKED, host.as_bytes())?,
                None => drop(upstream.remove_header(HOST_ASKED)),
            }
            String::new()
        };
        let separator = if chain.is_empty() { "" } else { ", " };
        upstream.insert_header(FOR, format!("{chain}{separator}{peer}"))?;
        upstream.insert_header(REQUEST_ID, id)?;
        upstream.append_header(VIA, "1.1 doorward")?;
        Ok(())
    }

    fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&peer))
    }
}

/// Takes the headers away that carry a credential.
pub(super) fn remove_credentials(shop: &Shop, upstream: &mut RequestHeader) {
    remove_where(upstream, |name| {
        let mut places = shop.places.iter();
        places.any(|place| place.carrier.is_own_header(name))
    });
}

fn remove_where(upstream: &mut RequestHeader, unwanted: impl Fn(&HeaderName) -> bool) {
    let names = upstream.headers.keys().filter(|name| unwanted(name));
    let names: Vec<HeaderName> = names.cloned().collect();
    for name in names {
        upstream.remove_header(&name);
    }
}

fn peer_of(session: &Session) -> IpAddr {
    let address = session.client_addr().and_then(|address| address.as_inet());
    let address = address.map(std::net::SocketAddr::ip);
    address.map_or(IpAddr::from([0, 0, 0, 0]), |address| address.to_canonical())
}

/// The addresses that proxies before us noted, as one line.
fn chain_of(session: &Session) -> String {
    let lines = session.req_header().headers.get_all(FOR).iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    lines.join(", ")
}

/// Names that only we may send. With an underscore they mean the same to a CGI shop, and no proxy writes them
/// so (standards 124).
fn is_forged(name: &HeaderName) -> bool {
    let name = name.as_str();
    let dashed = name.replace('_', "-");
    let respelled =
        dashed != name && [FOR, PROTO, HOST_ASKED, REAL_IP, REQUEST_ID].contains(&dashed.as_str());
    respelled || dashed.starts_with("x-doorward-")
}
