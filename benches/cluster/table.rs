//! What was measured, against what was aimed at: Markdown, so that it can be kept as it is.

use std::fs;
use std::time::Duration;

/// One line for each target, with the worst that was measured.
#[derive(Default)]
pub struct Table(Vec<Row>);

struct Row {
    what: String,
    measured: Measured,
}

enum Measured {
    /// Something that must not take longer.
    Times {
        target: Duration,
        all: Vec<Duration>,
    },
    /// Something that must not happen.
    Never { times: u64, of: u64 },
}

impl Table {
    /// Something that must not take longer.
    pub fn time(&mut self, what: &str, target: Duration, measured: Duration) {
        let none = Measured::Times {
            target,
            all: Vec::new(),
        };
        if let Measured::Times { all, .. } = self.row(what, none) {
            all.push(measured);
        }
    }

    /// Something that must not happen.
    pub fn never(&mut self, what: &str, happened: u64, among: u64) {
        let none = Measured::Never { times: 0, of: 0 };
        if let Measured::Never { times, of } = self.row(what, none) {
            *times += happened;
            *of += among;
        }
    }

    fn row(&mut self, what: &str, measured: Measured) -> &mut Measured {
        let place = self.0.iter().position(|row| row.what == what);
        let place = place.unwrap_or_else(|| {
            let what = what.to_owned();
            self.0.push(Row { what, measured });
            self.0.len() - 1
        });
        &mut self.0[place].measured
    }

    pub fn print(&self) {
        println!("\n## Against the targets\n\n| | target | measured | |\n|---|---|---|---|");
        for row in &self.0 {
            let (target, measured, is_met) = row.measured.told();
            let met = if is_met { "met" } else { "**missed**" };
            println!("| {} | {target} | {measured} | {met} |", row.what);
        }
    }
}

impl Measured {
    /// The target, what was measured, and whether it is met.
    fn told(&self) -> (String, String, bool) {
        match self {
            Self::Times { target, all } => {
                let measured: Vec<_> = all.iter().copied().map(shown).collect();
                let is_met = all.iter().all(|one| one <= target);
                (format!("<= {target:?}"), measured.join(", "), is_met)
            }
            Self::Never { times, of } => ("0".to_owned(), format!("{times} of {of}"), *times == 0),
        }
    }
}

/// A heading, and how busy the machine was in the last minute.
pub fn heading(title: &str) {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    println!("\n## {title}\n\nLoad average at the beginning: {load}.\n");
}

/// A time for people.
pub fn shown(time: Duration) -> String {
    if time >= Duration::from_secs(1) {
        format!("{:.2} s", time.as_secs_f64())
    } else {
        format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
    }
}
