//! Which answers are compressed.

use std::sync::Arc;

use super::switched::{Switched, switched};
use crate::config::reading::{TomlTable, byte_size};
use crate::request::{Compression, MediaPattern};

/// Reads `compress`; where it is left out, it is as the shop says.
pub(super) fn read(
    table: &mut TomlTable<'_>,
    of_shop: Option<&Arc<Compression>>,
) -> Option<Arc<Compression>> {
    match switched(table, "compress") {
        Switched::LeftOut => of_shop.map(Arc::clone),
        Switched::Off => None,
        Switched::On => Some(Arc::new(Compression {
            types: usual_types(),
            size_min: Compression::USUAL_SIZE_MIN,
            level: None,
        })),
        Switched::Written => {
            let mut written = table.table("compress")?;
            let types = if written.lacks("types") {
                written.ignore("types");
                usual_types()
            } else {
                written.one_or_more_as("types", MediaPattern::parse)
            };
            let size_min = written.string_as("min_size", byte_size::parse);
            let level = written.integer("level", 1..=9);
            written.finish();
            Some(Arc::new(Compression {
                types,
                size_min: size_min.unwrap_or(Compression::USUAL_SIZE_MIN),
                level,
            }))
        }
    }
}

fn usual_types() -> Vec<MediaPattern> {
    let types = Compression::USUAL_TYPES.iter();
    types
        .filter_map(|text| MediaPattern::parse(text).ok())
        .collect()
}
