//! The clocks of a shop's servers, as far as their answers prove them.

mod moment;
mod server_address;
mod server_clock;
mod shop_clock;

pub(super) use moment::Moment;
pub use server_address::ServerAddress;
pub use shop_clock::{ClockWarning, ServerOffset, ShopClock};
