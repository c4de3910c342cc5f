//! Revocations are listed, exported while the process serves, and imported into another one.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use doorward::clock::UnixTime;
use doorward::revocation::{BackupHeader, BackupWriter, Id, Revocation, Source, Window};
use serde_json::{Value, json};
use support::{
    Cluster, Customer, Edge, Outcome, Scene, Shop, eventually, shop_table, stateless_bagisto,
};

const PROFILE: &str = "/api/shop/customers/profile";

#[track_caller]
fn done(outcome: &Outcome) -> &str {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    &outcome.stdout
}

fn export(edge: &Edge) -> String {
    let file = edge.path("export").to_str().unwrap().to_owned();
    done(&edge.command(&["revocations", "export", &file]));
    file
}

/// The entries that are listed, and the last line.
fn list(edge: &Edge, more: &[&str]) -> (Vec<Value>, Value) {
    let command = [&["revocations", "list", "--format", "json"], more].concat();
    let outcome = edge.command(&command);
    let lines = done(&outcome)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let mut lines: Vec<Value> = lines.collect();
    let end = lines.pop().unwrap();
    (lines, end)
}

fn news(edge: &Edge, file: &str) -> u64 {
    let outcome = edge.command(&["revocations", "import", file, "--format", "json"]);
    let told: Value = serde_json::from_str(done(&outcome)).unwrap();
    told["news"].as_u64().unwrap()
}

/// Customers of every kind of logout: the token, the customer, the session, everyone.
fn dead_and_living(shop: &Shop, edge: &Edge) -> (Vec<Customer>, Vec<Customer>) {
    let issued = UnixTime::from_seconds(1_790_000_000).seconds();
    let token = |sub: u32, id: &str, iat: u64| {
        let claims = json!({ "sub": sub, "jti": id, "iat": iat, "exp": 4_000_000_000_u64 });
        Customer::holding(shop, shop.sign(&claims))
    };
    let endless = |id: &str| {
        let claims = json!({ "sub": 1, "jti": id, "iat": issued });
        Customer::holding(shop, shop.sign(&claims))
    };
    let (mut dead, living) = (
        vec![
            token(1, "a", issued),
            token(2, "b", issued),
            token(2, "c", issued),
            endless("d"),
        ],
        vec![token(1, "e", issued), endless("f")],
    );
    for order in [["--jti", "a"], ["--subject", "2"], ["--jti", "d"]] {
        done(&edge.command(&[&["revoke", "--shop", "main"][..], &order].concat()));
    }
    let alice = Customer::signed_in(shop);
    assert_eq!(alice.log_out(edge), 200);
    dead.push(alice);
    (dead, living)
}

#[track_caller]
fn expect(edge: &Edge, dead: &[Customer], living: &[Customer]) {
    for customer in dead {
        assert_eq!(customer.visit(edge, PROFILE), 401);
    }
    for customer in living {
        assert_eq!(customer.visit(edge, PROFILE), 200);
    }
}

#[test]
fn what_one_process_refuses_another_refuses_after_an_import_also_after_a_power_cut() {
    let scene = Scene::with("");
    let (dead, living) = dead_and_living(&scene.shop, &scene.edge);
    expect(&scene.edge, &dead, &living);
    let file = export(&scene.edge);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let bytes = fs::read(&file).unwrap();
    for customer in dead.iter().chain(&living) {
        let token = customer.token().as_bytes();
        let signature = token.rsplit(|byte| *byte == b'.').next().unwrap();
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|one| one == part);
        assert!(!holds(signature), "a token is in the export");
        assert!(holds(b"doorward revocations 1\n"), "it can be searched");
    }
    let mut other = Edge::in_front_of(&scene.shop);
    expect(&other, &[], &dead[..4]);
    let outcome = other.command(&["revocations", "import", &file]);
    assert!(done(&outcome).starts_with("imported "), "{outcome:?}");
    assert!(
        outcome.stderr.contains("another installation"),
        "{outcome:?}"
    );
    other.kill_dash_nine();
    other.restart();
    expect(&other, &dead, &living);
    assert_eq!(news(&other, &file), 0, "a second time nothing is new");
    expect(&other, &dead, &living);
    let again = export(&other);
    assert_eq!(
        news(&scene.edge, &again),
        0,
        "and nothing was lost or added"
    );
}

#[test]
fn an_import_reaches_the_other_nodes() {
    let scene = Scene::with("");
    let (dead, living) = dead_and_living(&scene.shop, &scene.edge);
    let file = export(&scene.edge);
    let cluster = Cluster::of(&["a", "b"]).start();
    // Each shop has keys of its own here, but the same token domain.
    let outcome = cluster["a"].command(&["revocations", "import", &file]);
    done(&outcome);
    let cutoffs = |name: &str| {
        let told: Value =
            serde_json::from_str(&cluster[name].command(&["inspect"]).stdout).unwrap();
        told["revocations"]["cutoffs"].as_u64().unwrap()
    };
    assert!(cutoffs("a") >= 2);
    eventually(|| cutoffs("b") == cutoffs("a"));
    drop((dead, living));
}

/// A cutoff that an import raises does not shorten what is known.
#[test]
fn an_old_export_takes_nothing_back() {
    let scene = Scene::with("");
    let claims = |iat: u64| json!({ "sub": 2, "jti": iat.to_string(), "iat": iat, "exp": 4_000_000_000_u64 });
    let holder = |iat| Customer::holding(&scene.shop, scene.shop.sign(&claims(iat)));
    let early = holder(1_700_000_000);
    let order = [
        "revoke",
        "--shop",
        "main",
        "--all-before",
        "2024-01-01T00:00:00Z",
        "--yes",
    ];
    done(&scene.edge.command(&order));
    let old = export(&scene.edge);
    let later = holder(1_750_000_000);
    let order = [
        "revoke",
        "--shop",
        "main",
        "--all-before",
        "2025-12-01T00:00:00Z",
        "--yes",
    ];
    done(&scene.edge.command(&order));
    assert_eq!(news(&scene.edge, &old), 0);
    expect(&scene.edge, &[early, later], &[]);
}

#[test]
fn a_file_that_is_not_whole_is_refused_whole() {
    let scene = Scene::with("");
    let (dead, _) = dead_and_living(&scene.shop, &scene.edge);
    let whole = fs::read(export(&scene.edge)).unwrap();
    let other = Edge::in_front_of(&scene.shop);
    let file = other.path("import");
    let middle = whole.len() / 2;
    let mut flipped = whole.clone();
    flipped[middle] ^= 1;
    let mut last = whole.clone();
    *last.last_mut().unwrap() ^= 1;
    for (bytes, why) in [
        (&whole[..whole.len() - 1], "truncated"),
        (&whole[..middle], "truncated"),
        (&flipped, "corrupt"),
        (&last, "corrupt"),
        (&[&whole[..], b"x"].concat(), "corrupt"),
        (b"{\"revocations\": []}", "no export"),
        (b"", "no export"),
        (b"doorward revocations 2\n{}\n", "format \"2\""),
    ] {
        fs::write(&file, bytes).unwrap();
        let outcome = other.command(&["revocations", "import", file.to_str().unwrap()]);
        assert_eq!(outcome.code, Some(1), "{why} {outcome:?}");
        let told = &outcome.stderr;
        assert!(
            told.contains(why) || why == "corrupt" && told.contains("does not know"),
            "{why} {told}"
        );
        assert!(told.contains("nothing of it was imported"), "{told}");
    }
    let missing = other.command(&["revocations", "import", "/no/such/file"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    let (listed, end) = list(&other, &[]);
    assert!(listed.is_empty() && end["listed"] == 0, "{listed:?}");
    expect(&other, &[], &dead[..4]);
}

/// A file as an export of this machine would be, with one row.
fn file_with(edge: &Edge, domain: &str, row: &Revocation) -> String {
    let digest = Id::of_token_domain(domain);
    let hex = digest.bytes().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    let header = BackupHeader {
        version: "0".to_owned(),
        node: Some("z".to_owned()),
        at: "2026-01-01T00:00:00Z".to_owned(),
        installation: "other".to_owned(),
        token_domains: vec![hex],
    };
    let mut bytes = Vec::new();
    let mut writer = BackupWriter::begin(&header, &mut bytes).unwrap();
    writer.push(row, &mut bytes);
    writer.end(&mut bytes);
    let file = edge.path("made");
    fs::write(&file, bytes).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_file_of_shops_that_are_not_here_is_taken_only_if_that_is_meant() {
    let edge = Edge::in_front_of(&stateless_bagisto());
    let token = Revocation::Token {
        id: Id::from_bytes([7; 16]),
        window: Window::UNDATED,
        until: UnixTime::FOREVER,
        source: Source::Verified,
    };
    let file = file_with(&edge, "elsewhere", &token);
    let refused = edge.command(&["revocations", "import", &file]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("none of its 1 token domains"),
        "{refused:?}"
    );
    assert!(
        refused
            .stderr
            .contains("another installation or cluster (z,"),
        "{refused:?}"
    );
    assert_eq!(list(&edge, &[]).1["listed"], 0);
    done(&edge.command(&["revocations", "import", "--foreign", &file]));
    assert_eq!(list(&edge, &[]).1["listed"], 1);
}

/// It would refuse tokens that are still to be issued.
#[test]
fn a_cutoff_of_the_future_is_not_imported() {
    let edge = Edge::in_front_of(&stateless_bagisto());
    let cutoff = Revocation::Cutoff {
        id: Id::of_token_domain("main"),
        not_before: UnixTime::from_seconds(4_000_000_000),
        until: UnixTime::FOREVER,
    };
    let file = file_with(&edge, "main", &cutoff);
    let refused = edge.command(&["revocations", "import", &file]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("still to come"), "{refused:?}");
}

#[test]
fn what_is_in_force_is_listed_by_short_names() {
    let scene = Scene::with("");
    let alice = Customer::signed_in(&scene.shop);
    let logout = alice.log_out(&scene.edge);
    assert_eq!(logout, 200);
    done(
        &scene
            .edge
            .command(&["revoke", "--shop", "main", "--subject", "77"]),
    );
    let (listed, end) = list(&scene.edge, &[]);
    assert_eq!(end["listed"], listed.len());
    let of_kind = |kind: &str| {
        let mut found = listed.iter().filter(|one| one["kind"] == kind);
        (found.next().unwrap(), found.count() + 1)
    };
    let (token, tokens) = of_kind("token");
    assert_eq!(tokens, 1);
    assert_eq!(token["rule"], "POST /api/shop/customers/logout");
    assert_eq!(token["request"].as_str(), logout.header("x-request-id"));
    assert_eq!(token["shop"], "main");
    assert_eq!(token["since_by"], "this node");
    assert!(of_kind("customer").1 >= 2);
    assert_eq!(list(&scene.edge, &["--shop", "main"]).0.len(), listed.len());
    let (none, end) = list(&scene.edge, &["--shop", "other"]);
    assert!(none.is_empty());
    assert_eq!(end["not_known_to_be_of_the_shop"], listed.len());
    let outcome = scene.edge.command(&["revocations", "list"]);
    let text = done(&outcome);
    assert!(text.contains("doorward revoke: subject"), "{text}");
    assert!(
        text.ends_with(&format!("{} revocations\n", listed.len())),
        "{text}"
    );
    assert!(!text.contains(alice.token()));
}

#[test]
fn an_export_stands_whole_or_not_at_all() {
    let scene = Scene::with("");
    let file = export(&scene.edge);
    let first = fs::read(&file).unwrap();
    let alice = Customer::signed_in(&scene.shop);
    assert_eq!(alice.log_out(&scene.edge), 200);
    assert_ne!(fs::read(export(&scene.edge)).unwrap(), first);
    let nowhere = scene.edge.path("no/folder/export");
    let refused = scene
        .edge
        .command(&["revocations", "export", nowhere.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("can't be written"), "{refused:?}");
    let left = fs::read_dir(scene.edge.path("")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().starts_with(".tmp")),
        "{left:?}"
    );
}

/// The cold copy: the folder of a stopped process is a backup, and says that it is a copy.
#[test]
fn the_folder_of_a_stopped_process_can_be_copied_and_restored() {
    let mut scene = Scene::with("");
    let (dead, living) = dead_and_living(&scene.shop, &scene.edge);
    scene.edge.stop();
    let other = format!(
        "data_dir = \"{{home}}/restored\"\n{}",
        shop_table(&scene.shop)
    );
    let restored = scene.edge.path("restored");
    fs::create_dir(&restored).unwrap();
    fs::copy(
        scene.edge.path("data/journal.redb"),
        restored.join("journal.redb"),
    )
    .unwrap();
    fs::copy(
        scene.edge.path("data/journal.mark"),
        restored.join("journal.mark"),
    )
    .unwrap();
    scene.edge.configure(&other);
    let refused = scene.edge.try_restart().unwrap_err();
    assert_eq!(refused.code, Some(78), "{refused:?}");
    fs::remove_file(restored.join("journal.mark")).unwrap();
    scene.edge.restart();
    expect(&scene.edge, &dead, &living);
}
