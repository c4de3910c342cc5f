//! A token of a request: verified, confirmed by the shop, or opaque; and the identity by which it is revoked.

use std::sync::Arc;

use super::compact::{Compact, decode_object};
use super::settings::TokenSettings;
use crate::clock::UnixTime;
use crate::revocation::{Id, Identity};

/// A token of a request.
#[derive(Debug)]
pub enum Token {
    /// Its signature and claims are verified.
    Verified(Arc<Verified>),
    /// The shop says that it is active.
    Confirmed(Arc<Confirmed>),
    /// Only its text is known.
    Opaque(Arc<Identity>),
    /// The shop says that it is not active.
    Inactive(Arc<Identity>),
}

impl Token {
    /// Whether its signature or the shop proves that the shop issued it.
    pub fn is_verified(&self) -> bool {
        match self {
            Self::Verified(_) | Self::Confirmed(_) => true,
            Self::Opaque(_) | Self::Inactive(_) => false,
        }
    }

    /// Whether a customer may revoke it. A token that all visitors share is not a customer's to revoke.
    pub(in crate::request) fn is_revocable(&self) -> bool {
        match self {
            Self::Verified(token) => token.is_revocable,
            Self::Confirmed(_) | Self::Opaque(_) | Self::Inactive(_) => true,
        }
    }

    /// Whether the shop has confirmed it.
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::Confirmed(_))
    }

    /// What the shop said of it.
    pub(in crate::request) fn confirmed(&self) -> Option<&Arc<Confirmed>> {
        match self {
            Self::Confirmed(token) => Some(token),
            Self::Verified(_) | Self::Opaque(_) | Self::Inactive(_) => None,
        }
    }

    /// Its customer, if it or the shop names one.
    pub(in crate::request) fn customer(&self) -> Option<Id> {
        match self {
            Self::Verified(token) => token.subject,
            Self::Confirmed(token) => token.subject,
            Self::Opaque(_) | Self::Inactive(_) => None,
        }
    }

    /// The customer's name as it or the shop writes it. `text`: the text that it was read from, whose signature was verified.
    pub(in crate::request) fn customer_name(&self, text: &str) -> Option<String> {
        match self {
            Self::Verified(token) => {
                let payload = decode_object(Compact::parse(text).ok()?.payload).ok()?;
                token.settings.claims.customer(&payload).ok()?
            }
            Self::Confirmed(token) => token.customer.as_deref().map(str::to_owned),
            Self::Opaque(_) | Self::Inactive(_) => None,
        }
    }

    /// When it was issued, if it or the shop says so.
    pub(in crate::request) fn said_issued_at(&self) -> Option<UnixTime> {
        match self {
            Self::Verified(token) => token.identity.issued_at,
            Self::Confirmed(token) => token.issued_at,
            Self::Opaque(_) | Self::Inactive(_) => None,
        }
    }

    /// Its id, if it is opaque.
    pub fn opaque_id(&self) -> Option<Id> {
        match self {
            Self::Opaque(identity) => Some(identity.id),
            Self::Verified(_) | Self::Confirmed(_) | Self::Inactive(_) => None,
        }
    }

    /// The identity by which it is looked up in the revocations.
    pub fn identity(&self) -> &Identity {
        match self {
            Self::Verified(token) => &token.identity,
            Self::Confirmed(token) => &token.identity,
            Self::Opaque(identity) | Self::Inactive(identity) => identity,
        }
    }
}

/// What a shop says of an opaque token.
#[derive(Debug)]
pub struct Confirmed {
    /// Its identity, with the issue time if the shop names one.
    pub identity: Identity,
    /// Its customer, if the shop names one.
    pub subject: Option<Id>,
    /// The customer's name as the shop writes it.
    pub customer: Option<Box<str>>,
    /// When it was issued, if the shop says so.
    pub issued_at: Option<UnixTime>,
}

/// A verified token.
#[derive(Debug)]
pub struct Verified {
    /// Its identity.
    pub identity: Identity,
    /// Its end, rounded up.
    pub expires_at: Option<UnixTime>,
    /// Before this moment it is not valid yet.
    pub not_before: Option<UnixTime>,
    /// Its customer, if it names one.
    pub subject: Option<Id>,
    /// Its session, if it names one.
    pub session: Option<Id>,
    /// Its fingerprint, where unverified tokens are forwarded: with an altered signature it would come back as one of those.
    pub fingerprint: Option<Id>,
    /// Whether a customer may revoke it. Without the claims of `revocable_with`, only the operator may.
    pub is_revocable: bool,
    /// The settings of its issuer.
    pub settings: Arc<TokenSettings>,
}
