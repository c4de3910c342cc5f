//! What servers take for the same name, of headers and of parameters.

use http::HeaderName;

/// Whether a header is `name` to a server: servers behind CGI know it with underscores, too.
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

/// Whether a decoded name is `name` to a shop. Some compare without case. PHP strips spaces before it, ends it at a NUL or an array's
/// bracket, and makes an underscore of what a variable can't have. Rack 2 strips brackets around it, qs of Node the first pair.
pub(in crate::request) fn is_called(given: &str, name: &str) -> bool {
    is_called_by(given, |one| one.eq_ignore_ascii_case(name))
}

/// The same, for any way of comparing names.
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
