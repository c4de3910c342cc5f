//! Text with placeholders, such as `https://{host}{uri}`.

use crate::request::client_certificate::ClientCertificate;
use crate::request::token::Subject;

/// What may stand in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// The host of the request, without its port.
    Host,
    /// Its path, as it was sent.
    Path,
    /// Its query, without `?`; nothing, if it has none.
    Query,
    /// Its path, and its query with `?` before it.
    Uri,
    /// The client's address.
    Client,
    /// The id of the request.
    RequestId,
    /// The name of the shop.
    Shop,
    /// The customer in a verified token; nothing, if there is none.
    Subject,
    /// The subject of the client's certificate; nothing, if it has shown none.
    CertificateSubject,
    /// The fingerprint of the client's certificate; nothing, if it has shown none.
    CertificateFingerprint,
}

/// Text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// A part of such a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// As it is written.
    Text(String),
    /// What stands in braces.
    Of(Placeholder),
}

/// What stands for the placeholders of one request.
#[derive(Clone, Copy, Debug)]
pub struct TemplateFacts<'r> {
    /// [`Placeholder::Host`].
    pub host: &'r str,
    /// [`Placeholder::Path`].
    pub path: &'r str,
    /// [`Placeholder::Query`].
    pub query: Option<&'r str>,
    /// [`Placeholder::Client`].
    pub client: &'r str,
    /// [`Placeholder::RequestId`].
    pub request_id: &'r str,
    /// [`Placeholder::Shop`].
    pub shop: &'r str,
    /// [`Placeholder::Subject`].
    pub subject: Option<&'r Subject>,
    /// [`Placeholder::CertificateSubject`] and [`Placeholder::CertificateFingerprint`].
    pub certificate: Option<&'r ClientCertificate>,
}

const WANTED: &str = "text in which only {host}, {path}, {query}, {uri}, {client}, {request_id}, {shop}, {subject}, {client_cert_subject} and {client_cert_fingerprint} stand in braces";

impl Placeholder {
    const ALL: [(&'static str, Self); 10] = [
        ("host", Self::Host),
        ("path", Self::Path),
        ("query", Self::Query),
        ("uri", Self::Uri),
        ("client", Self::Client),
        ("request_id", Self::RequestId),
        ("shop", Self::Shop),
        ("subject", Self::Subject),
        ("client_cert_subject", Self::CertificateSubject),
        ("client_cert_fingerprint", Self::CertificateFingerprint),
    ];

    fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(known, _)| *known == name).map(|(_, one)| *one)
    }
}

impl Template {
    /// Reads a text. It has no control character, so that it can stand in a header.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().any(char::is_control) {
            return Err("text without control characters");
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').ok_or(WANTED)?;
            if before.contains('}') {
                return Err(WANTED);
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Of(Placeholder::named(name).ok_or(WANTED)?));
            rest = behind;
        }
        if rest.contains('}') {
            return Err(WANTED);
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Whether it names the customer.
    pub fn names_subject(&self) -> bool {
        let mut parts = self.0.iter();
        parts.any(|part| *part == Part::Of(Placeholder::Subject))
    }

    /// Whether it names the certificate of the client.
    pub fn names_certificate(&self) -> bool {
        let mut parts = self.0.iter();
        parts.any(|part| {
            matches!(
                part,
                Part::Of(Placeholder::CertificateSubject | Placeholder::CertificateFingerprint)
            )
        })
    }

    /// Its parts, in order.
    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The text for a header. `?{query}` is nothing where there is no query.
    pub(super) fn text(&self, facts: &TemplateFacts<'_>) -> String {
        self.text_with(facts, Subject::in_header)
    }

    /// The same, for an address.
    pub(super) fn address(&self, facts: &TemplateFacts<'_>) -> String {
        self.text_with(facts, Subject::in_address)
    }

    fn text_with(&self, facts: &TemplateFacts<'_>, written: fn(&Subject) -> String) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Of(Placeholder::Host) => text.push_str(facts.host),
                Part::Of(Placeholder::Path) => text.push_str(facts.path),
                Part::Of(Placeholder::Query) => match facts.query {
                    Some(query) => text.push_str(query),
                    None if text.ends_with('?') => drop(text.pop()),
                    None => {}
                },
                Part::Of(Placeholder::Uri) => {
                    text.push_str(facts.path);
                    if let Some(query) = facts.query {
                        text.push('?');
                        text.push_str(query);
                    }
                }
                Part::Of(Placeholder::Client) => text.push_str(facts.client),
                Part::Of(Placeholder::RequestId) => text.push_str(facts.request_id),
                Part::Of(Placeholder::Shop) => text.push_str(facts.shop),
                Part::Of(Placeholder::Subject) => {
                    text.push_str(&facts.subject.map(written).unwrap_or_default());
                }
                Part::Of(Placeholder::CertificateSubject) => {
                    text.push_str(facts.certificate.map_or("", |one| &one.subject));
                }
                Part::Of(Placeholder::CertificateFingerprint) => {
                    text.push_str(facts.certificate.map_or("", |one| &one.fingerprint));
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: TemplateFacts<'_> = TemplateFacts {
        host: "shop.example.com",
        path: "/a%20b",
        query: Some("c=d"),
        client: "2001:db8::1",
        request_id: "7",
        shop: "main",
        subject: None,
        certificate: None,
    };

    fn text(template: &str, facts: &TemplateFacts<'_>) -> String {
        Template::parse(template).unwrap().text(facts)
    }

    #[test]
    fn placeholders_are_filled_in() {
        let all = "https://{host}{path}?{query} {uri} {client} {request_id} {shop}";
        let filled = "https://shop.example.com/a%20b?c=d /a%20b?c=d 2001:db8::1 7 main";
        assert_eq!(text(all, &FACTS), filled);
        let without = TemplateFacts {
            query: None,
            ..FACTS
        };
        assert_eq!(text("{path}?{query}#x", &without), "/a%20b#x");
        assert_eq!(text("{uri}", &without), "/a%20b");
        assert_eq!(text("", &FACTS), "");
    }

    #[test]
    fn what_is_no_placeholder_is_an_error() {
        for unfit in [
            "{",
            "}",
            "{}",
            "{hosts}",
            "a}b{host}",
            "{host",
            "{host}}",
            "{ host }",
            "a\r\nb",
            "\0",
        ] {
            assert!(Template::parse(unfit).is_err(), "{unfit}");
        }
    }
}
