//! Where requests go: the oracle is what each upstream was sent.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::places::chunked;
use support::{Backend, Edge, House, request};

// --- Conditions ------------------------------------------------------------------------------------------

#[test]
fn the_first_route_whose_paths_hold_is_taken() {
    let house = House::with(
        r#"
[[shop.route]]
paths = ["/api/*", "/graphql"]
upstream = "api"
[[shop.route]]
paths = ["/api/admin/*", "/admin", "/admin/*"]
upstream = "admin"
"#,
    );
    for (target, answerer) in [
        ("/", "front"),
        ("/api", "front"),
        ("/api/", "front"),
        ("/api/products?page=2", "api"),
        ("/api/admin/users", "api"),
        ("/graphql", "api"),
        ("/graphql/x", "front"),
        ("/admin", "admin"),
        ("/admin/users", "admin"),
        ("/administrator", "front"),
        ("/%61dmin/users", "admin"),
        ("/x/../admin/users", "admin"),
        ("//admin//users", "admin"),
    ] {
        assert_eq!(house.answerer(target), answerer, "{target}");
    }
    assert_eq!(
        House::target(&house.admin),
        "//admin//users",
        "byte for byte"
    );
}

#[test]
fn a_path_of_two_readings_is_refused_where_they_take_different_routes() {
    let house = House::with("[[shop.route]]\npaths = [\"/admin/*\"]\nupstream = \"admin\"");
    for (target, status) in [
        ("/admin%2Fusers", 400),
        ("/shop/%252e%252e/admin/x", 400),
        ("/a%2Fb", 200),
        ("/admin/a%2Fb", 200),
    ] {
        assert_eq!(house.ask("GET", target, &[]).status, status, "{target}");
    }
    let all = House::with("[[shop.route]]\nupstream = \"api\"");
    assert_eq!(
        all.answerer("/admin%2Fusers"),
        "api",
        "every reading takes one route"
    );
}

#[test]
fn every_kind_of_condition_holds_or_does_not() {
    for (condition, held, not_held) in [
        (
            "methods = [\"POST\", \"PUT\"]",
            vec![("POST", "/", None), ("PUT", "/a", None)],
            vec![("GET", "/", None), ("DELETE", "/", None)],
        ),
        (
            "methods = [\"GET\"]",
            vec![("GET", "/", None), ("HEAD", "/", None)],
            vec![("POST", "/", Some("x-http-method-override: GET"))],
        ),
        (
            "headers = { x-beta = [\"1\", \"2\"] }",
            vec![("GET", "/", Some("X-Beta: 2"))],
            vec![("GET", "/", Some("X-Beta: 3")), ("GET", "/", None)],
        ),
        (
            "headers = { x-beta = \"*\" }",
            vec![("GET", "/", Some("X-Beta: anything"))],
            vec![("GET", "/", None)],
        ),
        (
            "query = { preview = \"1\" }",
            vec![
                ("GET", "/?a=b&preview=1", None),
                ("GET", "/?previe%77=1", None),
            ],
            vec![("GET", "/?preview=10", None), ("GET", "/preview=1", None)],
        ),
        (
            "cookies = { canary = \"yes\" }",
            vec![("GET", "/", Some("Cookie: a=b; canary=yes"))],
            vec![
                ("GET", "/", Some("Cookie: canary=no")),
                ("GET", "/", Some("Cookie: xcanary=yes")),
            ],
        ),
        (
            "from = [\"127.0.0.0/8\", \"::1\"]",
            vec![
                ("GET", "/", None),
                ("GET", "/", Some("X-Forwarded-For: 192.0.2.1")),
            ],
            vec![],
        ),
        (
            "from = [\"192.0.2.0/24\"]",
            vec![],
            vec![
                ("GET", "/", None),
                ("GET", "/", Some("X-Forwarded-For: 192.0.2.1")),
            ],
        ),
        (
            "not = { paths = [\"/api/*\"] }",
            vec![("GET", "/", None), ("GET", "/app", None)],
            vec![("GET", "/api/x", None)],
        ),
        (
            "paths = [\"/a/*\"]\nnot = [{ methods = [\"GET\"] }, { headers = { x-no = \"*\" } }]",
            vec![("POST", "/a/b", None)],
            vec![
                ("GET", "/a/b", None),
                ("POST", "/a/b", Some("x-no: ")),
                ("POST", "/b", None),
            ],
        ),
    ] {
        let house = House::with(&format!("[[shop.route]]\n{condition}\nupstream = \"api\""));
        let asked = |(method, target, header): (&str, &str, Option<&str>)| {
            let header = header.and_then(|line| line.split_once(": "));
            let before = house.api.heard().len();
            let answer = house.ask(method, target, header.as_slice());
            assert_eq!(
                answer.status, 200,
                "{condition}: {method} {target} {header:?}"
            );
            house.api.heard().len() > before
        };
        for one in held {
            assert!(asked(one), "{condition}: {one:?}");
        }
        for one in not_held {
            assert!(!asked(one), "{condition}: {one:?}");
        }
    }
}

// --- Where a route leads ---------------------------------------------------------------------------------

#[test]
fn a_redirect_keeps_the_customer_on_the_host_that_it_names() {
    let house = House::with(
        r#"
[[shop.route]]
paths = ["/old/*"]
redirect = { status = 308, to = "https://{host}/new{path}?{query}" }
[[shop.route]]
paths = ["/same/*"]
redirect = { to = "{uri}" }
[[shop.route]]
paths = ["/moved/*"]
strip_prefix = "/moved"
redirect = { to = "{uri}" }
[[shop.route]]
paths = ["/p/*"]
rewrite = { pattern = "^/p/([0-9]+)-.*$", to = "/products/$1" }
redirect = { status = 301, to = "https://new.example{path}" }
"#,
    );
    for (target, status, to) in [
        ("/moved/a%20b?c=d", 302, "/a%20b?c=d"),
        ("/moved//evil.example/x", 302, "/evil.example/x"),
        ("/p/7-kettle?c=d", 301, "https://new.example/products/7"),
        ("/old/a%20b?c=d", 308, "https://localhost/new/old/a%20b?c=d"),
        ("/old/a", 308, "https://localhost/new/old/a"),
        ("//same//evil.example/x?y", 302, "/same//evil.example/x?y"),
    ] {
        let answer = house.ask("GET", target, &[("host", "localhost:80")]);
        assert_eq!(
            (answer.status, answer.header("location")),
            (status, Some(to)),
            "{target}"
        );
    }
    assert!(house.front.heard().is_empty());
}

#[test]
fn a_route_answers_by_itself() {
    let house = House::with(
        r#"
[[shop.route]]
paths = ["/robots.txt"]
respond = { body = "User-agent: *\nDisallow: /cart\n" }
[[shop.route]]
from = ["127.0.0.0/8"]
methods = ["POST"]
respond = { status = 503, body = "<h1>Back soon</h1>", headers = { content-type = "text/html", retry-after = "60" } }
"#,
    );
    let robots = house.answerer("/robots.txt");
    assert_eq!(robots, "User-agent: *\nDisallow: /cart\n");
    let closed = house.ask("POST", "/cart", &[]);
    assert_eq!(
        (closed.status, closed.text().as_str()),
        (503, "<h1>Back soon</h1>")
    );
    assert_eq!(closed.header("retry-after"), Some("60"));
    assert_eq!(closed.header("content-type"), Some("text/html"));
    assert!(house.ask("HEAD", "/robots.txt", &[]).body.is_empty());
    assert!(house.front.heard().is_empty());
}

#[test]
fn requests_with_bodies_are_told_apart_by_their_clients_too() {
    let [front, api, admin] = ["front", "api", "admin"].map(Backend::saying);
    let routes = "[[shop.logout]]\npaths = [\"/graphql\"]\ngraphql = \"customerLogout\"\n\
                  [[shop.route]]\nfrom = [\"192.0.2.0/24\"]\nupstream = \"api\"\n";
    let table = House::table(&front, &api, &admin, routes);
    let edge = Edge::with(&format!("trusted_proxies = [\"127.0.0.1\"]\n{table}"));
    let bearer = ("authorization", "Bearer an-opaque-token-of-a-customer");
    let near = [("x-forwarded-for", "192.0.2.7"), bearer];
    let far = [("x-forwarded-for", "198.51.100.1"), bearer];
    let upload: Vec<u8> = (0..200_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    for (headers, server, name) in [(near, &api, "api"), (far, &front, "front")] {
        for bytes in [
            request("POST", "/upload", &headers, &upload),
            chunked("/upload", &headers, &upload, 10_000),
        ] {
            assert_eq!(edge.raw(&bytes).text(), name);
            let sent = server.heard().pop().unwrap().body;
            let is_chunked = sent.len() > upload.len() && sent.ends_with(b"0\r\n\r\n");
            assert!(sent == upload || is_chunked, "{name}");
        }
    }
    let sent = [api.heard().len(), front.heard().len(), admin.heard().len()];
    assert_eq!(sent, [2, 2, 0]);
    let body = br#"{"query":"mutation { customerLogout { success } }"}"#;
    let headers = [&near[..], &[("content-type", "application/json")]].concat();
    assert_eq!(
        edge.raw(&request("POST", "/graphql", &headers, body))
            .text(),
        "api"
    );
    assert_eq!(api.heard().pop().unwrap().body, body);
    for headers in [near, far] {
        for bytes in [
            request("GET", "/", &headers, b""),
            request("POST", "/upload", &headers, &upload),
        ] {
            assert_eq!(edge.raw(&bytes), 401);
        }
    }
    assert_eq!([api.heard().len(), front.heard().len()], [3, 2]);
}

#[test]
fn a_dead_token_is_refused_wherever_its_route_leads() {
    let house = House::with(
        r#"
[[shop.logout]]
paths = ["/logout"]
[[shop.route]]
paths = ["/api/*", "/logout"]
upstream = "api"
strip_prefix = "/api"
[[shop.route]]
paths = ["/old/*"]
redirect = { to = "/" }
[[shop.route]]
paths = ["/hello"]
respond = { body = "hello" }
"#,
    );
    let bearer = ("authorization", "Bearer an-opaque-token-of-a-customer");
    for (target, status) in [
        ("/api/x", 200),
        ("/old/x", 302),
        ("/hello", 200),
        ("/", 200),
    ] {
        assert_eq!(
            house.ask("GET", target, &[bearer]).status,
            status,
            "{target}"
        );
    }
    assert_eq!(house.ask("POST", "/logout", &[bearer]).status, 200);
    assert_eq!(
        House::target(&house.api),
        "/logout",
        "the logout takes its route"
    );
    let (of_api, of_front) = (house.api.heard().len(), house.front.heard().len());
    for target in ["/api/x", "/old/x", "/hello", "/"] {
        assert_eq!(house.ask("GET", target, &[bearer]).status, 401, "{target}");
    }
    assert_eq!(
        (house.api.heard().len(), house.front.heard().len()),
        (of_api, of_front)
    );
}

// --- What a route changes --------------------------------------------------------------------------------

#[test]
fn the_upstream_is_sent_the_rewritten_path_and_the_customers_is_judged() {
    let house = House::with(
        r#"
[[shop.route]]
paths = ["/api/v1/*"]
upstream = "api"
strip_prefix = "/api/v1"
[[shop.route]]
paths = ["/shop/*"]
upstream = "admin"
rewrite = { pattern = "^/shop/(?<rest>.*)$", to = "/store/${rest}" }
[[shop.route]]
paths = ["/private/*"]
upstream = "api"
rewrite = { pattern = "^/private", to = "/public" }
enforce = "required"
"#,
    );
    for (target, sent) in [
        ("/api/v1/a%20b%C3%A9?q=%2F", "/a%20b%C3%A9?q=%2F"),
        ("/api//v1/x", "/x"),
        ("/api/v1//evil.example/x", "/evil.example/x"),
    ] {
        assert_eq!(house.answerer(target), "api", "{target}");
        assert_eq!(House::target(&house.api), sent, "{target}");
    }
    assert_eq!(house.answerer("/shop/a%20b/c?x=y"), "admin");
    assert_eq!(House::target(&house.admin), "/store/a%20b/c?x=y");
    assert_eq!(house.ask("GET", "/private/x", &[]).status, 401);
}

#[test]
fn headers_are_set_added_and_removed() {
    let house = House::with(
        r#"
[[shop.route]]
upstream = "api"
[shop.route.headers.request]
remove = ["x-secret"]
set = { X-Shop = "{shop} for {client}" }
add = { X-Tag = "b" }
[shop.route.headers.response]
remove = ["server"]
set = { Strict-Transport-Security = "max-age=31536000" }
add = { Vary = "Accept" }
"#,
    );
    house
        .api
        .says("HTTP/1.1 200 OK\r\nServer: x\r\nVary: Origin\r\nContent-Length: 0\r\n\r\n");
    let headers = [("x-secret", "1"), ("x-shop", "forged"), ("x-tag", "a")];
    let answer = house.ask("GET", "/", &headers);
    let sent = House::last(&house.api).to_ascii_lowercase();
    assert!(
        !sent.contains("x-secret") && !sent.contains("forged"),
        "{sent}"
    );
    assert!(sent.contains("x-shop: main for 127.0.0.1\r\n"), "{sent}");
    assert!(
        sent.contains("x-tag: a\r\n") && sent.contains("x-tag: b\r\n"),
        "{sent}"
    );
    assert_eq!(answer.header("server"), None);
    assert_eq!(
        answer.header("strict-transport-security"),
        Some("max-age=31536000")
    );
    assert_eq!(answer.headers_named("vary"), ["Origin", "Accept"]);
}

// --- The configuration -----------------------------------------------------------------------------------

#[test]
fn headers_of_answers_are_changed_whoever_answers() {
    let house = House::with(
        r#"
[[shop.logout]]
paths = ["/logout"]
[[shop.route]]
paths = ["/old"]
redirect = { to = "/" }
headers.response = { set = { x-frame-options = "DENY" }, remove = ["x-powered-by"] }
[[shop.route]]
paths = ["/hello"]
respond = { body = "hello" }
headers.response = { set = { x-frame-options = "DENY" } }
[[shop.route]]
headers.response = { set = { x-frame-options = "DENY" }, remove = ["x-powered-by"] }
"#,
    );
    house.front.says("HTTP/1.1 200 OK\r\nX-Powered-By: PHP\r\nX-Frame-Options: SAMEORIGIN\r\nContent-Length: 2\r\n\r\nok");
    let bearer = ("authorization", "Bearer an-opaque-token-of-a-customer");
    for (method, target, status) in [
        ("GET", "/old", 302),
        ("GET", "/hello", 200),
        ("GET", "/", 200),
        ("POST", "/logout", 200),
    ] {
        let answer = house.ask(method, target, &[bearer]);
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(
            answer.headers_named("x-frame-options"),
            ["DENY"],
            "{target}"
        );
        assert_eq!(answer.header("x-powered-by"), None, "{target}");
    }
    assert_eq!(house.front.times("/logout"), 1);
}

#[test]
fn a_reload_swaps_routes_and_keeps_the_connections_of_upstreams() {
    let house = House::with("[[shop.route]]\npaths = [\"/x\"]\nupstream = \"api\"");
    assert_eq!(house.answerer("/x"), "api");
    let routes = "[[shop.route]]\npaths = [\"/x\"]\nupstream = \"admin\"\n[[shop.route]]\nupstream = \"api\"";
    let text = House::table(&house.front, &house.api, &house.admin, routes);
    house.edge.configure(&text);
    house.edge.signal("HUP");
    assert!(house.edge.says("reloaded"));
    assert_eq!(house.answerer("/x"), "admin");
    assert_eq!(house.answerer("/y"), "api");
    assert_eq!(
        house.api.connections(),
        1,
        "the connection from before is used again"
    );
}

#[test]
fn faults_of_routes_and_upstreams_are_named() {
    for (routes, words) in [
        (
            "[[shop.route]]\nupstream = \"apy\"",
            "no upstream is called `apy`",
        ),
        (
            "[[shop.route]]\npaths = [\"/x\"]",
            "this route says nothing",
        ),
        (
            "[[shop.route]]\nupstream = \"api\"\nredirect = { to = \"/\" }",
            "a route leads to one place",
        ),
        (
            "[[shop.route]]\nredirect = { status = 305, to = \"/\" }",
            "301, 302, 303, 307 or 308",
        ),
        ("[[shop.route]]\nredirect = { to = \"{hots}\" }", "{host}"),
        (
            "[[shop.route]]\nrespond = { body = \"a\", file = \"b\" }",
            "an answer has one body",
        ),
        (
            "[[shop.route]]\nstrip_prefix = \"/a\"\nrespond = { body = \"a\" }",
            "sends no path",
        ),
        (
            "[[shop.route]]\nstrip_prefix = \"/a/\"",
            "a folder such as /api",
        ),
        (
            "[[shop.route]]\nrewrite = { pattern = \"(\", to = \"/\" }",
            "this is no pattern",
        ),
        (
            "[[shop.route]]\nrewrite = { pattern = \"^/a\", to = \"$1\" }",
            "names the group `1`",
        ),
        (
            "[[shop.route]]\nheaders = { request = { set = { host = \"x\" } } }",
            "belongs to one connection",
        ),
        (
            "[[shop.route]]\nheaders = { request = { remove = [\"x_forwarded_for\"] } }",
            "Doorward writes this header itself",
        ),
        (
            "[[shop.route]]\nmethods = [\"get\"]\nupstream = \"api\"",
            "a method such as POST",
        ),
        (
            "[[shop.route]]\nfrom = [\"10.0.0.0/33\"]\nupstream = \"api\"",
            "an address or network",
        ),
        (
            "[[shop.route]]\nfrom = []\nupstream = \"api\"",
            "`from` names nothing",
        ),
        (
            "[[shop.route]]\nmethods = []\nupstream = \"api\"",
            "`methods` names nothing",
        ),
        (
            "[[shop.route]]\nclient_certificate = []\nupstream = \"api\"",
            "`client_certificate` names nothing",
        ),
        (
            "[[shop.route]]\nheaders = { x-beta = [] }\nupstream = \"api\"",
            "`x-beta` names nothing",
        ),
        (
            "[[shop.route]]\nnot = { from = [] }\nupstream = \"api\"",
            "`from` names nothing",
        ),
        (
            "[[shop.route]]\ncompress = { types = [] }\nupstream = \"api\"",
            "`types` names nothing",
        ),
        (
            "upstream_host = \"x\"",
            "`upstream_host` beside an upstream that has a name",
        ),
        (
            "[[upstream]]\nname = \"api\"\nservers = [\"127.0.0.1:1\"]",
            "two upstreams are called `api`",
        ),
    ] {
        let [front, api, admin] = ["front", "api", "admin"].map(Backend::saying);
        let table = House::table(&front, &api, &admin, routes);
        let outcome = Edge::try_start(&table).err().expect(routes);
        assert!(
            outcome.stderr.contains(words),
            "{routes}\n{}",
            outcome.stderr
        );
    }
}

#[test]
fn an_upstream_that_nothing_leads_to_is_named() {
    let house = House::with("[[shop.route]]\nupstream = \"api\"");
    let warns = house
        .edge
        .log_lines()
        .iter()
        .any(|line| line.contains("nothing leads to the upstream `admin`"));
    assert!(warns);
}

#[test]
fn the_host_of_a_redirect_is_the_one_that_chose_the_shop() {
    let servers = ["front", "api", "admin"].map(Backend::saying);
    let [front, api, admin] = &servers;
    let route = "[[shop.route]]\nredirect = { to = \"https://{host}/new{uri}\" }";
    let table = House::table(front, api, admin, route);
    let edge = Edge::with(&format!("trusted_proxies = [\"127.0.0.0/8\"]\n{table}"));
    let headers = [
        ("host", "doorward.internal"),
        ("x-forwarded-host", "evil.example.com"),
    ];
    let answer = edge.raw(&request("GET", "/a?b", &headers, b""));
    assert_eq!(
        answer.header("location"),
        Some("https://doorward.internal/new/a?b")
    );
}
