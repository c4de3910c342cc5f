//! What an operator's order names, and why it can't be carried out.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::request::token::Flaw;

/// What an order names. Exactly one, in the JSON of the control socket.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// The token in this text.
    Token(String),
    /// The token with this id claim.
    Jti(Named),
    /// Every token of this session.
    Session(Named),
    /// Every token of this customer that is issued already.
    Subject(Named),
    /// Every token of the token domain issued before this moment, in seconds since the epoch.
    AllBefore(u64),
}

/// A name, as a claim holds it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The claim's value.
    pub name: String,
    /// The token's `iss`; `None`: of any issuer.
    pub issuer: Option<String>,
}

impl Target {
    /// The word for the log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Jti(_) => "jti",
            Self::Session(_) => "session",
            Self::Subject(_) => "subject",
            Self::AllBefore(_) => "all_before",
        }
    }
}

/// Why an order is refused. Nothing of it was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnfitOrder {
    /// The name is empty.
    Empty(&'static str),
    /// The text is more than one token.
    NotOneToken,
    /// A whole token where only its id, session or customer is expected.
    WholeToken(&'static str),
    /// The token is invalid.
    Unverifiable(Flaw),
    /// The shop accepts no tokens of this issuer; the issuers that it accepts.
    UnknownIssuer(Vec<String>),
    /// The moment is later than this one.
    InFuture(UnixTime),
    /// The shop's tokens are opaque: they name no customers, sessions and times.
    OnlyOpaque,
}

impl fmt::Display for UnfitOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(what) => write!(f, "the {what} is empty"),
            Self::NotOneToken => f.write_str(
                "this is not one token: give the token alone, or the header or cookie that carries it",
            ),
            Self::WholeToken(what) => write!(
                f,
                "a {what} is expected, and this is a whole token: give it with --token, in a file or on standard input"
            ),
            Self::Unverifiable(flaw) => write!(
                f,
                "the token can't be verified: {}; as it is, it is refused already. Is it a token of this shop?",
                flaw.name()
            ),
            Self::UnknownIssuer(known) => write!(
                f,
                "no token of this issuer is good at this shop; its issuers are: {}",
                known.join(", ")
            ),
            Self::InFuture(now) => write!(
                f,
                "the moment is in the future: every login until then would be refused, and nothing takes that back. \
                 It is {now}; say `now`, or an earlier moment"
            ),
            Self::OnlyOpaque => f.write_str(
                "the tokens of this shop are opaque: they do not say whose they are or when they were issued. \
                 Revoke them one by one with --token, or end them in the shop",
            ),
        }
    }
}
