//! The fields of a line of the access log.

/// A field of a line of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessField {
    /// When the header block of the request had arrived.
    Time,
    /// The request id.
    Request,
    /// The node of the cluster.
    Node,
    /// The address of the client.
    Client,
    /// The method.
    Method,
    /// `https` or `http`.
    Scheme,
    /// The host.
    Host,
    /// The path, without what could be a credential.
    Path,
    /// The version of HTTP.
    Protocol,
    /// The status of the answer.
    Status,
    /// The bytes of the body of the answer.
    Bytes,
    /// How long the request took, in milliseconds.
    Duration,
    /// The shop.
    Shop,
    /// The route.
    Route,
    /// What became of the request.
    Verdict,
    /// Why it was refused.
    Reason,
    /// Why exactly.
    Detail,
    /// Where the credential stood for which it was refused.
    Place,
    /// The short name of the token for which it was refused.
    Token,
    /// Why it would be refused, were it not only observed.
    Would,
    /// How the exchange failed.
    Error,
    /// The server of the shop.
    Upstream,
    /// The page that led to it, without query.
    Referer,
    /// The program of the client.
    UserAgent,
    /// The id of the trace (W3C Trace Context).
    Trace,
    /// The id of the caller's span.
    Span,
}

impl AccessField {
    /// Every field with its name.
    pub const NAMED: [(&str, Self); 26] = [
        ("time", Self::Time),
        ("request", Self::Request),
        ("node", Self::Node),
        ("client", Self::Client),
        ("method", Self::Method),
        ("scheme", Self::Scheme),
        ("host", Self::Host),
        ("path", Self::Path),
        ("protocol", Self::Protocol),
        ("status", Self::Status),
        ("bytes", Self::Bytes),
        ("duration_ms", Self::Duration),
        ("shop", Self::Shop),
        ("route", Self::Route),
        ("verdict", Self::Verdict),
        ("reason", Self::Reason),
        ("detail", Self::Detail),
        ("place", Self::Place),
        ("token", Self::Token),
        ("would", Self::Would),
        ("error", Self::Error),
        ("upstream", Self::Upstream),
        ("referer", Self::Referer),
        ("user_agent", Self::UserAgent),
        ("trace_id", Self::Trace),
        ("span_id", Self::Span),
    ];

    /// All of them, in this order.
    pub fn all() -> Vec<Self> {
        Self::NAMED.iter().map(|(_, field)| *field).collect()
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let mut named = Self::NAMED.iter();
        let found = named.find(|(_, field)| *field == self);
        found.map_or("", |(name, _)| *name)
    }
}
