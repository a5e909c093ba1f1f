//! Objectives over whole runs.

use super::super::fixture::{ILL, Run, SECONDS, Second, WELL, objective, success};
use super::super::objective::{NoData, Requests};
use super::super::window::Marks;
use super::*;

fn ill_between(from: i64, to: i64) -> Run {
    Run::new(|second| if (from..to).contains(&second) { ILL } else { WELL })
}

fn word(judged: &Judged) -> (Verdict, Option<f64>, u64) {
    (judged.verdict, judged.value, judged.samples)
}

#[test]
fn success_is_counted_exactly_in_each_window() {
    // The window during lies between 8.2 and 12.0: seconds 9, 10 and 11 are whole.
    let run = ill_between(9, 12);
    assert_eq!(word(&run.judge(&success(Window::Before, 1.0))), (Verdict::Held, Some(1.0), 60));
    assert_eq!(word(&run.judge(&success(Window::During(None), 0.5))), (Verdict::Failed, Some(0.4), 30));
    assert_eq!(word(&run.judge(&success(Window::After, 1.0))), (Verdict::Held, Some(1.0), 70));
    let whole = 162.0 / 180.0;
    assert_eq!(word(&run.judge(&success(Window::Run, 0.9))), (Verdict::Held, Some(whole), 180));
    assert_eq!(word(&run.judge(&success(Window::Run, 0.91))), (Verdict::Failed, Some(whole), 180));
}

#[test]
fn an_error_in_the_first_or_the_last_whole_second_is_found() {
    for second in [9, 11] {
        let run = Run::new(|now| if now == second { Second { ok: 9, failed: 1 } } else { WELL });
        let errors =
            objective(Window::During(None), Expression::Errors(Requests::default()), Relation::AtMost, 0.0);
        assert_eq!(word(&run.judge(&errors)), (Verdict::Failed, Some(1.0), 30), "second {second}");
    }
}

#[test]
fn rate_and_latency_are_of_the_window_alone() {
    let run = ill_between(9, 12);
    let of = Requests { journey: Some("order".into()), request: None };
    let rate = objective(Window::During(None), Expression::Rate(of.clone()), Relation::AtLeast, 10.0);
    assert_eq!(word(&run.judge(&rate)), (Verdict::Held, Some(10.0), 30));
    let latency = |window, below| {
        objective(window, Expression::Latency { of: of.clone(), quantile: 0.99 }, Relation::Below, below)
    };
    // Before the action every answer came within 10 ms; during it six of ten took up to half a second.
    assert_eq!(run.judge(&latency(Window::Before, 0.1)).verdict, Verdict::Held);
    let during = run.judge(&latency(Window::During(None), 0.1));
    assert_eq!(during.verdict, Verdict::Failed);
    assert!(during.value.is_some_and(|value| value > 0.1 && value <= 0.5), "{during:?}");
}

#[test]
fn no_load_is_no_success() {
    let run = Run::without_load();
    let judged = run.judge(&success(Window::Run, 0.0));
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    assert_eq!(judged.reason, "no samples: the load was counted never in this window");
    assert!(!judged.promql.is_empty(), "the query is shown even where it has no answer");
    let silent = Run::new(|_| Second { ok: 0, failed: 0 });
    let judged = silent.judge(&success(Window::Run, 0.0));
    assert_eq!(word(&judged), (Verdict::Inconclusive, None, 0));
    assert_eq!(judged.reason, "no data: no request was counted in the window");
    let fails = Objective { no_data: NoData::Fail, ..success(Window::Run, 0.0) };
    assert_eq!(silent.judge(&fails).verdict, Verdict::Failed);
}

#[test]
fn a_window_that_never_was_is_inconclusive_whatever_no_data_says() {
    let mut run = ill_between(0, 0);
    run.marks.actions[0].proved = None;
    let passes = Objective { no_data: NoData::Pass, ..success(Window::During(None), 0.5) };
    let judged = run.judge(&passes);
    assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::Inconclusive, "`shake` was never proved"));
}

#[test]
fn each_step_must_hold_or_any() {
    let run = ill_between(10, 11);
    let every = |quantifier| Objective {
        every: Some((std::time::Duration::from_secs(1), quantifier)),
        ..success(Window::Run, 0.99)
    };
    let all = run.judge(&every(Quantifier::All));
    assert_eq!(word(&all), (Verdict::Failed, Some(0.4), 180));
    assert_eq!(all.reason, "held in 17 of 18 steps; 9.0 s into the window: not within the bound");
    let any = run.judge(&every(Quantifier::Any));
    assert_eq!((any.verdict, any.reason.as_str()), (Verdict::Held, "held in 17 of 18 steps"));
}

fn promql(text: &str, relation: Relation, bound: f64) -> Objective {
    objective(Window::Run, Expression::Promql(text.into()), relation, bound)
}

#[test]
fn promql_sees_the_whole_window_and_every_series() {
    let run = Run::new(|_| WELL);
    run.healthy_mesh();
    let judged = run.judge(&promql(
        "round(sum by (source_workload) (increase(istio_requests_total[$window])))",
        Relation::AtLeast,
        170.0,
    ));
    // From 2.4 to 20.4 s both counted ten a second.
    assert_eq!((judged.verdict, judged.value), (Verdict::Held, Some(180.0)), "{judged:?}");
    let empty = run.judge(&promql(
        "sum(rate(istio_requests_total{response_code=\"500\"}[5s]))",
        Relation::Below,
        1.0,
    ));
    assert_eq!(empty.verdict, Verdict::Inconclusive, "an empty answer is not a good one");
    let broken = Objective {
        no_data: NoData::Pass,
        ..promql("istio_requests_total / on () istio_requests_total", Relation::Below, 1.0)
    };
    let broken = run.judge(&broken);
    assert_eq!(broken.verdict, Verdict::Inconclusive, "an error passes under no rule");
    assert!(broken.reason.contains("more than one series"), "{}", broken.reason);
}

fn edges(bound: f64) -> Objective {
    let expression = Expression::CrossingVersions { min_requests: 20 };
    objective(Window::Run, expression, Relation::AtMost, bound)
}

#[test]
fn versions_that_kept_to_themselves_hold() {
    let run = Run::new(|_| WELL);
    run.healthy_mesh();
    assert_eq!(word(&run.judge(&edges(0.0))), (Verdict::Held, Some(0.0), 360));
}

#[test]
fn a_single_crossed_call_is_found_and_named() {
    for second in [3, 11, SECONDS] {
        let run = Run::new(|_| WELL);
        run.healthy_mesh();
        run.calls("a-v1", "b-v2", "200", |now| Some(u64::from(now == second)));
        let judged = run.judge(&edges(0.0));
        assert_eq!((judged.verdict, judged.value), (Verdict::Failed, Some(1.0)), "in second {second}");
        assert_eq!(judged.reason, "crossed versions: a-v1 → b-v2 ×1");
    }
}

#[test]
fn an_answer_other_than_200_fails_and_a_call_that_was_never_made_proves_nothing() {
    let run = Run::new(|_| WELL);
    run.healthy_mesh();
    run.calls("a-v2", "b-v2", "404", |now| Some(u64::from(now == 5) * 3));
    let judged = run.judge(&edges(0.0));
    assert_eq!(judged.verdict, Verdict::Failed);
    assert_eq!(judged.reason, "answers other than 200: a-v2 → b-v2 (404) ×3");

    let run = Run::new(|_| WELL);
    run.up("a-v1", |_| Some(true));
    run.calls("a-v1", "b-v1", "200", |_| Some(10));
    let judged = run.judge(&edges(0.0));
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    assert_eq!(judged.reason, "no data: a-v2 → b-v2 had 0 requests; 20 are needed of each call");
}

#[test]
fn what_a_spoiled_load_misses_is_no_failure_but_versions_that_met_have_met() {
    let spoiled = |run: Run| {
        let spoiled = Some("load worker 1 was lost: killed".to_owned());
        let marks = Marks { spoiled, ..run.marks.clone() };
        Run { marks, ..run }
    };
    let run = spoiled(ill_between(9, 12));
    let missed = run.judge(&success(Window::During(None), 0.5));
    assert_eq!(word(&missed), (Verdict::Inconclusive, Some(0.4), 30));
    assert_eq!(missed.reason, "not within the bound, but load worker 1 was lost: killed");
    assert_eq!(run.judge(&success(Window::Before, 1.0)).verdict, Verdict::Held);

    // Whoever has gone waits for no answer, which sidecars count as 0.
    let run = spoiled(Run::new(|_| WELL));
    run.healthy_mesh();
    run.calls("a-v1", "b-v1", "0", |now| Some(u64::from(now == 5)));
    assert_eq!(run.judge(&edges(0.0)).verdict, Verdict::Inconclusive);
    run.calls("a-v1", "b-v2", "200", |now| Some(u64::from(now == 5)));
    assert_eq!(run.judge(&edges(0.0)).verdict, Verdict::Failed);
}

#[test]
fn metrics_that_break_off_leave_it_open_but_a_killed_pod_does_not() {
    let broken_off = Run::new(|_| WELL);
    broken_off.healthy_mesh();
    broken_off.up("c", |now| Some(now < 9));
    let judged = broken_off.judge(&edges(0.0));
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    assert_eq!(judged.reason, "the metrics of c (istio-proxy) could not be read in the window's last 12.0 s");

    let back_again = Run::new(|_| WELL);
    back_again.healthy_mesh();
    back_again.up("c", |now| Some(!(9..14).contains(&now)));
    assert_eq!(back_again.judge(&edges(0.0)).verdict, Verdict::Held, "counters lose nothing over a gap");

    let killed = Run::new(|_| WELL);
    killed.healthy_mesh();
    killed.up("c", |now| (now < 9).then_some(true));
    assert_eq!(killed.judge(&edges(0.0)).verdict, Verdict::Held);
}

#[test]
fn success_is_doubted_where_client_and_gateway_disagree() {
    let with_gateway = |counted: u64, gone_from: i64| {
        let mut run = Run::new(|_| WELL);
        run.scene.gateway = Some("gateway".into());
        run.up("gateway", |now| (now < gone_from).then_some(true));
        run.up("other", |_| Some(true));
        let calls = move |now: i64| (now < gone_from).then_some(if now == 0 { 0 } else { counted });
        run.calls("gateway", "a-v1", "200", calls);
        run.judge(&success(Window::Run, 0.99))
    };
    assert_eq!(with_gateway(10, SECONDS + 1).verdict, Verdict::Held);
    let judged = with_gateway(8, SECONDS + 1);
    assert_eq!((judged.verdict, judged.value), (Verdict::Inconclusive, Some(1.0)));
    let reason = "the client sent 200 requests and the sidecar of gateway counted 160; 2 would be explained";
    assert_eq!(judged.reason, reason);
    // The gateway was killed in its last second: that loss is stated.
    assert_eq!(with_gateway(10, SECONDS).verdict, Verdict::Held);
    assert_eq!(with_gateway(10, SECONDS - 6).verdict, Verdict::Inconclusive);
}

#[test]
fn metrics_that_are_gone_leave_success_open() {
    let mut run = Run::new(|_| WELL);
    run.scene.gateway = Some("gateway".into());
    let judged = run.judge(&success(Window::Run, 0.99));
    assert_eq!(
        (judged.verdict, judged.reason.as_str()),
        (Verdict::Inconclusive, "no metrics were read while the load ran")
    );
}

#[test]
fn a_verdict_from_the_file_is_the_verdict_from_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("samples.om");
    let run = ill_between(9, 12);
    run.healthy_mesh();
    let copy = super::super::Samples::to_file(&path).expect("created");
    run.samples.read(|store| {
        // In the order of time, as a run writes them.
        let mut all: Vec<_> = store
            .series()
            .flat_map(|(labels, samples)| samples.iter().map(move |sample| (sample.at, labels, sample.value)))
            .collect();
        all.sort_by_key(|(at, ..)| *at);
        for (at, labels, value) in all {
            let reading = super::super::samples::Reading { labels: labels.clone(), value, counts: false };
            copy.append(at, None, &[reading]).expect("in order");
        }
    });
    let store = super::super::samples::load(&path).expect("read");
    let judge = Judge { store: &store, marks: &run.marks, scene: &run.scene };
    for objective in [success(Window::Run, 0.91), success(Window::During(None), 0.5), edges(0.0)] {
        assert_eq!(judge.judge(&objective), run.judge(&objective));
    }
}
