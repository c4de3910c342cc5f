//! The cookies of a shop: dead ones, and the lines that delete them.

pub(super) mod dead;
mod deletion;
mod seen;
mod set_cookie;
mod shop_cookies;

pub(super) use dead::DeadCookies;
pub use dead::{DeadCookie, DeadCookiePolicy};
pub use deletion::{CookieDeletion, deletions_beside};
pub use seen::SeenCookies;
pub(super) use set_cookie::SetCookie;
