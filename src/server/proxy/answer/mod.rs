//! Answers: Doorward's own, and changes to the shop's.

pub(crate) mod dead_cookies;
pub(crate) mod ecwid;
pub(crate) mod failure;
pub(crate) mod issued_tokens;
pub(crate) mod token_response;
pub(crate) mod hsts;
pub(crate) mod reply;
pub(crate) mod request_id;
