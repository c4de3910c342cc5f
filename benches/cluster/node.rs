//! One node: the real binary, in a folder of its own, at addresses of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use doorward::clock;
use doorward::revocation::Journal;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::line::Lines;
use crate::metrics::Metrics;

/// What was built together with the benchmark; `--binary PATH` measures another one.
const BINARY: &str = env!("CARGO_BIN_EXE_doorward");

/// Between two looks at something that takes its time.
pub const LOOK: Duration = Duration::from_millis(2);

/// After this something is wrong.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a node logs that may judge credentials. While a third one is cut off it is stale.
const SERVES: Words<'_> = &[
    &["cluster state", "state=ready"],
    &["cluster state", "state=stale"],
];

/// A line has all words of one of these.
pub type Words<'w> = &'w [&'w [&'w str]];

/// How much of its log is printed when something is wrong.
const LAST_LINES: usize = 20;

/// How often a second Linux counts a process's time (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: u32 = 100;

/// A node and its folder; dropping it ends the process.
pub struct Node {
    pub name: &'static str,
    /// Where customers come to.
    pub front: Rc<Lines>,
    pub operator: Lines,
    /// Where other nodes come to.
    pub gossip: SocketAddr,
    home: PathBuf,
    addresses: [SocketAddr; 2],
    running: Option<Running>,
}

/// A process.
struct Running {
    child: Child,
    started: Instant,
    log: Log,
}

/// What it has logged, and when that was read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Instant, String)>>>);

/// How long a start took.
#[derive(Clone, Copy)]
pub struct Started {
    /// Until it said that it is ready.
    pub state: Duration,
    /// Until `/readyz` was answered with 200.
    pub readyz: Duration,
}

impl Node {
    /// The one with this number, which has not begun.
    pub fn new(folder: &Path, name: &'static str, number: u8) -> Self {
        let [.., high, low] = std::process::id().to_be_bytes();
        let ip = Ipv4Addr::new(127, 1 + high % 254, low, number); // of this process alone
        let [front, operator, gossip] = [8080, 8081, 7946].map(|port| SocketAddr::from((ip, port)));
        Self {
            name,
            front: Rc::new(Lines::to(front)),
            operator: Lines::to(operator),
            gossip,
            home: folder.join(name),
            addresses: [front, operator],
            running: None,
        }
    }

    /// Where its journal is.
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Makes its folder and an empty journal, with nothing else but what a reader of these tables expects.
    pub fn furnish(&self, tables: &str) {
        let data = self.data();
        Journal::init(&data).expect("a temporary folder takes a journal");
        let [front, operator] = self.addresses;
        let text = format!(
            "listen = [\"{front}\"]\noperator_listen = \"{operator}\"\ndata_dir = \"{}\"\n\n{tables}",
            data.display()
        );
        fs::write(self.config(), text).expect("a folder takes a file");
    }

    fn config(&self) -> PathBuf {
        self.home.join("doorward.toml")
    }

    /// Begins, and waits until it is ready.
    pub async fn start(&mut self) -> Started {
        self.begin();
        self.becomes_ready().await
    }

    fn begin(&mut self) {
        self.hang_up();
        let started = clock::instant();
        let mut arguments = std::env::args().skip_while(|argument| argument != "--binary");
        let binary = arguments.nth(1).unwrap_or(BINARY.to_owned());
        let mut command = Command::new(binary);
        command.args(["run", "--config"]).arg(self.config());
        let command = command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built");
        let log = Log::default();
        log.follow(child.stderr.take().expect("it was asked for"));
        self.running = Some(Running {
            child,
            started,
            log,
        });
    }

    async fn becomes_ready(&self) -> Started {
        let since = self.running().started;
        let readyz = async || {
            let answer = self.operator.get("/readyz").await;
            answer.is_ok_and(|(status, _)| status == 200)
        };
        while !readyz().await {
            self.must_go_on(since);
            sleep(LOOK).await;
        }
        let readyz = since.elapsed();
        let said = self.says(SERVES, since).await;
        Started {
            state: said.duration_since(since),
            readyz,
        }
    }

    /// When it said this for the first time after that moment.
    pub async fn says(&self, words: Words<'_>, after: Instant) -> Instant {
        loop {
            if let Some(said) = self.running().log.first(words, after) {
                return said;
            }
            self.must_go_on(after);
            sleep(LOOK).await;
        }
    }

    /// Panics when it takes too long.
    pub fn must_go_on(&self, since: Instant) {
        let told = || {
            let lines = self.running().log.0.lock();
            let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
            let last: Vec<_> = last.iter().map(|(_, line)| line.as_str()).collect();
            last.join("\n")
        };
        let name = self.name;
        assert!(since.elapsed() < PATIENCE, "{name} hangs:\n{}", told());
    }

    /// Asks it to end, and waits for that.
    pub async fn stop(&mut self) {
        self.hang_up();
        let Some(mut running) = self.running.take() else {
            return;
        };
        let asked = kill_process(Pid::from_child(&running.child), Signal::TERM);
        asked.expect("a child can be signalled");
        while running.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            sleep(LOOK).await;
        }
    }

    /// Takes everything that it knows; it has to be stopped.
    pub fn forget(&self) {
        let data = self.data();
        fs::remove_dir_all(&data).expect("nobody else uses it");
        Journal::init(&data).expect("a temporary folder takes a journal");
    }

    fn hang_up(&self) {
        self.front.hang_up();
        self.operator.hang_up();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it was started")
    }

    pub async fn metrics(&self) -> Metrics {
        let answer = self.operator.get("/metrics").await;
        let (_, body) = answer.expect("the operator is answered");
        Metrics(String::from_utf8_lossy(&body).into_owned())
    }

    /// How many revocations are in force here.
    pub async fn revocations(&self) -> u64 {
        let metrics = self.metrics().await;
        let of = |kind| metrics.sum(&format!("doorward_revocations{{kind=\"{kind}\"}}"));
        let sum: f64 = ["token", "undated_token", "cutoff"]
            .into_iter()
            .map(of)
            .sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let count = sum as u64;
        count
    }

    /// How much time of a processor it has used.
    pub fn cpu(&self) -> Duration {
        cpu_of(&self.running().child.id().to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

impl Log {
    fn follow(&self, stderr: impl Read + Send + 'static) {
        let log = self.clone();
        thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            for line in lines.filter(|line| !line.contains(" logout request=")) {
                log.0.lock().push((clock::instant(), line));
            }
        });
    }

    fn first(&self, words: Words<'_>, after: Instant) -> Option<Instant> {
        let lines = self.0.lock();
        let has = |line: &str| {
            let mut some = words.iter();
            some.any(|words| words.iter().all(|word| line.contains(word)))
        };
        let mut said = lines.iter().filter(|(at, line)| *at >= after && has(line));
        said.next().map(|(at, _)| *at)
    }
}

/// How much time of a processor a process has used (`utime` and `stime` of proc(5)): `self` or a number.
pub fn cpu_of(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    let ticks: u32 = fields.filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    Duration::from_secs(1) * ticks / TICKS_PER_SECOND
}
