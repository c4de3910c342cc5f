//! Where refresh tokens of a shop are exchanged for new tokens.

use super::call;
use super::fault::{Fault, Faults};
use super::table::Table;
use crate::request::{Call, Place};

/// Reads every `[[shop.refresh]]`.
pub(super) fn read(shop: &mut Table<'_>, places: &[Place], faults: &mut Faults) -> Vec<Call> {
    let mut calls = Vec::new();
    for mut table in shop.tables("refresh", faults) {
        calls.push(call::read(&mut table, faults));
        table.finish(faults);
    }
    let is_looked_for = |place: &Place| place.at.refresh && !place.at.visit;
    if calls.is_empty() && places.iter().any(is_looked_for) && shop.lacks("refresh") {
        let fault = Fault::warning("nothing says where tokens are refreshed").at(&shop.spot());
        faults.push(fault.help(
            "name the calls with [[shop.refresh]], or a revoked refresh token is good there",
        ));
    }
    calls
}
