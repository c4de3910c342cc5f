//! The three storefront APIs that Bagisto has.

use std::sync::Arc;

use super::coded::Coded;
use super::documented::Documented;
use super::graphql::Graphql;
use super::sanctum::Lookup;
use super::tokens::BearerTokens;
use crate::demo::shop::api::{Api, ShopState};

/// The headless API as its documentation tells it, which has the coded paths as well. Both know the tokens of both.
pub(in crate::demo::shop) fn as_documented(state: Arc<ShopState>) -> Box<dyn Api> {
    let tokens = BearerTokens::of_both_kinds(Arc::clone(&state));
    Box::new(Documented::new(state, Arc::new(tokens)))
}

/// The headless API as its code behaves (bagisto/bagisto-api), weak look-ups included.
pub(in crate::demo::shop) fn as_coded(state: Arc<ShopState>) -> Box<dyn Api> {
    let tokens = BearerTokens::opaque(Arc::clone(&state), Lookup::RowAlone);
    Box::new(Coded::new(state, Arc::new(tokens)))
}

/// The older GraphQL API with JWTs (bagisto/headless-ecommerce).
pub(in crate::demo::shop) fn as_graphql(state: Arc<ShopState>) -> Box<dyn Api> {
    Box::new(Graphql::new(state))
}
