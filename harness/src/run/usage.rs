//! What each pod used under load: the app's processor time and memory, as every Prometheus client exports them, and what
//! its sidecar had allocated.

use std::collections::BTreeMap;

use meshquake_promql::{Labels, Sample, Store, is_stale};

use crate::event::Usage;
use crate::judge::Marks;

pub fn read(store: &Store, marks: &Marks) -> Vec<Usage> {
    let mut pods = BTreeMap::<(String, String), Usage>::new();
    let mut tell = |metric: &str, tell: &dyn Fn(&mut Usage, &[Sample])| {
        for (labels, samples) in store.metric(metric) {
            let samples = under_load(samples, marks);
            if let (Some(key), false) = (key(labels), samples.is_empty()) {
                tell(pods.entry(key).or_insert_with_key(unknown), &samples);
            }
        }
    };
    tell("process_cpu_seconds_total", &|pod, samples| pod.cpu = cores(samples).or(pod.cpu));
    tell("process_resident_memory_bytes", &|pod, samples| pod.memory = pod.memory.max(most(samples)));
    tell("envoy_server_memory_allocated", &|pod, samples| {
        pod.sidecar_memory = pod.sidecar_memory.max(most(samples));
    });
    pods.into_values().collect()
}

fn key(labels: &Labels) -> Option<(String, String)> {
    let (namespace, pod) = (labels.get("namespace"), labels.get("pod"));
    (!pod.is_empty()).then(|| (namespace.to_owned(), pod.to_owned()))
}

fn unknown((namespace, pod): &(String, String)) -> Usage {
    let (namespace, pod) = (namespace.clone(), pod.clone());
    Usage { pod, namespace, cpu: None, memory: None, sidecar_memory: None }
}

fn under_load(samples: &[Sample], marks: &Marks) -> Vec<Sample> {
    let (from, until) = (marks.warm_up_end, marks.load_end.unwrap_or(i64::MAX));
    let known = |sample: &&Sample| (from..=until).contains(&sample.at) && !is_stale(sample.value);
    samples.iter().filter(known).copied().collect()
}

fn most(samples: &[Sample]) -> Option<u64> {
    let most = samples.iter().map(|sample| sample.value).fold(0.0, f64::max);
    (most > 0.0).then_some(most as u64)
}

/// On average, over all of the time in which it was seen. A counter that fell began again at zero.
fn cores(samples: &[Sample]) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    let seconds = (last.at - first.at) as f64 / 1e3;
    let grown = |pair: &[Sample]| match pair {
        [last, next] if next.value >= last.value => next.value - last.value,
        [_, next] => next.value,
        _ => 0.0,
    };
    (seconds > 0.0).then(|| samples.windows(2).map(grown).sum::<f64>() / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_an_average_and_memory_the_most() {
        let mut store = Store::new();
        let mut say = |metric: &str, samples: &[(i64, f64)]| {
            let labels = Labels::named(metric).with("namespace", "n").with("pod", "a-1");
            for (at, value) in samples {
                store.append(&labels, Sample { at: *at, value: *value }).unwrap();
            }
        };
        // Before the load it used much; in the middle of it the app was started again.
        say(
            "process_cpu_seconds_total",
            &[(500, 0.0), (1_000, 9.0), (2_000, 9.5), (3_000, 0.25), (5_000, 0.75)],
        );
        say("process_resident_memory_bytes", &[(500, 900.0), (1_000, 300.0), (2_000, 400.0)]);
        let marks = Marks { load_start: 500, warm_up_end: 1_000, load_end: Some(5_000), ..Marks::default() };
        let usage = read(&store, &marks);
        let (cpu, memory) = (Some(1.25 / 4.0), Some(400));
        assert_eq!(
            usage,
            [Usage { pod: "a-1".into(), namespace: "n".into(), cpu, memory, sidecar_memory: None }]
        );
    }
}
