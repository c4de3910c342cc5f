//! Credentials in headers: behind a scheme, or as the whole value.

use http::HeaderName;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use smallvec::SmallVec;

use super::cookie::NamePattern;
use super::place::Place;
use crate::request::answers::Refusal;
use crate::request::calls::Request;
use crate::request::payload::is_spelling_of;

/// The only line of a header. A name with underscores counts, too: with CGI it is the same header.
pub(super) fn only_line<'a>(
    name: &HeaderName,
    request: &Request<'a>,
) -> Result<Option<&'a str>, Refusal> {
    let mut only = None;
    let length = name.as_str().len(); // cheap to compare first
    for (given, line) in &request.head.headers {
        if given.as_str().len() == length && is_spelling_of(given, name) {
            if only.is_some() {
                return Err(Refusal::TwoCredentials);
            }
            let line = line.to_str().map_err(|_| Refusal::MalformedCredential)?;
            only = Some(line.trim_matches([' ', '\t']));
        }
    }
    Ok(only)
}

/// What a line holds for a place.
pub(super) enum LineReading<'a> {
    /// This token, which may be empty.
    Token(&'a str),
    /// A credential of another kind.
    Foreign,
    /// A credential of another place of the same header.
    Elsewhere,
}

/// `credentials = scheme 1*SP token` (RFC 9110 section 11.4, RFC 6750 section 2.1).
pub(super) fn behind_scheme<'a>(
    line: &'a str,
    schemes: &[String],
    place: &Place,
    places: &[Place],
) -> Result<LineReading<'a>, Refusal> {
    let space = memchr::memchr(b' ', line.as_bytes()).unwrap_or(line.len());
    let (scheme, rest) = line.split_at(space);
    if is_one_of(schemes, scheme) {
        let token = rest.trim_start_matches(' ');
        return match token {
            "" => Ok(LineReading::Token("")), // a guest, to all shops that were tried
            _ if memchr::memchr(b',', token.as_bytes()).is_some() => Err(Refusal::TwoCredentials),
            _ if is_token(token) => Ok(LineReading::Token(token)),
            _ => Err(Refusal::MalformedCredential),
        };
    }
    let is_bare = !line.contains([' ', '\t', ',']);
    let is_about = |other: &Place| match other.carrier.schemes() {
        Some(schemes) => is_one_of(schemes, scheme),
        None => is_bare,
    };
    if siblings(place, places).any(is_about) {
        return Ok(LineReading::Elsewhere);
    }
    if schemes.iter().any(|one| hides(line, one)) {
        return Err(Refusal::MalformedCredential);
    }
    Ok(LineReading::Foreign)
}

/// The whole value of a header, where no place of the same header has its scheme.
pub(super) fn whole_value<'a>(
    line: &'a str,
    place: &Place,
    places: &[Place],
) -> Result<LineReading<'a>, Refusal> {
    let is_scheme = |other: &Place| {
        let schemes = other.carrier.schemes();
        schemes.is_some_and(|schemes| is_one_of(schemes, line))
    };
    if siblings(place, places).any(is_scheme) {
        return Ok(LineReading::Elsewhere); // a scheme without a token
    }
    if line.is_empty() || is_token(line) && !line.contains(',') {
        return Ok(LineReading::Token(line));
    }
    if siblings(place, places).next().is_some() {
        return Ok(LineReading::Elsewhere); // the places with schemes decide
    }
    if line.contains(',') {
        return Err(Refusal::TwoCredentials);
    }
    Ok(LineReading::Foreign)
}

/// The other places of the same header.
fn siblings<'p>(place: &'p Place, places: &'p [Place]) -> impl Iterator<Item = &'p Place> {
    let name = place.carrier.header();
    places
        .iter()
        .filter(move |other| !std::ptr::eq(*other, place) && other.carrier.header() == name)
}

fn is_one_of(schemes: &[String], scheme: &str) -> bool {
    schemes.iter().any(|one| one.eq_ignore_ascii_case(scheme))
}

/// How many words a foreign credential may have; Digest has some thirty.
const WORDS_MAX: usize = 128;

/// Opaque tokens have at least as many bytes; names of schemes have fewer.
const OPAQUE_BYTES_MIN: usize = 20;

/// The only long word of a foreign credential, behind its scheme: many shops accept a token behind any scheme.
///
/// Shorter and further words are left out: any client could revoke an opaque token whose text it knows, and every client
/// knows `Basic` or the name of a realm.
pub(super) fn only_word(line: &str) -> Result<Option<&str>, Refusal> {
    let separators = [' ', '\t', ',', ';', '"', '='];
    let words = line.split(separators).filter(|word| !word.is_empty());
    if words.count() > WORDS_MAX {
        return Err(Refusal::MalformedCredential);
    }
    let (_, rest) = line.split_once(' ').unwrap_or(("", line));
    let rest = rest.trim_matches([' ', '\t']);
    let rest = rest.strip_prefix("token=").unwrap_or(rest); // as Rails writes it
    let only = rest.trim_matches('"').trim_end_matches('=');
    let is_one_word = !only.contains(separators);
    Ok((is_one_word && only.len() >= OPAQUE_BYTES_MIN).then_some(only))
}

/// Whether a text is one word of visible characters. Wider than b64token, because tokens of Sanctum hold a `|`.
fn is_token(text: &str) -> bool {
    // Without an early return, so that it is vectorised; a valid token is read to its end anyway.
    let is_odd = |odd, byte: u8| odd | !byte.is_ascii_graphic();
    !text.is_empty() && !text.bytes().fold(false, is_odd)
}

/// Whether a shop that looks for a scheme anywhere in the value would find it there.
///
/// One PHP library uses what follows the last "bearer" of the line, in any case. A short scheme must be a word of its own:
/// otherwise many Basic credentials would hold one by chance.
pub(super) fn hides(line: &str, scheme: &str) -> bool {
    let (line, scheme) = (line.to_ascii_lowercase(), scheme.to_ascii_lowercase());
    if scheme.len() >= 6 {
        return line.contains(&scheme);
    }
    line.split([' ', '\t', ',', ';', '"', '='])
        .any(|word| word == scheme)
}

/// The words of a WebSocket's subprotocols that are tokens: what stands for the `*` of the name, or what follows the
/// name. Browsers can't set any other header of a handshake (RFC 6455 section 4.1).
pub(super) fn subprotocols<'a>(
    name: &NamePattern,
    request: &Request<'a>,
) -> SmallVec<[&'a str; 2]> {
    let lines = request.head.headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    let lines = lines.iter().filter_map(|line| line.to_str().ok());
    let words = lines.flat_map(|line| line.split(',')).map(str::trim);
    let mut found = SmallVec::new();
    let mut follows = false;
    for word in words {
        if follows {
            found.push(word);
        }
        follows = name.exact() == Some(word);
        found.extend(name.starred(word).filter(|token| !token.is_empty()));
    }
    found
}
