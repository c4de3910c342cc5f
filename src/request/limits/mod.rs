//! How often requests are served: the limits of a shop and of its routes, and by what they count.

mod limited_by;
mod request_limit;

pub use limited_by::{CountedBy, LimitedBy};
pub use request_limit::{RequestLimit, ShopLimits};
