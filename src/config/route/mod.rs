//! `[[shop.route]]`: conditions, what they demand, where they lead, how requests are sent, and what changes on the way.

mod changes;
mod compression;
mod conditions;
mod demand;
mod handling;
mod mirror;
mod never;
mod retries;
mod split;
mod switched;
mod target;
mod written;

pub(crate) use demand::{read_observe_of_process, read_of_shop as read_demand_of_shop};
pub(crate) use written::read;
