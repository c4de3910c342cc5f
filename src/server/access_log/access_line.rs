//! A line on its way to the access log.

use super::record::{RecordedVerdict, RequestRecord};

/// A line, with its end.
#[derive(Debug)]
pub(super) struct AccessLine {
    pub(super) text: String,
    pub(super) priority: Priority,
}

/// How important a line is, as the journal and syslog say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// Doorward or the shop failed.
    Warning,
    /// A refusal.
    Notice,
    /// Anything else.
    Info,
}

impl Priority {
    pub(super) fn of(record: &RequestRecord) -> Self {
        if record.status.is_some_and(|status| status >= 500) {
            return Self::Warning;
        }
        match record.verdict {
            RecordedVerdict::Refused | RecordedVerdict::CutOff => Self::Notice,
            RecordedVerdict::Ended
            | RecordedVerdict::Forwarded
            | RecordedVerdict::Logout
            | RecordedVerdict::LogoutDeclined
            | RecordedVerdict::Redirected
            | RecordedVerdict::Answered => Self::Info,
        }
    }

    /// Its number (RFC 5424 section 6.2.1).
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Warning => 4,
            Self::Notice => 5,
            Self::Info => 6,
        }
    }
}
