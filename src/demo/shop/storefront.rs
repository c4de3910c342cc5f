//! Which API a pretend shop speaks.

/// Which API the shop speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storefront {
    /// Bagisto's headless shop API as documented. It has the paths of the code as well.
    Bagisto,
    /// Bagisto's headless shop API as its code behaves: opaque tokens, 201 whatever happens, GraphQL beside REST.
    BagistoApi,
    /// Bagisto's older GraphQL API, with JWTs.
    BagistoGraphql,
    /// `CoCart` on `WordPress`.
    Cocart,
    /// A site with an Ecwid store in its pages.
    Ecwid,
}
