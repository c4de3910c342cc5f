//! The cookies of a shop: those with revoked tokens, and the `Set-Cookie` lines that delete them.

pub(super) mod dead_cookies;
mod deletion;
mod seen_cookies;
mod sent_pairs;
mod set_cookie;
mod shop_cookies;

pub(super) use dead_cookies::DeadCookies;
pub use dead_cookies::{DeadCookie, DeadCookiePolicy};
pub use deletion::{CookieDeletion, deletions_beside};
pub use seen_cookies::SeenCookies;
pub(in crate::request) use sent_pairs::sent_pairs;
pub use sent_pairs::{sent_values, without_sent};
pub(super) use set_cookie::SetCookie;
