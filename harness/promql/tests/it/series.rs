//! Series for tests, written as `name label=value …: v v v`, one value every ten seconds from 0 on.

use meshquake_promql::{Labels, METRIC_NAME, Sample, Store, stale_marker};

/// `_` is no sample, `stale` a marker.
pub fn store(series: &[&str]) -> Store {
    let mut store = Store::new();
    for line in series {
        let (labels, values) = line.split_once(": ").expect("a series is written `labels: values`");
        let labels = labels_of(labels);
        for (position, word) in values.split_whitespace().enumerate() {
            let value = match word {
                "_" => continue,
                "stale" => stale_marker(),
                number => number.parse().expect("a value is a number"),
            };
            store.append(&labels, Sample { at: position as i64 * 10_000, value }).expect("in order");
        }
    }
    store
}

fn labels_of(text: &str) -> Labels {
    let mut words = text.split_whitespace();
    let name = words.next().filter(|name| *name != "-").unwrap_or("");
    let labels: Labels = words.map(|word| word.split_once('=').expect("a label is name=value")).collect();
    labels.with(METRIC_NAME, name)
}
