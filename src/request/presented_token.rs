//! A token that a request presents.

use smallvec::SmallVec;

use super::credential::Credential;
use super::token::Token;

/// A token and its credential.
pub(super) struct Presented<'a> {
    pub(super) token: Token,
    pub(super) credential: Credential<'a>,
}

/// The tokens of one request that are not revoked; one or two in practice.
pub(super) type AllPresented<'a> = SmallVec<[Presented<'a>; 2]>;
