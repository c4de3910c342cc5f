//! What a route changes in the headers of a request or an answer.

use std::fmt;

use http::{HeaderName, HeaderValue};

use super::template::{Template, TemplateFacts};
use crate::request::payload::is_spelling_of;

/// What a route changes in headers: first it removes, then it sets, then it adds.
#[derive(Debug, Default)]
pub struct HeaderRules {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, Template)>,
    add: Vec<(HeaderName, Template)>,
}

/// Why a header can't be changed by a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitHeader {
    /// It is no name of a header (RFC 9110 section 5.1).
    Name,
    /// It belongs to one connection, or says where a message ends (RFC 9110 section 7.6.1).
    HopByHop,
    /// Doorward itself writes it.
    Reserved,
}

/// What belongs to one connection, or says where a message ends.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
];

/// What tells a server who the client is, and by which way a request came: Doorward writes these itself.
const RESERVED: [&str; 6] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];

impl HeaderRules {
    /// Removes a header.
    pub fn remove(&mut self, name: &str) -> Result<(), UnfitHeader> {
        self.remove.push(changeable_header(name)?);
        Ok(())
    }

    /// Sets a header, in the place of all lines of this name.
    pub fn set(&mut self, name: &str, value: Template) -> Result<(), UnfitHeader> {
        self.set.push((changeable_header(name)?, value));
        Ok(())
    }

    /// Adds a line.
    pub fn add(&mut self, name: &str, value: Template) -> Result<(), UnfitHeader> {
        self.add.push((changeable_header(name)?, value));
        Ok(())
    }

    /// Whether a value names the customer.
    pub(super) fn name_subject(&self) -> bool {
        let mut all = self.set.iter().chain(&self.add);
        all.any(|(_, value)| value.names_subject())
    }

    /// Whether the lines of this name go first, however a server may spell it.
    pub fn replaces(&self, given: &HeaderName) -> bool {
        let is_one = |name: &HeaderName| is_spelling_of(given, name) || is_spelling_of(name, given);
        self.replaced().any(is_one)
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// The names that are removed or set: their lines go first.
    pub fn replaced(&self) -> impl Iterator<Item = &HeaderName> {
        self.remove
            .iter()
            .chain(self.set.iter().map(|(name, _)| name))
    }

    /// The lines that are added after that. A value that can't stand in a header is left out, and so is one that names a customer
    /// or a certificate where none is known.
    pub fn lines(
        &self,
        facts: &TemplateFacts<'_>,
    ) -> impl Iterator<Item = (&HeaderName, HeaderValue)> {
        let all = self.set.iter().chain(&self.add);
        all.filter_map(|(name, value)| {
            let is_unknown = facts.subject.is_none() && value.names_subject()
                || facts.certificate.is_none() && value.names_certificate();
            if is_unknown {
                return None;
            }
            let value = HeaderValue::try_from(value.text(facts)).ok()?;
            Some((name, value))
        })
    }
}

/// The name of a header that a route may write.
pub fn changeable_header(text: &str) -> Result<HeaderName, UnfitHeader> {
    let name = HeaderName::try_from(text).map_err(|_| UnfitHeader::Name)?;
    if HOP_BY_HOP.contains(&name.as_str()) {
        return Err(UnfitHeader::HopByHop);
    }
    // A CGI shop can't tell `_` from `-` (RFC 3875 section 4.1.18).
    let dashed = name.as_str().replace('_', "-");
    if RESERVED.contains(&dashed.as_str()) || dashed.starts_with("x-doorward-") {
        return Err(UnfitHeader::Reserved);
    }
    Ok(name)
}

impl fmt::Display for UnfitHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "this is no name of a header",
            Self::HopByHop => "this header belongs to one connection, and no route changes it",
            Self::Reserved => "Doorward writes this header itself, and no route changes it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::ClientCertificate;

    #[test]
    fn a_header_that_names_what_is_not_known_is_left_out() {
        let mut rules = HeaderRules::default();
        for value in [
            "{client_cert_subject}",
            "fp={client_cert_fingerprint}",
            "{subject}",
            "{shop}",
        ] {
            rules
                .set("x-client", Template::parse(value).unwrap())
                .unwrap();
        }
        let certificate = ClientCertificate {
            subject: "CN=Alice".to_owned(),
            names: Vec::new(),
            fingerprint: "00ff".to_owned(),
        };
        let written = |certificate| -> Vec<_> {
            let facts = TemplateFacts {
                host: "shop.example.com",
                path: "/",
                query: None,
                client: "192.0.2.1",
                request_id: "1",
                shop: "main",
                subject: None,
                certificate,
            };
            let lines = rules.lines(&facts);
            lines
                .map(|(_, value)| value.to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(written(None), ["main"]);
        assert_eq!(written(Some(&certificate)), ["CN=Alice", "fp=00ff", "main"]);
        assert!(rules.replaces(&HeaderName::from_static("x_client")));
    }
}
