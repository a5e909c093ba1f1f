//! Answers computed by hand from what Prometheus documents and does.

use crate::series::store;
use meshquake_promql::{Query, Store, Value};

/// The answer as text, vectors one element a line; an error as its message.
fn answer(store: &Store, text: &str, at_s: f64) -> String {
    let query: Query = text.parse().unwrap_or_else(|refused| panic!("{text}: {refused}"));
    match query.evaluate(store, (at_s * 1000.0) as i64) {
        Ok(Value::Vector(elements)) if elements.is_empty() => "nothing".to_owned(),
        Ok(value) => value.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

fn check(store: &Store, at_s: f64, table: &[(&str, &str)]) {
    for (query, expected) in table {
        assert_eq!(&answer(store, query, at_s), expected, "{query} at {at_s} s");
    }
}

#[test]
fn selectors() {
    let store = store(&[
        "http code=200 pod=a: 1 2 3",
        "http code=500 pod=a: 5 6 stale",
        "http code=200 pod=b: 7 8 _",
        "other: NaN _ 4",
    ]);
    check(
        &store,
        20.0,
        &[
            ("http{code=\"200\"}", "http{code=\"200\", pod=\"a\"} 3\nhttp{code=\"200\", pod=\"b\"} 8"),
            // A marker ends the series at once, not five minutes later.
            ("http{code!=\"200\"}", "nothing"),
            ("http{code!=\"200\"} offset 10s", "http{code=\"500\", pod=\"a\"} 6"),
            ("http{pod=~\"a|c\"}", "http{code=\"200\", pod=\"a\"} 3"),
            ("http{pod!~\"a.*\"}", "http{code=\"200\", pod=\"b\"} 8"),
            // Expressions are anchored: `b` alone does not match within a longer value.
            ("http{code=~\"20\"}", "nothing"),
            // A label that is not there is an empty one.
            ("{__name__=~\"other|http\", pod=\"\"}", "other 4"),
            ("other{nowhere=\"\"}", "other 4"),
            ("missing", "nothing"),
            ("http offset -10s", "http{code=\"200\", pod=\"a\"} 3\nhttp{code=\"200\", pod=\"b\"} 8"),
        ],
    );
    // The latest sample of `b` is from 10 s: it is seen until just before five minutes later.
    check(&store, 309.9, &[("http{pod=\"b\"}", "http{code=\"200\", pod=\"b\"} 8")]);
    check(&store, 310.0, &[("http{pod=\"b\"}", "nothing")]);
}

#[test]
fn a_range_leaves_out_its_left_end_and_takes_its_right_one() {
    let store = store(&["x: 1 2 4 8 16"]);
    check(
        &store,
        40.0,
        &[
            ("count_over_time(x[20s])", "{} 2"),
            ("sum_over_time(x[20s])", "{} 24"),
            ("count_over_time(x[20001ms])", "{} 3"),
            ("sum_over_time(x[20s] offset 10s)", "{} 12"),
        ],
    );
}

#[test]
fn rates() {
    let store = store(&[
        // Ten a step, from 100.
        "steady: 100 110 120 130 140 150 160",
        // From zero: not carried back beyond the time at which it was zero.
        "fresh: 0 10 20 30 40 50 60",
        "reset: 100 110 120 5 15 25 35",
        "alone: _ _ _ _ _ _ 7",
        "gauge: 60 50 40 30 20 10 0",
        "late: _ _ _ 4 14 24 34",
    ]);
    check(
        &store,
        60.0,
        &[
            // Three samples at 40, 50, 60 cover 20 of 30 s; the first is 10 s (less than 1.1 steps) from the start.
            ("increase(steady[30s])", "{} 30"),
            ("rate(steady[30s])", "{} 1"),
            ("increase(steady[25s])", "{} 25"),
            // All of them: 60 s covered, and the window begins 40 s before the first: half a step is added there.
            ("increase(steady[100s])", "{} 65"),
            // As above, but a counter that was zero at its first sample gets nothing before it.
            ("increase(fresh[100s])", "{} 60"),
            // Four samples from 4: back to zero are 4 s, less than half a step.
            ("increase(late[100s])", "{} 34"),
            // The reset at 30 s counts 5 after 120: 20 + 5 + 30 over 60 s, half a step before.
            ("increase(reset[100s])", &format!("{{}} {}", 55.0 * (65.0 / 60.0))),
            ("delta(gauge[30s])", "{} -30"),
            ("irate(steady[100s])", "{} 1"),
            ("irate(reset[100s] offset 30s)", "{} 0.5"),
            ("rate(alone[60s])", "nothing"),
            ("irate(alone[60s])", "nothing"),
        ],
    );
}

#[test]
fn markers_are_not_values_of_a_range() {
    let store = store(&["x: 1 2 stale _ 5 stale"]);
    check(
        &store,
        50.0,
        &[("sum_over_time(x[1m])", "{} 8"), ("x", "nothing"), ("last_over_time(x[1m])", "x 5")],
    );
}

#[test]
fn values_over_time() {
    let store = store(&["x: 2 4 4 4 5 5 7 9", "y: 1 NaN 3"]);
    check(
        &store,
        70.0,
        &[
            ("avg_over_time(x[2m])", "{} 5"),
            ("min_over_time(x[2m])", "{} 2"),
            ("max_over_time(x[2m])", "{} 9"),
            ("stddev_over_time(x[2m])", "{} 2"),
            ("quantile_over_time(0.5, x[2m])", "{} 4.5"),
            ("quantile_over_time(2, x[2m])", "{} inf"),
            ("quantile_over_time(-1, x[2m])", "{} -inf"),
            ("present_over_time(x[2m])", "{} 1"),
            ("absent_over_time(x[2m])", "nothing"),
            ("absent_over_time(gone{a=\"b\",c=~\"d\"}[2m])", "{a=\"b\"} 1"),
            ("max_over_time(y[2m])", "{} 3"),
            ("sum_over_time(y[2m])", "{} NaN"),
        ],
    );
}

#[test]
fn aggregations() {
    let store = store(&[
        "x code=200 pod=a: 1",
        "x code=200 pod=b: 2",
        "x code=500 pod=a: 3",
        "x code=500 pod=b: NaN",
        "y: 10",
    ]);
    check(
        &store,
        0.0,
        &[
            ("sum(x{pod=\"a\"})", "{} 4"),
            ("sum by (pod) (x{code=\"200\"})", "{pod=\"a\"} 1\n{pod=\"b\"} 2"),
            ("sum without (pod) (x{code=\"200\"})", "{code=\"200\"} 3"),
            ("count by (code) (x)", "{code=\"200\"} 2\n{code=\"500\"} 2"),
            ("max by (code) (x)", "{code=\"200\"} 2\n{code=\"500\"} 3"),
            ("min(x)", "{} 1"),
            ("avg(x{code=\"200\"})", "{} 1.5"),
            ("group by (pod) (x)", "{pod=\"a\"} 1\n{pod=\"b\"} 1"),
            ("stddev(x{code=\"200\"})", "{} 0.5"),
            ("stdvar(x{code=\"200\"})", "{} 0.25"),
            ("quantile(0.5, x{code=\"200\"})", "{} 1.5"),
            // NaN is the last to be taken, from both ends.
            ("topk(2, x)", "x{code=\"500\", pod=\"a\"} 3\nx{code=\"200\", pod=\"b\"} 2"),
            ("bottomk(1, x)", "x{code=\"200\", pod=\"a\"} 1"),
            ("topk(1, x{code=\"500\", pod=\"b\"})", "x{code=\"500\", pod=\"b\"} NaN"),
            ("topk(0, x)", "nothing"),
            ("topk by (code) (1, x)", "x{code=\"200\", pod=\"b\"} 2\nx{code=\"500\", pod=\"a\"} 3"),
            ("topk(NaN, x)", "error: `topk` cannot count with \"NaN\""),
            ("sum by (__name__) ({__name__=~\"x|y\", code!=\"500\"})", "x 3\ny 10"),
            ("sum(missing)", "nothing"),
            ("count(missing) or vector(0)", "{} 0"),
        ],
    );
}

#[test]
fn operators_between_numbers_and_vectors() {
    let store = store(&["x pod=a: 1", "x pod=b: 4"]);
    check(
        &store,
        0.0,
        &[
            ("1 + 2 * 3 ^ 2", "19"),
            ("-2 ^ 2", "-4"),
            ("2 ^ 3 ^ 2", "512"),
            ("7 % 4", "3"),
            ("-7 % 4", "-3"),
            ("1 / 0", "inf"),
            ("2 > bool 1", "1"),
            ("NaN == bool NaN", "0"),
            ("x * 2", "{pod=\"a\"} 2\n{pod=\"b\"} 8"),
            ("10 - x", "{pod=\"a\"} 9\n{pod=\"b\"} 6"),
            // A filter keeps value and name of the vector, on whichever side it is.
            ("x > 2", "x{pod=\"b\"} 4"),
            ("2 < x", "x{pod=\"b\"} 4"),
            ("x > bool 2", "{pod=\"a\"} 0\n{pod=\"b\"} 1"),
            ("-x", "{pod=\"a\"} -1\n{pod=\"b\"} -4"),
            ("x > 5", "nothing"),
        ],
    );
}

#[test]
fn operators_between_vectors() {
    let store = store(&[
        "errors code=500 pod=a: 1",
        "errors code=503 pod=a: 2",
        "errors code=500 pod=b: 3",
        "all pod=a: 10",
        "all pod=b: 20",
        "all pod=c: 30",
        "twin pod=a side=l: 1",
        "twin pod=a side=r: 2",
        "info pod=a version=v1: 1",
        "info pod=b version=v2: 1",
    ]);
    check(
        &store,
        0.0,
        &[
            ("errors{code=\"500\"} / ignoring(code) all", "{pod=\"a\"} 0.1\n{pod=\"b\"} 0.15"),
            ("errors{code=\"500\"} / on(pod) all", "{pod=\"a\"} 0.1\n{pod=\"b\"} 0.15"),
            (
                "errors / ignoring(code) group_left all",
                "{code=\"500\", pod=\"a\"} 0.1\n{code=\"500\", pod=\"b\"} 0.15\n{code=\"503\", pod=\"a\"} 0.2",
            ),
            (
                "all * on(pod) group_left(version) info",
                "{pod=\"a\", version=\"v1\"} 10\n{pod=\"b\", version=\"v2\"} 20",
            ),
            (
                "info * on(pod) group_right(version) all",
                "{pod=\"a\", version=\"v1\"} 10\n{pod=\"b\", version=\"v2\"} 20",
            ),
            (
                "errors / ignoring(code) all",
                "error: many series match one with the labels {pod=\"a\"} at `/`: say so with group_left or group_right",
            ),
            (
                "all / on(pod) twin",
                "error: more than one series on the right side of `/` has the labels {pod=\"a\"} that are matched on",
            ),
            // Between vectors a filter keeps the name, and the left value.
            ("all > on(pod) errors{code=\"500\"}", "{pod=\"a\"} 10\n{pod=\"b\"} 20"),
            ("all{pod=\"a\"} == ignoring(x) all", "all{pod=\"a\"} 10"),
            ("all and on(pod) errors", "all{pod=\"a\"} 10\nall{pod=\"b\"} 20"),
            ("all unless on(pod) errors", "all{pod=\"c\"} 30"),
            ("all{pod=\"a\"} or all{pod!=\"b\"}", "all{pod=\"a\"} 10\nall{pod=\"c\"} 30"),
            ("all or on(pod) errors", "all{pod=\"a\"} 10\nall{pod=\"b\"} 20\nall{pod=\"c\"} 30"),
            ("missing / all", "nothing"),
        ],
    );
}

#[test]
fn equal_labels_after_the_name_is_dropped_are_an_error() {
    let store = store(&["a pod=x: 1 2", "b pod=x: 3 4"]);
    check(
        &store,
        10.0,
        &[
            (
                "rate({__name__=~\"a|b\"}[1m])",
                "error: `rate` gives more than one series with the labels {pod=\"x\"}",
            ),
            ("-{__name__=~\"a|b\"}", "error: `-` gives more than one series with the labels {pod=\"x\"}"),
            ("last_over_time({__name__=~\"a|b\"}[1m])", "a{pod=\"x\"} 2\nb{pod=\"x\"} 4"),
            (
                "label_replace({__name__=~\"a|b\"}, \"__name__\", \"c\", \"\", \"\")",
                "error: `label_replace` gives more than one series with the labels c{pod=\"x\"}",
            ),
        ],
    );
}

#[test]
fn functions() {
    let store = store(&["x pod=a-1: -2.5", "x pod=b-2: 2.5", "one: 7", "odd: NaN"]);
    check(
        &store,
        0.0,
        &[
            ("abs(x)", "{pod=\"a-1\"} 2.5\n{pod=\"b-2\"} 2.5"),
            ("ceil(x)", "{pod=\"a-1\"} -2\n{pod=\"b-2\"} 3"),
            ("floor(x)", "{pod=\"a-1\"} -3\n{pod=\"b-2\"} 2"),
            // Ties go up.
            ("round(x)", "{pod=\"a-1\"} -2\n{pod=\"b-2\"} 3"),
            ("round(one, 5)", "{} 5"),
            ("sqrt(vector(9))", "{} 3"),
            ("exp(vector(0))", "{} 1"),
            ("ln(vector(0))", "{} -inf"),
            ("clamp(x, -1, 1)", "{pod=\"a-1\"} -1\n{pod=\"b-2\"} 1"),
            ("clamp(x, 1, -1)", "nothing"),
            ("clamp_min(x, 0)", "{pod=\"a-1\"} 0\n{pod=\"b-2\"} 2.5"),
            ("clamp_max(x, 0)", "{pod=\"a-1\"} -2.5\n{pod=\"b-2\"} 0"),
            ("clamp_min(odd, 0)", "{} NaN"),
            ("scalar(one) + 1", "8"),
            ("scalar(x)", "NaN"),
            ("vector(3)", "{} 3"),
            ("absent(one)", "nothing"),
            ("absent(gone{a=\"b\", a!=\"c\", d=\"e\"})", "{d=\"e\"} 1"),
            ("absent(sum(gone))", "{} 1"),
            ("sort_desc(x)", "x{pod=\"b-2\"} 2.5\nx{pod=\"a-1\"} -2.5"),
            ("sort(x or odd)", "x{pod=\"a-1\"} -2.5\nx{pod=\"b-2\"} 2.5\nodd NaN"),
            (
                "label_replace(x, \"app\", \"$1\", \"pod\", \"(.*)-.*\")",
                "x{app=\"a\", pod=\"a-1\"} -2.5\nx{app=\"b\", pod=\"b-2\"} 2.5",
            ),
            // What does not match is left alone; what is replaced by nothing is removed.
            ("label_replace(one, \"app\", \"y\", \"pod\", \"z\")", "one 7"),
            ("label_replace(x{pod=\"a-1\"}, \"pod\", \"\", \"pod\", \".*\")", "x -2.5"),
            (
                "label_join(x{pod=\"a-1\"}, \"both\", \"/\", \"pod\", \"pod\")",
                "x{both=\"a-1/a-1\", pod=\"a-1\"} -2.5",
            ),
        ],
    );
    check(&store, 12.5, &[("time()", "12.5")]);
}

#[test]
fn quantiles_of_histograms() {
    let store = store(&[
        "h_bucket le=1 pod=a: 10",
        "h_bucket le=5 pod=a: 30",
        "h_bucket le=+Inf pod=a: 40",
        "open_bucket le=1: 10",
        "open_bucket le=5: 30",
        "empty_bucket le=1: 0",
        "empty_bucket le=+Inf: 0",
        "below_bucket le=-1: 5",
        "below_bucket le=+Inf: 10",
        "falls_bucket le=1: 10",
        "falls_bucket le=2: 8",
        "falls_bucket le=+Inf: 20",
        "alone_bucket le=+Inf: 3",
    ]);
    check(
        &store,
        0.0,
        &[
            // Rank 20 of 40 is the tenth of the twenty between 1 and 5.
            ("histogram_quantile(0.5, h_bucket)", "{pod=\"a\"} 3"),
            // The first bucket begins at zero.
            ("histogram_quantile(0.125, h_bucket)", "{pod=\"a\"} 0.5"),
            // In the bucket without end: the highest edge there is.
            ("histogram_quantile(0.9, h_bucket)", "{pod=\"a\"} 5"),
            ("histogram_quantile(1.1, h_bucket)", "{pod=\"a\"} inf"),
            ("histogram_quantile(-0.1, h_bucket)", "{pod=\"a\"} -inf"),
            ("histogram_quantile(NaN, h_bucket)", "{pod=\"a\"} NaN"),
            ("histogram_quantile(0.5, sum by (le) (h_bucket))", "{} 3"),
            ("histogram_quantile(0.5, open_bucket)", "{} NaN"),
            ("histogram_quantile(0.5, empty_bucket)", "{} NaN"),
            ("histogram_quantile(0.5, alone_bucket)", "{} NaN"),
            ("histogram_quantile(0.4, below_bucket)", "{} -1"),
            // A count that falls is taken as the one before it.
            ("histogram_quantile(0.5, falls_bucket)", "{} 1"),
            ("histogram_quantile(0.75, falls_bucket)", "{} 2"),
            ("histogram_quantile(0.5, missing_bucket)", "nothing"),
        ],
    );
}

#[test]
fn what_a_query_says_of_itself() {
    let query: Query =
        "histogram_quantile(0.99, sum by (le) (rate(a_bucket{x=\"y\"}[30s] offset 5s))) / rate(b[1m]) > 3"
            .parse()
            .unwrap();
    let metrics: Vec<_> = query.metrics().iter().filter_map(|selector| selector.metric()).collect();
    assert_eq!(metrics, ["a_bucket", "b"]);
    assert_eq!(query.longest_range(), Some(std::time::Duration::from_secs(60)));
    let quantiles = query.histogram_quantiles();
    assert_eq!(quantiles.len(), 1);
    assert_eq!(quantiles[0].0, 0.99);
    assert_eq!(quantiles[0].1[0].to_string(), "a_bucket{x=\"y\"} offset 5s");
    assert!(!query.is_constant() && Query::parse("vector(0) < 1").unwrap().is_constant());
}

#[test]
fn samples_behind_a_value_are_counted() {
    let store = store(&["x pod=a: 1 2 3", "x pod=b: 1 2 stale"]);
    for (text, expected) in [("sum(x)", 1), ("sum(rate(x[1m]))", 5), ("vector(1)", 0), ("x / rate(x[1m])", 6)]
    {
        assert_eq!(Query::parse(text).unwrap().samples(&store, 20_000), expected, "{text}");
    }
}
