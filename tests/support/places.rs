//! The places in a request where a credential may stand, and requests that have one there.

use super::{Shop, request, stateless_bagisto};

/// A page that every shop has; who asks for it is the shop's business.
pub const PAGE: &str = "/cart";
/// The tables of a shop whose tokens are signed bearers.
pub const BEARER_JWT: &str = r#"
[shop.token]
algorithms         = ["HS256"]
secret_file        = "{secret_file}"
max_token_lifetime = "30d"

[[shop.credential]]
header  = "authorization"
schemes = ["Bearer"]
"#;

/// A shop that shows its page without a token.
pub fn open_shop() -> Shop {
    let shop = stateless_bagisto();
    shop.recite(PAGE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    shop
}

/// A request for the page, without a token.
pub fn page() -> Vec<u8> {
    request("GET", PAGE, &[], b"")
}

/// Where Bagisto's customers log out.
pub const LOGOUT: &str = "/api/shop/customers/logout";
/// Where Doorward itself logs them out.
pub const OWN_LOGOUT: &str = "/_doorward/logout";

/// Every kind of place at once; a dead cookie is refused, so that it is seen to be found.
pub const EVERYWHERE: &str = r#"
dead_cookie = "refuse"
[[shop.credential]]
header = "authorization"
schemes = ["Bearer"]
[[shop.credential]]
header = "cart-token"
[[shop.credential]]
cookie = "jwt"
[[shop.credential]]
cookie = "session_*"
kind = "opaque"
[[shop.credential]]
query = "access_token"
[[shop.credential]]
body = "/token"
[[shop.credential]]
form = "token"
"#;

/// Every kind of place but the body, which would be read ahead.
pub fn outside_the_body() -> &'static str {
    let (outside, _body) = EVERYWHERE.split_once("[[shop.credential]]\nbody").unwrap();
    outside
}

pub const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
pub const JSON: (&str, &str) = ("Content-Type", "application/json");
pub const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=b");

/// A visit with these headers.
pub fn get(headers: &[(&str, &str)]) -> Vec<u8> {
    request("GET", PAGE, headers, b"")
}

/// A visit with this `Authorization` line.
pub fn with_authorization(line: &str) -> Vec<u8> {
    get(&[("Authorization", line)])
}

/// As a client logs out, with these `Authorization` lines.
pub fn logout_with(lines: &[&str]) -> Vec<u8> {
    let mut headers = vec![("X-STOREFRONT-KEY", Shop::KEY)];
    headers.extend(lines.iter().map(|line| ("Authorization", *line)));
    request("POST", LOGOUT, &headers, b"{}")
}

/// As the holder of this token logs out.
pub fn logout_of(token: &str) -> Vec<u8> {
    logout_with(&[&format!("Bearer {token}")])
}

/// A body in chunks of that many bytes.
pub fn chunked(target: &str, headers: &[(&str, &str)], body: &[u8], chunk: usize) -> Vec<u8> {
    let headers = [&[("Transfer-Encoding", "chunked")], headers].concat();
    let mut bytes = request("POST", target, &headers, b"");
    for part in body.chunks(chunk) {
        bytes.extend(format!("{:x}\r\n", part.len()).bytes());
        bytes.extend(part);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// Bytes of every kind that no parser takes for anything.
pub fn noise(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at * at + at / 251) % 256).unwrap())
        .collect()
}
