//! A world of machines: its time passes when something happens, and everything that happens follows from its seed.

mod accidents;
mod bus;
mod machines;
mod peace;
mod promises;
mod state;
mod traffic;

pub(super) use state::World;
