//! Which clients are served, by their addresses.

use std::fmt;

use super::peer::{Peer, Peers};

/// The clients that are served, and those that are not. What is denied is never allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    /// Only these; none: all.
    pub allow: Peers,
    /// Not these.
    pub deny: Peers,
}

impl AccessList {
    /// Whether this client is served; one that is not known only where every client is.
    pub fn admits(&self, client: Option<Peer>) -> bool {
        let Some(client) = client else {
            return self.allow.is_empty() && self.deny.is_empty();
        };
        !self.deny.contains(client) && (self.allow.is_empty() || self.allow.contains(client))
    }
}

/// What is said, each behind a comma, as `check` lists it.
impl fmt::Display for AccessList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { allow, deny } = self;
        for (key, peers) in [("allow", allow), ("deny", deny)] {
            if !peers.is_empty() {
                write!(f, ", {key} {}", peers.to_string().replace(", ", " and "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(allow: &[&str], deny: &[&str]) -> AccessList {
        let peers = |texts: &[&str]| {
            let networks = texts.iter().filter(|text| **text != "unix:");
            Peers {
                networks: networks.map(|text| text.parse().unwrap()).collect(),
                unix: texts.contains(&"unix:"),
            }
        };
        AccessList {
            allow: peers(allow),
            deny: peers(deny),
        }
    }

    fn peer(text: &str) -> Option<Peer> {
        if text == "unix:" {
            return Some(Peer::Unix);
        }
        text.parse().ok().map(Peer::at)
    }

    #[test]
    fn a_client_by_a_unix_socket_is_meant_by_its_own_word_alone() {
        for (allow, deny, is_admitted) in [
            (&[][..], &[][..], true),
            (&[], &["0.0.0.0/0", "::/0"], true),
            (&[], &["unix:"], false),
            (&["0.0.0.0/0", "::/0"], &[], false),
            (&["10.0.0.0/8", "unix:"], &["0.0.0.0/32"], true),
            (&["unix:"], &["unix:"], false),
        ] {
            let list = list(allow, deny);
            assert_eq!(list.admits(Some(Peer::Unix)), is_admitted, "{list:?}");
        }
    }

    #[test]
    fn what_is_denied_is_never_allowed() {
        let admits = |list: &AccessList, client: &str| list.admits(peer(client));
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
