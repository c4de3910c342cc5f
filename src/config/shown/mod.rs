//! What can be shown of the configuration: what is in force, and the schema of what can be written.

mod effective;
mod reference;
mod schema;

pub use effective::{EffectiveKey, KeyOrigin, defaults, effective};
pub use schema::schema;
