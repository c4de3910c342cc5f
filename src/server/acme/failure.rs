//! Why no certificate was issued, and what the operator can do.

use std::fmt;

use super::settings::AcmeChallenge;
use crate::clock::UnixTime;

/// How much of a foreign text is logged.
const TOLD_CHARS_MAX: usize = 300;

/// Why no certificate was issued.
#[derive(Debug)]
pub(super) struct OrderFailure {
    pub(super) reason: FailureReason,
    /// What the authority, or the network, says of it.
    pub(super) detail: String,
    /// When the authority wants to be asked again.
    pub(super) retry_after: Option<UnixTime>,
}

/// Why no certificate was issued, by what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureReason {
    /// The authority can't be reached, or not understood.
    Unreachable,
    /// It does not know the account any more.
    NoAccount,
    /// It was asked too often.
    RateLimited,
    /// It refuses the request.
    Refused,
    /// It does not offer the configured challenge for the name.
    NoChallenge,
    /// It could not verify that the name leads here.
    NotValidated,
    /// It did not decide in time.
    Late,
    /// It issued a certificate that does not fit.
    UnfitCertificate,
    /// Something can't be written to `data_dir`.
    NotStored,
}

impl FailureReason {
    /// Its name in logs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::NoAccount => "no_account",
            Self::RateLimited => "rate_limited",
            Self::Refused => "refused",
            Self::NoChallenge => "no_challenge",
            Self::NotValidated => "not_validated",
            Self::Late => "late",
            Self::UnfitCertificate => "unfit_certificate",
            Self::NotStored => "not_stored",
        }
    }

    /// What to do next.
    pub(super) const fn help(self, challenge: AcmeChallenge) -> &'static str {
        match (self, challenge) {
            (Self::Unreachable, _) => {
                "see whether `directory` and `ca_file` of [acme] are right and this machine may connect there"
            }
            (Self::NoAccount, _) => "nothing is to be done: the next attempt opens a new account",
            (Self::RateLimited, _) => "nothing is to be done but to wait",
            (Self::Refused, _) => {
                "see `detail`; often a CAA record of the domain names another authority"
            }
            (Self::NoChallenge, _) => "choose the other `challenge` of [acme]",
            (Self::NotValidated, AcmeChallenge::Http01) => {
                "port 80 of this name must lead to this node from the internet: see its DNS records, firewalls and balancers"
            }
            (Self::NotValidated, AcmeChallenge::TlsAlpn01) => {
                "port 443 of this name must lead to this node from the internet, and nothing before it may end TLS: see its DNS records, firewalls and balancers"
            }
            (Self::Late | Self::UnfitCertificate, _) => {
                "nothing is to be done at first; if it lasts, ask the authority, or name another `directory`"
            }
            (Self::NotStored, _) => "see the disk and the rights of the folder acme in `data_dir`",
        }
    }
}

impl OrderFailure {
    /// For this reason; the detail is shortened.
    pub(super) fn new(reason: FailureReason, detail: &impl fmt::Display) -> Self {
        let detail = detail.to_string();
        Self {
            reason,
            detail: detail.chars().take(TOLD_CHARS_MAX).collect(),
            retry_after: None,
        }
    }

    /// While the authority verified a host: what it says of the order is about that, unless a CAA record forbids it.
    pub(super) fn while_verifying(error: instant_acme::Error) -> Self {
        const CAA: Option<&str> = Some("urn:ietf:params:acme:error:caa");
        let is_caa =
            matches!(&error, instant_acme::Error::Api(problem) if problem.r#type.as_deref() == CAA);
        let mut failure = Self::from(error);
        if failure.reason == FailureReason::Refused && !is_caa {
            failure.reason = FailureReason::NotValidated;
        }
        failure
    }
}

impl From<instant_acme::Error> for OrderFailure {
    fn from(error: instant_acme::Error) -> Self {
        let reason = match &error {
            instant_acme::Error::Api(problem) => match problem.r#type.as_deref() {
                Some("urn:ietf:params:acme:error:rateLimited") => FailureReason::RateLimited,
                Some("urn:ietf:params:acme:error:accountDoesNotExist") => FailureReason::NoAccount,
                Some(_) | None => FailureReason::Refused,
            },
            instant_acme::Error::Timeout(_) => FailureReason::Late,
            instant_acme::Error::Crypto
            | instant_acme::Error::KeyRejected
            | instant_acme::Error::Http(_)
            | instant_acme::Error::InvalidUri(_)
            | instant_acme::Error::Json(_)
            | instant_acme::Error::Unsupported(_)
            | instant_acme::Error::Other(_)
            | instant_acme::Error::Str(_)
            | _ => FailureReason::Unreachable,
        };
        Self::new(reason, &error)
    }
}
