//! `[[shop.route]]`: conditions, what they demand, where they lead, and what changes on the way.

mod changes;
mod conditions;
mod demand;
mod target;
mod written;

pub(crate) use demand::read_of_shop as read_demand_of_shop;
pub(crate) use written::read;
