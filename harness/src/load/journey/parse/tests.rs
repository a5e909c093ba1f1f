//! Journeys as people write them, good and bad.

use serde_json::json;

use super::*;

fn read(text: &str) -> Result<Journey, Problems> {
    let documents = yaml::parse(text, "journeys/order.yaml")?;
    let mut problems = Problems::default();
    let journey = journey(&documents[0], &mut problems);
    problems.into_result(())?;
    Ok(journey.expect("no problem, so a journey"))
}

fn problems(text: &str) -> String {
    let all = read(text).expect_err("problems").0;
    let line = |problem: &Problem| {
        let extra =
            [&problem.found, &problem.allowed, &problem.help].map(|part| part.as_deref().unwrap_or("-"));
        format!("{}: {} | {}", problem.place, problem.title, extra.join(" | "))
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

const ORDER: &str = r#"
apiVersion: meshquake/v1
kind: Journey
name: order
about: Sign in, order, look at it.
weight: 3
think: 5ms
variables:
  user: {int: [1, 1000]}
  item: {one-of: [apple, 7]}
steps:
  - name: sign-in
    post: /login/{user}
    body: '{"user": {user}}'
    headers: {Accept: text/plain}
    capture: {token: {header: x-token}, city: {regex: 'city=(\w+)'}}
  - name: order
    put: /orders?city={city}
    json: {item: "{item}", token: "{token}"}
    capture: {order: {json: /id}}
    check: {status: [200, 201], body: {json: {/state: new}}}
    think: 1s
    timeout: 2s
  - name: look
    get: /orders/{order}
    check: {status: 200, body: {one-of: [a, b]}}
"#;

#[test]
fn a_journey_with_everything_is_read_and_survives_the_wire() {
    let journey = read(ORDER).expect("valid");
    assert_eq!(
        (journey.name.as_str(), journey.weight, journey.think),
        ("order", 3, Duration::from_millis(5))
    );
    assert_eq!(journey.variables["item"], Draw::OneOf(vec![json!("apple"), json!(7)]));
    let [sign_in, order, look] = journey.steps.as_slice() else { panic!("{journey:?}") };
    assert_eq!((sign_in.method, order.method, look.method), (Method::Post, Method::Put, Method::Get));
    assert_eq!(sign_in.body, Some(Body::Text("{\"user\": {user}}".into())));
    assert_eq!(sign_in.headers.keys().collect::<Vec<_>>(), ["accept"]);
    assert_eq!(order.body, Some(Body::Json(json!({"item": "{item}", "token": "{token}"}))));
    assert_eq!(order.check.status, [200, 201]);
    assert_eq!((order.think, order.timeout), (Some(Duration::from_secs(1)), Some(Duration::from_secs(2))));
    assert_eq!(look.check.body, Some(BodyCheck::OneOf(vec!["a".into(), "b".into()])));
    let text = serde_json::to_string(&journey).expect("serialises");
    assert_eq!(serde_json::from_str::<Journey>(&text).expect("reads"), journey);
}

#[test]
fn all_problems_of_a_journey_are_told_at_once_with_their_lines() {
    insta::assert_snapshot!(problems(
        r#"
apiVersion: meshquake/v1
kind: Journey
name: two words
wieght: 3
think: 5
variables:
  user: {int: [9, 1]}
  item: {one-of: []}
  many: {int: [1, 2], one-of: [1]}
steps:
  - name: a
    get: orders/{usr}
    body: x
    json: {}
    capture: {id: {json: id}, it: {xml: /id}}
    check: {status: 99, body: {regex: '('}}
    timeout: 0s
  - name: a
    get: /
    post: /
    headers: {"a b": c}
  - name: b
"#
    ));
}

#[test]
fn a_capture_is_known_only_after_its_step() {
    let text = problems(
        "{apiVersion: meshquake/v1, kind: Journey, name: j, variables: {it: {int: [1, 2]}}, steps: [\
         {name: a, get: '/{id}', capture: {id: {json: /id}}}, {name: b, get: '/{id}'}]}",
    );
    assert_eq!(
        text,
        "journeys/order.yaml:1: nothing fills the placeholder `{id}` | - | `{it}` | did you mean `{it}`?"
    );
}

#[test]
fn a_folder_is_read_in_the_order_of_names_and_a_name_is_taken_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |file: &str, name: &str| {
        let text =
            format!("apiVersion: meshquake/v1\nkind: Journey\nname: {name}\nsteps: [{{name: s, get: /}}]\n");
        std::fs::write(dir.path().join(file), text).expect("written");
    };
    write("1.yaml", "zebra");
    write("2.yml", "ant");
    std::fs::write(dir.path().join("README.md"), "not a journey").expect("written");
    let journeys = Journeys::load(dir.path(), "journeys").expect("valid");
    assert_eq!(journeys.0.iter().map(|journey| journey.name.as_str()).collect::<Vec<_>>(), ["ant", "zebra"]);
    assert_eq!(journeys.get("ant").map(|journey| journey.weight), Ok(1));
    assert_eq!(journeys.get("zebr"), Err("unknown journey `zebr`; did you mean `zebra`?".into()));
    assert_eq!(journeys.get("x"), Err("unknown journey `x`; journeys are ant, zebra".into()));
    write("3.yaml", "ant");
    let problems = Journeys::load(dir.path(), "journeys").expect_err("twice");
    assert_eq!(problems.0.len(), 1);
    assert_eq!(problems.to_string(), "journeys/3.yaml:1: there is another journey `ant`\n");
    assert!(Journeys::load(&dir.path().join("none"), "none").is_err());
}

#[test]
fn the_journeys_of_the_repository_are_valid() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../services/deploy/pinning/journeys");
    let journeys = Journeys::load(Path::new(dir), "journeys").expect("valid");
    assert!(journeys.get("chain").is_ok(), "{journeys:?}");
}
