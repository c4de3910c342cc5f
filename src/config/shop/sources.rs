//! Where the rules of a shop are written.

use crate::config::reading::SourceLines;

/// Where the rules of a shop are written: those of the operator come before those of the preset.
pub struct RuleSources {
    /// The preset.
    pub preset: Option<String>,
    /// How many logouts the operator wrote.
    pub logouts: usize,
    /// How many refreshes.
    pub refreshes: usize,
    /// How many token endpoints.
    pub token_endpoints: usize,
    /// How many credentials.
    pub credentials: usize,
    /// Where its keys are written.
    pub lines: SourceLines,
}
