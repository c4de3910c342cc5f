//! What `check` says of folders that a shop or a route leaves out.

use crate::request::{Route, Shop, folders_beside};

/// The folders that a shop does not claim, though it claims all that is below.
pub(crate) fn unclaimed(shop: &Shop) -> Option<String> {
    let claimed: Vec<_> = shop.paths.iter().collect();
    let folders = folders_beside(&shop.paths, &claimed);
    (!folders.is_empty()).then(|| format!("  not claimed: {} itself", folders.join(", ")))
}

/// The folders that a route does not mean, though it means all that is below.
pub(crate) fn left_out(shop: &Shop, route: &Route) -> Option<String> {
    let folders = shop.routes.folders_left_out(route);
    (!folders.is_empty()).then(|| format!("not {} itself", folders.join(", ")))
}
