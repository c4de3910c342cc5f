//! What the query and the body of a request say, as the laxest server reads them.

pub(super) mod json;
mod lax_json;
pub(super) mod multipart;
mod names;
mod parameters;

pub(super) use json::NO_CHARACTER;
pub use json::Pointer;
pub(super) use lax_json::LaxValue;
pub(super) use names::{is_called, is_called_by, is_spelling_of};
pub(super) use parameters::{content_type, content_type_as_sent, has_part, only_parameter};
