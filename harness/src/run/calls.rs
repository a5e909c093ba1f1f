//! Who called whom during the run, read from the callers' series: the edges of the call graph.

use std::collections::BTreeMap;

use meshquake_promql::{Query, Store, Value};

use crate::event::Call;
use crate::judge::Marks;
use crate::scenario::Names;

type Edge = (String, String);

/// All edges between workloads after the warm-up, in the order of their names.
pub fn read(store: &Store, marks: &Marks, names: &Names) -> Vec<Call> {
    let end = marks.load_end.unwrap_or(marks.warm_up_end).max(marks.warm_up_end + 1000);
    let window = end - marks.warm_up_end;
    let by = "by (source_workload, destination_workload)";
    let range = format!("[{window}ms]");
    let requests = format!("sum {by} (increase(istio_requests_total{{reporter=\"source\"}}{range}))");
    let errors = format!(
        "sum {by} (increase(istio_requests_total{{reporter=\"source\",response_code!~\"[123]..\"}}{range}))"
    );
    let p95 = format!(
        "histogram_quantile(0.95, sum by (source_workload, destination_workload, le) \
         (increase(istio_request_duration_milliseconds_bucket{{reporter=\"source\"}}{range})))"
    );
    let (requests, errors, p95) =
        (edges(store, &requests, end), edges(store, &errors, end), edges(store, &p95, end));
    let version = |workload: &str| {
        names.deployment(workload).map(|workload| workload.version().to_owned()).unwrap_or_default()
    };
    let calls = requests.into_iter().filter(|(_, count)| *count > 0.0);
    calls
        .map(|(edge, count)| {
            let (source_version, destination_version) = (version(&edge.0), version(&edge.1));
            Call {
                crossing: !source_version.is_empty()
                    && !destination_version.is_empty()
                    && source_version != destination_version,
                requests: count.round(),
                errors: errors.get(&edge).copied().unwrap_or(0.0).round(),
                rate: count * 1e3 / window as f64,
                p95_ms: p95.get(&edge).copied().filter(|value| value.is_finite()),
                source: edge.0,
                source_version,
                destination: edge.1,
                destination_version,
            }
        })
        .collect()
}

fn edges(store: &Store, promql: &str, at: i64) -> BTreeMap<Edge, f64> {
    let value = Query::parse(promql).ok().and_then(|query| query.evaluate(store, at).ok());
    let Some(Value::Vector(vector)) = value else { return BTreeMap::new() };
    vector
        .into_iter()
        .map(|(labels, value)| {
            ((labels.get("source_workload").to_owned(), labels.get("destination_workload").to_owned()), value)
        })
        .collect()
}
