//! Where the rules of a shop are written.

/// Where the rules of a shop are written: those of the operator come before those of the preset.
pub(crate) struct RuleSources {
    /// The preset.
    pub(crate) preset: Option<String>,
    /// How many logouts the operator wrote.
    pub(crate) logouts: usize,
    /// How many refreshes.
    pub(crate) refreshes: usize,
    /// How many token endpoints.
    pub(crate) token_endpoints: usize,
}
