//! Why a walk ended early.

use std::fmt;

/// The step of the walk that went wrong, and how.
#[derive(Debug)]
pub struct FailedStep {
    pub(super) step: &'static str,
    pub(super) why: String,
}

impl std::error::Error for FailedStep {}

impl fmt::Display for FailedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the demo failed at {}: {}", self.step, self.why)
    }
}
