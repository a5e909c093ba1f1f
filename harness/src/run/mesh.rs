//! The mesh second by second, as the callers' sidecars counted it: calls, retries, and every kind of failure.

use std::collections::BTreeMap;

use meshquake_promql::{Labels, Sample, Store, is_stale};

use crate::event::{Mesh, MeshFailure, MeshSecond};
use crate::judge::Marks;

/// Everything after the warm-up; calls in whole seconds only, so that they can be compared with what was sent.
pub fn read(store: &Store, marks: &Marks) -> Mesh {
    let mut seconds = BTreeMap::<i64, MeshSecond>::new();
    let mut failures = BTreeMap::<[String; 4], BTreeMap<i64, u64>>::new();
    for (labels, samples) in store.metric("istio_requests_total") {
        if labels.get("reporter") != "source" {
            continue;
        }
        let failed = !matches!(labels.get("response_code").as_bytes(), [b'1'..=b'3', _, _]);
        for (second, more) in counted(samples, marks) {
            if second >= marks.warm_up_end {
                seconds.entry(second).or_default().calls += more;
            }
            if failed && more > 0 {
                *failures.entry(kind(labels)).or_default().entry(second).or_default() += more;
            }
        }
    }
    for (_, samples) in store.metric("envoy_cluster_upstream_rq_retry") {
        let whole = counted(samples, marks).into_iter().filter(|(second, _)| *second >= marks.warm_up_end);
        for (second, more) in whole {
            seconds.entry(second).or_default().retries += more;
        }
    }
    let failure = |([source, destination, status, flag], seconds): ([String; 4], BTreeMap<i64, u64>)| {
        MeshFailure { source, destination, status, flag, seconds: seconds.into_iter().collect() }
    };
    Mesh {
        seconds: seconds.into_iter().map(|(second, counts)| MeshSecond { second, ..counts }).collect(),
        failures: failures.into_iter().map(failure).collect(),
    }
}

fn kind(labels: &Labels) -> [String; 4] {
    ["source_workload", "destination_workload", "response_code", "response_flags"]
        .map(|name| labels.get(name).to_owned())
}

/// How much a counter grew in each second of the load. Between two readings it is told evenly, in whole numbers whose sum is
/// what was counted: when it was really counted nobody knows.
fn counted(samples: &[Sample], marks: &Marks) -> Vec<(i64, u64)> {
    let (start, from, until) = (marks.load_start, marks.warm_up_end, marks.load_end.unwrap_or(i64::MAX));
    let (mut seconds, mut exact, mut told) = (Vec::new(), 0.0, 0);
    for pair in samples.windows(2) {
        let [last, next] = pair else { continue };
        if is_stale(last.value) || is_stale(next.value) {
            continue;
        }
        // A counter that fell began again at zero.
        let more = if next.value < last.value { next.value } else { next.value - last.value };
        // Before the load and after it nothing is counted.
        let (begin, end) = (last.at.max(start), next.at.min(until));
        let mut at = begin;
        while at < end {
            let second = start + (at - start).div_euclid(1000) * 1000;
            let piece_end = end.min(second + 1000).min(if at < from { from } else { end });
            if at >= from {
                exact += more * (piece_end - at) as f64 / (end - begin) as f64;
                let whole = exact.round() as u64;
                seconds.push((second, whole - told));
                told = whole;
            }
            at = piece_end;
        }
    }
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks {
        load_start: 10_000,
        warm_up_end: 11_000,
        actions: vec![],
        load_end: Some(20_000),
        spoiled: None,
    };

    /// Status, flag, and what was read when.
    type Series<'a> = (&'a str, &'a str, &'a [(i64, f64)]);

    fn store(series: &[Series<'_>]) -> Store {
        let mut store = Store::new();
        for (code, flag, samples) in series {
            let labels = Labels::named("istio_requests_total")
                .with("reporter", "source")
                .with("source_workload", "a")
                .with("destination_workload", "b")
                .with("response_code", code)
                .with("response_flags", flag);
            for (at, value) in *samples {
                store.append(&labels, Sample { at: *at, value: *value }).unwrap();
            }
        }
        store
    }

    #[test]
    fn what_a_counter_grew_by_is_told_to_its_second_and_failures_to_their_kind() {
        let mut store = store(&[
            ("200", "-", &[(10_100, 0.0), (11_900, 40.0), (12_900, 90.0), (13_900, 90.0), (14_900, 30.0)]),
            ("503", "UC", &[(11_900, 0.0), (12_900, 7.0)]),
        ]);
        let retries = Labels::named("envoy_cluster_upstream_rq_retry").with("pod", "a-1");
        for (at, value) in [(12_000, 3.0), (12_900, 5.0)] {
            store.append(&retries, Sample { at, value }).unwrap();
        }
        let mesh = read(&store, &MARKS);
        let seconds = mesh.seconds.iter().map(|s| (s.second, s.calls, s.retries)).collect::<Vec<_>>();
        // Half of the first forty belong to the warm-up; the last thirty were counted from zero.
        assert_eq!(seconds, [(11_000, 26, 0), (12_000, 51, 2), (13_000, 3, 0), (14_000, 27, 0)]);
        let failure = &mesh.failures[0];
        assert_eq!((mesh.failures.len(), failure.flag.as_str()), (1, "UC"));
        assert_eq!(failure.seconds, [(11_000, 1), (12_000, 6)]);
    }

    #[test]
    fn a_second_that_is_half_warm_up_tells_of_its_failures_alone() {
        let store = store(&[("503", "UH", &[(11_000, 0.0), (12_000, 10.0), (13_000, 20.0)])]);
        let mesh = read(&store, &Marks { warm_up_end: 11_500, ..MARKS });
        assert_eq!(mesh.seconds, [MeshSecond { second: 12_000, calls: 10, retries: 0 }]);
        assert_eq!(mesh.failures[0].seconds, [(11_000, 5), (12_000, 10)]);
    }

    #[test]
    fn what_is_read_after_the_load_was_counted_under_it() {
        let store = store(&[("200", "-", &[(19_500, 100.0), (20_500, 150.0)])]);
        let seconds = read(&store, &MARKS).seconds;
        assert_eq!(seconds, [MeshSecond { second: 19_000, calls: 50, retries: 0 }]);
    }

    #[test]
    fn nothing_is_told_of_the_warm_up_nor_across_the_end_of_a_series() {
        let store = store(&[(
            "200",
            "-",
            &[(10_000, 0.0), (10_900, 9.0), (12_000, meshquake_promql::stale_marker()), (13_000, 50.0)],
        )]);
        assert_eq!(read(&store, &MARKS), Mesh::default());
    }
}
