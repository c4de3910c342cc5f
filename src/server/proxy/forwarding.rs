//! The forwarding headers: where a request came from, and which credentials are removed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::header::{COOKIE, HOST, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora_proxy::Session;

use super::request_id::RequestIds;
use crate::clients::{Peer, Peers};
use crate::request::{ClientCertificate, Shop};
use crate::server::connection::state::ConnectionState;
use crate::server::traces::request_span::RequestSpan;
use crate::server::upstream::ClientEnds;

/// The proxies whose forwarding headers are trusted.
pub(crate) struct Forwarding {
    trusted: Peers,
}

/// Facts that the shop is sent besides the origin of a request.
#[derive(Clone, Copy)]
pub(crate) struct RequestFacts<'a> {
    /// The id of the request.
    pub(crate) id: &'a str,
    /// For how many seconds a node that may have taken logouts has been silent.
    pub(crate) stale_s: Option<u64>,
    /// The `Host` header, instead of the customer's.
    pub(crate) host: Option<&'a HeaderValue>,
    /// The certificate that the client has shown.
    pub(crate) certificate: Option<&'a ClientCertificate>,
    /// The reason for which it would be refused, if it is only observed.
    pub(crate) would: Option<&'static str>,
    /// Its span, if it is traced.
    pub(crate) span: Option<&'a RequestSpan>,
}

/// Our name in `Via`.
pub(crate) const OWN_NAME: &str = "doorward";

const FORWARDED: &str = "forwarded";
const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST_ASKED: &str = "x-forwarded-host";
const REAL_IP: &str = "x-real-ip";
const REQUEST_ID: &str = "x-request-id";

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

const WOULD: &str = "x-doorward-would";
const STALE: &str = "x-doorward-stale";
const SUBJECT: &str = "x-doorward-client-subject";
const FINGERPRINT: &str = "x-doorward-client-fingerprint";

impl Forwarding {
    /// Trusts these proxies only.
    pub(crate) fn trusting(trusted: Peers) -> Self {
        Self { trusted }
    }

    /// The id of a request: a trusted proxy's, or ours.
    pub(crate) fn id_of(&self, session: &Session, ids: &RequestIds) -> String {
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

    /// The customer's address: the peer's, or the last one in the chain that no trusted proxy has. A peer by a unix socket
    /// has none.
    pub(crate) fn client_of(&self, session: &Session) -> IpAddr {
        let client = self.client_peer_of(session).address();
        client.unwrap_or(Ipv4Addr::UNSPECIFIED.into())
    }

    /// The address by which a customer's requests are counted; `None`: a trusted proxy's own, which has no limit.
    pub(crate) fn counted_client_of(&self, session: &Session) -> Option<IpAddr> {
        let is_proxy = self.trusts(self.client_peer_of(session));
        (!is_proxy).then(|| self.client_of(session))
    }

    /// The customer: the peer, or the last one in the chain that no trusted proxy is.
    pub(crate) fn client_peer_of(&self, session: &Session) -> Peer {
        let mut client = peer_of(session);
        let hops = hops_of(&session.req_header().headers);
        let mut hops = hops.iter().rev();
        while self.trusts(client) {
            match hops.next().and_then(|hop| address_in(hop)) {
                Some(hop) => client = Peer::at(hop),
                None => break,
            }
        }
        client
    }

    /// The ends of the customer's connection. The port of a customer behind a trusted proxy is not known.
    pub(crate) fn ends_of(&self, session: &Session) -> ClientEnds {
        let client = self.client_of(session);
        let own = session.client_addr().and_then(|address| address.as_inet());
        let own = own.filter(|own| own.ip().to_canonical() == client);
        let server = session.server_addr().and_then(|address| address.as_inet());
        ClientEnds {
            client: SocketAddr::new(client, own.map_or(0, SocketAddr::port)),
            server: server.copied(),
        }
    }

    /// Writes the forwarding headers, and drops those of an untrusted peer.
    pub(crate) fn rewrite(
        &self,
        session: &Session,
        facts: RequestFacts<'_>,
        upstream: &mut RequestHeader,
    ) -> Result<()> {
        remove_where(upstream, is_forged);
        let peer = peer_of(session);
        let host = host_asked(session.req_header());
        let chain = if self.trusts(peer) {
            chain_of(session)
        } else {
            for name in [FORWARDED, REAL_IP] {
                upstream.remove_header(name);
            }
            let proto = if is_encrypted(session) {
                "https"
            } else {
                "http"
            };
            upstream.insert_header(PROTO, proto)?;
            upstream.remove_header(HOST_ASKED);
            String::new()
        };
        if let (Some(host), false) = (host, upstream.headers.contains_key(HOST_ASKED)) {
            upstream.insert_header(HOST_ASKED, host)?;
        }
        if let Some(host) = facts.host {
            upstream.insert_header(HOST, host.clone())?;
        }
        match (chain.as_str(), peer) {
            ("", Peer::Unix) => drop(upstream.remove_header(FOR)),
            (chain, Peer::Unix) => upstream.insert_header(FOR, chain)?,
            ("", Peer::Address(peer)) => upstream.insert_header(FOR, peer.to_string())?,
            (chain, Peer::Address(peer)) => {
                upstream.insert_header(FOR, format!("{chain}, {peer}"))?;
            }
        }
        upstream.insert_header(REQUEST_ID, facts.id)?;
        if let Some(stale_s) = facts.stale_s {
            upstream.insert_header(STALE, stale_s)?;
        }
        if let Some(reason) = facts.would {
            upstream.insert_header(WOULD, reason)?;
        }
        if let Some(span) = facts.span {
            upstream.insert_header(TRACEPARENT, span.context.traceparent())?;
            if span.parent.is_none() {
                upstream.remove_header(TRACESTATE); // of no trace, or of one that can't be read
            }
        }
        if let Some(certificate) = facts.certificate {
            upstream.insert_header(SUBJECT, &certificate.subject)?;
            upstream.insert_header(FINGERPRINT, &certificate.fingerprint)?;
        }
        let version = session.req_header().version;
        upstream.append_header(VIA, via(version))?;
        if version == Version::HTTP_2 {
            join_cookies(upstream)?;
        }
        Ok(())
    }

    /// The `X-Forwarded-Host` of a trusted proxy, if there is exactly one.
    pub(crate) fn host_told<'a>(&self, session: &'a Session) -> Option<&'a str> {
        self.told(session, HOST_ASKED)
    }

    /// Whether the customer used TLS: here, or as a trusted proxy says.
    pub(crate) fn is_encrypted(&self, session: &Session) -> bool {
        match self.told(session, PROTO) {
            Some(scheme) => scheme.eq_ignore_ascii_case("https"),
            None => is_encrypted(session),
        }
    }

    /// What a trusted proxy says in this header, if there is exactly one.
    fn told<'a>(&self, session: &'a Session, name: &str) -> Option<&'a str> {
        if !self.trusts(peer_of(session)) {
            return None;
        }
        let mut lines = session.req_header().headers.get_all(name).iter();
        match (lines.next(), lines.next()) {
            (Some(only), None) => only.to_str().ok(),
            (None | Some(_), _) => None,
        }
    }

    /// Whether this peer's forwarding headers are trusted.
    pub(crate) fn trusts(&self, peer: Peer) -> bool {
        self.trusted.contains(peer)
    }
}

fn is_encrypted(session: &Session) -> bool {
    let digest = session.digest();
    digest.is_some_and(|digest| digest.ssl_digest.is_some())
}

/// The host that a customer asked for: HTTP/2 has it in the target (RFC 9113 section 8.3.1).
pub(crate) fn host_asked(head: &RequestHeader) -> Option<&[u8]> {
    let authority = head.uri.authority().map(|host| host.as_str().as_bytes());
    authority.or_else(|| head.headers.get(HOST).map(HeaderValue::as_bytes))
}

/// The customer's version of HTTP, with our name (RFC 9110 section 7.6.3).
fn via(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2.0 doorward",
        Version::HTTP_10 => "1.0 doorward",
        _ => "1.1 doorward",
    }
}

/// HTTP/2 may send every cookie on a line of its own, HTTP/1 must not (RFC 9113 section 8.2.3).
fn join_cookies(upstream: &mut RequestHeader) -> Result<()> {
    let lines = upstream.headers.get_all(COOKIE).iter();
    let lines: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).collect();
    if lines.len() > 1 {
        let joined = lines.join(&b"; "[..]);
        upstream.insert_header(COOKIE, joined)?;
    }
    Ok(())
}

/// Removes the headers that carry a credential.
pub(crate) fn remove_credentials(shop: &Shop, upstream: &mut RequestHeader) {
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

fn peer_of(session: &Session) -> Peer {
    let state = ConnectionState::of_session(session.digest());
    state.map_or(Peer::Address(Ipv4Addr::UNSPECIFIED.into()), |state| {
        state.peer()
    })
}

/// The clients that proxies before us recorded, one entry a proxy; in `Forwarded` (RFC 7239) only where none of them
/// writes the older header.
fn hops_of(headers: &HeaderMap) -> Vec<&str> {
    let entries = |name| {
        let lines = headers.get_all(name).iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(','))
    };
    if headers.contains_key(FOR) {
        return entries(FOR).collect();
    }
    entries(FORWARDED)
        .map(|entry| {
            let mut pairs = entry.split(';').filter_map(|pair| pair.split_once('='));
            let client = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
            client.map_or("", |(_, value)| value)
        })
        .collect()
}

/// The address in an entry, quoted or not, in brackets or not, with or without a port or a zone. `unknown` and
/// obfuscated names have none.
fn address_in(entry: &str) -> Option<IpAddr> {
    let text = entry.trim().trim_matches('"').trim();
    let without_zone = |text: &str| text.split('%').next()?.parse::<Ipv6Addr>().ok();
    let address =
        if let Some((inner, _port)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
            IpAddr::V6(without_zone(inner)?)
        } else if let Some(address) = without_zone(text) {
            IpAddr::V6(address) // its colons are no port's
        } else {
            let host = text.split(':').next()?;
            IpAddr::V4(host.parse().ok()?)
        };
    Some(address.to_canonical())
}

/// The addresses that proxies before us noted, as one line.
fn chain_of(session: &Session) -> String {
    let lines = session.req_header().headers.get_all(FOR).iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    lines.join(", ")
}

/// Whether a header identifies the customer or the origin of a request, in any spelling.
pub(crate) fn is_identity(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let said = [
        "host",
        FORWARDED,
        "via",
        REAL_IP,
        REQUEST_ID,
        "content-length",
    ];
    said.contains(&name.as_str())
        || name.starts_with("x-forwarded-")
        || name.starts_with("x-doorward-")
}

/// Names that only we may send. With an underscore they mean the same to a CGI shop (RFC 3875 section
/// 4.1.18), and no proxy writes them so.
fn is_forged(name: &HeaderName) -> bool {
    let name = name.as_str();
    let dashed = name.replace('_', "-");
    let respelled =
        dashed != name && [FOR, PROTO, HOST_ASKED, REAL_IP, REQUEST_ID].contains(&dashed.as_str());
    respelled || dashed.starts_with("x-doorward-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn an_address_is_found_in_every_spelling_attacks_b8() {
        for (entry, address) in [
            ("203.0.113.3", "203.0.113.3"),
            (" 203.0.113.3:40003 ", "203.0.113.3"),
            ("\"203.0.113.3:40003\"", "203.0.113.3"),
            ("::ffff:203.0.113.3", "203.0.113.3"),
            ("[::ffff:203.0.113.3]:1", "203.0.113.3"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("\"[2001:DB8::1]:443\"", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:80", "fe80::1"),
            ("203.0.113.3:_port", "203.0.113.3"),
        ] {
            assert_eq!(address_in(entry), address.parse().ok(), "{entry}");
        }
        for none in [
            "",
            "unknown",
            "_hidden",
            "_SEVKISEK",
            "203.0.113",
            "[x]:1",
            "shop.example.com:80",
            "[2001:db8::1",
        ] {
            assert_eq!(address_in(none), None, "{none}");
        }
    }

    #[test]
    fn the_older_header_counts_where_both_came_attacks_b8() {
        let forwarded = (
            "forwarded",
            "for=192.0.2.60;proto=http, For=\"[2001:db8::1]:47\";by=_x, proto=https",
        );
        assert_eq!(
            hops_of(&headers(&[forwarded])),
            ["192.0.2.60", "\"[2001:db8::1]:47\"", ""]
        );
        let both = headers(&[
            forwarded,
            (FOR, "192.0.2.1:5"),
            (FOR, "192.0.2.2,192.0.2.3"),
        ]);
        assert_eq!(hops_of(&both), ["192.0.2.1:5", "192.0.2.2", "192.0.2.3"]);
    }
}
