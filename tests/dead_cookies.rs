//! A dead cookie locks nobody out: it is taken out of the request, and the browser is told to forget it in a way that it
//! obeys.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;

use support::{Answer, Edge, Shop, doorward, request, stateless_bagisto};

const PAGE: &str = "/account/page";
const LOGOUT: &str = "/bye";
const SAME: (&str, &str) = ("Sec-Fetch-Site", "same-origin");
const GONE: &str = "=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0";

/// A shop whose sessions are cookies; `more` are keys of its logout, and then other tables.
fn table(shop: &Shop, more: &str) -> String {
    format!(
        r#"
[[shop]]
name     = "main"
upstream = ["{}"]

[shop.token]
kind               = "opaque"
max_token_lifetime = "30d"

[shop.limits]
unverified_per_client_minute = 10000

[[shop.credential]]
cookie = "sid"

[[shop.credential]]
cookie = "__Host-sid"

[[shop.credential]]
cookie = "login_*"

[[shop.credential]]
header  = "authorization"
schemes = ["Bearer"]

[[shop.route]]
paths   = ["/orders/*"]
enforce = "required"

[[shop.logout]]
paths = ["{LOGOUT}"]
{more}
"#,
        shop.address()
    )
}

/// An answer with these `Set-Cookie` lines.
fn said(status: u16, cookies: &[&str]) -> String {
    let lines: String = cookies
        .iter()
        .map(|line| format!("Set-Cookie: {line}\r\n"))
        .collect();
    format!("HTTP/1.1 {status} Said\r\n{lines}Content-Length: 4\r\nConnection: close\r\n\r\nsaid")
}

struct Scene {
    shop: Shop,
    edge: Edge,
}

impl Scene {
    fn with(more: &str) -> Self {
        let shop = stateless_bagisto();
        shop.recite(PAGE, said(200, &[]));
        shop.recite("/orders/1", said(200, &[]));
        shop.recite(LOGOUT, said(204, &[]));
        let edge = Edge::with(&table(&shop, more));
        Self { shop, edge }
    }

    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.edge.raw(&request(method, target, headers, b""))
    }

    fn log_out(&self, cookies: &str) -> Answer {
        self.ask("POST", LOGOUT, &[("Cookie", cookies), SAME])
    }
}

/// What an answer deletes, without what every deletion says.
fn deleted(answer: &Answer) -> Vec<String> {
    let lines = answer.headers_named("set-cookie").into_iter();
    let ours = lines.filter(|line| line.contains(GONE));
    let mut short: Vec<_> = ours.map(|line| line.replace(GONE, "")).collect();
    short.sort();
    short
}

#[test]
fn the_shops_answer_to_a_logout_deletes_the_cookies_too_field_f5() {
    let scene = Scene::with(
        "clear_cookies = [{ name = \"cart\" }, { name = \"__Secure-cart\", paths = [\"/x\"], domain = \"example.com\" },\n\
         { name = \"__Host-cart\" }, { name = \"far\", cross_site = true }, { name = \"part\", partitioned = true },\n\
         { name = \"long\" }, { name = \"few_*\" }]",
    );
    scene.shop.recite(LOGOUT, said(303, &["other=1; Path=/"]));
    let cookies = "sid=alice; long.0=a; long.1=b; long_2=c; long.sig=d; longer=e; few_1=x; few_2=y";
    let answer = scene.log_out(cookies);
    assert_eq!((answer.status, &*answer.text()), (303, "said"));
    let deleted = deleted(&answer);
    for line in [
        "cart; Path=/",
        "__Secure-cart; Path=/x; Domain=example.com; Secure",
        "__Host-cart; Path=/; Secure",
        "far; Path=/; SameSite=None; Secure",
        "far; Path=/",
        "part; Path=/; SameSite=None; Secure; Partitioned",
        "long; Path=/",
        "long.0; Path=/",
        "long.1; Path=/",
        "long_2; Path=/",
        "few_1; Path=/",
        "few_2; Path=/",
    ] {
        assert!(deleted.iter().any(|one| one == line), "{line}: {deleted:?}");
    }
    for other in ["long.sig", "longer", "few_*", "other"] {
        let begin = format!("{other};");
        assert!(
            !deleted.iter().any(|one| one.starts_with(&begin)),
            "{other}: {deleted:?}"
        );
    }
    assert_eq!(
        answer.headers_named("set-cookie")[0],
        "other=1; Path=/",
        "the shop's own stands"
    );
}

#[test]
fn a_cookie_that_the_shop_sets_anew_is_not_deleted_field_f5() {
    let scene = Scene::with("clear_cookies = [{ name = \"sid\" }, { name = \"cart\" }]");
    for (line, is_deleted) in [
        ("sid=new; Path=/", false),
        ("sid=new; Path=/; Max-Age=3600", false),
        ("sid=; Path=/", true),
        ("sid=x; Path=/; Max-Age=0", true),
        (
            "sid=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Path=/other",
            true,
        ),
    ] {
        scene.shop.recite(LOGOUT, said(200, &[line]));
        let answer = scene.log_out(&format!("sid=value-{}", line.len()));
        let deleted = deleted(&answer);
        assert_eq!(
            deleted.contains(&"sid; Path=/".to_owned()),
            is_deleted,
            "{line}: {deleted:?}"
        );
        assert!(
            deleted.contains(&"cart; Path=/".to_owned()),
            "{line}: {deleted:?}"
        );
        assert!(answer.headers_named("set-cookie").contains(&line));
    }
}

#[test]
fn a_logout_that_the_shop_declines_deletes_nothing_field_f5() {
    let scene = Scene::with("when = \"shop-agreed\"\nclear_cookies = [{ name = \"sid\" }]");
    scene.shop.recite(LOGOUT, said(403, &[]));
    assert!(deleted(&scene.log_out("sid=alice")).is_empty());
    let guest = Scene::with("clear_cookies = [{ name = \"cart\" }]");
    assert!(deleted(&guest.log_out("cart=of-a-guest")).is_empty());
}

/// A browser takes a deletion only with the path, the domain and the partition that the cookie was set with.
#[test]
fn a_cookie_is_deleted_as_the_shop_was_seen_to_set_it_field_f5() {
    let scene = Scene::with("clear_cookies = [{ name = \"sid\" }]");
    for (line, deletion) in [
        ("sid=new; Path=/account", "sid; Path=/account"),
        ("sid=new", "sid; Path=/account"),
        (
            "sid=new; Path=/x; Domain=.example.com; Secure; HttpOnly",
            "sid; Path=/x; Domain=example.com; Secure",
        ),
        (
            "sid=new; Path=/; Secure; SameSite=None; Partitioned",
            "sid; Path=/; SameSite=None; Secure; Partitioned",
        ),
        (
            "sid=new; Path=/y; Secure; SameSite=None",
            "sid; Path=/y; SameSite=None; Secure",
        ),
    ] {
        scene.shop.recite_once(PAGE, said(200, &[line]));
        assert_eq!(scene.ask("GET", PAGE, &[]), 200);
        let answer = scene.log_out(&format!("sid=value-{}", line.len()));
        let deleted = deleted(&answer);
        assert!(
            deleted.contains(&deletion.to_owned()),
            "{line}: {deleted:?}"
        );
    }
    scene.edge.signal("HUP");
    assert!(scene.edge.says("reloaded"));
    let deleted = deleted(&scene.log_out("sid=after"));
    assert!(
        deleted.contains(&"sid; Path=/y; SameSite=None; Secure".to_owned()),
        "{deleted:?}"
    );
}

#[test]
fn check_warns_of_a_deletion_that_no_browser_takes_field_f5() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("data")).unwrap();
    let path = home.path().join("doorward.toml");
    let shop = stateless_bagisto();
    for (more, warns) in [
        (
            "clear_cookies = [{ name = \"__Host-sid\", domain = \"example.com\" }]",
            true,
        ),
        (
            "clear_cookies = [{ name = \"__host-sid\", paths = [\"/x\"] }]",
            true,
        ),
        (
            "clear_cookies = [{ name = \"__Host-sid\", partitioned = true }]",
            false,
        ),
        (
            "clear_cookies = [{ name = \"__Secure-sid\", domain = \"example.com\" }]",
            false,
        ),
    ] {
        let text = table(&shop, more);
        fs::write(
            &path,
            format!("listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n{text}"),
        )
        .unwrap();
        let outcome = doorward(&["check", "--config", path.to_str().unwrap()]);
        let told = format!("{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(told.contains("the path / and no domain"), warns, "{told}");
    }
}
