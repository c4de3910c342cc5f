//! A dead cookie locks no customer out: it is removed from the request, and the browser is told to delete it in a way that it
//! obeys.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;

use serde_json::json;
use support::frames::{Frames, fields_of};
use support::{
    Answer, Connection, Edge, Shop, doorward, opaque_shop_table, request, said_with,
    stateless_bagisto,
};

const PAGE: &str = "/account/page";
const LOGOUT: &str = "/bye";
const SAME: (&str, &str) = ("Sec-Fetch-Site", "same-origin");
const GONE: &str = "=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0";

/// A shop whose sessions are cookies; `more` are keys of its logout, and then other tables.
fn table(shop: &Shop, more: &str) -> String {
    format!(
        r#"{}
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
        opaque_shop_table(shop)
    )
}

/// An answer with these `Set-Cookie` lines.
fn said(status: u16, cookies: &[&str]) -> String {
    let lines = cookies.iter().map(|line| format!("Set-Cookie: {line}\r\n"));
    said_with(status, &lines.collect::<String>(), "said")
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
    let cookies = "sid=al1ce; long.0=a; long.1=b; long_2=c; long.sig=d; longer=e; few_1=x; few_2=y";
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
        let answer = scene.log_out(&format!("sid=v4lue-{}", line.len()));
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
    let scene = Scene::with("revoke_when = \"shop-agreed\"\nclear_cookies = [{ name = \"sid\" }]");
    scene.shop.recite(LOGOUT, said(403, &[]));
    assert!(deleted(&scene.log_out("sid=al1ce")).is_empty());
    let guest = Scene::with("clear_cookies = [{ name = \"cart\" }]");
    assert!(deleted(&guest.log_out("cart=0f-a-guest")).is_empty());
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
        let answer = scene.log_out(&format!("sid=v4lue-{}", line.len()));
        let deleted = deleted(&answer);
        assert!(
            deleted.contains(&deletion.to_owned()),
            "{line}: {deleted:?}"
        );
    }
    scene.edge.signal("HUP");
    assert!(scene.edge.says("reloaded"));
    let deleted = deleted(&scene.log_out("sid=aft3r"));
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

/// The cookie that every test of what follows has logged out.
const DEAD: &str = "sid=v4lue-of-alice";

impl Scene {
    /// A shop where somebody has logged out.
    fn after_logout(more: &str) -> Self {
        let scene = Self::with(more);
        assert_eq!(scene.log_out(DEAD), 204);
        scene
    }

    /// What the shop is sent as cookies, where a browser asks for a page with these.
    #[track_caller]
    fn passes(&self, cookies: &str) -> (Option<String>, Answer) {
        let visits = self.shop.visits();
        let answer = self.ask("GET", PAGE, &[("Cookie", cookies)]);
        assert_eq!(
            (answer.status, self.shop.visits()),
            (200, visits + 1),
            "{cookies}"
        );
        let seen = self.shop.seen().pop().unwrap();
        (seen.header("cookie").map(str::to_owned), answer)
    }
}

#[test]
fn the_shop_sees_a_guest_and_the_browser_forgets_the_cookie_field_f5_attacks_b1() {
    let scene = Scene::after_logout("");
    for (sent, left) in [
        (DEAD.to_owned(), None),
        (format!("{DEAD}; theme=dark"), Some("theme=dark")),
        (format!("theme=dark; {DEAD}"), Some("theme=dark")),
        (
            format!("a=1;  b=\"x y\";{DEAD}; c=%41;;d"),
            Some("a=1;  b=\"x y\"; c=%41;;d"),
        ),
        (
            format!("{DEAD}; sid=v4lue-of-bob"),
            Some("sid=v4lue-of-bob"),
        ),
        ("sid=\"v4lue-of-alice\"; a=1".to_owned(), Some("a=1")),
        ("sid=%764lue-of-alice; a=1".to_owned(), Some("a=1")),
        ("sid=\"v4lue-of-alicex; a=1".to_owned(), Some("a=1")),
    ] {
        let (seen, answer) = scene.passes(&sent);
        assert_eq!(seen.as_deref(), left, "{sent}");
        if sent.ends_with("bob") {
            // A deletion goes by the name alone, and would take the living one along.
            assert!(deleted(&answer).is_empty(), "{sent}");
            continue;
        }
        assert_eq!(deleted(&answer), ["sid; Path=/"], "{sent}");
        assert!(
            answer.headers_named("cache-control").contains(&"private"),
            "{sent}"
        );
    }
    let (seen, answer) = scene.passes("sid=v4lue-of-bob; theme=dark");
    assert_eq!(
        seen.as_deref(),
        Some("sid=v4lue-of-bob; theme=dark"),
        "as it came"
    );
    assert!(answer.headers_named("set-cookie").is_empty());
    assert!(scene.edge.metrics().contains("dead_cookie"));
    let log = scene.edge.log_lines().join("\n");
    assert!(
        log.contains("without dead cookies") && !log.contains("v4lue-of-alice"),
        "{log}"
    );
}

#[test]
fn several_lines_and_methods_make_no_difference_field_f5() {
    let scene = Scene::after_logout("");
    for method in ["GET", "POST", "OPTIONS", "DELETE"] {
        let headers = [("Cookie", "a=1"), ("Cookie", DEAD), ("Cookie", "b=2")];
        let answer = scene.ask(method, PAGE, &headers);
        assert_eq!(answer, 200, "{method}");
        assert_eq!(deleted(&answer), ["sid; Path=/"]);
        let seen = scene.shop.seen().pop().unwrap();
        let cookies: Vec<_> = seen
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"))
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(cookies, ["a=1", "b=2"], "{method}");
    }
}

#[test]
fn the_crumbs_of_http_2_lose_the_dead_one_only_field_f5() {
    let shop = stateless_bagisto();
    shop.recite(PAGE, said(200, &[]));
    shop.recite(LOGOUT, said(204, &[]));
    let edge = Edge::with(&format!("h2c = true\n{}", table(&shop, "")));
    let scene = Scene { shop, edge };
    assert_eq!(scene.log_out(DEAD), 204);
    let fields = fields_of(
        "GET",
        PAGE,
        &[("cookie", "a=1"), ("cookie", DEAD), ("cookie", "b=2")],
    );
    let reply = Frames::open(scene.edge.address()).ask(&fields, None);
    assert_eq!(reply.status, 200);
    let seen = scene.shop.seen().pop().unwrap();
    assert_eq!(seen.header("cookie"), Some("a=1; b=2"));
}

/// A page that shows orders must not be shown to a guest, and a login page must not be refused.
#[test]
fn where_a_credential_is_required_it_is_refused_with_the_deletion_field_f5() {
    let scene = Scene::after_logout("");
    let visits = scene.shop.visits();
    let answer = scene.ask("GET", "/orders/1", &[("Cookie", DEAD)]);
    assert_eq!((answer.status, scene.shop.visits()), (401, visits));
    assert!(answer.text().contains("revoked"), "{}", answer.text());
    assert_eq!(deleted(&answer), ["sid; Path=/"]);
    let both = format!("{DEAD}; login_1=0f-bob");
    let answer = scene.ask("GET", "/orders/1", &[("Cookie", &both)]);
    assert_eq!(answer, 200, "the other one is alive");
    assert_eq!(
        scene.shop.seen().pop().unwrap().header("cookie"),
        Some("login_1=0f-bob")
    );
    assert_eq!(deleted(&answer), ["sid; Path=/"]);
    assert_eq!(scene.passes(DEAD).0, None, "and other pages are open");
}

#[test]
fn a_dead_bearer_is_refused_as_before_field_f5() {
    let scene = Scene::with("");
    let bearer = ("Authorization", "Bearer 0123456789abcdef0123");
    assert_eq!(scene.ask("POST", LOGOUT, &[bearer]), 204);
    let visits = scene.shop.visits();
    for headers in [vec![bearer], vec![bearer, ("Cookie", "sid=v4lue-of-bob")]] {
        let answer = scene.ask("GET", PAGE, &headers);
        assert_eq!((answer.status, scene.shop.visits()), (401, visits));
        assert!(deleted(&answer).is_empty());
    }
}

#[test]
fn a_shop_may_have_dead_cookies_refused_field_f5() {
    let shop = stateless_bagisto();
    shop.recite(PAGE, said(200, &[]));
    shop.recite(LOGOUT, said(204, &[]));
    let refuse = "dead_cookie = \"refuse\"\nupstream";
    let edge = Edge::with(&table(&shop, "").replacen("upstream", refuse, 1));
    let scene = Scene { shop, edge };
    assert_eq!(scene.log_out(DEAD), 204);
    let visits = scene.shop.visits();
    let answer = scene.ask("GET", PAGE, &[("Cookie", DEAD)]);
    assert_eq!((answer.status, scene.shop.visits()), (401, visits));
    assert_eq!(
        deleted(&answer),
        ["sid; Path=/"],
        "or it would be locked out for ever"
    );
}

#[test]
fn a_route_may_have_dead_cookies_refused_or_removed_whatever_its_shop_says_field_f5() {
    for (of_shop, of_route) in [("remove", "refuse"), ("refuse", "remove")] {
        let shop = stateless_bagisto();
        shop.recite(LOGOUT, said(204, &[]));
        for path in ["/checkout/pay", "/checkout", PAGE, "/checkout/a%2Fb"] {
            shop.recite(path, said(200, &[]));
        }
        let route =
            format!("[[shop.route]]\npaths = [\"/checkout/*\"]\ndead_cookie = \"{of_route}\"\n");
        let keys = format!("dead_cookie = \"{of_shop}\"\nupstream");
        let edge = Edge::with(&table(&shop, &route).replacen("upstream", &keys, 1));
        let scene = Scene { shop, edge };
        assert_eq!(scene.log_out(DEAD), 204);
        for (target, policy) in [
            ("/checkout/pay", of_route),
            ("/checkout", of_shop),
            (PAGE, of_shop),
            // One of its readings is under the route, and one is not.
            ("/account/../checkout/pay", "refuse"),
        ] {
            let visits = scene.shop.visits();
            let answer = scene.ask("GET", target, &[("Cookie", DEAD)]);
            let is_refused = policy == "refuse";
            let seen = scene.shop.visits() - visits;
            assert_eq!(seen, usize::from(!is_refused), "{of_shop}: {target}");
            assert_eq!(answer == 401, is_refused, "{of_shop}: {target}");
            assert_eq!(deleted(&answer), ["sid; Path=/"], "{of_shop}: {target}");
        }
    }
}

/// The customer logs in while the browser still has the old cookie.
#[test]
fn a_login_outlives_the_deletion_of_the_dead_cookie_field_f5() {
    let scene = Scene::after_logout("");
    scene.shop.recite(
        "/login",
        said(200, &["sid=v4lue-of-the-next-login; Path=/"]),
    );
    let answer = scene.ask("POST", "/login", &[("Cookie", DEAD)]);
    assert_eq!(answer, 200);
    assert_eq!(
        answer.headers_named("set-cookie"),
        ["sid=v4lue-of-the-next-login; Path=/"]
    );
    assert!(answer.header("cache-control").is_none());
    let (seen, _) = scene.passes("sid=v4lue-of-the-next-login");
    assert_eq!(seen.as_deref(), Some("sid=v4lue-of-the-next-login"));
}

#[test]
fn a_dead_cookie_is_deleted_as_its_name_demands_and_as_it_was_set_field_f5() {
    let scene = Scene::with(
        "clear_cookies = [{ name = \"login_*\", paths = [\"/shop\"], domain = \"example.com\" }]",
    );
    for (cookie, set, deletion) in [
        (
            "__Host-sid=v4lue-of-carol",
            None,
            "__Host-sid; Path=/; Secure",
        ),
        (
            "login_7=v4lue-of-carol",
            None,
            "login_7; Path=/shop; Domain=example.com",
        ),
        (
            "sid=v4lue-of-carol-too",
            Some("sid=x; Path=/account; Secure; SameSite=None; Partitioned"),
            "sid; Path=/account; SameSite=None; Secure; Partitioned",
        ),
    ] {
        if let Some(line) = set {
            scene.shop.recite_once(PAGE, said(200, &[line]));
            scene.ask("GET", PAGE, &[]);
        }
        let out = scene.log_out(cookie);
        assert!(
            deleted(&out).contains(&deletion.to_owned()),
            "{cookie}: {:?}",
            deleted(&out)
        );
        let (seen, answer) = scene.passes(cookie);
        assert_eq!(seen, None, "{cookie}");
        assert!(
            deleted(&answer).contains(&deletion.to_owned()),
            "{cookie}: {:?}",
            deleted(&answer)
        );
    }
    let answer = scene.log_out("login_1=v4lue-of-dave; login_2=v4lue-of-dave-too; other=1");
    for name in ["login_1", "login_2"] {
        let begin = format!("{name};");
        assert!(
            deleted(&answer).iter().any(|one| one.starts_with(&begin)),
            "{:?}",
            deleted(&answer)
        );
    }
    assert!(!deleted(&answer).iter().any(|one| one.starts_with("other")));
}

/// What can be logged out at all can be logged out beside a dead cookie.
#[test]
fn a_dead_cookie_beside_a_valid_one_does_not_prevent_a_logout_field_f5_attacks_b7() {
    let scene = Scene::after_logout("");
    scene.shop.recite(LOGOUT, said(302, &[]));
    let answer = scene.log_out(&format!("{DEAD}; login_1=v4lue-of-bob; a=1"));
    assert_eq!(answer, 302);
    let seen = scene.shop.seen().pop().unwrap();
    assert_eq!(seen.header("cookie"), Some("login_1=v4lue-of-bob; a=1"));
    for name in ["sid", "login_1"] {
        assert!(
            deleted(&answer).contains(&format!("{name}; Path=/")),
            "{:?}",
            deleted(&answer)
        );
    }
    assert_eq!(scene.passes("login_1=v4lue-of-bob").0, None);
}

/// Keys were exchanged: no one can verify the old cookie, and its browser is not to blame.
#[test]
fn a_cookie_that_cannot_be_verified_locks_no_customer_out_attacks_b1() {
    let shop = stateless_bagisto();
    for path in [PAGE, "/orders/1", "/login"] {
        shop.recite(path, said(200, &[]));
    }
    let opaque = "kind               = \"opaque\"\n";
    let keys = "algorithms = [\"HS256\"]\nsecret_file = \"{secret_file}\"\n";
    let edge = Edge::with(&table(&shop, "").replacen(opaque, keys, 1));
    let good = shop.sign_in("alice");
    let (signed, _) = good.rsplit_once('.').unwrap();
    let old = format!("sid={signed}.{}", "A".repeat(43));
    let scene = Scene { shop, edge };
    for target in [PAGE, "/login"] {
        let visits = scene.shop.visits();
        let answer = scene.ask("GET", target, &[("Cookie", &old)]);
        assert_eq!(
            (answer.status, scene.shop.visits()),
            (200, visits + 1),
            "{target}"
        );
        assert_eq!(scene.shop.seen().pop().unwrap().header("cookie"), None);
        assert_eq!(deleted(&answer), ["sid; Path=/"]);
    }
    let answer = scene.ask("GET", "/orders/1", &[("Cookie", &old)]);
    assert_eq!(
        (answer.status, deleted(&answer)),
        (401, vec!["sid; Path=/".to_owned()])
    );
    let own = scene.ask("POST", "/_doorward/logout", &[("Cookie", &old), SAME]);
    assert!(!deleted(&own).is_empty(), "{own:?}");
    let fine = format!("sid={good}");
    assert_eq!(scene.passes(&fine).0, Some(fine.clone()));
}

/// It is not dead: the shop may exchange it for a new one.
#[test]
fn a_cookie_that_is_only_expired_is_not_deleted_field_f5() {
    let shop = stateless_bagisto();
    for path in [PAGE, "/orders/1", "/valid"] {
        shop.recite(path, said(200, &[]));
    }
    let opaque = "kind               = \"opaque\"\n";
    let keys = "algorithms = [\"HS256\"]\nsecret_file = \"{secret_file}\"\n";
    let more = "[[shop.route]]\npaths = [\"/valid\"]\nenforce = \"valid\"";
    let edge = Edge::with(&table(&shop, more).replacen(opaque, keys, 1));
    let claims = json!({"sub": 3, "jti": "old", "iat": 1_600_000_000, "exp": 1_600_000_060});
    let old = format!("sid={}", shop.sign(&claims));
    let scene = Scene { shop, edge };
    assert_eq!(scene.passes(&old).0, Some(old.clone()), "the shop's word");
    for (target, status) in [("/valid", 200), ("/orders/1", 401)] {
        let answer = scene.ask("GET", target, &[("Cookie", &old)]);
        assert_eq!(answer, status, "{target}");
        assert!(deleted(&answer).is_empty(), "{target}");
    }
}

#[test]
fn a_web_socket_of_a_guest_opens_without_the_dead_cookie_field_f5() {
    let scene = Scene::after_logout("");
    let upgraded =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    scene.shop.recite("/socket", upgraded);
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Cookie", "a=1; sid=v4lue-of-alice"),
    ];
    let mut connection = Connection::open(scene.edge.address());
    connection.send(&request("GET", "/socket", &headers, b""));
    assert_eq!(connection.interim(), 101);
    assert_eq!(
        scene.shop.seen().pop().unwrap().header("cookie"),
        Some("a=1")
    );
}

#[test]
fn no_cache_keeps_the_deletion_that_the_answer_of_a_route_carries() {
    let scene = Scene::with(
        "[[shop.route]]\npaths = [\"/hello\"]\nrespond = { body = \"hello\", headers = { cache-control = \"max-age=60\" } }",
    );
    let cookies = "sid=an-opaque-token-of-a-customer";
    let hello = |cookies| scene.ask("GET", "/hello", &[("Cookie", cookies)]);
    assert_eq!(
        hello(cookies).headers_named("cache-control"),
        ["max-age=60"]
    );
    assert_eq!(scene.log_out(cookies).status, 204);
    let answer = hello(cookies);
    assert_eq!(answer.text(), "hello");
    let deletion = answer.header("set-cookie").unwrap();
    assert!(deletion.starts_with("sid=; "), "{deletion}");
    assert_eq!(
        answer.headers_named("cache-control"),
        ["max-age=60", "private"]
    );
}
