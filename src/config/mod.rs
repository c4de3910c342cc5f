//! The configuration: from a file to the typed parts of the program, or to every fault of it at once.
//!
//! What is written twice merges everywhere in the same way: a key of the operator's overrides the same key
//! of the preset, sub-tables merge key by key, arrays of tables are concatenated, the operator's first. `[defaults.shop]` stands
//! between a shop and its preset, and merges alike. Included files add to each other, and nothing is written in two of them.

mod append;
mod cluster;
mod explain;
mod fault;
mod include;
mod load;
mod loops;
mod outline;
mod own_cookies;
mod presets;
mod process;
mod reading;
mod route;
mod rules;
mod shop;
mod shown;
mod token;
mod upstream;

pub use append::{NotAppended, append};
pub use cluster::ClusterTable;
pub(crate) use explain::{logout as logout_in_words, words as call_in_words};
pub use fault::{Fault, FaultView, Faults, Severity, SourceSpot, SourceText};
pub use load::{Config, control_of, files_of, load, parse, without_secrets};
pub use presets::{preset_text, presets};
pub use reading::{NamedFile, SourceLines};
pub use shop::RuleSources;
pub use shown::{EffectiveKey, KeyOrigin, defaults, effective, schema};
