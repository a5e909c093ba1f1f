//! What holds for any samples and any query.

use meshquake_promql::{Labels, Query, Sample, Store, Value};
use proptest::prelude::*;

/// Queries over the metrics x and y, grown from the inside.
fn query() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("x"), Just("y"), Just("{__name__=\"and\"}"), Just("{__name__=~\"x|y\"}")];
    let matchers = prop_oneof![
        Just(""),
        Just("{pod=\"a\"}"),
        Just("{pod!=\"a,\\\"}\\\\\"}"),
        Just("{pod=~\"a|b.*\",code!~\"5..\"}")
    ];
    let offset = prop_oneof![Just(""), Just(" offset 10s"), Just(" offset -1m30s")];
    let selector = (name, matchers).prop_map(|(name, matchers)| match name.strip_suffix('}') {
        Some(open) if !matchers.is_empty() => format!("{open},{}", &matchers[1..]),
        _ => format!("{name}{matchers}"),
    });
    let over =
        prop_oneof![Just("rate"), Just("increase"), Just("irate"), Just("delta"), Just("avg_over_time")];
    let range = prop_oneof![Just("10s"), Just("1m"), Just("1500ms"), Just("1d2h")];
    let leaf = prop_oneof![
        (selector.clone(), offset.clone()).prop_map(|(selector, offset)| format!("{selector}{offset}")),
        (over, selector, range, offset)
            .prop_map(|(over, selector, range, offset)| format!("{over}({selector}[{range}]{offset})")),
        prop_oneof![Just("vector(0)"), Just("vector(-1.5e3)"), Just("vector(Inf)"), Just("vector(time())")]
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 24, 2, |inner| {
        let operator = prop_oneof![
            Just("+"),
            Just("-"),
            Just("*"),
            Just("/ ignoring (pod)"),
            Just("% on (pod, code)"),
            Just("^"),
            Just("> bool"),
            Just("=="),
            Just("and"),
            Just("or on ()"),
            Just("unless ignoring (code)"),
            Just("* on (pod) group_left (code)"),
            Just("- ignoring (code) group_right ()")
        ];
        let aggregation = prop_oneof![
            Just("sum"),
            Just("sum by ()"),
            Just("avg by (pod)"),
            Just("count without ()"),
            Just("topk without (pod) (2"),
            Just("quantile(0.9")
        ];
        let wrapped = prop_oneof![
            Just("-_"),
            Just("(_)"),
            Just("+_"),
            Just("2 ^ _"),
            Just("-1 ^ -_"),
            Just("_ ^ -2"),
            Just("abs(_)"),
            Just("clamp(_, -1, 2)"),
            Just("scalar(_) + _"),
            Just("absent(_)"),
            Just("sort_desc(_)"),
            Just("histogram_quantile(0.5, _)"),
            Just("label_replace(_, \"pod\", \"$1\\\\\", \"code\", \"(.)\\\".*\\n\")"),
            Just("label_join(_, \"pod\", \"-\", \"code\", \"pod\")")
        ];
        prop_oneof![
            (inner.clone(), operator, inner.clone())
                .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            (aggregation, inner.clone()).prop_map(|(aggregation, inner)| {
                match aggregation.split_once(" (2") {
                    Some((name, _)) => format!("{name} (2, {inner})"),
                    None if aggregation.starts_with("quantile") => format!("{aggregation}, {inner})"),
                    None => format!("{aggregation} ({inner})"),
                }
            }),
            (wrapped, inner).prop_map(|(wrapped, inner)| wrapped.replace('_', &inner)),
        ]
    })
}

/// Counters for a few pods and codes: any values, so resets too.
fn counters() -> impl Strategy<Value = Store> {
    let series = proptest::collection::vec(proptest::collection::vec(0u32..1000, 0..12), 1..6);
    series.prop_map(|series| {
        let mut store = Store::new();
        for (number, values) in series.iter().enumerate() {
            let labels =
                Labels::named("x").with("pod", ["a", "b", "c"][number % 3]).with("code", &number.to_string());
            for (position, value) in values.iter().enumerate() {
                let at = 1000 * position as i64 + 137 * number as i64;
                store.append(&labels, Sample { at, value: f64::from(*value) }).expect("in order");
            }
        }
        store
    })
}

fn elements(store: &Store, text: &str, at: i64) -> Vec<(Labels, f64)> {
    let query = Query::parse(text).expect(text);
    match query.evaluate(store, at).expect(text) {
        Value::Vector(elements) => elements,
        Value::Scalar(value) => vec![(Labels::new(), value)],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_query_reads_back_from_its_own_text(text in query()) {
        // Some of what is generated is refused (an operator between kinds); what is not must survive.
        if let Ok(query) = Query::parse(&text) {
            let shown = query.to_string();
            let again = Query::parse(&shown);
            prop_assert_eq!(again.as_ref(), Ok(&query), "{} shown as {}", text, shown);
            prop_assert_eq!(again.unwrap().to_string(), shown);
        }
    }

    #[test]
    fn any_query_over_any_samples_gives_an_answer_or_an_error(text in query(), store in counters(), at in 0i64..15_000) {
        if let Ok(query) = Query::parse(&text) {
            let value = query.evaluate(&store, at);
            let bounds = query.bounds();
            prop_assert!(bounds.least <= bounds.greatest);
            // The samples are counters, so what the query promises of its values must be true.
            if let Ok(value) = value {
                for number in value.numbers().into_iter().filter(|number| !number.is_nan()) {
                    prop_assert!(bounds.least <= number && number <= bounds.greatest, "{number} outside {bounds:?}: {query}");
                }
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
        let _either = Query::parse(&text);
    }

    #[test]
    fn any_mix_of_words_is_read_or_refused(words in proptest::collection::vec(
        prop_oneof![
            Just("sum"), Just("("), Just(")"), Just("by"), Just("x"), Just("["), Just("]"), Just("5m"), Just(":"), Just("{"),
            Just("}"), Just("="), Just("\"a\""), Just("\"\\xe\""), Just("\"\\é\""), Just("\"\\777\""), Just(","), Just("offset"),
            Just("-"), Just("1e400"), Just("0x"), Just("0xffffffffffffffffff"), Just("inf"), Just("rate"), Just("@"), Just("on"),
            Just("group_left"), Just("bool"), Just(">"), Just("^"), Just("start"), Just("'"), Just("#"), Just("\n"), Just("or"),
        ], 0..14)) {
        let _either = Query::parse(&words.concat());
        let _spaced = Query::parse(&words.join(" "));
    }

    #[test]
    fn a_sum_is_the_sum_of_its_parts(store in counters(), at in 0i64..15_000) {
        let whole: f64 = elements(&store, "sum(rate(x[5s]))", at).iter().map(|(_, value)| value).sum();
        let parts: f64 = elements(&store, "sum by (pod) (rate(x[5s]))", at).iter().map(|(_, value)| value).sum();
        let leaves: f64 = elements(&store, "rate(x[5s])", at).iter().map(|(_, value)| value).sum();
        prop_assert!((whole - parts).abs() <= 1e-9 * whole.abs());
        prop_assert!((whole - leaves).abs() <= 1e-9 * whole.abs());
    }

    #[test]
    fn a_counter_never_shrinks(store in counters(), at in 0i64..15_000) {
        for function in ["rate", "increase", "irate"] {
            for (labels, value) in elements(&store, &format!("{function}(x[7s])"), at) {
                prop_assert!(value >= 0.0, "{function} of {labels} is {value}");
            }
        }
    }

    #[test]
    fn a_series_is_present_or_absent_and_never_both(store in counters(), at in 0i64..15_000) {
        for pod in ["a", "b", "z"] {
            let present = elements(&store, &format!("count(x{{pod=\"{pod}\"}})"), at).len();
            let absent = elements(&store, &format!("absent(x{{pod=\"{pod}\"}})"), at).len();
            prop_assert_eq!(present + absent, 1);
        }
    }
}
