//! `[[shop]]`: one shop, laid over its preset.

mod claims;
pub(crate) mod neighbours;
mod refusal;
mod settings;
mod summary;
mod upstream;

pub(crate) use claims::ShopClaims;
pub(crate) use settings::{ReadShop, Surroundings, read};
