//! Hunts for damage of a journal that is not seen.
#![no_main]

use std::panic;

// A panic of the database over a damaged file is caught and told (`without_panic` in the journal), so here a panic is
// a finding only when it comes through: instead of the hook that aborts at once, one that says what happened.
libfuzzer_sys::fuzz_target!(
    init: panic::set_hook(Box::new(|told| {
        let is_ours = told.location().is_some_and(|place| !place.file().contains("/redb-"));
        if is_ours {
            eprintln!("{told}");
        }
    })),
    |bytes: &[u8]| doorward_fuzz::journal_record(bytes)
);
