//! A credential that was read: what is known of it, and by what it can be refused.

use std::sync::Arc;

use super::settings::TokenSettings;
use crate::clock::UnixTime;
use crate::revocation::{Id, Identity};

/// A credential that was read.
#[derive(Debug)]
pub enum Token {
    /// Its signature and claims are good.
    Verified(Arc<Verified>),
    /// The shop says that it is good.
    Confirmed(Arc<Confirmed>),
    /// Nothing is known of it but itself.
    Opaque(Arc<Identity>),
    /// The shop says that it is not good.
    Inactive(Arc<Identity>),
}

impl Token {
    /// Whether it is the shop's for sure.
    pub fn is_verified(&self) -> bool {
        match self {
            Self::Verified(_) | Self::Confirmed(_) => true,
            Self::Opaque(_) | Self::Inactive(_) => false,
        }
    }

    /// Whether a customer may revoke it: those that every visitor has are not.
    pub(in crate::request) fn is_revocable(&self) -> bool {
        match self {
            Self::Verified(token) => token.is_revocable,
            Self::Confirmed(_) | Self::Opaque(_) | Self::Inactive(_) => true,
        }
    }

    /// Whether the shop has vouched for it.
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::Confirmed(_))
    }

    /// What the shop has said of it.
    pub(in crate::request) fn confirmed(&self) -> Option<&Arc<Confirmed>> {
        match self {
            Self::Confirmed(token) => Some(token),
            Self::Verified(_) | Self::Opaque(_) | Self::Inactive(_) => None,
        }
    }

    /// Whose it is, as far as it or the shop says so.
    pub(in crate::request) fn customer(&self) -> Option<Id> {
        match self {
            Self::Verified(token) => token.subject,
            Self::Confirmed(token) => token.subject,
            Self::Opaque(_) | Self::Inactive(_) => None,
        }
    }

    /// When it was issued, as far as it or the shop says so.
    pub(in crate::request) fn said_issued_at(&self) -> Option<UnixTime> {
        match self {
            Self::Verified(token) => token.identity.issued_at,
            Self::Confirmed(token) => token.issued_at,
            Self::Opaque(_) | Self::Inactive(_) => None,
        }
    }

    /// What it is remembered by, if nothing is known of it but itself.
    pub fn opaque_id(&self) -> Option<Id> {
        match self {
            Self::Opaque(identity) => Some(identity.id),
            Self::Verified(_) | Self::Confirmed(_) | Self::Inactive(_) => None,
        }
    }

    /// By what it can be refused.
    pub fn identity(&self) -> &Identity {
        match self {
            Self::Verified(token) => &token.identity,
            Self::Confirmed(token) => &token.identity,
            Self::Opaque(identity) | Self::Inactive(identity) => identity,
        }
    }
}

/// What a shop says of a token that says nothing itself.
#[derive(Debug)]
pub struct Confirmed {
    /// By what it can be refused. Issued when the shop says, if it does.
    pub identity: Identity,
    /// Its customer, if the shop names one.
    pub subject: Option<Id>,
    /// The same, in the shop's word.
    pub customer: Option<Box<str>>,
    /// When it was issued, if the shop says so.
    pub issued_at: Option<UnixTime>,
}

/// What a verified token says.
#[derive(Debug)]
pub struct Verified {
    /// By what it can be refused.
    pub identity: Identity,
    /// Its end, rounded up.
    pub expires_at: Option<UnixTime>,
    /// Before this it is not good yet.
    pub not_before: Option<UnixTime>,
    /// Its customer, if it names one.
    pub subject: Option<Id>,
    /// Its session, if it names one.
    pub session: Option<Id>,
    /// Its fingerprint, where tokens that do not verify are forwarded: with the signature respelled it
    /// would come back as one of those.
    pub fingerprint: Option<Id>,
    /// Whether a customer may revoke it. One without the claims of `only_with` only the operator can.
    pub is_revocable: bool,
    /// What the operator said of the tokens of its issuer.
    pub settings: Arc<TokenSettings>,
}
