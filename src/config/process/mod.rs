//! What the operator says of the process.

pub(crate) mod certificate;
pub(crate) mod limits;
pub(crate) mod settings;
