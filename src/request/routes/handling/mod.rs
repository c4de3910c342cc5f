//! How a request of a route is sent, and how its answer is passed on.

mod compression;
mod content_coding;
mod media_pattern;
mod retries;
mod rules;
mod share;

pub use compression::Compression;
pub use content_coding::ContentCoding;
pub use media_pattern::MediaPattern;
pub use retries::{Retries, RetryCause};
pub use rules::{Handling, Mirror, RouteTimeouts};
pub use share::Share;
