//! What a route demands, and what a logout reaches: which tokens die, which live on, and who may store how much.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use doorward::clock::{self, UnixTime};
use doorward::request::{Gate, Request, Verdict};
use http::header::{AUTHORIZATION, HOST};
use serde_json::{Value, json};
use support::places::{LOGOUT, PAGE};
use support::{
    Aftermath, Answer, Customer, Edge, Scene, Shop, bare_gate, overlaid, request, shop_table,
    stateless_bagisto,
};

const WEEK_S: u64 = 7 * 24 * 3600;

impl Scene {
    #[track_caller]
    fn logs_out(&self, token: &str) {
        assert_eq!(self.log_out(token), 200, "a logout");
    }

    /// The shop answers a visit with this token.
    #[track_caller]
    fn serves(&self, what: &str, token: &str) {
        assert_eq!(self.admits(what, token), 200, "{what}");
    }
}

fn now() -> u64 {
    clock::now().seconds()
}

/// A token with these claims over those of a usual one of Alice's.
fn token(shop: &Shop, over: &Value) -> String {
    let usual = json!({ "sub": 3, "iat": now(), "exp": now() + WEEK_S });
    shop.sign(&overlaid(usual, over))
}

// ---------------------------------------------------------------------------------------------------------------
// What a route demands

const ROUTES: &str = r#"
[[shop.route]]
paths = ["/off/*"]
enforce = "off"
[[shop.route]]
paths = ["/revoked/*"]
enforce = "revoked"
[[shop.route]]
paths = ["/valid/*"]
enforce = "valid"
[[shop.route]]
paths = ["/required/*"]
enforce = "required"
"#;

/// How a request fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The shop sees it.
    Passes,
    /// Refused for its token.
    BadToken,
    /// Refused for having none.
    NoToken,
}

use Fate::{BadToken, NoToken, Passes};

#[track_caller]
fn fate(scene: &Scene, path: &str, authorization: Option<&str>) -> Fate {
    let headers: Vec<_> = authorization
        .map(|line| ("Authorization", line))
        .into_iter()
        .collect();
    let visits = scene.shop.visits();
    let answer = scene.edge.raw(&request("GET", path, &headers, b""));
    let seen = scene.shop.visits() - visits;
    let challenges = answer.headers_named("www-authenticate");
    match (seen, answer.status, challenges.as_slice()) {
        (1, _, _) => Passes,
        (0, 401, ["Bearer realm=\"main\""]) => NoToken,
        (0, 401, [challenge]) if challenge.contains("realm=\"main\", error=\"invalid_token\"") => {
            BadToken
        }
        _ => panic!("{path}: {seen} {} {challenges:?}", answer.status),
    }
}

#[test]
fn a_route_demands_what_it_says_and_no_more_standards_13_16_17_51_53_d2() {
    let scene = Scene::with(ROUTES);
    let (now, shop) = (now(), &scene.shop);
    let dead = token(shop, &json!({ "jti": "dead", "sub": 1 }));
    scene.logs_out(&dead);
    let forged = format!("{}AAAA", &dead[..dead.len() - 4]);
    let good = |over: Value| Some(format!("Bearer {}", token(shop, &over)));
    let strict = [Passes, Passes, BadToken, BadToken, Passes];
    let always = [Passes; 5];
    let never = [Passes, BadToken, BadToken, BadToken, BadToken];
    let missing = [Passes, Passes, Passes, NoToken, Passes];
    for (what, authorization, fates) in [
        ("nothing", None, missing),
        (
            "another scheme",
            Some("Basic dXNlcjpwYXNz".to_owned()),
            missing,
        ),
        ("an empty line", Some(String::new()), missing),
        ("an opaque token", Some("Bearer 17|abc".to_owned()), always),
        ("a good one", good(json!({})), always),
        ("one without an end", good(json!({ "exp": null })), always),
        (
            "one without a beginning",
            good(json!({ "iat": null })),
            always,
        ),
        (
            "one that has just expired",
            good(json!({ "exp": now - 30 })),
            always,
        ),
        (
            "one that has expired",
            good(json!({ "exp": now - 90 })),
            strict,
        ),
        (
            "one that expired long ago",
            good(json!({ "exp": 1 })),
            strict,
        ),
        (
            "one that is about to begin",
            good(json!({ "nbf": now + 30 })),
            always,
        ),
        (
            "one that has not begun",
            good(json!({ "nbf": now + 600 })),
            strict,
        ),
        ("a dead one", Some(format!("Bearer {dead}")), never),
        ("a forged one", Some(format!("Bearer {forged}")), never),
    ] {
        for (path, expected) in [
            "/off/x",
            "/revoked/x",
            "/valid/x",
            "/required/x",
            "/elsewhere",
        ]
        .iter()
        .zip(fates)
        {
            assert_eq!(
                fate(&scene, path, authorization.as_deref()),
                expected,
                "{what} at {path}"
            );
        }
    }
    let answer = scene.edge.raw(&request("GET", "/required/x", &[], b""));
    assert_eq!(
        answer.json(),
        json!({ "message": "Authentication is required" })
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn a_dead_token_stays_dead_when_its_time_is_over_and_before_it_begins_trap_11_trap_24() {
    let scene = Scene::with(ROUTES);
    let now = now();
    for over in [
        json!({ "exp": now - 30 }),
        json!({ "exp": now - 600 }),
        json!({ "exp": 1 }),
        json!({ "nbf": now + 600 }),
    ] {
        let mut over = over;
        over["jti"] = json!(over.to_string());
        over["sub"] = json!(over.to_string());
        let token = token(&scene.shop, &over);
        let bearer = format!("Bearer {token}");
        assert_eq!(fate(&scene, "/revoked/x", Some(&bearer)), Passes, "{over}");
        let stored = scene.stored();
        Customer::holding(&scene.shop, token).log_out(&scene.edge);
        assert_eq!(
            scene.stored(),
            stored + 2,
            "{over}: the token and its customer"
        );
        for path in ["/revoked/x", "/valid/x", "/required/x", "/elsewhere"] {
            assert_eq!(
                fate(&scene, path, Some(&bearer)),
                BadToken,
                "{over} at {path}"
            );
        }
    }
}

/// Whether a token passes at this second.
fn passes(gate: &Gate, path: &str, claims: &str, second: u64) -> bool {
    let shop = stateless_bagisto();
    let bearer = format!(
        "Bearer {}",
        shop.sign(&serde_json::from_str(claims).unwrap())
    );
    let request = http::Request::get(path)
        .header(HOST, "shop.example.com")
        .header(AUTHORIZATION, bearer);
    let (head, ()) = request.body(()).unwrap().into_parts();
    let verdict = gate.judge(&Request::new(&head, None), UnixTime::from_seconds(second));
    matches!(verdict, Ok(Verdict::Forward { .. }))
}

#[test]
fn the_leeway_ends_to_the_second_standards_51_53_55() {
    const END: u64 = 1_800_000_000;
    for leeway in [0, 5, 60, 600] {
        let (gate, _home) = bare_gate(&format!("token.leeway = \"{leeway}s\"\n{ROUTES}"));
        let passes = |path: &str, claims: &str, second: u64| passes(&gate, path, claims, second);
        for path in ["/valid/x", "/required/x"] {
            let ends = format!("{{\"exp\":{END}}}");
            assert!(
                passes(path, &ends, END + leeway - 1),
                "before its end, {leeway}"
            );
            assert!(!passes(path, &ends, END + leeway), "at its end, {leeway}");
            let ends_between = format!("{{\"exp\":{END}.5}}");
            assert!(
                passes(path, &ends_between, END + leeway),
                "before its end, {leeway}"
            );
            assert!(
                !passes(path, &ends_between, END + leeway + 1),
                "after its end, {leeway}"
            );
            let begins = format!("{{\"nbf\":{END}}}");
            assert!(
                !passes(path, &begins, END - leeway - 1),
                "before its beginning, {leeway}"
            );
            assert!(
                passes(path, &begins, END - leeway),
                "at its beginning, {leeway}"
            );
        }
        assert!(passes(
            "/revoked/x",
            &format!("{{\"exp\":{END}}}"),
            END + 1_000_000
        ));
        assert!(passes(
            "/revoked/x",
            &format!("{{\"nbf\":{END}}}"),
            END - 1_000_000
        ));
    }
}

#[test]
fn a_token_from_the_far_future_is_refused_trap_14() {
    let scene = Scene::with(ROUTES);
    let day = 24 * 3600;
    for iat in [now() + day + 60, now() + 365 * day, 2_000_000_000_000] {
        let token = token(&scene.shop, &json!({ "iat": iat, "exp": null }));
        scene.turns_away("issued in the future", &token);
        assert_eq!(
            Customer::holding(&scene.shop, token).log_out(&scene.edge),
            401
        );
    }
    assert_eq!(scene.stored(), 0);
    scene.serves(
        "a clock that is wrong",
        &token(&scene.shop, &json!({ "iat": now() + day - 60 })),
    );
    let derived =
        Scene::with("token.claims.issued_at = { from = \"expires_at\", minus = \"1h\" }\n");
    derived.turns_away(
        "too far in the future",
        &token(&derived.shop, &json!({ "exp": now() + day + 7200 })),
    );
}

// ---------------------------------------------------------------------------------------------------------------
// What a logout reaches

#[test]
fn logging_out_everywhere_ends_every_device_and_spares_everybody_else_d4() {
    let scene = Scene::with("");
    let shop = &scene.shop;
    shop.set_date_offset(-10);
    let [phone, tablet] = [shop.sign_in("alice"), shop.sign_in("alice")];
    let bob = shop.sign_in("bob");
    shop.set_date_offset(0);
    let mut alice = Customer::signed_in(shop);
    for token in [&phone, &tablet, &bob, alice.token()] {
        scene.serves("before the logout", token);
    }
    let laptop = alice.token().to_owned();
    assert_eq!(alice.log_out(&scene.edge), 200);
    for (device, token) in [("phone", &phone), ("tablet", &tablet), ("laptop", &laptop)] {
        let answer = scene.turns_away(device, token);
        assert_eq!(answer.json(), json!({ "message": "The token was revoked" }));
    }
    scene.serves("somebody else", &bob);
    assert_eq!(alice.log_in(&scene.edge), 200);
    scene.serves("a new login", alice.token());
    assert_eq!(alice.log_out(&scene.edge), 200);
    scene.turns_away("the new login after its own logout", alice.token());
    scene.serves("somebody else", &bob);
}

#[test]
fn a_name_and_a_number_are_one_customer_d3() {
    let scene = Scene::with("");
    let earlier = now() - 10;
    let number = token(&scene.shop, &json!({ "sub": 3, "iat": earlier }));
    let text = token(&scene.shop, &json!({ "sub": "3", "iat": earlier }));
    scene.logs_out(&number);
    scene.turns_away("the same customer by a name", &text);
    scene.serves(
        "another",
        &token(&scene.shop, &json!({ "sub": "1", "iat": earlier })),
    );
}

/// Tells a story that begins and ends within one second; again, where the clock would not have it.
fn within_one_second(mut story: impl FnMut(u64) -> Vec<(&'static str, bool)>) {
    for _ in 0..50 {
        let began = now();
        let told = story(began);
        if now() == began {
            for (what, so) in told {
                assert!(so, "{what}");
            }
            return;
        }
    }
    panic!("no second is long enough");
}

#[test]
fn a_login_in_the_second_of_the_logout_works_and_the_second_before_is_over_trap_13_d4() {
    let scene = Scene::with("");
    let mut serial = 0;
    within_one_second(|second| {
        serial += 1;
        let customer = format!("customer{serial}");
        // Whoever the shop knows under that name: its subject stands in the token.
        let subject = subject_of(&scene.shop.sign_in(&customer));
        let at = |iat: u64, jti: &str| {
            token(
                &scene.shop,
                &json!({ "sub": subject, "iat": iat, "jti": format!("{serial}{jti}") }),
            )
        };
        let (before, presented) = (at(second - 1, "before"), at(second, "presented"));
        let (same, after) = (at(second, "same"), at(second + 1, "after"));
        scene.logs_out(&presented);
        vec![
            ("the second before is over", scene.visit(&before) == 401),
            (
                "the presented token is dead",
                scene.visit(&presented) == 401,
            ),
            (
                "a login in the same second works",
                scene.visit(&same) == 200,
            ),
            (
                "a login in the next second works",
                scene.visit(&after) == 200,
            ),
        ]
    });
}

fn subject_of(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    claims["sub"].clone()
}

#[test]
fn whoever_logs_in_right_after_a_logout_is_never_refused_trap_18() {
    let scene = Scene::with("");
    let mut alice = Customer::signed_in(&scene.shop);
    for round in 0..30 {
        assert_eq!(alice.log_out(&scene.edge), 200, "round {round}");
        let dead = alice.token().to_owned();
        assert_eq!(alice.log_in(&scene.edge), 200, "round {round}");
        assert_eq!(alice.visit(&scene.edge, PAGE), 200, "round {round}");
        assert_eq!(scene.visit(&dead), 401, "round {round}");
    }
}

#[test]
fn a_session_ends_with_all_its_tokens_and_no_others_d4() {
    let scene = Scene::with("revoke = \"session\"\n");
    let at = |sid: &str, iat: u64| {
        token(
            &scene.shop,
            &json!({ "sid": sid, "iat": iat, "jti": format!("{sid}{iat}") }),
        )
    };
    let (now, earlier) = (now(), now() - 100);
    let [first, refreshed, other] = [at("s-1", earlier), at("s-1", now), at("s-2", earlier)];
    scene.logs_out(&first);
    scene.turns_away("the presented one", &first);
    scene.turns_away("another of its session", &refreshed);
    scene.turns_away("one that the session gets later", &at("s-1", now + 100));
    scene.serves("another session of the same customer", &other);
    let bare = token(&scene.shop, &json!({ "jti": "bare" }));
    scene.logs_out(&bare);
    scene.turns_away("one without a session", &bare);
    scene.serves(
        "another without a session",
        &token(&scene.shop, &json!({ "jti": "bare-2" })),
    );
}

#[test]
fn a_token_alone_ends_and_nothing_else_d4() {
    let scene = Scene::with("revoke = \"token\"\n");
    let at = |jti: &str| {
        token(
            &scene.shop,
            &json!({ "sid": "s-1", "iat": now() - 100, "jti": jti }),
        )
    };
    let [dead, sibling] = [at("a-1"), at("a-2")];
    scene.logs_out(&dead);
    scene.turns_away("the presented one", &dead);
    scene.turns_away(
        "the same id in another token",
        &token(
            &scene.shop,
            &json!({ "jti": "a-1", "x": 1, "iat": now() - 100 }),
        ),
    );
    scene.serves("another of the same customer and session", &sibling);
    assert_eq!(scene.stored(), 1);
}

#[test]
fn without_a_time_of_issue_a_logout_ends_what_was_seen_before_it_trap_14() {
    let scene = Scene::with("");
    let timeless =
        |jti: &str, sub: u64| token(&scene.shop, &json!({ "iat": null, "jti": jti, "sub": sub }));
    scene.serves("before the logout", &timeless("a-2", 3));
    scene.logs_out(&timeless("a-1", 3));
    scene.turns_away("another of the customer", &timeless("a-2", 3));
    scene.serves("a login after it", &timeless("a-3", 3));
    scene.serves("somebody else's", &timeless("b-1", 1));
}

#[test]
fn the_time_of_issue_may_follow_from_the_end_trap_14() {
    let scene = Scene::with("token.claims.issued_at = { from = \"expires_at\", minus = \"1h\" }\n");
    let issued = |iat: u64, jti: &str| {
        // What the token says of its issue does not count, where it is said to follow from the end.
        token(
            &scene.shop,
            &json!({ "exp": iat + 3600, "iat": null, "jti": jti }),
        )
    };
    let (old, presented) = (issued(now() - 10, "old"), issued(now(), "presented"));
    scene.serves("before", &old);
    let endless = token(&scene.shop, &json!({ "exp": null, "jti": "endless" }));
    scene.serves("one without an end has no beginning", &endless);
    scene.logs_out(&presented);
    scene.turns_away("the presented one", &presented);
    scene.turns_away("an older one", &old);
    scene.serves("a new login", &issued(now() + 1, "new"));
    scene.turns_away("what was seen before has ended", &endless);
}

#[test]
fn a_shop_with_a_wrong_clock_loses_no_login_and_keeps_no_old_token_d4() {
    for offset in [90, -90, 3600, -3600] {
        let scene = Scene::with("clock_offset_max = \"2h\"\n");
        let shop = &scene.shop;
        shop.set_date_offset(offset - 10);
        let old = shop.sign_in("alice");
        shop.set_date_offset(offset);
        let bob = shop.sign_in("bob");
        scene.serves("one answer", &bob);
        let learnt = scene.inspect()["shops"][0]["clock_offset_s"]
            .as_i64()
            .unwrap();
        assert!(
            (offset - 2..=offset).contains(&learnt),
            "{learnt} for {offset}"
        );
        let mut alice = Customer::signed_in(shop);
        scene.serves("before the logout", &old);
        assert_eq!(alice.log_out(&scene.edge), 200);
        scene.turns_away("an old token", &old);
        scene.turns_away("the presented one", alice.token());
        assert_eq!(alice.log_in(&scene.edge), 200);
        scene.serves("a new login", alice.token());
        scene.serves("somebody else", &bob);
    }
}

/// After a start the shop's clock is not known; the first request may be a logout.
#[test]
fn a_logout_before_any_answer_of_the_shop_is_timed_by_its_own_answer_d4() {
    for offset in [90, -90, 3600, -3600] {
        let scene = Scene::with("");
        let shop = &scene.shop;
        shop.set_date_offset(offset - 10);
        let old = shop.sign_in("alice");
        shop.set_date_offset(offset);
        let mut alice = Customer::signed_in(shop);
        assert_eq!(alice.log_out(&scene.edge), 200);
        scene.turns_away("an old token", &old);
        scene.turns_away("the presented one", alice.token());
        assert_eq!(alice.log_in(&scene.edge), 200);
        scene.serves("a new login", alice.token());
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Several shops

/// Two shops with one secret on one edge.
struct Mall {
    shops: [Shop; 2],
    edge: Edge,
}

impl Mall {
    fn with(more: &str) -> Self {
        let shops = [stateless_bagisto(), stateless_bagisto()];
        let [one, two] = &shops;
        let second = shop_table(two).replace("name = \"main\"", "name = \"other\"");
        let edge = Edge::with(&format!(
            "{}hosts = [\"main.example.com\"]\n{more}\n{second}hosts = [\"other.example.com\"]\n{more}\n",
            shop_table(one)
        ));
        Self { shops, edge }
    }

    fn send(&self, shop: usize, method: &str, target: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let host = ["main.example.com", "other.example.com"][shop];
        let headers = [
            ("Host", host),
            ("Authorization", bearer.as_str()),
            ("X-STOREFRONT-KEY", Shop::KEY),
        ];
        self.edge.raw(&request(method, target, &headers, b""))
    }

    fn log_out(&self, shop: usize, token: &str) -> Answer {
        self.send(shop, "POST", LOGOUT, token)
    }

    /// Whether a visit reaches the shop.
    #[track_caller]
    fn admits(&self, shop: usize, token: &str) -> bool {
        let visits = self.shops[shop].visits();
        let answer = self.send(shop, "GET", PAGE, token);
        let seen = self.shops[shop].visits() > visits;
        assert_eq!(answer.status, if seen { 200 } else { 401 });
        seen
    }
}

/// A token of each kind, all of one customer: by its id, without one, opaque, and one of another device.
fn tokens_of_every_kind(shop: &Shop) -> [(&'static str, String); 4] {
    let earlier = now() - 100;
    [
        (
            "by its id",
            token(shop, &json!({ "jti": "a-1", "sub": 1, "iat": earlier })),
        ),
        (
            "without an id",
            token(shop, &json!({ "sub": 2, "iat": earlier })),
        ),
        (
            "by its customer",
            token(shop, &json!({ "sub": 3, "jti": "a-3", "iat": earlier })),
        ),
        (
            "of a session",
            token(
                shop,
                &json!({ "sub": 4, "jti": "a-4", "sid": "s-4", "iat": earlier }),
            ),
        ),
    ]
}

#[test]
fn a_logout_at_one_shop_is_none_at_another_trap_8_d3() {
    let mall = Mall::with("");
    for (kind, token) in tokens_of_every_kind(&mall.shops[0]) {
        assert_eq!(mall.log_out(0, &token), 200, "{kind}");
        assert!(!mall.admits(0, &token), "{kind}: dead where it logged out");
        assert!(mall.admits(1, &token), "{kind}: alive at the other");
        assert_eq!(mall.log_out(1, &token), 200, "{kind}");
        assert!(!mall.admits(1, &token), "{kind}: now there too");
    }
}

#[test]
fn shops_of_one_token_domain_share_their_logouts_trap_27_d3() {
    let mall = Mall::with("token.token_domain = \"group\"");
    for (kind, dead) in tokens_of_every_kind(&mall.shops[0]) {
        assert!(mall.admits(1, &dead), "{kind}");
        assert_eq!(mall.log_out(0, &dead), 200, "{kind}");
        for shop in [0, 1] {
            assert!(!mall.admits(shop, &dead), "{kind} at {shop}");
        }
    }
    let other_device = token(
        &mall.shops[0],
        &json!({ "sub": 3, "jti": "b-3", "iat": now() - 50 }),
    );
    assert!(
        !mall.admits(1, &other_device),
        "the customer's other device at the other shop"
    );
    let opaque = opaque(7);
    mall.log_out(0, &opaque);
    for shop in [0, 1] {
        assert_eq!(
            mall.send(shop, "GET", PAGE, &opaque)
                .header("www-authenticate")
                .map(|line| line.contains("revoked")),
            Some(true)
        );
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Who may store how much

/// A token as Sanctum makes them: only the shop can verify it.
fn opaque(number: usize) -> String {
    format!("{number}|{}{number:08}", "a1B2c3D4".repeat(5)) // Sanctum's are known by what follows the row
}

/// One logout of a token that can't be verified.
fn log_out_opaque(edge: &Edge, number: usize, forwarded_for: Option<&str>) -> Answer {
    let bearer = format!("Bearer {}", opaque(number));
    let mut headers = vec![
        ("Authorization", bearer.as_str()),
        ("X-STOREFRONT-KEY", Shop::KEY),
    ];
    headers.extend(forwarded_for.map(|hops| ("X-Forwarded-For", hops)));
    edge.raw(&request("POST", LOGOUT, &headers, b""))
}

/// Begins again with another edge when the minute is over before the story is.
fn within_one_minute_of(open: impl Fn() -> Scene, mut story: impl FnMut(&Scene)) {
    for _ in 0..5 {
        let scene = open();
        let minute = now() / 60;
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story(&scene)));
        if now() / 60 == minute {
            return told.unwrap_or_else(|why| std::panic::resume_unwind(why));
        }
    }
    panic!("no minute is long enough");
}

/// An edge with these keys of its shop, within one minute.
fn within_one_minute(config: &str, story: impl FnMut(&Scene)) {
    let more = format!("answer = \"local\"\n{config}");
    within_one_minute_of(|| Scene::with(&more), story);
}

/// An edge behind a proxy that it trusts, within one minute.
fn behind_a_proxy(mut story: impl FnMut(&Edge)) {
    let open = || {
        let shop = stateless_bagisto();
        let config_toml = format!(
            "trusted_proxies = [\"127.0.0.1\"]\n{}answer = \"local\"\nlimits.unverified_per_client_minute = 2\n",
            shop_table(&shop)
        );
        Scene::configured(shop, &config_toml)
    };
    within_one_minute_of(open, |scene| story(&scene.edge));
}

#[test]
fn the_31st_unverified_logout_of_a_client_in_a_minute_is_429_standards_70_trap_25() {
    within_one_minute("", |scene| {
        for number in 0..30 {
            assert_eq!(log_out_opaque(&scene.edge, number, None), 200, "{number}");
        }
        assert_eq!(scene.stored(), 30);
        for number in 30..33 {
            let visits = scene.shop.visits();
            let answer = log_out_opaque(&scene.edge, number, None);
            assert_eq!(answer, 429, "{number}");
            let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
            assert_eq!(
                answer.header("cache-control"),
                Some("no-store"),
                "standards 25"
            );
            assert_eq!(scene.shop.visits(), visits, "{number}");
        }
        assert_eq!(scene.stored(), 30, "nothing was stored");
        let visits = scene.shop.visits();
        scene.visit(&opaque(31));
        assert_eq!(
            scene.shop.visits(),
            visits + 1,
            "what could not log out is alive"
        );
        for number in [0, 29] {
            scene.turns_away("what did is dead", &opaque(number));
        }
        for number in 0..40 {
            let verified = token(
                &scene.shop,
                &json!({ "sub": 1, "jti": format!("v-{number}"), "iat": now() + 100 }),
            );
            scene.logs_out(&verified);
        }
    });
}

#[test]
fn the_limit_of_a_client_is_what_the_operator_says() {
    within_one_minute("limits.unverified_per_client_minute = 2\n", |scene| {
        let answers = [0, 1, 2].map(|number| log_out_opaque(&scene.edge, number, None).status);
        assert_eq!(answers, [200, 200, 429]);
        assert_eq!(scene.stored(), 2);
    });
    within_one_minute("limits.unverified_per_client_minute = 0\n", |scene| {
        assert_eq!(log_out_opaque(&scene.edge, 0, None), 429);
        assert_eq!(scene.stored(), 0);
    });
}

#[test]
fn a_client_cannot_give_itself_another_address_standards_124() {
    within_one_minute("limits.unverified_per_client_minute = 2\n", |scene| {
        let answers = [0, 1, 2, 3].map(|number| {
            log_out_opaque(&scene.edge, number, Some(&format!("198.51.100.{number}"))).status
        });
        assert_eq!(answers, [200, 200, 429, 429]);
    });
}

#[test]
fn behind_a_trusted_proxy_every_client_has_its_share_standards_124() {
    behind_a_proxy(|edge| {
        for client in 0..3 {
            let address = format!("198.51.100.{client}");
            let answers = [0, 1, 2]
                .map(|number| log_out_opaque(edge, 10 * client + number, Some(&address)).status);
            assert_eq!(answers, [200, 200, 429], "{address}");
        }
    });
}

/// The proxy appends the address it saw; what stands before that is the client's own word.
#[test]
fn behind_a_trusted_proxy_no_client_can_give_itself_another_address_standards_124() {
    for own_word in [
        "198.51.100.N",
        "198.51.100.N, x",
        "198.51.100.N, ",
        "x, 198.51.100.N",
        "198.51.100.N, [::1]:80, 127.0.0.1",
    ] {
        behind_a_proxy(|edge| {
            let answers = [0, 1, 2, 3].map(|number| {
                let hops = format!(
                    "{}, 203.0.113.7",
                    own_word.replace('N', &number.to_string())
                );
                log_out_opaque(edge, number, Some(&hops)).status
            });
            assert_eq!(answers, [200, 200, 429, 429], "{own_word}");
        });
    }
}

#[test]
fn a_shop_stores_as_much_unverified_as_it_may_and_evicts_nothing_trap_1() {
    let mut scene = Scene::with("answer = \"local\"\nlimits.unverified_entries = 3\n");
    for number in 0..3 {
        assert_eq!(log_out_opaque(&scene.edge, number, None), 200);
    }
    let full = |scene: &Scene| {
        let stored = scene.stored();
        let answer = log_out_opaque(&scene.edge, 9, None);
        assert_eq!(answer, 429);
        assert!(answer.header("retry-after").is_some());
        assert_eq!(scene.stored(), stored);
        for number in 0..3 {
            scene.turns_away("an earlier one", &opaque(number));
        }
    };
    full(&scene);
    let verified = token(&scene.shop, &json!({ "jti": "a-1" }));
    scene.logs_out(&verified);
    scene.turns_away("a verified one", &verified);
    assert_eq!(
        scene.stored(),
        5,
        "a verified token and its customer are not counted"
    );
    full(&scene);
    scene.edge.restart();
    assert_eq!(scene.stored(), 5);
    full(&scene);
}

#[test]
fn the_cap_of_one_shop_is_not_the_cap_of_another_d3() {
    let mall = Mall::with("answer = \"local\"\nlimits.unverified_entries = 2");
    for shop in [0, 1] {
        let answers =
            [0, 1, 2].map(|number| mall.log_out(shop, &opaque(10 * shop + number)).status);
        assert_eq!(answers, [200, 200, 429], "{shop}");
    }
}

#[test]
fn a_token_that_could_not_be_the_shops_logs_nobody_out_standards_70_128() {
    let scene = Scene::with("answer = \"local\"\n");
    for bearer in [
        "9f1c2a7e-guest-cart-uuid",
        "17|short",
        "x",
        "17|",
        "|abc",
        "abc.def",
    ] {
        let visits = scene.shop.visits();
        assert_eq!(
            Customer::holding(&scene.shop, bearer.to_owned()).log_out(&scene.edge),
            401,
            "{bearer}"
        );
        assert_eq!(scene.shop.visits(), visits);
        scene.visit(bearer);
        assert_eq!(
            scene.shop.visits(),
            visits + 1,
            "{bearer} is somebody's cart"
        );
    }
    assert_eq!(scene.stored(), 0);
}

#[test]
fn a_logout_without_a_token_or_without_the_shops_key_stores_nothing() {
    for answer in ["local", "forward"] {
        let scene = Scene::with(&format!("answer = \"{answer}\"\n"));
        let alice = Customer::signed_in(&scene.shop);
        let bearer = format!("Bearer {}", alice.token());
        let key = ("X-STOREFRONT-KEY", Shop::KEY);
        for (headers, status) in [
            (vec![key], 400),
            (vec![key, ("Authorization", "Basic dXNlcjpwYXNz")], 400),
            (vec![("Authorization", bearer.as_str())], 401),
            (
                vec![
                    ("Authorization", bearer.as_str()),
                    ("X-STOREFRONT-KEY", "pk_storefront_no"),
                ],
                403,
            ),
            (vec![("Authorization", bearer.as_str()), key, key], 401),
        ] {
            let visits = scene.shop.visits();
            let answer = scene.edge.raw(&request("POST", LOGOUT, &headers, b""));
            assert_eq!(answer, status, "{}", answer.text());
            assert_eq!(scene.shop.visits(), visits);
        }
        assert_eq!(scene.stored(), 0);
        scene.serves("alice", alice.token());
    }
}

/// Some proxies write the port, too (Azure), and newer ones write `Forwarded` (RFC 7239).
#[test]
fn customers_behind_a_proxy_have_a_limit_each_however_it_writes_addresses_attacks_b8() {
    behind_a_proxy(|edge| {
        let mut number = 0;
        let mut log_out = |name: &str, value: &str| {
            number += 1;
            let bearer = format!("Bearer {}", opaque(number));
            let headers = [
                ("Authorization", bearer.as_str()),
                ("X-STOREFRONT-KEY", Shop::KEY),
                (name, value),
            ];
            edge.raw(&request("POST", LOGOUT, &headers, b"")).status
        };
        for (name, spellings) in [
            (
                "X-Forwarded-For",
                ["203.0.113.1:40001", "203.0.113.1", "\"203.0.113.1:40002\""],
            ),
            (
                "X-Forwarded-For",
                ["203.0.113.2:1", "203.0.113.2:2", "::ffff:203.0.113.2"],
            ),
            (
                "X-Forwarded-For",
                ["2001:db8::1", "[2001:db8::1]:443", "[2001:DB8::1]"],
            ),
            (
                "X-Forwarded-For",
                [
                    "unknown, 203.0.113.3:9",
                    "203.0.113.3, 127.0.0.1:5",
                    "10.0.0.1:1,203.0.113.3:7",
                ],
            ),
            (
                "Forwarded",
                [
                    "for=203.0.113.4",
                    "for=\"203.0.113.4:4711\";proto=https",
                    "By=_a;FOR=203.0.113.4",
                ],
            ),
            (
                "Forwarded",
                [
                    "for=\"[2001:db8:1::1]:443\"",
                    "for=\"[2001:db8:1::1]\"",
                    "for=unknown, for=\"[2001:db8:1::1]\"",
                ],
            ),
        ] {
            let statuses = spellings.map(|value| log_out(name, value));
            assert_eq!(statuses, [200, 200, 429], "{name}: {spellings:?}");
        }
    });
}

/// A browser sends a preflight without credentials (Fetch, section 4.8).
#[test]
fn a_preflight_passes_whatever_a_route_demands_field_f6() {
    let scene = Aftermath::with(
        "[[shop.route]]\npaths = [\"/account\", \"/account/*\"]\nenforce = \"required\"\n\
         [[shop.route]]\npaths = [\"/valid/*\"]\nenforce = \"valid\"\n\
         [[shop.logout]]\npaths = [\"/leave\"]\n",
    );
    let origin = ("Origin", "https://app.example.com");
    let asks = ("Access-Control-Request-Method", "POST");
    let dead = format!("Bearer {}", scene.dead);
    for path in ["/account", "/account/orders", "/valid/x", "/leave", LOGOUT] {
        let seen = scene.passes(&request("OPTIONS", path, &[origin, asks], b""));
        assert_eq!(seen.method, "OPTIONS", "{path}");
        let with_token = [origin, asks, ("Authorization", dead.as_str())];
        scene.stops(401, &request("OPTIONS", path, &with_token, b""));
    }
    // What is no preflight is judged as ever.
    for (method, headers) in [
        ("OPTIONS", vec![origin]),
        ("OPTIONS", vec![asks]),
        ("OPTIONS", vec![]),
        ("GET", vec![origin, asks]),
        ("POST", vec![origin, asks]),
    ] {
        scene.stops(401, &request(method, "/account", &headers, b""));
    }
}

/// No browser names another method on a preflight: to the frameworks that obey, it is that method's request.
#[test]
fn what_names_another_method_is_no_preflight() {
    let scene = Aftermath::with(
        "[[shop.route]]\npaths = [\"/account\"]\nenforce = \"required\"\n\
         [[shop.logout]]\npaths = [\"/leave\"]\nmethods = [\"DELETE\"]\nclient_key = false\n",
    );
    let asks = [
        ("Origin", "https://app.example.com"),
        ("Access-Control-Request-Method", "POST"),
    ];
    scene.passes(&request("OPTIONS", "/account", &asks, b""));
    for name in [
        "X-HTTP-Method-Override",
        "x-http-method",
        "X-Method-Override",
        "X_HTTP_Method_Override",
    ] {
        let headers = [&asks[..], &[(name, "GET")]].concat();
        scene.stops(401, &request("OPTIONS", "/account", &headers, b""));
    }
    for target in ["/account?_method=GET", "/account?a=b&_METHOD=get"] {
        scene.stops(401, &request("OPTIONS", target, &asks, b""));
    }
    let live = format!("Bearer {}", scene.live);
    let more = [
        ("X-HTTP-Method-Override", "DELETE"),
        ("Authorization", live.as_str()),
    ];
    let headers = [&asks[..], &more[..]].concat();
    assert_eq!(
        scene.edge.raw(&request("OPTIONS", "/leave", &headers, b"")),
        200
    );
    assert_eq!(scene.visit(&scene.live), 401);
}
