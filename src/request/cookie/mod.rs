//! The cookies of a shop: those with revoked tokens, and the `Set-Cookie` lines that delete them.

pub(super) mod dead_cookies;
mod deletion;
mod seen_cookies;
mod set_cookie;
mod shop_cookies;

pub(super) use dead_cookies::DeadCookies;
pub use dead_cookies::{DeadCookie, DeadCookiePolicy};
pub use deletion::{CookieDeletion, deletions_beside};
pub use seen_cookies::SeenCookies;
pub(super) use set_cookie::SetCookie;
