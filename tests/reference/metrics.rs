//! Every metric, with its labels and its help text.

use std::collections::BTreeMap;

use doorward::server::every_metric;

use super::page::{compare, head, page, row};

#[test]
fn every_metric_is_in_the_reference() {
    let text = every_metric().unwrap();
    let mut out = page(
        "Metrics",
        "the metrics that the code registers",
        "What `/metrics` of the [operator listener](../operate.md#the-operator-listener) shows, in the OpenMetrics format. \
         [Metrics](../metrics.md) says what to alert on. `doorward_bus_…`, `doorward_peer…` and the other metrics of a cluster \
         are there only with `[cluster]`.",
    );
    head(&mut out, &["metric", "type", "labels", "meaning"]);
    let mut shown = BTreeMap::new();
    for metric in text.split("# HELP ").skip(1) {
        let (name, rest) = metric.split_once(' ').unwrap();
        let (help, rest) = rest.split_once('\n').unwrap();
        let kind = rest.strip_prefix("# TYPE ").unwrap();
        let kind = kind.split(['\n', ' ']).nth(1).unwrap();
        let ending = if kind == "counter" { "_total" } else { "" };
        let name = format!("{name}{ending}");
        let labels = labels_of(rest).map(|label| format!("`{label}`"));
        let labels = labels.collect::<Vec<_>>().join(", ");
        let known = shown.insert(name, (kind.to_owned(), labels, help.to_owned()));
        assert!(known.is_none(), "{metric}");
    }
    assert!(shown.len() > 40, "only {} metrics were found", shown.len());
    for (name, (kind, labels, help)) in &shown {
        row(
            &mut out,
            &[
                &format!("`{name}`"),
                kind,
                labels,
                help.trim_end_matches('.'),
            ],
        );
    }
    compare("metrics.md", &out);
}

/// The names of the labels in the lines of a metric, but for that of a histogram's buckets.
fn labels_of(lines: &str) -> impl Iterator<Item = &str> {
    let example = lines.lines().find(|line| !line.starts_with('#')).unwrap();
    let braces = example.split_once('{').map_or("", |(_, rest)| rest);
    let pairs = braces
        .split("=\"")
        .map(|part| part.rsplit(['"', ',', '{']).next().unwrap());
    let names = pairs.filter(|name| {
        name.chars()
            .all(|letter| letter.is_ascii_lowercase() || letter == '_')
    });
    names.filter(|name| !name.is_empty() && *name != "le")
}
