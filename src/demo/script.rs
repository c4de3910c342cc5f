//! What a walk through a shop says: everything that differs from shop to shop.
//!
//! `$NAME` in a header stands for one of the variables, or for `$TOKEN`, in what is sent as in what is printed.

use super::shop::{PretendShop, Storefront};

/// One shop's walk.
pub(super) struct Script {
    /// The value of `--shop`.
    pub(super) name: &'static str,
    pub(super) storefront: Storefront,
    /// Its keys in the configuration, beside its name and its upstream.
    pub(super) settings: &'static str,
    /// What kind of shop it is, for the reader.
    pub(super) nature: &'static str,
    /// Variables of the printed lines, beside `URL`.
    pub(super) variables: &'static [(&'static str, &'static str)],
    /// What every request carries.
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) login: WalkRequest,
    /// The token stands in the answer to the login after the first of these, up to the second. Neither has a
    /// character that means something to `sed`.
    pub(super) token_between: (&'static str, char),
    /// The header with which a customer sends the token.
    pub(super) pass: (&'static str, &'static str),
    /// The first call of the customer, and its description.
    pub(super) beforehand: Option<(&'static str, WalkRequest)>,
    /// A page for customers only.
    pub(super) page: WalkRequest,
    pub(super) logout: WalkRequest,
    /// A remark on the shop after the logout.
    pub(super) after_logout: &'static str,
}

/// A request of the walk.
pub(super) struct WalkRequest {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// Without single quotes.
    pub(super) body: &'static str,
}

/// Every shop there is a walk through.
pub(super) const SCRIPTS: &[&Script] = &[&BAGISTO, &COCART, &ECWID];

/// Bagisto as documented: JSON to log in with, a client key everywhere.
const BAGISTO: Script = Script {
    name: "bagisto",
    storefront: Storefront::Bagisto,
    settings: "preset = \"bagisto\"",
    nature: "Bagisto; it signs HS256 tokens, and its logout revokes nothing",
    variables: &[("KEY", PretendShop::KEY)],
    headers: &[("X-STOREFRONT-KEY", "$KEY")],
    login: WalkRequest {
        method: "POST",
        path: "/api/shop/customers/login",
        headers: &[("Content-Type", "application/json")],
        body: r#"{"email":"john@example.com","password":"secret"}"#,
    },
    token_between: ("\"token\":\"", '"'),
    pass: ("Authorization", "Bearer $TOKEN"),
    beforehand: None,
    page: WalkRequest {
        method: "GET",
        path: "/api/shop/customers/profile",
        headers: &[],
        body: "",
    },
    logout: WalkRequest {
        method: "POST",
        path: "/api/shop/customers/logout",
        headers: &[],
        body: "",
    },
    after_logout: "",
};

/// `CoCart` on `WordPress`: a password to log in with, and a logout that would cost the cart.
const COCART: Script = Script {
    name: "cocart",
    storefront: Storefront::Cocart,
    settings: "preset = \"cocart\"",
    nature: "WordPress with CoCart; it signs HS256 tokens, and its logout revokes nothing",
    variables: &[("LOGIN", "am9objpzZWNyZXQ=")], // john:secret
    headers: &[],
    login: WalkRequest {
        method: "POST",
        path: "/wp-json/cocart/v2/login",
        headers: &[("Authorization", "Basic $LOGIN")],
        body: "",
    },
    token_between: ("\"jwt_token\":\"", '"'),
    pass: ("Authorization", "Bearer $TOKEN"),
    beforehand: Some((
        "a kettle for the cart",
        WalkRequest {
            method: "POST",
            path: "/wp-json/cocart/v2/cart/add-item",
            headers: &[("Content-Type", "application/json")],
            body: r#"{"id":"18","quantity":"1"}"#,
        },
    )),
    page: WalkRequest {
        method: "GET",
        path: "/wp-json/cocart/v2/cart",
        headers: &[],
        body: "",
    },
    logout: WalkRequest {
        method: "POST",
        path: "/wp-json/cocart/v1/logout",
        headers: &[],
        body: "",
    },
    after_logout: "  the shop was not told who it was, so the cart is still there\n",
};

/// A site with an Ecwid store: its own token in a cookie, which ends as the script in its pages has it ended.
const ECWID: Script = Script {
    name: "ecwid",
    storefront: Storefront::Ecwid,
    settings: "preset = \"ecwid\"\n\n[[shop.credential]]\ncookie = \"site_token\"\n\n\
               [[shop.route]]\npaths = [\"/account\"]\nenforce = \"required\"",
    nature: "a site with an Ecwid store; it signs HS256 tokens, and has no logout",
    variables: &[],
    headers: &[],
    login: WalkRequest {
        method: "POST",
        path: "/login",
        headers: &[("Content-Type", "application/json")],
        body: r#"{"email":"john@example.com","password":"secret"}"#,
    },
    token_between: ("site_token=", ';'),
    pass: ("Cookie", "site_token=$TOKEN"),
    beforehand: None,
    page: WalkRequest {
        method: "GET",
        path: "/account",
        headers: &[],
        body: "",
    },
    logout: WalkRequest {
        method: "POST",
        path: "/_doorward/logout",
        headers: &[
            ("Content-Type", "application/json"),
            ("Sec-Fetch-Site", "same-origin"), // which browsers say by themselves
        ],
        body: "{}",
    },
    after_logout: "  /_doorward/ecwid.js does this when a customer signs out of the store: open the address of\n  \
                   doorward in a browser, and click\n",
};
