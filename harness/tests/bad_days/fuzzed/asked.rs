//! What is asked and what answers: queries, and pages of metrics.

use meshquake::judge::exposition::Pages;
use meshquake_promql::Query;

use super::{Seed, counters, fuzz};

const QUERIES: &[&str] = &[
    r#"sum(rate(meshquake_load_requests_total{outcome="failed"}[2s]))"#,
    r#"abs(0.5 - sum(increase(istio_requests_total{reporter="source",code=~"2.."}[10s])) / sum(increase(istio_requests_total[10s])))"#,
    r#"histogram_quantile(0.99, sum by (le) (rate(x{code!="503"}[1m30s] offset 5s))) > bool 0.1"#,
    r#"topk(2, x) unless on (code) x{code!~"5.*"} or vector(0)"#,
    r#"label_replace(avg_over_time(x[5m]), "a", "$1-${b}", "code", "(?P<b>.)(.*)")"#,
    r#"-x ^ 2 % 3 * on (code) group_left (reporter) sum by (code) (x)"#,
    r#"absent(x{a='b"é'}) + clamp_max(scalar(count without (code) (x)), 1e3)"#,
];

#[test]
fn any_query_is_read_or_refused() {
    let all = QUERIES.iter().map(|text| Seed { file: "query".into(), text: (*text).into() }).collect();
    let store = counters();
    fuzz("promql", all, 3000, move |_, bytes| {
        let text = String::from_utf8_lossy(bytes);
        match Query::parse(&text) {
            Err(refused) => {
                assert!(refused.at.is_none_or(|at| at <= text.len()), "{refused}");
                assert!(!refused.what.trim().is_empty(), "{refused:?}");
                false
            }
            Ok(query) => {
                let shown = query.to_string();
                assert_eq!(Query::parse(&shown).as_ref(), Ok(&query), "{shown}");
                let bounds = query.bounds();
                assert!(bounds.least <= bounds.greatest, "{bounds:?}");
                let _either = query.evaluate(&store, 15_000);
                query.samples(&store, 15_000);
                true
            }
        }
    });
}

const PAGE: &str = r#"# HELP envoy_istio_requests_total requests
# TYPE envoy_istio_requests_total counter
envoy_istio_requests_total{reporter="source",source_workload="a-v1",response_code="200",flags="-",path="/a,b="c"\n"} 7
envoy_istio_requests_total{reporter="source",source_workload="a-v1",response_code="503",destination_principal=""} 1 1700000000000
# TYPE envoy_istio_request_duration_milliseconds histogram
envoy_istio_request_duration_milliseconds_bucket{le="0.5"} 1
envoy_istio_request_duration_milliseconds_bucket{le="+Inf"} 3
envoy_istio_request_duration_milliseconds_sum{} 4.5e3
envoy_istio_request_duration_milliseconds_count{} 3

# TYPE envoy_server_live gauge
envoy_server_live 1
process_cpu_seconds_total NaN
go_gc_duration_seconds{quantile="0.25"} 1.4e-05
"#;

#[test]
fn any_page_of_metrics_is_read_or_refused() {
    let all = vec![Seed { file: "page".into(), text: PAGE.into() }];
    // As of one target: what a page has taught must not spoil the next one.
    let mut pages = Pages::default();
    fuzz("metrics", all, 3000, move |_, bytes| {
        let text = String::from_utf8_lossy(bytes);
        let mut read = || pages.read(&text, |_| true, |labels| labels);
        let first = read().map_err(|error| error.to_string());
        let again = read().map_err(|error| error.to_string());
        match (first, again) {
            (Ok(first), Ok(again)) => {
                let of = |readings: &[meshquake::judge::exposition::Reading]| {
                    let parts = readings
                        .iter()
                        .map(|one| (one.labels.clone(), one.value.to_bits(), one.at, one.counts));
                    parts.collect::<Vec<_>>()
                };
                assert_eq!(of(&first), of(&again), "a page means the same the second time");
                true
            }
            (Err(first), Err(again)) => {
                assert_eq!(first, again, "a page is refused for the same reason the second time");
                let line =
                    first.strip_prefix("line ").and_then(|rest| rest.split([' ', ':']).next()?.parse().ok());
                assert!(
                    line.is_some_and(|line: usize| (1..=text.lines().count()).contains(&line)),
                    "{first}"
                );
                false
            }
            (first, again) => panic!("first {first:?}, then {again:?}"),
        }
    });
}
