//! Requests to the authority, by the HTTP client of Pingora.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER};
use http::{HeaderMap, Request, Response};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use tokio::time::timeout;

use crate::clock::{self, UnixTime};
use crate::request::FetchUrl;
use crate::server::proxy::client::{UpstreamAnswer, connect, exchange};
use crate::server::upstream::UpstreamTls;

/// How long one request may take, from the name to the last byte.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one of several addresses may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many addresses of a name are tried.
const ADDRESSES_MAX: usize = 3;

/// Sends requests to an authority, each on a connection of its own.
#[derive(Clone)]
pub(super) struct AuthorityClient {
    pub(super) connector: Arc<Connector>,
    pub(super) tls: UpstreamTls,
    /// When the last answer that was no success asked to be asked again.
    pub(super) retry_after: Arc<Mutex<Option<UnixTime>>>,
}

type Answered = Result<BytesResponse, Error>;

impl HttpClient for AuthorityClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let sent = timeout(REQUEST_TIMEOUT, client.send(request)).await;
            sent.unwrap_or(Err(Error::Str("no answer of the authority in time")))
        })
    }
}

impl AuthorityClient {
    async fn send(&self, request: Request<BodyWrapper<Bytes>>) -> Answered {
        let (parts, body) = request.into_parts();
        let mut body = BytesResponse::from(Response::new(body)).body; // what reads bodies of the client
        let body = body.into_bytes().await.map_err(Error::Other)?;
        // Every URL that the authority names must be as safe as the configured one.
        let url = FetchUrl::parse(&parts.uri.to_string());
        let url = url.map_err(|_| Error::Str("an https:// URL of the authority"))?;
        let answered = self.ask(&url, &parts, &body).await;
        let UpstreamAnswer { head, body } = answered.map_err(|error| Error::Other(error))?;
        let body = body.map_err(|error| Error::Other(error))?;
        if !head.status.is_success() {
            *self.retry_after.lock() = retry_after(&head.headers, clock::now());
        }
        let mut response = Response::builder().status(head.status);
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(&head.headers);
        }
        let (parts, ()) = response.body(())?.into_parts();
        Ok(BytesResponse {
            parts,
            body: Box::new(body),
        })
    }

    async fn ask(
        &self,
        url: &FetchUrl,
        parts: &http::request::Parts,
        body: &[u8],
    ) -> pingora::Result<UpstreamAnswer> {
        let target = url.target.as_bytes();
        let mut head = RequestHeader::build(parts.method.clone(), target, None)?;
        for (name, value) in &parts.headers {
            head.append_header(name.clone(), value.clone())?;
        }
        head.insert_header(HOST, url.authority())?;
        let (session, peer) = self.connect(url).await?;
        exchange(session, &peer, head, body).await
    }

    /// A fresh connection to the first address that takes it.
    async fn connect(&self, url: &FetchUrl) -> pingora::Result<(HttpSession, HttpPeer)> {
        let unknown = || {
            let kind = pingora::ErrorType::ConnectError;
            pingora::Error::explain(kind, "the authority's host is unknown")
        };
        let mut failure = unknown();
        for address in addresses(url).await.into_iter().take(ADDRESSES_MAX) {
            // The name is what the certificate is checked for; without one nothing would be checked.
            let mut peer = HttpPeer::new(address, url.tls, url.host.clone());
            peer.options.connection_timeout = Some(CONNECT_TIMEOUT);
            peer.options.total_connection_timeout = Some(CONNECT_TIMEOUT);
            peer.options.read_timeout = Some(REQUEST_TIMEOUT);
            peer.options.write_timeout = Some(REQUEST_TIMEOUT);
            peer.options.ca = self.tls.authorities().cloned();
            match connect(&self.connector, &peer).await {
                Ok(session) => return Ok((session, peer)),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

async fn addresses(url: &FetchUrl) -> Vec<SocketAddr> {
    if let Ok(address) = url.host.parse::<IpAddr>() {
        return vec![SocketAddr::new(address, url.port)];
    }
    let found = tokio::net::lookup_host((url.host.as_str(), url.port)).await;
    found.map(Iterator::collect).unwrap_or_default()
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap, now: UnixTime) -> Option<UnixTime> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(now.plus(Duration::from_secs(seconds)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(UnixTime::from_seconds(since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = UnixTime::from_seconds(1_790_000_000);
        for (value, moment) in [
            ("120", Some(1_790_000_120)),
            ("Mon, 21 Sep 2026 14:14:20 GMT", Some(1_790_000_060)),
            ("soon", None),
            ("-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            let read = retry_after(&headers, now).map(UnixTime::seconds);
            assert_eq!(read, moment, "{value}");
        }
    }
}
