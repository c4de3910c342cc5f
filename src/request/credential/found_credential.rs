//! One credential as it came.

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

use super::header;
use super::place::{Occasion, Place};
use crate::request::answers::Refusal;
use crate::request::token::{Flaw, TokenKind, has_jwt_shape};

/// One credential as it came.
pub struct Credential<'a> {
    /// Where it was found.
    pub place: &'a Place,
    /// Its value, decoded where the carrier encodes.
    pub text: Cow<'a, str>,
    /// Its token key, if that is not the whole text.
    pub(in crate::request) key: Option<Box<str>>,
    /// What it is taken for.
    pub(in crate::request) kind: TokenKind,
    /// How far it can be trusted to be what the shop would read.
    pub(in crate::request) certainty: Certainty,
    /// The pieces of the `Cookie` lines that hold it.
    pub(in crate::request) segments: Segments<'a>,
}

/// Pieces of `Cookie` lines, each what stands between two semicolons.
pub(in crate::request) type Segments<'a> = SmallVec<[&'a [u8]; 1]>;

/// How far a text can be trusted to be the token that the shop would read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::request) enum Certainty {
    /// It stands where it belongs: it must be good.
    Exact,
    /// One of several tokens in one value: it must be good, unless another issuer signed it.
    Embedded,
    /// Only some servers would read it so: it counts if it is good, and is refused only if it is dead.
    Respelled,
    /// Behind a scheme that no place names: it can be found dead, and is no credential otherwise.
    Foreign,
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

impl Credential<'_> {
    /// Whether it counts as a credential on this occasion. Otherwise it can only be found dead.
    pub(in crate::request) fn counts_at(&self, occasion: Occasion) -> bool {
        self.certainty != Certainty::Foreign && self.place.at.include(occasion)
    }

    /// Whether what is wrong with it does not matter: other servers read it differently, or another issuer signed it.
    pub(in crate::request) fn is_ignored(&self, refusal: Refusal, counts: bool) -> bool {
        if matches!(refusal, Refusal::Revoked { .. }) {
            return false;
        }
        // A key that another issuer's token names is none to wait for.
        if refusal.is_passing() && refusal != Refusal::KeyPending {
            return false; // it can't be said yet whether it is dead
        }
        let is_ours = !matches!(refusal, Refusal::Unverifiable(flaw)
            if flaw.is_undecided() || flaw == Flaw::Issuer);
        let is_fault = match self.certainty {
            Certainty::Exact => true,
            Certainty::Embedded => is_ours && refusal.is_about_token(),
            Certainty::Respelled | Certainty::Foreign => false,
        };
        !(counts && is_fault)
    }

    /// Counts what its place held. Other readings of the same value are not counted.
    pub(in crate::request) fn count_in_place(&self, refusal: Option<&Refusal>) {
        let counts = &self.place.counts;
        match (self.certainty, refusal) {
            (Certainty::Exact | Certainty::Embedded, None) => counts.note_token(),
            (Certainty::Exact, Some(refusal)) if !refusal.is_passing() => counts.note_unreadable(),
            (
                Certainty::Exact | Certainty::Embedded | Certainty::Respelled | Certainty::Foreign,
                _,
            ) => {}
        }
    }

    /// Whether a browser sends it by itself, also for a page of another site: it came in a cookie.
    pub(in crate::request) fn is_ambient(&self) -> bool {
        !self.segments.is_empty()
    }

    /// Whether a shop that looks for the scheme anywhere in the line would find another credential inside
    /// this one. Only asked of those that do not verify: in a long token the letters may stand by chance.
    pub(in crate::request) fn hides_another(&self) -> bool {
        let schemes = self.place.carrier.schemes().unwrap_or_default();
        let hides = |scheme: &String| header::hides(&self.text, scheme);
        self.certainty == Certainty::Exact && schemes.iter().any(hides)
    }

    /// Whether it is the request's bearer (RFC 6750 section 2).
    pub(super) fn is_bearer(&self) -> bool {
        self.certainty == Certainty::Exact && self.place.is_bearer()
    }

    /// Whether it could stand in the place of another one: then the two contradict each other, if they differ.
    pub(super) fn contradicts(&self, other: &Self) -> bool {
        let fits = |place: &Place, text: &str| matches!(place.spelling.key(text), Ok(Some(_)));
        has_jwt_shape(&self.text) == has_jwt_shape(&other.text)
            && fits(self.place, &other.text)
            && fits(other.place, &self.text)
    }
}

/// The credentials of one request; one or two in practice.
pub(in crate::request) type Credentials<'a> = SmallVec<[Credential<'a>; 2]>;
