//! The demo shows the whole thing to whoever has nothing but the binary, and leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use support::{Shop, eventually, raw, request, try_raw};
use tempfile::TempDir;

const STEPS: [&str; 6] = ["1/6", "2/6", "3/6", "4/6", "5/6", "6/6"];
/// What `--shop` can be, and what is answered to a logout.
const SHOPS: [(&str, &str); 3] = [
    ("bagisto", "{\"message\":\"Successfully logged out\"}"),
    ("cocart", "true"),
    ("ecwid", "{\"message\":\"Successfully logged out\"}"),
];
const PROFILE: &str = "/api/shop/customers/profile";

/// A visitor's machine: an empty folder to stand in, an empty home, and a folder for what is temporary.
struct Visitor(TempDir);

impl Visitor {
    fn arrives() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["here", "home", "tmp"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self(folder)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        command
            .args(arguments)
            .current_dir(self.0.path().join("here"))
            .env("TMPDIR", self.0.path().join("tmp"))
            .env("HOME", self.0.path().join("home"))
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Nothing is left of the demo: no file, and no process that has to do with this visitor's folders.
    #[track_caller]
    fn finds_nothing(&self) {
        for name in ["here", "home", "tmp"] {
            let left: Vec<_> = fs::read_dir(self.0.path().join(name)).unwrap().collect();
            assert!(left.is_empty(), "{name}: {left:?}");
        }
        eventually(|| processes_naming(self.0.path()).is_empty());
    }
}

/// What a failed test has left running must not outlive it.
impl Drop for Visitor {
    fn drop(&mut self) {
        for process in processes_naming(self.0.path()) {
            drop(Command::new("kill").args(["-s", "KILL", &process]).status());
        }
    }
}

/// The ids of running processes whose command line names a path.
fn processes_naming(path: &Path) -> Vec<String> {
    let path = path.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let named = processes.filter(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(path)
    });
    named
        .filter_map(|process| process.file_name().into_string().ok())
        .collect()
}

/// A demo that stays up; dropping it kills what is left of its group.
struct Stay {
    process: Child,
    lines: BufReader<ChildStdout>,
    said: String,
}

impl Stay {
    /// Starts and reads until it says that it stays up.
    fn begins(visitor: &Visitor, arguments: &[&str]) -> Self {
        Self::says(visitor, arguments, "Ctrl-C")
    }

    /// Starts and reads until it says this word.
    fn says(visitor: &Visitor, arguments: &[&str], word: &str) -> Self {
        let mut process = visitor
            .command(&[&["demo"], arguments].concat())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let mut stay = Self {
            process,
            lines,
            said: String::new(),
        };
        while !stay.said.contains(word) {
            assert!(
                stay.lines.read_line(&mut stay.said).unwrap() > 0,
                "{}",
                stay.said
            );
        }
        stay
    }

    /// The address that it prints in front of this word.
    fn address_of(&self, word: &str) -> SocketAddr {
        let (before, _) = self.said.rsplit_once(word).unwrap();
        let (_, address) = before.rsplit_once("http://").unwrap();
        address.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Sends a signal to it, or to all that run in its terminal, and returns how it ends.
    fn ends_by(mut self, signal: &str, whole_terminal: bool) -> Option<i32> {
        let id = self.process.id();
        let target = if whole_terminal {
            format!("-{id}")
        } else {
            id.to_string()
        };
        let sent = Command::new("kill")
            .args(["-s", signal, "--", &target])
            .status();
        assert!(sent.unwrap().success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            drop(self.process.kill());
            drop(self.process.wait());
        }
    }
}

#[test]
fn the_walk_shows_every_step_with_the_request_to_repeat_it() {
    for (shop, answer) in SHOPS {
        let visitor = Visitor::arrives();
        let mut command = visitor.command(&["demo", "--shop", shop, "--once"]);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}{complaints}");
        for pair in STEPS.windows(2) {
            let [step, next] = [pair[0], pair[1]]
                .map(|step| said.find(step).unwrap_or_else(|| panic!("{step}: {said}")));
            assert!(said[step..next].contains("curl "), "{}", &said[step..next]);
        }
        let last = said.find("6/6").unwrap();
        assert!(said[last..].contains("curl "), "{said}");
        assert!(
            said.contains(&format!("3/6 logout: 200 OK {answer}\n")),
            "{said}"
        );
        assert!(
            said.contains("4/6 the same token again: 401 Unauthorized"),
            "{said}"
        );
        assert!(said.contains("the shop saw nothing of it"), "{said}");
        assert_eq!(said.contains("the cart is still there"), shop == "cocart");
        assert_eq!(said[last..].contains("Kettle"), shop == "cocart", "{said}");
        visitor.finds_nothing();
    }
}

#[test]
fn without_a_name_the_shop_is_bagisto_and_an_unknown_name_is_refused() {
    let visitor = Visitor::arrives();
    let stay = Stay::begins(&visitor, &[]);
    assert!(
        stay.said.contains("/api/shop/customers/logout"),
        "{}",
        stay.said
    );
    assert_eq!(stay.ends_by("INT", false), Some(0));
    let mut command = visitor.command(&["demo", "--shop", "kiosk", "--once"]);
    let output = command.output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    for (shop, _) in SHOPS {
        assert!(complaint.contains(shop), "{complaint}");
    }
    visitor.finds_nothing();
}

#[test]
fn the_lines_it_prints_work_as_they_stand() {
    for (shop, answer) in SHOPS {
        let visitor = Visitor::arrives();
        let stay = Stay::begins(&visitor, &["--shop", shop]);
        let is_of_script = |line: &&str| {
            let begins = ["URL=", "TOKEN=", "curl "];
            begins.iter().any(|begin| line.starts_with(begin))
        };
        let lines: Vec<_> = stay
            .said
            .lines()
            .map(str::trim)
            .filter(is_of_script)
            .collect();
        let errands = usize::from(shop == "cocart");
        assert_eq!(lines.len(), 1 + STEPS.len() + errands, "{lines:#?}");
        let output = Command::new("sh")
            .args(["-c", &format!("set -eu\n{}", lines.join("\n"))])
            .output()
            .unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{lines:#?}\n{told}");
        let statuses: Vec<_> = told
            .match_indices("HTTP/1.1 ")
            .map(|(at, version)| &told[at + version.len()..][..3])
            .collect();
        let (before_the_page, others) = statuses.split_at(errands);
        assert!(before_the_page.iter().all(|status| *status == "200"));
        assert_eq!(others, ["200", "200", "401", "200"], "{lines:#?}\n{told}");
        assert!(told.contains(answer), "{told}");
        assert_eq!(stay.ends_by("INT", false), Some(0));
    }
}

#[test]
fn with_an_ecwid_store_there_is_a_page_to_click_through() {
    let visitor = Visitor::arrives();
    let stay = Stay::begins(&visitor, &["--shop", "ecwid"]);
    let edge = stay.address_of("(doorward)");
    let get = |target| raw(edge, &request("GET", target, &[], b""));
    let page = get("/");
    assert_eq!(page, 200);
    for part in ["/_doorward/ecwid.js", "/ecwid/script.js", "/page.js"] {
        assert!(page.text().contains(&format!("src=\"{part}\"")), "{part}");
        assert_eq!(get(part), 200, "{part}");
    }
    assert_eq!(stay.ends_by("INT", false), Some(0));
}

#[test]
fn it_stays_up_for_the_visitors_own_requests_until_it_is_interrupted() {
    for (signal, whole_terminal) in [("INT", false), ("INT", true), ("TERM", false)] {
        let visitor = Visitor::arrives();
        let stay = Stay::begins(&visitor, &[]);
        let (edge, shop) = (stay.address_of("(doorward)"), stay.address_of("(the shop)"));
        let login = format!(
            "{{\"email\":\"jane@example.com\",\"password\":\"{}\"}}",
            Shop::PASSWORD
        );
        let key = ("X-STOREFRONT-KEY", Shop::KEY);
        let headers = [key, ("Content-Type", "application/json")];
        let answer = raw(
            edge,
            &request(
                "POST",
                "/api/shop/customers/login",
                &headers,
                login.as_bytes(),
            ),
        );
        let token = answer.json()["data"]["token"].as_str().unwrap().to_owned();
        let bearer = format!("Bearer {token}");
        let headers = [key, ("Authorization", bearer.as_str())];
        let profile = request("GET", PROFILE, &headers, b"");
        assert_eq!(raw(edge, &profile), 200);
        assert_eq!(
            raw(
                edge,
                &request("POST", "/api/shop/customers/logout", &headers, b"")
            ),
            200
        );
        assert_eq!(raw(edge, &profile), 401);
        assert_eq!(raw(shop, &profile), 200, "the shop itself revokes nothing");
        assert!(!processes_naming(visitor.0.path()).is_empty());
        assert_eq!(stay.ends_by(signal, whole_terminal), Some(0), "{signal}");
        visitor.finds_nothing();
        assert!(try_raw(edge, &profile).is_err(), "nobody answers any more");
    }
}

#[test]
fn a_reader_who_leaves_early_leaves_nothing_running() {
    let visitor = Visitor::arrives();
    let mut process = visitor
        .command(&["demo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(process.stdout.take());
    assert_ne!(process.wait().unwrap().code(), Some(0));
    visitor.finds_nothing();
}

/// In the middle of a step, and the moment it has said that Ctrl-C ends it.
#[test]
fn an_interruption_at_any_moment_leaves_nothing_behind() {
    let moments = [
        "pretend shop",
        "1/6",
        "3/6",
        "6/6",
        "Ctrl-C",
        "Ctrl-C",
        "Ctrl-C",
    ];
    let left: Vec<_> = moments
        .into_iter()
        .filter_map(|moment| {
            let visitor = Visitor::arrives();
            let code = Stay::says(&visitor, &[], moment).ends_by("INT", false);
            let running = processes_naming(visitor.0.path()).len();
            let files = fs::read_dir(visitor.0.path().join("tmp")).unwrap().count();
            let is_clean = code == Some(0) && running + files == 0;
            (!is_clean).then(|| {
                format!("after {moment:?}: exit {code:?}, {running} processes, {files} files")
            })
        })
        .collect();
    assert!(left.is_empty(), "{left:#?}");
}
