//! `[[shop.logout]]`: how customers of a shop log out.

use std::sync::Arc;

use http::Method;

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::config::reading::pattern;
use crate::config::rules::agreement;
use crate::config::rules::base::Bases;
use crate::config::rules::call;
use crate::config::rules::cookies;
use crate::config::rules::header::header_name;
use crate::config::rules::words;
use crate::request::{
    Agreement, AnswerBy, Base, Call, ClientKey, CookieDeletion, LogoutRule, Occasion, PathPattern,
    Place, Scope, WebOrigin, When, Words,
};

const SCOPES: &[(&str, Scope)] = &[
    ("token", Scope::Token),
    ("session", Scope::Session),
    ("subject", Scope::Subject),
    ("others", Scope::Others),
];

const ANSWERS: &[(&str, Party)] = &[("forward", Party::Shop), ("local", Party::Doorward)];

const WHENS: &[(&str, When)] = &[("at-once", When::AtOnce), ("shop-agreed", When::ShopAgreed)];

const CARTS: &[(&str, Cart)] = &[("keep", Cart::Keep), ("clear", Cart::Clear)];

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Party {
    Shop,
    Doorward,
}

/// What happens to the customer's cart, where the shop clears it if it learns who logs out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cart {
    Keep,
    Clear,
}

/// The logouts of a shop.
pub(crate) struct Logouts {
    /// In the order they are tried.
    pub(crate) rules: Vec<Arc<LogoutRule>>,
    /// What Doorward's own logout revokes.
    own_scope: Scope,
    /// The origins whose pages may call it with cookies, beside its own.
    own_origins: Vec<WebOrigin>,
    /// The cookies in `[[shop]]`, which no logout may list.
    clear_cookies: Vec<CookieDeletion>,
}

/// The keys of `[[shop]]`. They override the preset's rules, and are the defaults of the operator's own.
struct Overrides {
    answer: Option<Party>,
    revoke: Option<Scope>,
    cart: Option<Cart>,
    client_key: Option<ClientKey>,
    /// For every logout that lists none of its own.
    clear_cookies: Vec<CookieDeletion>,
}

/// Reads `answer`, `revoke`, `cart`, `clear_cookies`, `[shop.client_key]` and every `[[shop.logout]]`.
pub(crate) fn read(shop: &mut TomlTable<'_>, bases: &Bases, places: &[Place]) -> Logouts {
    let overrides = Overrides {
        answer: shop.choice("answer", ANSWERS),
        revoke: shop.choice("revoke", SCOPES),
        cart: shop.choice("cart", CARTS),
        client_key: read_client_key(shop),
        clear_cookies: cookies::read(shop),
    };
    let mut rules = Vec::new();
    let mut preset_scope = None;
    let mut cart_rules = Vec::new();
    for table in shop.tables("logout") {
        let is_own = table.is_operators();
        let base = bases.for_rule(&table);
        let decides_cart = !is_own && table.spot_of("forward_credentials").is_some();
        let spot = table.spot();
        let rule = read_rule(table, (is_own, base), &overrides);
        if is_own && let Some(fault) = foreign_calls(&rule, places) {
            shop.report(fault.at(&spot));
        }
        if !is_own {
            preset_scope = preset_scope.or(Some(rule.revoke));
        }
        if decides_cart {
            cart_rules.push(rule.answer);
        }
        rules.push(Arc::new(rule));
    }
    warn_of_cart(shop, overrides.cart, &cart_rules);
    let (own_scope, own_origins) = read_own(shop, overrides.revoke, preset_scope);
    Logouts {
        rules,
        own_scope,
        own_origins,
        clear_cookies: overrides.clear_cookies,
    }
}

/// Reads `[shop.own_logout]`. What it revokes by default: as `revoke` of the shop, else as the preset's first logout.
fn read_own(
    shop: &mut TomlTable<'_>,
    of_shop: Option<Scope>,
    of_preset: Option<Scope>,
) -> (Scope, Vec<WebOrigin>) {
    let mut is_own = false;
    let mut written = None;
    let mut origins = Vec::new();
    if let Some(mut table) = shop.table("own_logout") {
        is_own = table.is_operators();
        written = table.choice("revoke", SCOPES);
        let texts = table.strings("origins").unwrap_or_default();
        let texts = texts.iter();
        origins = texts
            .filter_map(|text| text.parse_as(WebOrigin::parse))
            .collect();
        table.finish();
    }
    let scope = preferred(is_own, written, of_shop).or(of_preset);
    (scope.unwrap_or(Scope::Token), origins)
}

/// Warns of a logout that a link or a form on any page can call with the customer's cookies: only the shop can tell whether
/// the customer wanted it.
fn foreign_calls(rule: &LogoutRule, places: &[Place]) -> Option<Fault> {
    let is_cookie =
        |place: &Place| place.carrier.is_ambient() && place.at.include(Occasion::Logout);
    let is_said = rule.when == When::ShopAgreed || rule.agreed.is_some();
    if is_said || rule.answer == AnswerBy::Doorward || !places.iter().any(is_cookie) {
        return None;
    }
    let by = |method: &Method| rule.call.methods.contains(method);
    let what = if by(&Method::GET) || by(&Method::HEAD) {
        "a link on any page can call this logout with the customer's cookie"
    } else if by(&Method::POST) {
        "a form on any page can call this logout with the customer's cookie"
    } else {
        return None; // no page of another site can, unless the shop lets it (CORS)
    };
    let fault = Fault::warning(what);
    let fault = fault.label("such a logout counts once the shop has answered 2xx or 3xx");
    Some(fault.help(
        "say which answers are the shop's yes, such as agreed = { status = [\"303\"] }, and leave GET out of `methods` \
         where the shop takes POST",
    ))
}

/// Warns where `cart` has no effect: it decides whether the shop learns who logs out.
fn warn_of_cart(shop: &TomlTable<'_>, cart: Option<Cart>, answers: &[AnswerBy]) {
    if answers.is_empty() {
        let fault = Fault::warning("`cart` changes nothing");
        shop.report_at("cart", fault.label("no logout of the preset depends on it"));
    } else if cart == Some(Cart::Clear) && answers.contains(&AnswerBy::Doorward) {
        let fault = Fault::warning("the cart stays: the shop does not get the logout");
        shop.report_at(
            "cart",
            fault.help("write answer = \"forward\" to have it cleared"),
        );
    }
}

fn read_rule(
    mut table: TomlTable<'_>,
    (is_own, base): (bool, &Base),
    overrides: &Overrides,
) -> LogoutRule {
    // Few shops execute mutations by GET, and a preset says so.
    let of_graphql: &[_] = if is_own {
        &[Method::POST, Method::GET]
    } else {
        &[Method::POST]
    };
    let call = call::read(&mut table, base, of_graphql);
    let revoke = table.choice("revoke", SCOPES);
    let answer = read_answer(&mut table, is_own, overrides);
    let when = read_when(&mut table, answer);
    let agreed = agreement::read(&mut table, "agreed");
    table.renamed("confirms_token", "confirms");
    let confirms = agreement::read(&mut table, "confirms_token");
    table.renamed_string("answer_body", "body");
    let success = words::read_success(&mut table, call.graphql.is_some());
    let (missing, invalid) = read_errors(&mut table);
    let client_key = choose_client_key(&mut table, overrides);
    let mut clear_cookies = cookies::read(&mut table);
    if clear_cookies.is_empty() {
        clear_cookies.clone_from(&overrides.clear_cookies);
    }
    table.finish();
    let revoke = preferred(is_own, revoke, overrides.revoke);
    LogoutRule {
        call,
        revoke: revoke.unwrap_or(Scope::Token),
        answer,
        when,
        agreed: agreed.or((when == When::ShopAgreed).then(Agreement::default)),
        confirms,
        success,
        missing,
        invalid,
        client_key,
        clear_cookies,
        same_origin: false,
        origins: Vec::new(),
    }
}

fn preferred<T>(is_own: bool, written: Option<T>, shop: Option<T>) -> Option<T> {
    if is_own {
        written.or(shop)
    } else {
        shop.or(written)
    }
}

fn read_answer(table: &mut TomlTable<'_>, is_own: bool, overrides: &Overrides) -> AnswerBy {
    let party = table.choice("answer", ANSWERS);
    let with_credentials = table.boolean("forward_credentials");
    let with_credentials = match overrides.cart {
        Some(cart) if with_credentials.is_some() && !is_own => cart == Cart::Clear,
        Some(_) | None => with_credentials.unwrap_or(true),
    };
    match preferred(is_own, party, overrides.answer) {
        Some(Party::Doorward) => AnswerBy::Doorward,
        Some(Party::Shop) | None => AnswerBy::Shop { with_credentials },
    }
}

/// Reads `revoke_when`. The shop can only agree to a logout that it gets.
fn read_when(table: &mut TomlTable<'_>, answer: AnswerBy) -> When {
    table.renamed("revoke_when", "when");
    let when = table.choice("revoke_when", WHENS).unwrap_or_default();
    if when == When::ShopAgreed && answer == AnswerBy::Doorward {
        table.report_at(
            "revoke_when",
            Fault::warning("the shop does not get this logout: Doorward answers it")
                .help("write answer = \"forward\" where the shop must agree"),
        );
    }
    when
}

/// The answers to a logout without a credential, and with a bad one.
fn read_errors(table: &mut TomlTable<'_>) -> (Option<Words>, Option<Words>) {
    let Some(mut errors) = table.table("errors") else {
        return (None, None);
    };
    let missing = words::read_refusal(&mut errors, "missing");
    let invalid = words::read_refusal(&mut errors, "invalid");
    errors.finish();
    (missing, invalid)
}

/// Reads `[shop.client_key]`.
fn read_client_key(shop: &mut TomlTable<'_>) -> Option<ClientKey> {
    let mut table = shop.table("client_key")?;
    let header = table.required_string_as(
        "header",
        "the name of a header, such as x-api-key",
        header_name,
    );
    let pattern = table.required_string("pattern", "a regular expression for the whole key");
    let pattern = pattern.and_then(|text| text.parse(pattern::parse));
    let missing = words::read_refusal(&mut table, "missing");
    table.missing("missing", "the answer to a request without a key");
    let invalid = words::read_refusal(&mut table, "invalid");
    table.missing("invalid", "the answer to a request with another key");
    table.finish();
    Some(ClientKey {
        header: header?,
        pattern: pattern?,
        missing: missing?,
        invalid: invalid?,
    })
}

/// A logout requires the shop's client key, unless `client_key = false`.
fn choose_client_key(table: &mut TomlTable<'_>, overrides: &Overrides) -> Option<ClientKey> {
    let demanded = table.boolean("client_key");
    if demanded == Some(true) && overrides.client_key.is_none() {
        table.report_at(
            "client_key",
            Fault::error("the shop has no client key").help("describe it under [shop.client_key]"),
        );
    }
    let client_key = overrides.client_key.clone();
    client_key.filter(|_| demanded != Some(false))
}

impl Logouts {
    /// Doorward's own logout, for shops that have none or whose clients do not call it.
    ///
    /// It deletes the cookies that are credentials, and those that the shop's own logouts delete.
    pub(crate) fn own(&self, paths: Vec<PathPattern>, places: &[Place]) -> LogoutRule {
        LogoutRule {
            call: Call {
                methods: vec![Method::POST],
                paths,
                conditions: Vec::new(),
                graphql: None,
            },
            revoke: self.own_scope,
            answer: AnswerBy::Doorward,
            when: When::AtOnce,
            agreed: None,
            confirms: None,
            success: words::logged_out(),
            missing: Some(words::unauthorized()),
            invalid: None,
            client_key: None,
            clear_cookies: cookies::of_shop(places, &self.rules, &self.clear_cookies),
            same_origin: true,
            origins: self.own_origins.clone(),
        }
    }
}
