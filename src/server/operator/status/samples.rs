//! Reads counts back from our own page of metrics: what is counted has one place, and what is shown agrees with it.

use std::collections::BTreeMap;

/// The lines of a page of metrics.
pub(super) struct Samples(Vec<Sample>);

struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Samples {
    /// Reads a page in the text format.
    pub(super) fn parse(page: &str) -> Self {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(Sample::parse).collect())
    }

    fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Sample> {
        self.0.iter().filter(move |one| one.name == name)
    }

    /// The totals under a name, by the value of a label.
    pub(super) fn totals(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let mut totals = BTreeMap::new();
        for sample in self.named(name) {
            let value = sample.label(label).unwrap_or_default();
            *totals.entry(value.to_owned()).or_default() += whole(sample.value);
        }
        totals
    }

    /// The totals under a name of the lines with this value of a label, by that of another.
    pub(super) fn totals_where(
        &self,
        name: &str,
        (label, wanted): (&str, &str),
        by: &str,
    ) -> BTreeMap<String, u64> {
        let mut totals = BTreeMap::new();
        let fitting = self.named(name);
        for sample in fitting.filter(|one| one.label(label) == Some(wanted)) {
            let value = sample.label(by).unwrap_or_default();
            *totals.entry(value.to_owned()).or_default() += whole(sample.value);
        }
        totals
    }

    /// The upper bound of the bucket in which a share of the measured values ends; `None`: there are none.
    pub(super) fn quantile(&self, name: &str, share: f64) -> Option<f64> {
        let buckets = self.cumulated(name);
        let all = buckets.last().map(|(_, count)| *count);
        let all = all.filter(|all| *all > 0.0)?;
        let mut found = buckets.iter().filter(|(_, count)| *count >= all * share);
        let bound = found.next().map(|(bound, _)| *bound);
        bound.filter(|bound| bound.is_finite())
    }

    /// The upper bound of each bucket, and how many of the measured values are in it. The last one has no bound.
    pub(super) fn buckets(&self, name: &str) -> Vec<(Option<f64>, u64)> {
        let mut below = 0.0;
        let each = self.cumulated(name).into_iter().map(|(bound, count)| {
            let within = count - below;
            below = count;
            (bound.is_finite().then_some(bound), whole(within))
        });
        each.collect()
    }

    /// The upper bound of each bucket, in order, and how many of the measured values are at most that.
    fn cumulated(&self, name: &str) -> Vec<(f64, f64)> {
        let name = format!("{name}_bucket");
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.named(&name) {
            let bound = sample.label("le").unwrap_or_default();
            let Ok(bound) = bound.replace("+Inf", "inf").parse::<f64>() else {
                continue;
            };
            let mut known = buckets.iter_mut();
            match known.find(|(known, _)| known.total_cmp(&bound).is_eq()) {
                Some((_, count)) => *count += sample.value,
                None => buckets.push((bound, sample.value)),
            }
        }
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        buckets
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(end);
        let mut labels = Vec::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            while !rest.starts_with('}') {
                let (label, value) = rest.split_once("=\"")?;
                let (value, after) = quoted(value)?;
                labels.push((label.trim_start_matches(',').to_owned(), value));
                rest = after;
            }
            rest = &rest[1..];
        }
        let value = rest.split_whitespace().next()?.parse().ok()?;
        Some(Self {
            name: name.to_owned(),
            labels,
            value,
        })
    }

    fn label(&self, name: &str) -> Option<&str> {
        let mut labels = self.labels.iter();
        let found = labels.find(|(label, _)| label == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A value up to its closing quote, and what follows that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and not negative"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE doorward_requests counter\n\
        doorward_requests_total{shop=\"a\\\"}b\",code=\"200\"} 3\n\
        doorward_requests_total{shop=\"c\",code=\"200\"} 4\n\
        doorward_requests_total{shop=\"c\",code=\"401\"} 1\n\
        doorward_overhead_seconds_bucket{le=\"0.1\"} 50\n\
        doorward_overhead_seconds_bucket{le=\"0.2\"} 99\n\
        doorward_overhead_seconds_bucket{le=\"+Inf\"} 100\n# EOF\n";

    #[test]
    fn counts_and_quantiles_are_read_back() {
        let samples = Samples::parse(PAGE);
        let totals = samples.totals("doorward_requests_total", "code");
        assert_eq!(
            totals,
            BTreeMap::from([("200".into(), 7), ("401".into(), 1)])
        );
        let of_shop = samples.totals_where("doorward_requests_total", ("shop", "a\"}b"), "code");
        assert_eq!(of_shop, BTreeMap::from([("200".into(), 3)]));
        let quantile = |share| samples.quantile("doorward_overhead_seconds", share);
        assert_eq!(quantile(0.5), Some(0.1));
        assert_eq!(quantile(0.99), Some(0.2));
        assert_eq!(quantile(1.0), None, "beyond the last bound");
        assert_eq!(samples.quantile("nothing", 0.5), None);
    }
}
