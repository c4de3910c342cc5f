//! `base`: the folders in which the application of a shop is installed.

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::request::{Base, Folder};

/// The folders below which the rules of a shop match.
pub(crate) struct Bases {
    /// For the rules of its preset.
    of_preset: Base,
    /// For the rules that the operator wrote.
    of_operator: Base,
}

impl Bases {
    /// Reads `base`. Without it, a preset's rules match below any folder: a token that is revoked there was sent there and
    /// had to verify. The operator's rules match as they are written. With it, the preset's rules match there only, and the
    /// operator's there as well.
    pub(crate) fn read(shop: &mut TomlTable<'_>) -> Self {
        let Some(texts) = shop.string_or_strings("base") else {
            return Self {
                of_preset: Base::any(),
                of_operator: Base::default(),
            };
        };
        if texts.is_empty() {
            shop.report_at("base", Fault::error("`base` names no folder"));
        }
        let folders = texts.iter();
        let folders = folders.filter_map(|text| text.parse_as(Folder::parse));
        let given = Base::from_folders(folders);
        Self {
            of_operator: given.and_root(),
            of_preset: given,
        }
    }

    /// The folders for a rule of the shop.
    pub(crate) fn for_rule(&self, rule: &TomlTable<'_>) -> &Base {
        if rule.is_operators() {
            &self.of_operator
        } else {
            &self.of_preset
        }
    }
}
