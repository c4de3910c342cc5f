//! A shop or a route that is only observed: nothing is refused there for its credentials, everything is told, and no logout is
//! forgotten.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::json;
use support::frames::{Frames, fields_of};
use support::places::{LOGOUT, OWN_LOGOUT, PAGE, logout_of, outside_the_body};
use support::{
    Customer, Edge, Exchange, HELLO, LiveShop, Scene, Shop, eventually, request, shop_table,
    stateless_bagisto,
};

const OBSERVED: &str = "observe = true\n";

/// Bearers, cookies, bodies, and routes that demand more than others.
const REST: &str = r#"
[[shop.credential]]
header = "authorization"
schemes = ["Bearer"]
[[shop.credential]]
cookie = "jwt"
[[shop.credential]]
query = "access_token"
[[shop.credential]]
body = "/token"
[[shop.route]]
paths = ["/account/*"]
enforce = "required"
[[shop.route]]
paths = ["/strict/*"]
enforce = "valid"
dead_cookie = "refuse"
"#;

impl Scene {
    /// The sum of the samples that begin so.
    fn counted(&self, begins: &str) -> u64 {
        let metrics = self.edge.metrics();
        let samples = metrics.lines().filter(|line| line.starts_with(begins));
        let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        values.sum()
    }

    fn would_be(&self, verdict: &str) -> u64 {
        self.counted(&format!(
            "doorward_would_refuse_total{{shop=\"main\",reason=\"{verdict}\""
        ))
    }

    /// A request reaches the shop as it was sent, and it is told why it would not.
    #[track_caller]
    fn forwards(&self, reason: &str, target: &str, headers: &[(&str, String)], body: &str) {
        let mut given: Vec<(&str, &str)> = Vec::new();
        given.extend(headers.iter().map(|(name, value)| (*name, &**value)));
        let mut method = "GET";
        if !body.is_empty() {
            method = "POST";
            given.push(("Content-Type", "application/json"));
        }
        let before = self.would_be(reason);
        let (answer, visits) =
            self.watch(|edge| edge.raw(&request(method, target, &given, body.as_bytes())));
        assert_eq!(visits, 1, "{reason} {target}: {}", answer.text());
        let seen = self.shop.seen().pop().unwrap();
        assert_eq!(seen.target, target, "{reason}");
        assert_eq!(seen.body, body.as_bytes(), "{reason} {target}");
        for (name, value) in headers.iter().filter(|(name, _)| *name != "Connection") {
            let lines = seen.headers.iter();
            let mut lines = lines.filter(|(given, _)| given.eq_ignore_ascii_case(name));
            let is_sent = lines.any(|(_, line)| line == value);
            assert!(is_sent, "{reason} {target}: {name}");
        }
        assert!(answer.header("set-cookie").is_none(), "{reason}");
        assert_eq!(self.would_be(reason), before + 1, "{reason} {target}");
    }

    /// The same shop under another configuration.
    #[track_caller]
    fn reload(&self, more: &str) {
        let times = |edge: &Edge| {
            let lines = edge.log_lines();
            lines
                .iter()
                .filter(|line| line.contains("reloaded"))
                .count()
        };
        let before = times(&self.edge);
        self.edge
            .configure(&format!("{}{more}", shop_table(&self.shop)));
        self.edge.signal("HUP");
        eventually(|| times(&self.edge) > before);
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn what_would_be_refused_for_its_credentials_reaches_the_shop_unchanged_and_is_told() {
    let scene = Scene::with(&format!("{OBSERVED}{REST}"));
    let dead = Customer::named(&scene.shop, "alice");
    assert_eq!(dead.log_out(&scene.edge), 200);
    let dead = dead.token();
    let live = scene.shop.sign_in("bob");
    let forged = format!("{}AAAA", &dead[..dead.len() - 4]);
    let expired = scene.shop.sign(&json!({ "sub": 9, "iat": 1, "exp": 2 }));
    let long = format!("{{\"a\":\"{}\",\"token\":\"x\"}}", "b".repeat(100_000));
    let in_query = |token: &str| format!("/x?access_token={token}");
    let in_line = |token: &str| ("Authorization", bearer(token));
    let in_cookie = ("Cookie", format!("a=b; jwt={dead}"));
    let in_body = format!("{{\"token\":\"{dead}\",\"more\":[1]}}");
    let nominated = ("Connection", "authorization".to_owned());
    let (dead_line, live_line) = (in_line(dead), in_line(&live));
    for (reason, target, headers, body) in [
        ("revoked", "/x", vec![dead_line.clone()], ""),
        ("revoked", &in_query(dead), vec![], ""),
        ("revoked", "/x", vec![], &in_body),
        ("unverifiable", "/x", vec![in_line(&forged)], ""),
        ("no_credential", "/account/x", vec![], ""),
        ("expired", "/strict/x", vec![in_line(&expired)], ""),
        ("revoked", "/strict/x", vec![in_cookie.clone()], ""),
        ("revoked", "/account/x", vec![in_cookie], ""),
        (
            "two_credentials",
            &in_query(&live),
            vec![dead_line.clone()],
            "",
        ),
        ("two_credentials", "/x", vec![live_line, dead_line], ""),
        ("nominated_credential", "/x", vec![nominated], ""),
        ("ambiguous_path", "/account/a%2Fb", vec![], ""),
        ("unreadable_body", "/x", vec![], &long),
    ] {
        scene.forwards(reason, target, &headers, body);
    }
    let told = || {
        let lines = scene.edge.log_lines().into_iter();
        let told = lines.filter(|line| line.contains("would be refused request="));
        told.collect::<Vec<_>>()
    };
    eventually(|| told().len() == 13);
    let told = told();
    for secret in [dead, &live, &forged, &expired] {
        let (_, payload) = secret.split_once('.').unwrap();
        assert!(!told.iter().any(|line| line.contains(payload)), "{told:#?}");
    }
    let before = scene.counted("doorward_would_refuse_total");
    scene.passes(&request(
        "GET",
        "/account/x",
        &[("Authorization", &bearer(&live))],
        b"",
    ));
    assert_eq!(
        scene.counted("doorward_would_refuse_total"),
        before,
        "nothing to tell"
    );
}

#[test]
fn a_dead_cookie_stays_where_it_is_and_is_counted() {
    let scene = Scene::with(&format!("{OBSERVED}{REST}"));
    let dead = Customer::named(&scene.shop, "alice");
    assert_eq!(dead.log_out(&scene.edge), 200);
    let cookies = format!("theme=dark; jwt={}", dead.token());
    let (answer, visits) =
        scene.watch(|edge| edge.raw(&request("GET", PAGE, &[("Cookie", &cookies)], b"")));
    assert_eq!(visits, 1);
    assert!(answer.header("set-cookie").is_none());
    let seen = scene.shop.seen().pop().unwrap();
    assert_eq!(seen.header("cookie"), Some(cookies.as_str()));
    assert_eq!(scene.would_be("dead_cookie"), 1);
    assert!(scene.edge.says("dead_cookies=1"));
}

#[test]
fn http_2_is_observed_alike() {
    let shop = stateless_bagisto();
    let table = format!("h2c = true\n{}{OBSERVED}{REST}", shop_table(&shop));
    let scene = Scene::configured(shop, &table);
    let dead = Customer::named(&scene.shop, "alice");
    assert_eq!(dead.log_out(&scene.edge), 200);
    let authorization = bearer(dead.token());
    let fields = fields_of("GET", "/account/x", &[("authorization", &authorization)]);
    let visits = scene.shop.visits();
    Frames::open(scene.edge.address()).ask(&fields, None);
    assert_eq!(scene.shop.visits(), visits + 1);
    assert_eq!(scene.would_be("revoked"), 1);
}

// --- Logouts ---------------------------------------------------------------------------------------------

#[test]
fn a_logout_is_remembered_and_counts_once_the_shop_is_no_longer_observed() {
    let mut scene = Scene::with(&format!("{OBSERVED}{REST}"));
    let alice = Customer::named(&scene.shop, "alice");
    let carol = Customer::named(&scene.shop, "carol");
    assert_eq!(alice.log_out(&scene.edge), 200);
    let own = [("Authorization", &*bearer(carol.token()))];
    assert_eq!(scene.edge.raw(&request("POST", OWN_LOGOUT, &own, b"")), 200);
    for token in [alice.token(), carol.token()] {
        scene.admits("observed", token);
    }
    scene.reload(REST);
    for token in [alice.token(), carol.token()] {
        scene.turns_away("no longer observed", token);
    }
    scene.reload(&format!("{OBSERVED}{REST}"));
    scene.admits("observed again", alice.token());
    scene
        .edge
        .configure(&format!("{}{REST}", shop_table(&scene.shop)));
    scene.edge.restart();
    scene.turns_away("after a restart", alice.token());
}

#[test]
fn a_logout_that_has_nothing_to_end_is_the_shops_to_answer() {
    let scene = Scene::with(&format!("{OBSERVED}answer = \"local\"\n"));
    let alice = Customer::named(&scene.shop, "alice");
    assert_eq!(alice.log_out(&scene.edge), 200);
    let (_, visits) = scene.watch(|edge| edge.raw(&logout_of(alice.token())));
    assert_eq!(visits, 1, "a second click");
    assert_eq!(scene.would_be("revoked"), 1);
    let key = [("X-STOREFRONT-KEY", Shop::KEY)];
    let (_, visits) = scene.watch(|edge| edge.raw(&request("POST", LOGOUT, &key, b"{}")));
    assert_eq!(visits, 1, "without a token");
    assert_eq!(scene.would_be("no_credential"), 1);
    let again = [("Authorization", &*bearer(alice.token()))];
    let (answer, visits) = scene.watch(|edge| edge.raw(&request("POST", OWN_LOGOUT, &again, b"")));
    assert_eq!(
        (answer.status, visits),
        (401, 0),
        "Doorward's own is not the shop's"
    );
}

/// The very fault that observing is to find: the operator wrote down another key than the shop's.
#[test]
fn a_logout_under_a_wrong_key_is_remembered_until_the_key_is_right() {
    let scene = Scene::with(OBSERVED);
    let wrong = scene.edge.path("wrong.secret");
    fs::write(
        &wrong,
        "another secret of more than thirty-two bytes, as it must be",
    )
    .unwrap();
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o600)).unwrap();
    let table = shop_table(&scene.shop).replace("{secret_file}", "wrong.secret");
    scene.edge.configure(&format!("{table}{OBSERVED}"));
    scene.edge.signal("HUP");
    assert!(scene.edge.says("reloaded"));
    let (alice, bob) = (scene.shop.sign_in("alice"), scene.shop.sign_in("bob"));
    scene.admits("a wrong key", &alice);
    assert_eq!(scene.would_be("unverifiable"), 1);
    let (answer, visits) = scene.watch(|edge| edge.raw(&logout_of(&alice)));
    assert_eq!((answer.status, visits), (200, 1));
    scene.reload("");
    scene.turns_away("once its key is right", &alice);
    scene.admits("another's", &bob);
}

// --- What is not about credentials -----------------------------------------------------------------------

#[test]
fn what_is_malformed_is_refused_as_ever() {
    let scene = Scene::with(&format!("{OBSERVED}{REST}"));
    let table = |host: &str| format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
    for (status, bytes) in [
        (400, request("POST", "/api/shop/customers%2Flogout", &[], b"")),
        (405, request("TRACE", "/x", &[], b"")),
        (400, table("a b")),
        (
            400,
            request("GET", "/x", &[("Connection", "x-forwarded-for")], b""),
        ),
        (
            400,
            b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_vec(),
        ),
        (405, request("GET", OWN_LOGOUT, &[], b"")),
    ] {
        scene.stops(status, &bytes);
    }
}

#[test]
fn missing_keys_hold_no_visit_back_but_a_logout_that_would_be_forgotten() {
    let shop = stateless_bagisto();
    let dead_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = dead_port.local_addr().unwrap().port();
    let table = shop_table(&shop).replace(
        "token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{secret_file}\"\n",
        &format!(
            "token.algorithms = [\"RS256\"]\ntoken.jwks_url = \"http://127.0.0.1:{port}/jwks\"\n"
        ),
    );
    drop(dead_port);
    let scene = Scene::configured(shop, &format!("{table}{OBSERVED}"));
    let header = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ"; // {"alg":"RS256","kid":"a"}
    let token = format!("{header}.{}.c2lnbmF0dXJl", "eyJzdWIiOiJhbGljZSJ9");
    scene.admits("no keys yet", &token);
    assert_eq!(scene.would_be("keys_missing"), 1);
    scene.stops(503, &logout_of(&token));
}

// --- Routes ----------------------------------------------------------------------------------------------

const LOGOUTS: &str = "answer = \"local\"\n";

#[test]
fn a_route_is_observed_or_not_whatever_its_shop_is() {
    for (shop, route) in [("false", "true"), ("true", "false")] {
        let scene = Scene::with(&format!(
            "{LOGOUTS}observe = {shop}\n[[shop.route]]\npaths = [\"/new/*\"]\nobserve = {route}\n"
        ));
        let alice = Customer::named(&scene.shop, "alice");
        assert_eq!(alice.log_out(&scene.edge), 200);
        for (target, is_observed) in [("/old/x", shop), ("/new/x", route), ("/new", shop)] {
            let (answer, visits) = scene.watch(|edge| alice.visit(edge, target));
            let passes = is_observed == "true";
            assert_eq!(visits == 1, passes, "{shop} {target} {}", answer.status);
            assert!(passes || answer == 401);
        }
    }
}

#[test]
fn where_a_path_could_mean_several_routes_the_stricter_counts() {
    let scene = Scene::with(&format!(
        "{LOGOUTS}[[shop.route]]\npaths = [\"/new/shut/*\"]\nmethods = [\"DELETE\"]\nenforce = \"revoked\"\n\
         [[shop.route]]\npaths = [\"/new/*\"]\nobserve = true\n"
    ));
    let alice = Customer::named(&scene.shop, "alice");
    assert_eq!(alice.log_out(&scene.edge), 200);
    let authorization = bearer(alice.token());
    let deletes = ("X-HTTP-Method-Override", "DELETE");
    for (method, target, more, status) in [
        ("GET", "/new/shut/x", None, None),
        ("POST", "/new/x", Some(deletes), None),
        ("POST", "/new/shut/x", Some(deletes), Some(401)),
        ("DELETE", "/new/shut/x", None, Some(401)),
        ("GET", "/old/../new/x", None, Some(401)),
        ("GET", "/new/../old/x", None, Some(401)),
        ("GET", "/new/a%2Fb", None, None),
        ("GET", "/new%2Fb", None, Some(400)),
    ] {
        let mut headers = vec![("Authorization", &*authorization)];
        headers.extend(more);
        let bytes = request(method, target, &headers, b"");
        match status {
            Some(status) => drop(scene.stops(status, &bytes)),
            None => drop(scene.passes(&bytes)),
        }
    }
}

// --- Streams ---------------------------------------------------------------------------------------------

#[test]
fn what_was_opened_while_observed_is_not_cut() {
    let live = LiveShop::beside(stateless_bagisto());
    let table = |observe: &str| {
        format!(
            "{}{}[[shop.route]]\npaths = [\"/socket/free\", \"/events/free\"]\nobserve = {observe}\n",
            live.table(),
            outside_the_body()
        )
    };
    let edge = Edge::with(&table("true"));
    let token = live.shop.sign_in("alice");
    let authorization = bearer(&token);
    let open = |target: &str, word: &str| {
        let headers = [("Authorization", &*authorization)];
        let mut exchange = Exchange::of(edge.address(), target, &headers);
        exchange.hears(word);
        exchange
    };
    let mut socket = open("/socket/free", "101 Switching Protocols");
    let mut events = open("/events/free", HELLO);
    let judged = open("/events/judged", HELLO);
    let own = [("Authorization", &*authorization)];
    assert_eq!(edge.raw(&request("POST", OWN_LOGOUT, &own, b"")), 200);
    judged.ends().join().unwrap();
    edge.configure(&table("false"));
    edge.signal("HUP");
    assert!(edge.says("reloaded"));
    assert_eq!(edge.raw(&request("GET", "/events/free", &own, b"")), 401);
    assert!(live.is_on("free"));
    assert!(live.say_event("free", "still there"));
    events.hears("still there");
    assert!(socket.say(b"still here"));
    assert!(
        !edge
            .metrics()
            .contains("doorward_cut_off_total{shop=\"main\"} 2")
    );
}

// --- What protects nothing is never silent about it --------------------------------------------------------

#[track_caller]
fn warns(told: &str, words: &str) {
    assert!(told.contains(words), "{words}\n{told}");
}

#[test]
fn what_is_only_observed_says_so_everywhere() {
    let scene = Scene::with(&format!(
        "{OBSERVED}[[shop.route]]\nname = \"orders\"\npaths = [\"/orders/*\"]\nobserve = false\nenforce = \"required\"\n"
    ));
    let log = scene.edge.log_lines().join("\n");
    warns(&log, "this shop is only observed: it protects nothing");
    let check = scene.edge.command(&["check"]);
    warns(
        &check.stderr,
        "this shop is only observed: it protects nothing",
    );
    warns(&check.stdout, "credentials: only observed");
    warns(
        &check.stdout,
        "route orders: /orders/*, enforce required, enforced",
    );
    let health = scene.edge.ask_operator("/readyz?verbose");
    assert_eq!(health, 200);
    let line = "[!] credentials of shop main: only observed, except on the routes orders: nothing is refused for them";
    warns(&health.text(), line);
    warns(
        &scene.edge.metrics(),
        "doorward_observing{shop=\"main\",route=\"\"} 1",
    );
    scene.reload(
        "[[shop.route]]\nname = \"media\"\npaths = [\"/media/*\"]\nobserve = true\ndead_cookie = \"refuse\"\n",
    );
    let warned = "this route is only observed: it protects nothing";
    eventually(|| {
        scene
            .edge
            .log_lines()
            .join(
                "
",
            )
            .contains(warned)
    });
    let health = scene.edge.ask_operator("/readyz?verbose").text();
    warns(
        &health,
        "[!] credentials of shop main: only observed on the routes media",
    );
    warns(
        &scene.edge.metrics(),
        "doorward_observing{shop=\"main\",route=\"media\"} 1",
    );
    let check = scene.edge.command(&["check"]).stdout;
    warns(
        &check,
        "route media: /media/*, dead_cookie refuse, only observed",
    );
    scene.reload("");
    let health = scene.edge.ask_operator("/readyz?verbose").text();
    assert!(!health.contains("observed"), "{health}");
    assert!(!scene.edge.metrics().contains("doorward_observing{"));
}

#[test]
fn a_route_where_no_credential_is_examined_says_so_everywhere() {
    let scene = Scene::with(
        "[[shop.route]]\nname = \"media\"\npaths = [\"/media/*\"]\nenforce = \"off\"\n\
         [[shop.route]]\nname = \"orders\"\npaths = [\"/orders/*\"]\nenforce = \"required\"\n",
    );
    let words = "a customer who logged out still has access here";
    warns(&scene.edge.log_lines().join("\n"), words);
    warns(&scene.edge.command(&["check"]).stderr, words);
    let health = scene.edge.ask_operator("/readyz?verbose");
    assert_eq!(health, 200);
    warns(
        &health.text(),
        "[!] enforcement of shop main: off on the routes media: customers who logged out still have access",
    );
    let metric = "doorward_enforce_off{shop=\"main\",route=";
    let metrics = scene.edge.metrics();
    warns(&metrics, &format!("{metric}\"media\"}} 1"));
    assert_eq!(metrics.matches(metric).count(), 1, "{metrics}");
    scene.reload("");
    let health = scene.edge.ask_operator("/readyz?verbose").text();
    assert!(!health.contains("enforcement"), "{health}");
    assert!(!scene.edge.metrics().contains(metric));
}

#[test]
fn of_a_living_token_there_is_nothing_to_tell() {
    let scene = Scene::with(OBSERVED);
    scene.admits("a living token", &scene.shop.sign_in("alice"));
    assert_eq!(scene.counted("doorward_would_refuse_total"), 0);
    let decided = "doorward_decisions_total{shop=\"main\",verdict=\"forwarded\",detail=\"\"}";
    assert_eq!(scene.counted(decided), 1);
}

// --- The process, the header, and answers byte for byte ----------------------------------------------------

/// A target, header lines and a body.
type Presented = (&'static str, Vec<(&'static str, String)>, String);

/// Doorward in front of the same shop, once only observing and once judging nothing.
struct Pair {
    shop: Shop,
    observing: Edge,
    open: Edge,
}

impl Pair {
    fn new() -> Self {
        let shop = stateless_bagisto();
        let table = shop_table(&shop);
        let open = "[[shop.route]]\npaths = [\"/*\"]\nenforce = \"off\"\n";
        Self {
            observing: Edge::with(&format!("observe = true\nh2c = true\n{table}{REST}")),
            open: Edge::with(&format!("h2c = true\n{table}{open}")),
            shop,
        }
    }

    /// Header lines and a body, for each reason that is no reason here.
    fn requests(&self) -> Vec<Presented> {
        let dead = Customer::named(&self.shop, "alice");
        assert_eq!(dead.log_out(&self.observing), 200);
        let dead = dead.token();
        let live = self.shop.sign_in("bob");
        let forged = format!("{}AAAA", &dead[..dead.len() - 4]);
        let expired = self.shop.sign(&json!({ "sub": 9, "iat": 1, "exp": 2 }));
        let shown = |token: &str| vec![("Authorization", bearer(token))];
        let cookie = vec![("Cookie", format!("theme=dark; jwt={dead}"))];
        vec![
            (PAGE, shown(dead), String::new()),
            (PAGE, shown(&live), String::new()),
            (PAGE, shown(&forged), String::new()),
            (PAGE, cookie.clone(), String::new()),
            ("/account/x", vec![], String::new()),
            ("/account/x", cookie, String::new()),
            ("/strict/x", shown(&expired), String::new()),
            ("/x", [shown(dead), shown(&live)].concat(), String::new()),
            ("/x", vec![], format!("{{\"token\":\"{dead}\"}}")),
        ]
    }
}

/// An answer without what differs from one second or request to the next.
fn masked(answer: &str) -> String {
    let lines = answer.split_inclusive('\n');
    let differs = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        ["date", "x-request-id"].contains(&name.to_ascii_lowercase().as_str())
    };
    lines.filter(|line| !differs(line)).collect()
}

#[test]
fn no_answer_differs_by_a_byte_from_that_of_a_proxy_that_judges_nothing() {
    let pair = Pair::new();
    for (target, headers, body) in pair.requests() {
        let mut given: Vec<(&str, &str)> = Vec::new();
        given.extend(headers.iter().map(|(name, value)| (*name, &**value)));
        let method = if body.is_empty() { "GET" } else { "POST" };
        let bytes = request(method, target, &given, body.as_bytes());
        let over_http_1 = |edge: &Edge| {
            let answer = edge.raw(&bytes);
            let headers = answer.headers.iter();
            let headers = headers.map(|(name, value)| format!("{name}: {value}"));
            let lines = [answer.status.to_string()].into_iter().chain(headers);
            let lines = lines.chain([answer.text()]).collect::<Vec<_>>();
            masked(&lines.join("\n"))
        };
        let (observed, open) = (over_http_1(&pair.observing), over_http_1(&pair.open));
        assert_eq!(observed, open, "HTTP/1.1 {target} {headers:?}");
        let over_http_2 = |edge: &Edge| {
            let url = format!("http://{}{target}", edge.address());
            let mut curl = Command::new("curl");
            curl.args(["-si", "--http2-prior-knowledge", "-X", method, &url]);
            for (name, value) in &given {
                curl.arg("-H").arg(format!("{name}: {value}"));
            }
            if !body.is_empty() {
                curl.args([
                    "-H",
                    "Content-Type: application/json",
                    "--data-binary",
                    &body,
                ]);
            }
            masked(&String::from_utf8(curl.output().unwrap().stdout).unwrap())
        };
        let (observed, open) = (over_http_2(&pair.observing), over_http_2(&pair.open));
        assert!(observed.starts_with("HTTP/2 "), "{observed}");
        assert_eq!(observed, open, "HTTP/2 {target} {headers:?}");
    }
    let metrics = pair.observing.metrics();
    let told = |reason: &str| {
        metrics.contains(&format!(
            "doorward_would_refuse_total{{shop=\"main\",reason=\"{reason}\""
        ))
    };
    for reason in [
        "revoked",
        "unverifiable",
        "no_credential",
        "expired",
        "dead_cookie",
    ] {
        assert!(told(reason), "{reason}\n{metrics}");
    }
}

#[test]
fn the_shop_is_told_what_would_become_of_a_request_and_no_client_tells_it_so() {
    let scene = Scene::with(&format!("{OBSERVED}{REST}"));
    let dead = Customer::named(&scene.shop, "alice");
    assert_eq!(dead.log_out(&scene.edge), 200);
    let live = scene.shop.sign_in("bob");
    let (dead, live) = (bearer(dead.token()), bearer(&live));
    let cookie = dead.replace("Bearer ", "jwt=");
    let forged = ("X-Doorward-Would", "nothing");
    let respelled = ("X_Doorward_Would", "nothing");
    for (name, value, reason) in [
        ("Authorization", &dead, Some("revoked")),
        ("Authorization", &live, None),
        ("Cookie", &cookie, Some("dead_cookie")),
    ] {
        let headers = [(name, &**value), forged, respelled];
        let seen = scene.passes(&request("GET", PAGE, &headers, b""));
        assert_eq!(seen.header("x-doorward-would"), reason);
        assert_eq!(seen.header("x_doorward_would"), None);
    }
    scene.reload("");
    let headers = [("Authorization", &*live), forged];
    let seen = scene.passes(&request("GET", PAGE, &headers, b""));
    assert_eq!(seen.header("x-doorward-would"), None, "not observed");
}

#[test]
fn a_process_is_observed_except_the_shops_that_say_otherwise() {
    let shop = stateless_bagisto();
    let other = shop_table(&shop).replace(
        "name = \"main\"",
        "name = \"judged\"\nhosts = [\"judged.example.com\"]",
    );
    let main = shop_table(&shop);
    let table = format!("observe = true\n{other}observe = false\n{main}");
    let scene = Scene::configured(shop, &table);
    let alice = Customer::named(&scene.shop, "alice");
    assert_eq!(alice.log_out(&scene.edge), 200);
    scene.admits("observed", alice.token());
    let authorization = bearer(alice.token());
    let forged = format!("{authorization}A");
    let forged = [("Host", "judged.example.com"), ("Authorization", &*forged)];
    scene.stops(401, &request("GET", PAGE, &forged, b""));
    let check = scene.edge.command(&["check"]);
    warns(
        &check.stderr,
        "this process is only observed: it protects nothing",
    );
    let health = scene.edge.ask_operator("/readyz?verbose").text();
    warns(&health, "[!] credentials of shop main: only observed");
    assert!(!health.contains("credentials of shop judged"), "{health}");
    let phrase = "a shop is only observed: nothing is refused there";
    eventually(|| {
        scene
            .edge
            .log_lines()
            .iter()
            .any(|line| line.contains(phrase))
    });
    let lines = scene.edge.log_lines();
    let of = |shop: &str| {
        lines
            .iter()
            .filter(|line| line.contains(phrase) && line.contains(shop))
            .count()
    };
    assert_eq!((of("shop=main"), of("shop=judged")), (1, 0), "once a day");
    scene
        .edge
        .configure(&table.replacen("observe = true", "observe = false", 1));
    scene.edge.signal("HUP");
    eventually(|| {
        scene.edge.raw(&request(
            "GET",
            PAGE,
            &[("Authorization", &authorization)],
            b"",
        )) == 401
    });
}
