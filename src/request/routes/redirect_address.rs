//! The address of a redirect, of which no client chooses the host.

use super::template::{Part, Placeholder, Template, TemplateFacts};

/// The address of a redirect. The host in it is the operator's or the one of the request, whatever else a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectAddress {
    template: Template,
    /// Whether it is a path, which stays on the host.
    is_path: bool,
}

const WANTED: &str = "an address such as https://{host}{uri} or /new{path}";
const OPEN: &str = "an address whose host no client can choose: of the placeholders only {host} and {shop} may stand before its path";
const TWO_SLASHES: &str =
    "an address with one slash before its path: {path} and {uri} begin with one";

impl RedirectAddress {
    /// Reads an address, in which placeholders may stand.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            return Err(WANTED); // browsers drop it
        }
        let template = Template::parse(text)?;
        let is_path = match template.parts() {
            [] => return Err(WANTED),
            [Part::Of(Placeholder::Path | Placeholder::Uri), ..] => true,
            [Part::Of(_), ..] => return Err(OPEN),
            [Part::Text(first), rest @ ..] => is_path(&first.replace('\\', "/"), rest)?,
        };
        Ok(Self { template, is_path })
    }

    /// Whether it names the customer.
    pub fn names_subject(&self) -> bool {
        self.template.names_subject()
    }

    /// The address for one request. A path that another site could be read from stays one of this host.
    pub(super) fn of(&self, facts: &TemplateFacts<'_>) -> String {
        let to = self.template.address(facts);
        if self.is_path {
            format!("/{}", to.trim_start_matches(['/', '\\']))
        } else {
            to
        }
    }
}

/// Whether an address that begins with this text is a path. Browsers take a backslash for a slash.
fn is_path(first: &str, rest: &[Part]) -> Result<bool, &'static str> {
    if let Some(authority) = first.strip_prefix("//") {
        return has_fixed_host(authority, rest).then_some(false).ok_or(OPEN);
    }
    if first.starts_with('/') {
        let begins_again = matches!(
            rest,
            [
                Part::Of(Placeholder::Path | Placeholder::Uri | Placeholder::Query),
                ..
            ]
        );
        return if first == "/" && begins_again {
            Err(TWO_SLASHES)
        } else {
            Ok(true)
        };
    }
    match first
        .find([':', '/', '?', '#'])
        .map(|at| first.split_at(at))
    {
        Some(("", _)) if first.starts_with(':') => Err(WANTED),
        Some((_, behind)) if behind.starts_with(':') => {
            let authority = behind.strip_prefix("://").ok_or(WANTED)?;
            has_fixed_host(authority, rest).then_some(false).ok_or(OPEN)
        }
        Some(_) => Ok(false), // relative to the path of the request
        None if rest.is_empty() => Ok(false),
        None => Err(OPEN), // such as https{query}
    }
}

/// Whether the host that begins here ends before anything that a client can choose.
fn has_fixed_host(begin: &str, rest: &[Part]) -> bool {
    let mut has_host = !begin.starts_with(['/', '?', '#']) && !begin.is_empty();
    if begin.contains(['/', '?', '#']) {
        return has_host;
    }
    for part in rest {
        match part {
            Part::Text(text) => {
                has_host |= !text.starts_with(['/', '\\', '?', '#']);
                if text.contains(['/', '\\', '?', '#']) {
                    return has_host;
                }
            }
            Part::Of(Placeholder::Host | Placeholder::Shop) => has_host = true,
            Part::Of(Placeholder::Path | Placeholder::Uri) => return has_host,
            Part::Of(
                Placeholder::Query
                | Placeholder::Client
                | Placeholder::RequestId
                | Placeholder::Subject
                | Placeholder::CertificateSubject
                | Placeholder::CertificateFingerprint,
            ) => return false,
        }
    }
    has_host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_chooses_the_host_of_a_redirect() {
        for open in [
            "{query}",
            "{subject}",
            "{client}",
            "{request_id}",
            "{client_cert_subject}",
            "{client_cert_fingerprint}",
            "{host}",
            "{shop}",
            "{query}://example.com/",
            "https{query}",
            "x{subject}",
            "https:{path}",
            "https:{query}",
            "https:/{path}",
            "https://{query}",
            "https://{subject}/",
            "https://{client}:8443/",
            "https://{subject}.example.com/",
            "https://www.example.com{query}",
            "https://{host}{query}",
            "https://{host}:{query}/",
            "https://{host}@{subject}/",
            "https://{path}",
            "https:///{path}",
            "https://",
            "//{path}",
            "//{uri}",
            "//{query}",
            "///{path}",
            "\\\\{query}",
            "/\\{query}",
            "\\/{subject}/",
            "/{path}",
            "/{uri}",
            "/{query}",
            "\\{path}",
            ":{path}",
            "",
        ] {
            assert!(RedirectAddress::parse(open).is_err(), "{open}");
        }
    }

    #[test]
    fn an_address_of_the_operators_is_kept() {
        for address in [
            "/",
            "/new",
            "/new{uri}",
            "{path}",
            "{uri}",
            "{path}?{query}&a=b",
            "/customers/{subject}?of={shop}",
            "/{subject}/orders",
            "https://{host}{uri}",
            "https://{host}/new{path}?{query}",
            "https://www.{host}:8443{uri}",
            "https://{shop}.example.com/?c={client}",
            "https://new.example{path}",
            "https://new.example?{query}",
            "https://new.example/{query}",
            "https://[2001:db8::1]{uri}",
            "//cdn.example.com/{query}",
            "myapp://login?{query}",
            "login",
            "./login?{query}",
            "?{query}",
            "#{subject}",
        ] {
            assert!(RedirectAddress::parse(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn a_path_stays_on_the_host() {
        let facts = TemplateFacts {
            host: "shop.example.com",
            path: "//evil.example/x",
            query: Some("/evil.example"),
            client: "192.0.2.1",
            request_id: "1",
            shop: "main",
            subject: None,
            certificate: None,
        };
        for (address, to) in [
            ("{path}", "/evil.example/x"),
            ("{uri}", "/evil.example/x?/evil.example"),
            ("/{subject}/x", "/x"),
            ("/{subject}{path}", "/evil.example/x"),
            ("/{subject}{query}", "/evil.example"),
            ("/new{path}", "/new//evil.example/x"),
        ] {
            let address = RedirectAddress::parse(address).unwrap();
            assert_eq!(address.of(&facts), to);
        }
    }
}
