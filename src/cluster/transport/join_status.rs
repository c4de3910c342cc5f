//! How a node answers a join request, as the first byte of its answer.

use std::fmt;
use std::io::{self, ErrorKind};

use bytes::{Buf, Bytes};

/// How a node answers a join request. The numbers travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinStatus {
    /// The machine is a node from now on.
    Admitted = 0,
    /// The request can't be read, or something in it does not fit.
    Malformed = 1,
    /// The request is too long.
    TooLong = 2,
    /// The invitation is unknown, was used, or has ended.
    NotInvited = 3,
    /// Too many invitations from this address were wrong.
    TooManyAttempts = 4,
    /// The name is taken, or the configuration excludes it.
    NameRefused = 5,
    /// The node answers as many join requests as it can.
    Busy = 6,
    /// The node can't admit others.
    Failed = 7,
}

impl JoinStatus {
    const ALL: [Self; 8] = [
        Self::Admitted,
        Self::Malformed,
        Self::TooLong,
        Self::NotInvited,
        Self::TooManyAttempts,
        Self::NameRefused,
        Self::Busy,
        Self::Failed,
    ];

    /// The answer with this body, as it travels.
    pub(super) fn answer(self, body: &[u8]) -> Bytes {
        [&[self as u8][..], body].concat().into()
    }

    /// The status and the body of an answer.
    pub(super) fn parse(mut answer: Bytes) -> io::Result<(Self, Bytes)> {
        let status = answer.try_get_u8().ok();
        let status = status.and_then(|byte| Self::ALL.get(usize::from(byte)));
        let unknown = || io::Error::new(ErrorKind::InvalidData, "its answer has no known status");
        status.map(|status| (*status, answer)).ok_or_else(unknown)
    }
}

impl fmt::Display for JoinStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admitted => "admitted",
            Self::Malformed => "malformed request",
            Self::TooLong => "request too long",
            Self::NotInvited => "not invited",
            Self::TooManyAttempts => "too many attempts",
            Self::NameRefused => "name refused",
            Self::Busy => "busy",
            Self::Failed => "internal error",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_travels_with_its_body() {
        for (number, status) in (0..).zip(JoinStatus::ALL) {
            let answer = status.answer(b"why");
            assert_eq!(answer[0], number);
            assert_eq!(JoinStatus::parse(answer).unwrap(), (status, "why".into()));
        }
        for unknown in [&b""[..], b"\x08", b"\xffwhy"] {
            let error = JoinStatus::parse(Bytes::from_static(unknown)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        }
    }
}
