//! The rules of a shop: how its calls are recognised, and what they do.
//!
//! More than a dozen files: one for each kind of rule, and one for each part that several kinds share.

pub(crate) mod access;
pub(crate) mod agreement;
pub(crate) mod base;
pub(crate) mod call;
pub(crate) mod condition;
pub(crate) mod cookie_name;
pub(crate) mod cookies;
pub(crate) mod credential;
pub(crate) mod error_pages;
pub(crate) mod graphql;
pub(crate) mod header;
pub(crate) mod logout;
pub(crate) mod network;
pub(crate) mod paths;
pub(crate) mod rate;
pub(crate) mod refresh;
pub(crate) mod token_endpoint;
pub(crate) mod words;
