//! The credentials a request carries: where they travel, in which spellings, and how they are taken out.

mod carried;
mod cookie;
mod header;
mod parameter;
mod place;
mod spelling;
mod sweep;
mod take;

pub use carried::Credential;
pub(super) use carried::{Certainty, Credentials, Segments};
pub use cookie::NamePattern;
pub(super) use cookie::{cookie_value, cookies};
pub use place::{Carrier, Occasion, Occasions, Place, PlaceCounts};
pub use spelling::{Decoding, Fold, Spelling};
pub(super) use spelling::{is_no_text, token_in, trimmed};
pub(super) use sweep::{has_foreign_charset, texts_of};
pub(super) use take::{take_all, take_former};
