//! Opaque tokens as Laravel's Sanctum issues and finds them.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::demo::shop::customers::Customer;
use crate::demo::shop::ledger::Mood;
use crate::demo::shop::mint::{LETTERS_AND_DIGITS, Mint};

/// What decides whether a token is one of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// The secret, as Sanctum compares it.
    Secret,
    /// The number of the row, whatever follows it: where Sanctum finds nothing, some places of Bagisto's code ask the
    /// table themselves and compare no secret (read in the code, not executed).
    RowAlone,
}

/// The table `personal_access_tokens`: whose each row is, and its secret.
#[derive(Default)]
pub(super) struct Sanctum(Mutex<TokenTable>);

#[derive(Default)]
struct TokenTable {
    issued: u64,
    rows: BTreeMap<u64, (String, Customer)>,
}

impl Sanctum {
    /// `<row id>|<40 random characters><crc32b of them>`.
    pub(super) fn issue(&self, mint: &Mint, customer: &Customer) -> String {
        let random = mint.random_text(LETTERS_AND_DIGITS, 40);
        let secret = format!("{random}{:08x}", crc32(random.as_bytes()));
        let mut table = self.0.lock();
        table.issued += 1;
        let row = table.issued;
        table.rows.insert(row, (secret.clone(), customer.clone()));
        format!("{row}|{secret}")
    }

    pub(super) fn owner(&self, token: &str, lookup: Lookup) -> Option<Customer> {
        let table = self.0.lock();
        let row = table.row_of(token, lookup)?;
        table.rows.get(&row).map(|(_, customer)| customer.clone())
    }

    /// Ends this token and no other.
    pub(super) fn revoke(&self, token: &str, lookup: Lookup, mood: Mood) {
        let mut table = self.0.lock();
        let row = table.row_of(token, lookup);
        match mood {
            Mood::Honest => drop(row.and_then(|row| table.rows.remove(&row))),
            Mood::Stateless => {}
        }
    }
}

impl TokenTable {
    /// Sanctum finds a token by the secret alone as well, where no row stands before it (`findToken` in its code); and
    /// a database reads the row as a number, so `01|…` is `1|…` (not verified).
    fn row_of(&self, token: &str, lookup: Lookup) -> Option<u64> {
        let Some((row, secret)) = token.split_once('|') else {
            let mut rows = self.rows.iter();
            let found = rows.find(|(_, (known, _))| known == token);
            return found.map(|(row, _)| *row);
        };
        let row = row.parse().ok()?;
        let (known, _) = self.rows.get(&row)?;
        (lookup == Lookup::RowAlone || known == secret).then_some(row)
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
