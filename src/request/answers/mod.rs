//! Doorward's own answers, and why a request is refused.

pub(super) mod answer;
mod refusal;
mod refused;
mod words;

pub use answer::{ALLOWED, Answer, RefusalSettings, Shape, preflight};
pub use refusal::Refusal;
pub use refused::{ApiKind, Refused};
pub use words::Words;
