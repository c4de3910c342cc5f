//! Opaque tokens as Laravel's Sanctum issues them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::customers::Customer;
use super::ledger::Mood;
use super::mint::Mint;

/// What Laravel draws random text from.
pub(super) const LETTERS_AND_DIGITS: &str =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The table `personal_access_tokens`: whose each token is.
#[derive(Default)]
pub(super) struct Sanctum {
    issued: AtomicU64,
    owners: Mutex<HashMap<String, Customer>>,
}

impl Sanctum {
    /// `<row id>|<40 random characters><crc32b of them>`.
    pub(super) fn issue(&self, mint: &Mint, customer: &Customer) -> String {
        let row = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
        let random = mint.word(LETTERS_AND_DIGITS, 40);
        let token = format!("{row}|{random}{:08x}", crc32(random.as_bytes()));
        self.owners.lock().insert(token.clone(), customer.clone());
        token
    }

    pub(super) fn owner(&self, token: &str) -> Option<Customer> {
        self.owners.lock().get(token).cloned()
    }

    /// Ends this token and no other.
    pub(super) fn revoke(&self, token: &str, mood: Mood) {
        match mood {
            Mood::Honest => drop(self.owners.lock().remove(token)),
            Mood::Stateless => {}
        }
    }
}

/// PHP's `crc32b`, which Sanctum appends so that scanners recognise a leaked token.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_common_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
