//! Apps that never become ready: `up` says which pod, why, and what the app said last, and leaves nothing.

use std::time::Duration;

use crate::bed::{AFTERLIFE, Bed, cannot_run};
use crate::until::until;

pub const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: ill, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: ledger, namespace: ill}
spec:
  selector: {app: ledger}
  ports: [{name: http, port: 18080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ledger, namespace: ill}
spec:
  selector: {matchLabels: {app: ledger}}
  template:
    metadata: {labels: {app: ledger}}
    spec:
      containers:
        - name: ledger
          image: ledger:1
          ports: [{name: http, containerPort: 18080}]
          readinessProbe: {httpGet: {path: /READY, port: 18080}, periodSeconds: 1}
"#;

/// What `up` says of a world whose one app is this script.
fn up(script: &str) -> (Bed, String) {
    let bed = Bed::new();
    bed.write("ill/objects.yaml", OBJECTS);
    bed.write("ill/kustomization.yaml", "resources: [objects.yaml]\n");
    let world = format!(
        "apiVersion: meshquake/v1\nkind: World\nabout: One ill app.\n\
         images:\n  ledger:1:\n    command:\n      - /bin/sh\n      - -c\n      - {}\n",
        serde_json::to_string(script).expect("a string")
    );
    bed.write("ill/world.yaml", &world);
    let mut child = bed
        .meshquake(&["up", "./ill"])
        .current_dir(bed.path(""))
        .stderr(std::fs::File::create(bed.path("told")).expect("a file"))
        .spawn()
        .expect("the program starts");
    let said = || std::fs::read_to_string(bed.path("told")).unwrap_or_default();
    // The world's own limit is a minute.
    let status = until("an end of `up`", Duration::from_secs(90), || {
        child.try_wait().expect("a child can be waited for").ok_or_else(said)
    });
    let told = said();
    assert_eq!(status.code(), Some(21), "{told}");
    bed.only_left(&[], AFTERLIFE);
    (bed, told)
}

fn says(told: &str, parts: &[&str]) {
    for part in parts {
        assert!(told.contains(part), "no {part:?} in:\n{told}");
    }
}

#[test]
fn an_app_that_dies_at_start() {
    if cannot_run() {
        return;
    }
    let (_bed, told) = up("echo 'cannot open the ledger'; exit 3");
    says(&told, &["pod ledger-", "3", "cannot open the ledger"]);
    assert_eq!(told.matches("cannot open the ledger").count(), 1, "told once: {told}");
    assert!(!told.contains("istio-proxy"), "what the sidecar lacks is no news: {told}");
}

#[test]
fn an_app_that_never_gets_ready() {
    if cannot_run() {
        return;
    }
    let (_bed, told) = up("echo 'waiting for the bank'; while :; do sleep 1; done");
    says(&told, &["pod ledger-", "waiting for the bank"]);
}

#[test]
fn an_app_that_listens_where_nobody_looks() {
    if cannot_run() {
        return;
    }
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return;
    }
    let (_bed, told) = up("exec python3 -m http.server 18080 --bind 127.0.0.1");
    says(&told, &["pod ledger-", "the app listens on 127.0.0.1:18080", "$BIND_IP", "will not come about"]);
}

#[test]
fn an_app_that_wants_every_address() {
    if cannot_run() {
        return;
    }
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return;
    }
    let (_bed, told) = up("exec python3 -m http.server 18080 --bind 0.0.0.0");
    says(&told, &["pod ledger-", "$BIND_IP"]);
}
