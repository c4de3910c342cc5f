//! By what the requests of a route are counted.

use std::fmt;
use std::net::IpAddr;

use http::HeaderName;

use crate::clients::ClientNetwork;
use crate::request::calls::Request;
use crate::request::credential;
use crate::request::token::Token;
use crate::revocation::Id;

/// By what the requests of a route are counted. Where a request has none of it, the client counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum LimitedBy {
    /// The address of the client, or the /64 of IPv6 that it is in.
    #[default]
    Client,
    /// The customer in the first token, or the token if it names none.
    Subject,
    /// The first token.
    Token,
    /// The value of a header.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
}

/// What one request counts for. It is hashed, and never kept or printed.
#[derive(Hash)]
pub enum CountedBy<'r> {
    /// A client.
    Client(ClientNetwork),
    /// A customer or a token.
    Id(Id),
    /// The lines of a header, or of a cookie.
    Text(Vec<&'r [u8]>),
}

impl LimitedBy {
    /// What a request counts for.
    pub fn key<'r>(
        &self,
        request: &Request<'r>,
        tokens: &[Token],
        client: IpAddr,
    ) -> CountedBy<'r> {
        let first = tokens.first();
        let text = |lines: Vec<&'r [u8]>| Some(CountedBy::Text(lines)).filter(CountedBy::is_any);
        let key = match self {
            Self::Client => None,
            Self::Subject => first
                .map(|token| token.customer().unwrap_or(token.identity().id))
                .map(CountedBy::Id),
            Self::Token => first.map(|token| CountedBy::Id(token.identity().id)),
            Self::Header(name) => {
                let lines = request.head.headers.get_all(name).iter();
                text(lines.map(http::HeaderValue::as_bytes).collect())
            }
            Self::Cookie(name) => {
                let cookies =
                    credential::cookies(request).filter(|cookie| cookie.name == name.as_bytes());
                text(cookies.map(|cookie| cookie.value).collect())
            }
        };
        key.unwrap_or(CountedBy::Client(ClientNetwork::containing(client)))
    }
}

/// As the configuration calls it.
impl fmt::Display for LimitedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Subject => f.write_str("subject"),
            Self::Token => f.write_str("token"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
        }
    }
}

impl CountedBy<'_> {
    /// Whether there is anything to count by.
    fn is_any(&self) -> bool {
        match self {
            Self::Text(lines) => lines.iter().any(|line| !line.is_empty()),
            Self::Client(_) | Self::Id(_) => true,
        }
    }
}
