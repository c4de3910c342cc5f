//! Which names of headers and parameters servers take for the same.

use http::HeaderName;

/// Whether a server may take a header for `name`: with CGI, underscores and hyphens are the same.
pub(in crate::request) fn is_spelling_of(given: &HeaderName, name: &HeaderName) -> bool {
    if given == name {
        return true;
    }
    let (given, name) = (given.as_str(), name.as_str());
    let dashed = |byte| if byte == b'_' { b'-' } else { byte };
    given.len() == name.len()
        && given.contains('_')
        && given.bytes().map(dashed).eq(name.bytes().map(dashed))
}

/// Whether a shop may take a decoded name for `name`. Some compare without case. PHP strips spaces before a name, ends it at a
/// NUL or at a bracket, and replaces what a variable can't have by underscores. Rack 2 strips all brackets around it, qs of
/// Node the first pair.
pub(in crate::request) fn is_called(given: &str, name: &str) -> bool {
    is_called_by(given, |one| one.eq_ignore_ascii_case(name))
}

/// [`is_called`] with another comparison of names.
pub(in crate::request) fn is_called_by(given: &str, fits: impl Fn(&str) -> bool) -> bool {
    if fits(given) {
        return true;
    }
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if given.bytes().all(is_usual) {
        return false;
    }
    let given = given.trim_start().split('\0').next().unwrap_or_default();
    let variable = given.replace(['.', ' '], "_");
    let is_bracket = |letter| matches!(letter, '[' | ']');
    let inner = given.trim_start_matches(is_bracket);
    let inner = inner.split(is_bracket).next().unwrap_or_default();
    let base = variable.split('[').next().unwrap_or_default();
    fits(base) || fits(inner) || fits(&variable.replace('[', "_"))
}
