//! A start: a data folder without a journal is not an empty set, and a copy of one is not the newest.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use doorward::clock;
use doorward::revocation::{Journal, Progress};
use std::time::Duration;
use support::{
    Cluster, Customer, Edge, Shop, eventually, raw, request, shop_table, stateless_bagisto,
};
use tempfile::TempDir;

const PAGE: &str = "/api/shop/customers/profile";
const FILES: [&str; 2] = ["journal.redb", "journal.mark"];

/// A stopped edge at which this customer has logged out.
fn after_logout(shop: &Shop) -> (Edge, Customer) {
    let mut edge = Edge::in_front_of(shop);
    let alice = Customer::signed_in(shop);
    assert_eq!(alice.log_out(&edge), 200);
    assert_eq!(edge.stop(), Some(0));
    (edge, alice)
}

/// A start ends with exit code 78, and says all of this.
#[track_caller]
fn is_refused(edge: &mut Edge, words: &[&str]) {
    let refused = edge.try_restart().unwrap_err();
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    for word in words {
        assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
    }
}

/// As `is_refused`, where nothing is known of a journal: it may be a new installation, or the wrong folder.
#[track_caller]
fn finds_no_journal(edge: &mut Edge, folder: &str) {
    let path = edge.path(folder).join("journal.redb");
    let words = [path.to_str().unwrap(), "doorward init", "mount", "renamed"];
    is_refused(edge, &words);
    assert!(!path.exists(), "none was made");
}

#[track_caller]
fn is_dead(edge: &Edge, customer: &Customer) {
    assert_eq!(customer.visit(edge, PAGE), 401);
}

/// `check` says this of the data folder after everything else, and no restart follows it.
#[track_caller]
fn check_fails(edge: &Edge, words: &str) {
    let check = edge.command(&["check"]);
    assert_eq!(check.code, Some(78), "{check:?}");
    assert!(check.stderr.contains("error: "), "{check:?}");
    assert!(check.stderr.contains(words), "{check:?}");
    assert!(check.stdout.starts_with("ok  "), "{check:?}");
}

fn warned(edge: &Edge, words: &str) -> bool {
    let lines = edge.log_lines();
    lines
        .iter()
        .any(|line| line.contains("WARN") && line.contains(words))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_renamed_folder_stops_the_start_and_its_journal_is_found_again_attacks_a15() {
    let shop = stateless_bagisto();
    let (mut edge, alice) = after_logout(&shop);
    fs::rename(edge.path("data"), edge.path("data.moved")).unwrap();
    finds_no_journal(&mut edge, "data");
    assert!(!edge.path("data").exists(), "nothing was made");
    fs::create_dir(edge.path("data")).unwrap(); // as systemd makes it
    finds_no_journal(&mut edge, "data");
    edge.configure(&format!(
        "data_dir = \"{{home}}/data.moved\"\n{}",
        shop_table(&shop)
    ));
    edge.restart();
    is_dead(&edge, &alice);
    edge.stop();
    fs::remove_dir(edge.path("data")).unwrap();
    fs::rename(edge.path("data.moved"), edge.path("data")).unwrap();
    edge.configure(&shop_table(&shop));
    edge.restart();
    is_dead(&edge, &alice);
    assert!(!warned(&edge, "journal"), "{:?}", edge.log_lines());
}

#[test]
fn a_mistyped_data_dir_stops_the_start_attacks_a15() {
    let shop = stateless_bagisto();
    let (mut edge, alice) = after_logout(&shop);
    for mistyped in ["dta", "data/data", "doorward.toml"] {
        edge.configure(&format!(
            "data_dir = \"{{home}}/{mistyped}\"\n{}",
            shop_table(&shop)
        ));
        let refused = edge.try_restart().unwrap_err();
        assert_ne!(refused.code, Some(0));
        assert!(refused.stderr.contains(mistyped), "{}", refused.stderr);
    }
    edge.configure(&shop_table(&shop));
    edge.restart();
    is_dead(&edge, &alice);
}

/// With a real mount where this machine allows one, else with the empty folder that an unmounted one leaves.
#[test]
fn an_unmounted_data_folder_stops_the_start_attacks_a15() {
    const SCRIPT: &str = "mount -t tmpfs none \"$1/data\" || exit 9
        \"$0\" init --config \"$1/doorward.toml\" && \"$0\" init --config \"$1/doorward.toml\" || exit 8
        umount \"$1/data\" || exit 7
        exec \"$0\" run --config \"$1/doorward.toml\"";
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    edge.stop();
    fs::remove_dir_all(edge.path("data")).unwrap();
    fs::create_dir(edge.path("data")).unwrap();
    finds_no_journal(&mut edge, "data");
    let mounting = Command::new("unshare")
        .args(["-Urm", "sh", "-c", SCRIPT, env!("CARGO_BIN_EXE_doorward")])
        .arg(edge.path(""))
        .output();
    let Ok(outcome) = mounting else { return };
    let said = String::from_utf8_lossy(&outcome.stderr);
    if !said.contains("journal") {
        return; // no mounts here
    }
    assert_eq!(outcome.status.code(), Some(78), "{outcome:?}");
    assert!(said.contains("is not mounted"), "{said}");
}

#[test]
fn a_journal_that_was_deleted_while_stopped_is_not_made_anew_attacks_a15() {
    let shop = stateless_bagisto();
    let (mut edge, alice) = after_logout(&shop);
    let journal = edge.path("data/journal.redb");
    let aside = edge.path("aside");
    fs::rename(&journal, &aside).unwrap();
    let told = [
        " rows that were written to it",
        "mount",
        "doorward init",
        "--all-before now",
    ];
    is_refused(&mut edge, &told);
    let init = edge.command(&["init"]);
    assert_eq!(init.code, Some(78), "{init:?}");
    assert!(init.stderr.contains("lacks the last "), "{init:?}");
    assert!(!journal.exists());
    fs::rename(&aside, &journal).unwrap();
    edge.restart();
    is_dead(&edge, &alice);
    edge.stop();
    for file in FILES {
        fs::remove_file(edge.path("data").join(file)).unwrap();
    }
    finds_no_journal(&mut edge, "data"); // R8: both are gone
    assert_eq!(edge.command(&["init"]).code, Some(0));
    edge.restart();
    assert_eq!(alice.visit(&edge, PAGE), 200, "as the operator wants it");
}

#[test]
fn init_makes_a_private_folder_and_journal_once_and_overwrites_nothing_attacks_a15() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    edge.stop();
    edge.configure(&format!(
        "data_dir = \"{{home}}/var/lib\"\ncontrol = \"{{home}}/control\"\n{}",
        shop_table(&shop)
    ));
    let data = edge.path("var/lib");
    let made = edge.command(&["init"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let journal = data.join("journal.redb");
    assert_eq!(made.stdout, format!("created {}\n", journal.display()));
    assert_eq!(mode(&data), 0o700);
    let mut names: Vec<_> = fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["journal.mark", "journal.redb"]);
    for file in FILES {
        assert_eq!(mode(&data.join(file)), 0o600);
    }
    edge.restart();
    let alice = Customer::signed_in(&shop);
    assert_eq!(alice.log_out(&edge), 200);
    let again = edge.command(&["init"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    let begins = format!("kept    data_dir {}: journal of 2 live", data.display());
    assert!(again.stdout.starts_with(&begins), "{again:?}");
    assert!(again.stdout.contains("in use"), "{again:?}");
    edge.stop();
    let before = fs::read(&journal).unwrap();
    let again = edge.command(&["init"]);
    assert!(again.stdout.starts_with(&begins), "{again:?}");
    assert_eq!(fs::read(&journal).unwrap(), before);
    edge.restart();
    is_dead(&edge, &alice);
    edge.stop();
    for damaged in [&b"not a journal"[..], b""] {
        fs::write(&journal, damaged).unwrap();
        let refused = edge.command(&["init"]);
        assert_eq!(refused.code, Some(78), "{refused:?}");
        assert!(refused.stderr.contains("is corrupt"), "{refused:?}");
        assert_eq!(fs::read(&journal).unwrap(), damaged);
    }
}

#[test]
fn a_folder_without_a_mark_starts_and_forgets_nothing_attacks_a15() {
    let shop = stateless_bagisto();
    let (mut edge, alice) = after_logout(&shop);
    let mark = edge.path("data/journal.mark");
    edge.stop();
    fs::remove_file(&mark).unwrap();
    edge.restart();
    is_dead(&edge, &alice);
    assert!(warned(&edge, "was removed"));
    assert!(mark.exists());
}

/// The ways by which files get into the place of others.
const WAYS: [&str; 4] = [
    "cat copy/journal.redb >data/journal.redb && cat copy/journal.mark >data/journal.mark",
    "cp -a copy/journal.* data/",
    "rm data/journal.* && cp -a copy/journal.* data/",
    "mv data aside && mv copy data",
];

fn shell(edge: &Edge, script: &str) {
    let mut command = Command::new("sh");
    let status = command
        .args(["-ec", script])
        .current_dir(edge.path(""))
        .status();
    assert!(status.unwrap().success(), "{script}");
}

/// A copy that is taken while the process stands still or runs is put back after the next logout, each by some way.
#[test]
fn both_files_of_the_journal_replaced_by_older_ones_stop_the_start_attacks_r8() {
    for (way, is_running) in WAYS.into_iter().zip([true, true, false, false]) {
        let shop = stateless_bagisto();
        let mut edge = Edge::in_front_of(&shop);
        let (alice, bob) = (
            Customer::named(&shop, "alice"),
            Customer::named(&shop, "bob"),
        );
        assert_eq!(alice.log_out(&edge), 200);
        if is_running {
            shell(&edge, "cp -a data copy");
        } else {
            edge.stop();
            shell(&edge, "cp -a data copy");
            edge.restart();
        }
        assert_eq!(bob.log_out(&edge), 200);
        edge.stop();
        shell(&edge, "cp -a data newest && mv data original");
        shell(&edge, "cp -a original data");
        let told = ["is a copy", "newest", "--all-before now", "journal.mark"];
        is_refused(&mut edge, &told); // it can't be told from an older one
        shell(&edge, "rm -r data && mv original data");
        shell(&edge, way);
        is_refused(&mut edge, &told);
        is_refused(&mut edge, &told);
        check_fails(&edge, "is a copy");
        // As the operator is told, who has the newest.
        shell(
            &edge,
            "cp -a newest/journal.* data/ && rm data/journal.mark",
        );
        edge.restart();
        assert!(warned(&edge, "can't be told"), "{way}");
        is_dead(&edge, &alice);
        is_dead(&edge, &bob);
    }
}

#[test]
fn a_crash_makes_no_copy_of_the_original_attacks_r8() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    for _ in 0..3 {
        let customer = Customer::signed_in(&shop);
        assert_eq!(customer.log_out(&edge), 200);
        edge.kill_dash_nine();
        edge.restart();
        is_dead(&edge, &customer);
    }
    assert!(!warned(&edge, "journal"), "{:?}", edge.log_lines());
}

/// Every node is an older copy: none may say what was revoked, not even one that was alone for long.
#[test]
fn a_cluster_of_copies_judges_no_credential_attacks_r8() {
    let mut cluster = Cluster::of(&["a", "b"]).start();
    let alice = Customer::signed_in(&cluster.shop);
    let names = ["a", "b"];
    for name in names {
        cluster.stop(name);
        shell(&cluster[name], "cp -a data copy");
    }
    cluster.start(&names);
    cluster.form(&names);
    assert_eq!(alice.log_out(&cluster["a"]), 200);
    for name in names {
        cluster.stop(name);
        shell(&cluster[name], WAYS[0]);
    }
    let check = cluster["a"].command(&["check"]);
    assert_eq!(check.code, Some(0), "it starts: {check:?}");
    assert!(check.stderr.contains("is a copy"), "{check:?}");
    for _ in 0..2 {
        cluster.start(&names);
        for name in names {
            cluster.comes_to(name, "syncing; 1 of 1");
            assert_eq!(alice.visit(&cluster[name], PAGE), 503);
        }
        for name in &names {
            cluster.stop(name);
        }
    }
    assert!(cluster.logged("a", &["WARN", "is a copy"]));
}

#[test]
fn a_journal_that_ends_long_ago_is_warned_of_attacks_r8() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    edge.stop();
    let older = edge.path("older");
    assert!(Journal::init(&older).unwrap());
    let mut journal = Journal::open(&older).unwrap();
    let hour_ago = clock::now().minus(Duration::from_hours(1));
    let nothing = Progress::default();
    journal
        .write_with(std::iter::empty(), &nothing, hour_ago)
        .unwrap();
    drop(journal);
    let config = format!("data_dir = \"{{home}}/older\"\n{}", shop_table(&shop));
    edge.configure(&config);
    edge.restart();
    assert!(warned(&edge, "not written for long"));
    assert!(warned(&edge, "1h")); // and perhaps a second
    edge.restart();
    let lines = edge.log_lines();
    let warnings = lines
        .iter()
        .filter(|line| line.contains("not written for long"));
    assert_eq!(warnings.count(), 1, "{lines:?}");
}

/// What no start would find is not remembered, so it is not answered as a success.
#[test]
fn a_folder_that_is_moved_away_under_a_process_takes_no_logout_attacks_a15() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    let customers = ["alice", "bob", "carol"].map(|name| Customer::named(&shop, name));
    let [alice, bob, carol] = &customers;
    assert_eq!(alice.log_out(&edge), 200);
    fs::rename(edge.path("data"), edge.path("aside")).unwrap();
    assert_eq!(bob.log_out(&edge), 503);
    is_dead(&edge, bob);
    assert_eq!(edge.ask_operator("/readyz"), 503);
    Journal::init(&edge.path("data")).unwrap(); // another journal is no better
    assert_eq!(carol.log_out(&edge), 503);
    fs::remove_dir_all(edge.path("data")).unwrap();
    fs::rename(edge.path("aside"), edge.path("data")).unwrap();
    eventually(|| edge.ask_operator("/readyz") == 200);
    edge.restart();
    for customer in &customers {
        is_dead(&edge, customer);
    }
}

#[test]
fn check_says_what_is_in_the_data_folder_attacks_a15() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    let data = edge.path("data");
    let begins = |count: &str| format!("ok  data_dir {}: journal of {count}, ", data.display());
    let said = |edge: &Edge| {
        let outcome = edge.command(&["check"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(outcome.stderr, "");
        let line = outcome
            .stdout
            .lines()
            .find(|line| line.contains("data_dir"));
        line.unwrap().to_owned()
    };
    let running = said(&edge);
    assert!(
        running.starts_with(&begins("0 live revocations")),
        "{running}"
    );
    assert!(
        running.contains("in use by the running process"),
        "{running}"
    );
    let alice = Customer::signed_in(&shop);
    assert_eq!(alice.log_out(&edge), 200);
    assert!(said(&edge).starts_with(&begins("2 live revocations")));
    edge.kill_dash_nine();
    let before = fs::read(edge.path("data/journal.redb")).unwrap();
    let stopped = said(&edge);
    assert!(
        stopped.starts_with(&begins("2 live revocations")),
        "{stopped}"
    );
    assert!(
        stopped.contains("last written ") && stopped.contains(" ago, at 2"),
        "{stopped}"
    );
    assert!(!stopped.contains("in use"), "{stopped}");
    assert_eq!(fs::read(edge.path("data/journal.redb")).unwrap(), before);
    edge.restart();
    is_dead(&edge, &alice);
    let bearer = format!("Bearer {}", shop.sign_in("bob"));
    let headers = [("Authorization", &*bearer), ("X-STOREFRONT-KEY", Shop::KEY)];
    let visit = request("GET", PAGE, &headers, b"");
    assert_eq!(raw(edge.address(), &visit), 200);
    edge.stop();
    // Without either file it may be a new installation.
    for (missing, code, word) in [
        ("data/journal.redb", 78, "error: there is no journal"),
        ("data/journal.mark", 0, "warning: there is no journal"),
        ("data", 0, "warning: there is no journal"),
    ] {
        shell(&edge, &format!("rm -r {missing}"));
        let outcome = edge.command(&["check"]);
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        for word in [word, "doorward init", "mount"] {
            assert!(outcome.stderr.contains(word), "{word}: {outcome:?}");
        }
        assert!(!outcome.stdout.contains("data_dir"), "{outcome:?}");
        assert!(!edge.path("data/journal.redb").exists());
    }
}

#[test]
fn check_fails_where_a_start_would() {
    let shop = stateless_bagisto();
    let (mut edge, alice) = after_logout(&shop);
    shell(&edge, "cp -a data/journal.redb older");
    edge.restart();
    assert_eq!(Customer::named(&shop, "bob").log_out(&edge), 200);
    edge.stop();
    shell(&edge, "cp -a data/journal.redb newest");
    for (put_there, words) in [
        ("cat older >data/journal.redb", "lacks the last"),
        ("echo damaged >data/journal.redb", "is corrupt"),
        (": >data/journal.redb", "is corrupt"),
        (
            "rm data/journal.redb; mkdir data/journal.redb",
            "journal.redb",
        ),
        ("rmdir data/journal.redb", "there is no journal"),
    ] {
        shell(&edge, put_there);
        check_fails(&edge, words);
        assert!(edge.try_restart().is_err(), "{put_there}");
    }
    shell(&edge, "cp -a newest data/journal.redb");
    assert_eq!(edge.command(&["check"]).code, Some(0));
    edge.restart();
    is_dead(&edge, &alice);
}

/// The file or the whole folder is a link to a disk that is not there.
#[test]
fn a_link_that_leads_nowhere_is_named_and_nothing_is_made() {
    for (move_away, link, target) in [
        (
            "mkdir disk && mv data/journal.redb disk/ && ln -s ../disk/journal.redb data/journal.redb",
            "data/journal.redb",
            "disk/journal.redb",
        ),
        (
            "mkdir disk && mv data disk/ && ln -s \"$PWD/disk/data\" data",
            "data",
            "disk/data",
        ),
    ] {
        let shop = stateless_bagisto();
        let (mut edge, alice) = after_logout(&shop);
        shell(&edge, move_away);
        edge.restart();
        is_dead(&edge, &alice);
        edge.stop();
        shell(&edge, "mv disk unmounted");
        let link = format!("{} is a link to ", edge.path(link).display());
        let told = [link.as_str(), target, "which does not exist", "mount"];
        is_refused(&mut edge, &told);
        let init = edge.command(&["init"]);
        assert_eq!(init.code, Some(78), "{init:?}");
        for word in told {
            assert!(init.stderr.contains(word), "{word}: {init:?}");
        }
        check_fails(&edge, &link);
        shell(&edge, "mv unmounted disk");
        edge.restart();
        is_dead(&edge, &alice);
    }
}

#[test]
fn cluster_init_makes_the_journal_attacks_a15() {
    let home = TempDir::new().unwrap();
    let config = home.path().join("doorward.toml");
    let text = "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n[[shop]]\nname = \"main\"\n\
                upstream = [\"127.0.0.1:9\"]\ntoken.kind = \"opaque\"\n";
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let place = [
        "--node",
        "a",
        "--listen",
        "10.0.0.1:7946",
        "--config",
        config,
    ];
    let made = support::doorward(&[&["cluster", "init"], &place[..]].concat());
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.contains("data/journal.redb"), "{made:?}");
    assert_eq!(mode(&home.path().join("data/journal.redb")), 0o600);
    let check = support::doorward(&["check", "--config", config]);
    assert!(
        check
            .stdout
            .contains("journal of 0 live revocations, never written"),
        "{check:?}"
    );
}

/// The reader of what a command says has gone: its exit code stands.
#[test]
fn a_broken_stderr_changes_no_exit_code() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(["check", "--config", "/nowhere/doorward.toml"])
        .stderr(writer)
        .status();
    assert_eq!(status.unwrap().code(), Some(78));
}
