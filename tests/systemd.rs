//! Life as a service: sockets that are handed over, what the manager is told and when, and the units themselves.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use doorward::clock;
use support::places::{PAGE, open_shop, page};
use support::{
    Connection, Customer, Edge, Manager, Shop, eventually, raw, request, shop_table, try_raw,
};

fn served_at(address: SocketAddr, shop: &Shop) -> String {
    format!("listen = [\"{address}\"]\n{}", shop_table(shop))
}

#[test]
fn ready_is_said_once_customers_are_served_and_the_status_says_what_is_served() {
    let shop = open_shop();
    let manager = Arc::new(Manager::new());
    let mut edge = Edge::under(&manager, &shop_table(&shop));
    manager.is_told("READY=1", 1);
    let address = edge.address();
    let status = |count: &str| format!("serving 1 shop on {address}; {count}");
    assert_eq!(manager.status(), status("0 revocations"));
    assert_eq!(Customer::signed_in(&shop).log_out(&edge), 200);
    assert_eq!(edge.command(&["reload"]).code, Some(0));
    assert_eq!(
        manager.status(),
        status("2 revocations"),
        "token and customer"
    );
    assert_eq!(edge.stop(), Some(0));
    assert_eq!(manager.count("STOPPING=1"), 1);
    assert_eq!(manager.status(), "stopping; 0 requests in flight");
}

#[test]
fn our_own_requests_are_neither_counted_nor_logged_nor_seen_by_a_shop() {
    let shop = open_shop();
    let manager = Arc::new(Manager::new().watching(Duration::from_millis(60)));
    let edge = Edge::under(&manager, &shop_table(&shop));
    manager.is_told("WATCHDOG=1", 3);
    assert_eq!(shop.visits(), 0);
    let metrics = edge.metrics();
    for name in ["doorward_requests_total{", "doorward_decisions_total{"] {
        let mut lines = metrics.lines().filter(|line| line.starts_with(name));
        assert!(lines.all(|line| line.ends_with(" 0")), "{metrics}");
    }
    assert!(!edge.log_lines().iter().any(|line| line.contains("refused")));
    for guess in ["", "0", "00000000000000000000000000000000"] {
        let guessed = [("X-Doorward-Pulse", guess)];
        assert_eq!(edge.raw(&request("GET", PAGE, &guessed, b"")), 200);
    }
    assert_eq!(shop.visits(), 3, "whoever guesses is a customer");
    let seen = shop.seen().pop().unwrap();
    assert!(
        !format!("{seen:?}").to_lowercase().contains("pulse"),
        "{seen:?}"
    );
}

#[test]
fn a_reload_is_told_from_its_beginning_to_its_end() {
    let shop = open_shop();
    let manager = Arc::new(Manager::new());
    let edge = Edge::under(&manager, &shop_table(&shop));
    manager.is_told("READY=1", 1);
    assert_eq!(edge.command(&["reload"]).code, Some(0));
    let notices = manager.notices();
    let [.., begin, end] = notices.as_slice() else {
        panic!("{notices:?}");
    };
    assert!(begin.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{begin}");
    assert!(end.starts_with("READY=1\nSTATUS=serving 1 shop"), "{end}");
    edge.configure("nonsense = 1\n");
    edge.signal("HUP");
    manager.is_told("READY=1", 3);
    let status = manager.status();
    assert!(status.ends_with("; the last reload failed"), "{status}");
    edge.configure(&shop_table(&shop));
    edge.signal("HUP");
    manager.is_told("READY=1", 4);
    assert!(!manager.status().contains("failed"));
}

#[test]
fn a_start_that_fails_is_never_ready_and_ends_at_once() {
    let shop = open_shop();
    let manager = Arc::new(Manager::new());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let refused = Edge::try_start_under(Some(&manager), &served_at(address, &shop));
    let refused = refused.err().unwrap();
    assert_eq!(refused.code, Some(69), "{}", refused.stderr);
    assert!(
        refused.stderr.contains(&address.to_string()),
        "{}",
        refused.stderr
    );
    assert_eq!(manager.notices(), [""; 0]);
}

#[test]
fn sockets_are_taken_over_by_their_address() {
    let shop = open_shop();
    let manager = Arc::new(Manager::new().holding_a_socket().holding_a_socket());
    let (public, operator) = (manager.address(1), manager.address(0));
    let config = format!(
        "operator_listen = \"{operator}\"\nlisten = [\"{public}\", \"127.0.0.1:0\"]\n{}",
        shop_table(&shop)
    );
    let edge = Edge::under(&manager, &config);
    assert_eq!(edge.address(), public);
    assert_eq!(raw(public, &page()), 200);
    assert_eq!(edge.operator(), operator);
    assert_eq!(edge.ask_operator("/readyz"), 200);
    manager.is_told("READY=1", 1);
    let status = manager.status();
    let addresses = status.split(" on ").nth(1).unwrap();
    let own = addresses.split([',', ';']).nth(1).unwrap().trim();
    assert_eq!(raw(own.parse().unwrap(), &page()), 200, "bound by itself");
}

#[test]
fn unix_sockets_are_taken_over_by_their_path_and_stay() {
    let shop = open_shop();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let manager = Arc::new(Manager::new().holding_a_unix_socket(&path));
    let unix = format!("unix:{}", path.display());
    let config = format!("listen = [\"{unix}\"]\n{}", shop_table(&shop));
    let mut edge = Edge::under(&manager, &config);
    manager.is_told("READY=1", 1);
    assert!(manager.status().contains(&unix), "{}", manager.status());
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(&page()).unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    drop(stream);
    assert_eq!(edge.stop(), Some(0));
    assert!(path.exists(), "it is the manager's");
    let other = served_at("127.0.0.1:0".parse().unwrap(), &shop);
    let refused = Edge::try_start_under(Some(&manager), &other).err().unwrap();
    let told = format!("systemd passes a socket on {unix}");
    assert!(refused.stderr.contains(&told), "{}", refused.stderr);
}

#[test]
fn a_socket_that_nothing_asks_for_ends_the_start() {
    let shop = open_shop();
    let manager = Arc::new(Manager::new().holding_a_socket());
    let port = manager.address(0).port();
    // The address of the socket is 127.0.0.1: the same port on another address is another place.
    let config = served_at(SocketAddr::from(([127, 0, 0, 2], port)), &shop);
    let refused = Edge::try_start_under(Some(&manager), &config)
        .err()
        .unwrap();
    assert_eq!(refused.code, Some(69), "{}", refused.stderr);
    let told = format!("systemd passes a socket on 127.0.0.1:{port}");
    assert!(refused.stderr.contains(&told), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("ListenStream="),
        "{}",
        refused.stderr
    );
    assert_eq!(manager.count("READY=1"), 0);
}

/// A reader of the log that hangs: every worker waits in a write of its own, and nobody is served.
#[test]
fn the_watchdog_is_fed_only_while_customers_are_answered() {
    const TIME: Duration = Duration::from_millis(300);
    let shop = open_shop();
    let manager = Arc::new(Manager::new().watching(TIME));
    let edge = Edge::under(&manager, &shop_table(&shop));
    manager.is_told("WATCHDOG=1", 3);
    let hold = edge.hold_log();
    let long = format!("/{}", "x".repeat(4000)); // the line of its refusal has it
    let refused = request(
        "GET",
        &long,
        &[("Authorization", "Bearer eyJ9.e30.AA")],
        b"",
    );
    let mut stuck = Vec::new();
    for _ in 0..200 {
        let mut connection = Connection::open(edge.address());
        connection.send(&refused);
        stuck.push(connection);
    }
    eventually(|| {
        let fed = manager.count("WATCHDOG=1");
        let until = clock::instant() + 2 * TIME;
        while clock::instant() < until && manager.count("WATCHDOG=1") == fed {
            thread::yield_now();
        }
        manager.count("WATCHDOG=1") == fed
    });
    let fed = manager.count("WATCHDOG=1");
    drop(hold);
    manager.is_told("WATCHDOG=1", fed + 2);
    for mut connection in stuck {
        assert_eq!(connection.answer(), 401);
    }
    eventually(|| {
        let lines = edge.log_lines();
        lines
            .iter()
            .any(|line| line.contains("the self-probe was not answered"))
    });
}

/// Customers, each with a connection of its own, while the process is restarted under them again and again.
#[test]
fn a_full_house_is_no_reason_to_end_the_process() {
    let shop = open_shop();
    let manager = Arc::new(Manager::new().watching(Duration::from_millis(300)));
    let full = "[limits]\nconnections = 2\nconnections_per_client = 1\n";
    let edge = Edge::under(&manager, &(full.to_owned() + &shop_table(&shop)));
    manager.is_told("WATCHDOG=1", 1);
    let mut guest = Connection::open(edge.address());
    guest.send(&page());
    assert_eq!(guest.answer(), 200);
    let limit = "doorward_limits_hit_total{limit=\"connections_per_client\"} ";
    let turned_away = |metrics: String| {
        let mut lines = metrics.lines().filter(|line| line.starts_with(limit));
        lines.any(|line| !line.ends_with(" 0"))
    };
    eventually(|| {
        drop(try_raw(edge.address(), &page()));
        turned_away(edge.metrics())
    });
    let fed = manager.count("WATCHDOG=1");
    manager.is_told("WATCHDOG=1", fed + 3);
    guest.send(&page());
    assert_eq!(guest.answer(), 200);
}

#[test]
fn few_descriptors_are_few_connections_and_no_standstill() {
    let shop = open_shop();
    let manager = Arc::new(Manager::new().holding_a_socket().granting(128));
    let edge = Edge::under(&manager, &served_at(manager.address(0), &shop));
    let lines = edge.log_lines().join("\n");
    assert!(lines.contains("descriptors=128 good_for=32"), "{lines}");
    let mut guests: Vec<_> = (0..60).map(|_| Connection::open(edge.address())).collect();
    let full = "doorward_limits_hit_total{limit=\"connections\"} 28";
    eventually(|| edge.metrics().contains(full));
    guests[0].send(&page());
    assert_eq!(guests[0].answer(), 200);
    drop(guests);
    eventually(|| try_raw(edge.address(), &page()).is_ok_and(|answer| answer == 200));
}

#[test]
fn a_restart_under_load_fails_no_request() {
    const CUSTOMERS: usize = 16;
    const RESTARTS: usize = 5;
    let shop = open_shop();
    let manager = Arc::new(Manager::new().holding_a_socket());
    let address = manager.address(0);
    let mut edge = Edge::under(&manager, &served_at(address, &shop));
    let dead = Customer::named(&shop, "dead");
    assert_eq!(dead.log_out(&edge), 200);
    let bearer = |token: &str| format!("Bearer {token}");
    let requests = [
        (bearer(&shop.sign_in("alice")), 200),
        (bearer(dead.token()), 401),
    ];
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let failures = Arc::new(Mutex::new(Vec::new()));
    let longest = Arc::new(Mutex::new(Duration::ZERO));
    let customers: Vec<_> = (0..CUSTOMERS)
        .map(|number| {
            let (bearer, status) = requests[number % 2].clone();
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            let (failures, longest) = (Arc::clone(&failures), Arc::clone(&longest));
            thread::spawn(move || {
                let bytes = request("GET", PAGE, &[("Authorization", &bearer)], b"");
                while !over.load(Ordering::Relaxed) {
                    let start = clock::instant();
                    match try_raw(address, &bytes) {
                        Ok(answer) if answer == status => {}
                        Ok(answer) => failures.lock().unwrap().push(answer.status.to_string()),
                        Err(fault) => failures.lock().unwrap().push(fault.to_string()),
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                    let mut longest = longest.lock().unwrap();
                    *longest = start.elapsed().max(*longest);
                }
            })
        })
        .collect();
    for _ in 0..RESTARTS {
        let so_far = answered.load(Ordering::Relaxed);
        eventually(|| answered.load(Ordering::Relaxed) > so_far + 10 * CUSTOMERS);
        edge.restart();
    }
    let so_far = answered.load(Ordering::Relaxed);
    eventually(|| answered.load(Ordering::Relaxed) > so_far + 10 * CUSTOMERS);
    over.store(true, Ordering::Relaxed);
    for customer in customers {
        customer.join().unwrap();
    }
    let failures = failures.lock().unwrap();
    let (total, longest) = (answered.load(Ordering::Relaxed), *longest.lock().unwrap());
    println!(
        "{RESTARTS} restarts, {total} requests, {} failed, longest wait {longest:?}",
        failures.len()
    );
    assert_eq!(*failures, [""; 0]);
}

#[test]
fn systemd_itself_hands_its_socket_over() {
    let shop = open_shop();
    // An address of our own in 127.0.0.0/8: its port can't be another test's.
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let address = SocketAddr::from(([127, a.max(1), b, c], 8080));
    let mut edge = Edge::with(&shop_table(&shop));
    edge.stop();
    edge.configure(&served_at(address, &shop));
    let mut activator = Command::new("systemd-socket-activate")
        .args(["--listen", &address.to_string()])
        .args([env!("CARGO_BIN_EXE_doorward"), "run", "--config"])
        .arg(edge.path("doorward.toml"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The first connection starts the process, and waits for it.
    let mut answer = None;
    eventually(|| {
        answer = try_raw(address, &page()).ok();
        answer.is_some()
    });
    activator.kill().unwrap(); // it has become the process
    activator.wait().unwrap();
    assert_eq!(answer.unwrap(), 200);
}

fn unit(name: &str) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    fs::read_to_string(format!("{root}/systemd/{name}")).unwrap()
}

fn analyze(arguments: &[&str], unit: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(unit).output().unwrap()
}

#[test]
fn the_service_is_exposed_to_less_than_two() {
    let service = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/doorward.service");
    let judged = analyze(&["security", "--offline=true", "--threshold=20"], &service);
    let told = String::from_utf8_lossy(&judged.stdout).into_owned();
    assert!(judged.status.success(), "{told}");
    println!("{}", told.lines().last().unwrap_or_default());
}

#[test]
fn systemd_has_no_complaint_about_the_units() {
    let home = tempfile::tempdir().unwrap();
    let installed = unit("doorward.service");
    let here = installed.replace("/usr/bin/doorward", env!("CARGO_BIN_EXE_doorward"));
    assert_ne!(installed, here);
    fs::write(home.path().join("doorward.service"), here).unwrap();
    fs::write(home.path().join("doorward.socket"), unit("doorward.socket")).unwrap();
    for name in ["doorward.service", "doorward.socket"] {
        let judged = analyze(&["verify", "--man=no"], &home.path().join(name));
        let told = String::from_utf8_lossy(&judged.stderr).into_owned();
        let is_newer = |line: &str| {
            let keys = ["RestartSteps", "RestartMaxDelaySec"]; // of systemd 254
            let unknown = keys.map(|key| format!("Unknown key '{key}'"));
            unknown.iter().any(|message| line.contains(message))
        };
        let complaints = told.lines().filter(|line| !is_newer(line));
        let complaints: Vec<_> = complaints.filter(|one| one.contains("doorward.")).collect();
        assert!(judged.status.success() && complaints.is_empty(), "{told}");
    }
}

#[test]
fn the_units_say_what_the_configuration_and_the_program_say() {
    let root = env!("CARGO_MANIFEST_DIR");
    let reference = fs::read_to_string(format!("{root}/conf/doorward.toml")).unwrap();
    let (service, socket) = (unit("doorward.service"), unit("doorward.socket"));
    let addresses = socket
        .lines()
        .filter_map(|line| line.strip_prefix("ListenStream="));
    let listen = addresses
        .map(|address| format!("\"{address}\""))
        .collect::<Vec<_>>();
    let listen = format!("listen = [{}]", listen.join(", "));
    assert!(reference.lines().any(|line| line == listen), "{listen}");
    for line in [
        "Type=notify",
        "NotifyAccess=main",
        "RestartPreventExitStatus=78",
        "StartLimitIntervalSec=0",
        "MemoryHigh=1536M",
        "MemoryMax=2G",
    ] {
        assert!(service.lines().any(|given| given == line), "{line}");
    }
    for key in ["ExecStart=", "ExecReload="] {
        let command = service.lines().find_map(|line| line.strip_prefix(key));
        let words: Vec<_> = command.unwrap().split(' ').skip(1).collect();
        let asked = support::doorward(&[words[0], "--help"]);
        assert_eq!(asked.code, Some(0), "{key}{words:?}");
        assert!(asked.stdout.contains(words[1]), "{key}{words:?}");
    }
}
