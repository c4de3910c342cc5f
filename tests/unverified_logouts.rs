//! Logouts of credentials that can't be verified: invented ones can't fill the store, and a real one is never turned away
//! or forgotten for them.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use doorward::demo::shop::Mood;
use support::places::{LOGOUT, OWN_LOGOUT, PAGE};
use support::{
    Answer, Cluster, Customer, Edge, Failure, FakeClock, Scene, Shop, Storefront, asked_shop_table,
    eventually, opaque_shop_table, request, said, shop_table, stateless_bagisto,
};

const CAP: usize = 50;

/// The limits of an attacked shop: no client is over its own, so that the store is.
const LIMITS: &str =
    "limits.unverified_entries = 50\nlimits.unverified_per_client_minute = 10000\n";

/// A token that looks like one of Sanctum's and that no shop has issued.
fn made_up(number: usize) -> String {
    format!("{number}|{}{number:08}", "a1B2c3D4".repeat(5))
}

/// A request with this bearer, as clients of Bagisto send it.
fn send(
    edge: &Edge,
    (method, path): (&str, &str),
    token: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let bearer = format!("Bearer {token}");
    let own = [("X-STOREFRONT-KEY", Shop::KEY), ("Authorization", &bearer)];
    edge.raw(&request(method, path, &[&own, headers].concat(), b""))
}

fn log_out(edge: &Edge, token: &str) -> u16 {
    send(edge, ("POST", LOGOUT), token, &[]).status
}

fn log_out_from(edge: &Edge, client: &str, token: &str) -> u16 {
    send(
        edge,
        ("POST", LOGOUT),
        token,
        &[("X-Forwarded-For", client)],
    )
    .status
}

/// How many entries of a kind the metrics tell of.
fn held(edge: &Edge, kind: &str) -> usize {
    let sample = format!("doorward_unverified_entries{{shop=\"main\",kind=\"{kind}\"}} ");
    let metrics = edge.metrics();
    let mut values = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(&sample));
    values
        .next()
        .unwrap_or_else(|| panic!("{metrics}"))
        .parse()
        .unwrap()
}

/// Logouts of made-up tokens until the shop's store is full; the shop knows none of them.
#[track_caller]
fn fill(edge: &Edge, log_out: impl Fn(&Edge, &str) -> u16) {
    for number in 0..CAP {
        assert_ne!(log_out(edge, &made_up(number)), 429, "{number}");
    }
    assert_eq!(log_out(edge, &made_up(CAP)), 429);
    assert_eq!((held(edge, "unconfirmed"), held(edge, "likely")), (CAP, 0));
}

/// Customers of a shop with opaque tokens, whose logout is told and means nothing.
struct Sanctum {
    scene: Scene,
}

impl Sanctum {
    fn attacked() -> Self {
        let shop = Shop::open(Storefront::BagistoApi, Mood::Stateless).unwrap();
        let scene = Scene::of(shop, LIMITS);
        fill(&scene.edge, |edge, token| {
            let path = "/api/shop/customer/logout";
            send(edge, ("POST", path), token, &[]).status
        });
        Self { scene }
    }

    /// As many real customers as would fill the store, and more; their tokens, dead now.
    #[track_caller]
    fn customers_log_out(&self) -> Vec<String> {
        let Scene { shop, edge, .. } = &self.scene;
        let tokens: Vec<_> = (0..CAP + 10).map(|_| shop.sign_in("alice")).collect();
        for token in &tokens {
            let customer = Customer::holding(shop, token.clone());
            let answer = customer.log_out(edge);
            assert_eq!(
                (answer.status, answer.json()["success"].as_bool()),
                (201, Some(true))
            );
        }
        tokens
    }

    #[track_caller]
    fn expect_dead(&self, tokens: &[String]) {
        for token in tokens {
            self.scene.turns_away("a customer's", token);
        }
    }
}

#[test]
fn a_full_store_stops_no_confirmed_logout_also_after_a_restart_attacks_b5() {
    let mut sanctum = Sanctum::attacked();
    let before = sanctum.customers_log_out();
    sanctum.expect_dead(&before);
    sanctum.scene.edge.restart();
    assert_eq!(held(&sanctum.scene.edge, "unconfirmed"), CAP);
    let path = "/api/shop/customer/logout";
    let junk = send(&sanctum.scene.edge, ("POST", path), &made_up(99), &[]);
    assert_eq!(junk, 429, "it is still full");
    let after = sanctum.customers_log_out();
    sanctum.expect_dead(&before);
    sanctum.expect_dead(&after);
    assert_eq!(
        held(&sanctum.scene.edge, "likely"),
        0,
        "what is proved is not counted"
    );
}

#[test]
fn a_full_store_stops_no_logout_of_a_verified_token_attacks_b5() {
    let scene = Scene::with(&format!("answer = \"local\"\n{LIMITS}"));
    fill(&scene.edge, log_out);
    for _ in 0..3 {
        let alice = Customer::signed_in(&scene.shop);
        assert_eq!(alice.log_out(&scene.edge), 200);
        scene.turns_away("a verified one", alice.token());
    }
}

#[test]
fn a_store_that_is_full_everywhere_stops_no_confirmed_logout_on_another_node_attacks_b5() {
    let shop = Shop::open(Storefront::BagistoApi, Mood::Stateless).unwrap();
    let table = format!("{}{LIMITS}", shop_table(&shop));
    let cluster = Cluster::of(&["a", "b"]).serving(table).start();
    let out = |edge: &Edge, token: &str| {
        send(edge, ("POST", "/api/shop/customer/logout"), token, &[]).status
    };
    fill(&cluster["a"], out);
    eventually(|| held(&cluster["b"], "unconfirmed") == CAP);
    assert_eq!(out(&cluster["b"], &made_up(99)), 429, "it is one store");
    let token = shop.sign_in("alice");
    assert_eq!(out(&cluster["b"], &token), 201);
    for node in ["a", "b"] {
        eventually(|| send(&cluster[node], ("GET", PAGE), &token, &[]) == 401);
    }
}

/// A shop that answers every logout with 200: its yes says nothing, and what rests on it is bounded.
#[test]
fn made_up_tokens_cannot_fill_the_store_of_a_shop_that_says_yes_to_everything_attacks_b5() {
    let shop = stateless_bagisto();
    shop.recite("/bye", said(200, "{}"));
    let table =
        opaque_shop_table(&shop) + "unverified_entries = 5\n[[shop.logout]]\npaths = [\"/bye\"]\n";
    let edge = Edge::with(&table);
    let out = |number| send(&edge, ("POST", "/bye"), &made_up(number), &[]).status;
    for number in 0..10 {
        assert_eq!(out(number), 200, "{number}");
    }
    for number in 10..20 {
        assert_eq!(out(number), 429, "{number}");
    }
    assert_eq!((held(&edge, "unconfirmed"), held(&edge, "likely")), (5, 5));
    assert!(
        edge.metrics()
            .contains("doorward_limits_hit_total{limit=\"unverified_entries\"} 10")
    );
}

/// What the shop has accepted where it demands a token is known on every node, also after a restart.
#[test]
fn a_token_that_the_shop_has_accepted_logs_out_of_a_full_store_attacks_b5() {
    let shop = stateless_bagisto();
    shop.recite("/account/me", said(200, "{}"));
    shop.recite("/public", said(200, "{}"));
    let table = format!(
        "{}unverified_entries = 5\n[[shop.route]]\npaths = [\"/account/*\"]\nenforce = \"required\"\n",
        opaque_shop_table(&shop)
    );
    let mut cluster = Cluster::of(&["a", "b"]).serving(table).start();
    let out = |edge: &Edge, token: &str| send(edge, ("POST", OWN_LOGOUT), token, &[]).status;
    let (real, seen, with_cookie) = (made_up(1), made_up(2), made_up(3));
    let visit = |edge: &Edge, path: &str, token: &str, headers: &[(&str, &str)]| {
        assert_eq!(send(edge, ("GET", path), token, headers), 200);
    };
    visit(&cluster["a"], "/account/me", &real, &[]);
    visit(&cluster["a"], "/public", &seen, &[]);
    visit(
        &cluster["a"],
        "/account/me",
        &with_cookie,
        &[("Cookie", "session=of-somebody-real")],
    );
    for number in 10..15 {
        assert_eq!(out(&cluster["a"], &made_up(number)), 200);
        let known_page = made_up(number + 10);
        visit(&cluster["a"], "/public", &known_page, &[]);
        assert_eq!(out(&cluster["a"], &known_page), 200);
    }
    eventually(|| held(&cluster["b"], "unconfirmed") == 5 && held(&cluster["b"], "likely") == 5);
    assert_eq!(held(&cluster["a"], "likely"), 5);
    for token in [&seen, &with_cookie, &made_up(99)] {
        assert_eq!(out(&cluster["a"], token), 429, "nothing proves it");
    }
    cluster.kill("b");
    cluster.start(&["b"]);
    cluster.comes_to("b", "ready");
    assert_eq!(out(&cluster["b"], &real), 200);
    for node in ["a", "b"] {
        eventually(|| send(&cluster[node], ("GET", "/public"), &real, &[]) == 401);
    }
}

/// A shop that vouched for a token says nothing any more.
#[test]
fn a_token_that_the_shop_has_vouched_for_logs_out_of_a_full_store_attacks_b5() {
    let shop = stateless_bagisto();
    shop.recite("/page", said(200, "{}"));
    shop.recite("/who", said(200, r#"{"good": true, "id": 7}"#));
    let ask = "path = \"/who\"\nactive = { json = { \"/good\" = true } }\nsubject = \"/id\"\n";
    let limits = "[shop.limits]\nunverified_entries = 5\nunverified_per_client_minute = 10000\n";
    let mut edge = Edge::with(&(asked_shop_table(shop.address(), "", ask) + limits));
    let out = |edge: &Edge, token: &str| send(edge, ("POST", OWN_LOGOUT), token, &[]).status;
    let (real, never_seen) = (made_up(1), made_up(2));
    assert_eq!(send(&edge, ("GET", "/page"), &real, &[]), 200);
    edge.restart(); // whose it is was only in memory
    shop.recite("/who", said(500, "{}"));
    for number in 10..15 {
        assert_eq!(out(&edge, &made_up(number)), 200);
    }
    assert_eq!((out(&edge, &never_seen), out(&edge, &real)), (429, 200));
    assert_eq!(send(&edge, ("GET", "/page"), &real, &[]), 401);
}

#[test]
fn what_the_shop_may_know_is_kept_in_full() {
    let scene = Scene::with("");
    scene.shop.recite("/public", said(200, "{}"));
    let counts = || {
        (
            held(&scene.edge, "unconfirmed"),
            held(&scene.edge, "likely"),
        )
    };
    assert_eq!(log_out(&scene.edge, &made_up(1)), 401);
    assert_eq!(counts(), (1, 0), "the shop does not know it");
    scene.shop.fail(Failure::Status(500));
    assert_eq!(log_out(&scene.edge, &made_up(2)), 200);
    assert_eq!(counts(), (1, 1), "the shop fails");
    scene.shop.fail(Failure::HangUp);
    assert_eq!(log_out(&scene.edge, &made_up(3)), 200);
    assert_eq!(counts(), (1, 2), "the shop is silent");
    scene.shop.fail(Failure::None);
    assert_eq!(send(&scene.edge, ("GET", "/public"), &made_up(4), &[]), 200);
    assert_eq!(
        send(&scene.edge, ("POST", OWN_LOGOUT), &made_up(4), &[]),
        200
    );
    assert_eq!(counts(), (1, 3), "a page was answered with success");
    assert_eq!(
        send(&scene.edge, ("POST", OWN_LOGOUT), &made_up(5), &[]),
        200
    );
    assert_eq!(counts(), (2, 3), "nothing speaks for it");
    for number in 1..=5 {
        scene.turns_away("each is dead", &made_up(number));
    }
}

#[test]
fn a_failing_shop_and_a_full_store_make_no_promise() {
    let scene = Scene::with("limits.unverified_entries = 2\n");
    scene.shop.fail(Failure::Status(500));
    let answers = [0, 1, 2].map(|number| log_out(&scene.edge, &made_up(number)));
    assert_eq!(answers, [200, 200, 429]);
}

#[test]
fn an_hour_later_there_is_room_again_and_what_was_confirmed_is_still_dead_attacks_b5() {
    let folder = tempfile::tempdir().unwrap();
    let clock = FakeClock::in_folder(folder.path(), "a");
    let shop = Shop::open(Storefront::BagistoApi, Mood::Stateless).unwrap();
    let table = format!("{}{LIMITS}", shop_table(&shop));
    let mut edge = Edge::begin(&clock.environment(), &table);
    edge.becomes_ready().unwrap();
    let out = |edge: &Edge, token: &str| {
        send(edge, ("POST", "/api/shop/customer/logout"), token, &[]).status
    };
    fill(&edge, out);
    let real = shop.sign_in("alice");
    assert_eq!(out(&edge, &real), 201);
    clock.is_off_by(55 * 60);
    eventually(|| held(&edge, "unconfirmed") == CAP);
    assert_eq!(out(&edge, &made_up(98)), 429, "not yet");
    clock.is_off_by(62 * 60);
    eventually(|| held(&edge, "unconfirmed") == 0);
    assert_ne!(out(&edge, &made_up(99)), 429);
    assert_eq!(send(&edge, ("GET", PAGE), &real, &[]), 401);
    edge.restart();
    assert_eq!(send(&edge, ("GET", PAGE), &real, &[]), 401);
    FakeClock::sweep_after(edge.pid());
}

/// An edge behind a proxy that it trusts, with a share of two a minute.
fn behind_a_proxy(more: &str) -> Scene {
    let shop = stateless_bagisto();
    let config = format!(
        "trusted_proxies = [\"127.0.0.1\"]\n{}limits.unverified_per_client_minute = 2\n{more}",
        shop_table(&shop)
    );
    Scene::configured(shop, &config)
}

/// Tells a story about one minute, again if the minute was over before the story.
fn within_one_minute(more: &str, story: impl Fn(&Scene)) {
    let minute = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() / 60;
    for _ in 0..5 {
        let (scene, begun) = (behind_a_proxy(more), minute());
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story(&scene)));
        if minute() == begun {
            return told.unwrap_or_else(|why| std::panic::resume_unwind(why));
        }
    }
    panic!("no minute is long enough");
}

#[test]
fn a_wider_network_has_the_share_of_sixteen_clients_attacks_b5() {
    for (network, elsewhere) in [
        ("2001:db8:1:N::1", "2001:db8:2::1"),
        ("198.51.100.N", "203.0.113.1"),
    ] {
        within_one_minute("answer = \"local\"\n", |scene| {
            let from = |client: usize, token: usize| {
                let client = network.replace('N', &client.to_string());
                log_out_from(&scene.edge, &client, &made_up(token))
            };
            assert_eq!([from(99, 1), from(99, 2), from(99, 3)], [200, 200, 429]);
            let answers = (0..40).map(|number| from(number, 100 + number));
            let stored = answers.filter(|answer| *answer == 200).count();
            assert_eq!(
                stored, 30,
                "{network}: with the two of before that is the network's share"
            );
            assert_eq!(log_out_from(&scene.edge, elsewhere, &made_up(4)), 200);
        });
    }
}

#[test]
fn a_confirmed_logout_does_not_use_up_the_share_of_a_client() {
    let rule = "[[shop.logout]]\npaths = [\"/bye\"]\nconfirms_token = { status = [\"200\"] }\n";
    within_one_minute(rule, |scene| {
        let out = |number: usize| {
            let client = [("X-Forwarded-For", "198.51.100.7")];
            send(&scene.edge, ("POST", "/bye"), &made_up(number), &client).status
        };
        scene.shop.recite("/bye", said(200, "{}"));
        for number in 0..50 {
            assert_eq!(out(number), 200, "{number}");
        }
        scene.shop.recite("/bye", said(401, "{}"));
        let declined = [50, 51, 52, 53].map(out);
        assert_eq!(declined, [401, 401, 429, 429], "the share was whole");
        scene.shop.recite("/bye", said(200, "{}"));
        assert_eq!(out(54), 200, "and is not asked for where the shop says yes");
        scene.turns_away("confirmed", &made_up(54));
    });
}

#[test]
fn foreign_logouts_that_the_shop_declines_use_up_nothing() {
    let rule = "[[shop.credential]]\ncookie = \"sid\"\nkind = \"opaque\"\n[[shop.logout]]\npaths = [\"/bye\"]\nclient_key = false\n";
    within_one_minute(rule, |scene| {
        scene.shop.recite("/bye", said(403, "{}"));
        let with = |number: usize, site: &str| {
            let cookie = format!("sid=of-customer-{number}");
            let headers = [
                ("Cookie", cookie.as_str()),
                ("Sec-Fetch-Site", site),
                ("X-Forwarded-For", "198.51.100.7"),
            ];
            scene
                .edge
                .raw(&request("POST", "/bye", &headers, b""))
                .status
        };
        for number in 0..10 {
            assert_eq!(with(number, "cross-site"), 403);
        }
        assert_eq!(scene.stored(), 0);
        scene.shop.recite("/bye", said(401, "{}"));
        let own = [10, 11, 12].map(|number| with(number, "same-origin"));
        assert_eq!(own, [401, 401, 429], "the share was whole");
    });
}

#[test]
fn a_store_that_is_nearly_full_is_warned_of_before_it_is() {
    let scene = Scene::with("answer = \"local\"\nlimits.unverified_entries = 10\n");
    let warned = || {
        let lines = scene.edge.log_lines();
        let warnings = lines
            .iter()
            .filter(|line| line.contains("unverified_entries is nearly reached"));
        warnings.count()
    };
    for number in 0..7 {
        assert_eq!(log_out(&scene.edge, &made_up(number)), 200);
    }
    assert_eq!(warned(), 0);
    assert_eq!(log_out(&scene.edge, &made_up(7)), 200);
    eventually(|| warned() == 1);
    assert_eq!(log_out(&scene.edge, &made_up(8)), 200, "not full yet");
    let metrics = scene.edge.metrics();
    assert!(
        metrics.contains("doorward_unverified_entries_limit{shop=\"main\"} 10"),
        "{metrics}"
    );
    assert_eq!(held(&scene.edge, "unconfirmed"), 9);
    assert_eq!(warned(), 1, "once");
}
