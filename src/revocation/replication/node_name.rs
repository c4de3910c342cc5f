//! What a node is called.

use std::fmt;

use rustls::pki_types::DnsName;

/// What a node is called: a name that its certificate bears.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

impl NodeName {
    /// A name of lower-case letters, digits, dots and hyphens, as a certificate can bear it
    /// (RFC 5280 section 4.2.1.6), at most 63 bytes long. What ends in a number would be taken for an address.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let of_name =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        let can_be_borne = !text.ends_with('.') && DnsName::try_from(text).is_ok();
        if text.len() <= 63 && text.bytes().all(of_name) && can_be_borne {
            Ok(Self(text.to_owned()))
        } else {
            Err("a name of lower-case letters, digits, dots and hyphens, such as shop-1")
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_called_what_a_certificate_can_bear() {
        for name in ["a", "shop-1", "1a", "1.eu.doorward.internal"] {
            assert_eq!(NodeName::parse(name).unwrap().as_str(), name);
        }
        let long = "a".repeat(64);
        for name in [
            "", "A", "a_b", "-a", "a-", "a-.b", "a.", "a..b", "ä", "1", "10.0.0.1", &long,
        ] {
            assert!(NodeName::parse(name).is_err(), "{name}");
        }
    }
}
