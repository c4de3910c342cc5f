//! What the names of a shop's tokens mean, now and under former configurations.

mod claimed;
pub(super) mod former_meanings;
mod honouring;
mod shop_meaning;

pub(super) use former_meanings::FormerMeanings;
pub use former_meanings::Honoured;
pub use honouring::honour_meanings;
pub(super) use shop_meaning::ShopMeaning;
