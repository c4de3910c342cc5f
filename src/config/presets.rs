//! The storefront APIs that Doorward knows by name: one TOML file each, compiled in.

use http::Method;

use crate::config::reading::{Loading, TomlDocument, TomlTable};
use crate::config::rules::call;
use crate::request::{Base, KnownLogouts};

/// A preset of this name, and what its file says.
macro_rules! preset {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../conf/presets/", $name, ".toml")),
        )
    };
}

/// Adding one takes a file, a line here, a folder of recorded exchanges and a page in `docs/shops/`.
const PRESETS: &[(&str, &str)] = &[
    preset!("bagisto"),
    preset!("bagisto-api"),
    preset!("bagisto-graphql"),
    preset!("bagisto-rest"),
    preset!("cocart"),
    preset!("cocart-jwt"),
    preset!("ecwid"),
    preset!("generic-oauth"),
    preset!("magento"),
    preset!("medusa"),
    preset!("saleor"),
    preset!("shopify-storefront"),
    preset!("shopware"),
    preset!("spree"),
    preset!("sylius"),
    preset!("vendure"),
    preset!("woocommerce-store"),
    preset!("wordpress-jwt"),
];

/// The name of every preset, and its text.
pub fn presets() -> impl Iterator<Item = (&'static str, &'static str)> {
    PRESETS.iter().copied()
}

/// The text of the preset of this name.
pub fn preset_text(name: &str) -> Option<&'static str> {
    presets().find_map(|(known, text)| (known == name).then_some(text))
}

/// The presets, parsed.
pub(crate) struct Presets<'t>(Vec<(&'static str, TomlDocument<'t>)>);

impl<'t> Presets<'t> {
    /// Parses all of them; there are few, and they are small.
    pub(crate) fn parse(loading: &'t Loading) -> Self {
        let parsed = PRESETS.iter().map(|(name, text)| {
            let document = TomlDocument::parse_preset(&format!("preset {name}"), text, loading);
            (*name, document)
        });
        Self(parsed.collect())
    }

    /// What the logouts of all of them look like.
    pub(crate) fn known_logouts(&self) -> KnownLogouts {
        let mut calls = Vec::new();
        for (_, document) in &self.0 {
            for mut logout in TomlTable::root(document).tables("logout") {
                calls.push(call::read(&mut logout, &Base::default(), &[Method::POST]));
            }
        }
        KnownLogouts::new(calls)
    }

    /// The preset that a shop names: what it is called, and what it says.
    pub(crate) fn named_by<'a>(
        &'a self,
        shop: &mut TomlTable<'a>,
    ) -> Option<(&'static str, &'a TomlDocument<'a>)> {
        let numbered = self.0.iter().enumerate();
        let names: Vec<_> = numbered.map(|(at, (name, _))| (*name, at)).collect();
        let at = shop.choice("preset", &names)?;
        let (name, document) = self.0.get(at)?;
        Some((name, document))
    }
}
