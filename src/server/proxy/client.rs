//! One request and its answer, on a connection of their own.

use bytes::Bytes;
use http::Version;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use pingora::connectors::http::Connector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, OkOrErr, OrErr, Result};

use super::hop_headers::{end_to_end, remove_from_request};
use crate::request::Answer;

/// The longest answer that is kept for the customer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A connection on which nothing was sent yet.
pub(crate) async fn connect(connector: &Connector, peer: &HttpPeer) -> Result<HttpSession> {
    let (mut session, _) = connector.get_http_session(peer).await?;
    session.set_read_timeout(peer.options.read_timeout);
    session.set_write_timeout(peer.options.write_timeout);
    Ok(session)
}

/// Sends a whole request, the only one on its connection.
pub(crate) async fn send(
    session: &mut HttpSession,
    peer: &HttpPeer,
    head: RequestHeader,
    body: &[u8],
) -> Result<()> {
    send_as(session, peer, head, body, Persistence::Close).await
}

/// Whether a connection may carry another request after this one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It is closed.
    Close,
    /// It may.
    Keep,
}

/// Sends a whole request.
pub(crate) async fn send_as(
    session: &mut HttpSession,
    peer: &HttpPeer,
    mut head: RequestHeader,
    body: &[u8],
    persistence: Persistence,
) -> Result<()> {
    remove_from_request(&mut head);
    if !head.headers.contains_key(HOST)
        && let Some(host) = head.uri.authority().cloned()
    {
        head.insert_header(HOST, host.as_str())?; // HTTP/2 has it in the target
    }
    if !body.is_empty() || head.headers.contains_key(CONTENT_LENGTH) {
        head.insert_header(CONTENT_LENGTH, body.len())?;
    }
    if session.as_http2().is_some() {
        make_http2(&mut head, peer.is_tls())?;
    } else {
        if persistence == Persistence::Close {
            head.insert_header(CONNECTION, "close")?;
        }
        head.set_version(Version::HTTP_11);
    }
    session.write_request_header(Box::new(head)).await?;
    if !body.is_empty() {
        session
            .write_request_body(body.to_vec().into(), true)
            .await?;
    }
    session.finish_request_body().await
}

/// The host and the scheme stand in the target (RFC 9113 section 8.3.1).
fn make_http2(head: &mut RequestHeader, tls: bool) -> Result<()> {
    let host = head.remove_header(&HOST);
    let host = host.or_err(ErrorType::InvalidHTTPHeader, "a request without a host")?;
    let uri = http::Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(host.as_bytes())
        .path_and_query(head.raw_path())
        .build();
    head.set_uri(uri.or_err(ErrorType::InvalidHTTPHeader, "not a target for HTTP/2")?);
    head.set_version(Version::HTTP_2);
    Ok(())
}

/// An answer of the shop, of which at least the head has arrived.
pub(crate) struct UpstreamAnswer {
    /// As it came.
    pub(crate) head: ResponseHeader,
    /// Its body, or why it is incomplete.
    pub(crate) body: Result<Bytes>,
}

impl UpstreamAnswer {
    /// The answer for the customer, if it is complete.
    pub(crate) fn whole(self) -> Result<Answer> {
        let headers = end_to_end(&self.head.headers);
        self.body.map(|body| Answer {
            status: self.head.status,
            headers,
            body,
        })
    }
}

/// Sends a request and reads its answer, as far as it arrives.
pub(crate) async fn exchange(
    mut session: HttpSession,
    peer: &HttpPeer,
    head: RequestHeader,
    body: &[u8],
) -> Result<UpstreamAnswer> {
    send(&mut session, peer, head, body).await?;
    let head = read_head(&mut session).await?;
    let body = read_body(&mut session).await;
    Ok(UpstreamAnswer { head, body })
}

async fn read_body(session: &mut HttpSession) -> Result<Bytes> {
    let mut body = Vec::new();
    while let Some(chunk) = session.read_response_body().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Error::explain(
                ErrorType::InvalidHTTPHeader,
                "the answer is too long",
            ));
        }
    }
    Ok(body.into())
}

/// The final head; informational ones are dropped.
pub(crate) async fn read_head(session: &mut HttpSession) -> Result<ResponseHeader> {
    loop {
        session.read_response_header().await?;
        let head = session.response_header().cloned();
        let head = head.ok_or_else(|| Error::new(ErrorType::ConnectionClosed))?;
        if !head.status.is_informational() {
            return Ok(head);
        }
    }
}
