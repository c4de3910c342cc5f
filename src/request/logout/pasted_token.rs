//! A token that an operator pastes: alone, or as it stands in a header, a cookie or a parameter.

use serde_json::Value;
use smallvec::SmallVec;

use super::order_target::UnfitOrder;
use crate::clock::UnixTime;
use crate::request::credential::{Carrier, cookie_value, is_no_text, trimmed};
use crate::request::shop::Shop;
use crate::request::token::{
    Compact, Flaw, Token, TokenKind, decode_object, has_jwt_shape, jwts_in,
};
use crate::revocation::{Cause, Id, Revocations};

/// The note about a token that is not known to be revoked, if [`Shop::has_hidden_customer`].
pub const HIDDEN_CUSTOMER: &str = "this node does not know whose this token is: the shop has not said so lately. Whether the end of \
    its customer's logins, or of all logins, refuses it can't be told without asking the shop; a request with the token asks";

/// A token that an operator pastes.
pub struct PastedToken {
    /// The token, or why it is invalid.
    pub token: Result<Token, Flaw>,
    /// What it says of itself, if it is verified.
    pub claims: Option<PastedClaims>,
    /// The token alone, which is never printed.
    pub text: String,
    /// Its digests in other readings: as an opaque token, or by a part of it.
    pub(super) digests: SmallVec<[Id; 4]>,
}

/// What a verified token says of itself, by the claims that are read. Their values are not kept: by a customer or an id, somebody
/// may be found.
#[derive(Debug)]
pub struct PastedClaims {
    /// Its algorithm.
    pub algorithm: Option<String>,
    /// The `kid` of its key.
    pub key_id: Option<String>,
    /// Its `iss`, if it is one of those that are configured.
    pub issuer: Option<String>,
    /// Whether it has an id.
    pub has_id: bool,
    /// The claim of the id.
    pub id_claim: String,
    /// Whether it names a customer.
    pub has_subject: bool,
    /// The claims of the customer.
    pub subject_claims: Vec<String>,
    /// Whether it names a session.
    pub has_session: bool,
    /// The claim of the session.
    pub session_claim: String,
    /// Before this moment it is not valid yet.
    pub not_before: Option<UnixTime>,
}

/// What a token with this text says of itself, if it is verified.
fn claims_of(token: &Token, text: &str) -> Option<PastedClaims> {
    let settings = match token {
        Token::Verified(token) => &token.settings,
        Token::Confirmed(_) | Token::Opaque(_) | Token::Inactive(_) => return None,
    };
    let compact = Compact::parse(text).ok()?;
    let payload = decode_object(compact.payload).ok()?;
    let values = settings.claims.values_in(&payload).ok()?;
    let text_of = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    let subject_claims = settings.claims.subject.iter();
    Some(PastedClaims {
        algorithm: text_of(&compact.header, "alg"),
        key_id: text_of(&compact.header, "kid"),
        issuer: text_of(&payload, "iss").filter(|issuer| settings.issuers.contains(issuer)),
        has_id: values.id.is_some(),
        id_claim: settings.claims.id.to_string(),
        has_subject: values.subject.is_some(),
        subject_claims: subject_claims.map(ToString::to_string).collect(),
        has_session: values.session.is_some(),
        session_claim: settings.claims.session.to_string(),
        not_before: values.not_before,
    })
}

impl PastedToken {
    /// Why it is refused; `None`: it is not.
    pub fn refused_by(&self, revocations: &Revocations) -> Option<Cause> {
        let token = self.token.as_ref().ok();
        let covered = token.and_then(|token| revocations.covers(token.identity()));
        covered.or_else(|| self.dead_digest(revocations).map(|_| Cause::Token))
    }

    /// The digest of another reading that is revoked.
    pub fn dead_digest(&self, revocations: &Revocations) -> Option<Id> {
        let mut digests = self.digests.iter();
        digests
            .find(|id| revocations.has_undated_token(id))
            .copied()
    }
}

impl Shop {
    /// Parses a pasted token: alone, or as it stands in a header, a cookie or a parameter.
    ///
    /// # Errors
    ///
    /// Says why it is not one token.
    pub fn parse_pasted(&self, pasted: &str, now: UnixTime) -> Result<PastedToken, UnfitOrder> {
        let whole = self.token_in(pasted)?;
        let is_alone = !whole.contains(char::is_whitespace);
        let mut jwts = jwts_in(whole);
        jwts.dedup();
        let text = match jwts.as_slice() {
            _ if is_alone && has_jwt_shape(whole) => whole,
            [only] => only,
            [] if is_alone && !whole.starts_with(['{', '[']) => whole,
            [] | [_, ..] => return Err(UnfitOrder::NotOneToken),
        };
        let token = self.token_as_pasted(text, now);
        let token = token.map(|token| self.with_customer(token));
        let is_opaque_too = self
            .places
            .iter()
            .any(|place| place.kind == TokenKind::Opaque);
        let mut digests = SmallVec::new();
        if is_opaque_too || !matches!(token, Ok(Token::Verified(_))) {
            for text in [whole, text, &cookie_value(whole.into())] {
                digests.extend(self.digests_of(text).unwrap_or_default());
            }
            digests.sort_unstable();
            digests.dedup();
        }
        let claims = token.as_ref().ok();
        let claims = claims.and_then(|token| claims_of(token, text));
        let text = text.to_owned();
        Ok(PastedToken {
            token,
            claims,
            text,
            digests,
        })
    }

    fn token_as_pasted(&self, text: &str, now: UnixTime) -> Result<Token, Flaw> {
        let cookie = cookie_value(text.into());
        let parts = self
            .places
            .iter()
            .filter(|place| place.spelling.pattern.is_some());
        for place in parts {
            if let Ok(Some(key)) = place.spelling.key(&cookie)
                && *key != *cookie
            {
                return Ok(self.verifier.opaque(&cookie, &key));
            }
        }
        let kind = self.verifier.kind();
        let kind = if kind == TokenKind::Jwt {
            TokenKind::Auto
        } else {
            kind
        };
        self.verifier.token_from_text(kind, text, now)
    }

    /// Whether a text is a token that verifies at this shop.
    pub fn verifies(&self, pasted: &str, now: UnixTime) -> bool {
        let shown = self.parse_pasted(pasted, now);
        shown.is_ok_and(|shown| matches!(shown.token, Ok(Token::Verified(_))))
    }

    /// The token in a pasted text: without white space, quotes, and what stands before it in a request.
    fn token_in<'t>(&self, pasted: &'t str) -> Result<&'t str, UnfitOrder> {
        let mut text = unquoted(pasted);
        let mut holds_cookies = false;
        if let Some((name, value)) = text.split_once(':')
            && self.is_header(name.trim())
        {
            text = unquoted(value);
            holds_cookies = name.trim().to_ascii_lowercase().ends_with("cookie");
        }
        match self.value_in(text) {
            Some(value) => text = unquoted(value),
            None if holds_cookies => return Err(UnfitOrder::NotOneToken),
            None => {}
        }
        if let Some((word, rest)) = text.split_once(char::is_whitespace)
            && self.is_scheme(word)
        {
            text = unquoted(rest);
        }
        if is_no_text(text) || self.is_scheme(text) {
            return Err(UnfitOrder::Empty("token"));
        }
        Ok(text)
    }

    fn is_header(&self, name: &str) -> bool {
        let carriers = self.places.iter().map(|place| &place.carrier);
        let ours = carriers.filter_map(Carrier::header);
        let ours = ours.map(http::HeaderName::as_str);
        let mut names = ["authorization", "cookie", "set-cookie"]
            .into_iter()
            .chain(ours);
        names.any(|known| name.eq_ignore_ascii_case(known))
    }

    fn is_scheme(&self, word: &str) -> bool {
        let carriers = self.places.iter().map(|place| &place.carrier);
        let ours = carriers.filter_map(Carrier::schemes).flatten();
        let ours = ours.map(String::as_str);
        let mut known = ["Bearer", "DPoP", "JWT", "Token"].into_iter().chain(ours);
        known.any(|scheme| word.eq_ignore_ascii_case(scheme))
    }

    /// The value behind `name=`, where a cookie or parameter of that name carries a token.
    fn value_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        let is_ours = |name: &str| {
            let mut carriers = self.places.iter().map(|place| &place.carrier);
            carriers.any(|carrier| {
                let mut cookies = carrier.cookies();
                carrier.parameter() == Some(name) || cookies.any(|cookie| cookie.matches(name))
            })
        };
        let mut pairs = text.split(';').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(name, _)| is_ours(name.trim()))?;
        Some(value)
    }
}

/// A text without white space and quotes around it.
fn unquoted(text: &str) -> &str {
    let text = trimmed(text);
    let inside = ['"', '\'', '`'].into_iter().find_map(|quote| {
        let inside = text.strip_prefix(quote)?;
        inside.strip_suffix(quote)
    });
    inside.map_or(text, trimmed)
}
