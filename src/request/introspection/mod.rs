//! Token introspection (after RFC 7662): a shop is asked about an opaque token, and its answer is cached.

mod cache;
mod pending_token;
mod likely_tokens;
mod request;

pub(super) use cache::Asked;
pub use cache::IntrospectionCache;
pub use likely_tokens::LikelyTokens;
pub use pending_token::PendingToken;
pub use request::{ContentType, IntrospectionRequest};
pub(super) use request::{IntrospectionResponse, ResponsePointers};
