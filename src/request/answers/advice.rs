//! What to do about a refusal, for the operator.

use super::refusal::Refusal;
use crate::request::token::Flaw;
use crate::revocation::Cause;

impl Refusal {
    /// What to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::BadHost | Self::BadTarget | Self::Malformed | Self::RepeatedCoding => {
                "Nothing, if a scanner sent it. Otherwise look at the client's HTTP library, or at the proxy in front"
            }
            Self::AmbiguousLength | Self::UnknownCoding => {
                "Nothing, if a scanner sent it: it may be an attempt to smuggle a request. Otherwise look at the proxy in front"
            }
            Self::TargetTooLong => "If the shop needs such addresses, raise `limits.target_bytes`",
            Self::HeadTooLong => "If cookies are that long, raise `limits.header_bytes`",
            Self::HeadTimeout => {
                "If slow clients are served, raise `limits.header_timeout`; many at once may be an attack"
            }
            Self::UnknownHost => {
                "Add the host to `hosts` of its shop, or correct the DNS entry or the proxy that leads it here"
            }
            Self::UnknownPath => {
                "Add the path to `paths` of a shop, or a shop without `paths` for the rest of the host"
            }
            Self::LoopDetected => {
                "Look where `upstream` leads: it must not be an address that comes back here"
            }
            Self::AmbiguousPath => {
                "If a real client sends such paths, set `path_style` of the shop as its server reads them"
            }
            Self::TraceRefused | Self::MethodNotAllowed { .. } => {
                "Nothing: no client of a shop needs that method there"
            }
            Self::TwoCredentials => {
                "Find what adds the second credential: the client, or a proxy in front. One request may carry one bearer"
            }
            Self::MalformedCredential => {
                "Look at how the client writes its token; `schemes` and `cookie` of `[[shop.credential]]` say what is read"
            }
            Self::NominatedCredential | Self::NominatedIdentity => {
                "Find the client or proxy that writes this `Connection` header; it would remove the header that it names"
            }
            Self::UnreadableBody => {
                "If the call is no logout and carries no token, give it a route with `enforce = \"off\"`, or set `limits.unread_body`"
            }
            Self::BodyTooLarge => {
                "If the shop takes such bodies there, raise `body_limit` of the route"
            }
            Self::EncodedBody => "Let the client send the body with gzip, or without a coding",
            Self::ReadAheadFull => {
                "If this lasts, raise `limits.read_ahead_bytes`, as far as the memory allows"
            }
            Self::UnknownDocument { .. } => {
                "Nothing: the client sends the text of the document next"
            }
            Self::Unverifiable(flaw) => advice_on(flaw),
            Self::KeysMissing => {
                "Look at the log for why the keys can't be fetched from `jwks_url`, and at `doorward_keys`"
            }
            Self::KeyPending => {
                "Nothing, if it passes within seconds. Otherwise the key set at `jwks_url` lacks the key that the token names"
            }
            Self::Unconfirmed => "Look at whether the shop answers at `token.introspection`",
            Self::Syncing => "Look at `doorward cluster status`: it says what this node waits for",
            Self::Expired => {
                "Let the client refresh its token. If many are refused at once, compare the clocks of node and shop; see `leeway`"
            }
            Self::NotYetValid => "Compare the clocks of this node and of the shop; see `leeway`",
            Self::Revoked {
                cause: Cause::Unknown,
                ..
            } => {
                "The customer has to log in again. If logins are refused, let Doorward see when tokens are issued: `issued_at` or `[[shop.token_endpoint]]`"
            }
            Self::Revoked { .. } => {
                "The customer logged out, and has to log in again. If it was not the customer, see when, where and by what it was revoked"
            }
            Self::NoCredential => {
                "The customer has to log in. If the page is for everybody, its route must not have `enforce = \"required\"`"
            }
            Self::NoClientKey | Self::BadClientKey => {
                "Let the client send the shop's key; see `[shop.client_key]`"
            }
            Self::CrossSite => {
                "If the page is yours, add its origin to `origins` of the logout rule"
            }
            Self::AccessDenied => {
                "If the client should be served, change `allow` or `deny`; behind a proxy, see `trusted_proxies`"
            }
            Self::TooManyLogouts => {
                "If the shop's tokens should verify, correct its keys. Otherwise see `unverified_per_client_minute` and its neighbours"
            }
            Self::RateLimited { .. } => {
                "If honest clients are refused, raise the limit that `detail` names; behind a proxy, see `trusted_proxies`"
            }
            Self::NotDurable => {
                "At once: the disk of `data_dir` is full or broken. The token is refused here until a restart"
            }
            Self::UpstreamFailed | Self::UpstreamTimeout => {
                "Look at the shop's server, and at `health` and `timeouts` of its upstream"
            }
            Self::NoUpstream => "Look at the name in `upstream`: it has no address",
            Self::QueueFull | Self::QueueTimeout => {
                "If the shop can take more, raise `connections` or `queue` of `[shop.upstream_limits]`; otherwise it needs more servers"
            }
        }
    }
}

/// What to do about tokens with this flaw.
const fn advice_on(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Malformed | Flaw::NotJwt => {
            "Find what sends it. If the shop's tokens look like that, set `token.kind`"
        }
        Flaw::TooLong => "Nothing: no token of a shop is that long",
        Flaw::Algorithm => "Nothing: it is an attack, or a token that was never signed",
        Flaw::UnpinnedAlgorithm => "If the shop signs with it, add it to `token.algorithms`",
        Flaw::Critical => "Nothing: Doorward knows no extension of JWS",
        Flaw::Type => "Let the client send its access token, not a token for another use",
        Flaw::NoKeys => "Look at the log for why the keys can't be fetched from `jwks_url`",
        Flaw::KeyPending => "Nothing, if it passes within seconds",
        Flaw::UnknownKey => {
            "If the shop has signed it, its key is missing here: see `secret_file`, `public_key_file`, `jwks_file` or `jwks_url`"
        }
        Flaw::Signature => {
            "If every token is refused so, the secret or key is another one than the shop's. If it is one, somebody changed the token"
        }
        Flaw::Claim(..) => "Correct how the shop writes the claim, or `token.claims`",
        Flaw::Issuer => "If the shop has issued it, correct `token.issuer`",
        Flaw::Audience => "If it is for this shop, correct `token.audience`",
        Flaw::IssuedInFuture => "Compare the clocks of this node and of the shop",
        Flaw::Inactive => "The customer has to log in again: the shop no longer knows the token",
        Flaw::NoCustomer => {
            "Let the shop write a customer into its tokens, or let the logout rule have `revoke = \"token\"`"
        }
    }
}
