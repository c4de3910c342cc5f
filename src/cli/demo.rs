//! `doorward demo`: a walk through a pretend shop.

use std::env;
use std::io;

use super::exit::CommandError;
use crate::demo;

/// Walks through the shop of this name, in front of which this program runs.
pub(super) fn walk(shop: &str, once: bool) -> Result<(), CommandError> {
    let doorward = env::current_exe().map_err(CommandError::failed)?;
    demo::run(&doorward, shop, once, &mut io::stdout()).map_err(CommandError::failed)
}
