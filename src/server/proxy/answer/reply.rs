//! Writes an answer of Doorward's to a customer.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{CONTENT_LENGTH, DATE};
use http::{Method, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora_proxy::Session;

use crate::clock;
use crate::request::Answer;

/// Writes a whole answer. Pingora's own error answers would close the connection.
pub(crate) async fn write(session: &mut Session, answer: &Answer) -> Result<()> {
    let (head, bodiless) = head_of(answer)?;
    let ends = bodiless || session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(head), ends).await?;
    if !ends {
        session
            .write_response_body(Some(answer.body.clone()), true)
            .await?;
    }
    Ok(())
}

/// Writes one to a request that no proxy serves.
pub(crate) async fn write_unserved(session: &mut ServerSession, answer: &Answer) -> Result<()> {
    let (head, _) = head_of(answer)?;
    session.write_response_header(Box::new(head)).await?;
    let body = answer.body.clone();
    session.write_response_body(body, true).await
}

/// The head of an answer, and whether its status allows no body.
fn head_of(answer: &Answer) -> Result<(ResponseHeader, bool)> {
    let mut head = ResponseHeader::build(answer.status, Some(answer.headers.len() + 2))?;
    for (name, value) in &answer.headers {
        head.append_header(name, value)?;
    }
    let bodiless = matches!(
        answer.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    if !bodiless {
        head.insert_header(CONTENT_LENGTH, answer.body.len())?;
    }
    if !head.headers.contains_key(DATE) {
        head.insert_header(DATE, date())?;
    }
    Ok((head, bodiless))
}

/// The moment, as a header says it (RFC 9110 section 5.6.7).
pub(crate) fn date() -> String {
    let now = UNIX_EPOCH + Duration::from_secs(clock::now().seconds());
    httpdate::fmt_http_date(now)
}
