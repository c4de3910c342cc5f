//! What a route says of sending a request and passing on its answer, done.

pub(crate) mod body_limit;
pub(crate) mod compression;
pub(crate) mod copy;
pub(crate) mod encoder;
pub(crate) mod holding_upstream;
pub(crate) mod mirror;
pub(crate) mod own_cookie;
pub(crate) mod retries;
pub(crate) mod split;
pub(crate) mod sticky;
pub(crate) mod timeouts;
