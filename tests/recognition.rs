//! Which requests are recognised as a logout or a refresh: everything that some server would take for one, wherever the
//! shop's application lives, and nothing that no server takes for one; what looks like one and is none is told.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::cell::Cell;

use support::{
    Answer, Edge, Outcome, Recorder, Shop, doorward, eventually, request, stateless_bagisto,
};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const MULTIPART: &str = "multipart/form-data; boundary=b";

/// An edge in front of a server that says "ok" to everything, with ever new customers.
struct Town {
    server: Recorder,
    edge: Edge,
    mint: Shop,
    customers: Cell<u32>,
}

/// A request of a customer: method, target, further headers, body.
type Call<'c> = (&'c str, &'c str, &'c [(&'c str, &'c str)], &'c str);

impl Town {
    /// `more` are further keys and tables of the shop.
    fn with(more: &str) -> Self {
        Self::before(Recorder::open(), more)
    }

    fn before(server: Recorder, more: &str) -> Self {
        let edge = Edge::with(&format!("{}{more}", server.table()));
        Self {
            server,
            edge,
            mint: stateless_bagisto(),
            customers: Cell::new(0),
        }
    }

    fn of_preset(preset: &str) -> Self {
        Self::with(&format!("preset = \"{preset}\"\n"))
    }

    /// A token that no logout has touched.
    fn token(&self) -> String {
        let number = self.customers.get();
        self.customers.set(number + 1);
        self.mint.sign_in(&format!("customer{number}"))
    }

    fn send(&self, (method, target, headers, body): Call<'_>, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let own = [("Authorization", bearer.as_str())];
        let headers = [&own, headers].concat();
        self.edge
            .raw(&request(method, target, &headers, body.as_bytes()))
    }

    fn is_alive(&self, token: &str) -> bool {
        let visits = self.server.visits();
        let answer = self.send(("GET", "/cart", &[], ""), token);
        let reached = self.server.visits() > visits;
        assert_eq!(reached, answer.status == 200, "{}", answer.text());
        reached
    }

    /// It is a logout.
    #[track_caller]
    fn logs_out(&self, call: Call<'_>) {
        let token = self.token();
        let answer = self.send(call, &token);
        assert!(
            answer.status < 300,
            "{call:?}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(!self.is_alive(&token), "no logout: {call:?}");
    }

    /// It reaches the server, and is none.
    #[track_caller]
    fn is_no_logout(&self, call: Call<'_>) {
        let (token, visits) = (self.token(), self.server.visits());
        let answer = self.send(call, &token);
        assert_eq!(
            self.server.visits(),
            visits + 1,
            "{call:?}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(self.is_alive(&token), "a logout: {call:?}");
    }

    fn near_misses(&self) -> u64 {
        let page = self.edge.metrics();
        let line = page
            .lines()
            .find(|line| line.starts_with("doorward_logout_near_misses_total"));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    fn near_miss_lines(&self) -> Vec<String> {
        let lines = self.edge.log_lines().into_iter();
        lines
            .filter(|line| line.contains("looks like a logout"))
            .collect()
    }
}

/// Every way to put a parameter into a POST.
fn carried(name: &str, value: &str) -> Vec<(String, &'static str, String)> {
    let part = format!(
        "--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--b--\r\n"
    );
    vec![
        (format!("?{name}={value}"), "", String::new()),
        (String::new(), FORM, format!("a=b&{name}={value}")),
        (
            String::new(),
            JSON,
            format!("{{\"a\":1,\"{name}\":\"{value}\"}}"),
        ),
        (String::new(), MULTIPART, part),
        (String::new(), "text/plain", format!("{name}={value}")),
    ]
}

// ---------------------------------------------------------------------------------------------------------------
// Paths

#[test]
fn a_procedure_is_a_logout_also_in_a_batch_field_f8() {
    let town =
        Town::with("[[shop.logout]]\npaths = [\"/api/trpc/auth.log*\", \"/rpc/*.signOut\"]\n");
    for target in [
        "/api/trpc/auth.logout",
        "/api/trpc/auth.logout,cart.get?batch=1",
        "/api/trpc/cart.get,auth.logout?batch=1",
        "/api/trpc/cart.get%2Cauth.logoutAll",
        "/rpc/session.signOut",
    ] {
        town.logs_out(("POST", target, &[], "{}"));
    }
    for target in [
        "/api/trpc/cart.get,auth.me?batch=1",
        "/api/trpc/auth.login/x",
        "/rpc/signOut",
    ] {
        town.is_no_logout(("POST", target, &[], "{}"));
    }
}

#[test]
fn a_path_is_read_as_the_laxest_server_reads_it_attacks_a4() {
    let town = Town::with("[[shop.logout]]\npaths = \"/api/logout\"\n");
    for target in [
        "/api/logout",
        "/api/logout%20",
        "/api/logout%0a",
        "/api/logout%0D%0A",
        "/api/logout%09?x",
        "/api/logout.json",
        "/api/logout.xml?x",
        "/index.php/api/logout",
        "/app.php/api/logout.json",
    ] {
        town.logs_out(("POST", target, &[], ""));
    }
    for target in [
        "/api/logout.",
        "/api/logouts",
        "/api/%20logout",
        "/x/api/logout",
    ] {
        town.is_no_logout(("POST", target, &[], ""));
    }
}

#[test]
fn a_dead_refresh_token_mints_in_no_spelling_of_the_path_attacks_a4() {
    let town = Town::of_preset("generic-oauth");
    let dead = town.token();
    let body = format!("token={dead}");
    let form: &[_] = &[("Content-Type", FORM)];
    assert_eq!(
        town.send(("POST", "/oauth/revoke", form, &body), &town.token()),
        200
    );
    let body = format!("grant_type=refresh_token&refresh_token={dead}");
    for target in [
        "/oauth/token",
        "/oauth/token.json",
        "/oauth/token%20",
        "/oauth/token%0a",
        "/index.php/oauth/token",
        "/auth/oauth/token",
        "/shop/auth/public/oauth/token.xml",
    ] {
        let visits = town.server.visits();
        let bytes = request("POST", target, form, body.as_bytes());
        let answer = town.edge.raw(&bytes);
        assert_eq!(answer, 400, "{target}");
        assert_eq!(answer.json()["error"], "invalid_grant", "{target}");
        assert_eq!(town.server.visits(), visits, "{target}");
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Methods

#[test]
fn a_method_that_is_named_elsewhere_counts_attacks_a2() {
    let town = Town::with("[[shop.logout]]\nmethods = [\"DELETE\"]\npaths = \"/session\"\n");
    town.logs_out(("DELETE", "/session", &[], ""));
    for (query, kind, body) in carried("_method", "delete") {
        let headers = [("Content-Type", kind)];
        town.logs_out(("POST", &format!("/session{query}"), &headers, &body));
    }
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        town.logs_out(("POST", "/session", &[(name, "DELETE")], ""));
    }
    town.is_no_logout(("POST", "/session", &[], "a=b"));
    town.is_no_logout((
        "POST",
        "/session",
        &[("X-HTTP-Method", "PUT")],
        "_method=PATCH",
    ));
    // A page of another site can make a browser follow a link.
    town.is_no_logout(("GET", "/session?_method=DELETE", &[], ""));
}

#[test]
fn a_long_body_that_only_could_name_a_method_passes() {
    let town = Town::with("[[shop.logout]]\nmethods = [\"DELETE\"]\npaths = \"/session\"\n");
    let body = "x".repeat(100_000);
    town.is_no_logout(("POST", "/session", &[], &body));
    assert!(town.server.has_heard(&body));
}

#[test]
fn a_head_is_a_logout_where_a_get_is_one_field_f3() {
    let town = Town::with("[[shop.logout]]\nmethods = [\"GET\"]\npaths = \"/logout\"\n");
    town.logs_out(("HEAD", "/logout", &[], ""));
    town.is_no_logout(("POST", "/logout", &[], ""));
}

// ---------------------------------------------------------------------------------------------------------------
// WordPress

#[test]
fn wordpress_takes_a_route_from_everywhere_attacks_a2() {
    let town = Town::of_preset("cocart");
    for name in ["rest_route", "rest.route"] {
        for (query, kind, body) in carried(name, "/cocart/v2/logout") {
            let headers = [("Content-Type", kind)];
            if kind == JSON && name.contains('.') {
                continue; // PHP makes variables of forms and queries only
            }
            for path in ["/", "/index.php", "/de/blog/"] {
                town.logs_out(("POST", &format!("{path}{query}"), &headers, &body));
            }
        }
    }
    for target in [
        "/?rest%20route=/CoCart/v1/logout",
        "/?rest_route[]=/cocart/v1/logout",
        "/?a=b;rest_route=/cocart/v1/logout%0a",
        "/wp-json/cocart/v2/logout%0a",
    ] {
        town.logs_out(("POST", target, &[], ""));
    }
    town.is_no_logout((
        "POST",
        "/?rest_route=/cocart/v2/cart",
        &[("Content-Type", FORM)],
        "a=b",
    ));
}

#[test]
fn wordpress_takes_a_method_from_the_query_of_a_get_attacks_a2() {
    let town = Town::of_preset("cocart");
    for target in [
        "/wp-json/cocart/v2/logout?_method=POST",
        "/wp-json/cocart/v2/logout?.method=post",
        "/?rest_route=/cocart/v1/logout&_method=POST",
    ] {
        town.logs_out(("GET", target, &[], ""));
    }
    town.logs_out((
        "GET",
        "/wp-json/cocart/v2/logout",
        &[("X-HTTP-Method-Override", "POST")],
        "",
    ));
    town.is_no_logout(("GET", "/wp-json/cocart/v2/logout", &[], ""));
    town.is_no_logout(("GET", "/wp-json/cocart/v2/logout?_method=GET", &[], ""));
}

/// A dead refresh cookie, as usefulteam's plugin takes it.
#[test]
fn a_dead_refresh_cookie_mints_on_no_way_to_its_route_attacks_a2() {
    let town = Town::of_preset("wordpress-jwt");
    let cookie = format!("refresh_token=1.{}", "ab12".repeat(16));
    let cookie: &[_] = &[
        ("Cookie", cookie.as_str()),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    assert_eq!(
        town.send(("POST", "/_doorward/logout", cookie, ""), &town.token()),
        200
    );
    // The shop never sees it there: the request is refused, or goes on without it.
    let mints_nothing = |method: &str, target: &str, kind: &str, body: &str| {
        let headers = [cookie, &[("Content-Type", kind)]].concat();
        let bytes = request(method, target, &headers, body.as_bytes());
        let answer = town.edge.raw(&bytes);
        let is_seen = answer != 401 && town.server.last().contains("ab12ab12");
        assert!(!is_seen, "{method} {target} {body}: {}", answer.status);
    };
    for target in [
        "/wp-json/jwt-auth/v1/token",
        "/de/wp-json/jwt-auth/v1/token/refresh",
        "/pt-br/index.php/wp-json/jwt-auth/v1/token",
        "/?rest.route=/jwt-auth/v1/token",
    ] {
        mints_nothing("POST", target, "", "");
    }
    for (query, kind, body) in carried("rest_route", "/jwt-auth/v1/token/refresh") {
        mints_nothing("POST", &format!("/{query}"), kind, &body);
    }
    mints_nothing("GET", "/wp-json/jwt-auth/v1/token?_method=POST", "", "");
}

// ---------------------------------------------------------------------------------------------------------------
// Folders

#[test]
fn a_preset_is_found_below_any_folder_field_f2() {
    let bagisto = Town::of_preset("bagisto");
    let key: &[_] = &[("X-STOREFRONT-KEY", Shop::KEY)];
    for target in [
        "/api/shop/customers/logout",
        "/bagisto/public/api/shop/customers/logout",
        "/bagisto/public/index.php/api/shop/customers/logout",
        "/a/b/c/api/customers/logout",
    ] {
        bagisto.logs_out(("POST", target, key, "{}"));
    }
    bagisto.is_no_logout(("POST", "/a/b/c/d/api/customers/logout", key, "{}"));
    let cocart = Town::of_preset("cocart");
    for target in [
        "/shop/wp-json/cocart/v2/logout",
        "/pt-br/index.php/wp-json/cocart/v1/logout",
    ] {
        cocart.logs_out(("POST", target, &[], ""));
    }
    let medusa = Town::with("preset = \"medusa\"\n");
    medusa.logs_out(("DELETE", "/medusa/auth/session", &[], ""));
    // Doorward's own paths stand at the root.
    bagisto.is_no_logout(("POST", "/shop/_doorward/logout", key, "{}"));
}

#[test]
fn a_base_narrows_where_a_preset_is_found_field_f2() {
    let town = Town::with(
        "preset = \"bagisto\"\nbase = [\"/shop\", \"/*/public\"]\n[[shop.logout]]\npaths = \"/bye\"\n",
    );
    let key: &[_] = &[("X-STOREFRONT-KEY", Shop::KEY)];
    for target in [
        "/shop/api/customers/logout",
        "/a/public/api/customers/logout",
        "/shop/index.php/api/customers/logout.json",
        "/bye",
        "/shop/bye",
    ] {
        town.logs_out(("POST", target, key, "{}"));
    }
    for target in [
        "/api/customers/logout",
        "/other/api/customers/logout",
        "/other/bye",
    ] {
        town.is_no_logout(("POST", target, key, "{}"));
    }
}

#[test]
fn an_ambiguous_path_below_a_folder_is_refused_field_f2() {
    let town = Town::of_preset("bagisto");
    let token = town.token();
    for target in [
        "/shop/api%2fcustomers/logout",
        "/a/b%5capi/customers/logout",
        "/de//../api/customers/logout",
    ] {
        let visits = town.server.visits();
        assert_eq!(
            town.send(("POST", target, &[], "{}"), &token),
            400,
            "{target}"
        );
        assert_eq!(town.server.visits(), visits, "{target}");
    }
    assert!(town.is_alive(&token));
}

#[test]
fn a_base_must_be_a_folder_field_f2() {
    let Err(outcome) = Edge::try_start(&format!(
        "{}preset = \"bagisto\"\nbase = [\"shop/\"]\n",
        Recorder::open().table()
    )) else {
        panic!("it starts");
    };
    assert!(
        outcome
            .stderr
            .contains("expected a folder such as /, /shop or /*"),
        "{}",
        outcome.stderr
    );
}

// ---------------------------------------------------------------------------------------------------------------
// Near misses

#[test]
fn what_looks_like_a_logout_and_is_none_is_counted_and_logged_once_field_f2() {
    let town = Town::of_preset("bagisto");
    let token = town.token();
    let send =
        |method: &str, target: &str, body: &str| town.send((method, target, &[], body), &token);
    for _ in 0..3 {
        send("POST", "/a/b/c/d/api/shop/customers/logout", "{}");
    }
    assert_eq!(town.near_misses(), 3);
    eventually(|| town.near_miss_lines().len() == 1);
    for (method, target) in [
        ("DELETE", "/users/sign_out"),
        ("POST", "/signout?x"),
        ("GET", "/v2/customer/logout"),
        ("POST", "/realms/x/protocol/openid-connect/revoke"),
        ("DELETE", "/auth/v2/session"),
        ("POST", "/?rest_route=/cocart/v2/logout"),
    ] {
        let before = town.near_misses();
        send(method, target, "");
        assert_eq!(town.near_misses(), before + 1, "{method} {target}");
    }
    for body in [
        "mutation { logout { success } }",
        "mutation { revokeCustomerToken { result } }",
    ] {
        let before = town.near_misses();
        let body = format!("{{\"query\":\"{body}\"}}");
        send("POST", "/x/graphql", &body);
        send("POST", "/shop-api", &body);
        assert_eq!(town.near_misses(), before + 2, "{body}");
    }
    let before = town.near_misses();
    for (method, target, body) in [
        ("GET", "/cart", ""),
        ("GET", "/logout-help", ""),
        ("POST", "/login", "a=logout"),
        ("POST", "/x/graphql", "{\"query\":\"{ me { id } }\"}"),
        (
            "POST",
            "/x/graphql",
            "{\"query\":\"mutation { login { token } }\"}",
        ),
        ("GET", "/auth/session", ""),
    ] {
        send(method, target, body);
    }
    assert_eq!(town.near_misses(), before);
    assert!(town.is_alive(&token));
}

#[test]
fn a_token_in_the_path_of_a_near_miss_is_not_logged_field_f2() {
    let town = Town::with("");
    let token = town.token();
    let answer = town.send(("POST", &format!("/logout/{token}"), &[], ""), &token);
    assert_eq!(answer, 200);
    eventually(|| town.near_miss_lines().len() == 1);
    assert!(!town.near_miss_lines()[0].contains(&token));
}

#[test]
fn a_rule_that_matches_is_no_near_miss_field_f2() {
    let town = Town::with(
        "[[shop.logout]]\npaths = \"/logout\"\n[[shop.refresh]]\npaths = \"/logout/renew\"\n",
    );
    town.logs_out(("POST", "/logout", &[], ""));
    let token = town.token();
    town.send(("POST", "/logout/renew", &[], ""), &token);
    assert_eq!(town.near_misses(), 0);
}

// ---------------------------------------------------------------------------------------------------------------
// Conditions

#[test]
fn a_logout_asks_for_a_header_field_f8() {
    let town = Town::with(
        "[[shop.logout]]\npaths = \"/account\"\nheader = { next-action = [\"7f00\", \"7f01\"] }\n\
         [[shop.logout]]\npaths = \"/any\"\nheader = { x-logout = \"*\" }\n",
    );
    town.logs_out(("POST", "/account", &[("Next-Action", "7f01")], "[]"));
    town.logs_out(("POST", "/any", &[("X-Logout", "")], ""));
    town.is_no_logout(("POST", "/account", &[("Next-Action", "7f02")], "[]"));
    town.is_no_logout(("POST", "/account", &[], "[]"));
    town.is_no_logout(("POST", "/any", &[], ""));
}

#[test]
fn a_logout_asks_for_a_value_in_the_body_and_the_first_rule_that_fits_counts_field_f8() {
    let town = Town::with(
        "[[shop.logout]]\npaths = \"/logout\"\nbody = { \"/scope\" = \"global\" }\nrevoke = \"subject\"\n\
         answer = \"local\"\nanswer_body = '{\"ended\":\"all\"}'\n\
         [[shop.logout]]\npaths = \"/logout\"\nrevoke = \"token\"\nanswer = \"local\"\nanswer_body = '{\"ended\":\"one\"}'\n",
    );
    let ended = |kind: &str, body: &str| {
        let token = town.token();
        let answer = town.send(("POST", "/logout", &[("Content-Type", kind)], body), &token);
        assert!(!town.is_alive(&token), "{body}");
        answer.json()["ended"].as_str().unwrap().to_owned()
    };
    for (_, kind, body) in carried("scope", "global").into_iter().skip(1) {
        assert_eq!(ended(kind, &body), "all", "{kind} {body}");
    }
    assert_eq!(
        ended(JSON, "{\"scope\":\"local\",\"scope\":\"global\"}"),
        "all"
    );
    for body in ["{\"scope\":\"local\"}", "{}", ""] {
        assert_eq!(ended(JSON, body), "one", "{body}");
    }
    // A body that decides, and can't be read, is refused.
    let long = format!("{{\"x\":\"{}\",\"scope\":\"global\"}}", "x".repeat(100_000));
    let token = town.token();
    assert_eq!(town.send(("POST", "/logout", &[], &long), &token), 413);
}

#[test]
fn a_refresh_and_a_route_ask_for_the_same_field_f8() {
    let town = Town::with(
        "[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n\
         [[shop.credential]]\nform = \"refresh_token\"\nkind = \"opaque\"\nat = [\"logout\", \"refresh\"]\n\
         [[shop.refresh]]\npaths = \"/token\"\nbody = { \"/grant_type\" = \"refresh_token\" }\n\
         errors.invalid = { status = 400, body = '{\"error\":\"invalid_grant\"}' }\n\
         [[shop.route]]\npaths = \"/page\"\nheader = { x-app = \"*\" }\nenforce = \"required\"\n\
         [[shop.route]]\npaths = \"/page\"\nquery = { tab = \"orders\" }\nenforce = \"required\"\n\
         [[shop.route]]\npaths = \"/page\"\nbody = { \"/step\" = 2 }\nenforce = \"required\"\n\
         [[shop.logout]]\npaths = \"/bye\"\n",
    );
    let form: &[_] = &[("Content-Type", FORM)];
    let dead = "r".repeat(40);
    let body = format!("refresh_token={dead}");
    assert_eq!(town.send(("POST", "/bye", form, &body), &town.token()), 200);
    let ask = |method: &str, target: &str, headers: &[(&str, &str)], body: &str| {
        town.edge
            .raw(&request(method, target, headers, body.as_bytes()))
    };
    let refresh = format!("grant_type=refresh_token&{body}");
    assert_eq!(ask("POST", "/token", form, &refresh), 400);
    assert_eq!(ask("GET", "/page", &[], ""), 200);
    assert_eq!(ask("GET", "/page", &[("X-App", "1")], ""), 401);
    assert_eq!(ask("GET", "/page?tab=cart", &[], ""), 200);
    assert_eq!(ask("GET", "/page?tab=cart&tab=orders", &[], ""), 401);
    assert_eq!(ask("POST", "/page", form, "step=1"), 200);
    assert_eq!(ask("POST", "/page", form, "step=2"), 401);
    assert_eq!(
        ask("POST", "/page", &[("Content-Type", JSON)], "{\"step\":2}"),
        401
    );
}

#[test]
fn a_condition_that_nothing_could_fit_is_a_fault_field_f8() {
    let check = |line: &str| -> Outcome {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("doorward.toml");
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n[[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:9\"]\n\
             token.kind = \"opaque\"\n[[shop.logout]]\npaths = \"/logout\"\n{line}\n"
        );
        std::fs::create_dir(home.path().join("data")).unwrap();
        std::fs::write(&path, text).unwrap();
        doorward(&["check", "--config", path.to_str().unwrap()])
    };
    for (line, fault) in [
        ("body = { scope = \"global\" }", "expected a JSON pointer"),
        (
            "header = { \"next action\" = \"*\" }",
            "expected the name of a header",
        ),
        (
            "body = { \"/a\" = [1.5] }",
            "expected a string, a boolean or an integer",
        ),
        (
            "query = { route = \"/a//b\" }",
            "expected a path without doubled slashes",
        ),
    ] {
        let outcome = check(line);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(
            outcome.code != Some(0) && said.contains(fault),
            "{line}: {said}"
        );
    }
}

// ---------------------------------------------------------------------------------------------------------------
// GraphQL

const LOGOUT_BY_GET: &str = "?query=mutation%7Blogout%7Bsuccess%7D%7D";

#[test]
fn a_mutation_by_get_is_no_logout_field_f4() {
    let town = Town::with(
        "[[shop.logout]]\nmethods = [\"POST\"]\npaths = \"/shop-api\"\ngraphql = \"logout\"\nrevoke = \"subject\"\n",
    );
    let target = format!("/shop-api{LOGOUT_BY_GET}");
    town.is_no_logout(("GET", &target, &[], ""));
    town.is_no_logout(("HEAD", &target, &[], ""));
    // What a form of another site can send is one all the same.
    let body = "{\"query\":\"mutation{logout{success}}\"}";
    for kind in [JSON, "text/plain", ""] {
        town.logs_out(("POST", "/shop-api", &[("Content-Type", kind)], body));
    }
    let form = "query=mutation%7Blogout%7Bsuccess%7D%7D";
    town.logs_out(("POST", "/shop-api", &[("Content-Type", FORM)], form));
    town.logs_out(("POST", &target, &[], ""));
}

#[test]
fn a_mutation_by_get_is_a_logout_where_the_shop_executes_it_field_f4() {
    let town = Town::with(
        "[[shop.logout]]\nmethods = [\"POST\", \"GET\"]\npaths = \"/graphql\"\ngraphql = \"logout\"\n",
    );
    town.logs_out(("GET", &format!("/graphql{LOGOUT_BY_GET}"), &[], ""));
    // Whether it does is its to say.
    let said = "{\"data\":{\"customerLogout\":{\"success\":true}}}";
    let said = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{said}",
        said.len()
    );
    let server = Recorder::answering(said);
    let lighthouse = Town::before(server, "preset = \"bagisto-graphql\"\n");
    let target = "/graphql?query=mutation%7BcustomerLogout%7Bsuccess%7D%7D";
    lighthouse.logs_out(("GET", target, &[], ""));
    let magento = Town::of_preset("magento");
    let target = "/graphql?query=mutation%7BrevokeCustomerToken%7Bresult%7D%7D";
    magento.is_no_logout(("GET", target, &[], ""));
}

// ---------------------------------------------------------------------------------------------------------------
// Bagisto 1.x

#[test]
fn bagisto_1_logs_out_by_get_field_f3() {
    let town = Town::of_preset("bagisto");
    for target in [
        "/api/customer/logout?token=true",
        "/api/customer/logout",
        "/shop/public/api/customer/logout?token=true",
    ] {
        town.logs_out(("GET", target, &[], ""));
        town.logs_out(("HEAD", target, &[], ""));
    }
    town.is_no_logout(("GET", "/api/customer/login?token=true", &[], ""));
}

// ---------------------------------------------------------------------------------------------------------------
// Routes

#[test]
fn a_route_that_is_off_is_off_in_every_reading_attacks_a11() {
    let town = Town::with(
        "[[shop.route]]\npaths = [\"/static/*\", \"/health\"]\nenforce = \"off\"\n\
         [[shop.route]]\npaths = [\"/pub/*\"]\nquery = { public = \"1\" }\nenforce = \"off\"\n\
         [[shop.route]]\npaths = [\"/account/*\"]\nenforce = \"required\"\n\
         [[shop.logout]]\npaths = \"/logout\"\n",
    );
    let dead = town.token();
    assert_eq!(town.send(("POST", "/logout", &[], ""), &dead), 200);
    let status = |target: &str| town.send(("GET", target, &[], ""), &dead).status;
    for target in [
        "/static/x",
        "/static/a%20b.png",
        "/health",
        "/health/",
        "/static/x/y.css?z",
        "/pub/x?public=1",
    ] {
        assert_eq!(status(target), 200, "{target}");
    }
    for target in [
        "/account/../static/x",
        "/account/%2e%2e/static/x",
        "/account/x/../../static/x",
        "/x/../static/x",
        "/./static/x",
        "//static/x",
        "/%73tatic/x",
        "/static;v=1/x",
        "/index.php/static/x",
        "/health.json",
        "/health%20",
        "/health,account",
        "/pub/x",
        "/pub/x?public=1&public=0",
        "/pub/x?public=1;public=0",
        "/pub/x?public[]=1",
    ] {
        assert_eq!(status(target), 401, "{target}");
    }
    // A route that demands more counts in any reading.
    let guest = |target: &str| town.edge.raw(&request("GET", target, &[], b"")).status;
    for target in [
        "/account/x",
        "/account/../static/x",
        "/x/../account/y",
        "/index.php/account/y",
        "/%61ccount/x",
    ] {
        assert_eq!(guest(target), 401, "{target}");
    }
    assert_eq!(guest("/static/../cart"), 200);
}
