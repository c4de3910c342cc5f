//! The name of a cookie.

/// The name of a cookie (RFC 6265 section 4.1.1).
pub(crate) fn cookie_name(text: &str) -> Result<String, &'static str> {
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
    let is_fit = !text.is_empty() && text.bytes().all(is_token);
    is_fit
        .then(|| text.to_owned())
        .ok_or("the name of a cookie")
}
