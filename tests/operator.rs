//! What an operator reads: readiness, and everything that is measured.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use support::{
    Customer, Edge, Nobody, Scene, eventually, raw, request, shop_table, shop_table_at,
    stateless_bagisto,
};

/// The value of a metric with these labels, as it stands on the page.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| {
        let name = line.rsplit_once(' ').map(|(name, _)| name);
        name == Some(series)
    });
    line?.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn readiness_tells_everything_that_it_looked_at() {
    let scene = Scene::with("");
    let verbose = scene.edge.ask_operator("/readyz?verbose");
    assert_eq!(verbose, 200);
    let text = verbose.text();
    let wanted = [
        "[+] process: serving".to_owned(),
        "[+] journal: writable".to_owned(),
        "[+] keys of shop main: 1".to_owned(),
        format!(
            "[+] servers of shop main: http://{} untried",
            scene.shop.address()
        ),
        "[+] revocations: 0 tokens, 0 cutoffs".to_owned(),
        "ready".to_owned(),
    ];
    for line in wanted {
        assert!(text.lines().any(|given| given == line), "{line}\n{text}");
    }
    assert!(text.contains("[+] configuration: of 20"), "{text}");
    assert_eq!(scene.edge.ask_operator("/readyz").text(), "ready\n");
}

#[test]
fn a_server_that_was_never_reached_is_not_called_healthy() {
    let shop = stateless_bagisto();
    let nobody = Nobody::at_home();
    let edge = Edge::with(&shop_table_at(&shop, &[nobody.address()]));
    let is = |state: &str| {
        let metrics = edge.metrics();
        let labels = format!("shop=\"main\",server=\"http://{}\"", nobody.address());
        let series = format!("doorward_upstream_servers{{{labels},state=\"{state}\"}}");
        value(&metrics, &series) == Some(1.0)
    };
    assert!(is("untried"), "{}", edge.metrics());
    let get = b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";
    assert_eq!(edge.raw(get), 502);
    assert!(is("failing"), "{}", edge.metrics());
    let scene = Scene::with("");
    let alice = Customer::signed_in(&scene.shop);
    assert_eq!(alice.visit(&scene.edge, "/"), 200);
    let healthy = format!("http://{} healthy", scene.shop.address());
    eventually(|| {
        scene
            .edge
            .ask_operator("/readyz?verbose")
            .text()
            .contains(&healthy)
    });
}

#[test]
fn a_shop_that_is_down_is_told_of_and_is_no_reason_to_go_elsewhere() {
    let shop = stateless_bagisto();
    let nobody = Nobody::at_home();
    let config = shop_table_at(&shop, &[nobody.address()])
        + "[shop.health]\ncheck = \"tcp\"\ninterval = \"100ms\"\nunhealthy_after = 1\n";
    let edge = Edge::with(&config);
    assert_eq!(
        edge.raw(b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"),
        502
    );
    let down = format!(
        "[!] servers of shop main: http://{} unhealthy",
        nobody.address()
    );
    eventually(|| {
        let verbose = edge.ask_operator("/readyz?verbose");
        assert_eq!(verbose, 200);
        verbose.text().contains(&down)
    });
    let labels = format!("shop=\"main\",server=\"http://{}\"", nobody.address());
    let metrics = edge.metrics();
    let failures = format!("doorward_upstream_failures_total{{{labels}}}");
    assert_eq!(value(&metrics, &failures), Some(1.0), "{metrics}");
    let unhealthy = format!("doorward_upstream_servers{{{labels},state=\"unhealthy\"}}");
    assert_eq!(value(&metrics, &unhealthy), Some(1.0), "{metrics}");
}

#[test]
fn everything_that_an_operator_asks_for_is_measured() {
    let scene = Scene::with("");
    let alice = Customer::signed_in(&scene.shop);
    assert_eq!(alice.visit(&scene.edge, "/"), 200);
    assert_eq!(alice.log_out(&scene.edge), 200);
    assert_eq!(alice.visit(&scene.edge, "/"), 401);
    eventually(|| {
        let metrics = scene.edge.metrics();
        let told = |series, least: f64| value(&metrics, series).is_some_and(|value| value >= least);
        told("doorward_requests_total{shop=\"main\",code=\"401\"}", 1.0)
            && told("doorward_requests_total{shop=\"main\",code=\"200\"}", 2.0)
    });
    let metrics = scene.edge.metrics();
    for (series, least) in [
        ("doorward_requests_total{shop=\"main\",code=\"200\"}", 2.0),
        (
            "doorward_decisions_total{shop=\"main\",verdict=\"forwarded\",detail=\"\"}",
            1.0,
        ),
        (
            "doorward_decisions_total{shop=\"main\",verdict=\"logout\",detail=\"\"}",
            1.0,
        ),
        (
            "doorward_decisions_total{shop=\"main\",verdict=\"revoked\",detail=\"token\"}",
            1.0,
        ),
        (
            "doorward_logouts_total{shop=\"main\",outcome=\"revoked\"}",
            1.0,
        ),
        ("doorward_overhead_seconds_count", 3.0),
        ("doorward_journal_latency_seconds_count", 1.0),
        (
            "doorward_request_duration_seconds_count{shop=\"main\"}",
            2.0,
        ),
        ("doorward_revocations{kind=\"token\"}", 1.0),
        ("doorward_revocations_bytes", 16.0),
        ("doorward_journal_writable", 1.0),
        ("doorward_connections", 0.0),
        ("doorward_requests_in_flight", 0.0),
        ("doorward_draining", 0.0),
        ("doorward_last_reload_successful", 1.0),
        (
            "doorward_last_reload_success_timestamp_seconds",
            1_700_000_000.0,
        ),
        ("doorward_reloads_total{outcome=\"failed\"}", 0.0),
        ("doorward_keys{shop=\"main\"}", 1.0),
        ("doorward_failed_handshakes_total", 0.0),
    ] {
        let given = value(&metrics, series);
        assert!(
            given.is_some_and(|given| given >= least),
            "{series}: {given:?}\n{metrics}"
        );
    }
    let build = format!(
        "doorward_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(value(&metrics, &build), Some(1.0), "{metrics}");
}

/// Labels come from the configuration: whoever knocks can't make the page grow (Caddy #7208).
#[test]
fn strangers_make_no_labels() {
    let shop = stateless_bagisto();
    let config = shop_table(&shop).replace(
        "name = \"main\"\n",
        "name = \"main\"\nhosts = [\"shop.example.com\"]\n",
    );
    let edge = Edge::with(&config);
    let knock = |number: usize| {
        let bytes = format!("GET /{number} HTTP/1.1\r\nHost: stranger-{number}\r\n\r\n");
        assert_eq!(edge.raw(bytes.as_bytes()), 421);
    };
    knock(0);
    let counted = |count: usize| {
        let line = format!("doorward_requests_total{{shop=\"\",code=\"421\"}} {count}\n");
        eventually(|| edge.metrics().contains(&line)); // after the answer
    };
    counted(1);
    let series = |page: &str| page.lines().count();
    let before = series(&edge.metrics());
    (1..30).for_each(knock);
    counted(30);
    let page = edge.metrics();
    assert_eq!(series(&page), before, "{page}");
    assert!(!page.contains("stranger"), "{page}");
}

// --- Health without metrics --------------------------------------------------------------------------------

#[test]
fn the_health_listener_says_whether_the_process_is_ready_and_nothing_else() {
    let shop = stateless_bagisto();
    let table = shop_table(&shop);
    let edge = Edge::with(&format!("health = \"127.0.0.1:0\"\n{table}"));
    let ask = |method: &str, target: &str, host: &str| {
        raw(
            edge.address_of("health"),
            &request(method, target, &[("Host", host)], b""),
        )
    };
    for host in ["10.0.0.9:8082", "anything.example.com", "localhost"] {
        for (target, status, text) in [
            ("/livez", 200, "alive\n"),
            ("/readyz", 200, "ready\n"),
            ("/readyz?verbose", 200, "ready\n"),
            ("/metrics", 404, "not found\n"),
            ("/", 404, "not found\n"),
            ("/livez/", 404, "not found\n"),
        ] {
            let answer = ask("GET", target, host);
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (status, text),
                "{target}"
            );
        }
    }
    assert_eq!(ask("POST", "/readyz", "localhost"), 405);
    assert_eq!(ask("HEAD", "/livez", "localhost"), 200);
    assert_eq!(
        edge.ask_operator("/metrics"),
        200,
        "the operator listener stays"
    );
}

#[test]
fn the_health_listener_says_that_keys_are_missing_without_saying_which() {
    let shop = stateless_bagisto();
    let table = shop_table(&shop);
    let (of_shop, _) = table.split_once("token.algorithms").unwrap();
    let keys = "token.algorithms = [\"RS256\"]\ntoken.jwks_url = \"http://127.0.0.1:9/\"\n";
    let edge = Edge::with(&format!("health = \"127.0.0.1:0\"\n{of_shop}{keys}"));
    let ready = request("GET", "/readyz?verbose", &[("Host", "a")], b"");
    let answer = raw(edge.address_of("health"), &ready);
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (503, "not ready\n")
    );
}

#[test]
fn the_health_listener_has_an_address_of_its_own_and_needs_a_restart() {
    let shop = stateless_bagisto();
    let table = shop_table(&shop);
    let edge = Edge::with(&table);
    let health = "health = \"127.0.0.1:1\"\n";
    edge.configure(&format!("{health}{table}"));
    let reload = edge.command(&["reload"]);
    assert!(
        reload.stderr.contains("`health` needs a restart"),
        "{}",
        reload.stderr
    );
    edge.configure(&format!(
        "{health}operator_listen = \"127.0.0.1:1\"\n{table}"
    ));
    let check = edge.command(&["check"]);
    let fault = "the health listener needs an address of its own";
    assert!(check.stderr.contains(fault), "{}", check.stderr);
}
