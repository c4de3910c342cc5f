//! Which clients are served, by their addresses.

use std::net::IpAddr;

use ipnet::IpNet;

/// The networks whose clients are served, and those whose clients are not. What is denied is never allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    /// Only these; none: all.
    pub allow: Vec<IpNet>,
    /// Not these.
    pub deny: Vec<IpNet>,
}

impl AccessList {
    /// Whether this client is served; one without an address only where every client is.
    pub fn admits(&self, client: Option<IpAddr>) -> bool {
        let Some(client) = client.map(|client| client.to_canonical()) else {
            return self.allow.is_empty() && self.deny.is_empty();
        };
        let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&client));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(allow: &[&str], deny: &[&str]) -> AccessList {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        AccessList {
            allow: networks(allow),
            deny: networks(deny),
        }
    }

    #[test]
    fn what_is_denied_is_never_allowed() {
        let admits = |list: &AccessList, client: &str| list.admits(client.parse().ok());
        let both = list(&["10.0.0.0/8", "2001:db8::/32"], &["10.1.0.0/16"]);
        for (client, is_admitted) in [
            ("10.0.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("10.1.0.1", false),
            ("::ffff:10.1.0.1", false),
            ("192.0.2.1", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
            ("unknown", false),
        ] {
            assert_eq!(admits(&both, client), is_admitted, "{client}");
        }
        let denying = list(&[], &["192.0.2.0/24"]);
        assert!(admits(&denying, "10.0.0.1") && !admits(&denying, "192.0.2.9"));
        assert!(!denying.admits(None));
        assert!(AccessList::default().admits(None));
    }
}
