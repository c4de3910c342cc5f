//! The condition of a route on the client's certificate.

use std::fmt;

use crate::request::client_certificate::ClientCertificate;

/// What must hold of the client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateCondition {
    /// The client has shown one, or has shown none.
    Shown(bool),
    /// Its subject or one of its alternative names is one of these, to the letter.
    Named(Vec<String>),
}

impl CertificateCondition {
    /// Whether it holds.
    pub(super) fn holds(&self, certificate: Option<&ClientCertificate>) -> bool {
        match (self, certificate) {
            (Self::Shown(shown), certificate) => *shown == certificate.is_some(),
            (Self::Named(_), None) => false,
            (Self::Named(names), Some(certificate)) => {
                names.contains(&certificate.subject)
                    || certificate.names.iter().any(|name| names.contains(name))
            }
        }
    }
}

/// As `check --explain` lists it.
impl fmt::Display for CertificateCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shown(true) => f.write_str("client certificate"),
            Self::Shown(false) => f.write_str("no client certificate"),
            Self::Named(names) => write!(f, "client certificate {}", names.join(" or ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_compared_to_the_letter() {
        let certificate = ClientCertificate {
            subject: "CN=Alice,O=Example".to_owned(),
            names: vec!["DNS:alice.example.com".to_owned()],
            fingerprint: String::new(),
        };
        let named = |name: &str| CertificateCondition::Named(vec![name.to_owned()]);
        for (condition, with, without) in [
            (CertificateCondition::Shown(true), true, false),
            (CertificateCondition::Shown(false), false, true),
            (named("CN=Alice,O=Example"), true, false),
            (named("DNS:alice.example.com"), true, false),
            (named("CN=Alice"), false, false),
            (named("alice.example.com"), false, false),
            (named(""), false, false),
        ] {
            assert_eq!(condition.holds(Some(&certificate)), with, "{condition:?}");
            assert_eq!(condition.holds(None), without, "{condition:?}");
        }
    }
}
