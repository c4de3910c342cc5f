//! How many logouts and logins a second reach the disk, and how long a start reads them back, against a bare log file.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

mod support;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use doorward::clock::{self, UnixTime};
use doorward::revocation::{DateKind, Id, Journal, Revocation, Revocations};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use support::crowd::{self, MILLION};
use support::mode::{Mode, number_after};
use support::stopwatch::{percentile, timed};

/// How long each number of waiting customers is measured.
const MEASURED: Duration = Duration::from_millis(1500);

/// The rate of logouts that one node must bear.
const RATE: u64 = 5000;

/// How often a start is measured; the median counts.
const STARTS: usize = 3;

fn main() {
    let mode = Mode::from_arguments();
    if mode == Mode::List {
        return;
    }
    let now = clock::now();
    let span = if mode == Mode::Measure {
        MEASURED
    } else {
        MEASURED / 100
    };
    logouts(mode, span, now);
    let sizes = match number_after("--rows") {
        Some(rows) => vec![rows],
        None => vec![mode.rows(MILLION / 10), mode.rows(MILLION)],
    };
    starts(&sizes, now);
}

/// Somewhere a logout becomes durable.
trait Durable: Send + Sync + 'static {
    /// Returns when a restart would not forget them.
    fn revoke(&self, revocations: Vec<Revocation>) -> impl Future<Output = bool> + Send;
}

impl Durable for Revocations {
    async fn revoke(&self, revocations: Vec<Revocation>) -> bool {
        self.revoke_now(Vec::new(), revocations).await.is_ok()
    }
}

/// What customers do.
#[derive(Clone, Copy)]
enum Act {
    /// They log out, and their token ends.
    Leave,
    /// They log out, and all that they have ends, as the preset of a Bagisto shop asks for: the token, the customer's cutoff
    /// and the date of that.
    LeaveEverywhere,
    /// They log in after such a logout: the new token is dated before they have it.
    LogIn,
}

/// The customers of one measurement.
#[derive(Clone, Copy)]
struct Crowd {
    /// The number of the first, so that nobody logs out twice.
    first: u64,
    act: Act,
    now: UnixTime,
}

impl Crowd {
    fn rows(self, number: u64) -> Vec<Revocation> {
        let number = self.first + number;
        let token = || crowd::token(number, self.now);
        match self.act {
            Act::Leave => vec![token()],
            Act::LeaveEverywhere => vec![token(), crowd::cutoff(number, self.now)],
            Act::LogIn => vec![crowd::date(DateKind::Issued, number, self.now)],
        }
    }
}

/// What was measured.
struct Logouts {
    times: Vec<Duration>,
    taken: Duration,
}

impl Logouts {
    fn print(mut self, journal: &str, asked: &str) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let rate = self.times.len() as f64 / self.taken.as_secs_f64();
        let [p50, p99] = [50, 99].map(|percent| percentile(&mut self.times, percent));
        println!("{journal:<36} {asked:<17} {rate:>8.0} {p50:>10.2?} {p99:>10.2?}");
    }
}

fn logouts(mode: Mode, span: Duration, now: UnixTime) {
    let heads = ["journal/logouts", "asked", "a second", "p50", "p99"];
    println!(
        "{:<36} {:<17} {:>8} {:>10} {:>10}",
        heads[0], heads[1], heads[2], heads[3], heads[4]
    );
    let journals = [
        ("token, empty journal", 0, Act::Leave),
        ("token + customer, empty journal", 0, Act::LeaveEverywhere),
        (
            "token + customer, 1M + 1M in it",
            mode.rows(MILLION),
            Act::LeaveEverywhere,
        ),
        ("login, 1M + 1M in it", mode.rows(MILLION), Act::LogIn),
    ];
    for (name, rows, act) in journals {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dead = (0..rows).map(|number| crowd::token(number, now));
        let cut_off = (0..rows).map(|number| crowd::cutoff(number, now));
        crowd::write_journal(folder.path(), dead.chain(cut_off));
        let revocations = Revocations::open(folder.path());
        let revocations = revocations.expect("what was written is read");
        measure(name, &Arc::new(revocations), act, span, now);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = Arc::new(Log::start(&folder.path().join("log")));
    measure(
        "rival: log file, token + customer",
        &log,
        Act::LeaveEverywhere,
        span,
        now,
    );
}

fn measure<D: Durable>(name: &str, durable: &Arc<D>, act: Act, span: Duration, now: UnixTime) {
    let crowd = |number: u64| Crowd {
        first: number << 32,
        act,
        now,
    };
    for waiting in [1, 16, 256] {
        let logouts = in_turn(durable, crowd(waiting), waiting, span);
        logouts.print(name, &format!("by {waiting} in turn"));
    }
    let logouts = as_they_come(durable, crowd(1024), RATE, span);
    logouts.print(name, &format!("{RATE} a second"));
}

/// So many customers log out again and again, each as soon as the last time is answered.
fn in_turn<D: Durable>(durable: &Arc<D>, crowd: Crowd, waiting: u64, span: Duration) -> Logouts {
    let start = clock::instant();
    let times = on_runtime(async {
        let customer = |customer: u64| {
            let durable = Arc::clone(durable);
            async move {
                let mut times = Vec::new();
                while start.elapsed() < span {
                    let number = customer + waiting * times.len() as u64;
                    times.push(log_out(&*durable, crowd.rows(number)).await);
                }
                times
            }
        };
        let customers: Vec<_> = (0..waiting)
            .map(|one| tokio::spawn(customer(one)))
            .collect();
        let mut all = Vec::new();
        for one in customers {
            all.extend(one.await.expect("a customer does not panic"));
        }
        all
    });
    Logouts {
        times,
        taken: start.elapsed(),
    }
}

/// Customers log out at this rate, whether or not those before them are answered.
fn as_they_come<D: Durable>(durable: &Arc<D>, crowd: Crowd, rate: u64, span: Duration) -> Logouts {
    let start = clock::instant();
    let times = on_runtime(async {
        let mut customers = Vec::new();
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        while start.elapsed() < span {
            tick.tick().await;
            let due = rate * u64::try_from(start.elapsed().as_micros()).unwrap_or(0) / 1_000_000;
            for number in customers.len() as u64..due {
                let (durable, logout) = (Arc::clone(durable), crowd.rows(number));
                customers.push(tokio::spawn(
                    async move { log_out(&*durable, logout).await },
                ));
            }
        }
        let mut times = Vec::new();
        for one in customers {
            times.push(one.await.expect("a customer does not panic"));
        }
        times
    });
    Logouts {
        times,
        taken: start.elapsed(),
    }
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(work)
}

/// One logout, and how long it took.
async fn log_out<D: Durable>(durable: &D, revocations: Vec<Revocation>) -> Duration {
    let asked = clock::instant();
    assert!(durable.revoke(revocations).await, "the disk takes a row");
    asked.elapsed()
}

fn starts(sizes: &[u64], now: UnixTime) {
    println!(
        "journal/start                  rows     in all   the check   the rows  rival: log file"
    );
    for &rows in sizes {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let journal = folder.path().join("journal");
        let revocations: Vec<_> = (0..rows).map(|number| crowd::token(number, now)).collect();
        crowd::write_journal(&journal, revocations.iter().copied());
        let log = folder.path().join("log");
        write_log(&log, &revocations);
        drop(revocations);
        let all = median(|| {
            let (time, opened) = timed(|| Revocations::open(&journal));
            let counts = opened.expect("what was written is read").counts();
            assert_eq!(counts.tokens, rows, "none is lost");
            time
        });
        let check = median(|| timed(|| Journal::open(&journal).map(drop).is_ok()).0);
        let journal = Journal::open(&journal).expect("what was written is read");
        let read = median(|| {
            let mut found = 0;
            let (time, read) = timed(|| journal.replay(|_| found += 1));
            assert!(read.is_ok() && found == rows, "none is lost");
            time
        });
        let rival = median(|| {
            let (time, found) = timed(|| read_log(&log));
            assert_eq!(found.len() as u64, rows, "none is lost");
            time
        });
        println!(
            "{:<24} {rows:>10} {all:>10.2?} {check:>11.2?} {read:>10.2?} {rival:>16.2?}",
            ""
        );
    }
}

fn median(mut measure: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<_> = (0..STARTS).map(|_| measure()).collect();
    percentile(&mut times, 50)
}

/// The rival: records at the end of a file, and one `fdatasync` for all that came during the last one. It checks
/// nothing, deletes nothing and can't tell a torn record from a good one.
struct Log(Sender<Order>);

struct Order {
    revocations: Vec<Revocation>,
    done: oneshot::Sender<bool>,
}

/// Id, end and window.
const RECORD_BYTES: usize = 32;

impl Log {
    fn start(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.expect("a temporary folder takes a file");
        let (orders, inbox) = channel();
        thread::spawn(move || write_groups(&file, &inbox));
        Self(orders)
    }
}

impl Durable for Log {
    async fn revoke(&self, revocations: Vec<Revocation>) -> bool {
        let (done, answer) = oneshot::channel();
        let sent = self.0.send(Order { revocations, done });
        sent.is_ok() && answer.await.unwrap_or(false)
    }
}

fn write_groups(mut file: &File, inbox: &Receiver<Order>) {
    let mut records = Vec::new();
    while let Ok(first) = inbox.recv() {
        let group: Vec<Order> = std::iter::once(first).chain(inbox.try_iter()).collect();
        records.clear();
        for revocation in group.iter().flat_map(|order| &order.revocations) {
            encode(revocation, &mut records);
        }
        let written = file.write_all(&records).and_then(|()| file.sync_data());
        for order in group {
            let _ = order.done.send(written.is_ok()); // who waited may have gone
        }
    }
}

fn encode(revocation: &Revocation, records: &mut Vec<u8>) {
    let (id, window) = match revocation {
        Revocation::Token { id, window, .. } => (id, window.number()),
        Revocation::Cutoff { id, .. } | Revocation::Date { id, .. } => (id, 0),
    };
    records.extend_from_slice(id.bytes());
    records.extend_from_slice(&revocation.until().seconds().to_le_bytes());
    records.extend_from_slice(&u64::from(window).to_le_bytes());
}

fn write_log(path: &Path, revocations: &[Revocation]) {
    let mut records = Vec::with_capacity(revocations.len() * RECORD_BYTES);
    for revocation in revocations {
        encode(revocation, &mut records);
    }
    std::fs::write(path, records).expect("a temporary folder takes a file");
}

fn read_log(path: &Path) -> HashMap<Id, u64> {
    let mut records = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut records));
    read.expect("what was written is read");
    let (records, _torn) = records.as_chunks::<RECORD_BYTES>();
    let mut found = HashMap::new();
    for record in records {
        let (id, rest) = record.split_first_chunk::<16>().expect("32 bytes hold 16");
        let until = rest.first_chunk::<8>().expect("16 bytes hold 8");
        found.insert(Id::from_bytes(*id), u64::from_le_bytes(*until));
    }
    found
}
