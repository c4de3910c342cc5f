//! Clients that stay with the server that they were given, by a cookie that names it.

use std::fmt;

use super::server::UpstreamServer;

/// How clients stay with a server.
#[derive(Clone)]
pub struct Sticky {
    cookie: String,
    key: [u8; blake3::KEY_LEN],
}

impl Sticky {
    /// The fewest bytes of a secret.
    pub const SECRET_BYTES_MIN: usize = 16;

    /// By a cookie of this name. Its value tells no server to a client that lacks the secret.
    pub fn new(cookie: String, secret: &[u8]) -> Self {
        Self {
            cookie,
            key: blake3::derive_key("doorward 2026 name of a server in a cookie", secret),
        }
    }

    /// The name of the cookie.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// The value that names this server, wherever it stands in the configuration: the same on every node that has the secret, and
    /// after every restart.
    pub(super) fn mark_of(&self, server: &UpstreamServer) -> String {
        let place = format!("{} {}", server.endpoint, server.address);
        let hash = blake3::keyed_hash(&self.key, place.as_bytes());
        hash.to_hex()[..32].to_owned()
    }
}

/// Without the key.
impl fmt::Debug for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sticky({})", self.cookie)
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::Endpoint;
    use super::*;

    fn mark(secret: &str, endpoint: &str) -> String {
        let endpoint = Endpoint::parse(endpoint).unwrap();
        let address = endpoint.literal().unwrap();
        let server = UpstreamServer::new(endpoint, address);
        Sticky::new("side".to_owned(), secret.as_bytes()).mark_of(&server)
    }

    #[test]
    fn a_mark_tells_servers_apart_and_nothing_without_the_secret() {
        let servers = [
            "10.0.0.1:80",
            "10.0.0.1:81",
            "10.0.0.2:80",
            "unix:/run/a.sock",
        ];
        let marks = servers.map(|server| mark("a secret", server));
        for (at, one) in marks.iter().enumerate() {
            assert_eq!(*one, mark("a secret", servers[at]), "it stays");
            assert!(!marks[..at].contains(one), "{}", servers[at]);
            assert_ne!(*one, mark("another secret", servers[at]));
        }
        assert_eq!(marks[0].len(), 32);
    }

    #[test]
    fn the_key_is_not_printed() {
        let sticky = Sticky::new("side".to_owned(), b"a secret");
        assert_eq!(format!("{sticky:?}"), "Sticky(side)");
    }
}
