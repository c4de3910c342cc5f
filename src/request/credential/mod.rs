//! The credentials of a request: where they stand, how they are written, and how they are extracted.

mod found_credential;
mod cookie;
mod header;
mod parameter;
mod place;
mod spelling;
mod body_texts;
mod extraction;

pub(super) use body_texts::{find_in_texts, has_foreign_charset};
pub use cookie::NamePattern;
pub(super) use cookie::{cookie_value, cookies};
pub(super) use extraction::{extract_credentials, extract_former};
pub use found_credential::Credential;
pub(super) use found_credential::{Certainty, Credentials, Segments};
pub use place::{Carrier, Occasion, Occasions, Place, PlaceCounts};
pub use spelling::{Decoding, Fold, Spelling};
pub(super) use spelling::{is_no_text, token_in, trimmed};
