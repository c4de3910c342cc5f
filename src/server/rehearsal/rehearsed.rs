//! What became of a request that was rehearsed.

use http::StatusCode;

use crate::request::{Findings, LogoutOrder, Refusal};
use crate::revocation::Id;

/// What became of a request that was rehearsed.
#[derive(Debug)]
pub struct Rehearsed {
    /// What would become of it.
    pub verdict: RehearsedVerdict,
    /// The number of the listener that it came to.
    pub listener: usize,
    /// Whether no listener takes it as it comes: a proxy in front must end its TLS, or begin it.
    pub is_behind_proxy: bool,
    /// The client, as far as proxies that are trusted report it.
    pub client: Option<String>,
    /// Its method and its path, without what could be a credential.
    pub call: String,
    /// Its host.
    pub host: Option<String>,
    /// The number of its shop.
    pub shop: Option<usize>,
    /// The number of the route that it takes.
    pub route: Option<usize>,
    /// Why it is refused.
    pub refusal: Option<Refusal>,
    /// Where the credential stands for which it is refused.
    pub place: Option<String>,
    /// Why it would be refused, were it not only observed.
    pub would: Option<Refusal>,
    /// The status with which Doorward answers it; `None`: its shop answers.
    pub status: Option<StatusCode>,
    /// What it shows; `None`: it belongs to no shop.
    pub findings: Option<Findings>,
    /// What it revokes, if it is a logout.
    pub logout: Option<RehearsedLogout>,
    /// What its shop is sent; `None`: nothing.
    pub sent: Option<SentRequest>,
}

/// What would become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RehearsedVerdict {
    /// It goes to the shop.
    Forwarded,
    /// It is refused.
    Refused,
    /// It is a logout, and its tokens are revoked.
    Logout,
    /// It is redirected.
    Redirected,
    /// Doorward answers it by itself.
    Answered,
    /// Its connection is closed without an answer.
    Closed,
}

impl RehearsedVerdict {
    /// Every verdict.
    pub const ALL: [Self; 6] = [
        Self::Forwarded,
        Self::Refused,
        Self::Logout,
        Self::Redirected,
        Self::Answered,
        Self::Closed,
    ];

    /// Its name, as in the access log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Refused => "refused",
            Self::Logout => "logout",
            Self::Redirected => "redirected",
            Self::Answered => "answered",
            Self::Closed => "closed",
        }
    }
}

/// What a logout revokes.
#[derive(Debug)]
pub struct RehearsedLogout {
    /// How many entries it stores.
    pub revocations: usize,
    /// In which order it is carried out.
    pub order: LogoutOrder,
    /// Whether the shop is sent it.
    pub is_forwarded: bool,
    /// The first token that it revokes.
    pub token: Option<Id>,
}

/// What a shop is sent.
#[derive(Debug)]
pub struct SentRequest {
    /// The upstream, if it has a name.
    pub upstream: Option<String>,
    /// Its servers.
    pub servers: Vec<String>,
    /// The method and the path, without what could be a credential.
    pub call: String,
    /// The headers that are added or changed, by their names.
    pub set: Vec<String>,
    /// The headers that are removed.
    pub removed: Vec<String>,
    /// How many dead cookies are taken out.
    pub dead_cookies: usize,
}
