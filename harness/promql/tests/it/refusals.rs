//! What is not evaluated is refused by name and place, when the query is read.

use meshquake_promql::{Query, Store};

#[test]
fn what_is_not_supported_is_named_with_its_place() {
    let table = [
        ("rate(x[5m:1m])", "subqueries are not supported (at byte 9)"),
        ("max_over_time(rate(x[5m])[10m:])", "subqueries are not supported (at byte 29)"),
        ("x @ 12", "the modifier `@` is not supported (at byte 2)"),
        ("sum(predict_linear(x[5m], 3))", "the function `predict_linear` is not supported (at byte 4)"),
        ("no_such(x)", "the function `no_such` is not supported (at byte 0)"),
        ("histogram_count(x)", "the function `histogram_count` is not supported (at byte 0)"),
        ("count_values(\"v\", x)", "the aggregation `count_values` is not supported (at byte 0)"),
        ("limitk(2, x)", "the aggregation `limitk` is not supported (at byte 0)"),
        ("x atan2 y", "the operator `atan2` is not supported (at byte 2)"),
        ("{a=\"b\" or c=\"d\"}", "`or` between matchers is not supported (at byte 7)"),
        ("x + fill (0) y", "the modifier `fill` is not supported (at byte 4)"),
        ("sum(x", "`(` is not closed (at byte 3)"),
        ("sum(x]", "`]` closes nothing (at byte 5)"),
        ("x{a=\"b}", "a string is not closed (at byte 4)"),
        ("x[1e300]", "`1e300` is too long for a duration (at byte 2)"),
        ("x offset inf", "`inf` is not a duration (at byte 9)"),
        ("rate(x[99999999999s])", "`99999999999s` is too long for a duration (at byte 7)"),
        ("x[5m]", "a range stands where no function takes it (at byte 1)"),
        ("rate(x)", "expected type matrix in call to function 'rate', got vector"),
        ("x{a=~\"(\"}", "illegal regex for ("),
        ("1 > 2", "comparisons between scalars must use BOOL modifier"),
        ("\"text\"", "a string stands where a value is needed"),
        ("ln(0)", "`0` is a scalar where a vector is needed"),
        ("1 + on () x", "`+` can match labels only between two vectors (at byte 2)"),
        ("", "no expression found in input"),
    ];
    for (text, expected) in table {
        let refused = Query::parse(text).expect_err(text);
        assert_eq!(refused.to_string(), expected, "{text}");
    }
}

#[test]
fn depth_has_a_limit_and_an_answer() {
    let brackets = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    assert!(Query::parse(&brackets).unwrap_err().to_string().starts_with("more than 64 brackets"));
    let chain = vec!["1"; 1000].join("+");
    assert!(Query::parse(&chain).unwrap_err().to_string().starts_with("more than 128 operators"));
    let longest = vec!["1"; 128].join("+");
    assert_eq!(Query::parse(&longest).unwrap().evaluate(&Store::new(), 0).unwrap().single(), Some(128.0));
    let minuses = format!("{}x", "-".repeat(4000));
    assert!(Query::parse(&minuses).is_err());
    let long = "x".repeat(20_000);
    assert!(Query::parse(&long).unwrap_err().to_string().contains("more than the 16384 allowed"));
}

#[test]
fn names_that_look_like_keywords_are_only_labels_in_lists() {
    for text in
        ["sum by (fill, anchored) (x)", "x / on (by, atan2) y", "sum without (rate) (x{offset=\"1\"})"]
    {
        assert!(Query::parse(text).is_ok() || Query::parse(text).unwrap_err().at.is_none(), "{text}");
    }
}
