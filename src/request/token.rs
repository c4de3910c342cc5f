//! A credential that was read: what is known of it, and by what it can be refused.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::revocation::{Id, Identity};

/// A credential that was read.
#[derive(Debug)]
pub enum Token {
    /// Its signature and claims are good.
    Verified(Arc<Verified>),
    /// Nothing is known of it but itself.
    Opaque(Identity),
}

impl Token {
    /// Whether its claims can be believed.
    pub fn is_verified(&self) -> bool {
        match self {
            Self::Verified(_) => true,
            Self::Opaque(_) => false,
        }
    }

    /// By what it can be refused.
    pub fn identity(&self) -> &Identity {
        match self {
            Self::Verified(token) => &token.identity,
            Self::Opaque(identity) => identity,
        }
    }
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
}
