//! Token introspection (after RFC 7662): a shop is asked about an opaque token, and its answer is cached.

mod cache;
mod doubtful;
mod likely_tokens;
mod request;

pub(super) use cache::Asked;
pub use cache::IntrospectionCache;
pub use doubtful::Doubtful;
pub use likely_tokens::LikelyTokens;
pub use request::{ContentType, Inquiry};
pub(super) use request::{IntrospectionResponse, ResponsePointers};
