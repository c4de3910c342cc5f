//! What the kernel says of this process: the `process_*` metrics that Prometheus's own client libraries have.

use std::fs;
use std::sync::OnceLock;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::gauges::Scrape;
use crate::clock;

/// A reading of `/proc/self`. What the kernel does not tell is left out of the page.
struct ProcessStats {
    cpu_s: f64,
    started_s: f64,
    resident: u64,
    memory: u64,
    threads: u64,
}

impl ProcessStats {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        Self::parse(&stat, clock_ticks_per_second(), page_size())
    }

    /// The fields of `proc_pid_stat(5)`, counted from the one behind the name, which may hold anything.
    fn parse(stat: &str, ticks_per_second: u64, page_bytes: usize) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| as_float(ticks) / as_float(ticks_per_second);
        Some(Self {
            cpu_s: seconds(field(14)? + field(15)?),
            started_s: seconds(field(22)?),
            memory: field(23)?,
            resident: field(24)? * u64::try_from(page_bytes).ok()?,
            threads: field(20)?,
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds and ticks are far below the precision of a float"
)]
fn as_float(number: u64) -> f64 {
    number as f64
}

/// When the process started, in seconds since the epoch: the kernel knows it since the boot. Asked once, for the wall clock
/// may be set.
fn start_time(started_s: f64) -> f64 {
    static AT: OnceLock<f64> = OnceLock::new();
    *AT.get_or_init(|| {
        let booted_ms = clock::now_ms().saturating_sub(clock::uptime_ms());
        as_float(booted_ms) / 1000.0 + started_s
    })
}

/// Measures the process.
pub(super) fn registry() -> Registry {
    let mut scrape = Scrape(Registry::default());
    if let Some(stats) = ProcessStats::read() {
        scrape.in_unit(
            Unit::Seconds,
            "process_cpu",
            "Processor time that the process has used",
            ConstCounter::new(stats.cpu_s),
        );
        scrape.in_unit(
            Unit::Seconds,
            "process_start_time",
            "When the process started, in seconds since 1970",
            ConstGauge::new(start_time(stats.started_s)),
        );
        scrape.in_unit(
            Unit::Bytes,
            "process_resident_memory",
            "Memory of the process that is resident",
            ConstGauge::new(whole(stats.resident)),
        );
        scrape.in_unit(
            Unit::Bytes,
            "process_virtual_memory",
            "Address space of the process",
            ConstGauge::new(whole(stats.memory)),
        );
        scrape.gauge("process_threads", "Threads of the process", stats.threads);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let others = open.count().saturating_sub(1); // one is this folder itself
        scrape.gauge(
            "process_open_fds",
            "File descriptors that the process has open",
            others,
        );
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        scrape.gauge(
            "process_max_fds",
            "How many file descriptors the process may have open",
            most,
        );
    }
    scrape.0
}

fn whole(value: u64) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_shifts_no_field() {
        let stat = "42 (a ) b) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 7 0 1000 8192 3 \
                    18446744073709551615 0";
        let stats = ProcessStats::parse(stat, 100, 4096).unwrap();
        assert!((stats.cpu_s - 3.0).abs() < 1e-9);
        assert!((stats.started_s - 10.0).abs() < 1e-9);
        assert_eq!(
            (stats.memory, stats.resident, stats.threads),
            (8192, 12288, 7)
        );
        assert!(ProcessStats::parse("42 (x) S 1", 100, 4096).is_none());
    }
}
