//! The calls at which a shop issues tokens, and the tokens in its answers.

mod handed_out;
mod rule;

pub use handed_out::HandedOut;
pub use rule::{AnswerTokens, OnReissue, TokenEndpoint};
