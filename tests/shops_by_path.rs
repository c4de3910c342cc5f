//! Two shops on one host, told apart by path: each has its requests, and its logouts alone.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use doorward::config;
use doorward::request::{Gate, Path, PathPattern, PathStyle, Refusal, Request};
use doorward::revocation::{Journal, Revocations};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::frames::Frames;
use support::{Answer, Backend, Connection, Deed, Edge, Shop, eventually, request};
use tempfile::TempDir;

const FAR: u64 = 4_000_000_000;
const EARLIER: u64 = 1_780_000_000;
const OTHER_SECRET: &str = "the-other-secret-of-at-least-32-bytes";

/// A token that this key has signed.
fn signed_by(secret: &str, over: &Value) -> String {
    let usual = json!({ "sub": 3, "jti": "a", "iat": EARLIER, "exp": FAR });
    let claims = support::overlaid(usual, over);
    let encode = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
    let header = encode(r#"{"typ":"JWT","alg":"HS256"}"#.to_owned());
    let text = format!("{header}.{}", encode(claims.to_string()));
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = crypto::sign(text.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{text}.{signature}")
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A storefront and an admin on one host, each a server of its own.
struct Host {
    front: Backend,
    admin: Backend,
    edge: Edge,
    /// The key of the admin.
    keys: TempDir,
}

const ADMIN: &str = "paths = [\"/admin\", \"/admin/*\"]\n";
const OPAQUE: &str = "token.kind = \"opaque\"\n";
const LOGOUT: &str =
    "[[shop.logout]]\npaths = [\"/logout\", \"/admin/logout\"]\nmethods = [\"POST\"]\n";

impl Host {
    /// The admin, then the storefront, with these keys.
    fn with(of_admin: &str, of_front: &str) -> Self {
        let [front, admin] = ["front", "admin"].map(Backend::saying);
        let keys = tempfile::tempdir().unwrap();
        let key = keys.path().join("admin.secret");
        fs::write(&key, OTHER_SECRET).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let text = Self::table("admin", &admin, of_admin) + &Self::table("main", &front, of_front);
        let text = text.replace("{other}", key.to_str().unwrap());
        let edge = Edge::with(&format!("h2c = true\n{text}"));
        Self {
            front,
            admin,
            edge,
            keys,
        }
    }

    fn table(name: &str, server: &Backend, more: &str) -> String {
        let address = server.address();
        format!("[[shop]]\nname = \"{name}\"\nupstream = [\"{address}\"]\n{more}\n")
    }

    fn reload(&self, of_admin: &str, of_front: &str) {
        let text = Self::table("admin", &self.admin, of_admin)
            + &Self::table("main", &self.front, of_front);
        self.reload_with(&text);
    }

    fn reload_with(&self, text: &str) {
        let key = self.keys.path().join("admin.secret");
        let text = text.replace("{other}", key.to_str().unwrap());
        self.edge.configure(&format!("h2c = true\n{text}"));
        let control = self.edge.path("data/control.sock");
        let reloaded = self
            .edge
            .command(&["reload", "--control", control.to_str().unwrap()]);
        assert_eq!(reloaded.code, Some(0), "{}", reloaded.stderr);
    }

    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.edge.raw(&request(method, target, headers, b""))
    }

    fn status_with(&self, method: &str, target: &str, token: &str) -> u16 {
        let headers = [("authorization", &*bearer(token))];
        self.ask(method, target, &headers).status
    }
}

#[test]
fn the_first_shop_that_claims_host_and_path_has_the_request() {
    let host = Host::with(&format!("{ADMIN}{OPAQUE}"), OPAQUE);
    for (target, who) in [
        ("/", "front"),
        ("/admin", "admin"),
        ("/admin/", "admin"),
        ("/admin/users?page=2", "admin"),
        ("/administrator", "front"),
        ("/ADMIN/users", "front"),
        ("/%61dmin/users", "admin"),
        ("//admin//users", "admin"),
        ("/x/../admin/users", "admin"),
        ("/admin/../cart", "front"),
        ("/admin;v=1/users", "admin"),
        ("/index.php/admin/users", "front"),
    ] {
        assert_eq!(host.ask("GET", target, &[]).text(), who, "{target}");
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "localhost"),
            (":path", target),
        ];
        let reply = Frames::open(host.edge.address()).ask(&fields, None);
        assert_eq!(reply.status, 200, "{target}");
    }
    let preflight = [
        ("origin", "https://a.test"),
        ("access-control-request-method", "POST"),
    ];
    let answer = host.ask("OPTIONS", "/admin/users", &preflight);
    assert_eq!(answer.text(), "admin");
    assert_eq!(host.ask("TRACE", "/admin/users", &[]).status, 405);
}

#[test]
fn shops_of_one_host_with_the_same_server_each_say_how_it_is() {
    let server = Backend::saying("both");
    let address = server.address();
    server.does_at("/admin/slow", Deed::Silence);
    let health = "[shop.health]\ncheck = \"tcp\"\ninterval = \"50ms\"\n\
                  healthy_after = 1\nunhealthy_after = 1\n[shop.upstream_limits]\nconnections = 2\n";
    let text = Host::table("admin", &server, &format!("{ADMIN}{OPAQUE}{health}"))
        + &Host::table("main", &server, &format!("{OPAQUE}{health}"));
    let edge = Edge::with(&text);
    let says = |line: &str| edge.metrics().lines().any(|one| one == line);
    let in_flight = |shop: &str, count: usize| {
        says(&format!(
            "doorward_upstream_in_flight{{shop=\"{shop}\",server=\"http://{address}\"}} {count}"
        ))
    };
    let is = |state: &str| {
        ["admin", "main"].iter().all(|shop| {
            says(&format!(
                "doorward_upstream_servers{{shop=\"{shop}\",server=\"http://{address}\",state=\"{state}\"}} 1"
            ))
        })
    };
    eventually(|| is("healthy"));
    let mut slow = Connection::open(edge.address());
    slow.send(&request("GET", "/admin/slow", &[], b""));
    eventually(|| in_flight("admin", 1));
    assert!(in_flight("main", 0), "each shop counts its own");
    assert_eq!(edge.raw(&request("GET", "/", &[], b"")).text(), "both");
    drop(slow);
    eventually(|| in_flight("admin", 0));
    drop(server);
    eventually(|| is("unhealthy"));
    let told = edge.ask_operator("/readyz?verbose").text();
    for shop in ["admin", "main"] {
        let line = format!("[!] servers of shop {shop}: http://{address} unhealthy");
        assert!(told.contains(&line), "{told}");
    }
    let _back = Backend::back_at(address, "back");
    eventually(|| is("healthy"));
    for path in ["/admin/orders", "/"] {
        assert_eq!(edge.raw(&request("GET", path, &[], b"")).text(), "back");
    }
}

#[test]
fn a_path_whose_readings_belong_to_different_shops_is_refused() {
    let host = Host::with(&format!("{ADMIN}{OPAQUE}"), OPAQUE);
    let long = format!("/admin%2F{}", "b;c/..//".repeat(1_000));
    for (target, status) in [
        ("/admin%2Fusers", 400),
        ("/x/%252e%252e/admin/users", 400),
        ("/admin/%2e%2e%2fcart", 400),
        ("/a\\..\\admin\\users", 400),
        (long.as_str(), 400),
        ("/admin/a%2Fb", 200),
        ("/a%2Fb", 200),
    ] {
        assert_eq!(host.ask("GET", target, &[]).status, status, "{target}");
    }
    let (front, admin) = (host.front.heard().len(), host.admin.heard().len());
    assert_eq!((front, admin), (1, 1), "refused before either saw it");
}

#[test]
fn a_path_that_no_shop_claims_is_not_found() {
    let hosts = "hosts = [\"a.test\"]\n";
    let blog = "paths = [\"/blog/*\"]\n";
    let host = Host::with(
        &format!("{hosts}{ADMIN}{OPAQUE}"),
        &format!("{hosts}{blog}{OPAQUE}"),
    );
    for (name, target, status) in [
        ("a.test", "/admin", 200),
        ("a.test", "/blog/x", 200),
        ("a.test", "/", 404),
        ("a.test", "/_doorward/logout", 404),
        ("a.test", "/blog%2Fx", 400),
        ("b.test", "/admin", 421),
    ] {
        let answer = host.ask("GET", target, &[("host", name)]);
        assert_eq!(answer.status, status, "{name}{target}");
    }
    let counted = host.edge.metrics();
    assert!(counted.contains("unknown_path"), "{counted}");
}

/// How customers are told apart: by their tokens alone, or by their names in tokens of one key.
#[test]
fn a_logout_of_one_shop_is_none_of_the_other() {
    let jwt = "revoke = \"subject\"\ntoken.algorithms = [\"HS256\"]\ntoken.secret_file = \"{secret_file}\"\n";
    let token = signed_by(Shop::SECRET, &json!({}));
    let other = signed_by(Shop::SECRET, &json!({ "jti": "b" }));
    for (keys, token, other) in [
        (
            OPAQUE,
            "an-opaque-token-of-a-customer",
            "another-token-of-the-customer",
        ),
        (jwt, &token, &other),
    ] {
        for (leaves, dead, alive) in [
            ("/admin/logout", "/admin/x", "/x"),
            ("/logout", "/x", "/admin/x"),
        ] {
            let host = Host::with(
                &format!("{ADMIN}{keys}{LOGOUT}"),
                &format!("{keys}{LOGOUT}"),
            );
            assert_eq!(host.status_with("POST", leaves, token), 200, "{leaves}");
            assert_eq!(host.status_with("GET", dead, token), 401, "{dead}");
            assert_eq!(host.status_with("GET", alive, token), 200, "{alive}");
            assert_eq!(host.status_with("GET", alive, other), 200, "{alive}");
        }
    }
}

#[test]
fn doorwards_own_logout_stands_in_the_folders_of_each_shop() {
    let host = Host::with(&format!("{ADMIN}{OPAQUE}"), OPAQUE);
    let token = "an-opaque-token-of-a-customer";
    for own in ["/_doorward/ecwid.js", "/admin/_doorward/ecwid.js"] {
        let script = host.ask("GET", own, &[]);
        assert!(script.text().contains("script"), "{own}");
    }
    assert_eq!(
        host.status_with("POST", "/admin/_doorward/logout", token),
        200
    );
    assert_eq!(host.status_with("GET", "/admin/x", token), 401);
    assert_eq!(host.status_with("GET", "/x", token), 200);
    assert_eq!(host.status_with("POST", "/_doorward/logout", token), 200);
    assert_eq!(host.status_with("GET", "/x", token), 401);
    assert!(host.front.heard().len() + host.admin.heard().len() == 1);
}

#[test]
fn a_preset_is_found_below_the_folder_of_its_shop() {
    let bagisto = "preset = \"bagisto\"\ntoken.algorithms = [\"HS256\"]\ntoken.secret_file = \"{secret_file}\"\n";
    for base in ["", "base = [\"/store\"]\n"] {
        let host = Host::with(&format!("paths = [\"/store/*\"]\n{base}{bagisto}"), OPAQUE);
        let token = signed_by(Shop::SECRET, &json!({}));
        let (page, logout) = ("/store/api/shop/cart", "/store/api/shop/customer/logout");
        let key = format!("pk_storefront_{}", "a".repeat(32));
        assert_eq!(host.status_with("GET", page, &token), 200);
        let headers = [
            ("authorization", &*bearer(&token)),
            ("x-storefront-key", &key),
        ];
        assert_eq!(host.ask("POST", logout, &headers).status, 200);
        assert_eq!(host.status_with("GET", page, &token), 401, "{base}");
        let elsewhere = host.status_with("POST", "/api/shop/customer/logout", &token);
        assert_eq!(elsewhere, 200, "no logout of the storefront");
        assert_eq!(host.status_with("GET", "/cart", &token), 200);
    }
}

#[test]
fn each_shop_compares_paths_in_its_own_way() {
    let style = "path_style.ignore_case = true\npath_style.exact_slash = true\n";
    let host = Host::with(&format!("{ADMIN}{style}{OPAQUE}"), OPAQUE);
    for (target, who) in [
        ("/ADMIN/users", "admin"),
        ("/Admin", "admin"),
        ("/admin/", "front"),
        ("/x", "front"),
    ] {
        assert_eq!(host.ask("GET", target, &[]).text(), who, "{target}");
    }
}

/// Browsers send the cookies of a host to each of its shops.
#[test]
fn a_cookie_of_one_shop_is_no_fault_at_the_other() {
    let front_keys = "dead_cookie = \"refuse\"\ntoken.algorithms = [\"HS256\"]\ntoken.secret_file = \"{secret_file}\"\n";
    let admin_keys = front_keys.replace("{secret_file}", "{other}");
    let cookie = "[[shop.credential]]\ncookie = \"sid\"\n";
    let host = Host::with(
        &format!("{ADMIN}{admin_keys}{cookie}{LOGOUT}"),
        &format!("{front_keys}{cookie}{LOGOUT}"),
    );
    let of_front = signed_by(Shop::SECRET, &json!({}));
    let of_admin = signed_by(OTHER_SECRET, &json!({}));
    let (front, admin) = (format!("sid={of_front}"), format!("sid={of_admin}"));
    let both = format!("{front}; {admin}");
    for (target, sent) in [("/admin/x", &front), ("/x", &admin)] {
        let answer = host.ask("GET", target, &[("cookie", sent)]);
        assert_eq!(answer.status, 200, "{target}");
        let deleted = answer.headers_named("set-cookie");
        assert!(deleted.is_empty(), "{target} {deleted:?}");
    }
    // A logout of the admin with the cookies of both ends the admin's alone.
    assert_eq!(
        host.ask("POST", "/admin/logout", &[("cookie", &admin)])
            .status,
        200
    );
    assert_eq!(
        host.ask("GET", "/admin/x", &[("cookie", &admin)]).status,
        401
    );
    assert_eq!(host.ask("GET", "/x", &[("cookie", &front)]).status, 200);
    assert_eq!(
        host.ask("GET", "/x", &[("cookie", &both)]).status,
        200,
        "dead at the admin"
    );
    // A logout of the admin deletes no cookie of the storefront in the browser.
    let bearer = format!(
        "Bearer {}",
        signed_by(OTHER_SECRET, &json!({ "sub": "clerk" }))
    );
    for headers in [
        vec![("cookie", front.as_str())],
        vec![
            ("cookie", front.as_str()),
            ("authorization", bearer.as_str()),
        ],
    ] {
        let answer = host.ask("POST", "/admin/logout", &headers);
        let deleted = answer.headers_named("set-cookie");
        assert!(deleted.is_empty(), "{} {deleted:?}", answer.status);
    }
    assert_eq!(host.ask("GET", "/x", &[("cookie", &front)]).status, 200);
    // A dead cookie of the storefront is unknown to the admin.
    assert_eq!(
        host.ask("POST", "/logout", &[("cookie", &front)]).status,
        200
    );
    assert_eq!(host.ask("GET", "/x", &[("cookie", &front)]).status, 401);
    assert_eq!(
        host.ask("GET", "/admin/x", &[("cookie", &front)]).status,
        200
    );
}

#[test]
fn shops_that_read_one_cookie_on_one_host_are_named() {
    let cookie = "[[shop.credential]]\ncookie = \"sid\"\n";
    let host = Host::with(
        &format!("{ADMIN}{OPAQUE}{cookie}"),
        &format!("{OPAQUE}[[shop.credential]]\ncookie = \"s*\"\n"),
    );
    let told = host.edge.command(&["check"]).stderr;
    let words = "shops `admin` and `main` read the cookie `s*` on the same host";
    assert!(told.contains(words), "{told}");
}

/// A logout from before a shop was split by path stays in force in both parts; later ones are each shop's own.
#[test]
fn splitting_a_shop_by_path_forgets_nothing() {
    let jwt = "revoke = \"subject\"\ntoken.algorithms = [\"HS256\"]\ntoken.secret_file = \"{secret_file}\"\n";
    let dead = signed_by(Shop::SECRET, &json!({}));
    let later = signed_by(Shop::SECRET, &json!({ "jti": "b", "sub": 4 }));
    for (keys, dead, later) in [
        (
            OPAQUE,
            "an-opaque-token-of-a-customer",
            "another-token-of-another",
        ),
        (jwt, &dead, &later),
    ] {
        let elsewhere = "hosts = [\"other.test\"]\n";
        let host = Host::with(&format!("{elsewhere}{keys}"), &format!("{keys}{LOGOUT}"));
        assert_eq!(host.status_with("POST", "/logout", dead), 200);
        host.reload(
            &format!("{ADMIN}{keys}{LOGOUT}"),
            &format!("{keys}{LOGOUT}"),
        );
        for target in ["/x", "/admin/x"] {
            assert_eq!(host.status_with("GET", target, dead), 401, "{target}");
            assert_eq!(host.status_with("GET", target, later), 200, "{target}");
        }
        assert_eq!(host.status_with("POST", "/logout", later), 200);
        assert_eq!(host.status_with("GET", "/x", later), 401);
        assert_eq!(host.status_with("GET", "/admin/x", later), 200);
        let merged = Host::table("main", &host.front, &format!("{keys}{LOGOUT}"));
        host.reload_with(&merged);
        for target in ["/x", "/admin/x"] {
            assert_eq!(host.status_with("GET", target, dead), 401, "{target}");
            assert_eq!(host.status_with("GET", target, later), 401, "{target}");
        }
    }
}

#[test]
fn moving_a_shop_to_another_path_forgets_nothing() {
    const MOVED: &str = "paths = [\"/backoffice\", \"/backoffice/*\"]\n";
    let own = "token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{other}\"\n";
    let same = "token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{secret_file}\"\n";
    let signed = |secret| signed_by(secret, &json!({}));
    let later = |secret| signed_by(secret, &json!({ "jti": "b", "sub": 4 }));
    let opaque = |text: &str| text.to_owned();
    for (keys, of_front, dead, alive) in [
        (
            OPAQUE,
            OPAQUE,
            opaque("an-opaque-token-of-an-admin"),
            opaque("another-token-of-another"),
        ),
        (own, same, signed(OTHER_SECRET), later(OTHER_SECRET)),
        (same, same, signed(Shop::SECRET), later(Shop::SECRET)),
    ] {
        let front = format!("{of_front}{LOGOUT}");
        let host = Host::with(&format!("{ADMIN}{keys}{LOGOUT}"), &front);
        assert_eq!(
            host.status_with("POST", "/admin/logout", &dead),
            200,
            "{keys}"
        );
        host.reload(&format!("{MOVED}{keys}{LOGOUT}"), &front);
        assert_eq!(
            host.status_with("GET", "/backoffice/x", &dead),
            401,
            "{keys}"
        );
        assert_eq!(
            host.status_with("GET", "/backoffice/x", &alive),
            200,
            "{keys}"
        );
    }
}

/// Each shop has a token domain of its own name, and a third one gets the key and other paths.
#[test]
fn a_shop_that_comes_back_to_a_former_key_forgets_nothing() {
    let domain = |name: &str, key: &str| {
        format!(
            "token.algorithms = [\"HS256\"]\ntoken.token_domain = \"{name}\"\ntoken.secret_file = \"{key}\"\n"
        )
    };
    let (of_admin, of_main) = (domain("admin", "{secret_file}"), domain("main", "{other}"));
    let host = Host::with(&format!("{ADMIN}{of_admin}"), &format!("{of_main}{LOGOUT}"));
    let dead = signed_by(OTHER_SECRET, &json!({}));
    let alive = signed_by(OTHER_SECRET, &json!({ "jti": "b", "sub": 4 }));
    assert_eq!(host.status_with("POST", "/logout", &dead), 200);
    host.reload_with(&Host::table("admin", &host.admin, &of_admin));
    let third = format!("paths = [\"/c\", \"/c/*\"]\n{}", domain("third", "{other}"));
    host.reload_with(
        &[
            Host::table("third", &host.front, &third),
            Host::table("main", &host.front, &format!("{ADMIN}{of_main}")),
            Host::table("admin", &host.admin, &of_admin),
        ]
        .concat(),
    );
    for target in ["/admin/x", "/c/x"] {
        assert_eq!(host.status_with("GET", target, &dead), 401, "{target}");
        assert_eq!(host.status_with("GET", target, &alive), 200, "{target}");
    }
}

// --- The configuration -----------------------------------------------------------------------------------

/// What `check` would say of these shops, each its keys.
fn told_of(shops: &[&str]) -> String {
    let table = |(at, keys): (usize, &&str)| {
        format!(
            "[[shop]]\nname = \"s{at}\"\nupstream = [\"127.0.0.1:9\"]\n{OPAQUE}token.token_domain = \"d\"\n{keys}\n"
        )
    };
    let tables: Vec<_> = shops.iter().enumerate().map(table).collect();
    let tables = tables.concat();
    let text = format!("listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n{tables}");
    match config::parse("doorward.toml", &text, std::path::Path::new("")) {
        Ok((_, warnings)) => warnings.to_string(),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn a_shop_or_a_path_that_never_gets_a_request_is_named_with_the_shop_that_has_it() {
    let a = "hosts = [\"a.example.com\"]\n";
    let below = "hosts = [\"*.example.com\"]\n";
    let nothing = "no request for this host gets here";
    for (shops, words) in [
        (vec![a, a], "two shops claim this host"),
        (vec![below, a], nothing),
        (
            vec![a, "hosts = [\"a.example.com\"]\npaths = \"/x/*\""],
            nothing,
        ),
        (vec!["", "paths = [\"/x/*\"]"], nothing),
        (vec!["paths = [\"/*\"]", "paths = [\"/x/*\"]"], nothing),
        (vec!["paths = [\"/*\"]", ""], "two shops claim every host"),
        (
            vec!["paths = \"/x/*\"", "paths = \"/x/*\""],
            "two shops claim the same paths",
        ),
        (
            vec!["paths = [\"/x/*\", \"/y\"]", "paths = [\"/x/a\", \"/y\"]"],
            nothing,
        ),
        (
            vec![
                "paths = [\"/x/*\"]",
                "paths = [\"/y\"]",
                "paths = [\"/x/a\", \"/y\"]",
            ],
            nothing,
        ),
        (
            vec!["paths = [\"/x/*\"]", "paths = [\"/x/a\", \"/z\"]"],
            "no request for this path gets here",
        ),
    ] {
        let told = told_of(&shops);
        assert!(told.contains(words), "{shops:?}\n{told}");
        assert!(
            told.contains("shop `s0` claims it in line 3")
                || told.contains("shop `s0` claims it in line 8"),
            "{shops:?}\n{told}"
        );
    }
    for fine in [
        vec!["paths = [\"/x/*\"]", ""],
        vec!["paths = [\"/x/*\"]", "paths = [\"/x\", \"/y/*\"]"],
        vec![
            "paths = [\"/x\"]",
            "paths = [\"/x\"]\npath_style.ignore_case = true",
        ],
        vec!["paths = [\"/x/*\"]\nhosts = [\"a.example.com\"]", below],
        vec![a, "hosts = [\"b.example.com\"]\npaths = [\"/x/*\"]"],
    ] {
        assert_eq!(told_of(&fine), "", "{fine:?}");
    }
}

#[test]
fn claimed_paths_are_written_as_paths() {
    for (keys, words) in [
        ("paths = []", "`paths` names no path"),
        ("paths = [\"admin\"]", "a path such as"),
        ("paths = [\"/t/{token}\"]", "without {token}"),
        ("paths = 3", "a string or an array of strings"),
        (
            "paths = { ignore_case = true }",
            "`paths` is now called `path_style`",
        ),
    ] {
        let told = told_of(&[keys]);
        assert!(told.contains(words), "{keys}\n{told}");
    }
}

// --- The rule --------------------------------------------------------------------------------------------

/// Nothing is revoked.
static NOTHING: LazyLock<(TempDir, Arc<Revocations>)> = LazyLock::new(|| {
    let home = tempfile::tempdir().unwrap();
    Journal::init(&home.path().join("data")).unwrap();
    let revocations = Revocations::open(&home.path().join("data")).unwrap();
    (home, Arc::new(revocations))
});

/// A gate in front of shops with these paths and ways of comparing them, all of one host. `None`: one never gets a request,
/// which is a fault.
fn gate(shops: &[(Vec<String>, PathStyle)]) -> Option<Gate> {
    let table = |(at, (paths, style)): (usize, &(Vec<String>, PathStyle))| {
        let claims = if paths.is_empty() {
            String::new()
        } else {
            format!("paths = {paths:?}\n")
        };
        format!(
            "[[shop]]\nname = \"{at}\"\nupstream = [\"127.0.0.1:9\"]\ntoken.kind = \"opaque\"\n{claims}\
             path_style = {{ ignore_case = {}, exact_slash = {} }}\n",
            style.ignore_case, style.exact_slash,
        )
    };
    let tables: Vec<_> = shops.iter().enumerate().map(table).collect();
    let tables = tables.concat();
    let text = format!("listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n{tables}");
    let (config, _) = config::parse("doorward.toml", &text, std::path::Path::new("")).ok()?;
    let shops = config.shops.into_iter().map(Arc::new).collect();
    Some(Gate::new(shops, Arc::clone(&NOTHING.1)))
}

fn pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![Just("a"), Just("b"), Just("B"), Just("*"), Just("a*")];
    let end = prop_oneof![Just(""), Just("/"), Just("/*")];
    (prop::collection::vec(segment, 0..3), end).prop_map(|(segments, end)| {
        let path = segments
            .iter()
            .fold(String::new(), |path, one| path + "/" + one);
        let path = format!("{path}{end}");
        if path.is_empty() {
            "/".to_owned()
        } else {
            path
        }
    })
}

fn sent_path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        Just("a"),
        Just("b"),
        Just("A"),
        Just("ab"),
        Just("x"),
        Just(""),
        Just(".."),
        Just("%61"),
        Just("a%2Fb"),
        Just("%252e%252e"),
        Just("a;b"),
        Just("a%5Cb"),
    ];
    prop::collection::vec(segment, 0..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn style() -> impl Strategy<Value = PathStyle> {
    (any::<bool>(), any::<bool>()).prop_map(|(ignore_case, exact_slash)| PathStyle {
        ignore_case,
        exact_slash,
        ..PathStyle::default()
    })
}

/// The shop that a path belongs to, by the words of the documentation.
fn expected(shops: &[(Vec<String>, PathStyle)], sent: &str) -> Result<usize, Refusal> {
    let read = Path::parse(sent);
    let first = |reading: &str| {
        shops.iter().position(|(paths, style)| {
            let is_at = |text: &String| {
                let pattern = PathPattern::parse(text).unwrap();
                // A pattern at the root alone: what only a lenient server takes for it does not count.
                pattern.is_everything() || is_written(&pattern, reading, *style)
            };
            paths.is_empty() || paths.iter().any(is_at)
        })
    };
    let normal = first(read.normal());
    if !shops[0].0.is_empty() && !read.readings().all(|one| first(one) == normal) {
        return Err(Refusal::AmbiguousPath);
    }
    normal.ok_or(Refusal::UnknownPath)
}

/// Segment by segment, as the reference says of `paths`.
fn is_written(pattern: &PathPattern, reading: &str, style: PathStyle) -> bool {
    let text = pattern.to_string();
    let (text, is_open) = match text.strip_suffix("/*") {
        Some(folder) => (folder, true),
        None => (text.as_str(), false),
    };
    let segments = |path: &str| -> Vec<String> {
        let path = path.trim_start_matches('/').trim_end_matches('/');
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let (wanted, given) = (segments(text), segments(reading));
    let fits = |(want, give): (&String, &String)| {
        let (want, give) = if style.ignore_case {
            (want.to_ascii_lowercase(), give.to_ascii_lowercase())
        } else {
            (want.clone(), give.clone())
        };
        match want.strip_suffix('*') {
            Some(begin) => give.starts_with(begin),
            None => want == give,
        }
    };
    let is_long_enough = if is_open {
        given.len() > wanted.len()
    } else {
        given.len() == wanted.len()
    };
    let ends_alike = text.ends_with('/') == reading.ends_with('/') || text.len() <= 1;
    let has_slash = is_open || !style.exact_slash || ends_alike;
    is_long_enough && has_slash && wanted.iter().zip(&given).all(fits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_shop_is_the_first_that_claims_every_reading_of_the_path(
        shops in prop::collection::vec((prop::collection::vec(pattern(), 0..3), style()), 1..5),
        sent in prop::collection::vec(sent_path(), 1..8),
    ) {
        let Some(gate) = gate(&shops) else { return Ok(()) };
        for sent in sent {
            let (head, ()) = http::Request::get(&sent).header("host", "a.test").body(()).unwrap().into_parts();
            let taken = match gate.arrive(&Request::new(&head, None)) {
                Ok(arrived) => Ok(arrived.shop().name.parse().unwrap()),
                Err(refused) => Err(refused.refusal),
            };
            prop_assert_eq!(taken, expected(&shops, &sent), "{}", sent);
        }
    }
}
