//! `[[shop]]`: one shop, laid over its preset.

mod claims;
mod hsts;
mod left_out;
pub(crate) mod neighbours;
mod own_paths;
mod refusal;
mod servers;
mod settings;
mod sources;
mod summary;

pub(crate) use claims::ShopClaims;
pub(crate) use left_out::{left_out, unclaimed};
pub(crate) use settings::{ReadShop, Surroundings, read};
pub use sources::RuleSources;
