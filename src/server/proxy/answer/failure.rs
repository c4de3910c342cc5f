//! The refusal that a failed exchange with the shop becomes.

use pingora::{Error, ErrorSource, ErrorType};

use crate::request::Refusal;
use crate::server::proxy::handling::body_limit::BODY_TOO_LARGE;
use crate::server::upstream::{NO_SERVER, QUEUE_FULL, QUEUE_TIMEOUT};

/// The refusal for a failed exchange. `None`: the customer's side failed.
pub(crate) fn refusal_of(error: &Error) -> Option<Refusal> {
    let late = matches!(
        error.etype(),
        ErrorType::ConnectTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
            | ErrorType::TLSHandshakeTimedout
    );
    for (why, refusal) in [
        (NO_SERVER, Refusal::NoUpstream),
        (QUEUE_FULL, Refusal::QueueFull),
        (QUEUE_TIMEOUT, Refusal::QueueTimeout),
    ] {
        if *error.etype() == why {
            return Some(refusal);
        }
    }
    if *error.etype() == BODY_TOO_LARGE {
        return Some(Refusal::BodyTooLarge);
    }
    match error.esource() {
        ErrorSource::Downstream => None,
        ErrorSource::Upstream | ErrorSource::Internal | ErrorSource::Unset if late => {
            Some(Refusal::UpstreamTimeout)
        }
        ErrorSource::Upstream | ErrorSource::Internal | ErrorSource::Unset => {
            Some(Refusal::UpstreamFailed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_that_is_late_is_504_and_one_that_fails_is_502() {
        let status =
            |error: Box<Error>| refusal_of(&error).map(|refusal| refusal.status().as_u16());
        assert_eq!(status(Error::new_up(ErrorType::ReadTimedout)), Some(504));
        assert_eq!(status(Error::new(ErrorType::ConnectTimedout)), Some(504));
        assert_eq!(status(Error::new_up(ErrorType::ConnectRefused)), Some(502));
        assert_eq!(
            status(Error::new_up(ErrorType::ConnectionClosed)),
            Some(502)
        );
        assert_eq!(status(Error::new(NO_SERVER)), Some(503));
        assert_eq!(status(Error::new(QUEUE_FULL)), Some(503));
        assert_eq!(status(Error::new(QUEUE_TIMEOUT)), Some(503));
        assert_eq!(status(Error::new_down(ErrorType::ReadTimedout)), None);
    }
}
