//! A site with a login of its own and an Ecwid store in its pages.

mod store;

pub(super) use store::{COOKIE, Ecwid};
