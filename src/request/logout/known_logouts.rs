//! The logouts of all presets, to find requests that a shop's rules miss.

use crate::request::calls::Call;

/// The logouts of all presets.
#[derive(Debug, Default)]
pub struct KnownLogouts(Vec<Call>);

impl KnownLogouts {
    /// Of these calls.
    pub fn new(calls: Vec<Call>) -> Self {
        Self(calls)
    }

    /// All of them.
    pub(in crate::request) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.0.iter()
    }

    /// Those of GraphQL.
    pub(in crate::request) fn graphql(&self) -> impl Iterator<Item = &Call> {
        self.calls().filter(|call| call.graphql.is_some())
    }
}
