//! The documents that clients name by their hash only, as automatic persisted queries do: a client that sent a hash with its
//! text once need not send the text again.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use moka::sync::Cache;

use super::document::QueryDocument;

/// How much is kept for a shop, in bytes. A client is asked again for a document that was dropped.
const BYTES_MAX: u64 = 16 << 20;

/// The SHA-256 of a document's text.
pub(super) type Hash = [u8; 32];

/// The documents of a shop, by the hashes of their texts. The hash is computed here, whatever a client says.
pub struct LearntDocuments(Cache<Hash, Arc<QueryDocument>>);

impl Default for LearntDocuments {
    fn default() -> Self {
        let weight = |_: &Hash, document: &Arc<QueryDocument>| {
            u32::try_from(size_of::<Hash>() + 128 + document.weight()).unwrap_or(u32::MAX)
        };
        Self(
            Cache::builder()
                .weigher(weight)
                .max_capacity(BYTES_MAX)
                .build(),
        )
    }
}

impl fmt::Debug for LearntDocuments {
    /// Tokens may stand in documents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LearntDocuments(..)")
    }
}

impl LearntDocuments {
    pub(super) fn keep(&self, hash: Hash, document: &Arc<QueryDocument>) {
        self.0.insert(hash, Arc::clone(document));
    }

    pub(super) fn find(&self, hash: &Hash) -> Option<Arc<QueryDocument>> {
        self.0.get(hash)
    }
}

/// The hash of a text.
pub(super) fn hash_of(text: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

/// The hash in a text, in hexadecimal, with or without `sha256:` before it.
pub(super) fn hash_in(text: &str) -> Option<Hash> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
    let mut hash = Hash::default();
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_in_every_spelling() {
        let hash = hash_of("{__typename}");
        let digits = "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38";
        assert_eq!(hash_in(digits), Some(hash));
        assert_eq!(hash_in(&digits.to_uppercase()), Some(hash));
        assert_eq!(hash_in(&format!("sha256:{digits}")), Some(hash));
        for other in [
            "",
            "ecf4",
            "sha256:",
            &digits[1..],
            &digits.replace('e', "x"),
        ] {
            assert_eq!(hash_in(other), None, "{other}");
        }
        assert_eq!(hash_in(&digits.replace('e', "é")), None);
    }

    #[test]
    fn what_is_learnt_is_bounded() {
        let learnt = LearntDocuments::default();
        let text = format!("{{ {} }}", "a ".repeat(5000));
        let document = Arc::new(QueryDocument::parse(&text).unwrap());
        for number in 0..200_u8 {
            learnt.keep([number; 32], &document);
        }
        learnt.0.run_pending_tasks();
        assert!(learnt.0.weighted_size() <= BYTES_MAX);
        assert!(learnt.0.entry_count() > 0);
    }
}
