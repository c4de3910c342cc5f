//! The logouts of all presets: by them, requests are found that a shop's rules miss.

use crate::request::calls::Call;

/// The logouts of all presets.
#[derive(Debug, Default)]
pub struct KnownLogouts(Vec<Call>);

impl KnownLogouts {
    /// The logouts of these calls.
    pub fn new(calls: Vec<Call>) -> Self {
        Self(calls)
    }

    /// All of them.
    pub(in crate::request) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.0.iter()
    }

    /// The calls of GraphQL.
    pub(in crate::request) fn graphql(&self) -> impl Iterator<Item = &Call> {
        self.calls().filter(|call| call.graphql.is_some())
    }
}
