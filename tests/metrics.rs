//! `/metrics` as Prometheus reads it: its formats, its names, and counters that begin at zero.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;
use support::places::{OWN_LOGOUT, PAGE};
use support::{Answer, Customer, Edge, Scene, eventually, raw, request};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Shops and routes with everything that has metrics of its own.
const RICH: &str = r#"
observe = true
[[shop.route]]
paths = ["/account/*"]
enforce = "valid"
retries = { attempts = 2 }
limit = { rate = "1/m" }
[[shop.token_endpoint]]
paths = ["/login"]
token = { json = ["/token"] }
"#;

fn scrape(edge: &Edge, accept: Option<&str>) -> Answer {
    let mut headers = vec![("Host", "localhost")];
    headers.extend(accept.map(|accept| ("Accept", accept)));
    raw(edge.operator(), &request("GET", "/metrics", &headers, b""))
}

/// What promtool says of a page; nothing, if it has nothing to say.
fn checked(page: &str) -> String {
    let mut promtool = Command::new("promtool");
    let promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut child = promtool
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8(told).unwrap();
    assert_eq!(output.status.success(), told.is_empty(), "{told}");
    told
}

/// The samples of a page, without their values.
fn series(page: &str) -> BTreeSet<String> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let names = samples.map(|line| line.rsplit_once(' ').unwrap().0.to_owned());
    names.collect()
}

#[test]
fn promtool_has_nothing_to_say_of_a_page() {
    let scene = Scene::with(RICH);
    assert_eq!(checked(&scrape(&scene.edge, None).text()), "");
    let alice = Customer::signed_in(&scene.shop);
    assert_eq!(alice.visit(&scene.edge, PAGE), 200);
    assert_eq!(alice.log_out(&scene.edge), 200);
    alice.visit(&scene.edge, PAGE);
    assert_eq!(checked(&scrape(&scene.edge, None).text()), "");
    assert_ne!(checked("a_total{} x\n"), "", "it does check");
}

#[test]
fn a_scraper_gets_the_format_that_it_asks_for() {
    let scene = Scene::with("");
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,\
                      application/openmetrics-text;version=0.0.1;q=0.4,\
                      text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    for (accept, kind) in [
        (None, TEXT),
        (Some("*/*"), TEXT),
        (Some("text/plain;version=0.0.4"), TEXT),
        (Some("application/openmetrics-text"), OPEN_METRICS),
        (Some(prometheus), OPEN_METRICS),
    ] {
        let answer = scrape(&scene.edge, accept);
        assert_eq!(answer, 200);
        assert_eq!(answer.header("content-type"), Some(kind), "{accept:?}");
        let page = answer.text();
        let is_open = kind == OPEN_METRICS;
        assert_eq!(page.ends_with("# EOF\n"), is_open, "{accept:?}");
        let name = if is_open {
            "doorward_decisions"
        } else {
            "doorward_decisions_total"
        };
        assert!(page.contains(&format!("# TYPE {name} counter\n")), "{page}");
    }
    let (text, open) = (
        scrape(&scene.edge, None).text(),
        scrape(&scene.edge, Some(prometheus)).text(),
    );
    assert_eq!(series(&text), series(&open), "both formats show the same");
}

#[test]
fn every_counter_begins_at_zero() {
    let scene = Scene::with(RICH.trim_start_matches("\nobserve = true"));
    let before = series(&scrape(&scene.edge, None).text());
    let alice = Customer::named(&scene.shop, "alice");
    let bearer = format!("Bearer {}", alice.token());
    let expired = scene.shop.sign(&json!({ "sub": 9, "iat": 1, "exp": 2 }));
    assert_eq!(alice.visit(&scene.edge, PAGE), 200);
    assert_eq!(alice.log_out(&scene.edge), 200);
    let ask = |method: &str, target: &str, headers: &[(&str, &str)]| {
        scene
            .edge
            .raw(&request(method, target, headers, b""))
            .status
    };
    let shown = [("Authorization", bearer.as_str())];
    assert_eq!(ask("GET", PAGE, &shown), 401);
    assert_eq!(
        ask("GET", PAGE, &[("Authorization", &format!("{bearer}A"))]),
        401
    );
    assert_eq!(ask("GET", PAGE, &[("Authorization", "Bearer x.y.z")]), 401);
    let late = [("Authorization", &*format!("Bearer {expired}"))];
    assert_eq!(ask("GET", "/account/x", &late), 401);
    assert_eq!(ask("GET", OWN_LOGOUT, &[]), 405);
    assert_eq!(ask("TRACE", PAGE, &[]), 405);
    assert_eq!(ask("GET", PAGE, &[("Host", "a b")]), 400);
    assert_eq!(ask("POST", "/api/shop/customers%2Flogout", &[]), 400);
    ask("GET", "/account/x", &[]);
    assert_eq!(ask("GET", "/account/x", &[]), 429);
    let malformed = b"GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n";
    scene.edge.raw(malformed);
    let counted = "doorward_requests_total{shop=\"main\",code=\"429\"} 1";
    eventually(|| scene.edge.metrics().contains(counted));
    let after = scrape(&scene.edge, None).text();
    let new: Vec<_> = series(&after).difference(&before).cloned().collect();
    // A server's clock is known from its first answer on, and what the shop answers is its own.
    let is_known = |name: &&String| {
        (name.contains("_total") || name.contains("_count"))
            && !name.starts_with("doorward_shop_dates_disbelieved")
            && !name.contains("code=\"404\"")
    };
    let new: Vec<_> = new.iter().filter(is_known).collect();
    assert!(new.is_empty(), "{new:#?}");
    for known in [
        "doorward_decisions_total{shop=\"main\",verdict=\"revoked\",detail=\"subject\"}",
        "doorward_decisions_total{shop=\"main\",verdict=\"unverifiable\",detail=\"signature\"}",
        "doorward_logouts_total{shop=\"main\",outcome=\"not_durable\"}",
        "doorward_limits_hit_total{limit=\"connections\"}",
        "doorward_retries_total{shop=\"main\",cause=\"connect\",outcome=\"retried\"}",
        "doorward_cut_off_total{shop=\"main\"}",
        "doorward_reissued_tokens_total{shop=\"main\",outcome=\"refused\"}",
        "doorward_proxy_protocol_refused_total{reason=\"missing\"}",
    ] {
        assert!(before.contains(known), "{known}\n{before:#?}");
    }
}

#[test]
fn a_shop_that_a_reload_brings_begins_at_zero_too() {
    let scene = Scene::with("");
    let table = support::shop_table(&scene.shop);
    let second = table.replace(
        "name = \"main\"",
        "name = \"second\"\nhosts = [\"b.example.com\"]",
    );
    scene.edge.configure(&format!("{second}{table}"));
    scene.edge.signal("HUP");
    let line = "doorward_decisions_total{shop=\"second\",verdict=\"revoked\",detail=\"token\"} 0\n";
    eventually(|| scene.edge.metrics().contains(line));
}

#[test]
fn the_process_is_measured_as_every_process_that_prometheus_scrapes() {
    let scene = Scene::with("");
    let value = |name: &str| {
        let page = scene.edge.metrics();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("{name}\n{page}"));
        line.parse::<f64>().unwrap()
    };
    let now = u32::try_from(doorward::clock::now().seconds()).unwrap();
    let now = f64::from(now);
    for (name, least, most) in [
        ("process_cpu_seconds_total", 0.0, 60.0),
        ("process_start_time_seconds", now - 600.0, now + 1.0),
        ("process_resident_memory_bytes", 1e6, 1e9),
        ("process_virtual_memory_bytes", 1e6, 1e13),
        ("process_open_fds", 5.0, 1000.0),
        ("process_max_fds", 100.0, 1e9),
        ("process_threads", 2.0, 1000.0),
    ] {
        let value = value(name);
        assert!((least..=most).contains(&value), "{name} {value}");
    }
    assert!(
        (value("process_start_time_seconds") - value("process_start_time_seconds")).abs() < 1e-9
    );
}
