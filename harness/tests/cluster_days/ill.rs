//! Worlds that cannot come up. Each is told early and by name, and the cluster is as before.

use meshquake::backend::objects::ObjectRef;
use serde_json::json;

use crate::site::{ILL, PATIENCE, Site};
use crate::until::until;

pub fn an_image_that_does_not_exist(site: &Site) {
    site.does_not_come_up(
        Some("no-image"),
        &["pod ill/web-", "ImagePullBackOff", "meshquake.invalid/none:1"],
    );
}

pub fn an_app_that_crashes(site: &Site) {
    // The app's own words tell why.
    site.does_not_come_up(Some("crashing"), &["container web ends again and again", "no-such-service"]);
}

pub fn a_quota_that_is_exceeded(site: &Site) {
    let label = |value| {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default",
            "labels": {"istio-injection": value}}})
    };
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none",
        "namespace": "default"}, "spec": {"hard": {"pods": "0"}}});
    let reference = ObjectRef::of(&quota);
    site.wait(site.objects().take_over(&label("enabled"))).expect("labelled");
    site.wait(site.objects().apply(&quota)).expect("a quota");
    until("the quota counted", PATIENCE, || {
        let status = site.get(&reference).unwrap_or_default()["status"].clone();
        if status["hard"]["pods"] == "0" { Ok(()) } else { Err(status.to_string()) }
    });
    site.does_not_come_up(Some("in-default"), &["Deployment default/web", "exceeded quota: none"]);
    let left = ["Service", "ServiceAccount", "Deployment", "VirtualService"].into_iter().filter(|kind| {
        let version = match *kind {
            "Deployment" => "apps/v1",
            "VirtualService" => "networking.istio.io/v1",
            _ => "v1",
        };
        site.get(&ObjectRef::new(version, kind, "default", "web")).is_some()
    });
    assert_eq!(left.collect::<Vec<_>>(), [""; 0], "the namespace stays, what was made in it goes");
    assert!(site.get(&reference).is_some(), "what others have made stays");
    site.delete(&reference);
    site.wait(site.objects().take_over(&label("disabled"))).expect("labelled");
}

pub fn a_policy_that_refuses(site: &Site) {
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "no-ill-worlds"},
        "spec": {"failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["deployments"]}]},
            "validations": [{"expression": "object.metadata.namespace != 'ill'", "message": "nobody is ill here"}]}});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "no-ill-worlds"},
        "spec": {"policyName": "no-ill-worlds", "validationActions": ["Deny"]}});
    for object in [&policy, &binding] {
        site.wait(site.objects().apply(object)).expect("applied");
    }
    // It takes the API server a moment to heed it, in which the world would come up.
    let probe = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ill"}});
    site.wait(site.objects().apply(&probe)).expect("a namespace");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "probe", "namespace": "ill"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "probe"}}, "template": {
            "metadata": {"labels": {"app": "probe"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}});
    until("the policy heeded", PATIENCE, || match site.wait(site.objects().create(&deployment)) {
        Err(_) => Ok(()),
        Ok(_) => {
            site.delete(&ObjectRef::of(&deployment));
            Err("it may still be made".to_owned())
        }
    });
    site.delete_namespace("ill");
    site.does_not_come_up(None, &["Deployment ill/web cannot be applied", "nobody is ill here"]);
    for object in [&binding, &policy] {
        site.delete(&ObjectRef::of(object));
    }
}

pub fn somebody_elses_namespace(site: &Site) {
    let theirs = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ill"}});
    let reference = ObjectRef::of(&theirs);
    // That of the test before may still be on its way out.
    until("gone", PATIENCE, || site.namespace("ill").map_or(Ok(()), |_| Err("it is terminating".to_owned())));
    site.wait(site.objects().apply(&theirs)).expect("a namespace");
    let before = site.get(&reference);
    site.does_not_come_up(None, &["somebody else has made objects of these names", "Namespace ill"]);
    let labels = |found: Option<serde_json::Value>| found.map(|found| found["metadata"]["labels"].clone());
    assert_eq!(labels(site.get(&reference)), labels(before), "it was left alone");
    site.delete_namespace("ill");
}

pub fn a_world_that_is_up_already(site: &Site) {
    let told = site.ends(&["up", ILL, "--json"], 0);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let run = told["run"].as_str().expect("an id");
    let said = String::from_utf8_lossy(&site.ends(&["up", ILL], 21).stderr).into_owned();
    assert!(said.contains(&format!("`ill` is that of run `{run}`")), "{said}");
    let listed = site.ends(&["ls"], 0);
    assert!(String::from_utf8_lossy(&listed.stdout).contains(run), "the world that was up still is");
    let began = std::time::Instant::now();
    site.ends(&["down", "--run", run], 0);
    assert!(began.elapsed() < PATIENCE / 10, "down took {:?}", began.elapsed());
    site.no_world();
}
