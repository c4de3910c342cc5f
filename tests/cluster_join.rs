//! From one node to several: what `doorward cluster init`, `invite` and `join` make, and what they leave alone.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use support::{
    Customer, Edge, Nobody, Outcome, Shop, doorward, eventually, put, shop_table, stateless_bagisto,
};
use tempfile::TempDir;

const PAGE: &str = "/api/shop/customers/profile";

/// An address for a node that must be known before the node listens there. No other process has it, for it is made of
/// the number of this one, and no other node of this process.
fn place() -> SocketAddr {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(7946);
    const LOOPBACK: u32 = 127 << 24;
    const BELOW_LOOPBACK: u32 = (1 << 24) - 1;
    let number = std::process::id().wrapping_add(1 << 16) & BELOW_LOOPBACK;
    let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from((Ipv4Addr::from_bits(LOOPBACK | number), port))
}

/// A machine on which Doorward was configured and never started.
struct Machine {
    home: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self::configured("")
    }

    /// With more at the top of its configuration.
    fn configured(more: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = format!(
            "{more}listen = [\"127.0.0.1:8080\"]\ndata_dir = \"data\"\n\n[[shop]] # the one\nname = \"main\"\n\
             upstream = [\"127.0.0.1:8000\"]\ntoken.kind = \"opaque\""
        );
        put(home.path(), "doorward.toml", &config, 0o640);
        Self { home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn config(&self) -> String {
        fs::read_to_string(self.path("doorward.toml")).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let config = self.path("doorward.toml");
        doorward(&[arguments, &["--config", config.to_str().unwrap()]].concat())
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stdout
    }

    /// A command fails with this code and tells this.
    #[track_caller]
    fn fails(&self, arguments: &[&str], code: i32, told: &str) -> Outcome {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        assert!(outcome.stderr.contains(told), "{outcome:?}");
        outcome
    }

    fn init(&self) -> String {
        self.succeeds(&[
            "cluster",
            "init",
            "--node",
            "a",
            "--listen",
            "10.0.0.1:7946",
        ])
    }

    /// The files in one of its folders, in order.
    fn files(&self, folder: &str) -> Vec<String> {
        files(&self.path(folder))
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The invitation in what a command printed.
#[track_caller]
fn invitation(told: &str) -> String {
    let mut words = told.split_whitespace();
    let found = words.find(|word| word.starts_with("doorward1"));
    found
        .unwrap_or_else(|| panic!("no invitation: {told}"))
        .to_owned()
}

#[test]
fn init_makes_a_node_that_nobody_else_can_read() {
    let machine = Machine::new();
    let before = machine.config();
    let told = machine.init();
    assert_eq!(
        machine.files("cluster"),
        ["a.key", "a.pem", "ca.key", "ca.pem"]
    );
    assert_eq!(mode(&machine.path("cluster")) & 0o007, 0);
    for file in machine.files("cluster") {
        let path = machine.path("cluster").join(file);
        assert_eq!(
            mode(&path) & 0o137,
            0,
            "{}: {:o}",
            path.display(),
            mode(&path)
        );
        assert!(told.contains(path.to_str().unwrap()), "{told}");
    }
    let key = fs::read_to_string(machine.path("cluster/ca.key")).unwrap();
    assert!(!told.contains(key.lines().nth(1).unwrap()));
    let added = "[cluster]\nnode      = \"a\"\nlisten    = \"10.0.0.1:7946\"\nca_file   = \"cluster/ca.pem\"\n\
                 cert_file = \"cluster/a.pem\"\nkey_file  = \"cluster/a.key\"\n";
    let after = machine.config();
    assert!(
        after.starts_with(&format!("{before}\n\n{added}")),
        "{after}"
    );
    assert!(after.ends_with("\nnew_cluster = true\n"), "{after}");
    assert_eq!(mode(&machine.path("doorward.toml")), 0o640);
    assert_eq!(machine.files(""), ["cluster", "data", "doorward.toml"]);
    let checked = machine.succeeds(&["check"]);
    assert!(checked.contains("node a on 10.0.0.1:7946"), "{checked}");
    let line = format!(
        "doorward cluster join 10.0.0.1:7946 --invite {}",
        invitation(&told)
    );
    assert!(told.contains(&line), "{told}");
}

/// The files that a node shows and checks: its certificate, and the authority's after it.
#[test]
fn a_node_shows_its_authority_so_that_the_invited_know_it() {
    let machine = Machine::new();
    machine.init();
    let read = |name: &str| fs::read_to_string(machine.path(name)).unwrap();
    let (chain, authority) = (read("cluster/a.pem"), read("cluster/ca.pem"));
    assert!(chain.ends_with(&authority));
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(authority.matches("BEGIN CERTIFICATE").count(), 1);
}

#[test]
fn nothing_is_overwritten() {
    let machine = Machine::new();
    machine.init();
    let all = || {
        let files = machine.files("cluster").into_iter();
        let read = |file| fs::read(machine.path("cluster").join(file)).unwrap();
        (
            files.map(read).collect::<Vec<_>>(),
            machine.config(),
            machine.files("data/invitations"),
        )
    };
    let before = all();
    let init = [
        "cluster",
        "init",
        "--node",
        "a",
        "--listen",
        "10.0.0.1:7946",
    ];
    machine.fails(&init, 1, "already exists");
    machine.fails(
        &["cluster", "init", "--node", "b"],
        1,
        "ca.pem already exists",
    );
    assert_eq!(all(), before);
}

#[test]
fn a_configuration_with_faults_stays_as_it_is() {
    let machine = Machine::configured("nonsense = 1\n");
    let before = machine.config();
    let init = [
        "cluster",
        "init",
        "--node",
        "a",
        "--listen",
        "10.0.0.1:7946",
    ];
    machine.fails(&init, 78, "nonsense");
    assert_eq!(machine.config(), before);
    assert_eq!(machine.files(""), ["doorward.toml"]);
}

#[test]
fn a_table_that_would_be_a_fault_is_printed_instead() {
    let machine = Machine::new();
    let before = machine.config();
    let init = [
        "cluster",
        "init",
        "--node",
        "a",
        "--listen",
        "127.0.0.1:8080",
    ];
    let outcome = machine.fails(&init, 78, "[cluster]\nnode      = \"a\"");
    assert!(
        outcome.stderr.contains("needs an address of its own"),
        "{outcome:?}"
    );
    assert_eq!(machine.config(), before);
    assert_eq!(
        machine.files("cluster"),
        ["a.key", "a.pem", "ca.key", "ca.pem"]
    );
    assert_eq!(
        machine.files(""),
        ["cluster", "doorward.toml"],
        "nothing is left aside"
    );
}

#[test]
fn a_table_that_is_there_is_left_alone() {
    let machine = Machine::new();
    machine.init();
    let before = machine.config();
    let other = machine.path("other");
    let told = machine.succeeds(&["cluster", "init", "--dir", other.to_str().unwrap()]);
    assert_eq!(machine.config(), before);
    assert!(
        told.contains("as it is; it should say\n\n[cluster]\nnode      = \"a\""),
        "{told}"
    );
    assert!(told.contains("ca_file   = \"other/ca.pem\""), "{told}");
    assert_eq!(
        machine.files("other"),
        ["a.key", "a.pem", "ca.key", "ca.pem"]
    );
}

#[test]
fn a_configuration_behind_a_link_is_changed_where_it_is() {
    let machine = Machine::new();
    fs::create_dir(machine.path("real")).unwrap();
    fs::rename(
        machine.path("doorward.toml"),
        machine.path("real/doorward.toml"),
    )
    .unwrap();
    std::os::unix::fs::symlink("real/doorward.toml", machine.path("doorward.toml")).unwrap();
    machine.init();
    assert!(machine.path("doorward.toml").is_symlink());
    assert_eq!(machine.files("cluster").len(), 4);
    machine.succeeds(&["check"]);
}

#[test]
fn an_unfit_name_makes_nothing() {
    let machine = Machine::new();
    for name in ["A", "a_b", "10.0.0.1", ""] {
        let outcome = machine.run(&["cluster", "init", "--node", name, "--listen", "10.0.0.1:1"]);
        assert_eq!(outcome.code, Some(2), "{name}: {outcome:?}");
    }
    let init = [
        "cluster",
        "init",
        "--node",
        "ca",
        "--listen",
        "10.0.0.1:7946",
    ];
    machine.fails(&init, 1, "those of the authority");
    assert_eq!(machine.files(""), ["doorward.toml"]);
}

#[test]
fn an_invitation_is_recorded_for_the_service_alone() {
    let machine = Machine::new();
    let first = invitation(&machine.init());
    let told = machine.succeeds(&["cluster", "invite"]);
    let second = invitation(&told);
    assert!(told.contains(&format!(
        "doorward cluster join 10.0.0.1:7946 --invite {second}"
    )));
    assert_ne!(first, second);
    let records = machine.files("data/invitations");
    assert_eq!(records.len(), 2);
    let owner = fs::metadata(machine.path("data")).unwrap().uid();
    assert_eq!(mode(&machine.path("data")), 0o700);
    assert_eq!(mode(&machine.path("data/invitations")), 0o700);
    for record in records {
        let path = machine.path("data/invitations").join(record);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::metadata(&path).unwrap().uid(), owner);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!first.contains(text.trim()) && text.len() < 20, "{text}");
    }
    let told = machine.succeeds(&["cluster", "invite", "--replace", "b"]);
    assert!(
        told.contains("10.0.0.1:7946 --node b --invite doorward1"),
        "{told}"
    );
}

#[test]
fn only_the_authority_invites() {
    let machine = Machine::new();
    machine.fails(
        &["cluster", "invite"],
        1,
        "has no [cluster] with certificates",
    );
    machine.init();
    fs::remove_file(machine.path("cluster/ca.key")).unwrap();
    machine.fails(
        &["cluster", "invite"],
        1,
        "where `doorward cluster init` ran",
    );
    machine.succeeds(&["check"]);
}

#[test]
fn a_machine_that_cant_join_stays_as_it_was() {
    let (first, second) = (Machine::new(), Machine::new());
    let word = invitation(&first.init());
    let before = second.config();
    let nobody = Nobody::at_home();
    let there = nobody.address().to_string();
    let join = |at: &str, word: &str| {
        second.run(&["cluster", "join", at, "--node", "b", "--invite", word])
    };
    for (at, word, code) in [
        (&*there, &*word, 69),
        (&there, "hunter2", 2),
        (&there, &word[..40], 2),
        ("nowhere", &word, 2),
        ("127.0.0.1:0", &word, 2),
    ] {
        let outcome = join(at, word);
        assert_eq!(outcome.code, Some(code), "{at} {word}: {outcome:?}");
        assert!(!outcome.stderr.contains("hunter2"), "{outcome:?}");
    }
    assert_eq!(second.config(), before);
    assert_eq!(second.files("cluster"), Vec::<String>::new());
}

/// The first node of a cluster, running.
fn founded(shop: &Shop) -> (Edge, SocketAddr, String) {
    let mut edge = Edge::with(&shop_table(shop));
    let listen = place();
    let init = [
        "cluster",
        "init",
        "--node",
        "a",
        "--listen",
        &listen.to_string(),
    ];
    let outcome = edge.command(&init);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    edge.restart();
    assert_eq!(edge.address_of("gossip"), listen);
    (edge, listen, invitation(&outcome.stdout))
}

#[track_caller]
fn joins(edge: &Edge, name: &str, there: SocketAddr, word: &str) -> (SocketAddr, Outcome) {
    let listen = place();
    let (at, own) = (there.to_string(), listen.to_string());
    let join = [
        "cluster", "join", &at, "--node", name, "--listen", &own, "--invite", word,
    ];
    (listen, edge.command(&join))
}

fn told_of_cluster(edge: &Edge) -> String {
    let verbose = edge.ask_operator("/readyz?verbose").text();
    let line = verbose
        .lines()
        .find_map(|line| line.split_once("cluster: "));
    line.map(|(_, told)| told.to_owned()).unwrap_or_default()
}

/// Makes the first start the last of its kind.
fn is_initial_no_more(edge: &Edge) {
    let path = edge.path("doorward.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("new_cluster = true\n", "")).unwrap();
}

#[test]
fn a_second_node_takes_two_commands() {
    let shop = stateless_bagisto();
    let (first, there, word) = founded(&shop);
    let mut second = Edge::with(&shop_table(&shop));
    let (listen, outcome) = joins(&second, "b", there, &word);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(files(&second.path("cluster")), ["b.key", "b.pem", "ca.pem"]);
    let config = fs::read_to_string(second.path("doorward.toml")).unwrap();
    assert!(
        config.contains(&format!(
            "listen    = \"{listen}\"\npeers     = [\"{there}\"]\n"
        )),
        "{config}"
    );
    assert!(!config.contains("new_cluster"), "{config}");
    second.restart();
    for edge in [&first, &second] {
        eventually(|| told_of_cluster(edge).starts_with("ready; 1 of 1"));
    }
    let alice = Customer::signed_in(&shop);
    assert_eq!(alice.visit(&second, PAGE), 200);
    assert_eq!(alice.log_out(&first), 200);
    eventually(|| alice.visit(&second, PAGE) == 401);
}

/// A node that is stopped in its tracks acknowledges nothing: whoever waited for it says so.
#[test]
fn a_made_cluster_acknowledges_alike_on_both_nodes_attacks_a14() {
    let shop = stateless_bagisto();
    let (first, there, word) = founded(&shop);
    let shortfalls = |edge: &Edge| {
        let metrics = edge.metrics();
        let mut lines = metrics.lines();
        let line = lines.find_map(|line| line.strip_prefix("doorward_ack_shortfalls_total "));
        line.unwrap().parse::<f64>().unwrap()
    };
    let mut second = Edge::with(&shop_table(&shop));
    assert_eq!(Customer::signed_in(&shop).log_out(&first), 200);
    assert!(shortfalls(&first) < 1.0, "there is no other node yet");
    let check = first.command(&["check"]);
    assert!(
        check
            .stdout
            .contains("no peers, acknowledged by one as soon as there is another node"),
        "{check:?}"
    );
    assert_eq!(joins(&second, "b", there, &word).1.code, Some(0));
    second.restart();
    for edge in [&first, &second] {
        eventually(|| told_of_cluster(edge).starts_with("ready; 1 of 1"));
    }
    for (here, there, peers) in [
        (&first, &second, "no peers, 1 joined by invitation"),
        (&second, &first, "1 peer"),
    ] {
        let check = here.command(&["check"]);
        let told = format!("{peers}, acknowledged by one\n");
        assert!(check.stdout.contains(&told), "{check:?}");
        eventually(|| {
            let before = shortfalls(here);
            assert_eq!(Customer::signed_in(&shop).log_out(here), 200);
            shortfalls(here) <= before // the other one is there
        });
        there.signal("STOP");
        let before = shortfalls(here);
        assert_eq!(Customer::signed_in(&shop).log_out(here), 200);
        let waited = shortfalls(here) > before;
        there.signal("CONT");
        assert!(waited, "it did not wait for the other one");
        eventually(|| told_of_cluster(there).starts_with("ready; 1 of 1"));
        eventually(|| told_of_cluster(here).starts_with("ready; 1 of 1"));
    }
}

#[test]
fn a_third_node_hears_of_the_second() {
    let shop = stateless_bagisto();
    let (first, there, word) = founded(&shop);
    let mut second = Edge::with(&shop_table(&shop));
    let (listen, outcome) = joins(&second, "b", there, &word);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    second.restart();
    let word = invitation(&first.command(&["cluster", "invite"]).stdout);
    let mut third = Edge::with(&shop_table(&shop));
    let (_, outcome) = joins(&third, "c", there, &word);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let config = fs::read_to_string(third.path("doorward.toml")).unwrap();
    assert!(
        config.contains(&format!("peers     = [\"{there}\", \"{listen}\"]\n")),
        "{config}"
    );
    third.restart();
    for edge in [&first, &second, &third] {
        eventually(|| told_of_cluster(edge).starts_with("ready; 2 of 2"));
    }
}

#[test]
fn an_invitation_is_good_once_and_the_second_is_told() {
    let shop = stateless_bagisto();
    let (first, there, word) = founded(&shop);
    let [second, third] = [(); 2].map(|()| Edge::with(&shop_table(&shop)));
    assert_eq!(joins(&second, "b", there, &word).1.code, Some(0));
    let before = fs::read_to_string(third.path("doorward.toml")).unwrap();
    let (_, outcome) = joins(&third, "c", there, &word);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("`doorward cluster invite`"),
        "{outcome:?}"
    );
    assert_eq!(
        fs::read_to_string(third.path("doorward.toml")).unwrap(),
        before
    );
    assert!(files(&third.path("cluster")).is_empty());
    let is_told = |line: &String| line.contains("a machine was not admitted");
    eventually(|| first.log_lines().iter().any(is_told));
    let lines = first.log_lines();
    let secret = word.trim_start_matches("doorward1");
    assert!(
        lines.iter().all(|line| !line.contains(&secret[..22])),
        "{lines:?}"
    );
}

#[test]
fn an_invitation_may_come_by_standard_input() {
    let shop = stateless_bagisto();
    let (_first, there, word) = founded(&shop);
    let second = Edge::with(&shop_table(&shop));
    let join = [
        "cluster",
        "join",
        &there.to_string(),
        "--node",
        "b",
        "--invite",
        "-",
    ];
    let outcome = second.command_with_input(&join, format!("{word}\n").as_bytes());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let config = fs::read_to_string(second.path("doorward.toml")).unwrap();
    // It listens at the address from which it asked.
    assert!(config.contains(":7946\"\npeers"), "{config}");
}

#[test]
fn an_invitation_of_another_cluster_is_of_no_use() {
    let shop = stateless_bagisto();
    let (first, there, _) = founded(&shop);
    let stranger = Machine::new();
    let word = invitation(&stranger.init());
    let second = Edge::with(&shop_table(&shop));
    let (_, outcome) = joins(&second, "b", there, &word);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("nothing was sent to it"),
        "{outcome:?}"
    );
    let lines = first.log_lines();
    assert!(
        lines.iter().all(|line| !line.contains("not admitted")),
        "{lines:?}"
    );
}

#[test]
fn who_admitted_others_does_not_serve_on_its_own_word_after_a_restart() {
    let shop = stateless_bagisto();
    let (mut first, there, word) = founded(&shop);
    let mut second = Edge::with(&shop_table(&shop));
    assert_eq!(joins(&second, "b", there, &word).1.code, Some(0));
    second.restart();
    eventually(|| told_of_cluster(&first).starts_with("ready; 1 of 1"));
    assert_eq!(second.stop(), Some(0));
    is_initial_no_more(&first);
    first.restart();
    let told = told_of_cluster(&first);
    assert!(told.starts_with("syncing"), "{told}");
    let alice = Customer::signed_in(&shop);
    assert_eq!(alice.visit(&first, PAGE), 503);
    second.restart();
    eventually(|| told_of_cluster(&first).starts_with("ready; 1 of 1"));
    assert_eq!(alice.visit(&first, PAGE), 200);
}

#[test]
fn a_certificate_is_renewed_by_joining_again() {
    let shop = stateless_bagisto();
    let (first, there, word) = founded(&shop);
    let mut second = Edge::with(&shop_table(&shop));
    assert_eq!(joins(&second, "b", there, &word).1.code, Some(0));
    second.restart();
    eventually(|| told_of_cluster(&first).starts_with("ready; 1 of 1"));
    let before = fs::read_to_string(second.path("doorward.toml")).unwrap();
    let renewed = second.path("renewed");
    let at = there.to_string();
    let join = |word: &str| {
        let dir = renewed.to_str().unwrap();
        second.command(&["cluster", "join", &at, "--dir", dir, "--invite", word])
    };
    let another = invitation(&first.command(&["cluster", "invite"]).stdout);
    let outcome = join(&another);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("--replace b"), "{outcome:?}");
    let again = first.command(&["cluster", "invite", "--replace", "b"]);
    let outcome = join(&invitation(&again.stdout));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(
        fs::read_to_string(second.path("doorward.toml")).unwrap(),
        before
    );
    for file in ["b.pem", "b.key"] {
        fs::rename(renewed.join(file), second.path("cluster").join(file)).unwrap();
    }
    let reloaded = second.command(&["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    second.restart();
    eventually(|| told_of_cluster(&first).starts_with("ready; 1 of 1"));
    // The node that invites asks itself.
    let word = invitation(
        &first
            .command(&["cluster", "invite", "--replace", "a"])
            .stdout,
    );
    let renewed = first.path("renewed");
    let dir = renewed.to_str().unwrap();
    let outcome = first.command(&["cluster", "join", &at, "--dir", dir, "--invite", &word]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(files(&renewed), ["a.key", "a.pem", "ca.pem"]);
    let joined = fs::read_to_string(first.path("data/joined")).unwrap();
    assert!(
        joined.starts_with("b ") && joined.lines().count() == 1,
        "{joined}"
    );
}
