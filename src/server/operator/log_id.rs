//! The id of a token in the log: a short keyed hash of its digest, meaningless without the key.

use std::fmt;

use crate::revocation::Id;

/// The key of this process.
#[derive(Clone)]
pub(crate) struct LogKey([u8; 32]);

/// A token's id in the log.
pub(crate) struct LogId([u8; 8]);

impl LogKey {
    /// A fresh key. The ids of two processes differ; lines of one process can be joined.
    pub(crate) fn random() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key)?;
        Ok(Self(key))
    }

    /// The log id of a token.
    pub(crate) fn name(&self, id: &Id) -> LogId {
        let hash = blake3::keyed_hash(&self.0, id.bytes());
        let mut name = [0; 8];
        name.copy_from_slice(&hash.as_bytes()[..8]);
        LogId(name)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
