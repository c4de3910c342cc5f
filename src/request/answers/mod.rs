//! Doorward's own answers, and why a request is refused.

pub(super) mod answer;
mod refusal;
mod refused;
mod words;

pub use answer::{ALLOWED, Answer, ApiKind, RefusalSettings, Shape, preflight};
pub use refusal::Refusal;
pub use refused::Refused;
pub use words::Words;
