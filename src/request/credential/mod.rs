//! The credentials a request carries: every configured place is examined, and what could hide one is
//! refused.

use std::borrow::Cow;
use std::fmt;

use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HeaderName};
use percent_encoding::percent_decode_str;
use regex::Regex;
use smallvec::SmallVec;

use super::compact::has_jwt_shape;
use super::json::Pointer;
use super::parameters::{is_called_by, take_form, take_json, take_pair};
use super::refusal::Refusal;
use super::{Kind, Request};

/// Where a credential may travel, and what it is taken for.
#[derive(Debug)]
pub struct Place {
    /// The carrier.
    pub carrier: Carrier,
    /// What its value is taken for.
    pub kind: Kind,
    /// On which occasions it is looked for.
    pub at: Occasions,
    /// What a cookie's value looks like, for cookies that nobody can verify; one that looks different is no credential.
    /// A group called `token` is the part that it is known by.
    pub pattern: Option<Regex>,
}

/// What a request is about, as far as it decides where credentials are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A logout, the shop's or our own.
    Logout,
    /// A refresh token is exchanged for new ones.
    Refresh,
    /// Anything else.
    Visit,
}

/// Some of the occasions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasions {
    /// At logouts.
    pub logout: bool,
    /// Where tokens are refreshed.
    pub refresh: bool,
    /// Everywhere else.
    pub visit: bool,
}

impl Occasions {
    /// All of them.
    pub const ALL: Self = Self {
        logout: true,
        refresh: true,
        visit: true,
    };

    /// Whether this is one of them.
    pub fn include(self, occasion: Occasion) -> bool {
        match occasion {
            Occasion::Logout => self.logout,
            Occasion::Refresh => self.refresh,
            Occasion::Visit => self.visit,
        }
    }
}

impl Place {
    /// Whether what it carries only accompanies the customer's own token, such as a refresh token.
    pub(super) fn is_accompanying(&self) -> bool {
        self.at != Occasions::ALL
    }

    /// Whether a value looks like what it carries.
    fn is_like(&self, value: &str) -> bool {
        let pattern = self.pattern.as_ref();
        pattern.is_none_or(|pattern| pattern.is_match(value))
    }

    /// What a value is known by, where that is a part of it.
    pub(super) fn name_in<'t>(&self, value: &'t str) -> Option<&'t str> {
        named_part(self.pattern.as_ref()?, value)
    }
}

/// The group of a pattern that is what a credential is known by.
const NAME_GROUP: &str = "token";

/// The part of a text that it is known by, where a pattern says so.
pub(super) fn named_part<'t>(pattern: &Regex, text: &'t str) -> Option<&'t str> {
    let has_groups = pattern.captures_len() > 1;
    let found = has_groups.then(|| pattern.captures(text)).flatten()?;
    found.name(NAME_GROUP).map(|name| name.as_str())
}

/// A part of a request.
#[derive(Debug)]
pub enum Carrier {
    /// A header whose value begins with a scheme, such as `Authorization: Bearer …` (RFC 6750 section 2.1).
    Schemed {
        /// Its name.
        name: HeaderName,
        /// The schemes that carry a credential; compared without case (RFC 9110 section 11.1).
        schemes: Vec<String>,
    },
    /// A header whose whole value is the credential.
    Raw(HeaderName),
    /// A cookie.
    Cookie(NamePattern),
    /// A parameter of the query.
    Query(String),
    /// A value in a JSON body.
    Json(Pointer),
    /// A field of a form.
    Form(String),
    /// Every argument and input field of that name in GraphQL.
    GraphQl(String),
}

/// A name, or one with a single `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    head: String,
    tail: Option<String>,
}

/// One credential as it came.
pub struct Credential<'a> {
    /// Where it was found.
    pub place: &'a Place,
    /// Its value, decoded where the carrier encodes.
    pub text: Cow<'a, str>,
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

impl Credential<'_> {
    /// Whether a shop that looks for the scheme anywhere in the line would find another credential inside
    /// this one. Only asked of those that do not verify: in a long token the letters may stand by chance.
    pub(super) fn hides_another(&self) -> bool {
        match &self.place.carrier {
            Carrier::Schemed { schemes, .. } => schemes.iter().any(|one| hides(&self.text, one)),
            Carrier::Raw(_)
            | Carrier::Cookie(_)
            | Carrier::Query(_)
            | Carrier::Json(_)
            | Carrier::Form(_)
            | Carrier::GraphQl(_) => false,
        }
    }
}

/// The credentials of one request; one or two in practice.
pub(super) type Credentials<'a> = SmallVec<[Credential<'a>; 2]>;

impl Carrier {
    /// Whether it carries the bearer itself: of these a request may use one only (RFC 6750 section 2). What
    /// GraphQL carries may come several times, in the requests of a batch.
    fn is_bearer(&self) -> bool {
        match self {
            Self::Schemed { .. } | Self::Query(_) | Self::Json(_) | Self::Form(_) => true,
            Self::Raw(_) | Self::Cookie(_) | Self::GraphQl(_) => false,
        }
    }

    /// Whether a browser sends it by itself, also for a foreign page.
    pub fn is_ambient(&self) -> bool {
        matches!(self, Self::Cookie(_))
    }

    /// Whether it can only be found by reading the body.
    pub fn is_in_body(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Form(_) | Self::GraphQl(_))
    }

    /// Whether it is a header of its own, and `name` is that header.
    pub fn is_own_header(&self, name: &HeaderName) -> bool {
        match self {
            Self::Schemed { name: own, .. } | Self::Raw(own) => is_spelling_of(name, own),
            Self::Cookie(_) | Self::Query(_) | Self::Json(_) | Self::Form(_) | Self::GraphQl(_) => {
                false
            }
        }
    }

    /// The header that it is, if it is one.
    pub fn header(&self) -> Option<&HeaderName> {
        match self {
            Self::Schemed { name, .. } | Self::Raw(name) => Some(name),
            Self::Cookie(_) => Some(&COOKIE),
            Self::Query(_) | Self::Json(_) | Self::Form(_) | Self::GraphQl(_) => None,
        }
    }
}

/// How many credentials are verified for one request: verifying is work, and nobody needs as many.
const CREDENTIALS_MAX: usize = 16;

/// What a request carries.
pub(super) struct Carried<'a> {
    /// Its credentials.
    pub(super) credentials: Credentials<'a>,
    /// Words behind other schemes. Many a shop takes the second word of the line whatever the first one is,
    /// so a dead token must not come back as one of these; in all else they are none of our business.
    pub(super) strays: SmallVec<[&'a str; 4]>,
}

impl Carried<'_> {
    /// Whether there is nothing at all that could be dead.
    pub(super) fn is_empty(&self) -> bool {
        self.credentials.is_empty() && self.strays.is_empty()
    }
}

/// Takes every credential out of a request that is looked for on this occasion.
pub(super) fn take_all<'a>(
    places: &'a [Place],
    occasion: Occasion,
    request: &Request<'a>,
) -> Result<Carried<'a>, Refusal> {
    refuse_nominated(places, request)?;
    let mut found = Credentials::new();
    let mut strays = SmallVec::new();
    for place in places.iter().filter(|place| place.at.include(occasion)) {
        let mut add = |text| found.push(Credential { place, text });
        match &place.carrier {
            Carrier::Schemed { name, schemes } => {
                take_schemed(name, schemes, request, &mut strays)?
                    .map(Cow::Borrowed)
                    .map(&mut add);
            }
            Carrier::Raw(name) => {
                take_raw(name, request)?.map(Cow::Borrowed).map(&mut add);
            }
            Carrier::Cookie(names) => take_cookies(names, request)
                .filter(|value| place.is_like(value))
                .for_each(&mut add),
            Carrier::Query(name) => {
                let query = request.head.uri.query().unwrap_or_default();
                take_pair(name, query.as_bytes())?.map(&mut add);
            }
            Carrier::Json(pointer) => {
                take_json(pointer, request)?.map(Cow::Owned).map(&mut add);
            }
            Carrier::Form(name) => {
                take_form(name, request)?.map(&mut add);
            }
            Carrier::GraphQl(name) => {
                let read = request.graphql.get().into_iter();
                let texts = read.flat_map(|read| read.credentials(name, CREDENTIALS_MAX));
                texts.map(Cow::Owned).for_each(&mut add);
            }
        }
    }
    let bearers = found
        .iter()
        .filter(|one| one.place.carrier.is_bearer() && !one.place.is_accompanying());
    if bearers.count() > 1 {
        return Err(Refusal::TwoCredentials);
    }
    if found.len() + strays.len() > CREDENTIALS_MAX {
        return Err(Refusal::MalformedCredential);
    }
    Ok(Carried {
        credentials: found,
        strays,
    })
}

/// Standards 110: a header that `Connection` names would be judged here and never reach the shop.
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

/// The only line of a header. A name with underscores counts too: to a CGI shop it is the same header.
fn only_line<'a>(name: &HeaderName, request: &Request<'a>) -> Result<Option<&'a str>, Refusal> {
    let mut only = None;
    for (given, line) in &request.head.headers {
        if is_spelling_of(given, name) {
            if only.is_some() {
                return Err(Refusal::TwoCredentials);
            }
            only = Some(line.to_str().map_err(|_| Refusal::MalformedCredential)?);
        }
    }
    Ok(only)
}

/// The same name, or the same with underscores.
fn is_spelling_of(given: &HeaderName, name: &HeaderName) -> bool {
    if given == name {
        return true;
    }
    let (given, name) = (given.as_str(), name.as_str());
    let dashed = |byte| if byte == b'_' { b'-' } else { byte };
    given.len() == name.len()
        && given.contains('_')
        && given.bytes().map(dashed).eq(name.bytes().map(dashed))
}

/// `credentials = scheme 1*SP token` (RFC 9110 section 11.4, RFC 6750 section 2.1).
fn take_schemed<'a>(
    name: &HeaderName,
    schemes: &[String],
    request: &Request<'a>,
    strays: &mut SmallVec<[&'a str; 4]>,
) -> Result<Option<&'a str>, Refusal> {
    let Some(line) = only_line(name, request)? else {
        return Ok(None);
    };
    let line = line.trim_matches([' ', '\t']);
    let (scheme, rest) = line.split_once(' ').unwrap_or((line, ""));
    if schemes.iter().any(|one| one.eq_ignore_ascii_case(scheme)) {
        let token = rest.trim_start_matches(' ');
        return match token {
            _ if token.contains(',') => Err(Refusal::TwoCredentials),
            _ if is_token(token) => Ok(Some(token)),
            _ => Err(Refusal::MalformedCredential),
        };
    }
    if schemes.iter().any(|one| hides(line, one)) {
        return Err(Refusal::MalformedCredential);
    }
    take_strays(line, strays)?;
    Ok(None)
}

/// How many words a foreign credential may have; Digest has some thirty.
const STRAYS_MAX: usize = 128;

/// The words of a foreign credential that could be a token of the shop: every one that has the shape of a
/// JWT, and the only one behind the scheme.
///
/// No others: what is known by its text alone can be revoked by anybody who knows the text, and everybody
/// knows `Basic` or the name of a realm.
fn take_strays<'a>(line: &'a str, strays: &mut SmallVec<[&'a str; 4]>) -> Result<(), Refusal> {
    let words = line.split([' ', '\t', ',', ';', '"', '=']);
    for (number, word) in words.filter(|word| !word.is_empty()).enumerate() {
        if number == STRAYS_MAX {
            return Err(Refusal::MalformedCredential);
        }
        if has_jwt_shape(word) {
            strays.push(word);
        }
    }
    let (_, rest) = line.split_once(' ').unwrap_or(("", line));
    let rest = rest.trim_matches([' ', '\t']);
    let rest = rest.strip_prefix("token=").unwrap_or(rest); // as Rails writes it
    let only = rest.trim_matches('"').trim_end_matches('=');
    let is_one_word = !only.contains([' ', '\t', ',', ';', '"', '=']);
    if is_one_word && only.len() >= OPAQUE_BYTES_MIN && !strays.contains(&only) {
        strays.push(only);
    }
    Ok(())
}

/// No opaque token is shorter; names of schemes and the like are.
const OPAQUE_BYTES_MIN: usize = 20;

/// One word of visible characters. Wider than b64token, for shops hand out others (Sanctum's have a `|`).
fn is_token(text: &str) -> bool {
    // Without a way out: so it takes many bytes at a time, and a good token is read to its end anyway.
    let is_odd = |odd, byte: u8| odd | !byte.is_ascii_graphic();
    !text.is_empty() && !text.bytes().fold(false, is_odd)
}

/// Whether a shop that looks for a scheme anywhere in the value would find it there.
///
/// Some do: one PHP library takes the last "bearer" of the line, in any case, and what follows.
/// A short scheme must stand as a word, or too many Basic credentials would hide one by chance.
fn hides(line: &str, scheme: &str) -> bool {
    let (line, scheme) = (line.to_ascii_lowercase(), scheme.to_ascii_lowercase());
    if scheme.len() >= 6 {
        return line.contains(&scheme);
    }
    line.split([' ', '\t', ',', ';', '"', '='])
        .any(|word| word == scheme)
}

fn take_raw<'a>(name: &HeaderName, request: &Request<'a>) -> Result<Option<&'a str>, Refusal> {
    let Some(line) = only_line(name, request)? else {
        return Ok(None);
    };
    let value = line.trim_matches([' ', '\t']);
    match value {
        "" => Ok(None),
        _ if value.contains(',') => Err(Refusal::TwoCredentials),
        _ if is_token(value) => Ok(Some(value)),
        _ => Err(Refusal::MalformedCredential),
    }
}

/// Every cookie of that name: a browser may send several, of different paths.
fn take_cookies<'a>(
    names: &'a NamePattern,
    request: &Request<'a>,
) -> impl Iterator<Item = Cow<'a, str>> {
    cookies(request)
        .filter(|(name, value)| names.matches_cookie(name) && !value.is_empty())
        .map(|(_, value)| cookie_value(value))
}

/// The cookies of a request, name and value as sent (RFC 6265 section 5.4). What is no UTF-8 is marked so.
pub(super) fn cookies<'a>(
    request: &Request<'a>,
) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
    let lines = request.head.headers.get_all(COOKIE).into_iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        Some((trimmed(name), trimmed(value)))
    })
}

/// Without spaces around, also those that only Unicode knows.
fn trimmed(bytes: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// One spelling of a cookie's value, whatever encoding it came in: shops decode it, so a dead cookie must
/// not live on as `%41…` or, in quotes, as `\101…`. A space and a plus are the same letter here, as in PHP.
pub(super) fn cookie_value(value: Cow<'_, str>) -> Cow<'_, str> {
    if !value.contains(['%', ' ', '"', '\\']) {
        return value;
    }
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let bare = quoted.map_or(value.to_string(), unescape);
    let decoded = percent_decode_str(&bare).decode_utf8_lossy();
    Cow::Owned(decoded.replace(' ', "+"))
}

/// What quotes allow: `\"`, `\,` and `\101` (Python's cookies).
fn unescape(quoted: &str) -> String {
    let mut bare = Vec::with_capacity(quoted.len());
    let mut rest = quoted.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let octal = others.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        (bare, rest) = match (first, octal, others) {
            (b'\\', Some(byte), _) => (pushed(bare, byte), &others[3..]),
            (b'\\', None, [escaped, after @ ..]) => (pushed(bare, *escaped), after),
            (_, _, _) => (pushed(bare, *first), others),
        };
    }
    String::from_utf8_lossy(&bare).into_owned()
}

fn pushed(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

impl NamePattern {
    /// A name of visible characters with at most one `*`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "a cookie's name, with at most one *";
        let (head, tail) = match text.split_once('*') {
            Some((head, tail)) => (head, Some(tail.to_owned())),
            None => (text, None),
        };
        let odd = |part: &str| !part.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || odd(text) || text.contains([';', ',', '=']) {
            return Err(WANTED);
        }
        if tail.as_deref().is_some_and(|tail| tail.contains('*')) {
            return Err(WANTED);
        }
        Ok(Self {
            head: head.to_owned(),
            tail,
        })
    }

    /// The name, where there is no `*` in it.
    pub fn exact(&self) -> Option<&str> {
        self.tail.is_none().then_some(self.head.as_str())
    }

    /// What `*` stands for in `name`.
    pub fn starred<'n>(&self, name: &'n str) -> Option<&'n str> {
        let rest = name.strip_prefix(&self.head)?;
        rest.strip_suffix(self.tail.as_deref()?)
    }

    /// Whether `name` fits.
    pub fn matches(&self, name: &str) -> bool {
        self.exact() == Some(name) || self.starred(name).is_some()
    }

    /// Whether a cookie of that name fits, as sent or as PHP reads it.
    fn matches_cookie(&self, name: &str) -> bool {
        if self.matches(name) {
            return true;
        }
        if !name.contains(['%', '.', ' ', '[', '+']) {
            return false;
        }
        let spaced = name.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8_lossy();
        is_called_by(&decoded, |one| self.matches(one))
    }
}
