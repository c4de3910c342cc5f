//! What the operator says of certificates that Doorward orders itself.

use crate::request::FetchUrl;
use crate::server::upstream::UpstreamTls;

/// Certificates that Doorward orders itself.
#[derive(Debug)]
pub struct AcmeSettings {
    /// Where the authority may write to.
    pub email: Option<String>,
    /// The names that need a certificate, in lower case.
    pub hosts: Vec<String>,
    /// Where the authority describes itself.
    pub directory: FetchUrl,
    /// How its own certificate is verified.
    pub tls: UpstreamTls,
    /// How it verifies that a name leads here.
    pub challenge: AcmeChallenge,
}

/// How an authority verifies that a name leads here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// It asks for a path on port 80 (RFC 8555 section 8.3).
    Http01,
    /// It asks for a certificate on port 443 (RFC 8737).
    TlsAlpn01,
}

impl AcmeSettings {
    /// The whole address of the directory.
    pub(super) fn directory_url(&self) -> String {
        format!("{}{}", self.directory, self.directory.target)
    }

    /// Whether a certificate is ordered for this name.
    pub(crate) fn orders(&self, name: &str) -> bool {
        let mut hosts = self.hosts.iter();
        hosts.any(|host| host.eq_ignore_ascii_case(name))
    }
}

impl AcmeChallenge {
    /// Its name in RFC 8555, and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}
