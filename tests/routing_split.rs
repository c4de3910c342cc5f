//! Clients that are held by one of several upstreams.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::{Answer, Backend, House, request};

const BEARER: (&str, &str) = ("authorization", "Bearer an-opaque-token-of-a-customer");

/// The API and the admin by these weights.
fn split(weights: [u32; 2], more: &str) -> String {
    let [api, admin] = weights;
    format!(
        "[[shop.route]]\nsplit = [{{ upstream = \"api\", weight = {api} }}, {{ upstream = \"admin\", weight = {admin} }}]\n{more}\n"
    )
}

const BY_COOKIE: &str = "split_by = { cookie = \"side\" }";

/// `name=value` of the cookie that an answer sets.
fn cookie_of(answer: &Answer) -> Option<String> {
    let line = answer.header("set-cookie")?;
    Some(line.split(';').next().unwrap().to_owned())
}

fn ask_with(house: &House, cookie: &str) -> Answer {
    house.ask("GET", "/", &[("cookie", cookie)])
}

#[test]
fn a_cookie_holds_a_client_from_the_first_request_on() {
    let house = House::with(&split([50, 50], BY_COOKIE));
    let mut sides = BTreeMap::new();
    for _ in 0..40 {
        let first = house.ask("GET", "/", &[]);
        let cookie = cookie_of(&first).unwrap();
        for _ in 0..3 {
            let later = ask_with(&house, &cookie);
            assert_eq!(later.text(), first.text(), "{cookie}");
            assert_eq!(later.header("set-cookie"), None);
        }
        sides.insert(cookie, first.text());
    }
    assert_eq!(sides.len(), 40, "every client gets one of its own");
    let answered: BTreeSet<_> = sides.values().cloned().collect();
    assert_eq!(answered.len(), 2, "{answered:?}");
    assert_eq!(house.counts()[0], 0);
    // Nearly all to one side: those that were there stay.
    house.reload(&split([90, 10], BY_COOKIE));
    for (cookie, side) in sides.iter().filter(|(_, side)| *side == "api") {
        assert_eq!(ask_with(&house, cookie).text(), *side, "{cookie}");
    }
    house.reload(&split([0, 1], BY_COOKIE));
    for cookie in sides.keys() {
        assert_eq!(ask_with(&house, cookie).text(), "admin");
    }
}

#[test]
fn the_cookie_is_the_front_ends_and_no_server_sees_it() {
    let plain = "[[shop.route]]\npaths = [\"/plain\"]\nupstream = \"admin\"\n";
    let house = House::with(&format!("{plain}{}", split([1, 0], BY_COOKIE)));
    let first = house.ask("GET", "/", &[("cookie", "cart=1; side=")]);
    let line = first.header("set-cookie").unwrap();
    let (pair, attributes) = line.split_once("; ").unwrap();
    let value = pair.strip_prefix("side=").unwrap();
    assert_eq!(value.len(), 32, "{value}");
    assert_eq!(
        attributes,
        "Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"
    );
    assert_eq!(first.headers_named("cache-control"), ["private"]);
    for (sent, seen) in [
        ("side=a", None),
        ("cart=1; side=a; theme=dark", Some("cart=1; theme=dark")),
        ("side=a;cart=1", Some("cart=1")),
        ("aside=1; side=a; side=b; sides=2", Some("aside=1; sides=2")),
        ("cart=1; theme", Some("cart=1; theme")),
    ] {
        ask_with(&house, sent);
        let head = House::last(&house.api).to_ascii_lowercase();
        let line = head.lines().find_map(|line| line.strip_prefix("cookie: "));
        assert_eq!(line, seen, "{sent}");
        house.ask("GET", "/plain", &[("cookie", sent)]);
        let head = House::last(&house.admin).to_ascii_lowercase();
        let line = head.lines().find_map(|line| line.strip_prefix("cookie: "));
        assert_eq!(line, seen, "{sent}, by another route");
    }
}

#[test]
fn a_client_that_came_by_https_gets_a_secure_cookie() {
    let house = House::with(&split([1, 0], BY_COOKIE));
    let https = [("x-forwarded-proto", "https")];
    let untrusted = house.ask("GET", "/", &https);
    assert!(!untrusted.header("set-cookie").unwrap().contains("Secure"));
    let table = House::table(
        &house.front,
        &house.api,
        &house.admin,
        &split([1, 0], BY_COOKIE),
    );
    let trusting = format!("trusted_proxies = [\"127.0.0.0/8\"]\n{table}");
    let edge = support::Edge::with(&trusting);
    let answer = edge.raw(&request("GET", "/", &https, b""));
    let line = answer.header("set-cookie").unwrap();
    assert!(line.ends_with("; SameSite=Lax; Secure"), "{line}");
}

#[test]
fn an_address_holds_a_client_and_needs_no_cookie() {
    let routes = split([50, 50], "");
    let house = House::with(&routes);
    let table = House::table(&house.front, &house.api, &house.admin, &routes);
    let edge = support::Edge::with(&format!("trusted_proxies = [\"127.0.0.0/8\"]\n{table}"));
    let side_of = |client: &str| {
        let answer = edge.raw(&request("GET", "/", &[("x-forwarded-for", client)], b""));
        assert_eq!(answer.header("set-cookie"), None);
        answer.text()
    };
    let clients = (0..40).map(|number| format!("192.0.2.{number}"));
    let sides: BTreeMap<_, _> = clients.map(|one| (one.clone(), side_of(&one))).collect();
    let answered: BTreeSet<_> = sides.values().cloned().collect();
    assert_eq!(answered.len(), 2, "{answered:?}");
    for (client, side) in &sides {
        assert_eq!(side_of(client), *side, "{client}");
    }
    let network = side_of("2001:db8::1");
    for last in 2..12 {
        assert_eq!(side_of(&format!("2001:db8::{last}")), network, "one /64");
    }
}

#[test]
fn two_routes_with_the_same_weights_hold_a_client_on_the_same_side() {
    let [pages, calls] = ["pages", "calls"].map(|folder| {
        let paths = format!("{BY_COOKIE}\npaths = [\"/{folder}/*\"]");
        split([50, 50], &paths)
    });
    let house = House::with(&(pages + &calls));
    for client in 0..20 {
        let cookie = format!("side=client-{client}");
        let sides = ["/pages/x", "/calls/x"]
            .map(|target| house.ask("GET", target, &[("cookie", &cookie)]).text());
        assert_eq!(sides[0], sides[1], "{cookie}");
    }
}

#[test]
fn a_logout_goes_the_way_of_its_client() {
    let house = House::with(&format!(
        "[[shop.logout]]\npaths = [\"/logout\"]\n{}",
        split([50, 50], BY_COOKIE)
    ));
    for client in 0..20 {
        let cookie = format!("side=client-{client}");
        let token = format!("Bearer an-opaque-token-of-customer-{client}");
        let headers = [
            ("cookie", cookie.as_str()),
            ("authorization", token.as_str()),
        ];
        let side = house.ask("GET", "/", &headers).text();
        let server = if side == "api" {
            &house.api
        } else {
            &house.admin
        };
        let before = server.times("/logout");
        assert_eq!(house.ask("POST", "/logout", &headers).status, 200);
        assert_eq!(server.times("/logout"), before + 1, "{cookie} is at {side}");
        let sent = House::last(server).to_ascii_lowercase();
        assert!(!sent.contains("side="), "{sent}");
        assert_eq!(house.ask("GET", "/", &headers).status, 401);
    }
    let strange = house.ask("POST", "/logout", &[BEARER]);
    let cookie = cookie_of(&strange).unwrap();
    let caching = strange.headers_named("cache-control");
    assert!(caching.contains(&"private"), "{caching:?}");
    let [_, api, admin] = house.counts();
    ask_with(&house, &cookie);
    let [_, later_api, later_admin] = house.counts();
    assert_eq!(later_api + later_admin, api + admin + 1, "{cookie}");
}

#[test]
fn an_upstream_that_is_down_does_not_hand_its_clients_over() {
    let gone = Backend::saying("gone").address();
    let house = House::with(&format!(
        "[[shop.route]]\nsplit = [{{ upstream = \"api\", weight = 0 }}, {{ upstream = \"gone\", weight = 1 }}]\n\
         [[upstream]]\nname = \"gone\"\nservers = [\"{gone}\"]\n"
    ));
    assert_eq!(house.ask("GET", "/", &[]).status, 502);
    assert_eq!(house.counts(), [0, 0, 0]);
}

#[test]
fn faults_of_a_split_are_named() {
    for (route, words) in [
        ("split = []", "a split needs an upstream with a weight"),
        (
            "split = [{ upstream = \"api\", weight = 0 }]",
            "a split needs an upstream with a weight",
        ),
        ("split = [{ upstream = \"api\" }]", "missing key `weight`"),
        ("split = [{ weight = 1 }]", "missing key `upstream`"),
        (
            "split = [{ upstream = \"apy\", weight = 1 }]",
            "no upstream is called `apy`",
        ),
        (
            "split = [{ upstream = \"api\", weight = 1 }]\nupstream = \"api\"",
            "a route leads to one place",
        ),
        (
            "enforce = \"valid\"\nsplit_by = \"client\"",
            "`split_by` means nothing without `split`",
        ),
        (
            "split = [{ upstream = \"api\", weight = 1 }]\nsplit_by = \"cookie\"",
            "unknown `split_by`: `cookie`",
        ),
        (
            "split = [{ upstream = \"api\", weight = 1 }]\nsplit_by = { cookie = \"a b\" }",
            "the name of a cookie",
        ),
        (
            "split = [{ upstream = \"api\", weight = 1 }]\nsplit_by = { cookie = \"session\" }\n[[shop.credential]]\ncookie = \"session\"",
            "this cookie is a credential of the shop",
        ),
    ] {
        House::refuses(route, words);
    }
}
