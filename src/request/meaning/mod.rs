//! What the names of a shop's tokens mean, now and under former configurations.

pub(super) mod former;
mod honouring;
mod shop_meaning;

pub(super) use former::Formers;
pub use former::Honoured;
pub use honouring::honour_meanings;
pub(super) use shop_meaning::ShopMeaning;
