//! The dashboard: what it shows, live and in every state, to whom, and that it shows no credential.
//!
//! The pictures of the states are left in `target/tmp/dashboard/`.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;
#[path = "support/browser.rs"]
mod browser;

use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use browser::Browser;
use serde_json::Value;
use support::{
    Answer, Cluster, Customer, Edge, Nobody, PATIENCE, Scene, Shop, eventually, raw, request,
    shop_table, shop_table_at, stateless_bagisto,
};

const FOLDER: &str = "dashboard";
const PROFILE: &str = "/api/shop/customers/profile";
/// Looks like a logout, and no rule of the preset is about it.
const NEAR_MISS: &str = "/api/v2/session/logout";
/// The script fails if this is ever set.
const HOSTILE: &str = "<script>window.hacked=1</script>";

/// Reads the events of a dashboard.
struct Events(BufReader<TcpStream>);

impl Events {
    #[track_caller]
    fn of(edge: &Edge) -> Self {
        Self::at(edge.operator())
    }

    #[track_caller]
    fn at(operator: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(operator).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        Self(BufReader::new(stream))
    }

    /// The next line; empty: the stream is over.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// The data of the next event of this name.
    #[track_caller]
    fn next(&mut self, name: &str) -> Value {
        let begin = format!("event: {name}\n");
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the stream ended before {name}");
            if line == begin {
                let data = self.line();
                return serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            }
        }
    }

    /// Whether the stream ends.
    fn end(&mut self) -> bool {
        while !self.line().is_empty() {}
        true
    }
}

/// The answer of the operator listener to a GET with these lines.
fn ask(edge: &Edge, target: &str, lines: &[(&str, &str)]) -> Answer {
    raw(edge.operator(), &request("GET", target, lines, b""))
}

/// What a shop's customers do: visits, a logout, a dead token, no token, and a call that looks like a logout.
fn be_busy(scene: &Scene) {
    let customer = Customer::signed_in(&scene.shop);
    for path in ["/", "/cart", PROFILE] {
        assert_eq!(customer.visit(&scene.edge, path), 200);
    }
    customer.send(&scene.edge, "POST", NEAR_MISS, b"{}");
    assert_eq!(customer.log_out(&scene.edge), 200);
    assert_eq!(customer.visit(&scene.edge, PROFILE), 401);
    let forged = Customer::holding(&scene.shop, "eyJhbGciOiJIUzI1NiJ9.e30.AAAA".to_owned());
    assert_eq!(forged.visit(&scene.edge, "/cart"), 401);
}

#[test]
fn the_page_is_one_document_that_loads_nothing_from_elsewhere() {
    let scene = Scene::with("");
    let page = ask(&scene.edge, "/", &[("Host", "localhost")]);
    assert_eq!(page, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let text = page.text();
    for (begin, _) in text.match_indices("http") {
        let found = &text[begin..(begin + 40).min(text.len())];
        let is_name = found.starts_with("http://www.w3.org/2000/svg") || !found.contains("://");
        assert!(is_name, "{found}");
    }
    for word in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        " onclick=",
    ] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn no_page_of_another_site_reads_it() {
    let scene = Scene::with("");
    for target in ["/", "/events", "/explain?request=1"] {
        let rebound = ask(&scene.edge, target, &[("Host", "evil.example")]);
        assert_eq!(rebound, 421, "{target}");
    }
    for target in ["/events", "/explain?request=1"] {
        for site in ["cross-site", "same-site"] {
            let foreign = [("Host", "localhost"), ("Sec-Fetch-Site", site)];
            assert_eq!(ask(&scene.edge, target, &foreign), 403, "{target}");
        }
    }
    let own = [("Host", "localhost"), ("Sec-Fetch-Site", "same-origin")];
    let answer = ask(&scene.edge, "/explain?request=1", &own);
    assert_eq!(answer, 404);
    assert_eq!(
        answer.header("cross-origin-resource-policy"),
        Some("same-origin")
    );
    assert!(answer.header("access-control-allow-origin").is_none());
    let posted = raw(
        scene.edge.operator(),
        &request("POST", "/explain?request=1", &own, b""),
    );
    assert_eq!(posted, 405);
}

#[test]
fn the_health_listener_has_no_dashboard() {
    let table = shop_table(&stateless_bagisto());
    let edge = Edge::with(&format!("health = \"127.0.0.1:0\"\n{table}"));
    for target in ["/", "/events", "/explain?request=1"] {
        let asked = request("GET", target, &[("Host", "localhost")], b"");
        assert_eq!(raw(edge.address_of("health"), &asked), 404, "{target}");
    }
}

#[test]
fn the_events_say_what_happens_and_end_with_the_process() {
    let mut scene = Scene::with("");
    let mut events = Events::of(&scene.edge);
    assert!(events.next("history").is_array());
    let first = events.next("snapshot");
    assert_eq!(first["status"]["state"], "serving");
    be_busy(&scene);
    let told = loop {
        let told = events.next("snapshot");
        if told["status"]["totals"]["logouts"]["revoked"] == 1
            && told["decisions"]["others"].as_array().unwrap().len() >= 3
        {
            break told;
        }
    };
    let (before, after) = (&first["point"], &told["point"]);
    for (at, least) in [(1, 7), (2, 2), (3, 1), (4, 2)] {
        let grown = after[at].as_u64().unwrap() - before[at].as_u64().unwrap();
        assert!(grown >= least, "{at}: {before} {after}");
    }
    let status = &told["status"];
    assert_eq!(status["revocations"]["live"], 2); // the token, and its customer
    assert_eq!(status["near_misses"][0]["path"], NEAR_MISS);
    assert_eq!(status["upstreams"][0]["servers"][0]["state"], "healthy");
    assert_eq!(status["shops"][0]["keys"][0]["keys"][0]["verified"], 1);
    assert_eq!(status["certificates"].as_array().unwrap().len(), 0);
    let others = told["decisions"]["others"].as_array().unwrap();
    let revoked = others
        .iter()
        .find(|one| one["reason"] == "revoked")
        .unwrap();
    assert!(revoked["token"].is_string(), "{revoked}");
    let id = revoked["request"].as_str().unwrap();
    let own = [("Host", "localhost")];
    let explained = ask(&scene.edge, &format!("/explain?request={id}"), &own).json();
    let explained = &explained["decisions"][0];
    assert_eq!(
        explained["revoked"]["rule"],
        "POST /api/shop/customers/logout"
    );
    assert_eq!(explained["place"], "header authorization Bearer");
    scene.edge.signal("TERM");
    assert!(events.end());
    assert_eq!(scene.edge.ends(), Some(0));
}

#[test]
fn a_page_that_is_opened_later_sees_what_was_before_and_few_may_be_open() {
    let scene = Scene::with("");
    be_busy(&scene);
    let mut readers: Vec<_> = (0..16).map(|_| Events::of(&scene.edge)).collect();
    for reader in &mut readers {
        reader.next("snapshot");
    }
    let own = [("Host", "localhost")];
    assert_eq!(ask(&scene.edge, "/events", &own), 503);
    assert_eq!(ask(&scene.edge, "/readyz", &own), 200);
    readers.pop();
    eventually(|| {
        let mut one = Events::of(&scene.edge);
        if !one.line().starts_with("HTTP/1.1 200") {
            return false;
        }
        let history = one.next("history");
        history.as_array().unwrap().len() > 1
    });
}

#[test]
fn no_credential_is_in_an_event_or_an_explanation() {
    let scene = Scene::with(
        "[[shop.credential]]\nquery = \"access_token\"\n[[shop.credential]]\ncookie = \"jwt\"\n",
    );
    let customer = Customer::signed_in(&scene.shop);
    let token = customer.token().to_owned();
    let bearer = format!("Bearer {token}");
    let cookie = format!("jwt={token}; other=cookie-of-alice-f00dfeed");
    let mut ids = Vec::new();
    for round in 0..2 {
        for (target, name, value) in [
            (
                "/cart?color=blue".to_owned(),
                "Authorization",
                bearer.as_str(),
            ),
            (format!("/cart?access_token={token}"), "Accept", "*/*"),
            (format!("/oauth/{token}/logout"), "Accept", "*/*"),
            ("/cart".to_owned(), "Cookie", cookie.as_str()),
        ] {
            let lines = [("Host", "shop.example.com"), (name, value)];
            let answer = scene.edge.raw(&request("GET", &target, &lines, b""));
            ids.push(answer.header("x-request-id").unwrap().to_owned());
        }
        if round == 0 {
            assert_eq!(customer.log_out(&scene.edge), 200);
        }
    }
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let payload = signed.split_once('.').unwrap().1;
    let mut shown = String::new();
    let mut events = Events::of(&scene.edge);
    eventually(|| {
        shown = events.next("snapshot").to_string();
        ids.iter().all(|id| shown.contains(id.as_str()))
    });
    for id in &ids {
        let explained = ask(
            &scene.edge,
            &format!("/explain?request={id}"),
            &[("Host", "localhost")],
        );
        assert_eq!(explained, 200);
        shown += &explained.text();
    }
    // What is looked for would be found if it were there: ids, paths and reasons are.
    for found in [
        ids[0].as_str(),
        "/cart",
        "revoked",
        "header authorization Bearer",
    ] {
        assert!(shown.contains(found), "{found}: {shown}");
    }
    for secret in [
        &token,
        signature,
        payload,
        "cookie-of-alice",
        "color=blue",
        Shop::SECRET,
    ] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

/// A dashboard in a browser.
struct Screen {
    browser: Browser,
}

impl Screen {
    #[track_caller]
    fn on(edge: &Edge) -> Self {
        Self::at(edge.operator())
    }

    #[track_caller]
    fn at(operator: SocketAddr) -> Self {
        let browser = Browser::open();
        browser.visit(operator, "/");
        let screen = Self { browser };
        screen.sees("document.querySelector('#contact').dataset.is === 'live'");
        screen
    }

    #[track_caller]
    fn sees(&self, condition: &str) {
        self.browser.sees(condition);
    }

    #[track_caller]
    fn is_in(&self, state: &str) {
        self.sees(&format!(
            "document.querySelector('#hero').dataset.state === '{state}'"
        ));
    }

    /// Pictures of this state: light, dark, and on a phone.
    #[track_caller]
    fn pictures(&self, state: &str) {
        for (look, width, is_dark) in [
            ("light", 1280, false),
            ("dark", 1280, true),
            ("phone", 360, false),
            ("phone-dark", 360, true),
        ] {
            self.browser.looks(width, is_dark);
            self.browser.picture_in(FOLDER, &format!("{state}-{look}"));
            self.is_readable(width, &format!("{state}, {look}"));
        }
        assert_eq!(self.browser.console(), Vec::<String>::new());
    }

    /// Nothing sticks out, every picture has words, and every text has a contrast of 4.5 to 1.
    #[track_caller]
    fn is_readable(&self, width: u32, what: &str) {
        let wide = self
            .browser
            .run("return document.documentElement.scrollWidth;");
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{what}: {wide}");
        let wordless = "return [...document.querySelectorAll('svg')].filter(
            (one) => one.getAttribute('aria-hidden') !== 'true' && !one.getAttribute('aria-label')).length;";
        assert_eq!(self.browser.run(wordless), 0, "{what}");
        let faint = self.browser.run(CONTRAST);
        assert_eq!(faint, serde_json::json!([]), "{what}");
    }
}

/// The texts with too little contrast to what is behind them. A page that is stale is greyed on purpose.
const CONTRAST: &str = r"
const parse = (text) => (text.match(/[\d.]+/g) || []).map(Number);
const light = (rgb) => rgb.slice(0, 3).map((one) => one / 255)
  .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
  .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
const behind = (node) => {
  for (let one = node; one; one = one.parentElement) {
    const color = parse(getComputedStyle(one).backgroundColor);
    if (color.length === 3 || color[3] === 1) return color;
  }
  return [255, 255, 255];
};
const faint = [];
for (const node of document.querySelectorAll('body *')) {
  const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim() !== '');
  if (!own || node.closest('svg, script, style, noscript, dialog:not([open])') || node.getClientRects().length === 0) continue;
  const [one, other] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
  const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (ratio < 4.5) faint.push([node.textContent.slice(0, 40), Number(ratio.toFixed(2))]);
}
return faint;
";

#[test]
fn an_empty_process_says_that_it_waits_for_the_first_request() {
    let scene = Scene::with("");
    let screen = Screen::on(&scene.edge);
    screen.is_in("serving");
    screen.sees("document.body.textContent.includes('No request was judged yet')");
    screen.pictures("empty");
}

#[test]
fn a_busy_process_shows_its_traffic_and_explains_each_decision() {
    let shop = stateless_bagisto();
    let nobody = Nobody::at_home();
    let table = shop_table_at(&shop, &[shop.address(), nobody.address()]);
    let health = "[shop.health]\ncheck = \"tcp\"\ninterval = \"100ms\"\nunhealthy_after = 1\n";
    let scene = Scene::configured(shop, &format!("{table}{health}"));
    eventually(|| {
        let verbose = scene.edge.ask_operator("/readyz?verbose");
        verbose.text().contains("unhealthy")
    });
    let screen = Screen::on(&scene.edge);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                be_busy(&scene);
            }
        });
        for bars in [1, 3] {
            screen.sees(&format!(
                "document.querySelectorAll('.lane[data-of=logouts] rect').length >= {bars}"
            ));
        }
        screen.sees("document.querySelector('#decisions .badge').textContent !== ''");
        screen.sees(
            "/is unhealthy.*looked like a logout/.test(document.querySelector('#attention-list').textContent)",
        );
        screen.pictures("busy");
        is_over.store(true, Ordering::Release);
    });
    screen.browser.looks(1280, false);
    screen.browser.click("#decisions button");
    screen.sees(
        "document.querySelector('#panel').open && document.querySelectorAll('.told dt').length > 5",
    );
    screen.sees("document.querySelector('#panel .advice')");
    screen.browser.picture_in(FOLDER, "explained-light");
    screen.is_readable(1280, "explained");
    screen.browser.click("#panel-close");
    screen.browser.run(
        "[...document.querySelectorAll('#decisions tr')].find((row) => row.textContent.includes('revoked'))
           .querySelector('button').click();",
    );
    screen.sees("document.querySelector('#panel-title').textContent === 'Why: revoked'");
    screen.sees("document.querySelector('#panel .advice button')");
    screen.browser.click("#panel .advice button");
    screen.sees("document.querySelector('#panel-title').textContent === 'Why: logout'");
    screen.browser.click("#panel-close");
    screen.browser.click("#show-forwarded");
    screen.sees("[...document.querySelectorAll('#decisions .badge')].every((one) => one.textContent === 'forwarded')");
    assert_eq!(screen.browser.console(), Vec::<String>::new());
}

#[test]
fn a_shop_without_keys_makes_the_process_degraded() {
    let shop = stateless_bagisto();
    let table = shop_table(&shop).replace(
        "token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{secret_file}\"\n",
        "token.algorithms = [\"RS256\"]\ntoken.jwks_url = \"http://127.0.0.1:9/keys?of=me\"\n",
    );
    let edge = Edge::with(&table);
    let screen = Screen::on(&edge);
    screen.is_in("degraded");
    screen.sees("document.querySelector('#sentence').textContent.includes('never fetched')");
    screen.pictures("degraded");
}

#[test]
fn a_stopped_process_leaves_a_stale_page_that_comes_back() {
    let scene = Scene::with("");
    be_busy(&scene);
    let screen = Screen::on(&scene.edge);
    screen.is_in("serving");
    scene.edge.signal("STOP");
    screen.is_in("lost");
    screen.sees("document.querySelector('#contact-words').textContent === 'stale'");
    screen.pictures("stale");
    scene.edge.signal("CONT");
    screen.is_in("serving");
    screen.sees("document.querySelector('#contact').dataset.is === 'live'");
}

#[test]
fn a_restarted_process_is_followed() {
    let mut scene = Scene::with("");
    let operator = scene.edge.operator();
    scene.edge.configure(&format!(
        "operator_listen = \"{operator}\"\n{}",
        shop_table(&scene.shop)
    ));
    let screen = Screen::at(operator);
    scene.edge.restart();
    let pid = scene.edge.pid();
    screen.sees(&format!(
        "document.querySelector('#hero').dataset.pid === '{pid}'"
    ));
    screen.is_in("serving");
    screen.sees("document.querySelector('#contact').dataset.is === 'live'");
}

#[test]
fn what_is_only_observed_is_said_so() {
    let scene = Scene::with("observe = true\n");
    let dead = Customer::signed_in(&scene.shop);
    assert_eq!(dead.log_out(&scene.edge), 200);
    for _ in 0..3 {
        assert_eq!(dead.visit(&scene.edge, PROFILE), 200);
    }
    let screen = Screen::on(&scene.edge);
    screen.is_in("observing");
    screen.sees("document.querySelector('#reasons').textContent.includes('Would be refused')");
    screen
        .sees("document.querySelector('#decisions').textContent.includes('would refuse: revoked')");
    screen.pictures("observing");
}

#[test]
fn what_others_wrote_is_text_and_never_markup() {
    let shop = stateless_bagisto();
    let table = shop_table(&shop).replace("name = \"main\"", &format!("name = \"{HOSTILE}\""));
    let scene = Scene::configured(shop, &table);
    be_busy(&scene);
    let screen = Screen::on(&scene.edge);
    screen.sees(&format!(
        "document.querySelector('#decisions').textContent.includes('{HOSTILE}')"
    ));
    screen.sees(&format!(
        "document.querySelector('#keys').textContent.includes('{HOSTILE}')"
    ));
    screen.browser.click("#decisions button");
    screen.sees(
        "document.querySelector('#panel').open && document.querySelectorAll('.told dt').length > 5",
    );
    let hacked = screen
        .browser
        .run("return [window.hacked === undefined, document.querySelectorAll('script').length];");
    assert_eq!(hacked, serde_json::json!([true, 1]));
    assert_eq!(screen.browser.console(), Vec::<String>::new());
}

#[test]
fn nodes_of_a_cluster_are_drawn_with_their_lag() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).start();
    let screen = Screen::at(cluster["a"].operator());
    screen.sees("document.querySelectorAll('.cluster-picture circle').length === 4");
    let alice = Customer::signed_in(&cluster.shop);
    assert_eq!(alice.log_out(&cluster["b"]), 200);
    screen.sees("document.querySelector('[data-time=propagation] rect')");
    cluster.kill("c");
    screen.sees("document.querySelectorAll('.cluster-picture circle').length === 3");
    screen.sees("document.querySelector('#attention-list').textContent.includes('node c')");
    screen.pictures("cluster");
}
