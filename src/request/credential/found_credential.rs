//! A credential of a request, and how certain it is that the shop reads it so.

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

use super::header;
use super::place::{Occasion, Place};
use crate::request::answers::Refusal;
use crate::request::token::{Flaw, TokenKind, has_jwt_shape};

/// A credential of a request.
pub struct Credential<'a> {
    /// Where it was found.
    pub place: &'a Place,
    /// Its value, decoded as its carrier demands.
    pub text: Cow<'a, str>,
    /// Its token key, if that is not the whole text.
    pub(in crate::request) key: Option<Box<str>>,
    /// Its kind.
    pub(in crate::request) kind: TokenKind,
    /// How certain it is that the shop would read this.
    pub(in crate::request) certainty: Certainty,
    /// The segments of the `Cookie` lines that hold it.
    pub(in crate::request) segments: Segments<'a>,
}

/// Segments of `Cookie` lines: what stands between two semicolons.
pub(in crate::request) type Segments<'a> = SmallVec<[&'a [u8]; 1]>;

/// How certain it is that a text is the token that the shop would read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::request) enum Certainty {
    /// It stands in its place. It must be valid.
    Exact,
    /// One of several tokens in one value. It must be valid, unless another issuer signed it.
    Embedded,
    /// Only some servers would read it so. It counts if it is valid, and is refused only if it is revoked.
    Respelled,
    /// It may be unrelated, such as behind a scheme of no place. It is refused if it is revoked, and otherwise ignored.
    Foreign,
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

impl Credential<'_> {
    /// Whether it counts as a credential on this occasion. Otherwise it is only looked up in the revocations.
    pub(in crate::request) fn counts_at(&self, occasion: Occasion) -> bool {
        self.certainty != Certainty::Foreign && self.place.at.include(occasion)
    }

    /// Whether its fault is ignored: other servers read it differently, or another issuer signed it.
    pub(in crate::request) fn is_ignored(&self, refusal: Refusal, counts: bool) -> bool {
        if matches!(refusal, Refusal::Revoked { .. }) {
            return false;
        }
        // A missing key of another issuer's token is not waited for.
        if refusal.is_passing() && refusal != Refusal::KeyPending {
            return false; // it is not known yet whether it is revoked
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

    /// Counts whether its place held a token. Other readings of the same value are not counted.
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

    /// Whether a shop that looks for the scheme anywhere in the line would find another credential inside this one. Called only
    /// for tokens that do not verify: in a long token the letters may stand by chance.
    pub(in crate::request) fn hides_another(&self) -> bool {
        let schemes = self.place.carrier.schemes().unwrap_or_default();
        let hides = |scheme: &String| header::hides(&self.text, scheme);
        self.certainty == Certainty::Exact && schemes.iter().any(hides)
    }

    /// Whether it is the request's bearer (RFC 6750 section 2).
    pub(super) fn is_bearer(&self) -> bool {
        self.certainty == Certainty::Exact && self.place.is_bearer()
    }

    /// Whether either could stand in the place of the other: then a request with both contradicts itself.
    pub(super) fn contradicts(&self, other: &Self) -> bool {
        let fits = |place: &Place, text: &str| matches!(place.spelling.key(text), Ok(Some(_)));
        has_jwt_shape(&self.text) == has_jwt_shape(&other.text)
            && fits(self.place, &other.text)
            && fits(other.place, &self.text)
    }
}

/// The credentials of one request; one or two in practice.
pub(in crate::request) type Credentials<'a> = SmallVec<[Credential<'a>; 2]>;
