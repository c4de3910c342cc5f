//! Doorward's own answers, and why a request is refused.

mod accept;
mod advice;
pub(super) mod answer;
mod error_pages;
mod refusal;
mod refused;
mod weight;
mod words;

pub use answer::{ALLOWED, Answer, ApiKind, RefusalSettings, Shape, preflight};
pub use error_pages::{ErrorPage, ErrorPages};
pub use refusal::Refusal;
pub use refused::Refused;
pub(super) use weight::{Weight, weight_in};
pub use words::Words;
