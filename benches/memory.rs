//! How many bytes a live revocation takes, against one moka entry a token and a plain map.
//!
//! Every structure is filled in a process of its own, whose resident memory is read before and after.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use doorward::clock::{self, UnixTime};
use doorward::revocation::{DateKind, Id, Identity, Revocation, Revocations, Set};
use moka::Expiry;
use moka::sync::Cache;

use support::crowd::{self, MILLION, STRANGERS};
use support::mode::{Mode, number_after};

/// What can be filled, by the name that the child process is called with.
const STRUCTURES: [(&str, &str); 7] = [
    ("set", "the set"),
    ("journal", "the set, read from the journal"),
    ("customers", "the set, each with its customer"),
    ("undated", "the set, ends unknown"),
    ("seen", "the set, tokens that were seen"),
    ("moka", "rival: moka per token"),
    ("map", "rival: HashMap, never forgets"),
];

fn main() {
    let mode = Mode::from_arguments();
    if mode == Mode::List {
        return;
    }
    let mut arguments = std::env::args().skip_while(|argument| argument != "--fill");
    let rows = number_after("--rows").unwrap_or(mode.rows(MILLION));
    if let Some(structure) = arguments.nth(1) {
        let folder = arguments.next().unwrap_or_default();
        return fill(&structure, Path::new(&folder), rows);
    }
    println!("memory/per revocation                  rows      bytes   lost   made up");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let now = clock::now();
    crowd::write_journal(
        folder.path(),
        (0..rows).map(|number| crowd::token(number, now)),
    );
    for (structure, title) in STRUCTURES {
        let line = child(structure, folder.path(), rows, now);
        println!("{title:<33} {rows:>9} {line}");
    }
}

/// Fills one structure in a process of its own, and says what that printed.
fn child(structure: &str, folder: &Path, rows: u64, now: UnixTime) -> String {
    let own = std::env::current_exe().expect("a process knows its file");
    let output = Command::new(own)
        .args(["--fill", structure])
        .arg(folder)
        .args([
            "--rows",
            &rows.to_string(),
            "--now",
            &now.seconds().to_string(),
        ])
        .output()
        .expect("a process can be started twice");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

fn fill(structure: &str, folder: &Path, rows: u64) {
    let now = UnixTime::from_seconds(number_after("--now").expect("the parent says it"));
    match structure {
        "set" => weigh(rows, now, || filled(rows, now, crowd::token), in_set),
        "journal" => weigh(
            rows,
            now,
            || Revocations::open(folder).expect("what was written is read"),
            |revocations, token| revocations.covers(token).is_some(),
        ),
        "customers" => weigh(
            rows,
            now,
            || {
                let set = filled(rows, now, crowd::token);
                for number in 0..rows {
                    set.insert(&crowd::cutoff(number, now), now);
                }
                set
            },
            in_set,
        ),
        "undated" => weigh(rows, now, || filled(rows, now, undated), in_set),
        "seen" => weigh(rows, now, || filled(rows, now, seen), is_dated),
        "moka" => weigh(
            rows,
            now,
            || {
                let cache = Cache::builder().expire_after(EndOfToken(now)).build();
                for number in 0..rows {
                    let revocation = crowd::token(number, now);
                    cache.insert(crowd::id(number), revocation.until());
                }
                cache.run_pending_tasks();
                cache
            },
            |cache, token| cache.contains_key(&token.id),
        ),
        "map" => weigh(
            rows,
            now,
            || {
                let mut map: HashMap<Id, UnixTime> = HashMap::new();
                for number in 0..rows {
                    map.insert(crowd::id(number), crowd::token(number, now).until());
                }
                map
            },
            |map, token| map.contains_key(&token.id),
        ),
        unknown => panic!("{unknown} is no structure"),
    }
}

fn filled(rows: u64, now: UnixTime, revocation: fn(u64, UnixTime) -> Revocation) -> Set {
    let set = Set::default();
    for number in 0..rows {
        set.insert(&revocation(number, now), now);
    }
    set
}

fn in_set(set: &Set, token: &Identity) -> bool {
    set.covers(token).is_some()
}

/// A token of which nobody knows when it ends.
fn undated(number: u64, now: UnixTime) -> Revocation {
    match crowd::token(number, now) {
        Revocation::Token {
            id, until, source, ..
        } => Revocation::Token {
            id,
            until,
            source,
            window: doorward::revocation::Window::UNDATED,
        },
        other @ (Revocation::Cutoff { .. } | Revocation::Date { .. }) => other,
    }
}

fn seen(number: u64, now: UnixTime) -> Revocation {
    crowd::date(DateKind::Seen, number, now)
}

/// Whether the set knows when a token came into being that does not say it itself.
fn is_dated(set: &Set, token: &Identity) -> bool {
    !set.is_unknown(&Identity {
        issued_at: None,
        ..token.clone()
    })
}

/// Ends every entry when its token ends.
struct EndOfToken(UnixTime);

impl Expiry<Id, UnixTime> for EndOfToken {
    fn expire_after_create(&self, _: &Id, until: &UnixTime, _: Instant) -> Option<Duration> {
        Some(until.since(self.0))
    }
}

/// Prints how much memory came with what `fill` makes; then asks it for every token, and for as many that it was
/// never told.
fn weigh<T>(
    rows: u64,
    now: UnixTime,
    fill: impl FnOnce() -> T,
    covers: impl Fn(&T, &Identity) -> bool,
) {
    let before = resident_bytes();
    let filled = fill();
    let taken = resident_bytes().saturating_sub(before);
    let found = |numbers: std::ops::Range<u64>| {
        let covered = |number: &u64| covers(&filled, &crowd::identity(*number, now));
        numbers.filter(covered).count() as u64
    };
    let lost = rows - found(0..rows);
    let made_up = found(STRANGERS..STRANGERS + rows);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = taken as f64 / rows as f64;
    println!("{each:>10.1} {lost:>6} {made_up:>9}");
}

/// Linux's own figure, `VmRSS` of `/proc/self/status`.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.expect("Linux says it") * 1024
}
