//! The recipes of `docs/recipes/`: each test runs the configuration of a page.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::collections::BTreeMap;
use std::fs;

use doorward::clock;
use serde_json::{Value, json};
use support::{Answer, Backend, Deed, Edge, Shop, ok, request, said_with, stateless_bagisto};

/// The configuration in a page, with this in the places of addresses and files.
fn configuration_of(page: &str, places: &[(&str, &str)]) -> String {
    let path = format!("{}/docs/recipes/{page}.md", env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{path}: {fault}"));
    let (_, block) = page.split_once("```toml\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let usual = [
        ("0.0.0.0:8080", "127.0.0.1:0"),
        ("/var/lib/doorward", "{home}/data"),
    ];
    let mut text = block.to_owned();
    for (old, new) in usual.iter().chain(places) {
        assert!(text.contains(old), "{old} in\n{text}");
        text = text.replace(old, new);
    }
    text
}

/// A token with these claims, issued so many seconds ago.
fn token(mut claims: Value, age: i64) -> String {
    let now = i64::try_from(clock::now().seconds()).unwrap();
    claims["iat"] = json!(now - age);
    claims["exp"] = json!(now + 86_400);
    signer().sign(&claims)
}

/// Signs as the shops of the recipes do; no client visits it.
fn signer() -> Shop {
    stateless_bagisto()
}

fn says(status: u16, body: &Value) -> Deed {
    let lines = "Content-Type: application/json\r\n";
    Deed::SayLast(said_with(status, lines, &body.to_string()).into_bytes())
}

/// The answer to a request of the host with a bearer, if there is one.
struct Client<'e> {
    edge: &'e Edge,
    host: &'static str,
}

impl Client<'_> {
    fn ask(&self, line: &str, headers: &[(&str, &str)]) -> Answer {
        let (method, target) = line.split_once(' ').unwrap();
        let headers = [&[("Host", self.host)], headers].concat();
        let body: &[u8] = if method == "POST" { b"{}" } else { b"" };
        self.edge.raw(&request(method, target, &headers, body))
    }

    fn ask_as(&self, token: &str, line: &str) -> Answer {
        self.ask(line, &[("Authorization", &format!("Bearer {token}"))])
    }
}

fn last(server: &Backend) -> String {
    server.heard().pop().unwrap().head
}

// --- Next.js and Medusa ----------------------------------------------------------------------------------

/// Next.js, and a Medusa that goes on to take dead tokens.
struct HeadlessShop {
    next: Backend,
    medusa: Backend,
    edge: Edge,
}

impl HeadlessShop {
    fn open(office: &str) -> Self {
        let [next, medusa] = ["next", "medusa"].map(Backend::saying);
        medusa.does_at(
            "/auth/session",
            says(401, &json!({"message": "Unauthorized"})),
        );
        let text = configuration_of(
            "nextjs-medusa",
            &[
                ("127.0.0.1:3000", &next.address().to_string()),
                ("127.0.0.1:9000", &medusa.address().to_string()),
                ("/etc/doorward/keys/jwt.secret", "{secret_file}"),
                ("10.0.0.0/8", office),
            ],
        );
        let edge = Edge::with(&text);
        Self { next, medusa, edge }
    }

    fn client(&self) -> Client<'_> {
        Client {
            edge: &self.edge,
            host: "shop.example.com",
        }
    }

    fn customer(age: i64) -> String {
        let claims = json!({
            "actor_id": "cus_1", "actor_type": "customer", "auth_identity_id": "authid_1",
            "app_metadata": {"customer_id": "cus_1"},
        });
        token(claims, age)
    }
}

#[test]
fn the_front_end_the_api_and_the_admin_share_a_host() {
    let (shop, office) = (
        HeadlessShop::open("10.0.0.0/8"),
        HeadlessShop::open("127.0.0.0/8"),
    );
    for (line, elsewhere, at_office) in [
        ("GET /", "next", "next"),
        ("GET /us/products/kettle?size=2", "next", "next"),
        ("GET /us/store", "next", "next"),
        ("GET /store/products", "medusa", "medusa"),
        ("POST /auth/customer/emailpass", "medusa", "medusa"),
        ("GET /static/kettle.webp", "medusa", "medusa"),
        ("POST /hooks/payment/stripe", "medusa", "medusa"),
        ("GET /app", "", "medusa"),
        ("GET /app/", "", "medusa"),
        ("GET /app/orders", "", "medusa"),
        ("POST /admin/products", "", "medusa"),
        ("POST /auth/user/emailpass", "", "medusa"),
        ("GET /%61dmin/products", "", "medusa"),
    ] {
        for (place, wanted) in [(&shop, elsewhere), (&office, at_office)] {
            let answer = place.client().ask(line, &[]);
            let status = if wanted.is_empty() { 404 } else { 200 };
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (status, wanted),
                "{line}"
            );
        }
    }
    let refused = shop.client().ask("GET /auth%2Fuser/emailpass", &[]);
    assert_eq!(refused, 400, "it could be the admin's login");
}

#[test]
fn a_medusa_logout_counts_for_the_api_and_the_front_end() {
    let shop = HeadlessShop::open("10.0.0.0/8");
    let client = shop.client();
    let (phone, tablet) = (HeadlessShop::customer(5), HeadlessShop::customer(60));
    shop.medusa.does_at(
        "/auth/customer/emailpass",
        says(200, &json!({"token": phone})),
    );
    let login = client.ask("POST /auth/customer/emailpass", &[]);
    assert_eq!(login.json()["token"], phone);
    assert_eq!(client.ask_as(&phone, "GET /store/customers/me"), 200);
    let cookie = format!("_medusa_jwt={phone}; _medusa_cart_id=cart_1");
    assert_eq!(client.ask("GET /us/account", &[("Cookie", &cookie)]), 200);
    assert!(
        last(&shop.next).contains(&phone),
        "the page knows its customer"
    );

    let logout = client.ask_as(&phone, "DELETE /auth/session");
    assert_eq!(
        (logout.status, logout.text().as_str()),
        (200, r#"{"success":true}"#)
    );
    assert!(last(&shop.medusa).starts_with("DELETE /auth/session "));

    let heard = shop.medusa.heard().len();
    for line in [
        "GET /store/customers/me",
        "POST /auth/token/refresh",
        "POST /auth/session",
        "GET /",
    ] {
        assert_eq!(client.ask_as(&phone, line), 401, "{line}");
    }
    assert_eq!(shop.medusa.heard().len(), heard, "Medusa would take it");
    let page = client.ask("GET /us/account", &[("Cookie", &cookie)]);
    assert_eq!(page, 200);
    let seen = last(&shop.next);
    assert!(
        !seen.contains("_medusa_jwt") && seen.contains("_medusa_cart_id=cart_1"),
        "{seen}"
    );
    let deleted = page.header("set-cookie").unwrap();
    assert!(deleted.starts_with("_medusa_jwt=;"), "{deleted}");
    assert_eq!(
        client.ask_as(&tablet, "GET /store/customers/me"),
        200,
        "another device"
    );
}

// --- WordPress -------------------------------------------------------------------------------------------

/// The site, and the shop that has moved.
struct WordPress {
    site: Backend,
    shop: Backend,
    edge: Edge,
}

impl WordPress {
    fn open() -> Self {
        let [site, shop] = ["site", "shop"].map(Backend::saying);
        shop.does_at("/shop/wp-json/cocart/v2/logout", Deed::Say(ok("true")));
        let text = configuration_of(
            "wordpress-moved-shop",
            &[
                ("10.0.0.1:80", &site.address().to_string()),
                ("10.0.0.2:80", &shop.address().to_string()),
                ("/etc/doorward/keys/cocart.secret", "{secret_file}"),
            ],
        );
        let edge = Edge::with(&text);
        Self { site, shop, edge }
    }

    fn client(&self) -> Client<'_> {
        Client {
            edge: &self.edge,
            host: "www.example.com",
        }
    }

    fn customer(user: &str, age: i64) -> String {
        let user = json!({"id": user, "device": "", "pat": format!("pat-{user}-{age}")});
        token(
            json!({"iss": "https://www.example.com/shop", "data": {"user": user}}),
            age,
        )
    }
}

#[test]
fn the_shop_of_a_wordpress_site_lives_on_a_second_server() {
    let place = WordPress::open();
    let client = place.client();
    for (line, wanted) in [
        ("GET /", "site"),
        ("GET /about", "site"),
        ("GET /wp-admin/", "site"),
        ("GET /shopping", "site"),
        ("GET /shop", "shop"),
        ("GET /shop/", "shop"),
        ("GET /shop/product/kettle", "shop"),
        ("POST /shop/wp-json/cocart/v2/cart/add-item", "shop"),
    ] {
        let answer = client.ask(line, &[]);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, wanted),
            "{line}"
        );
    }
    for (line, to) in [
        (
            "GET /product/kettle?colour=blue",
            "/shop/product/kettle?colour=blue",
        ),
        (
            "GET /product-category/tea/green/",
            "/shop/product-category/tea/green/",
        ),
        ("POST /checkout", "/shop/checkout"),
        (
            "GET /wp-json/cocart/v2/cart",
            "/shop/wp-json/cocart/v2/cart",
        ),
    ] {
        let answer = client.ask(line, &[]);
        assert_eq!(
            (answer.status, answer.header("location")),
            (308, Some(to)),
            "{line}"
        );
    }
}

#[test]
fn a_logout_at_the_moved_shop_counts_on_both_servers() {
    let place = WordPress::open();
    let client = place.client();
    let (phone, tablet) = (WordPress::customer("7", 5), WordPress::customer("7", 600));
    let other = WordPress::customer("8", 600);
    for token in [&phone, &tablet, &other] {
        assert_eq!(
            client.ask_as(token, "GET /shop/wp-json/cocart/v2/cart"),
            200
        );
    }
    let redirected = client.ask_as(&phone, "POST /wp-json/cocart/v2/logout");
    assert_eq!(redirected, 308, "not here any more");
    assert_eq!(
        client.ask_as(&phone, "GET /shop/wp-json/cocart/v2/cart"),
        200
    );

    let logout = client.ask_as(&phone, "POST /shop/wp-json/cocart/v2/logout");
    assert_eq!((logout.status, logout.text().as_str()), (200, "true"));
    let seen = last(&place.shop).to_ascii_lowercase();
    assert!(!seen.contains("authorization"), "the cart stays: {seen}");

    let heard = (place.site.heard().len(), place.shop.heard().len());
    for token in [&phone, &tablet] {
        for line in [
            "GET /shop/wp-json/cocart/v2/cart",
            "GET /about",
            "GET /product/kettle",
        ] {
            let answer = client.ask_as(token, line);
            assert_eq!(answer, 401, "{line}");
            assert_eq!(answer.json()["code"], "cocart_authentication_error");
        }
    }
    assert_eq!((place.site.heard().len(), place.shop.heard().len()), heard);
    assert_eq!(
        client.ask_as(&other, "GET /shop/wp-json/cocart/v2/cart"),
        200
    );
}

// --- A canary --------------------------------------------------------------------------------------------

/// Two versions of a shop.
struct TwoVersions {
    stable: Backend,
    canary: Backend,
    edge: Edge,
}

impl TwoVersions {
    fn open() -> Self {
        let [stable, canary] = ["stable", "canary"].map(Backend::saying);
        let edge = Edge::with(&Self::configuration(&stable, &canary, ""));
        Self {
            stable,
            canary,
            edge,
        }
    }

    /// That of the page, with other weights if there are any.
    fn configuration(stable: &Backend, canary: &Backend, weights: &str) -> String {
        let (stable, canary) = (stable.address().to_string(), canary.address().to_string());
        let text = configuration_of(
            "canary",
            &[
                (
                    "\"127.0.0.1:9000\", \"127.0.0.1:9001\"",
                    &format!("{stable:?}"),
                ),
                ("127.0.0.1:9100", &canary),
                ("/etc/doorward/keys/jwt.secret", "{secret_file}"),
            ],
        );
        let Some((stable, canary)) = weights.split_once('/') else {
            return text;
        };
        let text = text.replace("weight = 95", &format!("weight = {stable}"));
        text.replace("weight = 5 ", &format!("weight = {canary} "))
    }

    fn weigh(&self, weights: &str) {
        let text = Self::configuration(&self.stable, &self.canary, weights);
        self.edge.configure(&text);
        assert_eq!(self.edge.command(&["reload"]).code, Some(0));
    }

    fn client(&self) -> Client<'_> {
        Client {
            edge: &self.edge,
            host: "shop.example.com",
        }
    }

    /// New customers by their cookies, and the version that each got.
    fn new_customers(&self, count: usize) -> BTreeMap<String, String> {
        let customers = (0..count).map(|_| {
            let answer = self.client().ask("GET /", &[]);
            let cookie = answer.header("set-cookie").unwrap();
            let (cookie, _) = cookie.split_once(';').unwrap();
            (cookie.to_owned(), answer.text())
        });
        customers.collect()
    }

    fn version_of(&self, cookie: &str) -> String {
        self.client()
            .ask("GET /store/carts/cart_1", &[("Cookie", cookie)])
            .text()
    }
}

fn in_canary(customers: &BTreeMap<String, String>) -> usize {
    customers
        .values()
        .filter(|version| *version == "canary")
        .count()
}

#[test]
fn a_customer_stays_in_the_canary() {
    let mut shop = TwoVersions::open();
    let customers = shop.new_customers(600);
    assert_eq!(customers.len(), 600, "each has a cookie of its own");
    let found = in_canary(&customers);
    assert!((6..=60).contains(&found), "{found} of 600");
    let stay = |shop: &TwoVersions| {
        for (cookie, version) in &customers {
            assert_eq!(shop.version_of(cookie), *version, "{cookie}");
        }
    };
    stay(&shop);
    shop.edge.restart();
    stay(&shop);
    let last = shop.stable.heard().pop().unwrap().head;
    assert!(!last.contains("side="), "{last}");

    shop.weigh("80/20");
    let mut joined = 0;
    for (cookie, version) in &customers {
        let now = shop.version_of(cookie);
        assert!(version == "stable" || now == "canary", "one has left");
        joined += usize::from(now != *version);
    }
    assert!((40..=140).contains(&joined), "{joined} of 600");
    shop.weigh("100/0");
    for cookie in customers.keys() {
        assert_eq!(shop.version_of(cookie), "stable");
    }
}

#[test]
fn who_tests_the_canary_is_always_in_it_and_webhooks_never() {
    let shop = TwoVersions::open();
    for _ in 0..20 {
        let tester = shop.client().ask("GET /", &[("Cookie", "canary=always")]);
        assert_eq!(tester.text(), "canary");
        let webhook = shop.client().ask("POST /hooks/payment/stripe", &[]);
        assert_eq!(
            (webhook.text().as_str(), webhook.header("set-cookie")),
            ("stable", None)
        );
    }
}

#[test]
fn a_logout_in_one_version_counts_in_both() {
    let shop = TwoVersions::open();
    shop.weigh("50/50");
    let customers = shop.new_customers(40);
    let found = in_canary(&customers);
    assert!((1..40).contains(&found), "{found} of 40");
    let token = HeadlessShop::customer(5);
    let bearer = format!("Bearer {token}");
    let (cookie, _) = customers
        .iter()
        .find(|(_, version)| *version == "canary")
        .unwrap();
    let headers = [("Authorization", &*bearer), ("Cookie", cookie)];
    let logout = shop.client().ask("DELETE /auth/session", &headers);
    assert_eq!(logout, 200);
    let heard = shop.canary.heard().pop().unwrap();
    assert!(
        heard.head.starts_with("DELETE /auth/session "),
        "the version of the customer hears it"
    );
    for cookie in customers.keys() {
        let headers = [("Authorization", &*bearer), ("Cookie", cookie)];
        assert_eq!(shop.client().ask("GET /store/customers/me", &headers), 401);
    }
}
