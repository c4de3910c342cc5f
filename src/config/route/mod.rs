//! `[[shop.route]]`: conditions, what they demand, where they lead, and what changes on the way.

mod changes;
mod conditions;
mod target;
mod written;

pub(crate) use written::read;
