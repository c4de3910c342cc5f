//! Why no request can be made of what the operator gave.

use std::fmt;

use crate::server::UnfitSample;

/// Why no request can be made of what the operator gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SampleError(pub(super) String);

impl SampleError {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl From<UnfitSample> for SampleError {
    fn from(why: UnfitSample) -> Self {
        Self(why.to_string())
    }
}

impl fmt::Display for SampleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
