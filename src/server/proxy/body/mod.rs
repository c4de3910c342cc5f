//! Request bodies that are read before their request is judged.

pub(crate) mod budget;
pub(crate) mod encoding;
pub(crate) mod examination;
pub(crate) mod read_ahead;
