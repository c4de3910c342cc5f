//! Answers: ours, and what is done to the shop's.

pub(crate) mod dead_cookies;
pub(crate) mod ecwid;
pub(crate) mod mint;
pub(crate) mod reply;
