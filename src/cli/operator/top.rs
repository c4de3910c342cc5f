//! `doorward top`: what the running process does, refreshed each second.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Read as _};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::Value;

use super::format::{Paint, plain};
use super::process::ProcessArguments;
use super::status::{document, items};
use crate::cli::exit::CommandError;
use crate::cli::output::print;
use crate::clock;

/// How often the page is made anew.
const EVERY: Duration = Duration::from_secs(1);

/// Ctrl-C, which the terminal hands over as a byte.
const END_OF_TEXT: u8 = 3;

/// Which process, and for how long.
#[derive(Args)]
pub(in crate::cli) struct Top {
    #[command(flatten)]
    process: ProcessArguments,
    /// Print one page, of one second, and end; so it is, too, where standard output is no terminal
    #[arg(long)]
    once: bool,
}

/// Shows what the process does, until `q` or Ctrl-C.
pub(in crate::cli) fn top(arguments: &Top) -> Result<(), CommandError> {
    let is_once = arguments.once || !io::stdout().is_terminal();
    let keyboard = (!is_once).then(Keyboard::open);
    let mut before = (document(&arguments.process)?, clock::instant());
    loop {
        match &keyboard {
            Some(keyboard) if keyboard.ends_within(EVERY) => return Ok(()),
            Some(_) => {}
            None => thread::sleep(EVERY),
        }
        let now = (document(&arguments.process)?, clock::instant());
        let page = page(&before, &now, Paint::for_stdout());
        if is_once {
            print(&page);
            return Ok(());
        }
        print(&format!("\x1b[H\x1b[2J{page}q ends\n"));
        before = now;
    }
}

/// The keys that are pressed, while the terminal hands over each by itself.
struct Keyboard {
    keys: Receiver<u8>,
    before: Option<Termios>,
}

impl Keyboard {
    fn open() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut each = before.clone();
            each.local_modes
                .remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &each); // then a line ends with Enter
        }
        let (press, keys) = channel();
        thread::spawn(move || {
            let mut key = [0];
            while io::stdin().read_exact(&mut key).is_ok() && press.send(key[0]).is_ok() {}
        });
        Self { keys, before }
    }

    /// Waits for a key that ends it.
    fn ends_within(&self, time: Duration) -> bool {
        let deadline = clock::instant() + time;
        loop {
            let left = deadline.saturating_duration_since(clock::instant());
            match self.keys.recv_timeout(left) {
                Ok(b'q' | b'Q' | END_OF_TEXT) => return true,
                Ok(_) => {}
                Err(_) => {
                    thread::sleep(deadline.saturating_duration_since(clock::instant()));
                    return false;
                }
            }
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before); // the terminal may be gone
        }
    }
}

/// What happened between two documents.
fn page(before: &(Value, Instant), now: &(Value, Instant), paint: Paint) -> String {
    let seconds = now.1.duration_since(before.1).as_secs_f64().max(0.001);
    let (earlier, later) = (&before.0, &now.0);
    let rates = |what: &str| rates(&earlier["totals"][what], &later["totals"][what], seconds);
    let sum = |rates: &BTreeMap<String, f64>| rates.values().sum::<f64>();
    let (requests, logouts) = (rates("requests"), rates("logouts"));
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}  {} since {}  {}",
        paint.strong("doorward"),
        plain(&later["state"]),
        plain(&later["since"]),
        plain(&later["at"])
    );
    let _ = writeln!(
        text,
        "requests   {:.1}/s  in flight {}  connections {}",
        sum(&requests),
        plain(&later["requests_in_flight"]),
        plain(&later["connections"])
    );
    let _ = writeln!(
        text,
        "judging    p50 {}  p99 {}   requests p50 {}  p99 {}",
        time(&later["times"]["judging"]["p50_s"]),
        time(&later["times"]["judging"]["p99_s"]),
        time(&later["times"]["requests"]["p50_s"]),
        time(&later["times"]["requests"]["p99_s"])
    );
    let _ = writeln!(
        text,
        "logouts    {:.1}/s  live revocations {}",
        sum(&logouts),
        plain(&later["revocations"]["live"])
    );
    write_rates(
        &mut text,
        "decision",
        &rates("decisions"),
        &later["totals"]["decisions"],
    );
    write_rates(
        &mut text,
        "would be",
        &rates("would_refuse"),
        &later["totals"]["would_refuse"],
    );
    for one in items(later, "near_misses").take(5) {
        let _ = writeln!(
            text,
            "near miss  {}  {}  {} times",
            plain(&one["shop"]),
            plain(&one["path"]),
            plain(&one["count"])
        );
    }
    text
}

fn write_rates(text: &mut String, what: &str, rates: &BTreeMap<String, f64>, totals: &Value) {
    let seen = rates.iter().filter(|(name, _)| totals[*name] != 0);
    for (name, rate) in seen {
        let _ = writeln!(
            text,
            "{what:10} {name:24} {rate:8.1}/s  {} in all",
            plain(&totals[name])
        );
    }
}

/// How often a second each of these grew. A process that was started anew counts from zero.
fn rates(before: &Value, now: &Value, seconds: f64) -> BTreeMap<String, f64> {
    let counts = now.as_object().into_iter().flatten();
    let rates = counts.map(|(name, count)| {
        let count = count.as_u64().unwrap_or_default();
        let earlier = before[name].as_u64().unwrap_or_default();
        let grown = count.checked_sub(earlier).unwrap_or(count);
        let grown = u32::try_from(grown).unwrap_or(u32::MAX);
        (name.clone(), f64::from(grown) / seconds)
    });
    rates.collect()
}

/// A time in seconds, in a unit that is easy to read.
fn time(seconds: &Value) -> String {
    match seconds.as_f64() {
        None => "-".to_owned(),
        Some(seconds) if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_grew_within_a_second_is_shown_and_a_new_process_counts_from_zero() {
        let at = clock::instant();
        let document = |count: u64| json!({ "totals": { "requests": { "200": count }, "logouts": { "revoked": 2 }, "decisions": { "revoked": count } } });
        let shown = |before, now| {
            let (before, now) = ((document(before), at), (document(now), at + EVERY));
            page(&before, &now, Paint::off())
        };
        assert!(
            shown(10, 40).contains("requests   30.0/s"),
            "{}",
            shown(10, 40)
        );
        assert!(shown(40, 10).contains("requests   10.0/s"));
        assert!(shown(10, 40).contains("logouts    0.0/s"));
        assert!(shown(10, 40).contains("revoked                      30.0/s  40 in all"));
        assert_eq!(time(&json!(0.000_031_25)), "31 µs");
        assert_eq!(time(&json!(0.25)), "250.0 ms");
    }
}
