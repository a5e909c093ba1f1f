//! Short forms as PromQL, which the report shows.
//!
//! The client counts in one place and its counters never reset, so what it counted in a window is a plain difference
//! of totals and exact. Sidecars come and go, so their counters go through `increase`; one millisecond more than the
//! window lets the range, open at its left, take in the sample at the window's beginning.

use std::collections::{BTreeMap, BTreeSet};

use meshquake_promql::{Query, Refused};

use super::load::{BUCKETS, REQUESTS};
use super::objective::{Expression, Requests};
use super::window::Beat;

/// A call that the world allows or forbids: from one workload to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub source: String,
    pub destination: String,
    /// It goes from one version to another, which must not be.
    pub crossing: bool,
}

/// What of the world a judge must know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    pub edges: Vec<Edge>,
    /// The workload through which the load comes in, as sidecars name it.
    pub gateway: Option<String>,
}

/// Queries for one expression over one window.
#[derive(Clone, Debug, PartialEq)]
pub enum Compiled {
    Plain {
        value: Query,
        /// How many requests the value rests on; nothing where the samples themselves are counted.
        volume: Option<Query>,
    },
    Crossing {
        /// Requests that crossed, by edge; added up.
        crossed: Vec<Query>,
        /// Requests by edge, for those that are expected.
        expected: Query,
        /// Answers other than 200, by edge and status.
        errors: Query,
    },
}

impl Compiled {
    /// Whose samples the window is fitted to.
    pub fn beat(&self) -> Beat {
        match self {
            Compiled::Plain { value, .. } => Beat::of(value),
            Compiled::Crossing { .. } => Beat::Scrapes,
        }
    }

    /// The queries whose values, added up, are what is held against the bound.
    pub fn values(&self) -> Vec<String> {
        match self {
            Compiled::Plain { value, .. } => vec![value.to_string()],
            Compiled::Crossing { crossed, .. } => crossed.iter().map(Query::to_string).collect(),
        }
    }

    /// A selector of what it looks at.
    pub fn looks_at(&self) -> Option<String> {
        let query = match self {
            Compiled::Plain { value, .. } => value,
            Compiled::Crossing { expected, .. } => expected,
        };
        query.metrics().first().map(ToString::to_string)
    }

    /// All queries, as the report shows them.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Compiled::Plain { value, .. } => vec![value.to_string()],
            Compiled::Crossing { crossed, expected, errors } => {
                crossed.iter().chain([expected, errors]).map(Query::to_string).collect()
            }
        }
    }
}

/// Compiles an expression for a window of this length.
pub fn compile(expression: &Expression, scene: &Scene, window_ms: i64) -> Result<Compiled, Refused> {
    let plain = |value: String, of: &Requests| {
        let volume = Some(Query::parse(&counted(&requests(of, &[]), window_ms))?);
        Ok(Compiled::Plain { value: Query::parse(&value)?, volume })
    };
    match expression {
        Expression::Promql(text) => {
            // The bare window as well as one with a unit written behind it must stay one number.
            let text = text.replace("$window", &format!("{}ms", window_ms + 1));
            Ok(Compiled::Plain { value: Query::parse(&text)?, volume: None })
        }
        Expression::Success(of) => {
            let ok = counted(&requests(of, &[("outcome", "ok")]), window_ms);
            plain(format!("({ok}) / ({})", counted(&requests(of, &[]), window_ms)), of)
        }
        Expression::Errors(of) => plain(counted(&requests(of, &[("outcome", "failed")]), window_ms), of),
        Expression::Rate(of) => {
            let seconds = window_ms as f64 / 1000.0;
            plain(format!("({}) / {seconds}", counted(&requests(of, &[]), window_ms)), of)
        }
        Expression::Latency { of, quantile } => {
            let buckets = format!("sum by (le) ({BUCKETS}{})", matchers(of, &[]));
            let before = format!("sum by (le) ({BUCKETS}{} offset {window_ms}ms)", matchers(of, &[]));
            plain(format!("histogram_quantile({quantile}, {buckets} - ({before} or {buckets} * 0))"), of)
        }
        Expression::CrossingVersions { .. } => crossing(&scene.edges, window_ms),
    }
}

/// How far a counter of the client got within the window, zero where it was not there yet.
fn counted(selector: &str, window_ms: i64) -> String {
    format!("(sum({selector}) or vector(0)) - (sum({selector} offset {window_ms}ms) or vector(0))")
}

fn requests(of: &Requests, more: &[(&str, &str)]) -> String {
    format!("{REQUESTS}{}", matchers(of, more))
}

fn matchers(of: &Requests, more: &[(&str, &str)]) -> String {
    let own = [("journey", of.journey.as_deref()), ("request", of.request.as_deref())];
    let own = own.into_iter().filter_map(|(label, value)| Some((label, value?)));
    let all: Vec<String> =
        own.chain(more.iter().copied()).map(|(label, value)| format!("{label}={}", quoted(value))).collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", super::exposition::escaped(value))
}

/// More sources than this go into a query of their own: a query may have only so many operators.
const SOURCES_IN_A_QUERY: usize = 60;

fn crossing(edges: &[Edge], window_ms: i64) -> Result<Compiled, Refused> {
    let range = window_ms + 1;
    let by_edge = "sum by (source_workload, destination_workload)";
    let crossed: Vec<String> = by_source(edges, true)
        .into_iter()
        .map(|(source, destinations)| {
            let selector = from_to(&[source], &destinations, "");
            format!("increase({selector}[{range}ms])")
        })
        .collect();
    let crossed = crossed.chunks(SOURCES_IN_A_QUERY).map(|sources| {
        // Nothing at all is a count of zero; whether anything was counted is asked of the expected edges.
        Query::parse(&format!("round({by_edge} ({}) or vector(0))", sources.join(" or ")))
    });
    let crossed = crossed.collect::<Result<_, _>>()?;
    let all = |ends: fn(&Edge) -> &str| -> Vec<&str> {
        edges.iter().map(ends).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let (sources, destinations) = (all(|edge| &edge.source), all(|edge| &edge.destination));
    let any = from_to(&sources, &destinations, "");
    let failed = from_to(&sources, &[], ",response_code!=\"200\"");
    Ok(Compiled::Crossing {
        crossed,
        expected: Query::parse(&format!("round({by_edge} (increase({any}[{range}ms])))"))?,
        errors: Query::parse(&format!(
            "round(sum by (source_workload, destination_workload, response_code) (increase({failed}[{range}ms])))"
        ))?,
    })
}

fn by_source(edges: &[Edge], crossing: bool) -> BTreeMap<&str, Vec<&str>> {
    let mut by_source: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for edge in edges.iter().filter(|edge| edge.crossing == crossing) {
        by_source.entry(&edge.source).or_default().push(&edge.destination);
    }
    by_source
}

/// The callers' series between these workloads; no destinations means any.
fn from_to(sources: &[&str], destinations: &[&str], more: &str) -> String {
    // Names of workloads are DNS names: only their dots mean something to a regular expression.
    let one_of = |names: &[&str]| {
        let escaped: Vec<_> = names.iter().map(|name| name.replace('.', "\\.")).collect();
        quoted(&escaped.join("|"))
    };
    let to = if destinations.is_empty() {
        String::new()
    } else {
        format!(",destination_workload=~{}", one_of(destinations))
    };
    format!("istio_requests_total{{reporter=\"source\",source_workload=~{}{to}{more}}}", one_of(sources))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn texts(expression: &Expression) -> String {
        let edge = |source: &str, destination: &str| Edge {
            source: source.to_owned(),
            destination: destination.to_owned(),
            crossing: source.chars().last() != destination.chars().last(),
        };
        let edges =
            vec![edge("a-v1", "b-v1"), edge("a-v1", "b-v2"), edge("a-v2", "b-v1"), edge("a-v2", "b-v2")];
        let scene = Scene { edges, gateway: None };
        compile(expression, &scene, 8000).expect("a valid query").texts().join("\n")
    }

    #[test]
    fn short_forms_are_these_queries() {
        let all = Requests::default();
        let one = Requests { journey: Some("or\"der".into()), request: Some("pay".into()) };
        assert_snapshot!(texts(&Expression::Success(one.clone())), @r#"((sum(meshquake_load_requests_total{journey="or\"der",request="pay",outcome="ok"}) or vector(0)) - (sum(meshquake_load_requests_total{journey="or\"der",request="pay",outcome="ok"} offset 8s) or vector(0))) / ((sum(meshquake_load_requests_total{journey="or\"der",request="pay"}) or vector(0)) - (sum(meshquake_load_requests_total{journey="or\"der",request="pay"} offset 8s) or vector(0)))"#);
        assert_snapshot!(texts(&Expression::Errors(all.clone())), @r#"(sum(meshquake_load_requests_total{outcome="failed"}) or vector(0)) - (sum(meshquake_load_requests_total{outcome="failed"} offset 8s) or vector(0))"#);
        assert_snapshot!(texts(&Expression::Rate(all.clone())), @"((sum(meshquake_load_requests_total) or vector(0)) - (sum(meshquake_load_requests_total offset 8s) or vector(0))) / 8");
        assert_snapshot!(texts(&Expression::Latency { of: all, quantile: 0.99 }), @"histogram_quantile(0.99, sum by (le) (meshquake_load_request_duration_seconds_bucket) - (sum by (le) (meshquake_load_request_duration_seconds_bucket offset 8s) or sum by (le) (meshquake_load_request_duration_seconds_bucket) * 0))");
        assert_snapshot!(texts(&Expression::Promql("increase(x[$window]) / $window".into())), @"increase(x[8s1ms]) / 8.001");
        assert_snapshot!(texts(&Expression::CrossingVersions { min_requests: 1 }), @r#"
        round(sum by (source_workload, destination_workload) (increase(istio_requests_total{reporter="source",source_workload=~"a-v1",destination_workload=~"b-v2"}[8s1ms]) or increase(istio_requests_total{reporter="source",source_workload=~"a-v2",destination_workload=~"b-v1"}[8s1ms])) or vector(0))
        round(sum by (source_workload, destination_workload) (increase(istio_requests_total{reporter="source",source_workload=~"a-v1|a-v2",destination_workload=~"b-v1|b-v2"}[8s1ms])))
        round(sum by (source_workload, destination_workload, response_code) (increase(istio_requests_total{reporter="source",source_workload=~"a-v1|a-v2",response_code!="200"}[8s1ms])))
        "#);
    }
}
