//! What a route can't be made to do: by a client who writes its path or host in an odd way, or by an operator's slip.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::House;

const SECRET: &str = "hunter2-hunter2";

fn shop() -> House {
    House::with("[[shop.route]]\nupstream = \"api\"")
}

/// What `check` says of these routes, with its exit code.
fn checked(house: &House, routes: &str) -> (Option<i32>, String) {
    let table = House::table(&house.front, &house.api, &house.admin, routes);
    house.edge.configure(&table);
    let outcome = house.edge.command(&["check"]);
    (
        outcome.code,
        format!("{}{}", outcome.stdout, outcome.stderr),
    )
}

#[test]
fn every_byte_of_a_path_is_seen_by_a_rewrite_and_sent_as_it_came() {
    let house = House::with(
        r#"
[[shop.route]]
paths = ["/shop/*"]
upstream = "api"
rewrite = { pattern = "^/shop/(.*)$", to = "/store/$1" }
[[shop.route]]
paths = ["/api/*"]
upstream = "api"
strip_prefix = "/api"
"#,
    );
    for rest in [
        "a%0ab",
        "%0a",
        "%0d%0ax",
        "a%ff",
        "a%FE%c3%28b",
        "a%2Fb",
        "a;v=1/b;w",
        "%7ea%41",
        "100%",
        "a%25b",
        "%C3%A9",
    ] {
        assert_eq!(
            house.answerer(&format!("/shop/{rest}?q=%0a")),
            "api",
            "{rest}"
        );
        assert_eq!(House::target(&house.api), format!("/store/{rest}?q=%0a"));
        assert_eq!(
            house.answerer(&format!("/x/../api/{rest}")),
            "api",
            "{rest}"
        );
        assert_eq!(House::target(&house.api), format!("/{rest}"));
        assert_eq!(house.answerer(&format!("/other/{rest}")), "front", "{rest}");
        assert_eq!(House::target(&house.front), format!("/other/{rest}"));
    }
}

#[test]
fn neither_check_nor_a_reload_shows_what_may_be_a_secret() {
    let house = shop();
    let routes = |lines: &str| format!("[[shop.route]]\nupstream = \"api\"\n{lines}");
    for lines in [
        format!("headers.request.set = {{ Authorization = \"Bearer {SECRET} {{x}}\" }}"),
        format!("headers.request.set = {{ Authorization = \"Bearer {SECRET}\", Host = \"x\" }}"),
        format!(
            "[shop.route.headers.request.set]\nAuthorization = \"Bearer {SECRET}\"\nHost = \"{SECRET}\""
        ),
        format!("[shop.route.headers.request.add]\nX-Key = [\"{SECRET}\"]"),
        format!("[shop.route.headers.request.set]\nX-Key = \"{SECRET}"),
        format!("[shop.route.headers.request.set]\nX-Key = {SECRET}"),
        format!("[shop.route.headers.request.set]\nX-Key \"{SECRET}\""),
        format!("headers.request.set = {{ X-Key = \"{SECRET}\""),
        format!("headers = {{ x-shared = {{ a = \"{SECRET}\" }} }}"),
        format!("query = {{ key = [1, \"{SECRET}\"] }}"),
        format!("cookies = {{ key = \"/{SECRET}//\" }}"),
        format!("body = {{ \"/key\" = \"/{SECRET}//\" }}"),
        format!("apikey = \"{SECRET}\""),
        format!("redirect = {{ to = \"https://user:{SECRET}@{{subject}}/\" }}"),
        format!("[[upstream]]\nname = \"other\"\nservers = [\"https://user:{SECRET}@10.0.0.1\"]"),
        format!("[shop.token]\njwks_url = \"http://user:{SECRET}@login.test/\""),
        format!("[cluster]\nbus = \"redis://:{SECRET}@bus.test\"\nbus_ca_file = 1"),
    ] {
        let (code, told) = checked(&house, &routes(&lines));
        assert_eq!(code, Some(78), "{lines}\n{told}");
        assert!(!told.contains(SECRET), "{lines}\n{told}");
        let reloaded = house.edge.command(&["reload"]);
        assert_ne!(reloaded.code, Some(0), "{lines}");
        let told = format!("{}{}", reloaded.stdout, reloaded.stderr);
        assert!(!told.contains(SECRET), "{lines}\n{told}");
    }
    let fine = format!(
        "headers.request.set = {{ Authorization = \"Bearer {SECRET}\" }}\nheaders.x-key = \"{SECRET}\"\nquery = {{ key = \"{SECRET}\" }}"
    );
    let (code, told) = checked(&house, &routes(&fine));
    assert!(code == Some(0) && !told.contains(SECRET), "{told}");
    let explained = house.edge.command(&["check", "--explain"]);
    assert!(!explained.stdout.contains(SECRET), "{}", explained.stdout);
    house.edge.command(&["reload"]);
    assert!(house.edge.says("reloaded"));
    let log = house.edge.log_lines().join("\n");
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn no_redirect_leads_where_a_client_wants() {
    let house = shop();
    for to in [
        "{query}",
        "https://{query}",
        "https://{subject}/x",
        "https://{client_cert_subject}.example.com/",
        "//{path}",
        "/{path}",
        " //{query}",
        "https://www.example.com{query}",
    ] {
        let (code, told) = checked(
            &house,
            &format!("[[shop.route]]\nredirect = {{ to = \"{to}\" }}"),
        );
        assert_eq!(code, Some(78), "{to}\n{told}");
        assert!(told.contains("expected an address"), "{to}\n{told}");
        let header = format!("[[shop.route]]\nheaders.response.set = {{ Location = \"{to}\" }}");
        let (code, told) = checked(&house, &header);
        assert_eq!(code, Some(78), "{to}\n{told}");
    }
    house.reload("[[shop.route]]\nredirect = { to = \"/{subject}{path}\" }");
    let answer = house.ask("GET", "/evil.example/x", &[]);
    assert_eq!(answer.header("location"), Some("/evil.example/x"));
}

#[test]
fn what_can_mean_nothing_is_named() {
    let house = shop();
    for (route, code, words) in [
        (
            "split = [{ upstream = \"api\", weight = 0 }, { upstream = \"admin\", weight = 0 }]",
            78,
            "a split needs an upstream with a weight",
        ),
        (
            "upstream = \"api\"\nbody_limit = \"0B\"",
            78,
            "or false for no limit",
        ),
        (
            "paths = [\"/shop/*\", \"/cart\"]\nupstream = \"api\"\nstrip_prefix = \"/api\"",
            78,
            "no path of this route begins with `strip_prefix`",
        ),
        (
            "paths = [\"/api\"]\nupstream = \"api\"\nstrip_prefix = \"/api/v1\"",
            78,
            "no path of this route begins with `strip_prefix`",
        ),
        (
            "redirect = { to = \"/x\" }\nmirror = \"api\"",
            78,
            "`mirror` beside `redirect`",
        ),
        (
            "respond = { status = 404 }\nretries = true",
            78,
            "`retries` beside `respond`",
        ),
        (
            "redirect = { to = \"/x\" }\ncompress = true",
            78,
            "`compress` beside `redirect`",
        ),
        (
            "respond = { status = 404 }\nbody_limit = \"1KiB\"",
            0,
            "`body_limit` beside `respond` counts for logouts only",
        ),
        (
            "redirect = { to = \"/x\" }\ntimeouts.read = \"1s\"",
            0,
            "`timeouts` beside `redirect` counts for logouts only",
        ),
        (
            "upstream = \"api\"\nheaders.request.add = { X-Cert = \"{client_cert_subject}\" }",
            78,
            "a client could send this header, too",
        ),
    ] {
        let (is, told) = checked(&house, &format!("[[shop.route]]\n{route}"));
        assert_eq!(is, Some(code), "{route}\n{told}");
        assert!(told.contains(words), "{route}\n{told}");
    }
    for route in [
        "split = [{ upstream = \"api\", weight = 1 }, { upstream = \"admin\", weight = 0 }]",
        "paths = [\"/api/*\"]\nupstream = \"api\"\nstrip_prefix = \"/api/v1\"",
        "paths = [\"/*/v1/*\"]\nupstream = \"api\"\nstrip_prefix = \"/api\"",
        "paths = [\"/API\", \"/x\"]\nupstream = \"api\"\nstrip_prefix = \"/api\"",
        "upstream = \"api\"\nstrip_prefix = \"/api\"",
        "redirect = { to = \"/x\" }\nmirror = false\ncompress = false",
        "respond = { body = \"x\" }\ncompress = true",
    ] {
        let (is, told) = checked(&house, &format!("[[shop.route]]\n{route}"));
        assert_eq!(is, Some(0), "{route}\n{told}");
        assert!(
            !told.contains("beside") && !told.contains("strip_prefix"),
            "{told}"
        );
    }
}

#[test]
fn a_folder_that_a_route_leaves_out_is_named() {
    let house = House::with(
        "[[shop.route]]\npaths = [\"/admin/*\"]\nupstream = \"admin\"\n[[shop.route]]\npaths = [\"/api\", \"/api/*\"]\nupstream = \"api\"",
    );
    let told = house.edge.command(&["check"]).stdout;
    assert!(told.contains("    not /admin itself\n"), "{told}");
    assert!(!told.contains("not /api itself"), "{told}");
    for (target, answerer) in [
        ("/admin", "front"),
        ("/admin/", "front"),
        ("/admin//", "front"),
        ("/admin/x", "admin"),
        ("/admin/x/", "admin"),
        ("/api", "api"),
        ("/api/", "api"),
    ] {
        assert_eq!(house.answerer(target), answerer, "{target}");
    }
}

#[test]
fn a_host_with_an_empty_label_is_no_host() {
    let house = House::with("hosts = [\"*.tenant.test\"]\n");
    for (host, status) in [
        ("a.tenant.test", 200),
        ("a.tenant.test.", 200),
        ("..tenant.test", 400),
        (".tenant.test", 400),
        ("a..tenant.test", 400),
        ("a.tenant.test..", 400),
    ] {
        for host in [host.to_owned(), format!("{host}:8080")] {
            assert_eq!(
                house.ask("GET", "/", &[("host", &host)]).status,
                status,
                "{host}"
            );
        }
    }
}

#[test]
fn a_redirect_to_the_main_host_keeps_no_port_that_is_none() {
    let house = House::with("hosts = [\"shop.test\"]\nredirect_hosts = \"www.shop.test\"\n");
    for (port, to) in [
        ("", ""),
        (":8080", ":8080"),
        (":80", ""),
        (":0", ""),
        (":443", ""),
        (":", ""),
        (":99999", ""),
    ] {
        let host = format!("www.shop.test{port}");
        let answer = house.ask("GET", "/x?y", &[("host", &host)]);
        let to = format!("http://shop.test{to}/x?y");
        assert_eq!(
            (answer.status, answer.header("location")),
            (308, Some(to.as_str())),
            "{host}"
        );
    }
}

// --- Paths that lead up ----------------------------------------------------------------------------------

#[test]
fn no_dot_segment_leads_past_a_closed_folder() {
    let house = House::with(
        r#"
[[shop.route]]
paths = ["/admin", "/admin/*"]
respond = { status = 404 }
[[shop.route]]
paths = ["/img-*", "/img-*/*"]
rewrite = { pattern = "^/img-(.*)$", to = "/images/$1" }
upstream = "api"
"#,
    );
    for (target, status) in [
        ("/admin/x", 404),
        ("/admin/..;/x", 400),
        ("/admin/x/..;/..;/y", 400),
        ("/admin/..;a=b/x", 400),
        ("/a/..;/b", 200),
        ("/a/../b", 200),
        ("/x/../admin/y", 404),
        ("/admin/./x", 404),
        ("/img-a", 200),
        ("/img-a/..b", 200),
        ("/img-../admin/x", 400),
        ("/img-%2e%2e/admin/x", 400),
        ("/img-..%2fadmin", 400),
        ("/img-..;/admin", 400),
    ] {
        assert_eq!(house.ask("GET", target, &[]).status, status, "{target}");
    }
}
