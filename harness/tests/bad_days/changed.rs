//! Changes of a world that is up which do not go as meant: the person is told what happened, with the line.

use crate::bed::{AFTERLIFE, Bed, beside_others, cannot_run};
use crate::support::said;

/// The routes to the last service, with an expression in the tenth line.
fn routes(expression: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: microservice-c-routing, namespace: pinning}}
spec:
  hosts: [microservice-c]
  http:
    - name: plain
      match: [{{uri: {{prefix: /plain}}}}]
      route: [{{destination: {{host: microservice-c}}}}]
    - match: [{{uri: {{regex: '{expression}'}}}}]
      route: [{{destination: {{host: microservice-c}}}}]
    - match: [{{sourceLabels: {{version: v1}}}}]
      route: [{{destination: {{host: microservice-c, subset: v1}}}}]
    - route: [{{destination: {{host: microservice-c, subset: v2}}}}]
"
    )
}

#[test]
fn what_envoy_refuses_is_told_in_its_words_and_with_the_line() {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let bed = Bed::new();
    let world = bed.up();
    let apply = |expression: &str, exit| {
        let file = bed.write("routes.yaml", &routes(expression));
        let file = file.to_str().expect("UTF-8");
        said(&bed.ends(&["apply", "--force", "-f", file], exit)).replace(file, "routes.yaml")
    };
    // Only RE2 has this limit, so no check before it can know.
    let told = apply("/a{1,2000}", 1);
    assert!(told.contains("invalid repetition size: {1,2000}"), "{told}");
    assert_eq!(told.matches("route `8080` comes from routes.yaml:10\n").count(), 1, "{told}");

    // Envoy's own limit would refuse it; Istio's does not.
    apply("/a{1,900}", 0);
    world.answers_well(3);
    bed.ends(&["down"], 0);
    bed.only_left(&[], AFTERLIFE);
}

#[test]
fn what_was_not_there_to_delete_is_told() {
    if cannot_run() {
        return;
    }
    let _shared = beside_others();
    let bed = Bed::new();
    let world = bed.up();
    let file = bed.write("routes.yaml", &routes("/a"));
    let delete = ["apply", "--delete", "-f", file.to_str().expect("UTF-8")];
    let title = "VirtualService pinning/microservice-c-routing";
    let told = said(&bed.ends(&delete, 0));
    assert!(told.contains(&format!("deleted {title}")), "{told}");
    let told = said(&bed.ends(&delete, 0));
    assert!(told.contains(&format!("{title} was not there")) && !told.contains("deleted"), "{told}");
    bed.ends(&["down", "--run", &world.id], 0);
    bed.only_left(&[], AFTERLIFE);
}
