//! `[cluster]`: the nodes that share their revocations.

pub(crate) mod certificates;
pub(crate) mod settings;
pub(crate) mod written;
