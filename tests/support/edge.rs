//! A Doorward in front of a shop: the real binary, in a directory of its own.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use doorward::revocation::Journal;
use tempfile::TempDir;

use super::log::{Hold, Log};
use super::manager::Manager;
use super::wire::{Answer, raw, request};
use super::{Shop, Storefront};

const BINARY: &str = env!("CARGO_BIN_EXE_doorward");
const CONFIG: &str = "doorward.toml";
/// What would reach into the binary from the machine that runs the tests.
const SURROUNDINGS: [&str; 9] = [
    "RUST_LOG",
    "JOURNAL_STREAM",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_FDS_FIRST_FD",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
];

/// A Doorward process and its directory; dropping it ends both, and prints the log when the test has failed.
pub struct Edge {
    process: Process,
    home: TempDir,
    manager: Option<Arc<Manager>>,
    environment: Vec<(String, String)>,
    /// What earlier processes of this edge have logged.
    earlier: Vec<String>,
}

/// How a command of the binary ended.
#[derive(Debug)]
pub struct Outcome {
    /// None when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The `[[shop]]` table of this shop. More keys of the shop may follow it (`answer = "local"`, `token.leeway = "5s"`),
/// then its sub-tables.
pub fn shop_table(shop: &Shop) -> String {
    shop_table_at(shop, &[shop.address()])
}

/// As `shop_table`, with other servers than the shop's own.
pub fn shop_table_at(shop: &Shop, upstream: &[SocketAddr]) -> String {
    let upstream: Vec<_> = upstream.iter().map(ToString::to_string).collect();
    let preset = match shop.storefront() {
        Storefront::Bagisto => "bagisto",
        Storefront::BagistoApi => "bagisto-api",
        Storefront::BagistoGraphql => "bagisto-graphql",
        Storefront::Cocart => "cocart",
        Storefront::Ecwid => "ecwid",
    };
    format!(
        "[[shop]]\nname = \"main\"\npreset = \"{preset}\"\nupstream = {upstream:?}\n\
         token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{{secret_file}}\"\n"
    )
}

/// The `[[shop]]` and `[shop.token]` tables of a shop whose tokens are opaque, with more keys of the latter.
fn opaque_tokens(upstream: SocketAddr, of_token: &str) -> String {
    format!(
        r#"
[[shop]]
name     = "main"
upstream = ["{upstream}"]

[shop.token]
kind               = "opaque"
max_token_lifetime = "30d"
{of_token}
"#
    )
}

/// The `[[shop]]` table of a shop whose tokens are opaque, without a preset. Its sub-tables may follow.
pub fn opaque_shop_table(shop: &Shop) -> String {
    let limits = "[shop.limits]\nunverified_per_client_minute = 10000\n";
    opaque_tokens(shop.address(), "") + limits
}

/// The `[[shop]]` table of a shop that is asked about its opaque bearers, at this address and without a preset. `of_token` and `ask` are keys of
/// `[shop.token]` and `[shop.token.introspection]`. Its sub-tables may follow.
pub fn asked_shop_table(upstream: SocketAddr, of_token: &str, ask: &str) -> String {
    let asked = format!(
        r#"
[shop.token.introspection]
{ask}

[[shop.credential]]
header  = "authorization"
schemes = ["Bearer"]
"#
    );
    opaque_tokens(upstream, of_token) + asked.as_str()
}

/// Runs the binary on its own, with no edge behind it.
pub fn doorward(arguments: &[&str]) -> Outcome {
    run(undisturbed(BINARY).args(arguments), b"")
}

impl Edge {
    /// The plain edge: this shop, its preset, and nothing else.
    #[track_caller]
    pub fn in_front_of(shop: &Shop) -> Self {
        Self::with(&shop_table(shop))
    }

    /// An edge with this configuration. `listen`, `operator_listen` and `data_dir` are filled in where the text does not set
    /// them; `{secret_file}` stands for a file with `Shop::SECRET`, `{home}` for the edge's directory.
    #[track_caller]
    pub fn with(config_toml: &str) -> Self {
        match Self::try_start(config_toml) {
            Ok(edge) => edge,
            Err(outcome) => panic!(
                "doorward did not start: {:?}\n{}",
                outcome.code, outcome.stderr
            ),
        }
    }

    /// As `with`, for a test that expects a refusal to start.
    #[track_caller]
    pub fn try_start(config_toml: &str) -> Result<Self, Outcome> {
        Self::try_start_under(None, config_toml)
    }

    /// As `with`, as the service of this manager.
    #[track_caller]
    pub fn under(manager: &Arc<Manager>, config_toml: &str) -> Self {
        match Self::try_start_under(Some(manager), config_toml) {
            Ok(edge) => edge,
            Err(outcome) => panic!(
                "doorward did not start: {:?}\n{}",
                outcome.code, outcome.stderr
            ),
        }
    }

    /// As `under`, for a test that expects a refusal to start.
    #[track_caller]
    pub fn try_start_under(
        manager: Option<&Arc<Manager>>,
        config_toml: &str,
    ) -> Result<Self, Outcome> {
        let mut edge = Self::spawn(manager, &[], config_toml);
        edge.process.becomes_ready()?;
        Ok(edge)
    }

    /// As `with`, in this environment, and without waiting for it: `becomes_ready` does.
    #[track_caller]
    pub fn begin(environment: &[(String, String)], config_toml: &str) -> Self {
        Self::spawn(None, environment, config_toml)
    }

    fn spawn(
        manager: Option<&Arc<Manager>>,
        environment: &[(String, String)],
        config_toml: &str,
    ) -> Self {
        let home = furnish(config_toml);
        Self {
            process: Process::spawn(home.path(), manager.map(Arc::as_ref), environment),
            home,
            manager: manager.cloned(),
            environment: environment.to_vec(),
            earlier: Vec::new(),
        }
    }

    /// Waits for an edge that was begun.
    #[track_caller]
    pub fn becomes_ready(&mut self) -> Result<(), Outcome> {
        self.process.becomes_ready()
    }

    /// Where customers knock.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.address_of("proxy")
    }

    /// Where the operator knocks.
    #[track_caller]
    pub fn operator(&self) -> SocketAddr {
        self.address_of("operator")
    }

    /// Where customers knock, in the order of `listen`.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.process.log.addresses_of("proxy")
    }

    /// Where any service of this process listens, by the name it logs.
    #[track_caller]
    pub fn address_of(&self, service: &str) -> SocketAddr {
        let addresses = self.process.log.addresses_of(service);
        *addresses.first().unwrap_or_else(|| {
            panic!(
                "no {service} is listening:\n{}",
                self.process.log.lines().join("\n")
            )
        })
    }

    /// Sends exactly these bytes to the proxy.
    #[track_caller]
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        raw(self.address(), bytes)
    }

    /// The operator's answer to a GET.
    #[track_caller]
    pub fn ask_operator(&self, path: &str) -> Answer {
        raw(
            self.operator(),
            &request("GET", path, &[("Host", "localhost")], b""),
        )
    }

    /// Everything that is counted, as Prometheus reads it.
    #[track_caller]
    pub fn metrics(&self) -> String {
        self.ask_operator("/metrics").text()
    }

    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Everything logged so far, by earlier processes of this edge too.
    pub fn log_lines(&self) -> Vec<String> {
        self.earlier
            .iter()
            .cloned()
            .chain(self.process.log.lines())
            .collect()
    }

    /// Reads nothing more of what it logs, for as long as this is kept.
    pub fn hold_log(&self) -> Hold<'_> {
        self.process.log.hold()
    }

    /// Waits until it logs this word, or ends without it.
    #[track_caller]
    pub fn says(&self, word: &str) -> bool {
        self.process.log.says(word)
    }

    /// Waits for it to end by itself, and returns its exit code.
    #[track_caller]
    pub fn ends(&mut self) -> Option<i32> {
        self.process.log.ends();
        self.process.child.wait().unwrap().code()
    }

    /// A path in the edge's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs the binary with these arguments and this edge's `--config`.
    pub fn command(&self, arguments: &[&str]) -> Outcome {
        self.command_with_input(arguments, b"")
    }

    /// As `command`, with something to read on stdin.
    pub fn command_with_input(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        run(
            undisturbed(BINARY)
                .args(arguments)
                .arg("--config")
                .arg(self.path(CONFIG)),
            input,
        )
    }

    /// Writes the configuration anew; the process hears of it with `signal("HUP")` or `restart()`.
    pub fn configure(&self, config_toml: &str) {
        write_config(self.home.path(), config_toml);
    }

    /// Sends a signal by its name.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let outcome = run(Command::new("kill").args(["-s", name, &pid]), b"");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }

    /// Takes something away from the process: `limit("--fsize=0")` is a full disk.
    #[track_caller]
    pub fn limit(&self, resource: &str) {
        let outcome = run(
            Command::new("prlimit").args(["--pid", &self.pid().to_string(), resource]),
            b"",
        );
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }

    /// Asks it to end, waits, and returns its exit code; what it logged stays readable.
    #[track_caller]
    pub fn stop(&mut self) -> Option<i32> {
        if let Some(status) = self.process.child.try_wait().unwrap() {
            return status.code();
        }
        self.signal("TERM");
        self.process.log.ends();
        self.process.child.wait().unwrap().code()
    }

    /// Ends it as a power cut would.
    pub fn kill_dash_nine(&mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
        self.process.log.ends();
    }

    /// Starts it again in the same directory, after stopping it where it still runs. The ports are new.
    #[track_caller]
    pub fn restart(&mut self) {
        if let Err(outcome) = self.try_restart() {
            panic!(
                "doorward did not start again: {:?}\n{}",
                outcome.code, outcome.stderr
            );
        }
    }

    /// As `restart`, for a test that expects a refusal to start.
    #[track_caller]
    pub fn try_restart(&mut self) -> Result<(), Outcome> {
        self.begin_again();
        self.becomes_ready()
    }

    /// As `restart`, without waiting for it: `becomes_ready` does.
    #[track_caller]
    pub fn begin_again(&mut self) {
        self.stop();
        self.earlier.extend(self.process.log.lines());
        let manager = self.manager.as_deref();
        self.process = Process::spawn(self.home.path(), manager, &self.environment);
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!(
                "--- what doorward logged\n{}\n---",
                self.log_lines().join("\n")
            );
        }
    }
}

/// One run of the binary; dropping it ends the run, even one that never became ready.
struct Process {
    child: Child,
    log: Log,
}

impl Process {
    fn spawn(home: &Path, manager: Option<&Manager>, environment: &[(String, String)]) -> Self {
        let mut command = match manager {
            None => undisturbed(BINARY),
            Some(manager) => manager.command(undisturbed, BINARY),
        };
        let (stdin, stdout) = match manager {
            None => (Stdio::null(), stdout_of(home)),
            Some(manager) => manager.streams(),
        };
        command.args(["run", "--config"]).arg(home.join(CONFIG));
        command.envs(environment.iter().cloned());
        let mut child = command
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::follow(child.stderr.take().unwrap());
        Self { child, log }
    }

    #[track_caller]
    fn becomes_ready(&mut self) -> Result<(), Outcome> {
        if self.log.says("ready") {
            return Ok(());
        }
        Err(Outcome {
            code: self.child.wait().unwrap().code(),
            stdout: String::new(),
            stderr: self.log.lines().join("\n"),
        })
    }
}

/// What it writes to standard output, run after run, is in the edge's directory.
fn stdout_of(home: &Path) -> Stdio {
    let mut how = fs::OpenOptions::new();
    let file = how.append(true).create(true).open(home.join("stdout"));
    file.unwrap().into()
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill()); // by its id; it may have ended already
        drop(self.child.wait());
    }
}

/// A directory with all that a configuration names, as `doorward init` leaves it.
fn furnish(config_toml: &str) -> TempDir {
    let home = tempfile::Builder::new()
        .prefix("doorward-")
        .tempdir()
        .unwrap();
    assert!(Journal::init(&home.path().join("data")).unwrap());
    let private = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(home.path().join("jwt.secret"));
    private.unwrap().write_all(Shop::SECRET.as_bytes()).unwrap();
    write_config(home.path(), config_toml);
    home
}

fn write_config(home: &Path, config_toml: &str) {
    let data_dir = format!("\"{}\"", home.join("data").display());
    let defaults = [
        ("listen", "[\"127.0.0.1:0\"]"),
        ("operator_listen", "\"127.0.0.1:0\""),
        ("data_dir", &data_dir),
    ];
    let of_no_table = config_toml
        .lines()
        .take_while(|line| !line.starts_with('['));
    let is_set = |key: &str| {
        of_no_table
            .clone()
            .filter_map(|line| line.split_once('='))
            .any(|(given, _)| given.trim() == key)
    };
    let mut text = String::new();
    for (key, value) in defaults.into_iter().filter(|(key, _)| !is_set(key)) {
        text.extend([key, " = ", value, "\n"]);
    }
    let home = home.to_str().unwrap();
    text += &config_toml
        .replace("{secret_file}", "{home}/jwt.secret")
        .replace("{home}", home);
    fs::write(Path::new(home).join(CONFIG), text).unwrap();
}

fn undisturbed(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in SURROUNDINGS {
        command.env_remove(name);
    }
    command
}

fn run(command: &mut Command, input: &[u8]) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take().unwrap().write_all(input)); // not every command reads
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
