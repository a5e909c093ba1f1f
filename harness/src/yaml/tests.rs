use std::time::Duration;

use meshquake_xds::source::Problems;

use super::{Fields, Node, Value, parse};

fn one(text: &str) -> Node {
    let mut documents = parse(text, "t.yaml").expect("the text is good");
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// Every problem on a line: place, title, allowed, help.
fn told(problems: &Problems) -> String {
    let mut lines = String::new();
    for problem in &problems.0 {
        lines.push_str(&format!("{}: {}", problem.place, problem.title));
        for (name, text) in
            [("found", &problem.found), ("allowed", &problem.allowed), ("help", &problem.help)]
        {
            if let Some(text) = text {
                lines.push_str(&format!(" | {name}: {text}"));
            }
        }
        lines.push('\n');
    }
    lines
}

#[test]
fn values_have_types_and_places() {
    let node = one(
        "a: 1\nb:\n  - x\n  - {c: 1.5, d: true}\ne: '1'\nf: |\n  two\n  lines\ng:\nh: 0x1f\ni: -3\nj: 1e3\nk: a1\n",
    );
    let json = node.to_json();
    assert_eq!(
        json,
        serde_json::json!({"a": 1, "b": ["x", {"c": 1.5, "d": true}], "e": "1", "f": "two\nlines\n", "g": null,
            "h": 31, "i": -3, "j": 1000.0, "k": "a1"})
    );
    let object = node.to_object();
    assert_eq!(object.place("/b").line, 2);
    assert_eq!(object.place("/b/1/d").line, 4);
    assert_eq!(object.place("/f").line, 6);
    assert_eq!(object.place("/nothing/like/it").line, 1);
}

#[test]
fn documents_are_separate_and_empty_ones_left_out() {
    let documents = parse("---\na: 1\n---\n---\n# nothing\n---\nb: 2\n", "t.yaml").expect("good");
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[1].place.line, 7);
}

#[test]
fn aliases_and_merge_keys_repeat_what_was_written() {
    let node = one("base: &b {x: 1, y: 2}\nother: *b\nmore:\n  <<: *b\n  y: 3\n");
    assert_eq!(node.to_json()["other"], serde_json::json!({"x": 1, "y": 2}));
    assert_eq!(node.to_json()["more"], serde_json::json!({"y": 3, "x": 1}));
}

#[test]
fn every_document_tells_its_problems() {
    let text = "a: 1\na: 2\nb: yes\nc: 0777\nd: !!str x\n---\n\tkey: 1\n---\nopen: [1, 2\n---\nx: *nobody\n---\nn: 99999999999999999999\n";
    let problems = parse(text, "t.yaml").expect_err("the text is bad");
    insta::assert_snapshot!(told(&problems));
}

#[test]
fn nine_lines_cannot_become_a_billion_values() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let previous = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", [previous.as_str(); 10].join(", ")));
    }
    let problems = parse(&text, "t.yaml").expect_err("far too large");
    assert_eq!(told(&problems), "t.yaml:6: the document has more than 200000 values\n");
}

#[test]
fn depth_and_self_reference_have_an_end() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(told(&parse(&deep, "t.yaml").expect_err("too deep")).contains("more than 64 lists or maps"));
    let own = parse("a: &a [*a]\n", "t.yaml").expect_err("endless");
    assert_eq!(told(&own), "t.yaml:1: an alias stands inside of what it stands for\n");
}

#[test]
fn units_are_read() {
    let node = one("[250ms, 1m30s, 1.5s, 0s, 99.9%, 100%, 100/s, 600/m]");
    let items = node.as_list().expect("a list");
    let problems = &mut Problems::default();
    assert_eq!(items[0].duration(problems), Some(Duration::from_millis(250)));
    assert_eq!(items[1].duration(problems), Some(Duration::from_secs(90)));
    assert_eq!(items[2].duration(problems), Some(Duration::from_millis(1500)));
    assert_eq!(items[3].duration(problems), Some(Duration::ZERO));
    assert_eq!(items[4].percent(problems), Some(0.999));
    assert_eq!(items[5].percent(problems), Some(1.0));
    assert_eq!(items[6].rate(problems), Some(100.0));
    assert_eq!(items[7].rate(problems), Some(10.0));
    assert!(problems.is_empty());
}

#[test]
fn a_wrong_unit_is_told_with_what_is_allowed() {
    let node = one("- 5\n- 5 seconds\n- 1s1m\n- 99.9\n- 101%\n- 100\n- 100/day\n- 0/s\n- true\n");
    let items = node.as_list().expect("a list");
    let mut problems = Problems::default();
    for item in &items[..3] {
        assert_eq!(item.duration(&mut problems), None);
    }
    for item in &items[3..5] {
        assert_eq!(item.percent(&mut problems), None);
    }
    for item in &items[5..] {
        assert_eq!(item.rate(&mut problems), None);
    }
    insta::assert_snapshot!(told(&problems));
}

#[test]
fn fields_are_read_strictly() {
    let node = one("name: x\nrate: 1/s\nusers: 3\nprotocl: http\nmode: fats\ncount: 70000\n");
    let mut problems = Problems::default();
    let mut fields = Fields::of(&node, "the load", &mut problems).expect("a map");
    assert_eq!(fields.required("name", &mut problems).and_then(|n| n.text(&mut problems)), Some("x"));
    assert!(fields.one_of(&["rate", "users"], &mut problems).is_none());
    assert!(fields.optional("protocol").is_none());
    assert!(fields.required("journey", &mut problems).is_none());
    let mode = fields.required("mode", &mut problems).expect("there");
    assert_eq!(mode.choice(&[("fast", 1), ("slow", 2)], &mut problems), None);
    assert_eq!(fields.optional("count").and_then(|n| n.integer(1..=65535, &mut problems)), None);
    fields.finish(&mut problems);
    insta::assert_snapshot!(told(&problems));
    assert!(Fields::of(&one("[1]"), "the load", &mut problems).is_none());
}

#[test]
fn crlf_and_a_byte_order_mark_do_no_harm() {
    let node = one("\u{feff}a: 1\r\nb: x\r\n");
    assert_eq!(node.get("b").map(|n| &n.value), Some(&Value::Text("x".to_owned())));
}
