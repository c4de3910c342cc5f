//! Life in containers: what probes ask, whether the files of `packaging/` are what their readers take, and how nodes without a socket
//! of systemd are replaced one after the other.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use support::places::{PAGE, open_shop, page};
use support::{
    Edge, Peer, Program, Shop, doorward, eventually, free_address, request, shop_table, try_raw,
};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A checker that `.ci/checkers` has put into `target/checkers`, over these files.
fn check(command: &mut Command) -> String {
    let outcome = command
        .current_dir(here(""))
        .env("PYTHONPATH", here("target/checkers"))
        .output()
        .unwrap_or_else(|fault| panic!("{fault}; `make test` installs it"));
    let streams = [outcome.stdout, outcome.stderr];
    let told = streams.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(outcome.status.success(), "{}", told.concat());
    told.concat()
}

#[test]
fn a_health_check_is_content_while_the_process_is_ready() {
    let shop = open_shop();
    let mut edge = Edge::in_front_of(&shop);
    let asked = edge.command(&["healthcheck"]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert_eq!(asked.stdout, "ready\n");
    edge.stop();
    let asked = edge.command(&["healthcheck"]);
    assert_eq!(asked.code, Some(1), "{asked:?}");
    assert!(asked.stderr.contains("no Doorward process"), "{asked:?}");
}

#[test]
fn a_health_check_names_what_keeps_the_process_from_being_ready() {
    let shop = open_shop();
    let slow = "[drain]\ndelay = \"10s\"\n";
    let mut edge = Edge::with(&(slow.to_owned() + &shop_table(&shop)));
    edge.signal("TERM");
    eventually(|| edge.command(&["healthcheck"]).code == Some(1));
    let asked = edge.command(&["healthcheck"]);
    assert_eq!(asked.stdout, "[-] process: draining\nnot ready\n");
    edge.kill_dash_nine();
}

#[test]
fn a_health_check_without_a_process_fails_as_a_probe_expects() {
    let asked = doorward(&["healthcheck", "--config", "/nowhere/doorward.toml"]);
    assert_eq!(asked.code, Some(1), "{asked:?}");
}

#[test]
fn hadolint_has_no_complaint_about_the_containerfile() {
    let mut hadolint = Command::new(here("target/checkers/bin/hadolint"));
    check(hadolint.arg("packaging/Containerfile"));
    let text = fs::read_to_string(here("packaging/Containerfile")).unwrap();
    assert!(text.contains("CMD [\"doorward\", \"healthcheck\"]"));
    let user = text
        .lines()
        .rfind(|line| line.starts_with("USER "))
        .unwrap();
    assert_eq!(user, "USER 10001:10001", "not root, by its number");
}

#[test]
fn the_compose_file_is_one_by_its_specification() {
    let mut python = Command::new("python3");
    python.args(["-m", "check_jsonschema"]);
    python.args(["--builtin-schema", "vendor.compose-spec"]);
    check(python.arg("packaging/compose.yaml"));
}

#[test]
fn kubernetes_knows_every_key_of_the_manifests() {
    let files = fs::read_dir(here("packaging/kubernetes")).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    let list = fs::read_to_string(here("packaging/kubernetes/kustomization.yaml")).unwrap();
    files.retain(|path| !path.ends_with("kustomization.yaml")); // it stays on the operator's side
    for path in &files {
        let line = format!("  - {}", path.file_name().unwrap().display());
        assert!(list.lines().any(|one| one == line), "{line}");
    }
    let mut python = Command::new("python3");
    python.args(["-m", "kubernetes_validate", "--strict"]);
    let told = check(python.args(&files));
    for kind in ["statefulset/doorward", "poddisruptionbudget/doorward"] {
        assert!(
            told.contains(&format!("passed for resource {kind}")),
            "{told}"
        );
    }
    let headless = fs::read_to_string(here("packaging/kubernetes/services.yaml")).unwrap();
    assert!(headless.contains("clusterIP: None"));
}

/// The `doorward.toml` of the manifests.
fn configuration_of_the_manifests() -> String {
    let text = fs::read_to_string(here("packaging/kubernetes/config.yaml")).unwrap();
    let (_, block) = text.split_once("doorward.toml: |\n").unwrap();
    let lines = block
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(""));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn the_configuration_of_the_manifests_loads() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    fs::write(path("ca.pem"), certificate.pem()).unwrap();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let node = CertificateParams::new(["doorward-0".to_owned()]).unwrap();
    let node = node.signed_by(&key, &issuer).unwrap();
    fs::write(path("doorward-0.pem"), node.pem()).unwrap();
    fs::write(path("doorward-0.key"), key.serialize_pem()).unwrap();
    let private = Permissions::from_mode(0o600);
    fs::set_permissions(path("doorward-0.key"), private).unwrap();
    let text = configuration_of_the_manifests().replace("@NODE@", "doorward-0");
    let home = folder.path().display().to_string();
    let text = text.replace("/etc/doorward-cluster", &home);
    fs::write(
        path("doorward.toml"),
        text.replace("/var/lib/doorward", &home),
    )
    .unwrap();
    let file = path("doorward.toml");
    let checked = doorward(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

/// As the pods of a `StatefulSet`: a balancer asks `/readyz`, and a node goes when another one has come back.
#[test]
fn nodes_that_are_replaced_one_after_the_other_fail_no_request() {
    const CUSTOMERS: usize = 8;
    let shop = open_shop();
    let front = free_address();
    let places = [(); 2].map(|()| [free_address(), free_address()]);
    let mut edges = places.map(|[public, operator]| {
        let keys = format!(
            "listen = [\"{public}\"]\noperator_listen = \"{operator}\"\n[drain]\ndelay = \"1s\"\n"
        );
        Edge::with(&(keys + &shop_table(&shop)))
    });
    let lines = places
        .iter()
        .enumerate()
        .map(|(number, [public, operator])| {
            format!(
                "    server node{number} {public} check addr {} port {}\n",
                operator.ip(),
                operator.port()
            )
        });
    let balancer = format!(
        "defaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n    timeout check 10s\n\
         listen front\n    bind {front}\n    option httpchk GET /readyz\n    option redispatch\n    retries 3\n\
         \x20   default-server inter 100ms fall 1 rise 1\n{}",
        lines.collect::<String>()
    );
    let _balancer = Peer::run(Program::Haproxy, &balancer, &[front]);
    eventually(|| try_raw(front, &page()).is_ok_and(|answer| answer == 200));
    let bearer = format!("Bearer {}", shop.sign_in("alice"));
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let failures = Arc::new(Mutex::new(Vec::new()));
    let customers: Vec<_> = (0..CUSTOMERS)
        .map(|_| {
            let headers = [("Authorization", &*bearer), ("X-STOREFRONT-KEY", Shop::KEY)];
            let bytes = request("GET", PAGE, &headers, b"");
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            let failures = Arc::clone(&failures);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    match try_raw(front, &bytes) {
                        Ok(answer) if answer == 200 => {}
                        Ok(answer) => failures.lock().unwrap().push(answer.status.to_string()),
                        Err(fault) => failures.lock().unwrap().push(fault.to_string()),
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let good_answers = "doorward_requests_total{shop=\"main\",code=\"200\"} ";
    let serves = |edge: &Edge| {
        let metrics = edge.metrics();
        let mut lines = metrics.lines();
        lines.any(|line| line.starts_with(good_answers) && !line.ends_with(" 0"))
    };
    for edge in &mut edges {
        eventually(|| serves(edge));
        edge.restart();
        eventually(|| serves(edge));
    }
    over.store(true, Ordering::Relaxed);
    for customer in customers {
        customer.join().unwrap();
    }
    let failures = failures.lock().unwrap();
    let total = answered.load(Ordering::Relaxed);
    println!(
        "2 nodes replaced, {total} requests, {} failed",
        failures.len()
    );
    assert_eq!(*failures, [""; 0]);
}
