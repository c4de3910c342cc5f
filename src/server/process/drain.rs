//! How long the process takes to stop.

use std::time::Duration;

/// How long the process takes to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long it still accepts connections while `/readyz` answers 503, so that balancers notice.
    pub delay: Duration,
    /// How long requests in flight may take after that.
    pub timeout: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            timeout: Duration::from_secs(20),
        }
    }
}
