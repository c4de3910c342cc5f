//! Extracts the credentials of a request: every place is examined on every request, in every spelling that a known server
//! reads.

use std::borrow::Cow;

use http::HeaderName;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE};
use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

use super::cookie::{self, Cookie, NamePattern, cookies};
use super::found_credential::{Certainty, Credential, Credentials, Segments};
use super::header::{self, LineReading};
use super::parameter::{self, ParameterPairs, Values};
use super::place::{Carrier, Occasion, Place};
use super::spelling::{Texts, is_no_text, trimmed};
use crate::request::answers::Refusal;
use crate::request::calls::{Request, RequestView};
use crate::request::payload::is_called;
use crate::request::token::{TokenKind, has_jwt_shape, jwts_in};

/// How many credentials are judged for one request: verifying costs time, and no client needs as many.
const CREDENTIALS_MAX: usize = 16;

/// A parameter that is repeated with shorter values is no credential, but for example a filter of a page.
const REPEATED_BYTES_MIN: usize = 16;

/// How many readings of credentials are looked up for one request.
const READINGS_MAX: usize = 96;

/// Extracts every credential of a request, also those that do not count on this occasion: each may be revoked.
///
/// Of bodies, only places that count on this occasion are examined; [`find_in_texts`] finds the rest. `token_of_path`: the
/// token that a rule finds in the path. `counts`: whether the contents of the places are counted.
pub(in crate::request) fn extract_credentials<'a>(
    places: &'a [Place],
    occasion: Occasion,
    view: &'a RequestView<'_>,
    token_of_path: Option<&'a str>,
    counts: bool,
) -> Result<Credentials<'a>, Refusal> {
    let request: &Request<'a> = &view.request;
    refuse_nominated(places, request)?;
    let mut extractor = Extractor {
        places,
        occasion,
        counts,
        query: ParameterPairs::parse(request.head.uri.query().unwrap_or_default().as_bytes()),
        found: Credentials::new(),
    };
    let mut has_cookies = false;
    for place in places {
        has_cookies |= place.carrier.is_ambient() || place.carrier.parameter().is_some();
        match &place.carrier {
            Carrier::Cookie { name, join } if join.is_empty() => {
                extractor.add_merged(place, name, request)?;
            }
            Carrier::Cookie { .. } => {}
            Carrier::Path => {
                extractor.add_values(
                    place,
                    token_of_path.map(|text| (Cow::Borrowed(text), Certainty::Exact)),
                )?;
            }
            Carrier::Schemed { .. } | Carrier::Raw(_) => extractor.add_header(place, request)?,
            Carrier::Subprotocol(name) => {
                let words = header::subprotocols(name, request).into_iter();
                extractor.add_values(
                    place,
                    words.map(|word| (Cow::Borrowed(word), Certainty::Exact)),
                )?;
            }
            Carrier::Query(_) | Carrier::Json(_) | Carrier::Form(_) => {
                extractor.add_parameter(place, request)?;
            }
            Carrier::GraphQl(name) => {
                let read = view.graphql().into_iter();
                let texts = read.flat_map(|read| read.credentials(name, CREDENTIALS_MAX));
                extractor.add_values(
                    place,
                    texts.map(|text| (Cow::Owned(text), Certainty::Exact)),
                )?;
            }
        }
    }
    if has_cookies {
        extractor.add_cookies(request)?;
    }
    let found = extractor.found;
    let mut bearers = found.iter().filter(|one| one.is_bearer());
    if let Some(first) = bearers.next()
        && bearers.any(|other| first.contradicts(other))
    {
        return Err(Refusal::TwoCredentials);
    }
    let exact = found.iter().filter(|one| one.certainty == Certainty::Exact);
    if found.len() > CREDENTIALS_MAX
        && (exact.count() > CREDENTIALS_MAX || found.len() > READINGS_MAX)
    {
        return Err(Refusal::MalformedCredential);
    }
    Ok(found)
}

/// Extracts what stands in places of former configurations. It is looked up in the revocations and is otherwise no credential,
/// so a request that contradicts itself there is not refused.
#[cold] // keeps the common path small
pub(in crate::request) fn extract_former<'a>(
    places: &'a [Place],
    occasion: Occasion,
    view: &'a RequestView<'_>,
) -> Credentials<'a> {
    let places = places.iter().map(std::slice::from_ref);
    let taken = places.flat_map(|place| extract_credentials(place, occasion, view, None, false));
    taken.flatten().collect()
}

/// Standards 110: refuses a header that `Connection` names, because it would be judged here and not reach the shop.
fn refuse_nominated(places: &[Place], request: &Request<'_>) -> Result<(), Refusal> {
    for line in request.head.headers.get_all(CONNECTION) {
        let Ok(line) = line.to_str() else {
            return Err(Refusal::NominatedCredential);
        };
        for option in line.split(',').map(str::trim) {
            let is = |name: &HeaderName| option.eq_ignore_ascii_case(name.as_str());
            let nominated = is(&AUTHORIZATION)
                || is(&COOKIE)
                || places
                    .iter()
                    .filter_map(|place| place.carrier.header())
                    .any(is);
            if nominated {
                return Err(Refusal::NominatedCredential);
            }
        }
    }
    Ok(())
}

/// How certain it is that a cookie of this name is a token of a place; `None`: it is none.
fn certainty_of(name: &str, cookie: &Cookie<'_>, place: &Place) -> Option<Certainty> {
    if let Some(parameter) = place.carrier.parameter() {
        let name = percent_decode_str(name).decode_utf8_lossy();
        return is_called(&name, parameter).then_some(Certainty::Foreign); // PHP's `$_REQUEST` merges them
    }
    let Carrier::Cookie {
        name: pattern,
        join,
    } = &place.carrier
    else {
        return None;
    };
    if !join.is_empty() || !pattern.matches_cookie(name) {
        return None;
    }
    Some(match cookie.is_after_comma {
        true => Certainty::Foreign,
        false if pattern.matches(name) => Certainty::Exact,
        false => Certainty::Respelled,
    })
}

/// Extracts the credentials of one request.
struct Extractor<'a> {
    places: &'a [Place],
    occasion: Occasion,
    counts: bool,
    query: ParameterPairs<'a>,
    found: Credentials<'a>,
}

impl<'a> Extractor<'a> {
    fn add_header(&mut self, place: &'a Place, request: &Request<'a>) -> Result<(), Refusal> {
        let Some(name) = place.carrier.header() else {
            return Ok(());
        };
        let Some(line) = header::only_line(name, request)? else {
            return Ok(());
        };
        let read = match place.carrier.schemes() {
            Some(schemes) => header::behind_scheme(line, schemes, place, self.places)?,
            None if place.spelling.is_plain() => header::whole_value(line, place, self.places)?,
            None => LineReading::Token(line),
        };
        match read {
            LineReading::Elsewhere | LineReading::Token("") => Ok(()),
            LineReading::Token(token) if matches!(place.carrier, Carrier::Schemed { .. }) => {
                self.add_bearer(place, token)
            }
            LineReading::Token(token) => {
                self.add_values(place, [(Cow::Borrowed(token), Certainty::Exact)])
            }
            LineReading::Foreign => self.add_foreign(place, line),
        }
    }

    fn note_unreadable(&self, place: &Place) {
        if self.counts {
            place.counts.note_unreadable();
        }
    }

    /// Adds what stands behind a scheme: one token, to its last letter.
    fn add_bearer(&mut self, place: &'a Place, token: &'a str) -> Result<(), Refusal> {
        if place.spelling.is_plain() {
            if is_no_text(token) {
                self.note_unreadable(place);
                return Ok(());
            }
            let kind = (place.kind, Certainty::Exact);
            self.push(place, Cow::Borrowed(token), None, kind, &[]);
            return Ok(());
        }
        self.add_values(place, [(Cow::Borrowed(token), Certainty::Exact)])
    }

    /// Adds what stands in a line with another scheme: JWTs count as credentials behind any scheme.
    fn add_foreign(&mut self, place: &'a Place, line: &'a str) -> Result<(), Refusal> {
        let word = header::only_word(line)?;
        let jwts = jwts_in(line);
        let is_schemed = matches!(place.carrier, Carrier::Schemed { .. });
        if jwts.is_empty() && !is_schemed {
            return Err(Refusal::MalformedCredential);
        }
        if jwts.is_empty() {
            self.note_unreadable(place);
        }
        for jwt in &jwts {
            self.push(
                place,
                Cow::Borrowed(jwt),
                None,
                (TokenKind::Jwt, Certainty::Respelled),
                &[],
            );
        }
        if let Some(word) = word.filter(|word| !jwts.contains(word)) {
            self.push(
                place,
                Cow::Borrowed(word),
                None,
                (TokenKind::Auto, Certainty::Foreign),
                &[],
            );
        }
        Ok(())
    }

    /// Adds the values of a parameter: from its own carrier, and from the carriers that frameworks merge with it.
    fn add_parameter(&mut self, place: &'a Place, request: &Request<'a>) -> Result<(), Refusal> {
        let name = place.carrier.parameter();
        if let Some(name) = name {
            let is_own_carrier = matches!(place.carrier, Carrier::Query(_));
            let values = self.query.values(|given| is_called(given, name));
            self.add_all_values(place, values, is_own_carrier)?;
        }
        if request.body.is_none_or(<[u8]>::is_empty) || !place.at.include(self.occasion) {
            return Ok(());
        }
        if let Some(name) = name {
            let is_own_carrier = matches!(place.carrier, Carrier::Form(_));
            self.add_all_values(
                place,
                parameter::values_in_form(name, request),
                is_own_carrier,
            )?;
        }
        if let Carrier::Json(pointer) = &place.carrier {
            let values = parameter::values_in_json(pointer, request)?;
            self.add_all_values(place, values, true)?;
        }
        Ok(())
    }

    /// Adds values of a cookie's name from the query, where frameworks merge parameters with cookies (PHP's `$_REQUEST`, ASP's
    /// `Request`), and from the path. They are looked up in the revocations only.
    fn add_merged(
        &mut self,
        place: &'a Place,
        name: &NamePattern,
        request: &Request<'a>,
    ) -> Result<(), Refusal> {
        let is_name = |given: &str| name.matches_cookie(given);
        let values = self.query.values(is_name).into_iter();
        let values = values.chain(parameter::values_in_path(is_name, request.head.uri.path()));
        self.add_values(place, values.map(|(text, _)| (text, Certainty::Foreign)))
    }

    fn add_all_values(
        &mut self,
        place: &'a Place,
        values: Values<'a>,
        is_own_carrier: bool,
    ) -> Result<(), Refusal> {
        let is_plausible = |text: &str| has_jwt_shape(text) || text.len() >= REPEATED_BYTES_MIN;
        let common = values
            .iter()
            .filter(|(text, is_common)| *is_common && is_plausible(text));
        if is_own_carrier && !place.is_former() && common.count() > 1 {
            return Err(Refusal::TwoCredentials); // RFC 6749 section 3.1: no parameter may be repeated
        }
        let certainty = |is_common| match (is_common, is_own_carrier) {
            (true, true) => Certainty::Exact,
            (true, false) => Certainty::Respelled,
            (false, _) => Certainty::Foreign, // other clients may send the same part
        };
        let values = values.into_iter();
        self.add_values(
            place,
            values.map(|(text, common)| (text, certainty(common))),
        )
    }

    fn add_cookies(&mut self, request: &Request<'a>) -> Result<(), Refusal> {
        for cookie in cookies(request) {
            if cookie.value.is_empty() {
                continue;
            }
            let name = cookie.name();
            for place in self.places {
                let Some(first) = certainty_of(&name, &cookie, place) else {
                    continue;
                };
                let readings = cookie::value_readings(cookie.value).into_iter().enumerate();
                let values = readings.map(|(at, text)| match at {
                    0 => (text, first),
                    _ => (text, Certainty::Foreign), // other clients may send the same part
                });
                self.add_texts(place, values, &[cookie.segment])?;
            }
        }
        let joined = self.places.iter().filter(|place| place.carrier.is_joined());
        for place in joined {
            self.add_joined(place, request)?;
        }
        Ok(())
    }

    /// Adds a token that is split into several cookies: their values joined in the order of the configuration.
    fn add_joined(&mut self, place: &'a Place, request: &Request<'a>) -> Result<(), Refusal> {
        let Carrier::Cookie { name, join } = &place.carrier else {
            return Ok(());
        };
        let names: Vec<_> = std::iter::once(name).chain(join).collect();
        let mut segments = Segments::new();
        let mut wholes: Vec<String> = Vec::new();
        for choice in cookie::Choice::ALL {
            let mut whole = String::new();
            for name in &names {
                for cookie in choice.cookies(name, request) {
                    let reading = cookie::value_readings(cookie.value).into_iter().next();
                    whole.push_str(&reading.unwrap_or_default());
                    if !segments.contains(&cookie.segment) {
                        segments.push(cookie.segment);
                    }
                }
            }
            if !whole.is_empty() && !wholes.contains(&whole) {
                wholes.push(whole);
            }
        }
        let wholes = wholes.into_iter().enumerate();
        let values = wholes.map(|(at, whole)| match at {
            0 => (Cow::Owned(whole), Certainty::Exact),
            _ => (Cow::Owned(whole), Certainty::Foreign),
        });
        self.add_texts(place, values, &segments)
    }

    fn add_values(
        &mut self,
        place: &'a Place,
        values: impl IntoIterator<Item = (Cow<'a, str>, Certainty)>,
    ) -> Result<(), Refusal> {
        self.add_texts(place, values, &[])
    }

    /// Adds the readings of one value, the exact one first.
    fn add_texts(
        &mut self,
        place: &'a Place,
        values: impl IntoIterator<Item = (Cow<'a, str>, Certainty)>,
        segments: &[&'a [u8]],
    ) -> Result<(), Refusal> {
        let before = self.found.len();
        let mut is_own_value = false;
        let mut wrapped = Texts::new();
        for (value, certainty) in values {
            is_own_value |= certainty == Certainty::Exact;
            if !place.spelling.decode.is_empty() {
                wrapped.push(value.clone());
            }
            if certainty == Certainty::Exact && place.is_plain_jwt(&value) {
                self.push(place, value, None, (place.kind, Certainty::Exact), segments);
                continue;
            }
            let texts = place.spelling.unwrap(value.clone());
            let is_one_of_many = texts.len() > 1 && place.spelling.pattern.is_none();
            for text in texts {
                let is_token = !is_one_of_many || has_jwt_shape(&text);
                let certainty = if is_token {
                    certainty
                } else {
                    Certainty::Foreign
                };
                self.add_text(place, text, certainty, segments)?;
            }
            if is_one_of_many && certainty == Certainty::Exact && place.kind == TokenKind::Opaque {
                // It is not known which of them is the token, so the whole value counts as one.
                self.add_text(place, value, certainty, segments)?;
            }
        }
        if is_own_value && self.found.len() == before {
            self.note_unreadable(place);
        }
        // The whole value may have been revoked before `decode` was configured.
        for value in wrapped {
            let kind = (TokenKind::Opaque, Certainty::Foreign);
            self.push(place, value, None, kind, segments);
        }
        Ok(())
    }

    fn add_text(
        &mut self,
        place: &'a Place,
        text: Cow<'a, str>,
        certainty: Certainty,
        segments: &[&'a [u8]],
    ) -> Result<(), Refusal> {
        let key = place.spelling.key(&text)?;
        if place.kind != TokenKind::Opaque
            && self.add_jwts(place, &text, key.as_deref(), certainty, segments)
        {
            return Ok(());
        }
        if place.kind == TokenKind::Jwt
            && place.carrier.parameter().is_some()
            && !has_jwt_shape(&text)
        {
            return Ok(()); // no parser reads a JWT from it: a guest's link may carry another token
        }
        let key = match key {
            None => return Ok(()),
            Some(_) if place.spelling.pattern.is_none() && is_no_text(trimmed(&text)) => {
                return Ok(());
            }
            Some(key) if *key == *text => None,
            Some(key) => Some(Box::from(&*key)),
        };
        let kind = if key.is_some() {
            TokenKind::Opaque
        } else {
            place.kind
        };
        self.push(place, text, key, (kind, certainty), segments);
        Ok(())
    }

    /// Adds the JWTs in a text. A part that the pattern names as the token must be valid.
    fn add_jwts(
        &mut self,
        place: &'a Place,
        text: &str,
        key: Option<&str>,
        certainty: Certainty,
        segments: &[&'a [u8]],
    ) -> bool {
        let named = key.filter(|part| place.spelling.pattern.is_some() && has_jwt_shape(part));
        let jwts = match named {
            Some(part) => SmallVec::from_slice(&[part]),
            None => jwts_in(text),
        };
        let certainty = match (certainty, jwts.len()) {
            (Certainty::Exact, 1) if named.is_some() || key.is_some() => Certainty::Exact,
            (Certainty::Exact, _) => Certainty::Embedded,
            (Certainty::Embedded | Certainty::Respelled | Certainty::Foreign, _) => {
                Certainty::Respelled
            }
        };
        for jwt in &jwts {
            let jwt = Cow::Owned((*jwt).to_owned());
            self.push(place, jwt, None, (TokenKind::Jwt, certainty), segments);
        }
        !jwts.is_empty()
    }

    /// Adds a credential. Of several readings with the same text the most certain one is kept; exact ones are kept for each
    /// place, because a bearer must not be sent twice.
    fn push(
        &mut self,
        place: &'a Place,
        text: Cow<'a, str>,
        key: Option<Box<str>>,
        (kind, certainty): (TokenKind, Certainty),
        segments: &[&'a [u8]],
    ) {
        let is_same = |one: &Credential<'_>| {
            one.text == text
                && one.kind == kind
                && one.key == key
                && (std::ptr::eq(one.place, place) || segments.is_empty())
                && one.segments.as_slice() == segments
                && (one.certainty, certainty) != (Certainty::Exact, Certainty::Exact)
        };
        let known = self.found.iter().position(is_same);
        let new = Credential {
            place,
            text,
            key,
            kind,
            certainty,
            segments: Segments::from_slice(segments),
        };
        match known.map(|at| &mut self.found[at]) {
            None => self.found.push(new),
            Some(known) if certainty < known.certainty => *known = new,
            Some(_) => {}
        }
    }
}
