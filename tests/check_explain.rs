//! `doorward check --explain`: what becomes of requests, in the order in which it is decided.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::{Edge, Outcome, opaque_shop_table, stateless_bagisto};

const FILE: &str = r#"
listen = ["127.0.0.9:8080", "127.0.0.9:8082"]
operator_listen = "127.0.0.1:8081"
data_dir = "{home}/data"

[[upstream]]
name = "front-end"
servers = ["127.0.0.1:3000", "http://front.internal:3001"]
[[upstream]]
name = "api"
servers = ["unix:/run/api.sock"]

[[shop]]
name = "admin"
hosts = ["shop.example.com"]
paths = ["/admin", "/admin/*"]
upstream = ["127.0.0.1:7000"]
token.kind = "opaque"
[[shop.logout]]
paths = ["/admin/logout"]
methods = ["POST"]
header = { x-staff-key = "s3cret-value" }
revoke = "subject"
[[shop.route]]
name = "assets"
paths = ["/admin/assets/*"]
methods = ["GET"]
enforce = "off"
[[shop.route]]
paths = ["/admin/*"]
from = ["192.0.2.0/24"]
query = { preview = "s3cret-value" }
not = { headers = { x-staff-key = "s3cret-value" } }
respond = { status = 404 }

[[shop]]
name = "main"
hosts = ["shop.example.com", "*.shop.example.com"]
preset = "medusa"
upstream = "front-end"
token.secret_file = "{secret_file}"
token.algorithms = ["HS256"]
[[shop.logout]]
paths = ["/bye"]
answer = "local"
[[shop.route]]
paths = ["/store/*", "/auth/*"]
upstream = "api"
[[shop.route]]
paths = ["/old/*"]
redirect = { to = "https://{host}/" }
"#;

fn checked(text: &str, arguments: &[&str]) -> Outcome {
    let shop = stateless_bagisto();
    let edge = Edge::with(&opaque_shop_table(&shop));
    edge.configure(text);
    edge.command(arguments)
}

#[test]
fn the_explanation_lists_everything_in_its_order_and_no_secret() {
    let explained = checked(FILE, &["check", "--explain"]);
    assert_eq!(explained.code, Some(0), "{}", explained.stderr);
    let wanted = include_str!("check_explain.txt");
    assert_eq!(explained.stdout, wanted, "{}", explained.stdout);
    assert!(!explained.stdout.contains("s3cret"));
    let short = checked(FILE, &["check"]);
    assert!(short.stdout.starts_with("ok  "), "{}", short.stdout);
    assert!(!short.stdout.contains("listeners"), "{}", short.stdout);
}

#[test]
fn a_file_with_faults_is_not_explained() {
    let text = FILE.replace("respond = { status = 404 }", "respond = { status = 4 }");
    let faulty = checked(&text, &["check", "--explain"]);
    assert_eq!((faulty.code, faulty.stdout.as_str()), (Some(78), ""));
}

/// What `check` warns of, with this in the place of the routes of the admin.
fn warned(routes: &str) -> String {
    let begin = FILE.find("[[shop.route]]").unwrap();
    let end = FILE.find("[[shop]]\nname = \"main\"").unwrap();
    let text = format!("{}{routes}\n{}", &FILE[..begin], &FILE[end..]);
    checked(&text, &["check"]).stderr
}

#[test]
fn routes_that_are_never_taken_are_named_with_the_reason() {
    let never = "this route is never taken";
    for (routes, words) in [
        (
            "methods = [\"GET\"]\nnot = { methods = [\"GET\", \"POST\"] }",
            "`not` excludes every request",
        ),
        (
            "headers = { x-a = \"1\" }\nnot = { headers = { x-a = \"*\" } }",
            "`not` excludes every request",
        ),
        (
            "from = [\"10.1.0.0/16\"]\nnot = { from = [\"10.0.0.0/8\"] }",
            "`not` excludes every request",
        ),
        (
            "paths = [\"/admin/x\"]\nnot = { paths = [\"/admin/*\"] }",
            "`not` excludes every request",
        ),
        ("paths = [\"/cart\"]", "none of those that the shop claims"),
        (
            "methods = [\"GET\"]\npaths = [\"/admin/a\"]\nenforce = \"valid\"\n[[shop.route]]\nmethods = [\"HEAD\"]\npaths = [\"/admin/a\"]",
            "route 1 takes every request first",
        ),
        (
            "paths = [\"/admin/a\"]\nenforce = \"valid\"\n[[shop.route]]\npaths = [\"/admin/b\"]\nenforce = \"valid\"\n\
             [[shop.route]]\npaths = [\"/admin/b\", \"/admin/a\"]",
            "routes 2, 1 take every request first",
        ),
    ] {
        let told = warned(&format!("[[shop.route]]\n{routes}\nenforce = \"valid\""));
        assert!(
            told.contains(never) && told.contains(words),
            "{routes}\n{told}"
        );
    }
    for routes in [
        "methods = [\"GET\", \"POST\"]\nnot = { methods = [\"GET\"] }",
        "headers = { x-a = [\"1\", \"2\"] }\nnot = { headers = { x-a = \"1\" } }",
        "paths = [\"/admin/*\"]\nnot = { paths = [\"/admin/x\"] }",
        "paths = [\"/cart\", \"/admin\"]",
        "methods = [\"GET\"]\nenforce = \"valid\"\n[[shop.route]]\nmethods = [\"GET\", \"POST\"]",
    ] {
        let told = warned(&format!("[[shop.route]]\n{routes}\nenforce = \"valid\""));
        assert!(!told.contains(never), "{routes}\n{told}");
    }
}

#[test]
fn calls_outside_of_the_paths_of_a_shop_are_named() {
    let told = warned(
        "[[shop.logout]]\npaths = [\"/logout\"]\n[[shop.refresh]]\npaths = [\"/admin/refresh\"]",
    );
    assert!(
        told.contains("calls of this shop are at paths that it does not claim"),
        "{told}"
    );
    assert!(told.contains("never seen: logout /logout"), "{told}");
    assert!(!told.contains("/admin/refresh"), "{told}");
}

#[test]
fn what_leads_back_to_doorward_is_named() {
    for (server, words) in [
        (
            "127.0.0.9:8080",
            "shop `admin` leads back to Doorward: http://127.0.0.9:8080 is its `listen`",
        ),
        (
            "localhost:8081",
            "http://localhost:8081 is its `operator_listen`",
        ),
    ] {
        let text = FILE.replace("127.0.0.1:7000", server);
        let told = checked(&text, &["check"]).stderr;
        assert!(told.contains(words), "{told}");
    }
    let text = FILE.replace("unix:/run/api.sock", "127.0.0.9:8082");
    let told = checked(&text, &["check"]).stderr;
    assert!(
        told.contains("upstream `api` leads back to Doorward"),
        "{told}"
    );
    assert!(!checked(FILE, &["check"]).stderr.contains("leads back"));
}

#[test]
fn redirects_to_themselves_are_named() {
    let circle = "redirects to itself";
    for (route, is_circle) in [
        (
            "paths = [\"/admin/*\"]\nredirect = { to = \"{path}\" }",
            true,
        ),
        (
            "paths = [\"/admin/*\"]\nredirect = { to = \"/admin/new{path}\" }",
            true,
        ),
        (
            "paths = [\"/admin/*\"]\nredirect = { to = \"http://{host}/admin/home\" }",
            true,
        ),
        (
            "paths = [\"/admin/a\"]\nredirect = { to = \"/admin/b\" }",
            false,
        ),
        (
            "paths = [\"/admin/*\"]\nredirect = { to = \"/cart\" }",
            false,
        ),
        (
            "paths = [\"/admin/*\"]\nredirect = { to = \"http://www.example.com{uri}\" }",
            false,
        ),
        (
            "paths = [\"/admin/*\"]\nredirect = { to = \"https://{host}{uri}\" }",
            false,
        ),
        (
            "paths = [\"/admin/*\"]\nheaders = { x-old = \"*\" }\nredirect = { to = \"{path}\" }",
            false,
        ),
        (
            "paths = [\"/admin/*\"]\nnot = { paths = \"/admin/home\" }\nredirect = { to = \"/admin/home\" }",
            false,
        ),
        (
            "paths = [\"/admin/*\"]\nnot = { query = { seen = \"*\" } }\nredirect = { to = \"{path}?seen=1\" }",
            false,
        ),
    ] {
        let told = warned(&format!("[[shop.route]]\n{route}"));
        assert_eq!(told.contains(circle), is_circle, "{route}\n{told}");
    }
}

#[test]
fn the_explanation_hides_no_condition_no_limit_and_no_change() {
    let top = "deny = [\"192.0.2.66\"]\nlisten = [{ address = \"127.0.0.9:8080\", proxy_protocol = [\"10.0.0.0/8\", \"10.1.0.1\"] }]\n";
    let admin = "[[shop.route]]
name = \"certified\"
paths = [\"/admin/a\"]
client_certificate = [\"CN=Alice,O=Example\", \"DNS:ops.example.com\"]
enforce = \"valid\"
[[shop.route]]
name = \"others\"
paths = [\"/admin/b\"]
not = { client_certificate = true }
allow = [\"10.0.0.0/8\", \"2001:db8::/32\"]
deny = [\"10.0.0.66\"]
limit = { rate = \"600/m\", burst = 20, by = { header = \"x-key\" } }
[[shop.route]]
name = \"changed\"
paths = [\"/admin/c\"]
client_certificate = false
rewrite = { pattern = \"c\", to = \"d\" }
headers.request = { remove = [\"x-debug\"] }
headers.response = { set = { x-key = \"s3cret-value\" } }
";
    let main = "hosts = [\"shop.example.com\"]
redirect_hosts = [\"www.shop.example.com\", \"*.example.net\"]
allow = [\"10.0.0.0/8\"]
observe = true
dead_cookie = \"refuse\"
body_limit = \"1MiB\"
limits = { logouts = { rate = \"7/m\" }, own_paths = { rate = \"1000/h\", burst = 1 } }
";
    let listen = FILE.find("operator_listen").unwrap();
    let begin = FILE.find("[[shop.route]]").unwrap();
    let end = FILE.find("[[shop]]\nname = \"main\"").unwrap();
    let text = format!("{top}{}{admin}{}", &FILE[listen..begin], &FILE[end..]);
    let hosts = "hosts = [\"shop.example.com\", \"*.shop.example.com\"]\n";
    let explained = checked(&text.replace(hosts, main), &["check", "--explain"]);
    assert_eq!(explained.code, Some(0), "{}", explained.stderr);
    let told = explained.stdout;
    for line in [
        "  127.0.0.9:8080: customers, PROXY protocol from 10.0.0.0/8 and 10.1.0.1/32",
        "  clients: deny 192.0.2.66/32",
        "  www.shop.example.com -> redirect 308 to shop.example.com",
        "  *.example.net, unless a shop names the host as closely -> redirect 308 to shop.example.com",
        "    certified: /admin/a with conditions, enforce valid",
        "      if client certificate CN=Alice,O=Example or DNS:ops.example.com",
        "    others: /admin/b with conditions, allow 10.0.0.0/8 and 2001:db8::/32, deny 10.0.0.66/32, limit 10/s (burst 20) by header x-key",
        "      if not client certificate",
        "    changed: /admin/c with conditions, path rewritten, request headers changed, response headers changed",
        "      if no client certificate",
        "  clients: allow 10.0.0.0/8",
        "  credentials: only observed",
        "  dead cookies: refused",
        "  limits: logouts 7/m (burst 7), own_paths 1000/h (burst 1)",
        "  requests without a route: bodies up to 1048576 bytes",
    ] {
        assert!(told.lines().any(|one| one == line), "{line}\n{told}");
    }
    assert!(!told.contains("s3cret"), "{told}");
}
