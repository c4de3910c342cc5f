//! What the operator says of the process.

pub(crate) mod certificate;
mod limits;
mod settings;

pub(crate) use settings::{control_of, read, read_prefix};
