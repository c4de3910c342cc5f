//! How many entries the unverified credentials of a shop may make.

/// What a shop allows. What is confirmed is not counted: its number is bounded by what the shop issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Entries that one client may make in a minute; all clients of its wider network together make
    /// [`crate::clients::WIDER`] times as many.
    pub per_client_minute: u32,
    /// Live entries of the whole shop: of those that are kept for an hour, and of those that are kept longer.
    pub per_shop: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            per_client_minute: 30,
            per_shop: 1_000_000,
        }
    }
}

/// Which limit does not let an entry be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverLimit {
    /// That of the client, or of its wider network.
    Client,
    /// That of the shop.
    Shop,
}

impl OverLimit {
    /// The key of the limit in the configuration.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Client => "unverified_per_client_minute",
            Self::Shop => "unverified_entries",
        }
    }
}
