//! An order by hand does what it says, says what it does, and reaches the process whatever its file says meanwhile.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::places::PAGE;
use support::{
    Customer, Edge, Outcome, Scene, Shop, asked_shop_table, eventually, opaque_shop_table, request,
    said, shop_table, stateless_bagisto,
};

/// Long after every test, and issued long before.
const EXPIRES: u64 = 4_000_000_000;
const ISSUED: u64 = 1_790_000_000;

fn answer(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

/// A good token of a customer with this id and issuer.
fn token_of(shop: &Shop, id: &str, issuer: Option<&str>) -> String {
    let mut claims = json!({ "sub": 1, "jti": id, "iat": ISSUED, "exp": EXPIRES });
    if let Some(issuer) = issuer {
        claims["iss"] = json!(issuer);
    }
    shop.sign(&claims)
}

fn order(edge: &Edge, how: &[&str], input: &str) -> Outcome {
    let command = [&["revoke", "--shop", "main"], how].concat();
    edge.command_with_input(&command, input.as_bytes())
}

/// An order that is carried out; what is told of it.
#[track_caller]
fn ordered(edge: &Edge, how: &[&str], input: &str) -> Value {
    let outcome = order(edge, how, input);
    assert_eq!(outcome.code, Some(0), "{how:?}: {outcome:?}");
    answer(&outcome)
}

fn metric(edge: &Edge, name: &str) -> f64 {
    let metrics = edge.metrics();
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name}:\n{metrics}"))
}

/// A line with all these words is logged, sooner or later.
#[track_caller]
fn logs(edge: &Edge, words: &[&str]) {
    eventually(|| {
        let lines = edge.log_lines();
        let mut lines = lines.iter();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    });
}

#[test]
fn an_id_ends_its_token_whatever_its_issuer_is_attacks_a1() {
    const A: &str = "https://a.example.com";
    const B: &str = "https://b.example.com/login";
    for (pinned, issuers) in [
        ("", vec![None, Some(A), Some(B)]),
        ("token.issuer = \"https://a.example.com\"\n", vec![Some(A)]),
        (
            "token.issuer = [\"https://a.example.com\", \"https://b.example.com/login\"]\n",
            vec![Some(A), Some(B)],
        ),
    ] {
        let mut scene = Scene::with(pinned);
        for (number, issuer) in issuers.iter().enumerate() {
            let (id, other) = (format!("dead-{number}"), format!("alive-{number}"));
            let dead = token_of(&scene.shop, &id, *issuer);
            if number == 0 {
                scene.admits("before the order", &dead); // the others were never seen
            }
            let told = ordered(&scene.edge, &["--jti", &id], "");
            assert_eq!(told["revoked"], 1, "{told}");
            scene.turns_away("by its id alone", &dead);
            scene.admits("another id", &token_of(&scene.shop, &other, *issuer));
        }
        scene.edge.restart();
        for (number, issuer) in issuers.iter().enumerate() {
            let dead = token_of(&scene.shop, &format!("dead-{number}"), *issuer);
            scene.turns_away("after a restart", &dead);
        }
    }
}

#[test]
fn an_id_with_its_issuer_ends_no_token_of_another_issuer() {
    let scene = Scene::with("");
    let of = |issuer| token_of(&scene.shop, "one", issuer);
    ordered(
        &scene.edge,
        &["--jti", "one", "--issuer", "https://a.example.com"],
        "",
    );
    scene.turns_away("the one that was named", &of(Some("https://a.example.com")));
    scene.admits("another issuer", &of(Some("https://b.example.com")));
    scene.admits("no issuer", &of(None));
}

/// What makes orders reach every issuer must not make logouts do so.
#[test]
fn a_logout_ends_no_token_of_the_same_id_by_another_issuer() {
    let scene = Scene::with("revoke = \"token\"\nanswer = \"local\"\n");
    let endless = |issuer: Option<&str>| {
        let claims = json!({ "sub": 1, "jti": "same", "iat": ISSUED, "iss": issuer });
        scene.shop.sign(&claims)
    };
    let dead = endless(None);
    assert_eq!(scene.log_out(&dead), 200);
    scene.turns_away("the one that logged out", &dead);
    for issuer in ["https://a.example.com", Shop::ISSUER] {
        scene.admits("the same id by another issuer", &endless(Some(issuer)));
    }
}

#[test]
fn customers_and_sessions_are_found_under_every_issuer_attacks_a1() {
    for pinned in [
        "",
        "token.issuer = [\"https://a.example.com\", \"https://b.example.com\"]\n",
    ] {
        let scene = Scene::with(pinned);
        let issuers = ["https://a.example.com", "https://b.example.com"];
        let token = |subject: u32, session: &str, issuer: &str| {
            scene.shop.sign(&json!({
                "sub": subject, "sid": session, "iss": issuer, "iat": ISSUED, "exp": EXPIRES,
                "jti": format!("{subject}{session}{issuer}"),
            }))
        };
        ordered(&scene.edge, &["--subject", " 3\n"], "");
        ordered(&scene.edge, &["--session", "s-4"], "");
        for issuer in issuers {
            scene.turns_away("the customer", &token(3, "s-3", issuer));
            scene.turns_away("the session", &token(4, "s-4", issuer));
            scene.admits("somebody else", &token(5, "s-5", issuer));
        }
    }
}

/// Whatever an operator copies from a log, a browser or a command.
#[test]
fn a_token_is_found_in_what_stands_around_it_attacks_a1() {
    let scene = Scene::with("[[shop.credential]]\ncookie = \"login\"\n");
    for (number, pasted) in [
        "T",
        "  T\r\n\n",
        "Bearer T",
        "bearer\tT",
        "Authorization: Bearer T",
        "authorization:Bearer T\n",
        "\"T\"",
        "'Bearer T'",
        "\"Authorization: Bearer T\"",
        "Cookie: theme=dark; login=T; cart=7",
        "Set-Cookie: login=T; Path=/; HttpOnly",
        "login=T",
        "token=T",
        "curl -H 'Authorization: Bearer T' https://shop.example.com/",
        "{\"access_token\": \"T\", \"expires_in\": 3600}",
        "export X=T",
    ]
    .into_iter()
    .enumerate()
    {
        let token = token_of(&scene.shop, &format!("t-{number}"), Some(Shop::ISSUER));
        scene.admits(pasted, &token);
        let input = pasted.replace('T', &token);
        let look = ["inspect", "--shop", "main", "--token", "-"];
        let look = || answer(&scene.edge.command_with_input(&look, input.as_bytes()));
        assert_eq!(look()["verified"], true, "{pasted}");
        assert_eq!(look()["refused"], false, "{pasted}");
        let told = ordered(&scene.edge, &["--token", "-"], &input);
        assert_eq!(told["revoked"], 1, "{pasted}: {told}");
        scene.turns_away(pasted, &token);
        assert_eq!(look()["refused"], true, "{pasted}");
    }
}

#[test]
fn an_opaque_token_is_ended_under_every_digest_that_it_has_attacks_a1() {
    let edge_of = |more: &str| {
        let shop = stateless_bagisto();
        shop.recite(PAGE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        let table = format!("{}{more}", opaque_shop_table(&shop));
        (Edge::with(&table), shop)
    };
    let part = "a1B2c3D4".repeat(6);
    for (more, bearer, how, input) in [
        ("", part.as_str(), "--token", format!("Bearer {part}")),
        ("", part.as_str(), "--jti", part.clone()),
        (
            "[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\npattern = '[0-9]+\\|(?<token>[A-Za-z0-9]{40,})'\n",
            "12|P",
            "--token",
            format!("Authorization: Bearer 12|{part}"),
        ),
        (
            "[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\npattern = '[0-9]+\\|(?<token>[A-Za-z0-9]{40,})'\n",
            "7|P",
            "--jti",
            part.clone(),
        ),
        (
            "[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\nfold = [\"case\", \"trim\"]\n",
            &part.to_uppercase(),
            "--token",
            part.clone(),
        ),
    ] {
        let (edge, shop) = edge_of(more);
        let dead = Customer::holding(&shop, bearer.replace('P', &part));
        let alive = Customer::holding(
            &shop,
            format!("9{}", bearer.replace('P', "z9Y8x7W6".repeat(6).as_str())),
        );
        let visit = |customer: &Customer| customer.visit(&edge, PAGE).status;
        let alive_before = visit(&alive);
        assert_eq!(visit(&dead), 200, "{more}{how}");
        let told = match how {
            "--jti" => ordered(&edge, &["--jti", &input], ""),
            _ => ordered(&edge, &["--token", "-"], &input),
        };
        assert_eq!(told["revoked"], 1, "{more}{how}: {told}");
        assert_eq!(visit(&dead), 401, "{more}{how}");
        assert_eq!(visit(&alive), alive_before, "{more}{how}");
    }
}

#[test]
fn nothing_empty_is_accepted_attacks_a1() {
    let scene = Scene::with("[[shop.credential]]\ncookie = \"login\"\n");
    let alive = token_of(&scene.shop, "a", Some(Shop::ISSUER));
    let before = scene.stored();
    for input in [
        "",
        " \n",
        "Bearer",
        "Bearer \n",
        "Authorization: Bearer",
        "Authorization:",
        "\"\"",
        "null",
        "undefined",
        "{}",
        "[]",
        "two words",
        "Bearer two words",
        "login=",
        "Cookie: theme=dark",
        &format!("{alive} {}", token_of(&scene.shop, "b", None)),
    ] {
        for command in ["revoke", "inspect"] {
            let command = [command, "--shop", "main", "--token", "-"];
            let outcome = scene.edge.command_with_input(&command, input.as_bytes());
            assert_eq!(outcome.code, Some(2), "{input:?}: {outcome:?}");
            assert!(!outcome.stdout.contains(&alive), "{outcome:?}");
        }
    }
    for how in [
        ["--jti", ""],
        ["--jti", " "],
        ["--subject", ""],
        ["--subject", "\t\n"],
        ["--session", ""],
        ["--session", "\u{feff}"],
        ["--all-before", ""],
        ["--all-before", " "],
    ] {
        let outcome = order(&scene.edge, &[&how[..], &["--yes"]].concat(), "");
        assert_eq!(outcome.code, Some(2), "{how:?}: {outcome:?}");
    }
    let outcome = order(&scene.edge, &["--jti", "a", "--issuer", " "], "");
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    let whole = order(&scene.edge, &["--jti", &alive], "");
    assert_eq!(whole.code, Some(2), "{whole:?}");
    assert!(whole.stdout.contains("--token"), "{whole:?}");
    for shop in ["", " "] {
        let outcome = scene
            .edge
            .command(&["revoke", "--shop", shop, "--subject", "1"]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stdout.contains("there are: main"), "{outcome:?}");
    }
    assert_eq!(scene.stored(), before);
    scene.admits("nothing was revoked", &alive);
}

#[test]
fn nothing_is_cut_off_in_the_future_attacks_b6() {
    let scene = Scene::with("");
    for moment in ["2099-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
        for more in [&["--shop", "main"][..], &[]] {
            let command = [&["revoke", "--all-before", moment, "--yes"], more].concat();
            let outcome = scene.edge.command(&command);
            assert_eq!(outcome.code, Some(2), "{outcome:?}");
            assert!(outcome.stdout.contains("in the future"), "{outcome:?}");
            assert!(outcome.stdout.contains("say `now`"), "{outcome:?}");
        }
    }
    assert_eq!(scene.stored(), 0);
    scene.admits("a login after it", &scene.shop.sign_in("alice"));
}

/// The cutoff is taken on the clock of the shop, whose tokens it is about: one that is behind issues good tokens at once.
#[test]
fn everybody_is_cut_off_by_the_clock_of_the_shop_attacks_b6() {
    for offset in [-120, 120] {
        let scene = Scene::with("");
        scene.shop.set_date_offset(offset - 20);
        let early = scene.shop.sign_in("alice");
        scene.shop.set_date_offset(offset);
        eventually(|| {
            scene.admits("to learn the clock", &early);
            let learnt = scene.inspect()["shops"][0]["clock_offset_s"].as_i64();
            learnt.is_some_and(|learnt| (learnt - offset).abs() <= 2)
        });
        ordered(&scene.edge, &["--all-before", "now", "--yes"], "");
        scene.turns_away("an earlier login", &early);
        scene.admits("a new login", &scene.shop.sign_in("alice"));
    }
}

#[test]
fn what_is_refused_from_now_on_is_counted_attacks_a1() {
    let mut scene = Scene::with("answer = \"local\"\nrevoke = \"token\"\n");
    let token = |id: &str| token_of(&scene.shop, id, Some(Shop::ISSUER));
    let counts = |told: &Value| {
        let count = |key: &str| {
            told[key]
                .as_u64()
                .unwrap_or_else(|| panic!("{key}: {told}"))
        };
        (
            count("revoked"),
            count("already_revoked"),
            count("seen_tokens"),
        )
    };
    let (seen, unseen, left) = (token("seen"), token("unseen"), token("left"));
    scene.admits("a visit", &seen);
    assert_eq!(scene.log_out(&left), 200);
    let by_token = |token: &str| counts(&ordered(&scene.edge, &["--token", "-"], token));
    let by_id = |id: &str| counts(&ordered(&scene.edge, &["--jti", id], ""));
    assert_eq!(by_id("left"), (0, 1, 0), "it had logged out");
    assert_eq!(by_token(&left), (0, 1, 0));
    assert_eq!(by_id("seen"), (1, 0, 1));
    assert_eq!(by_id("seen"), (0, 1, 0));
    assert_eq!(by_token(&seen), (0, 1, 0));
    assert_eq!(by_token(&unseen), (1, 0, 1));
    assert_eq!(by_token(&unseen), (0, 1, 0));
    let others = ["x", "y"].map(token);
    for token in &others {
        scene.admits("the customer's others", token);
    }
    assert_eq!(
        counts(&ordered(&scene.edge, &["--subject", "1"], "")),
        (1, 0, 2)
    );
    assert_eq!(
        counts(&ordered(
            &scene.edge,
            &["--all-before", "2020-01-01T00:00:00Z", "--yes"],
            ""
        )),
        (1, 0, 0)
    );
    assert_eq!(
        counts(&ordered(
            &scene.edge,
            &["--all-before", "2019-01-01T00:00:00Z", "--yes"],
            ""
        )),
        (0, 1, 0),
        "a later one is in force"
    );
    assert_eq!(
        counts(&ordered(&scene.edge, &["--session", "s"], "")),
        (1, 0, 0)
    );
    assert_eq!(
        counts(&ordered(&scene.edge, &["--session", "s"], "")),
        (0, 1, 0)
    );
    scene.edge.restart();
    assert_eq!(
        counts(&ordered(&scene.edge, &["--jti", "seen"], "")),
        (0, 1, 0)
    );
}

#[test]
fn what_is_not_found_or_not_reached_is_named_attacks_a1() {
    let (shop, other) = (stateless_bagisto(), stateless_bagisto());
    let config = format!(
        "{}hosts = [\"main\"]\ntoken.issuer = \"https://main\"\n{}hosts = [\"other\"]\ntoken.issuer = \"https://other\"\n{}",
        shop_table(&shop),
        shop_table(&other).replace("name = \"main\"", "name = \"other\""),
        opaque_shop_table(&shop).replace(
            "name     = \"main\"",
            "name = \"opaque\"\nhosts = [\"opaque\"]"
        ),
    );
    let edge = Edge::with(&config);
    let stored = || {
        let counts = answer(&edge.command(&["inspect"]))["revocations"].clone();
        ["tokens", "undated_tokens", "cutoffs"].map(|kind| counts[kind].as_u64().unwrap())
    };
    let before = stored();
    let fails = |command: &[&str], input: &str, words: &str| {
        let outcome = edge.command_with_input(command, input.as_bytes());
        assert_eq!(outcome.code, Some(1), "{command:?}: {outcome:?}");
        assert!(outcome.stdout.contains(words), "{command:?}: {outcome:?}");
    };
    let of_other = token_of(&shop, "a", Some("https://other"));
    let strange = token_of(&shop, "a", Some("https://strange"));
    fails(
        &["revoke", "--shop", "man", "--subject", "1"],
        "",
        "there are: main, other, opaque",
    );
    fails(
        &["revoke", "--shop", "main", "--token", "-"],
        &of_other,
        "one of shop other",
    );
    fails(
        &["revoke", "--shop", "main", "--token", "-"],
        &strange,
        "can't be verified: issuer",
    );
    let typo = [
        "revoke",
        "--shop",
        "main",
        "--jti",
        "a",
        "--issuer",
        "https://mian",
    ];
    fails(&typo, "", "its issuers are: https://main");
    for how in [["--subject", "1"], ["--session", "s"]] {
        fails(
            &[&["revoke", "--shop", "opaque"], &how[..]].concat(),
            "",
            "are opaque",
        );
    }
    let everybody = ["revoke", "--shop", "opaque", "--all-before", "now", "--yes"];
    fails(&everybody, "", "are opaque");
    assert_eq!(stored(), before, "nothing was done");
    let told = ordered(&edge, &["--jti", "never-seen"], "");
    assert!(
        told["notes"].to_string().contains("no such token was seen"),
        "{told}"
    );
    let told = answer(&edge.command(&["revoke", "--all-before", "now", "--yes"]));
    assert_eq!(told["revoked"], 2, "{told}");
    assert!(
        told["notes"]
            .to_string()
            .contains("shop opaque: the tokens of this shop are opaque"),
        "{told}"
    );
    assert!(
        told["notes"]
            .to_string()
            .contains("shop main: opaque tokens"),
        "{told}"
    );
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let scene = Scene::with("");
    let token = token_of(&scene.shop, "a", Some(Shop::ISSUER));
    scene.admits("a visit", &token);
    let written = || scene.inspect()["journal"]["written"].clone();
    let before = (scene.stored(), written());
    for (how, input) in [
        (&["--token", "-"][..], token.as_str()),
        (&["--jti", "a"], ""),
        (&["--subject", "1"], ""),
        (&["--session", "s"], ""),
        (&["--all-before", "now"], ""),
    ] {
        let told = ordered(&scene.edge, &[how, &["--dry-run"]].concat(), input);
        assert_eq!(told["would_revoke"], 1, "{told}");
        assert_eq!(told["dry_run"], true, "{told}");
        assert_eq!(told["revoked"], Value::Null, "{told}");
        let is_seen = how[0] != "--session";
        assert_eq!(told["seen_tokens"], u64::from(is_seen), "{how:?} {told}");
    }
    assert_eq!((scene.stored(), written()), before);
    scene.admits("nothing was done", &token);
    ordered(&scene.edge, &["--jti", "a"], "");
    let again = ordered(&scene.edge, &["--jti", "a", "--dry-run"], "");
    assert_eq!(
        (&again["would_revoke"], &again["already_revoked"]),
        (&json!(0), &json!(1))
    );
}

/// Runs a command on a terminal of its own, and types a line.
fn on_a_terminal(edge: &Edge, how: &str, typed: &str) -> (Option<i32>, String) {
    let config = edge.path("doorward.toml");
    let binary = env!("CARGO_BIN_EXE_doorward");
    let line = format!("'{binary}' revoke {how} --config '{}'", config.display());
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(typed.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), screen)
}

#[test]
fn everybody_is_cut_off_only_by_a_yes_attacks_b6() {
    let scene = Scene::with("");
    scene.shop.set_date_offset(-10);
    let early = scene.shop.sign_in("alice");
    scene.shop.set_date_offset(0);
    scene.admits("before", &early);
    for command in [&["--shop", "main"][..], &[]] {
        let command = [&["revoke", "--all-before", "now"], command].concat();
        let refused = scene.edge.command_with_input(&command, b"y\n");
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains("say --yes"), "{refused:?}");
    }
    for typed in ["n\n", "\n", "now\n"] {
        let (code, screen) = on_a_terminal(&scene.edge, "--all-before now", typed);
        assert_eq!(code, Some(1), "{screen}");
        assert!(
            screen.contains("of all shops that was issued before"),
            "{screen}"
        );
        assert!(screen.contains("nothing was revoked"), "{screen}");
    }
    assert_eq!(scene.stored(), 0);
    scene.admits("nothing was done", &early);
    let (code, screen) = on_a_terminal(&scene.edge, "--shop main --all-before now", "yes\n");
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("Go on? [y/N]"), "{screen}");
    scene.turns_away("after the yes", &early);
}

#[test]
fn the_log_says_who_ordered_what_for_whom() {
    let scene = Scene::with("");
    let token = token_of(&scene.shop, "the-id-of-a", Some(Shop::ISSUER));
    scene.admits("a visit", &token);
    let uid = fs::metadata("/proc/self")
        .map(|it| std::os::unix::fs::MetadataExt::uid(&it))
        .unwrap();
    let by = format!("by_uid={uid}");
    ordered(&scene.edge, &["--jti", "the-id-of-a", "--dry-run"], "");
    logs(
        &scene.edge,
        &[
            "dry run of a revocation by hand",
            &by,
            "by_pid=",
            "what=jti",
        ],
    );
    let told = ordered(&scene.edge, &["--jti", "the-id-of-a"], "");
    let log_name = format!("log_name={}", told["log_name"].as_str().unwrap());
    let what = [
        "revoked by hand",
        "what=jti",
        "shop=main",
        "news=1",
        "durable=true",
    ];
    logs(
        &scene.edge,
        &[&what[..], &[&by, "by_pid=", &log_name]].concat(),
    );
    ordered(&scene.edge, &["--subject", "the-customer"], "");
    logs(&scene.edge, &["revoked by hand", "what=subject", &by]);
    order(&scene.edge, &["--subject", ""], "");
    logs(
        &scene.edge,
        &["a revocation by hand was refused", &by, "status=400"],
    );
    assert_eq!(scene.edge.command(&["reload"]).code, Some(0));
    logs(&scene.edge, &["a reload was ordered", &by]);
    let shop_by_mistake = ["revoke", "--shop", &token, "--subject", "1"];
    assert_eq!(scene.edge.command(&shop_by_mistake).code, Some(1));
    for line in scene.edge.log_lines() {
        for secret in [token.as_str(), "the-id-of-a", "the-customer"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

/// The cutoff spares the second of the order, for the next login; a token that was seen before the order is no next one.
#[test]
fn a_customer_that_was_seen_a_moment_ago_ends_with_the_order() {
    let scene = Scene::with("");
    let seen = scene.shop.sign_in("alice");
    scene.admits("a visit", &seen);
    ordered(&scene.edge, &["--subject", "3"], "");
    scene.turns_away("seen before the order", &seen);
}

/// The ways in which a file is half edited, all of them faults.
fn half_edited(good: &str) -> Vec<(&'static str, Option<String>)> {
    let key = |name: &str, line: &str| {
        let lines = good
            .lines()
            .map(|old| if old.starts_with(name) { line } else { old });
        lines.collect::<Vec<_>>().join("\n")
    };
    vec![
        ("a syntax error", Some(format!("listen = [\n{good}"))),
        ("an unknown key", Some(format!("operater = 1\n{good}"))),
        (
            "a quote left open",
            Some(key("data_dir", "data_dir = \"/var")),
        ),
        (
            "a key misspelt",
            Some(good.replacen("data_dir", "data_dri", 1)),
        ),
        ("a wrong type", Some(key("data_dir", "data_dir = 7"))),
        (
            "a key written twice",
            Some(format!("{good}\n[[shop]]\nname = 1\n")),
        ),
        ("cut in half", Some(good[..good.len() / 2].to_owned())),
        ("empty", Some(String::new())),
        ("gone", None),
        (
            "another socket",
            Some(format!(
                "control = \"/nowhere/control.sock\"\noperater = 1\n{good}"
            )),
        ),
        (
            "another folder",
            Some(format!(
                "operater = 1\n{}",
                key("data_dir", "data_dir = \"/nowhere\"")
            )),
        ),
    ]
}

#[test]
fn a_faulty_file_is_judged_by_the_process_whatever_it_says() {
    let scene = Scene::with("");
    let file = scene.edge.path("doorward.toml");
    let good = fs::read_to_string(&file).unwrap();
    let successful = || metric(&scene.edge, "doorward_last_reload_successful");
    for (number, (what, text)) in half_edited(&good).into_iter().enumerate() {
        match text {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let refused = scene.edge.command(&["reload"]);
        assert_eq!(refused.code, Some(78), "{what}: {refused:?}");
        assert!(refused.stderr.contains("error"), "{what}: {refused:?}");
        assert!(successful().abs() < 0.5, "{what}");
        let failed = number + 1;
        let counted = format!("doorward_reloads_total{{outcome=\"failed\"}} {failed}\n");
        assert!(scene.edge.metrics().contains(&counted), "{what}");
        fs::write(&file, &good).unwrap();
        assert_eq!(scene.edge.command(&["reload"]).code, Some(0), "{what}");
        assert!(successful() > 0.5, "{what}");
    }
    scene.admits("all the while", &scene.shop.sign_in("alice"));
}

#[test]
fn orders_work_while_the_file_is_half_edited() {
    let scene = Scene::with("");
    let file = scene.edge.path("doorward.toml");
    let good = fs::read_to_string(&file).unwrap();
    for (number, (what, text)) in half_edited(&good).into_iter().enumerate() {
        match text {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let token = token_of(&scene.shop, &number.to_string(), Some(Shop::ISSUER));
        scene.admits(what, &token);
        ordered(&scene.edge, &["--token", "-"], &token);
        scene.turns_away(what, &token);
        assert!(scene.stored() > number as u64, "{what}");
        let cluster = scene.edge.command(&["cluster", "status"]);
        assert!(
            cluster.stdout.contains("in no cluster"),
            "{what}: {cluster:?}"
        );
    }
}

/// A file that was copied from another one names another process.
#[test]
fn an_order_reaches_the_process_that_runs_by_the_file_not_the_one_that_it_names() {
    let (ours, theirs) = (Scene::with(""), Scene::with(""));
    let copied = fs::read_to_string(theirs.edge.path("doorward.toml")).unwrap();
    fs::write(ours.edge.path("doorward.toml"), copied).unwrap();
    let token = token_of(&ours.shop, "a", None);
    ordered(&ours.edge, &["--token", "-"], &token);
    ours.turns_away("ours", &token);
    theirs.admits("theirs", &token);
    assert_eq!(
        ours.edge.command(&["reload"]).code,
        Some(1),
        "it needs a restart"
    );
    assert!(metric(&ours.edge, "doorward_last_reload_successful").abs() < 0.5);
    assert!(metric(&theirs.edge, "doorward_last_reload_successful") > 0.5);
}

#[test]
fn a_process_that_is_gone_is_said_to_be_gone() {
    let mut scene = Scene::with("");
    scene.edge.stop();
    fs::write(scene.edge.path("doorward.toml"), "listen = [").unwrap();
    for command in [
        &["reload"][..],
        &["inspect"],
        &["cluster", "status"],
        &["revoke", "--shop", "main", "--subject", "1"],
    ] {
        let alone = scene.edge.command(command);
        assert_eq!(alone.code, Some(69), "{command:?}: {alone:?}");
        assert!(alone.stderr.contains("is it running"), "{alone:?}");
    }
}

#[test]
fn a_reload_lists_what_changed_and_what_needs_a_restart() {
    let (shop, second) = (stateless_bagisto(), stateless_bagisto());
    let edge = Edge::with(&shop_table(&shop));
    let reload = |config: &str| {
        edge.configure(config);
        edge.command(&["reload"])
    };
    let changed = |config: &str| -> Vec<String> {
        let outcome = reload(config);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(outcome.stdout, "reloaded\n");
        let lines = outcome.stderr.lines();
        lines
            .filter_map(|line| Some(line.strip_prefix("changed: ")?.to_owned()))
            .collect()
    };
    let table = shop_table(&shop);
    assert!(changed(&table).is_empty());
    let route = "[[shop.route]]\npaths = [\"/x\"]\nenforce = \"required\"\n";
    assert_eq!(
        changed(&format!(
            "log = \"debug\"\n{table}token.leeway = \"5s\"\n{route}"
        )),
        ["log", "shop main: route", "shop main: token.leeway"]
    );
    assert_eq!(
        changed(&format!("log = \"debug\"\n{table}token.leeway = \"6s\"\n")),
        ["shop main: route", "shop main: token.leeway"]
    );
    fs::write(
        edge.path("jwt.secret"),
        "another secret of at least thirty-two bytes",
    )
    .unwrap();
    assert_eq!(
        changed(&format!("log = \"debug\"\n{table}token.leeway = \"6s\"\n")),
        ["shop main: token.secret_file"]
    );
    let another = shop_table(&second).replace("name = \"main\"", "name = \"b\"\nhosts = [\"b\"]");
    let with_another = changed(&format!(
        "{table}hosts = [\"a\"]\n[drain]\ntimeout = \"9s\"\n{another}"
    ));
    for key in [
        "drain.timeout",
        "log",
        "shop b: name",
        "shop main: hosts",
        "shop main: token.leeway",
    ] {
        assert!(
            with_another.iter().any(|one| one == key),
            "{key}: {with_another:?}"
        );
    }
    let outcome = reload(&format!(
        "log = \"error\"\noperator_listen = \"127.0.0.1:1\"\n{table}"
    ));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("`operator_listen` needs a restart"),
        "{outcome:?}"
    );
    assert!(
        outcome.stderr.contains("log, operator_listen"),
        "{outcome:?}"
    );
    assert!(
        !outcome.stderr.contains("127.0.0.1:1"),
        "no value is told: {outcome:?}"
    );
    edge.configure(&format!("log = \"warn\"\n{table}"));
    edge.configure(&table);
    edge.signal("HUP");
    logs(&edge, &["INFO  reloaded", "changed=", "drain.timeout"]);
}

/// A shop that is asked whose its opaque tokens are, and by whose logout all of the customer's end.
struct AskedShop {
    shop: Shop,
    edge: Edge,
}

const PHONE: &str = "phone-0123456789abcdef";
const TABLET: &str = "tablet-0123456789abcdef";
const BOBS: &str = "bobs-0123456789abcdef00";

impl AskedShop {
    /// Customer 77 has been here with two tokens, and another one with one.
    fn visited() -> Self {
        const ASK: &str =
            "path = \"/who\"\nsubject = \"/id\"\ngood = { json = { \"/good\" = true } }";
        const LOGOUT: &str =
            "[[shop.logout]]\npaths = [\"/bye\"]\nrevoke = \"subject\"\nanswer = \"local\"\n";
        let shop = stateless_bagisto();
        shop.recite(PAGE, said(200, "{}"));
        let table = asked_shop_table(shop.address(), "opaque_pattern = '[a-z0-9-]{20,}'", ASK);
        let edge = Edge::with(&format!("{table}{LOGOUT}"));
        let visited = Self { shop, edge };
        visited.knows("8");
        assert_eq!(visited.visit(BOBS), 200);
        visited.knows("77");
        assert_eq!((visited.visit(PHONE), visited.visit(TABLET)), (200, 200));
        visited
    }

    fn knows(&self, id: &str) {
        let words = json!({ "good": true, "id": id }).to_string();
        self.shop.recite("/who", said(200, &words));
    }

    fn ask(&self, method: &str, path: &str, token: &str) -> u16 {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        self.edge.raw(&request(method, path, &headers, b"")).status
    }

    fn visit(&self, token: &str) -> u16 {
        self.ask("GET", PAGE, token)
    }

    fn look(&self, token: &str) -> Value {
        let look = ["inspect", "--shop", "main", "--token", "-"];
        answer(&self.edge.command_with_input(&look, token.as_bytes()))
    }

    /// How many tokens an order for this one would end, and how many are dead already.
    fn try_to_end(&self, token: &str) -> (Value, Value, String) {
        let told = ordered(&self.edge, &["--token", "-", "--dry-run"], token);
        let notes = told["notes"].to_string();
        let counts = ["would_revoke", "already_revoked"].map(|key| told[key].clone());
        let [would, already] = counts;
        (would, already, notes)
    }
}

/// What refuses a token is told by what the shop has said of it, and where it has said nothing, that is told.
#[test]
fn a_token_that_its_owners_logout_ended_is_told_as_dead() {
    const LOGOUT: &str = "logout";
    for how in [LOGOUT, "--subject", "--all-before"] {
        let mut asked = AskedShop::visited();
        let alive = asked.look(PHONE);
        assert_eq!(
            (&alive["refused"], &alive["notes"]),
            (&json!(false), &json!([]))
        );
        assert_eq!(
            asked.try_to_end(PHONE),
            (json!(1), json!(0), "[]".to_owned())
        );
        match how {
            LOGOUT => assert_eq!(asked.ask("POST", "/bye", TABLET), 200),
            "--subject" => drop(ordered(&asked.edge, &["--subject", "77"], "")),
            _ => eventually(|| {
                let told = ordered(&asked.edge, &["--all-before", "now", "--yes"], "");
                assert_eq!(told["notes"], json!([]), "they are reached");
                asked.visit(PHONE) == 401 // the second of the order is spared
            }),
        }
        assert_eq!(asked.visit(PHONE), 401, "{how}");
        let dead = asked.look(PHONE);
        assert_eq!(dead["refused"], true, "{how}: {dead}");
        let cause = dead["revoked_by"].as_str();
        assert_eq!(cause == Some("subject"), how != "--all-before", "{dead}");
        assert!(cause.is_some(), "{dead}");
        assert_eq!(
            asked.try_to_end(PHONE),
            (json!(0), json!(1), "[]".to_owned()),
            "{how}"
        );
        if how != "--all-before" {
            assert_eq!(asked.look(BOBS)["refused"], false, "{how}");
        }
        asked.edge.restart();
        let untold = asked.look(PHONE);
        assert_eq!(untold["refused"], Value::Null, "{how}: {untold}");
        assert!(
            untold["notes"].to_string().contains("asking the shop"),
            "{untold}"
        );
        let (_, _, notes) = asked.try_to_end(PHONE);
        assert!(notes.contains("asking the shop"), "{how}: {notes}");
        assert_eq!(asked.visit(PHONE), 401, "{how}");
        assert_eq!(asked.look(PHONE)["refused"], true, "{how}");
    }
}

#[test]
fn the_tokens_of_which_the_shop_said_whose_they_are_count_as_seen() {
    let asked = AskedShop::visited();
    let told = ordered(&asked.edge, &["--subject", "77"], "");
    assert_eq!(
        (&told["revoked"], &told["seen_tokens"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(told["notes"], json!([]));
    assert_eq!((asked.visit(PHONE), asked.visit(TABLET)), (401, 401));
    let again = ordered(&asked.edge, &["--subject", "77"], "");
    assert_eq!(again["seen_tokens"], 0, "{again}");
    assert_eq!(again["notes"], json!([]), "they were seen");
    let nobody = ordered(&asked.edge, &["--subject", "99"], "");
    assert!(
        nobody["notes"].to_string().contains("no such token"),
        "{nobody}"
    );
    assert_eq!(asked.visit(BOBS), 200);
}

/// It takes as long as a reload may: the commands wait beside each other.
#[test]
fn a_process_that_is_stopped_lets_no_command_wait_for_ever() {
    let scene = Scene::with("");
    let config = scene.edge.path("doorward.toml");
    scene.edge.signal("STOP");
    let waiting = [
        (&["reload"][..], "30 s"),
        (&["inspect"], "10 s"),
        (&["cluster", "status"], "10 s"),
        (&["revoke", "--shop", "main", "--subject", "1"], "10 s"),
    ]
    .map(|(command, patience)| {
        let child = Command::new(env!("CARGO_BIN_EXE_doorward"))
            .args(command)
            .arg("--config")
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn();
        (command, patience, child.unwrap())
    });
    for (command, patience, child) in waiting {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{command:?}: {said}");
        for word in [patience, "stopped, or hangs", "restart it"] {
            assert!(said.contains(word), "{command:?}: {said}");
        }
    }
    scene.edge.signal("CONT");
}

#[test]
fn a_name_that_no_token_could_carry_is_not_sent() {
    let scene = Scene::with("");
    let long = "a".repeat(100_000);
    let file = scene.edge.path("long");
    fs::write(&file, &long).unwrap();
    let file = file.to_str().unwrap();
    for command in [
        &["revoke", "--shop", "main", "--jti", &long][..],
        &["revoke", "--shop", "main", "--subject", &long],
        &["revoke", "--shop", "main", "--session", &long],
        &["revoke", "--shop", "main", "--jti", "a", "--issuer", &long],
        &["revoke", "--shop", &long, "--jti", "a"],
        &["revoke", "--all-before", &long, "--yes"],
        &["revoke", "--shop", "main", "--token", file],
        &["inspect", "--shop", "main", "--token", file],
        &["inspect", "--shop", &long, "--token", file],
    ] {
        let outcome = scene.edge.command(command);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("too long"), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("aaaa"), "it is not repeated");
    }
    assert_eq!(scene.stored(), 0);
    let most = "a\u{1}".repeat(8 << 10); // six bytes in JSON for every other one
    let how = ["--jti", &most, "--issuer", &most];
    assert_eq!(order(&scene.edge, &how, "").code, Some(0));
}

#[test]
fn a_moment_says_its_zone() {
    let scene = Scene::with("");
    for untold in [
        "2026-11-30T00:00:00",
        "2026-11-30 00:00:00",
        "2026-11-30",
        "2020-01-01T00:00:00+14",
        "2020-01-01T00:00:00+24:00",
        "2020-01-01T00:00:00+1:000",
        "2020-01-01T00:00:00 UTC",
        "2020-01-01T00:00:00Z+01:00",
        "2020-01-01T00:00:00ZZ",
        "1970-01-01T00:00:00+01:00",
        "yesterdäy",
        "ä:00",
    ] {
        let outcome = order(&scene.edge, &["--all-before", untold, "--yes"], "");
        assert_eq!(outcome.code, Some(2), "{untold}: {outcome:?}");
        for form in ["a time with its zone", "2026-11-21T02:00:00Z", "+02:00"] {
            assert!(outcome.stderr.contains(form), "{untold}: {outcome:?}");
        }
    }
    assert_eq!(scene.stored(), 0);
    for (moment, is_news) in [
        ("2020-01-01T00:00:00Z", true),
        ("2020-01-01T14:00:00+14:00", false),
        ("2019-12-31T23:59:59Z", false),
        ("2019-12-31T19:00:00-05:00", false),
        ("2019-12-31T18:30:01-05:30", true),
        ("2020-01-01T00:00:02+00:00", true),
    ] {
        let told = ordered(&scene.edge, &["--all-before", moment, "--yes"], "");
        assert_eq!(told["revoked"], u64::from(is_news), "{moment}: {told}");
    }
}
