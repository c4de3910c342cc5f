//! Requests of an access log: lines of JSON as Doorward writes them, or the combined format of Apache, nginx and Doorward.

use std::net::IpAddr;

use serde_json::Value;

/// A request as a line of a log has it: without headers and body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LoggedRequest {
    pub(super) method: String,
    /// The path, with the query if the log has it.
    pub(super) target: String,
    pub(super) host: Option<String>,
    pub(super) is_encrypted: Option<bool>,
    pub(super) client: Option<IpAddr>,
}

/// Reads a line of JSON; `None`: it has no method and path.
pub(super) fn parse_json(line: &[u8]) -> Option<LoggedRequest> {
    let line: Value = serde_json::from_slice(line).ok()?;
    let text = |key: &str| line.get(key)?.as_str().map(str::to_owned);
    Some(LoggedRequest {
        method: text("method")?,
        target: text("path")?,
        host: text("host"),
        is_encrypted: text("scheme").map(|scheme| scheme == "https"),
        client: text("client").and_then(|client| client.parse().ok()),
    })
}

/// Reads a line of the combined format, and the fields that Doorward writes behind it; `None`: it is none.
pub(super) fn parse_combined(line: &[u8]) -> Option<LoggedRequest> {
    let line = std::str::from_utf8(line).ok()?;
    let (client, rest) = line.split_once(' ')?;
    let (_, rest) = rest.split_once('"')?;
    let (call, rest) = quoted(rest)?;
    let mut words = call.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    if method.is_empty() || method == "-" {
        return None;
    }
    Some(LoggedRequest {
        method,
        target,
        host: field(rest, "host"),
        is_encrypted: field(rest, "scheme").map(|scheme| scheme == "https"),
        client: client.parse().ok(),
    })
}

/// The text up to the next quote, with `\"` and `\xHH` in it read, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut out, mut rest) = (Vec::new(), text.bytes().enumerate());
    while let Some((at, byte)) = rest.next() {
        match byte {
            b'"' => return Some((String::from_utf8(out).ok()?, text.get(at + 1..)?)),
            b'\\' => match rest.next()? {
                (at, b'x') => {
                    out.push(u8::from_str_radix(text.get(at + 1..at + 3)?, 16).ok()?);
                    rest.nth(1);
                }
                (_, other) => out.push(other),
            },
            other => out.push(other),
        }
    }
    None
}

/// The value of a field that is written as ` name="value"`.
fn field(rest: &str, name: &str) -> Option<String> {
    let (_, value) = rest.split_once(&format!(" {name}=\""))?;
    Some(quoted(value)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_apache_nginx_and_doorward_are_read() {
        let plain = br#"192.0.2.7 - alice [30/Nov/2026:20:06:11 +0000] "GET /a?b=\"c\x22 HTTP/1.1" 200 5 "https://x/" "curl""#;
        let read = parse_combined(plain).unwrap();
        assert_eq!(read.target, "/a?b=\"c\"");
        assert_eq!((read.method.as_str(), read.host), ("GET", None));
        assert_eq!(read.client, "192.0.2.7".parse().ok());
        let ours = br#"192.0.2.7 - - [30/Nov/2026:20:06:11 +0000] "GET /a HTTP/1.1" 200 5 "-" "-" scheme="https" host="a.example""#;
        let read = parse_combined(ours).unwrap();
        assert_eq!(read.host.as_deref(), Some("a.example"));
        assert_eq!(read.is_encrypted, Some(true));
        let json =
            br#"{"method":"GET","path":"/a","host":"a.example","scheme":"http","client":"::1"}"#;
        let read = parse_json(json).unwrap();
        assert_eq!(
            (read.target.as_str(), read.is_encrypted),
            ("/a", Some(false))
        );
        for other in [
            "",
            "x",
            "1.2.3.4 - - [x] \"-\" 400 0",
            "1.2.3.4 - - [x] \"GET",
        ] {
            assert_eq!(parse_combined(other.as_bytes()), None, "{other}");
        }
        assert_eq!(parse_json(b"{\"method\":\"GET\"}"), None);
    }
}
