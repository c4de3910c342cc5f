//! What the operator says of the process.

mod access_log;
pub(crate) mod acme;
pub(crate) mod certificate;
mod limits;
mod listen;
mod settings;
mod traces;

pub(crate) use settings::{control_of, data_dir_of, read, read_prefix};
