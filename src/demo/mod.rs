//! Doorward in front of a pretend shop: a walk through login, logout and what comes after.

mod failed_step;
mod interruption;
mod process;
mod run;
mod script;
pub mod shop;
mod walk;

pub use failed_step::FailedStep;
pub use run::{run, shops};
