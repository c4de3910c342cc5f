//! When a request is sent again.

use std::fmt;

use http::{Method, StatusCode};

use super::share::Share;

/// When a request is sent again, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often it is sent at most, the first time included.
    pub attempts: u8,
    /// Why.
    pub on: Vec<RetryCause>,
    /// How many retries there may be to an upstream, of the requests that it was sent lately.
    pub budget: Share,
}

/// Why a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryCause {
    /// No server could be connected to: the servers are tried once more.
    Connect,
    /// The connection broke before the answer began.
    Reset,
    /// The answer did not begin in time.
    Timeout,
    /// The answer has this status.
    Status(StatusCode),
}

impl RetryCause {
    /// What is retried where nothing else is said.
    pub const USUAL: [Self; 5] = [
        Self::Connect,
        Self::Reset,
        Self::Status(StatusCode::BAD_GATEWAY),
        Self::Status(StatusCode::SERVICE_UNAVAILABLE),
        Self::Status(StatusCode::GATEWAY_TIMEOUT),
    ];
}

impl Retries {
    /// Whether a request of this method that was sent so often is sent again for this cause. One that a server may have
    /// acted on is only if it is idempotent (RFC 9110 section 9.2.2).
    pub fn allow(&self, cause: RetryCause, method: &Method, sent: u8) -> bool {
        let is_repeatable = match cause {
            RetryCause::Connect => true,
            RetryCause::Reset | RetryCause::Timeout | RetryCause::Status(_) => {
                method.is_idempotent()
            }
        };
        is_repeatable && sent < self.attempts && self.on.contains(&cause)
    }
}

/// As the configuration calls it.
impl fmt::Display for RetryCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Reset => f.write_str("reset"),
            Self::Timeout => f.write_str("timeout"),
            Self::Status(status) => f.write_str(status.as_str()),
        }
    }
}

/// In a few words, for `check`.
impl fmt::Display for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let causes: Vec<_> = self.on.iter().map(ToString::to_string).collect();
        let (attempts, causes, budget) = (self.attempts, causes.join(", "), self.budget);
        write!(f, "up to {attempts} attempts on {causes} within {budget}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_may_have_acted_on_is_sent_again_only_if_it_is_idempotent() {
        let retries = Retries {
            attempts: 2,
            on: RetryCause::USUAL.to_vec(),
            budget: Share::ALL,
        };
        let status = |code| RetryCause::Status(StatusCode::from_u16(code).unwrap());
        for (cause, method, sent, allowed) in [
            (status(503), Method::GET, 1, true),
            (status(503), Method::PUT, 1, true),
            (status(503), Method::DELETE, 1, true),
            (status(503), Method::POST, 1, false),
            (status(503), Method::PATCH, 1, false),
            (status(503), Method::GET, 2, false),
            (status(500), Method::GET, 1, false),
            (RetryCause::Reset, Method::POST, 1, false),
            (RetryCause::Timeout, Method::GET, 1, false),
            (RetryCause::Connect, Method::POST, 1, true),
        ] {
            assert_eq!(
                retries.allow(cause, &method, sent),
                allowed,
                "{cause} {method}"
            );
        }
    }
}
