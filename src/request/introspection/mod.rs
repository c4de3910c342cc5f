//! Token introspection: what a shop is asked about a token that says nothing itself, and what it said.

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
