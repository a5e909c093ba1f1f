//! What tells why on a cluster, written into the run's folder before anything is cleaned: pods, events, logs (those
//! before a restart too), sidecars' configuration and statistics, and what Istio's own analysis finds.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use serde_json::{Value, json};

use super::ground::Ground;
use super::proxies::{self, Whose};
use super::world::RUN;
use crate::event::Collected;

/// A log can be long, and the folder is meant to be passed on.
const LARGEST_LOG: i64 = 1 << 20;
/// So many lines stand in the report as well.
const TAIL: usize = 20;
const ANALYSIS: Duration = Duration::from_secs(20);

pub async fn collect(ground: &Ground, whose: &Whose, folder: &Path) -> Vec<Collected> {
    let mut keeper = Keeper { folder, kept: vec![] };
    for namespace in &whose.namespaces {
        objects(ground, whose, namespace, &mut keeper).await;
    }
    sidecars(ground, whose, &mut keeper).await;
    analysis(ground, whose, &mut keeper).await;
    keeper.kept
}

struct Keeper<'f> {
    folder: &'f Path,
    kept: Vec<Collected>,
}

impl Keeper<'_> {
    fn keep(&mut self, name: &str, text: &str, what: &str, tail: Vec<String>) {
        let path = self.folder.join(name);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        match written {
            Ok(()) => self.kept.push(Collected { path: name.to_owned(), what: what.to_owned(), tail }),
            Err(error) => tracing::warn!(%error, name, "could not be kept"),
        }
    }
}

async fn objects(ground: &Ground, whose: &Whose, namespace: &str, keeper: &mut Keeper<'_>) {
    let client = || ground.client.clone();
    // In a namespace that was there before, others have theirs.
    let ours = ListParams::default().labels(&format!("{RUN}={}", whose.run));
    let deployments: Api<Deployment> = Api::namespaced(client(), namespace);
    let deployments = deployments.list(&ours).await.map(|list| json!(list.items)).unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(client(), namespace);
    let found = pods.list(&ours).await.map(|list| list.items).unwrap_or_default();
    let status = json!({"deployments": deployments, "pods": found});
    let text = serde_json::to_string_pretty(&without_env(status)).unwrap_or_default();
    keeper.keep(&format!("objects/{namespace}.json"), &text, "pods and Deployments as they were", vec![]);

    let events: Api<Event> = Api::namespaced(client(), namespace);
    let mut events = events.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
    events.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
    let lines = events.iter().map(line_of).collect::<Vec<_>>();
    let warnings = events.iter().filter(|event| event.type_.as_deref() == Some("Warning")).map(line_of);
    let warnings = warnings.collect::<Vec<_>>();
    let last = warnings[warnings.len().saturating_sub(TAIL)..].to_vec();
    keeper.keep(&format!("events/{namespace}.txt"), &lines.join("\n"), "events of the namespace", last);

    for pod in &found {
        logs(&pods, pod, keeper).await;
    }
}

fn line_of(event: &Event) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let at = event.last_timestamp.as_ref().map(|time| time.0.to_string()).unwrap_or_default();
    let object = &event.involved_object;
    let (kind, name, reason) = (text(&object.kind), text(&object.name), text(&event.reason));
    format!("{at} {} {kind}/{name} {reason}: {}", text(&event.type_), text(&event.message).trim())
}

async fn logs(pods: &Api<Pod>, pod: &Pod, keeper: &mut Keeper<'_>) {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    let init = status.init_container_statuses.into_iter().flatten();
    for container in init.chain(status.container_statuses.into_iter().flatten()) {
        // Those that only prepare and have done so well say nothing of interest.
        if container.name == "istio-init" && container.ready {
            continue;
        }
        let well = container.ready && container.restart_count == 0;
        for previous in [true, false] {
            if previous && container.restart_count == 0 {
                continue;
            }
            let params = LogParams {
                container: Some(container.name.clone()),
                previous,
                limit_bytes: Some(LARGEST_LOG),
                timestamps: true,
                ..LogParams::default()
            };
            let Ok(text) = pods.logs(&name, &params).await else { continue };
            let lines = text.lines().collect::<Vec<_>>();
            let last = lines[lines.len().saturating_sub(if well { 0 } else { TAIL })..].iter();
            let last = last.map(|line| (*line).to_owned()).collect();
            let (ending, what) = if previous { (".previous", "log before its restart") } else { ("", "log") };
            keeper.keep(&format!("logs/{name}.{}{ending}.log", container.name), &text, what, last);
        }
    }
}

async fn sidecars(ground: &Ground, whose: &Whose, keeper: &mut Keeper<'_>) {
    let live = proxies::live(&ground.client, whose).await.unwrap_or_default();
    for proxy in &live {
        let pod = &proxy.pod;
        let dumps = proxies::ask(&ground.client, std::slice::from_ref(proxy), "/config_dump").await;
        for (_, dump) in dumps.unwrap_or_default() {
            let text = serde_json::to_string_pretty(&without_secrets(dump)).unwrap_or_default();
            keeper.keep(
                &format!("sidecars/{pod}.config.json"),
                &text,
                "configuration of the sidecar",
                vec![],
            );
        }
        let Ok(stats) = proxy.admin(&ground.client).get("/stats", proxies::LIMIT).await else { continue };
        let stats = String::from_utf8_lossy(&stats);
        keeper.keep(&format!("sidecars/{pod}.stats.txt"), &stats, "statistics of the sidecar", vec![]);
    }
}

/// Certificates may be in it, keys never.
fn without_secrets(mut dump: Value) -> Value {
    if let Some(configs) = dump.get_mut("configs").and_then(Value::as_array_mut) {
        configs.retain(|config| !config["@type"].as_str().unwrap_or_default().ends_with("SecretsConfigDump"));
    }
    dump
}

/// The folder can be shared; what is written into environments often cannot.
fn without_env(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                let taken = std::mem::take(inner);
                *inner = if key == "env" { names_only(taken) } else { without_env(taken) };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_env(std::mem::take(item))),
        _ => {}
    }
    value
}

fn names_only(env: Value) -> Value {
    let names = env.as_array().into_iter().flatten().map(|variable| json!({"name": variable["name"]}));
    names.collect()
}

/// `istioctl analyze`, where it is installed.
async fn analysis(ground: &Ground, whose: &Whose, keeper: &mut Keeper<'_>) {
    for namespace in &whose.namespaces {
        let program = std::env::var_os("MESHQUAKE_ISTIOCTL").unwrap_or_else(|| "istioctl".into());
        let mut command = tokio::process::Command::new(program);
        command.args(["analyze", "--color=false", "-n", namespace, "--context", &ground.context]);
        if let Some(kubeconfig) = &ground.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        // Not installed, or too slow: the rest tells as well.
        let Ok(Ok(said)) = tokio::time::timeout(ANALYSIS, command.output()).await else { return };
        let text =
            format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        let found = text.lines().filter(|line| line.starts_with("Error") || line.starts_with("Warning"));
        let found = found.take(TAIL).map(str::to_owned).collect();
        keeper.keep(&format!("istio/{namespace}.analyze.txt"), &text, "istioctl analyze", found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_are_kept_by_name_only() {
        let pod =
            json!({"spec": {"containers": [{"name": "a", "env": [{"name": "TOKEN", "value": "secret"}]}]}});
        let kept = without_env(pod).to_string();
        assert!(kept.contains("TOKEN") && !kept.contains("secret"), "{kept}");
    }
}
