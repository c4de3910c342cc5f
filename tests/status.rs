//! The state of the running process: `status`, `top`, `keys`, `log`, `drain`, `cluster peers`.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use serde_json::Value;
use support::{
    Cluster, Customer, Edge, Outcome, Scene, doorward, eventually, request, shop_table,
    stateless_bagisto,
};

const PROFILE: &str = "/api/shop/customers/profile";

/// Every command that asks the running process, in a form that changes nothing for long.
const COMMANDS: [&[&str]; 12] = [
    &["status"],
    &["top", "--once"],
    &["keys", "list"],
    &["log", "set", "info"],
    &["drain", "--undo"],
    &["cluster", "peers"],
    &["cluster", "status"],
    &["revocations", "list"],
    &["revocations", "export", "/tmp/never-written"],
    &["inspect"],
    &["explain", "--request-id", "x"],
    &["reload"],
];

#[track_caller]
fn done(outcome: &Outcome) -> &str {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    &outcome.stdout
}

fn document(edge: &Edge) -> Value {
    let outcome = edge.command(&["status", "--format", "json"]);
    serde_json::from_str(done(&outcome)).unwrap()
}

#[test]
fn the_status_tells_what_the_process_is_and_does() {
    let scene = Scene::with("");
    let alice = Customer::signed_in(&scene.shop);
    assert_eq!(alice.visit(&scene.edge, PROFILE), 200);
    assert_eq!(alice.log_out(&scene.edge), 200);
    assert_eq!(alice.visit(&scene.edge, PROFILE), 401);
    scene.edge.raw(&request("POST", "/my/logout", &[], b""));
    let told = document(&scene.edge);
    assert_eq!(told["format"], 1);
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(told["pid"], scene.edge.pid());
    assert_eq!(told["state"], "serving");
    assert_eq!(told["ready"], true);
    assert_eq!(told["cluster"], Value::Null);
    assert_eq!(told["revocations"]["tokens"], 1);
    assert_eq!(told["revocations"]["live"], 2, "the token and its customer");
    assert!(told["revocations"]["bytes"].as_u64().unwrap() > 0);
    assert_eq!(told["journal"]["writable"], true);
    assert!(told["journal"]["bytes"].as_u64().unwrap() > 0);
    let shop = &told["shops"][0];
    assert_eq!(shop["name"], "main");
    assert_eq!(shop["keys"][0]["keys"][0]["kind"], "secret");
    assert_eq!(shop["keys"][0]["keys"][0]["algorithms"][0], "HS256");
    assert_eq!(shop["servers"][0]["state"], "healthy");
    let places = shop["places"].as_array().unwrap();
    assert!(
        places.iter().any(|place| place["tokens"] == 3),
        "{places:?}"
    );
    assert_eq!(told["totals"]["logouts"]["revoked"], 1);
    assert_eq!(told["totals"]["decisions"]["revoked"], 1);
    assert_eq!(told["totals"]["requests"]["401"], 1);
    assert!(told["times"]["judging"]["p99_s"].as_f64().unwrap() > 0.0);
    assert_eq!(told["near_misses"][0]["path"], "/my/logout");
    assert_eq!(told["near_misses"][0]["count"], 1);
    let listeners = told["listeners"].to_string();
    assert!(
        listeners.contains(&scene.edge.address().to_string()),
        "{listeners}"
    );
    assert!(listeners.contains("control.sock"), "{listeners}");
    assert!(!told.to_string().contains(alice.token()), "{told}");

    let outcome = scene.edge.command(&["status"]);
    let page = done(&outcome);
    for words in [
        "serving since 2",
        ", ready",
        "shop main",
        "2 live (1 tokens",
        "log level",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    assert!(!page.contains('\u{1b}'), "no colour in a pipe: {page}");
}

#[test]
fn a_failed_reload_is_in_the_status_until_one_succeeds() {
    let scene = Scene::with("");
    let before = document(&scene.edge)["configuration"].take();
    assert_eq!(before["last_reload"]["succeeded"], true);
    scene
        .edge
        .configure("control = \"/elsewhere/control.sock\"\nnonsense = 1\n");
    let failed = scene.edge.command(&["reload"]);
    assert_eq!(failed.code, Some(78), "{failed:?}");
    let told = document(&scene.edge)["configuration"].take();
    assert_eq!(told["last_reload"]["succeeded"], false);
    assert!(
        told["last_reload"]["error"]
            .as_str()
            .unwrap()
            .starts_with("error"),
        "{told}"
    );
    assert_eq!(told["hash"], before["hash"], "the old one is in force");
    assert_eq!(told["reloads"]["failed"], 1);
    let outcome = scene.edge.command(&["status"]);
    assert!(done(&outcome).contains("the reload of 2"), "{outcome:?}");
    assert!(
        scene
            .edge
            .metrics()
            .contains("doorward_last_reload_successful 0\n")
    );
    let log = scene.edge.log_lines().join("\n");
    assert!(
        log.contains("reload failed; the old configuration stays in use"),
        "{log}"
    );
    let table = format!("{}token.leeway = \"7s\"\n", shop_table(&scene.shop));
    scene.edge.configure(&table);
    assert_eq!(scene.edge.command(&["reload"]).code, Some(0));
    let told = document(&scene.edge)["configuration"].take();
    assert_eq!(told["last_reload"]["succeeded"], true);
    assert_ne!(told["hash"], before["hash"]);
}

/// A changed `data_dir` or `control` in the file leads no command to another socket than the one of the process.
#[test]
fn a_file_that_names_another_socket_misleads_no_command() {
    let scene = Scene::with("");
    let table = shop_table(&scene.shop);
    for changed in [
        "data_dir = \"{home}/other\"\n",
        "control = \"{home}/other.sock\"\n",
    ] {
        scene.edge.configure(&format!("{changed}{table}"));
        let refused = scene.edge.command(&["reload"]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("a restart"), "{refused:?}");
        assert_eq!(document(&scene.edge)["pid"], scene.edge.pid());
        let metrics = scene.edge.metrics();
        assert!(metrics.contains("doorward_last_reload_successful 0\n"));
    }
}

#[test]
fn top_prints_one_page_where_no_terminal_is() {
    let scene = Scene::with("");
    let alice = Customer::signed_in(&scene.shop);
    alice.visit(&scene.edge, PROFILE);
    let outcome = scene.edge.command(&["top"]);
    let page = done(&outcome);
    for words in [
        "doorward  serving",
        "requests   ",
        "judging    p50 ",
        "forward",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
}

#[test]
fn the_keys_are_listed_without_their_secrets() {
    let scene = Scene::with("");
    let outcome = scene.edge.command(&["keys", "list"]);
    let page = done(&outcome);
    assert!(
        page.contains("shop main\n") && page.contains("secret  HS256"),
        "{page}"
    );
    let outcome = scene.edge.command(&["keys", "list", "--format", "json"]);
    let told: Value = serde_json::from_str(done(&outcome)).unwrap();
    assert_eq!(told[0]["shop"], "main");
    assert_eq!(told[0]["keys"][0]["from"], "configuration");
    assert!(!outcome.stdout.contains(support::Shop::SECRET));
}

#[test]
fn the_log_level_changes_by_hand_until_the_next_reload() {
    let scene = Scene::with("");
    let level = || {
        document(&scene.edge)["log_level"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(level(), "info");
    let outcome = scene.edge.command(&["log", "set", "debug"]);
    assert!(
        done(&outcome).contains("log level debug (before: info)"),
        "{outcome:?}"
    );
    assert_eq!(level(), "debug");
    assert!(
        scene
            .edge
            .log_lines()
            .join("\n")
            .contains("the log level was changed by hand")
    );
    assert_eq!(scene.edge.command(&["reload"]).code, Some(0));
    assert_eq!(level(), "info");
    assert_eq!(scene.edge.command(&["log", "set", "loud"]).code, Some(2));
}

#[test]
fn a_drained_process_is_not_ready_and_serves_on_until_it_is_told_to_stop() {
    let mut scene = Scene::with("");
    let alice = Customer::signed_in(&scene.shop);
    let ready = |edge: &Edge| edge.ask_operator("/readyz").status;
    assert_eq!(ready(&scene.edge), 200);
    let outcome = scene.edge.command(&["drain"]);
    assert!(done(&outcome).starts_with("draining"), "{outcome:?}");
    assert_eq!(ready(&scene.edge), 503);
    assert_eq!(document(&scene.edge)["state"], "draining");
    assert_eq!(alice.visit(&scene.edge, PROFILE), 200);
    let outcome = scene.edge.command(&["drain", "--undo", "--format", "json"]);
    let told: Value = serde_json::from_str(done(&outcome)).unwrap();
    assert_eq!(told["draining"], false);
    assert_eq!(ready(&scene.edge), 200);
    done(&scene.edge.command(&["drain", "--stop"]));
    assert_eq!(scene.edge.ends(), Some(0));
}

#[test]
fn the_peers_of_a_node_are_a_line_each() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let line = || cluster["a"].command(&["cluster", "peers"]).stdout;
    eventually(|| line().starts_with("b  ready  connected"));
    let outcome = cluster["a"].command(&["cluster", "peers", "--format", "json"]);
    let told: Value = serde_json::from_str(done(&outcome)).unwrap();
    assert_eq!(told[0]["node"], "b");
    let told = document(&cluster["a"]);
    assert_eq!(told["node"], "a");
    assert_eq!(told["cluster"]["peers"][0]["node"], "b");
}

#[test]
fn without_a_process_every_command_says_so_and_exits_with_69() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("doorward.toml");
    std::fs::write(&file, format!("data_dir = {:?}\n", folder.path())).unwrap();
    let file = file.to_str().unwrap();
    for command in COMMANDS {
        let outcome = doorward(&[command, &["--config", file]].concat());
        assert_eq!(outcome.code, Some(69), "{command:?} {outcome:?}");
        assert!(outcome.stderr.contains("is it running"), "{outcome:?}");
        assert_eq!(outcome.stdout, "", "{command:?}");
    }
}

/// Another user can't open the socket: no command tells or changes anything.
#[test]
fn another_user_is_told_nothing() {
    if !rustix::process::geteuid().is_root() {
        return; // only root can be somebody else
    }
    let edge = Edge::in_front_of(&stateless_bagisto());
    let home = edge.path("");
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).unwrap();
    let socket = edge.path("data/control.sock");
    std::fs::set_permissions(edge.path("data"), PermissionsExt::from_mode(0o755)).unwrap();
    let binary = home.join("doorward");
    std::fs::copy(env!("CARGO_BIN_EXE_doorward"), &binary).unwrap();
    for command in COMMANDS {
        let mut other = Command::new(&binary);
        let other = other.args(command).arg("--control").arg(&socket);
        let ended = other
            .current_dir("/")
            .uid(65_534)
            .gid(65_534)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(69), "{command:?} {error}");
        assert!(error.contains("Permission denied"), "{command:?} {error}");
        assert!(ended.stdout.is_empty(), "{command:?}");
    }
}
