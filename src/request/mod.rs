//! Judges a request: finds its shop ([`Gate::arrive`]), says how much of its body is needed ([`Arrived::body_plan`]), then
//! extracts its credentials, verifies them, looks them up in the revocations and returns a verdict ([`Arrived::judge`]).
//!
//! Nothing here awaits, does I/O or asks what time it is.
//!
//! More than a dozen files: each step of a judgement has one, and so has what several folders share.

mod answers;
mod arrived;
mod calls;
mod client_certificate;
mod clocks;
mod cookie;
mod credential;
mod fetch_url;
mod findings;
mod gate;
mod graphql;
mod introspection;
mod limits;
mod live_token;
mod loggable_path;
mod logout;
mod meaning;
mod named_subjects;
mod observed;
mod payload;
mod presented_token;
mod routes;
mod shop;
mod shop_tokens;
mod site;
mod token;
mod token_endpoint;
mod verdict;
mod visit;

pub use answers::{
    ALLOWED, Answer, ApiKind, ErrorPage, ErrorPages, Refusal, RefusalSettings, Refused, Shape,
    Words, preflight,
};
pub use arrived::{Arrived, BodyPlan};
pub use calls::{
    Base, BodyNeed, Call, Condition, ConditionPlace, ConditionValue, Fit, Folder, Path,
    PathPattern, PathStyle, RefreshRule, Request,
};
pub use client_certificate::ClientCertificate;
pub use clocks::{ClockWarning, ServerAddress, ServerOffset, ShopClock};
pub use cookie::{
    CookieDeletion, DeadCookie, DeadCookiePolicy, SeenCookies, deletions_beside, sent_values,
    without_sent,
};
pub use credential::{
    Carrier, Credential, Decoding, Fold, NamePattern, Occasion, Occasions, Place, PlaceCounts,
    Spelling,
};
pub use fetch_url::FetchUrl;
pub use findings::{Findings, FoundCredential, FoundPurpose};
pub use gate::Gate;
pub use graphql::{GraphQlCondition, GraphQlSettings, LearntDocuments, UnknownHash, UnreadBody};
pub use introspection::{
    ContentType, IntrospectionCache, IntrospectionRequest, LikelyTokens, PendingToken,
};
pub use limits::{CountedBy, LimitedBy, RequestLimit, ShopLimits};
pub use loggable_path::{loggable_path, loggable_text};
pub use logout::{
    Agreement, Allowance, AnswerBy, Assent, ClientKey, HIDDEN_CUSTOMER, KnownLogouts, LogOut,
    LogoutOrder, LogoutQuota, LogoutRule, Named, OperatorOrder, OverLimit, PastedClaims,
    PastedToken, Scope, Target, UnfitOrder, Wanted, When, has_room,
};
pub use meaning::{Honoured, honour_meanings};
pub use payload::Pointer;
pub use routes::{
    CertificateCondition, Compression, ContentCoding, Demand, Enforce, Handling, HeaderRules,
    MediaPattern, Mirror, PathPrefix, PathReplacement, PathRewrite, Placeholder, Redirect,
    RedirectAddress, Retries, RetryCause, Route, RouteConditions, RouteDemand, RouteTable,
    RouteTarget, RouteTimeouts, Share, Split, SplitBy, Template, TemplateFacts, UnfitHeader,
    UnfitRewrite, UpstreamName, changeable_header, folders_beside,
};
pub use shop::{Examine, PathNeighbours, Shop, Tokens};
pub use site::{
    HostPattern, HostRedirect, OriginParts, RequestSite, WebOrigin, host_of, moved_to, port_of,
};
pub use token::{
    ALGORITHMS, Awaited, AwaitedSuccess, ClaimName, Claims, Confirmed, FailureWeight, FirstSuccess,
    Flaw, IssuedAt, Issuer, JwksSource, KeyDescription, KeyRing, KeySource, KeyState, Keys,
    NoneAccepted, SecretMistake, Subject, SuccessNews, TOKEN_BYTES_MAX, TimeClaim, TimeUnit, Token,
    TokenKind, TokenReading, TokenSettings, UnfitKey, UnfitSet, UnknownToken, Unreadable, Verified,
    Verifier, algorithm_name, secret_bytes_min,
};
pub use token_endpoint::{AnswerTokens, HandedOut, OnReissue, TokenEndpoint};
pub use verdict::{Observed, Verdict};
