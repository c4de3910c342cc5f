//! The clocks of a shop's servers, as far as their answers prove them.

mod server_clock;
mod shop_clock;

pub(super) use shop_clock::Moment;
pub use shop_clock::{ClockWarning, ServerOffset, ShopClock};
