//! Ecwid's sign-out in a real browser: who signs out of the store is signed out of the site, and the site's old token
//! is dead.
//!
//! The pages are served through the binary, under `script-src 'self'`. Ecwid is the stand-in of the pretend shop.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;
#[path = "support/browser.rs"]
mod browser;

use std::fs;

use browser::Browser;
use serde_json::{Value, json};
use support::{Edge, Failure, Mood, Shop, Storefront, eventually, request, shop_table};

const POLICY: &str = "default-src 'self'; script-src 'self'";
const BRIDGE: &str = r#"<script src="/_doorward/ecwid.js"></script>"#;
const ECWID: &str = r#"<script src="/ecwid/script.js"></script>"#;
const SIGN_OUT: &str = "Ecwid.Customer.signOut";
/// Wrapped, so that both spellings are the same function.
const BRIDGED: &str = "window.Ecwid && Ecwid.Customer && Ecwid.Customer.signOut && Ecwid.Customer.signOut === Ecwid.Customer.signout";

/// Counts the requests for a logout.
const COUNT: &str = "window.asked = 0;
const send = window.fetch;
window.fetch = (to, ...more) => {
  window.asked += /logout$/.test(to) ? 1 : 0;
  return send(to, ...more);
};";

/// The script with these attributes.
fn bridge(attributes: &str) -> String {
    format!("<script src=\"/_doorward/ecwid.js\" {attributes}></script>")
}

/// Ecwid's script in this mood.
fn ecwid(query: &str) -> String {
    format!("<script src=\"/ecwid/script.js?{query}\"></script>")
}

/// A script as a shop answers it.
fn script(text: &str) -> String {
    let length = text.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nContent-Length: {length}\r\n\r\n{text}"
    )
}

/// What a callback is given when all went well.
fn worked() -> Value {
    json!([[true, null]])
}

/// What it is given when something failed.
fn failed(message: &str) -> Value {
    json!([[false, message]])
}

/// A site with an Ecwid store behind an edge, and a browser in front of it.
struct Visit {
    shop: Shop,
    edge: Edge,
    browser: Browser,
}

impl Visit {
    #[track_caller]
    fn begin() -> Self {
        Self::under("")
    }

    /// With these keys of the process.
    #[track_caller]
    fn under(keys: &str) -> Self {
        let shop = Shop::open(Storefront::Ecwid, Mood::Stateless).unwrap();
        let cookie = format!("[[shop.credential]]\ncookie = \"{}\"\n", Shop::SITE_COOKIE);
        let edge = Edge::with(&format!("{keys}{}{cookie}", shop_table(&shop)));
        shop.recite("/count.js", script(COUNT));
        shop.recite("/fixed.js", script("var Ecwid;"));
        Self {
            shop,
            edge,
            browser: Browser::open(),
        }
    }

    /// The shop has a page with these scripts in its head.
    fn page(&self, path: &str, head: &str) {
        let page = format!(
            "<!doctype html><title>{path}</title><script src=\"/count.js\"></script>{head}<body>\
             <button id=\"ecwid-sign-out\">Sign out</button><ol id=\"story\"></ol>\
             <script src=\"/page.js\"></script>"
        );
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Security-Policy: {POLICY}\r\n\
             Content-Length: {}\r\n\r\n{page}",
            page.len()
        );
        self.shop.recite(path, answer);
    }

    #[track_caller]
    fn open(&self, path: &str) {
        self.browser.visit(self.edge.address(), path);
    }

    /// Somebody logs in at the site and at Ecwid; the token that the browser was given.
    #[track_caller]
    fn log_in(&self) -> String {
        self.browser.run(
            "localStorage.setItem('pretend-ecwid', 'alice@example.com');
             const body = JSON.stringify({email: 'alice@example.com', password: 'secret'});
             await fetch('/login', {method: 'POST', body});",
        );
        self.browser.cookie(Shop::SITE_COOKIE).unwrap()
    }

    /// As `log_in`, and then opens this page.
    #[track_caller]
    fn log_in_and_open(&self, path: &str) -> String {
        self.open("/account"); // a page without any script
        let token = self.log_in();
        self.open(path);
        token
    }

    /// As `log_in_and_open`, with a page that has these scripts in its head.
    #[track_caller]
    fn log_in_to(&self, head: &str) -> String {
        self.page("/store", head);
        self.log_in_and_open("/store")
    }

    /// So many Ecwids have come to life on this page, one after the other.
    #[track_caller]
    fn awaits_ecwids(&self, number: usize) {
        self.browser
            .sees(&format!("window.pretendEcwids === {number}"));
    }

    /// Calls this with a callback; what the callback was given, each time it was called.
    #[track_caller]
    fn sign_out(&self, call: &str) -> Value {
        self.browser.sees(BRIDGED);
        let call = format!("{call}((...said) => window.heard.push(said));");
        assert_eq!(self.browser.run(&call), json!(null));
        self.browser.sees("window.heard.length > 0");
        self.settle();
        self.browser.run("return window.heard;")
    }

    /// All that the page had begun is done: two frames were drawn, and a request was answered.
    #[track_caller]
    fn settle(&self) {
        self.browser.run(
            "await new Promise(requestAnimationFrame); await fetch('/favicon.ico'); \
             await new Promise(requestAnimationFrame);",
        );
    }

    /// How often the page has asked for a logout.
    #[track_caller]
    fn logouts(&self) -> Value {
        self.browser.run("return window.asked;")
    }

    fn ask_account(&self, header: &str, value: &str) -> u16 {
        let asked = request("GET", "/account", &[(header, value)], b"");
        self.edge.raw(&asked).status
    }

    fn account(&self, token: &str) -> u16 {
        self.ask_account("Cookie", &format!("{}={token}", Shop::SITE_COOKIE))
    }

    /// The old token is dead: in the cookie the shop does not get it, and as a bearer it is refused.
    #[track_caller]
    fn is_dead(&self, token: &str) {
        assert_eq!(self.account(token), 401, "the shop's word to a guest");
        let seen = self.shop.seen().pop().unwrap();
        assert_eq!(seen.header("cookie"), None, "it reached the shop");
        let visits = self.shop.visits();
        assert_eq!(
            self.ask_account("Authorization", &format!("Bearer {token}")),
            401
        );
        assert_eq!(self.shop.visits(), visits, "it reached the shop");
    }

    /// Nothing on the page was forbidden by its policy.
    #[track_caller]
    fn is_clean(&self) {
        assert_eq!(self.browser.run("return window.blocked;"), json!([]));
        let console = self.browser.console();
        let is_forbidden = |line: &String| line.contains("Content Security Policy");
        assert!(!console.iter().any(is_forbidden), "{console:?}");
    }

    #[track_caller]
    fn is_signed_in_at_ecwid(&self) -> bool {
        self.browser
            .run("return localStorage.getItem('pretend-ecwid');")
            != json!(null)
    }
}

#[test]
fn a_sign_out_ends_both_sessions_however_ecwid_loads() {
    let visit = Visit::begin();
    let fixed = "<script src=\"/fixed.js\"></script>";
    let fix =
        "HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nContent-Length: 10\r\n\r\nvar Ecwid;";
    visit.shop.recite("/fixed.js", fix);
    let patient = bridge("data-timeout=\"60000\""); // so that it is not the stand-in that is found
    for (what, head, call) in [
        ("early", format!("{BRIDGE}{ECWID}"), SIGN_OUT),
        (
            "spelling",
            format!("{BRIDGE}{ECWID}"),
            "Ecwid.Customer.signout",
        ),
        ("late", format!("{BRIDGE}{}", ecwid("load=late")), SIGN_OUT),
        (
            "twice by itself",
            format!("{BRIDGE}{}", ecwid("load=twice")),
            SIGN_OUT,
        ),
        (
            "twice by the page",
            format!("{BRIDGE}{ECWID}{ECWID}"),
            SIGN_OUT,
        ),
        (
            "redefined",
            format!("{patient}{}", ecwid("load=redefined")),
            SIGN_OUT,
        ),
        (
            "fixed",
            format!("{fixed}{patient}{}", ecwid("load=late")),
            SIGN_OUT,
        ),
        ("before", format!("{ECWID}{BRIDGE}"), SIGN_OUT),
        ("two of ours", format!("{BRIDGE}{BRIDGE}{ECWID}"), SIGN_OUT),
    ] {
        let token = visit.log_in_to(&head);
        assert_eq!(visit.account(&token), 200, "{what}");
        visit.awaits_ecwids(if what.contains("twice") { 2 } else { 1 });
        assert_eq!(visit.sign_out(call), worked(), "{what}");
        visit.is_dead(&token);
        assert_eq!(visit.browser.cookie(Shop::SITE_COOKIE), None, "{what}");
        assert!(!visit.is_signed_in_at_ecwid(), "{what}");
        assert_eq!(visit.logouts(), json!(1), "{what}");
        visit.is_clean();
    }
}

#[test]
fn no_page_can_be_faster_than_the_script() {
    let visit = Visit::begin();
    let probe = "window.wrapped = () => Ecwid.Customer.signOut === Ecwid.Customer.signout;";
    let at_once = format!("{probe} window.early = wrapped();");
    let when_loaded =
        format!("{probe} Ecwid.OnAPILoaded.add(() => {{ window.early = wrapped(); }});");
    for (load, code) in [("at-once", at_once), ("early", when_loaded)] {
        visit.shop.recite("/probe.js", script(&code));
        let scripts = ecwid(&format!("load={load}"));
        visit.log_in_to(&format!(
            "{BRIDGE}{scripts}<script src=\"/probe.js\"></script>"
        ));
        visit.browser.sees("'early' in window");
        assert_eq!(
            visit.browser.run("return window.early;"),
            json!(true),
            "{load}"
        );
    }
}

#[test]
fn a_person_can_click_through_it() {
    let visit = Visit::begin();
    visit.open("/?load=late");
    let says = |text: &str| {
        let story = "document.getElementById('story').textContent";
        visit.browser.sees(&format!("{story}.includes('{text}')"));
    };
    visit.browser.click("#log-in");
    says("Logged in at the site and at Ecwid: 200.");
    let token = visit.browser.cookie(Shop::SITE_COOKIE).unwrap();
    visit.browser.click("#account");
    says("with what the browser holds: 200.");
    visit.browser.sees(BRIDGED);
    visit.browser.click("#sign-out");
    says("signOut calls back: true, null.");
    visit.browser.click("#account");
    says("with what the browser holds: 401, Unauthenticated.");
    visit.browser.click("#old-token");
    says("with the old token: 401, The token was revoked.");
    visit.is_dead(&token);
    visit.is_clean();
    let picture = fs::read(visit.browser.picture("ecwid")).unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n"));
    assert!(picture.len() > 5000, "{} bytes", picture.len());
}

#[test]
fn the_callback_hears_of_the_first_failure_once() {
    let visit = Visit::begin();
    let broken =
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 28\r\n\r\n{\"message\":\"Not from there\"}";
    visit.shop.recite("/broken", broken);
    for (mood, said) in [
        ("sign-out=fails", failed("Ecwid is out of order")),
        ("sign-out=throws", failed("Ecwid broke down")),
        ("sign-out=silent", failed("Ecwid did not answer in time")),
        ("sign-out=twice", worked()),
    ] {
        let token = visit.log_in_to(&format!(
            "{}{}",
            bridge("data-timeout=\"1500\""),
            ecwid(mood)
        ));
        assert_eq!(visit.sign_out(SIGN_OUT), said, "{mood}");
        visit.is_dead(&token);
        visit.is_clean();
    }
    let token = visit.log_in_to(&format!("{}{ECWID}", bridge("data-logout=\"/broken\"")));
    assert_eq!(visit.sign_out(SIGN_OUT), failed("Not from there"));
    assert!(!visit.is_signed_in_at_ecwid());
    assert_eq!(visit.account(&token), 200, "that was no logout");
}

#[test]
fn a_logout_that_is_not_on_disk_is_no_success() {
    let visit = Visit::begin();
    let token = visit.log_in_to(&format!("{BRIDGE}{ECWID}"));
    visit.edge.limit("--fsize=0");
    let said = visit.sign_out(SIGN_OUT);
    assert_eq!(said[0][0], json!(false), "{said}");
    assert!(
        said[0][1].as_str().is_some_and(|text| !text.is_empty()),
        "{said}"
    );
    assert_eq!(said[1], json!(null), "{said}");
    assert!(!visit.is_signed_in_at_ecwid());
    visit.is_dead(&token);
}

#[test]
fn a_site_that_is_silent_is_waited_for_no_longer_than_asked() {
    let visit = Visit::begin();
    let scripts = bridge("data-logout=\"/slow\" data-timeout=\"500\"");
    visit.log_in_to(&format!("{scripts}{ECWID}"));
    visit.browser.sees(BRIDGED);
    visit.shop.fail(Failure::Silent);
    visit.browser.run(&format!(
        "{SIGN_OUT}((...said) => window.heard.push(said));"
    ));
    visit.browser.sees("window.heard.length > 0");
    let heard = visit.browser.run("return window.heard;");
    assert_eq!(heard, failed("the site did not answer in time"));
}

#[test]
fn the_callback_may_be_left_out() {
    let visit = Visit::begin();
    for call in ["Ecwid.Customer.signOut()", "Ecwid.Customer.signout(null)"] {
        let token = visit.log_in_to(&format!("{BRIDGE}{ECWID}"));
        visit.browser.sees(BRIDGED);
        assert_eq!(
            visit.browser.run(&format!("return typeof {call};")),
            json!("undefined")
        );
        eventually(|| visit.browser.cookie(Shop::SITE_COOKIE).is_none());
        visit.is_dead(&token);
    }
}

#[test]
fn ecwids_own_button_ends_the_sites_session_once() {
    let visit = Visit::begin();
    for scripts in [
        format!("{BRIDGE}{ECWID}"),
        format!("{ECWID}{BRIDGE}"),
        format!("{BRIDGE}{}", ecwid("load=late")),
    ] {
        let token = visit.log_in_to(&scripts);
        visit.browser.sees(BRIDGED);
        visit.browser.click("#ecwid-sign-out");
        eventually(|| visit.browser.cookie(Shop::SITE_COOKIE).is_none());
        visit.is_dead(&token);
        visit.settle();
        assert_eq!(visit.logouts(), json!(1));
        visit.is_clean();
    }
}

#[test]
fn who_was_never_signed_in_at_ecwid_stays_signed_in_at_the_site() {
    let visit = Visit::begin();
    for load in ["early", "late", "twice"] {
        let token = visit.log_in_to(&format!("{BRIDGE}{}", ecwid(&format!("load={load}"))));
        visit.browser.run("localStorage.clear();");
        visit.open("/store");
        visit.awaits_ecwids(if load == "twice" { 2 } else { 1 });
        visit.browser.sees(BRIDGED);
        visit.settle();
        assert_eq!(visit.logouts(), json!(0), "{load}");
        assert_eq!(visit.account(&token), 200, "{load}");
    }
}

#[test]
fn who_comes_back_on_the_same_page_can_leave_again() {
    let visit = Visit::begin();
    let first = visit.log_in_to(&format!("{BRIDGE}{ECWID}"));
    assert_eq!(visit.sign_out(SIGN_OUT), worked());
    let second = visit.log_in();
    visit.browser.run(
        "window.heard.length = 0; Ecwid.OnSetProfile.fire({id: 7, email: 'alice@example.com'});",
    );
    assert_eq!(visit.account(&second), 200);
    visit.browser.click("#ecwid-sign-out");
    eventually(|| visit.browser.cookie(Shop::SITE_COOKIE).is_none());
    let third = visit.log_in();
    assert_eq!(visit.sign_out(SIGN_OUT), worked());
    for token in [first, second, third] {
        visit.is_dead(&token);
    }
    assert_eq!(visit.logouts(), json!(3));
}

#[test]
fn without_ecwid_a_stand_in_ends_the_sites_session() {
    let visit = Visit::begin();
    let scripts = format!("{}{}", bridge("data-timeout=\"1500\""), ecwid("load=never"));
    let token = visit.log_in_to(&scripts);
    visit.browser.sees(BRIDGED);
    let nobody = "return await new Promise((told) => Ecwid.Customer.get(told));";
    assert_eq!(visit.browser.run(nobody), json!(null));
    assert_eq!(visit.sign_out(SIGN_OUT), worked());
    visit.is_dead(&token);

    // The real one comes after all.
    let token = visit.log_in_to(&scripts);
    visit.browser.sees(BRIDGED);
    visit.browser.run(
        "const late = document.createElement('script'); late.src = '/ecwid/script.js'; document.head.append(late);",
    );
    visit.browser.sees("Ecwid.OnAPILoaded");
    assert_eq!(visit.sign_out(SIGN_OUT), worked());
    assert!(!visit.is_signed_in_at_ecwid());
    visit.is_dead(&token);
    visit.is_clean();
}

#[test]
fn a_page_that_keeps_the_token_itself_says_where() {
    let visit = Visit::begin();
    for (source, keep) in [
        ("localStorage:auth", "localStorage.setItem('auth', token)"),
        (
            "localStorage:auth",
            "localStorage.setItem('auth', JSON.stringify(token))",
        ),
        (
            "sessionStorage:auth",
            "sessionStorage.setItem('auth', token)",
        ),
        ("cookie:auth", "document.cookie = 'auth=' + token"),
        (
            "meta:auth",
            "document.querySelector('meta').content = token",
        ),
    ] {
        let token = visit.shop.sign_in("alice");
        let script = bridge(&format!("data-token-source=\"{source}\""));
        visit.page(
            "/store",
            &format!("<meta name=\"auth\" content=\"\">{script}"),
        );
        visit.open("/store");
        visit
            .browser
            .run(&format!("const token = '{token}'; {keep};"));
        assert_eq!(visit.account(&token), 200, "{source}");
        let said = visit
            .browser
            .run("await Doorward.signOut(); return 'done';");
        assert_eq!(said, json!("done"), "{source}");
        visit.is_dead(&token);
        visit.is_clean();
        visit
            .browser
            .run("localStorage.clear(); sessionStorage.clear();");
    }
    visit.page("/store", &bridge("data-token-source=\"elsewhere:auth\""));
    visit.open("/store");
    let said = visit.browser.run("await Doorward.signOut();");
    assert_eq!(
        said,
        json!("failed: data-token-source names no place: elsewhere:auth")
    );
}

#[test]
fn a_page_without_ecwid_signs_out_by_a_promise() {
    let visit = Visit::begin();
    for _ in 0..2 {
        let token = visit.log_in_to(BRIDGE);
        let sign_out = "return [await Doorward.signOut(), await Doorward.signOut()];";
        // The second finds nobody, which is fine.
        assert_eq!(visit.browser.run(sign_out), json!([null, null]));
        visit.is_dead(&token);
        let both = "return await Promise.all([Doorward.signOut(), Doorward.signOut()]);";
        assert_eq!(visit.browser.run(both), json!([null, null]));
        assert_eq!(
            visit.logouts(),
            json!(3),
            "who asks meanwhile shares the answer"
        );
    }
    visit.log_in_to(&bridge("data-logout=\"/nowhere\""));
    let said = visit.browser.run("await Doorward.signOut();");
    assert_eq!(said, json!("failed: Not Found"));
}

#[test]
fn the_script_finds_the_logout_beside_itself() {
    let visit = Visit::under("prefix = \"/gate/keeper\"\n");
    let script = "<script src=\"/gate/keeper/ecwid.js?v=2\"></script>";
    let token = visit.log_in_to(&format!("{script}{ECWID}"));
    assert_eq!(visit.sign_out(SIGN_OUT), worked());
    visit.is_dead(&token);
}
