//! Objectives that are refused or warned of before anything runs.

use super::super::fixture;
use super::super::objective::{Quantifier, Requests};
use super::*;

/// All problems and warnings of an objective whose window is ten seconds.
fn found(objective: &Objective) -> (Vec<String>, Vec<String>) {
    let scene = fixture::Run::without_load().scene;
    found_in(objective, &scene, Some(Duration::from_secs(10)))
}

fn found_in(objective: &Objective, scene: &Scene, window: Option<Duration>) -> (Vec<String>, Vec<String>) {
    let [journeys, requests] = ["order", "pay"].map(|name| BTreeSet::from([name.to_owned()]));
    let known =
        Known { scene, journeys: &journeys, requests: &requests, client_edges: &[0.1, 0.25, 1.0], window };
    let findings = super::objective(objective, &known);
    let titles = |problems: Vec<Problem>| problems.into_iter().map(|problem| problem.title).collect();
    (titles(findings.problems), titles(findings.warnings))
}

fn promql(text: &str, relation: Relation, bound: f64) -> Objective {
    fixture::objective(Window::Run, Expression::Promql(text.into()), relation, bound)
}

#[test]
fn what_can_fail_passes() {
    let errors = Expression::Errors(Requests::default());
    let edges = Expression::CrossingVersions { min_requests: 1 };
    for objective in [
        fixture::success(Window::Run, 0.999),
        fixture::objective(Window::Run, errors, Relation::AtMost, 0.0),
        fixture::objective(Window::Run, edges, Relation::AtMost, 0.0),
        promql("sum(rate(istio_requests_total{response_code=~\"5..\"}[$window]))", Relation::Below, 1.0),
        promql("x", Relation::Above, 0.0),
        promql("1 - avg(rate(app_errors_total[5s]))", Relation::AtLeast, 0.9),
    ] {
        assert_eq!(found(&objective), (vec![], vec![]), "{objective:?}");
    }
}

#[test]
fn what_fails_by_having_no_value_can_fail() {
    let absent = promql("absent(x)", Relation::Equal, 1.0);
    assert_eq!(found(&absent).0.len(), 1);
    let asked_for = Objective { no_data: NoData::Fail, ..absent };
    assert_eq!(found(&asked_for).0, Vec::<String>::new());
    let constant = Objective { no_data: NoData::Fail, ..promql("vector(1)", Relation::Above, 0.0) };
    assert_eq!(found(&constant).0.len(), 1, "it has a value always");
}

#[test]
fn what_cannot_fail_is_refused() {
    let rate = |relation, bound| {
        fixture::objective(Window::Run, Expression::Rate(Requests::default()), relation, bound)
    };
    let cases = [
        fixture::success(Window::Run, 0.0),
        fixture::objective(Window::Run, Expression::Success(Requests::default()), Relation::AtMost, 1.0),
        fixture::objective(Window::Run, Expression::Success(Requests::default()), Relation::Below, 1.01),
        rate(Relation::AtLeast, 0.0),
        rate(Relation::Above, -1.0),
        rate(Relation::Below, f64::INFINITY),
        promql("vector(0)", Relation::Below, 1.0),
        promql("sum(increase(x_total[5s])) or vector(0)", Relation::AtLeast, 0.0),
        promql("count(x)", Relation::Above, 0.5),
        promql("clamp_max(x, 1)", Relation::AtMost, 1.0),
    ];
    for objective in cases {
        let (problems, _) = found(&objective);
        assert_eq!(problems.len(), 1, "{objective:?}");
        assert!(problems[0].starts_with("`it` cannot fail: "), "{problems:?}");
    }
}

#[test]
fn edges_cannot_fail_in_a_world_of_one_version() {
    let expression = Expression::CrossingVersions { min_requests: 1 };
    let objective = fixture::objective(Window::Run, expression, Relation::AtMost, 0.0);
    let (problems, _) = found_in(&objective, &Scene::default(), None);
    assert_eq!(problems, ["`it` cannot fail: no call of this world can cross versions"]);
}

#[test]
fn a_series_that_cannot_be_is_refused() {
    let table = [
        (
            "sum(rate(istio_request_total[5s]))",
            "`istio_request_total` can never have a sample: there is no metric `istio_request_total`; did you mean `istio_requests_total`?",
        ),
        (
            "sum(rate(istio_requests_total{code=\"500\"}[5s]))",
            "`istio_requests_total{code=\"500\"}` can never have a sample: `istio_requests_total` has no label `code`",
        ),
        (
            "sum(rate(istio_requests_total{source_workload=~\"c-.*\"}[5s]))",
            "`istio_requests_total{source_workload=~\"c-.*\"}` can never have a sample: the values of `source_workload` are `a-v1`, `a-v2`, `b-v1`, `b-v2`, `unknown`",
        ),
        (
            "sum(rate(meshquake_load_requests_total{outcome=\"bad\"}[5s]))",
            "`meshquake_load_requests_total{outcome=\"bad\"}` can never have a sample: the values of `outcome` are `failed`, `ok`",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(found(&promql(text, Relation::Below, 1.0)).0, [expected], "{text}");
    }
    // What is only excluded need not exist.
    let excluding = "sum(rate(istio_requests_total{code!=\"500\"}[5s]))";
    assert_eq!(found(&promql(excluding, Relation::Below, 1.0)).0, Vec::<String>::new());
}

#[test]
fn a_window_must_hold_its_range_and_two_scrapes() {
    let scene = Scene::default();
    let problems = |text: &str, seconds: u64| {
        found_in(&promql(text, Relation::Below, 1.0), &scene, Some(Duration::from_secs(seconds))).0
    };
    let expected = "the window `run` is 10s, shorter than the query's range and two scrapes (60s)";
    assert_eq!(problems("rate(x[1m])", 10), [expected]);
    assert_eq!(problems("rate(x[$window])", 10), Vec::<String>::new());
    let expected = "the window `run` is 1s, shorter than the query's range and two scrapes (2s)";
    assert_eq!(problems("rate(x[$window])", 1), [expected]);
    let steps = Objective {
        every: Some((Duration::from_millis(500), Quantifier::All)),
        ..promql("rate(x[5s])", Relation::Below, 1.0)
    };
    assert_eq!(found(&steps).0, ["steps of 500ms are shorter than the 1s between two scrapes"]);
}

#[test]
fn a_bound_between_two_edges_is_warned_of() {
    let latency = |bound| {
        let expression = Expression::Latency { of: Requests::default(), quantile: 0.99 };
        found(&fixture::objective(Window::Run, expression, Relation::Below, bound)).1
    };
    assert_eq!(latency(0.25), Vec::<String>::new());
    let expected = "the bound 0.3 is no edge of the histogram: the nearest are 0.25 and 1";
    assert_eq!(latency(0.3), [expected]);
    let sidecars =
        "histogram_quantile(0.9, sum by (le) (rate(istio_request_duration_milliseconds_bucket[5s])))";
    assert_eq!(found(&promql(sidecars, Relation::Below, 250.0)).1, Vec::<String>::new());
    let expected = "the bound 300 is no edge of the histogram: the nearest are 250 and 500";
    assert_eq!(found(&promql(sidecars, Relation::Below, 300.0)).1, [expected]);
}
