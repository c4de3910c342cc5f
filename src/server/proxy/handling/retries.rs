//! Requests that are sent again, as far as their route and the budget of the upstream allow.

use http::StatusCode;
use pingora::{Error, ErrorSource, ErrorType};
use pingora_proxy::Session;

use crate::request::RetryCause;
use crate::server::proxy::context::Context;
use crate::server::proxy::incoming::has_answered;
use crate::server::proxy::service::Proxy;
use crate::server::proxy::stream;

/// The error of an answer in the place of which the request is sent again.
pub(crate) const RETRIED_STATUS: ErrorType = ErrorType::Custom("RetriedStatus");

/// A request is being sent. The first time, it counts in the budget of retries.
pub(crate) fn note_sending(context: &mut Context) {
    if context.retried.is_some() {
        return;
    }
    context.retried = Some(0);
    let handling = context.handling();
    if handling.is_some_and(|handling| handling.retries.is_some())
        && let Ok(attempts) = context.attempts()
    {
        attempts.upstreams().note_first_attempt();
    }
}

impl Proxy {
    /// The error that drops an answer of this status, so that the request is sent again. `None`: the answer is passed on.
    pub(crate) fn retry_instead_of(
        &self,
        session: &Session,
        context: &mut Context,
        status: StatusCode,
    ) -> Option<Box<Error>> {
        if !self.retries(session, context, RetryCause::Status(status)) {
            return None;
        }
        let mut error = Error::new_up(RETRIED_STATUS);
        error.set_retry(true);
        Some(error)
    }

    /// Whether a request is sent again after this error.
    pub(crate) fn retries_after(
        &self,
        session: &Session,
        context: &mut Context,
        error: &Error,
    ) -> bool {
        if *error.esource() != ErrorSource::Upstream {
            return false;
        }
        let is_late = matches!(
            error.etype(),
            ErrorType::ReadTimedout | ErrorType::WriteTimedout
        );
        let cause = if is_late {
            RetryCause::Timeout
        } else {
            RetryCause::Reset
        };
        self.retries(session, context, cause)
    }

    /// Whether a request is sent again for this cause. If it is, a retry is taken from the budget, and the next attempt goes to
    /// another server, if there is one.
    ///
    /// Never what is a stream, or has begun to be answered, or has a body that is not here any more.
    pub(crate) fn retries(
        &self,
        session: &Session,
        context: &mut Context,
        cause: RetryCause,
    ) -> bool {
        let handling = context.handling();
        let Some(retries) = handling.and_then(|handling| handling.retries.clone()) else {
            return false;
        };
        let head = session.req_header();
        let is_here = !session.as_ref().retry_buffer_truncated() && context.read_ahead.is_empty();
        let is_fit = is_here && !has_answered(session) && !stream::is_itself(head);
        let sent = context.retried.unwrap_or_default().saturating_add(1);
        if !is_fit || !retries.allow(cause, &head.method, sent) {
            return false;
        }
        let Ok(attempts) = context.attempts() else {
            return false;
        };
        let is_left = attempts.upstreams().take_retry(retries.budget);
        if is_left {
            attempts.turn_to_another();
            context.retried = Some(sent);
        }
        let shop = context.shop.as_ref().map_or("", |shop| shop.name.as_str());
        self.metrics.note_retry(shop, cause, is_left);
        is_left
    }
}
