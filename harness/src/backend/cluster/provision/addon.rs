//! Our Prometheus in a cluster that we make: the plain file of `kind/addons/`, with what only the settings know put into
//! its configuration, the rules by which labels are taken apart.
//!
//! It is for a second opinion only, so what goes wrong with it is told and stands in nobody's way.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::Api;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::load::Loader;
use super::{Tell, manifests};
use crate::backend::cluster::settings::Relabel;
use crate::error::chain;
use crate::wait::{self, Seen};
use crate::yaml;

const FILE: &str = "kind/addons/prometheus.yaml";
const TEXT: &str = include_str!("../../../../../kind/addons/prometheus.yaml");
const NAMESPACE: &str = "meshquake-addons";
const NAME: &str = "prometheus";
const CONFIG: &str = "prometheus.yml";
/// On the pod, so that another configuration makes another pod.
const DIGEST: &str = "meshquake.dev/config";
/// What is for a second opinion only is not waited for longer, even if its image is still being pulled.
const LIMIT: Duration = Duration::from_secs(30);

/// Sees to it that it runs with these rules; says what is wrong where it does not.
pub async fn put(
    client: &Client,
    loader: &Loader,
    lock: &std::fs::File,
    rules: &[Relabel],
    tell: Tell<'_>,
) -> Result<(), String> {
    let (objects, digest) = objects(rules)?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    if let Ok(Some(found)) = deployments.get_opt(NAME).await
        && runs(&found, &digest)
    {
        return Ok(());
    }
    tell("putting Prometheus into the cluster".to_owned());
    let present = loader.present().await;
    for image in objects.iter().flat_map(images) {
        loader.bring(image, &present, Some(lock), tell).await.map_err(|error| chain(&error))?;
    }
    for object in objects {
        manifests::object(client, Path::new(FILE), object).await.map_err(|error| chain(&error))?;
    }
    let what = format!("Deployment {NAMESPACE}/{NAME} ready");
    let ready = wait::until(what, LIMIT, async || match deployments.get(NAME).await {
        Ok(found) if runs(&found, &digest) => Seen::Done(()),
        Ok(found) => Seen::NotYet(state(&found)),
        Err(error) => Seen::NotYet(chain(&error)),
    });
    ready.await.map_err(|error| error.to_string())
}

/// What the file holds, with these rules in its configuration, and a digest of that.
fn objects(rules: &[Relabel]) -> Result<(Vec<Value>, String), String> {
    let documents = yaml::parse(TEXT, FILE).map_err(|problems| crate::problem::plain(&problems))?;
    let mut objects: Vec<Value> = documents.iter().map(yaml::Node::to_json).collect();
    let rules: Vec<Value> = rules.iter().map(Relabel::to_prometheus).collect();
    let mut digest = Sha256::new();
    for object in &mut objects {
        if let Some(text) = object["data"][CONFIG].as_str() {
            let config = configuration(text, &rules)?;
            digest.update(&config);
            object["data"][CONFIG] = json!(config);
        }
    }
    let digest: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    for object in objects.iter_mut().filter(|object| object["kind"] == "Deployment") {
        object["spec"]["template"]["metadata"]["annotations"] = json!({DIGEST: digest});
    }
    Ok((objects, digest))
}

/// The rules come last, as ours are applied to names that are Istio's already. JSON is YAML.
fn configuration(text: &str, rules: &[Value]) -> Result<String, String> {
    let documents = yaml::parse(text, FILE).map_err(|problems| crate::problem::plain(&problems))?;
    let mut config = documents.first().map(yaml::Node::to_json).unwrap_or_default();
    for job in config["scrape_configs"].as_array_mut().into_iter().flatten() {
        if !job["metric_relabel_configs"].is_array() {
            job["metric_relabel_configs"] = json!([]);
        }
        job["metric_relabel_configs"].as_array_mut().into_iter().for_each(|all| all.extend_from_slice(rules));
    }
    serde_json::to_string_pretty(&config).map_err(|error| error.to_string())
}

fn images(object: &Value) -> impl Iterator<Item = &str> {
    let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    containers.into_iter().flatten().filter_map(|container| container["image"].as_str())
}

/// Whether the pod of this configuration is ready, and no older one is left.
fn runs(deployment: &Deployment, digest: &str) -> bool {
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let annotations = template.and_then(|metadata| metadata.annotations.as_ref());
    let status = deployment.status.clone().unwrap_or_default();
    annotations.and_then(|all| all.get(DIGEST)).is_some_and(|found| found == digest)
        && status.observed_generation == deployment.metadata.generation
        && [status.replicas, status.updated_replicas, status.ready_replicas] == [Some(1); 3]
}

fn state(deployment: &Deployment) -> String {
    let status = deployment.status.clone().unwrap_or_default();
    let count = |number: Option<i32>| number.unwrap_or(0);
    format!(
        "{} pods, {} of them of this configuration, {} ready",
        count(status.replicas),
        count(status.updated_replicas),
        count(status.ready_replicas)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_settings_come_after_the_files_own() {
        let rule = Relabel::new(&["raw"], "([^;]*);.*", "destination_workload", "$1").expect("a rule");
        let (with, digest) = objects(&[rule]).expect("the file is whole");
        let config = with.iter().find_map(|object| object["data"][CONFIG].as_str()).expect("a configuration");
        let config: Value = serde_json::from_str(config).expect("JSON");
        let rules = config["scrape_configs"][0]["metric_relabel_configs"].as_array().expect("rules");
        assert_eq!(rules[0]["target_label"], "__name__", "names are Istio's before");
        assert_eq!(
            *rules.last().expect("ours"),
            json!({"source_labels": ["raw"], "separator": ";", "regex": "([^;]*);.*",
                "target_label": "destination_workload", "replacement": "$1", "action": "replace"})
        );
        assert_eq!(config["global"]["scrape_interval"], "1s");
        let (_, without) = objects(&[]).expect("the file is whole");
        assert_ne!(digest, without, "another configuration makes another pod");
    }

    #[test]
    fn it_is_the_one_that_a_run_looks_for() {
        let (objects, _) = objects(&[]).expect("the file is whole");
        let service = objects.iter().find(|object| object["kind"] == "Service").expect("a Service");
        assert_eq!(service["metadata"]["labels"]["meshquake.dev/prometheus"], "true");
        assert_eq!(objects.iter().flat_map(images).count(), 1, "one image has to be there");
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
        assert_eq!(deployment["metadata"]["namespace"], NAMESPACE);
        assert_eq!(deployment["metadata"]["name"], NAME);
    }
}
