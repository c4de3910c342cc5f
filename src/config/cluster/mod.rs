//! `[cluster]`: the nodes that share their revocations.

mod certificates;
mod settings;
mod written;

pub(crate) use settings::{read, summary};
pub use written::ClusterTable;
