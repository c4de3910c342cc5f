//! What a node says of itself, as Prometheus reads it.

use std::time::Duration;

/// The metrics of a node at one moment.
pub struct Metrics(pub String);

impl Metrics {
    /// The sum of the samples whose names and labels begin so.
    pub fn sum(&self, begins: &str) -> f64 {
        self.samples(begins).map(|(_, value)| value).sum()
    }

    /// Everything that was observed of a histogram since another moment.
    pub fn histogram_since(&self, earlier: &Self, name: &str) -> Histogram {
        let begins = format!("{name}_bucket");
        let before = earlier.samples(&begins).map(|(_, value)| value);
        let bucket = |((name, now), before): ((&str, f64), f64)| {
            let bound = name.split_once("le=\"")?.1.split_once('"')?.0;
            let bound = bound.parse().unwrap_or(f64::INFINITY);
            Some((bound, now - before))
        };
        let buckets = self.samples(&begins).zip(before).filter_map(bucket);
        let part = |part: &str| {
            let begins = format!("{name}_{part}");
            self.sum(&begins) - earlier.sum(&begins)
        };
        Histogram {
            buckets: buckets.collect(),
            sum_s: part("sum"),
            count: part("count"),
        }
    }

    fn samples(&self, begins: &str) -> impl Iterator<Item = (&str, f64)> {
        let lines = self.0.lines().filter(move |line| line.starts_with(begins));
        lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name, value.parse().ok()?))
        })
    }
}

/// How often what took how long.
pub struct Histogram {
    /// How many were no longer than that many seconds.
    buckets: Vec<(f64, f64)>,
    sum_s: f64,
    count: f64,
}

impl Histogram {
    /// The least bound that this share did not exceed.
    pub fn bound(&self, percent: f64) -> Duration {
        let wanted = self.count * percent / 100.0;
        let within = self.buckets.iter().find(|(_, count)| *count >= wanted);
        let bound_s = within.map_or(f64::INFINITY, |(bound_s, _)| *bound_s);
        Duration::try_from_secs_f64(bound_s).unwrap_or(Duration::MAX)
    }

    pub fn mean(&self) -> Duration {
        Duration::try_from_secs_f64(self.sum_s / self.count).unwrap_or_default()
    }
}
