//! Where a shop hands out tokens, and what its answers hand out.

mod handed_out;
mod rule;

pub use handed_out::HandedOut;
pub use rule::{AnswerTokens, OnReissue, TokenEndpoint};
