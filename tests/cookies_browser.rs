//! Cookies in a real browser: a dead one locks nobody out and is gone afterwards, and no other site logs a customer out.
//!
//! The sites are `shop.test`, `www.shop.test` and `other.test`, all of them behind one edge.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;
#[path = "support/browser.rs"]
mod browser;

use std::net::SocketAddr;

use browser::Browser;
use serde_json::json;
use support::encrypted::Certificates;
use support::{Edge, Shop, opaque_shop_table, said_with, stateless_bagisto};

const LOGOUT: &str = "/bye";
const LISTEN: &str = "listen = [\"127.0.0.1:0\", \"https://127.0.0.1:0\"]\n";

/// What every shop of this file says; `more` are keys of its logout, and then other tables.
fn table(shop: &Shop, name: &str, more: &str) -> String {
    format!(
        r#"{}
[[shop.credential]]
cookie = "{name}"

[[shop.logout]]
methods = ["POST", "GET"]
paths   = ["{LOGOUT}"]
agreed  = {{ status = ["2xx", "3xx"] }}
{more}
"#,
        opaque_shop_table(shop)
    )
}

fn html(status: u16, cookies: &[String], body: &str) -> String {
    let lines = cookies.iter().map(|line| format!("Set-Cookie: {line}\r\n"));
    let lines = lines.collect::<Vec<_>>().concat();
    let page = format!("<!doctype html><title>shop</title><link rel=icon href=data:,>{body}");
    said_with(
        status,
        &format!("Content-Type: text/html\r\n{lines}"),
        &page,
    )
}

/// What a browser asks for by itself.
const ICON: &str = "/favicon.ico";

/// A shop behind an edge with and without TLS, and a browser in front of it.
struct Visit {
    shop: Shop,
    edge: Edge,
    browser: Browser,
    name: String,
    plain: SocketAddr,
    encrypted: SocketAddr,
    files: Certificates,
}

impl Visit {
    #[track_caller]
    fn begin(name: &str, more: &str) -> Self {
        let files = Certificates::default();
        files.issue("shop", &["shop.test", "*.shop.test", "other.test"]);
        let shop = stateless_bagisto();
        let edge = Edge::with(&format!(
            "{LISTEN}{}{}",
            files.table("shop"),
            table(&shop, name, more)
        ));
        let mut addresses = edge.log_lines().into_iter().filter_map(|line| {
            let at = line.split_once("service=proxy address=")?.1;
            at.split_whitespace().next()?.parse().ok()
        });
        let (plain, encrypted) = (addresses.next().unwrap(), addresses.next().unwrap());
        drop(addresses);
        let visit = Self {
            shop,
            edge,
            browser: Browser::with(&["--ignore-certificate-errors"]),
            name: name.to_owned(),
            plain,
            encrypted,
            files,
        };
        for path in ["/", "/account/page", "/account/other"] {
            visit
                .shop
                .recite(path, html(200, &[], "<p id=page>page</p>"));
        }
        visit
    }

    fn https(&self, host: &str, target: &str) -> String {
        format!("https://{host}:{}{target}", self.encrypted.port())
    }

    fn http(&self, host: &str, target: &str) -> String {
        format!("http://{host}:{}{target}", self.plain.port())
    }

    /// The shop sets its cookie to this, with these attributes, and shows a page.
    #[track_caller]
    fn log_in(&self, url: &str, value: &str, attributes: &str) {
        let line = format!("{}={value}; {attributes}", self.name);
        let answer = html(200, &[line], "<p id=page>welcome</p>");
        self.shop.recite("/account/login", answer);
        self.browser.visit_url(url);
        self.browser.sees("document.querySelector('#page')");
    }

    /// What the shop was last sent as cookies.
    fn heard(&self) -> Option<String> {
        let mut seen = self.shop.seen().into_iter();
        let last = seen.rfind(|one| one.target != ICON).unwrap();
        last.header("cookie").map(str::to_owned)
    }

    /// How many requests have reached the shop. A page that is not of these tests names no icon, and the browser
    /// asks for one sooner or later.
    fn visits(&self) -> usize {
        let seen = self.shop.seen().into_iter();
        seen.filter(|one| one.target != ICON).count()
    }

    #[track_caller]
    fn shows(&self, url: &str) -> Option<String> {
        let visits = self.visits();
        self.browser.visit_url(url);
        self.browser.sees("document.querySelector('#page')");
        assert_eq!(self.visits(), visits + 1, "{url}");
        self.heard()
    }

    #[track_caller]
    fn revoke(&self, value: &str) {
        let command = ["revoke", "--shop", "main", "--token", "-"];
        let revoked = self.edge.command_with_input(&command, value.as_bytes());
        assert_eq!(revoked.code, Some(0), "{}", revoked.stderr);
    }
}

/// However the shop sets it: the browser forgets it, and its customer comes in again.
#[test]
fn a_dead_cookie_is_gone_after_one_page_and_locks_nobody_out_field_f5() {
    for (name, attributes) in [
        ("sid", "Path=/"),
        ("sid", "Path=/account; HttpOnly; SameSite=Strict"),
        ("sid", "HttpOnly"),
        ("sid", "Path=/; Domain=shop.test"),
        ("__Host-sid", "Path=/; Secure; HttpOnly"),
        ("__Secure-sid", "Path=/account; Secure; Domain=shop.test"),
        ("sid", "Path=/; Secure; SameSite=None"),
        ("sid", "Path=/; Secure; SameSite=None; Partitioned"),
        ("__Host-sid", "Path=/; Secure; SameSite=None; Partitioned"),
    ] {
        let told = format!("{name}; {attributes}");
        let visit = Visit::begin(name, "");
        let (login, page) = (
            visit.https("shop.test", "/account/login"),
            visit.https("shop.test", "/account/page"),
        );
        visit.log_in(&login, "v4lue-of-the-first-login", attributes);
        let first = format!("{name}=v4lue-of-the-first-login");
        assert_eq!(visit.shows(&page), Some(first), "{told}");
        visit.revoke("v4lue-of-the-first-login");
        assert_eq!(visit.shows(&page), None, "{told}: the shop sees a guest");
        assert_eq!(
            visit.browser.cookie(name),
            None,
            "{told}: the browser forgot it"
        );
        visit.log_in(&login, "v4lue-of-the-next-login", attributes);
        let next = format!("{name}=v4lue-of-the-next-login");
        assert_eq!(visit.shows(&page), Some(next), "{told}");
    }
}

/// The login page is the first one that a browser opens which was away for long.
#[test]
fn a_login_in_the_same_answer_outlives_the_dead_cookie_field_f5() {
    let visit = Visit::begin("sid", "");
    let login = visit.https("shop.test", "/account/login");
    visit.log_in(&login, "v4lue-of-the-first-login", "Path=/");
    visit.revoke("v4lue-of-the-first-login");
    visit.log_in(&login, "v4lue-of-the-next-login", "Path=/");
    let held = visit.browser.cookie("sid");
    assert_eq!(held.as_deref(), Some("v4lue-of-the-next-login"));
    let sent = visit.shows(&visit.https("shop.test", "/"));
    assert_eq!(sent.as_deref(), Some("sid=v4lue-of-the-next-login"));
}

/// A long session is kept in numbered parts.
#[test]
fn the_parts_of_a_long_cookie_go_with_the_logout_field_f5() {
    let visit = Visit::begin("sid", "clear_cookies = [{ name = \"sid\" }]");
    let login = visit.https("shop.test", "/account/login");
    let lines = [
        "sid=v4lue-of-the-first-login",
        "sid.0=a",
        "sid.1=b",
        "sid_2=c",
        "theme=dark",
    ];
    let lines: Vec<_> = lines
        .iter()
        .map(|line| format!("{line}; Path=/; Secure"))
        .collect();
    let form = format!(
        "<p id=page></p><form action={LOGOUT} method=post><button id=out>out</button></form>"
    );
    visit
        .shop
        .recite("/account/login", html(200, &lines, &form));
    visit
        .shop
        .recite(LOGOUT, html(200, &[], "<p id=gone>gone</p>"));
    visit.browser.visit_url(&login);
    visit.browser.click("#out");
    visit.browser.sees("document.querySelector('#gone')");
    for part in ["sid", "sid.0", "sid.1", "sid_2"] {
        assert_eq!(visit.browser.cookie(part), None, "{part}");
    }
    assert_eq!(visit.browser.cookie("theme").as_deref(), Some("dark"));
}

/// With TLS the browser says where a request comes from, and without it the page's origin or address tells.
#[test]
fn no_link_and_no_form_of_another_site_logs_the_customer_out_field_f4() {
    for is_encrypted in [true, false] {
        let visit = Visit::begin("sid", "");
        let at = |host: &str, target: &str| {
            if is_encrypted {
                visit.https(host, target)
            } else {
                visit.http(host, target)
            }
        };
        let attributes = if is_encrypted {
            "Path=/; Secure; SameSite=None"
        } else {
            "Path=/" // a browser sends it with a form of another site for two minutes
        };
        visit.log_in(
            &at("shop.test", "/account/login"),
            "v4lue-of-the-login",
            attributes,
        );
        visit
            .shop
            .recite(LOGOUT, html(403, &[], "<p id=refused>refused</p>"));
        let out = at("shop.test", LOGOUT);
        for (kind, page) in [
            ("link", format!("<a id=go href='{out}'>go</a>")),
            (
                "hidden link",
                format!("<a id=go rel=noreferrer href='{out}'>go</a>"),
            ),
            (
                "form",
                format!("<form action='{out}' method=post><button id=go>go</button></form>"),
            ),
            (
                "text form",
                format!(
                    "<form action='{out}' method=post enctype=text/plain><button id=go>go</button></form>"
                ),
            ),
        ] {
            visit.shop.recite("/trap", html(200, &[], &page));
            visit.browser.visit_url(&at("other.test", "/trap"));
            let visits = visit.visits();
            visit.browser.click("#go");
            visit.browser.sees("document.querySelector('#refused')");
            assert_eq!(visit.visits(), visits + 1, "{kind}: the shop has the word");
            assert_eq!(
                visit.heard().as_deref(),
                Some("sid=v4lue-of-the-login"),
                "{kind}"
            );
            let sent = visit.shows(&at("shop.test", "/account/page"));
            assert_eq!(
                sent.as_deref(),
                Some("sid=v4lue-of-the-login"),
                "{kind} {is_encrypted}"
            );
        }
        let form = format!("<form action={LOGOUT} method=post><button id=go>go</button></form>");
        visit.shop.recite("/account/own", html(200, &[], &form));
        visit.browser.visit_url(&at("shop.test", "/account/own"));
        visit.browser.click("#go");
        let told = "document.body.textContent.includes('Successfully logged out')";
        visit.browser.sees(told);
        let sent = visit.shows(&at("shop.test", "/account/page"));
        assert_eq!(sent, None, "its own page logs out at once");
        assert_eq!(
            visit.browser.cookie("sid"),
            None,
            "and the browser forgot it"
        );
    }
}

/// The front end is on one host and the shop on another.
#[test]
fn a_named_origin_may_call_our_own_logout_and_no_other_field_f8() {
    // The port of an edge is not known before it runs: its configuration comes again.
    let visit = Visit::begin("sid", "");
    let www = visit.https("www.shop.test", "");
    let text = table(
        &visit.shop,
        "sid",
        &format!("[shop.own_logout]\norigins = [\"{www}\"]"),
    );
    let text = format!("{LISTEN}{}{text}", visit.files.table("shop"));
    visit.edge.configure(&text);
    visit.edge.signal("HUP");
    assert!(visit.edge.says("reloaded"));
    let call = format!(
        "const answer = await fetch('{}', {{method: 'POST', credentials: 'include', \
         headers: {{'Content-Type': 'application/json'}}, body: '{{}}'}}); return answer.status;",
        visit.https("shop.test", "/_doorward/logout")
    );
    for (number, (host, status)) in [("www.shop.test", 200), ("evil.shop.test", 403)]
        .into_iter()
        .enumerate()
    {
        let value = format!("v4lue-of-login-{number}");
        let login = visit.https("shop.test", "/account/login");
        visit.log_in(&login, &value, "Path=/; Secure; SameSite=None");
        visit.browser.visit_url(&visit.https(host, "/"));
        assert_eq!(visit.browser.run(&call), json!(status), "{host}");
        let sent = visit.shows(&visit.https("shop.test", "/account/page"));
        let is_alive = sent == Some(format!("sid={value}"));
        assert_eq!(is_alive, status == 403, "{host}: {sent:?}");
        assert_eq!(visit.browser.cookie("sid").is_some(), is_alive, "{host}");
    }
}
