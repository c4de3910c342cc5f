//! The conditions of a rule beside its path: a header, a parameter, a value of the body.

use std::borrow::Cow;

use http::HeaderName;
use memchr::memmem;
use smallvec::SmallVec;

use super::paths::{Fit, Path, PathPattern, PathStyle, is_blank};
use super::request::Request;
use crate::request::cookie::sent_pairs;
use crate::request::payload::{
    LaxValue, Pointer, content_type, content_type_as_sent, is_called_by, is_spelling_of, multipart,
};

/// A condition: a place of the request that must have one of these values.
#[derive(Debug, PartialEq)]
pub struct Condition {
    /// The place.
    pub at: ConditionPlace,
    /// Its values.
    pub values: Vec<ConditionValue>,
}

/// The place of a condition.
#[derive(Debug, PartialEq, Eq)]
pub enum ConditionPlace {
    /// In a header.
    Header(HeaderName),
    /// In a cookie.
    Cookie(String),
    /// In a parameter of the query, or of a form or JSON body, because many servers merge them.
    Parameter(String),
    /// In the body, as JSON or as a form; for the same servers also in the query.
    Body(Pointer),
}

/// A value that a condition accepts.
#[derive(Debug, PartialEq)]
pub enum ConditionValue {
    /// Anything, an empty text included.
    Anything,
    /// This text.
    Text(String),
    /// A path, compared as paths are.
    Path(PathPattern),
}

/// A value of a request, and whether every server reads it under this name.
type FoundValue<'r> = (Cow<'r, str>, bool);

impl Condition {
    /// How a request fits. As written only if no server could read another value.
    pub(in crate::request) fn fit(&self, request: &Request<'_>, style: PathStyle) -> Fit {
        let given = self.find_values(request, style);
        let is_meant =
            |(value, _): &FoundValue<'_>| self.values.iter().any(|one| one.accepts(value, style));
        let is_exact =
            |(value, _): &FoundValue<'_>| self.values.iter().any(|one| one.accepts_exactly(value));
        if given.iter().all(is_exact) && given.iter().any(|(_, is_certain)| *is_certain) {
            Fit::AsWritten
        } else if given.iter().any(is_meant) {
            Fit::Leniently
        } else {
            Fit::No
        }
    }

    /// The texts that it accepts, if it accepts nothing else.
    pub(in crate::request) fn texts(&self) -> Option<Vec<&str>> {
        let texts = self.values.iter().map(|value| match value {
            ConditionValue::Text(text) => Some(text.as_str()),
            ConditionValue::Anything | ConditionValue::Path(_) => None,
        });
        texts.collect()
    }

    /// What a request has in its place.
    pub(in crate::request) fn given<'r>(
        &self,
        request: &Request<'r>,
        style: PathStyle,
    ) -> impl Iterator<Item = Cow<'r, str>> {
        let given = self.find_values(request, style).into_iter();
        given.map(|(value, _)| value)
    }

    /// What is the same of a text that it accepts and of every value that fits it.
    pub(in crate::request) fn key_of(text: &str, style: PathStyle) -> Cow<'_, str> {
        let text = text.trim_matches(is_blank);
        if style.ignore_case && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        Cow::Borrowed(text)
    }

    fn find_values<'r>(
        &self,
        request: &Request<'r>,
        style: PathStyle,
    ) -> SmallVec<[FoundValue<'r>; 2]> {
        match &self.at {
            ConditionPlace::Header(name) => header_values(name, request),
            ConditionPlace::Cookie(name) => cookie_values(name, request),
            ConditionPlace::Parameter(name) => parameter_values(&[name], request, style),
            ConditionPlace::Body(pointer) => {
                let segments = pointer.segments();
                let segments: SmallVec<[&str; 4]> = segments.iter().map(String::as_str).collect();
                parameter_values(&segments, request, style)
            }
        }
    }
}

impl ConditionValue {
    fn accepts(&self, given: &str, style: PathStyle) -> bool {
        match self {
            Self::Anything => true,
            Self::Text(wanted) => {
                let given = given.trim_matches(is_blank);
                given == wanted || style.ignore_case && given.eq_ignore_ascii_case(wanted)
            }
            Self::Path(pattern) => {
                let path = Path::parse(given);
                path.readings()
                    .any(|reading| pattern.matches(reading, style))
            }
        }
    }

    fn accepts_exactly(&self, given: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::Text(wanted) => given == wanted,
            Self::Path(pattern) => pattern.is_written(given, PathStyle::default()),
        }
    }
}

/// The values of a header. With CGI, its name may have underscores.
fn header_values<'r>(name: &HeaderName, request: &Request<'r>) -> SmallVec<[FoundValue<'r>; 2]> {
    let mut found = SmallVec::new();
    for (given, line) in &request.head.headers {
        if !is_spelling_of(given, name) {
            continue;
        }
        let Ok(line) = line.to_str() else {
            found.push((
                String::from_utf8_lossy(line.as_bytes()).into_owned().into(),
                false,
            ));
            continue;
        };
        let line = line.trim();
        found.push((Cow::Borrowed(line), given == name));
        if line.contains(',') {
            let items = line
                .split(',')
                .map(|item| (Cow::Borrowed(item.trim()), false));
            found.extend(items);
        }
    }
    found
}

/// The values of a cookie, as they are written (RFC 6265 section 5.4).
fn cookie_values<'r>(name: &str, request: &Request<'r>) -> SmallVec<[FoundValue<'r>; 2]> {
    let pairs = sent_pairs(&request.head.headers);
    let values = pairs.filter(|(given, _)| *given == name.as_bytes());
    let values = values.map(|(_, value)| match std::str::from_utf8(value) {
        Ok(value) => (Cow::Borrowed(value.trim_matches('"')), true),
        Err(_) => (String::from_utf8_lossy(value).into_owned().into(), false),
    });
    values.collect()
}

/// The values of a parameter in the query and in a form, multipart or JSON body: there are servers that read it from each.
/// `place` has several names for a nested value.
pub(in crate::request) fn parameter_values<'r>(
    place: &[&str],
    request: &Request<'r>,
    style: PathStyle,
) -> SmallVec<[FoundValue<'r>; 2]> {
    let mut found = SmallVec::new();
    let is_same = |given: &str, name: &str| {
        given == name || style.ignore_case && given.eq_ignore_ascii_case(name)
    };
    let names = form_names(place);
    let is_called =
        |given: &str| is_called_by(given, |one| names.iter().any(|name| is_same(one, name)));
    let mut take = |name: &str, value: Cow<'r, str>| {
        if is_called(name) {
            let is_certain = names.iter().any(|one| one == name);
            found.push((value, is_certain));
        }
    };
    visit_pairs(
        request.head.uri.query().unwrap_or_default().as_bytes(),
        &mut take,
    );
    let Some(body) = request.body.filter(|body| !body.is_empty()) else {
        return found;
    };
    let kind = content_type(request);
    if kind.contains("multipart/") {
        let kind = content_type_as_sent(request);
        multipart::fields(&kind, body).for_each(|(name, value)| take(&name, value));
        return found;
    }
    if !kind.contains("json") || kind.contains("form") {
        visit_pairs(body, &mut take);
    }
    if may_have_member(body, place.last().copied().unwrap_or_default(), style)
        && let Some(value) = LaxValue::parse(body)
    {
        let mut take = |text: &str| found.push((Cow::Owned(text.to_owned()), true));
        value.visit_at(place, is_same, &mut take);
    }
    found
}

/// The names of a nested value in a form: `a[b]` (PHP, Rails), `a.b` (Java, .NET).
fn form_names(place: &[&str]) -> SmallVec<[String; 2]> {
    match place {
        [] => SmallVec::new(),
        [name] => SmallVec::from_iter([(*name).to_owned()]),
        [first, rest @ ..] => {
            let bracketed = format!("{first}[{}]", rest.join("]["));
            SmallVec::from_iter([bracketed, place.join(".")])
        }
    }
}

/// Calls `take` with the pairs between `&`, and with those between `;`, where some servers split, too.
fn visit_pairs<'r>(pairs: &'r [u8], take: &mut impl FnMut(&str, Cow<'r, str>)) {
    for (name, value) in form_urlencoded::parse(pairs) {
        take(&name, value);
    }
    if memchr::memchr(b';', pairs).is_some() {
        for piece in pairs.split(|byte| matches!(byte, b'&' | b';')) {
            for (name, value) in form_urlencoded::parse(piece) {
                take(&name, value);
            }
        }
    }
}

/// Whether a JSON body may have a member of this name. Most have none and need not be parsed.
fn may_have_member(body: &[u8], name: &str, style: PathStyle) -> bool {
    let is_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'[' | 0xef));
    let has = |part: &[u8]| memmem::find(body, part).is_some();
    is_json && (style.ignore_case || has(name.as_bytes()) || has(b"\\u"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: PathStyle = PathStyle {
        ignore_case: false,
        exact_slash: false,
        get_override: false,
    };
    const LOOSE: PathStyle = PathStyle {
        ignore_case: true,
        exact_slash: false,
        get_override: false,
    };
    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json";

    fn fit(
        condition: &Condition,
        (target, kind, body): (&str, &str, &str),
        style: PathStyle,
    ) -> Fit {
        let head = http::Request::post(target)
            .header("content-type", kind)
            .header("next-action", "7f00, 7f01")
            .header("x_mode", "out");
        let (head, ()) = head.body(()).unwrap().into_parts();
        condition.fit(&Request::new(&head, Some(body.as_bytes())), style)
    }

    fn text(value: &str) -> Vec<ConditionValue> {
        vec![ConditionValue::Text(value.to_owned())]
    }

    fn route() -> Condition {
        Condition {
            at: ConditionPlace::Parameter("rest_route".to_owned()),
            values: vec![ConditionValue::Path(
                PathPattern::parse("/cocart/v1/logout").unwrap(),
            )],
        }
    }

    fn scope(pointer: &str) -> Condition {
        Condition {
            at: ConditionPlace::Body(Pointer::parse(pointer).unwrap()),
            values: text("global"),
        }
    }

    #[test]
    fn a_parameter_is_found_wherever_a_server_takes_it_from_attacks_a2() {
        for said in [
            ("/?rest_route=/cocart/v1/logout", "", ""),
            ("/?rest.route=/cocart/v1/logout", "", ""),
            ("/?rest%20route=/cocart/v1/logout", "", ""),
            ("/?+rest_route=/cocart/v1/logout", "", ""),
            ("/?rest[route=/cocart/v1/logout", "", ""),
            ("/?rest_route[]=/cocart/v1/logout", "", ""),
            ("/?a=b;rest_route=/cocart/v1/logout", "", ""),
            ("/?rest_route=/cocart/v1/logout%0a", "", ""),
            ("/?rest_route=/wc/x&rest_route=//cocart/v1/logout/", "", ""),
            ("/", FORM, "rest_route=/cocart/v1/logout"),
            ("/", FORM, "rest.route=%2Fcocart%2Fv1%2Flogout"),
            ("/", "", "rest_route=/cocart/v1/logout"),
            ("/", "text/plain", "a=b\r\n&rest_route=/cocart/v1/logout"),
            ("/", JSON, r#"{"rest_route":"/cocart/v1/logout"}"#),
            ("/", JSON, r#"{"rest\u005froute":"\/cocart\/v1\/logout"}"#),
            (
                "/",
                JSON,
                r#"{"rest_route":"x","rest_route":"/cocart/v1/logout"}"#,
            ),
            ("/", "", r#"{"rest_route":"/cocart/v1/logout"}"#),
            (
                "/",
                "multipart/form-data; boundary=b",
                "--b\r\nContent-Disposition: form-data; name=\"rest_route\"\r\n\r\n/cocart/v1/logout\r\n--b--\r\n",
            ),
        ] {
            assert_ne!(fit(&route(), said, EXACT), Fit::No, "{said:?}");
        }
        for said in [
            ("/?rest_route=/cocart/v1/logouts", "", ""),
            ("/?REST_ROUTE=/cocart/v1/logout", "", ""),
            ("/?restroute=/cocart/v1/logout", "", ""),
            ("/", JSON, r#"{"a":{"rest_route":"/cocart/v1/logout"}}"#),
            ("/", FORM, "x=rest_route=/cocart/v1/logout"),
        ] {
            assert_eq!(fit(&route(), said, EXACT), Fit::No, "{said:?}");
        }
        let shouted = ("/?REST_ROUTE=/CoCart/V1/Logout", "", "");
        assert_eq!(fit(&route(), shouted, LOOSE), Fit::Leniently);
    }

    #[test]
    fn a_value_of_a_body_is_found_as_json_and_as_a_form_field_f8() {
        for (pointer, said) in [
            ("/scope", ("/", JSON, r#"{"scope":"global"}"#)),
            ("/scope", ("/", FORM, "scope=global")),
            ("/scope", ("/?scope=global", "", "")),
            ("/scope", ("/", FORM, "scope=%20global%0a")),
            ("/a/scope", ("/", JSON, r#"{"a":{"scope":"global"}}"#)),
            ("/a/scope", ("/", FORM, "a[scope]=global")),
            ("/a/scope", ("/", FORM, "a.scope=global")),
        ] {
            assert_ne!(fit(&scope(pointer), said, EXACT), Fit::No, "{said:?}");
        }
        for said in [
            ("/", JSON, r#"{"scope":"local"}"#),
            ("/", FORM, "scopes=global"),
            ("/", "", ""),
        ] {
            assert_eq!(fit(&scope("/scope"), said, EXACT), Fit::No, "{said:?}");
        }
    }

    #[test]
    fn a_condition_fits_to_the_letter_only_if_no_server_reads_another_value_attacks_a11() {
        let exactly = |said| fit(&scope("/scope"), said, EXACT) == Fit::AsWritten;
        assert!(exactly(("/", JSON, r#"{"scope":"global"}"#)));
        assert!(exactly(("/?scope=global", "", "")));
        for said in [
            ("/?scope=global&scope=local", "", ""),
            ("/?scope=local", JSON, r#"{"scope":"global"}"#),
            ("/", JSON, r#"{"scope":"global","scope":"local"}"#),
            ("/", FORM, "scope=global%20"),
            ("/", FORM, "scope[]=global"),
        ] {
            assert_eq!(
                fit(&scope("/scope"), said, EXACT),
                Fit::Leniently,
                "{said:?}"
            );
        }
    }

    #[test]
    fn a_header_has_one_of_the_values_or_any_field_f8() {
        let header = |name: &str, values| Condition {
            at: ConditionPlace::Header(HeaderName::try_from(name).unwrap()),
            values,
        };
        let fits = |condition| fit(&condition, ("/", "", ""), EXACT) != Fit::No;
        assert!(fits(header("next-action", text("7f00"))));
        assert!(fits(header("next-action", text("7f01"))));
        assert!(fits(header("x-mode", text("out"))));
        assert!(fits(header("next-action", vec![ConditionValue::Anything])));
        assert!(!fits(header("next-action", text("7f02"))));
        assert!(!fits(header("x-other", vec![ConditionValue::Anything])));
    }
}
