//! Whatever a shop's servers say of the time, and wherever their answers break off: a logout ends the other devices, and no login after it is refused.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use doorward::clock;
use serde_json::json;
use support::places::BEARER_JWT;
use support::{
    Answer, Edge, Failure, FakeClock, Shop, asked_shop_table, eventually, request, said,
    stateless_bagisto,
};

/// Says no time.
const PAGE: &str = "/page";
/// Says what the test wants it to.
const ODD: &str = "/odd";
const LOGOUT: &str = "/bye";
const ASK: &str = "/who";

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;
const WEEK_S: i64 = 7 * DAY_S;
const YEAR_S: i64 = 365 * DAY_S;

fn now() -> i64 {
    i64::try_from(clock::now().seconds()).unwrap()
}

/// A shop without preset: keys of its own, and keys of its logout.
fn table(upstreams: &[SocketAddr], keys: &str, logout: &str) -> String {
    let upstreams: Vec<_> = upstreams.iter().map(ToString::to_string).collect();
    format!(
        r#"
[[shop]]
name     = "main"
upstream = {upstreams:?}
{keys}

{BEARER_JWT}

[[shop.logout]]
paths       = ["{LOGOUT}"]
status      = 200
answer_body = '{{"ours":true}}'
{logout}
"#
    )
}

const SUBJECT: &str = "revoke = \"subject\"";

/// A date so many seconds from now, as a header has it.
fn date(offset_s: i64) -> String {
    let moment = u64::try_from(now() + offset_s).unwrap();
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(moment))
}

/// An answer with these header lines.
fn lines(lines: &str) -> String {
    support::said_with(200, lines, "{}")
}

/// A shop that has opened, and says no time at PAGE and LOGOUT.
fn open() -> Shop {
    let shop = stateless_bagisto();
    for path in [PAGE, LOGOUT] {
        shop.recite(path, said(200, "{}"));
    }
    shop
}

/// A token of this customer, issued so many seconds from now.
fn token(shop: &Shop, customer: usize, issued_s: i64) -> String {
    shop.sign(&json!({ "sub": customer, "iat": now() + issued_s, "exp": now() + WEEK_S }))
}

fn ask(edge: &Edge, method: &str, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    edge.raw(&request(method, path, &[("Authorization", &bearer)], b""))
}

fn is_alive(edge: &Edge, token: &str) -> bool {
    let status = ask(edge, "GET", PAGE, token).status;
    assert!([200, 401].contains(&status), "{status}");
    status == 200
}

fn log_out(edge: &Edge, token: &str) -> u16 {
    ask(edge, "POST", LOGOUT, token).status
}

/// Each server answers once, with its own time.
fn hear(edge: &Edge, servers: usize) {
    for _ in 0..servers {
        edge.raw(&request("GET", "/", &[], b""));
    }
}

/// Two servers of a shop, the clock of one of which is off.
struct Pair {
    right: Shop,
    wrong: Shop,
    edge: Edge,
}

impl Pair {
    fn off_by(seconds: i64, keys: &str) -> Self {
        let [right, wrong] = [open(), open()];
        wrong.set_date_offset(seconds);
        let edge = Edge::with(&table(&[right.address(), wrong.address()], keys, SUBJECT));
        hear(&edge, 2);
        Self { right, wrong, edge }
    }

    /// What a metric of the server with the wrong clock says.
    fn metric(&self, name: &str) -> f64 {
        let server = self.wrong.address();
        let begin = format!("{name}{{shop=\"main\",server=\"{server}\"}} ");
        let metrics = self.edge.metrics();
        let mut values = metrics.lines().filter_map(|line| line.strip_prefix(&begin));
        values
            .next()
            .unwrap_or_else(|| panic!("{metrics}"))
            .parse()
            .unwrap()
    }
}

#[test]
fn a_server_that_is_an_hour_off_changes_no_logout_attacks_a7() {
    for off in [-HOUR_S, HOUR_S] {
        let pair = Pair::off_by(off, "");
        let (shop, edge) = (&pair.right, &pair.edge);
        for customer in 0..6 {
            let [phone, tablet] = [-60, -30].map(|issued| token(shop, customer, issued));
            assert_eq!(log_out(edge, &phone), 200);
            assert!(!is_alive(edge, &phone), "the presented one");
            assert!(
                !is_alive(edge, &tablet),
                "the other device: {off} {customer}"
            );
            let login = token(shop, customer, 0);
            assert!(is_alive(edge, &login), "a new login: {off} {customer}");
            hear(edge, 1);
        }
        assert!(pair.metric("doorward_shop_dates_disbelieved_total") >= 1.0);
        let offset = pair.metric("doorward_shop_server_clock_offset_seconds");
        assert!(
            (offset - f64::from(i32::try_from(off).unwrap())).abs() <= 2.0,
            "{offset}"
        );
        let is_said = |line: &String| {
            line.contains("WARN") && line.contains("further from our clock than clock_offset_max")
        };
        let times = || edge.log_lines().iter().filter(|line| is_said(line)).count();
        eventually(|| times() == 1);
    }
}

/// Within what is believed the earliest clock counts.
#[test]
fn no_server_refuses_a_login_for_the_clock_of_another_attacks_a7() {
    for (off, keys) in [
        (-60, ""),
        (60, ""),
        (-HOUR_S, "clock_offset_max = \"2h\""),
        (HOUR_S, "clock_offset_max = \"2h\""),
    ] {
        let pair = Pair::off_by(off, keys);
        let edge = &pair.edge;
        for customer in 0..6 {
            let [phone, old] = [-5, off.min(0) - 10].map(|at| token(&pair.right, customer, at));
            assert_eq!(log_out(edge, &phone), 200);
            assert!(!is_alive(edge, &phone), "the presented one");
            assert!(
                !is_alive(edge, &old),
                "older than any clock: {off} {customer}"
            );
            for issued in [0, off] {
                let login = token(&pair.wrong, customer, issued);
                assert!(
                    is_alive(edge, &login),
                    "a new login: {off} {customer} {issued}"
                );
            }
        }
    }
}

#[test]
fn one_odd_answer_changes_nothing_attacks_a7() {
    let shop = open();
    let edge = Edge::with(&table(&[shop.address()], "", SUBJECT));
    hear(&edge, 1);
    let dated = |offset_s| format!("Date: {}\r\n", date(offset_s));
    for (customer, odd) in [
        dated(-DAY_S),
        dated(YEAR_S),
        dated(-240),
        dated(240),
        dated(-YEAR_S * 30),
        format!("Age: 250\r\n{}", dated(-250)),
        format!("{}{}", dated(-200), dated(0)),
        "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n".to_owned(),
        "Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n".to_owned(),
        "Date: yesterday\r\n".to_owned(),
        "Date: -1\r\nDate: \r\n".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        shop.recite_once(ODD, lines(&odd));
        assert_eq!(edge.raw(&request("GET", ODD, &[], b"")), 200);
        let [phone, tablet] = [-60, -30].map(|issued| token(&shop, customer, issued));
        assert_eq!(log_out(&edge, &phone), 200);
        assert!(
            !is_alive(&edge, &phone) && !is_alive(&edge, &tablet),
            "{odd}"
        );
        assert!(is_alive(&edge, &token(&shop, customer, 0)), "{odd}");
    }
}

/// After a start the answer to the logout is the only one that was heard.
#[test]
fn an_odd_answer_to_the_first_logout_ends_no_cutoff_attacks_a7() {
    for offset_s in [-DAY_S, YEAR_S, 240] {
        let shop = open();
        let edge = Edge::with(&table(&[shop.address()], "", SUBJECT));
        shop.recite(LOGOUT, lines(&format!("Date: {}\r\n", date(offset_s))));
        let [phone, tablet] = [-10, -20].map(|issued| token(&shop, 1, issued));
        assert_eq!(log_out(&edge, &phone), 200);
        assert!(
            !is_alive(&edge, &phone) && !is_alive(&edge, &tablet),
            "{offset_s}"
        );
        assert!(is_alive(&edge, &token(&shop, 1, 0)), "{offset_s}");
    }
}

/// A shop that answers by Doorward alone, whose clock was never heard, behind an edge whose own clock is off.
fn with_clock_off(seconds: i64, act: impl FnOnce(&Shop, &Edge), logout: &str) {
    let folder = tempfile::tempdir().unwrap();
    let clock = FakeClock::in_folder(folder.path(), "edge");
    clock.is_off_by(seconds);
    let shop = open();
    let local = table(
        &[shop.address()],
        "",
        &format!("answer = \"local\"\n{logout}"),
    );
    let mut edge = Edge::begin(&clock.environment(), &local);
    edge.becomes_ready().unwrap();
    act(&shop, &edge);
    let pid = edge.pid();
    edge.stop();
    FakeClock::sweep_after(pid);
}

#[test]
fn the_presented_token_proves_the_shops_clock_where_ours_is_behind_attacks_r3() {
    for (revoke, path) in [
        ("subject", LOGOUT),
        ("others", LOGOUT),
        ("subject", "/_doorward/logout"),
    ] {
        let logout = format!("revoke = \"{revoke}\"\n[shop.own_logout]\n{SUBJECT}");
        let story = |shop: &Shop, edge: &Edge| {
            let (issued, end) = (now() - 5, now() + WEEK_S);
            let sign = |id, iat| shop.sign(&json!({ "jti": id, "sub": 1, "iat": iat, "exp": end }));
            let [phone, tablet] = [sign("phone", issued), sign("tablet", issued - 1)];
            let twin = sign("twin", issued);
            assert!(is_alive(edge, &tablet));
            assert_eq!(ask(edge, "POST", path, &phone), 200);
            assert_eq!(is_alive(edge, &phone), revoke == "others");
            assert!(!is_alive(edge, &tablet), "{revoke} {path}");
            assert!(!is_alive(edge, &twin), "of the same second");
            assert!(is_alive(edge, &token(shop, 1, 0)), "a new login");
        };
        with_clock_off(-20, story, &logout);
    }
}

#[test]
fn a_clock_of_ours_that_is_a_little_ahead_refuses_no_login() {
    let story = |shop: &Shop, edge: &Edge| {
        let [phone, tablet] = [-20, -10].map(|issued| token(shop, 1, issued));
        assert_eq!(log_out(edge, &phone), 200);
        assert!(!is_alive(edge, &phone) && !is_alive(edge, &tablet));
        assert!(is_alive(edge, &token(shop, 1, 0)), "a new login");
    };
    with_clock_off(1, story, SUBJECT);
}

/// The same for a token of which the shop says when it was issued.
#[test]
fn a_confirmed_token_proves_the_shops_clock_too_attacks_r3() {
    let folder = tempfile::tempdir().unwrap();
    let clock = FakeClock::in_folder(folder.path(), "edge");
    clock.is_off_by(-20);
    let shop = open();
    let ask = format!("path = \"{ASK}\"\nsubject = \"/id\"\nissued_at = \"/iat\"");
    let table = asked_shop_table(shop.address(), "", &ask);
    let opaque = format!(
        "{table}\n[[shop.logout]]\npaths = [\"{LOGOUT}\"]\nrevoke = \"subject\"\nanswer = \"local\"\n"
    );
    let mut edge = Edge::begin(&clock.environment(), &opaque);
    edge.becomes_ready().unwrap();
    let is_from = |issued: i64| {
        let said_of_it = json!({ "id": 7, "iat": now() + issued }).to_string();
        shop.recite(ASK, said(200, &said_of_it));
    };
    is_from(-5);
    assert_eq!(log_out(&edge, "phone-0123456789abcdef"), 200);
    is_from(-6);
    assert!(!is_alive(&edge, "tablet-0123456789abcdef"));
    is_from(0);
    assert!(is_alive(&edge, "later-0123456789abcdef"));
    let pid = edge.pid();
    edge.stop();
    FakeClock::sweep_after(pid);
}

/// It can only be followed where the presented token bears it out, and then no login is refused.
#[test]
fn a_shop_that_is_too_far_off_to_be_believed_refuses_no_login() {
    for off in [-HOUR_S, HOUR_S] {
        let shop = open();
        shop.set_date_offset(off);
        let edge = Edge::with(&table(&[shop.address()], "", SUBJECT));
        hear(&edge, 1);
        let [phone, tablet] = [off - 5, off - 10].map(|issued| token(&shop, 1, issued));
        assert_eq!(log_out(&edge, &phone), 200);
        assert!(
            !is_alive(&edge, &phone) && !is_alive(&edge, &tablet),
            "{off}"
        );
        assert!(is_alive(&edge, &token(&shop, 1, off)), "{off}");
    }
}

#[test]
fn how_far_a_clock_may_be_off_has_bounds_and_is_reloaded() {
    let shop = open();
    let at = |max: &str| {
        table(
            &[shop.address()],
            &format!("clock_offset_max = \"{max}\""),
            SUBJECT,
        )
    };
    for unfit in ["500ms", "25h"] {
        let refused = Edge::try_start(&at(unfit)).err().unwrap();
        assert_eq!(refused.code, Some(78));
        assert!(
            refused
                .stderr
                .contains("`clock_offset_max` is out of range"),
            "{}",
            refused.stderr
        );
    }
    shop.set_date_offset(60);
    let edge = Edge::with(&at("30s"));
    hear(&edge, 1);
    let offset = || {
        let told = edge.command(&["inspect"]).stdout;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        told["shops"][0]["clock_offset_s"].as_i64().unwrap()
    };
    assert_eq!(offset(), 0);
    edge.configure(&at("2m"));
    assert_eq!(edge.command(&["reload"]).code, Some(0));
    assert!((58..=60).contains(&offset()), "{}", offset());
}

// --- A yes that breaks off --------------------------------------------------------------------------------

/// What is left after a logout that waits for the shop's word.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// Both devices.
    Both,
    /// The other device.
    TheOther,
    /// Nothing.
    Nothing,
}

/// A logout to which the shop says this and closes: its answer, and what is left alive.
fn broken(agreed: &str, words: &str) -> (u16, Left) {
    let shop = open();
    let logout = format!("{SUBJECT}\nrevoke_when = \"shop-agreed\"\n{agreed}");
    let edge = Edge::with(&table(&[shop.address()], "", &logout));
    hear(&edge, 1);
    let [phone, tablet] = [-10, -30].map(|issued| token(&shop, 1, issued));
    if words.is_empty() {
        shop.fail(Failure::HangUp);
    } else {
        shop.recite(LOGOUT, words);
    }
    let status = log_out(&edge, &phone);
    shop.fail(Failure::None);
    let left = match (is_alive(&edge, &phone), is_alive(&edge, &tablet)) {
        (true, true) => Left::Both,
        (false, true) => Left::TheOther,
        (false, false) => Left::Nothing,
        (true, false) => panic!("the presented token lives on alone"),
    };
    assert!(is_alive(&edge, &token(&shop, 1, 0)), "a new login");
    (status, left)
}

fn short(status: u16) -> String {
    format!(
        "HTTP/1.1 {status} Said\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{{\"success\":true"
    )
}

#[test]
fn a_yes_of_the_shop_counts_from_its_head_attacks_r7() {
    let by_status = r#"agreed = { status = ["201"] }"#;
    let chunks =
        "HTTP/1.1 201 Said\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\n{\"suc";
    let long = said(201, &"x".repeat(2 << 20));
    for (agreed, words, outcome) in [
        ("", short(200), (200, Left::Nothing)),
        ("", short(202), (200, Left::Nothing)),
        (by_status, short(201), (200, Left::Nothing)),
        (by_status, chunks.to_owned(), (200, Left::Nothing)),
        (by_status, long, (200, Left::Nothing)),
        (by_status, short(200), (502, Left::Both)),
        (by_status, short(500), (502, Left::Both)),
        ("", short(302), (502, Left::Both)),
        ("", short(403), (502, Left::Both)),
        ("", String::new(), (502, Left::Both)),
    ] {
        assert_eq!(broken(agreed, &words), outcome, "{agreed} {words:.60}");
    }
}

#[test]
fn a_broken_body_that_had_to_say_yes_ends_the_presented_token_only_attacks_r7() {
    let by_body = r#"agreed = { status = ["201"], json = { "/success" = true } }"#;
    assert_eq!(broken(by_body, &short(201)), (502, Left::TheOther));
    assert_eq!(broken(by_body, &short(200)), (502, Left::Both));
}

/// What a page of another site can send ends nothing before the shop has agreed.
#[test]
fn a_foreign_page_ends_nothing_by_a_broken_body_attacks_r7() {
    let shop = open();
    let logout = format!(
        "{SUBJECT}\nagreed = {{ status = [\"200\"], json = {{ \"/success\" = true }} }}\n\
         [[shop.credential]]\ncookie = \"session\"\n"
    );
    let edge = Edge::with(&table(&[shop.address()], "", &logout));
    shop.recite(LOGOUT, short(200));
    let phone = token(&shop, 1, -10);
    let cookie = format!("session={phone}");
    let foreign = [
        ("Cookie", cookie.as_str()),
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    assert_eq!(edge.raw(&request("POST", LOGOUT, &foreign, b"")), 502);
    assert!(is_alive(&edge, &phone));
    let own = [foreign[0], ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(edge.raw(&request("POST", LOGOUT, &own, b"")), 200);
    assert!(!is_alive(&edge, &phone));
}
