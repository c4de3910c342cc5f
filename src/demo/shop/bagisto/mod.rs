//! The three storefront APIs that Bagisto has.

mod answers;
mod apis;
mod coded;
mod documented;
mod graphql;
mod hourly_limit;
mod sanctum;
mod tokens;

pub(super) use answers::KEY;
pub(super) use apis::{as_coded, as_documented, as_graphql};

#[cfg(test)]
mod tests;
