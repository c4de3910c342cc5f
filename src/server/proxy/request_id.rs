//! The id of a request, in our log and the shop's.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes ids that can't be guessed and never repeat.
pub(crate) struct RequestIds {
    key: [u8; 32],
    next: AtomicU64,
}

impl RequestIds {
    /// With a fresh key.
    pub(crate) fn random() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key)?;
        Ok(Self {
            key,
            next: AtomicU64::new(0),
        })
    }

    /// The next id: 32 hexadecimal digits.
    pub(crate) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let hash = blake3::keyed_hash(&self.key, &number.to_le_bytes());
        let mut name = String::with_capacity(32);
        for byte in &hash.as_bytes()[..16] {
            let _ = write!(name, "{byte:02x}");
        }
        name
    }
}
