//! The storefront APIs that Doorward knows by name: one TOML file each, compiled in.

use super::fault::Faults;
use super::table::{Document, Table};

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
    ("bagisto", include_str!("../../conf/presets/bagisto.toml")),
    ("bagisto-api", include_str!("../../conf/presets/bagisto-api.toml")),
    (
        "bagisto-graphql",
        include_str!("../../conf/presets/bagisto-graphql.toml"),
    ),
    ("bagisto-rest", include_str!("../../conf/presets/bagisto-rest.toml")),
    ("cocart", include_str!("../../conf/presets/cocart.toml")),
    ("cocart-jwt", include_str!("../../conf/presets/cocart-jwt.toml")),
    ("ecwid", include_str!("../../conf/presets/ecwid.toml")),
    (
        "generic-oauth",
        include_str!("../../conf/presets/generic-oauth.toml"),
    ),
    ("magento", include_str!("../../conf/presets/magento.toml")),
    ("medusa", include_str!("../../conf/presets/medusa.toml")),
    ("saleor", include_str!("../../conf/presets/saleor.toml")),
    (
        "shopify-storefront",
        include_str!("../../conf/presets/shopify-storefront.toml"),
    ),
    ("shopware", include_str!("../../conf/presets/shopware.toml")),
    ("spree", include_str!("../../conf/presets/spree.toml")),
    ("sylius", include_str!("../../conf/presets/sylius.toml")),
    ("vendure", include_str!("../../conf/presets/vendure.toml")),
    (
        "woocommerce-store",
        include_str!("../../conf/presets/woocommerce-store.toml"),
    ),
    (
        "wordpress-jwt",
        include_str!("../../conf/presets/wordpress-jwt.toml"),
    ),
];

/// The presets, parsed.
pub(super) struct Presets(Vec<(&'static str, Document<'static>)>);

impl Presets {
    /// Parses all of them; there are few, and they are small.
    pub(super) fn parse(faults: &mut Faults) -> Self {
        let parsed = PRESETS.iter().map(|(name, text)| {
            let document = Document::parse(&format!("preset {name}"), text, faults);
            (*name, document)
        });
        Self(parsed.collect())
    }

    /// The preset that a shop names: what it is called, and what it says.
    pub(super) fn named_by<'a>(
        &'a self,
        shop: &mut Table<'a>,
        faults: &mut Faults,
    ) -> Option<(&'static str, &'a Document<'a>)> {
        let numbered = self.0.iter().enumerate();
        let names: Vec<_> = numbered.map(|(at, (name, _))| (*name, at)).collect();
        let at = shop.choice("preset", &names, faults)?;
        let (name, document) = self.0.get(at)?;
        Some((name, document))
    }
}
