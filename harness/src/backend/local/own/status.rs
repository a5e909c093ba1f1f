//! What a world looks like at this moment, for people and for the harness.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Own;
use crate::backend::local::deployment::{is_ending, is_ready};
use crate::backend::local::kubelet::env::chaos_socket;
use crate::backend::local::kubelet::{ASTRAY, SIDECAR};
use crate::backend::local::mesh::{APP_ADDRESS, is_gateway, labels, node_of};
use crate::backend::local::site::Site;
use crate::backend::local::store::Entry;
use crate::backend::local::store::kind::{DEPLOYMENT, POD};
use crate::world::{SCRAPE, may_be_read};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub run: String,
    pub world: String,
    pub version: String,
    pub supervisor: u32,
    /// R of 127.R.0.0/16.
    pub slice: u8,
    pub ending: bool,
    /// Port of the gateway to the addresses under which it can be called.
    pub urls: BTreeMap<u16, Vec<String>>,
    pub remarks: Vec<String>,
    pub logs: PathBuf,
    pub deployments: Vec<Deployment>,
    pub pods: Vec<Pod>,
    pub resource_version: u64,
    /// What sidecars refuse at present, for people.
    pub refused: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deployment {
    pub namespace: String,
    pub name: String,
    pub wanted: u64,
    /// Ready pods of the current template.
    pub ready: u64,
    /// No pod of an older template is left.
    pub complete: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub ready: bool,
    pub ending: bool,
    /// Why it is not ready.
    pub why: String,
    /// It will not become ready by itself soon: its app dies at start or cannot be started.
    pub hopeless: bool,
    pub address: Option<String>,
    pub app_pid: Option<u32>,
    pub sidecar_pid: Option<u32>,
    pub app_restarts: u64,
    pub sidecar_restarts: u64,
    pub gateway: bool,
}

/// Where the metrics of a pod are.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Target {
    pub namespace: String,
    pub pod: String,
    pub labels: BTreeMap<String, String>,
    pub ready: bool,
    pub gateway: bool,
    pub address: String,
    /// Whether its metrics may be read: its author can say that nobody should.
    pub scraped: bool,
    /// The Unix socket of the Envoy's admin interface: `/stats/prometheus`.
    pub admin: Option<PathBuf>,
    /// Where the app shows its metrics, by the usual annotations.
    pub app: Option<String>,
    /// The Unix socket of the app's chaos switch.
    pub chaos: Option<PathBuf>,
}

pub fn of(own: &Own) -> Status {
    let site = &own.site;
    let deployments = site.store.all(&DEPLOYMENT);
    let pods = site.store.all(&POD);
    let refused = site.mesh.as_ref().map(|mesh| mesh.ads.nacks()).unwrap_or_default();
    Status {
        run: site.run.clone(),
        world: own.world.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        supervisor: std::process::id(),
        slice: site.slice.number(),
        ending: site.stop.is_cancelled(),
        urls: own.urls.clone(),
        remarks: own.remarks.clone(),
        logs: site.logs.clone(),
        deployments: deployments.iter().map(|entry| deployment(entry)).collect(),
        pods: pods.iter().map(|entry| pod(entry)).collect(),
        resource_version: site.store.version(),
        refused: refused.iter().map(ToString::to_string).collect(),
    }
}

fn deployment(entry: &Entry) -> Deployment {
    let (spec, status) = (&entry.value()["spec"], &entry.value()["status"]);
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let updated = number(&status["updatedReplicas"]);
    let current = status["observedGeneration"] == entry.value()["metadata"]["generation"];
    Deployment {
        namespace: entry.object.namespace().to_owned(),
        name: entry.object.name().to_owned(),
        wanted: number(&spec["replicas"]),
        ready: if current { number(&status["readyReplicas"]).min(updated) } else { 0 },
        complete: current && updated == number(&status["replicas"]) && updated == number(&spec["replicas"]),
    }
}

fn pod(entry: &Entry) -> Pod {
    let status = &entry.value()["status"];
    let container = |sidecar: bool| {
        let all = status["containerStatuses"].as_array().into_iter().flatten();
        all.into_iter().find(|c| (c["name"] == SIDECAR) == sidecar).unwrap_or(&Value::Null)
    };
    let pid = |container: &Value| container["containerID"].as_str()?.strip_prefix("process://")?.parse().ok();
    let (app, sidecar) = (container(false), container(true));
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let ready = conditions.into_iter().find(|c| c["type"] == "Ready");
    let why = ready.map_or(&status["message"], |c| &c["message"]);
    let waiting = app["state"]["waiting"]["reason"].as_str().unwrap_or_default();
    Pod {
        namespace: entry.object.namespace().to_owned(),
        name: entry.object.name().to_owned(),
        ready: is_ready(entry.value()),
        ending: is_ending(entry),
        why: why.as_str().unwrap_or_default().to_owned(),
        hopeless: matches!(waiting, "CrashLoopBackOff" | "CreateContainerError")
            || ready.is_some_and(|c| c["reason"] == ASTRAY)
            || status["phase"] == "Failed",
        address: status["podIP"].as_str().map(str::to_owned),
        app_pid: pid(app),
        sidecar_pid: pid(sidecar),
        app_restarts: app["restartCount"].as_u64().unwrap_or(0),
        sidecar_restarts: sidecar["restartCount"].as_u64().unwrap_or(0),
        gateway: is_gateway(entry),
    }
}

/// Whether a pod's sidecar runs and has been ready.
pub fn has_live_sidecar(entry: &Entry) -> bool {
    let all = entry.value()["status"]["containerStatuses"].as_array().into_iter().flatten();
    all.into_iter().any(|container| container["name"] == SIDECAR && container["ready"] == true)
}

pub fn targets(site: &Site) -> Vec<Target> {
    let pods = site.store.all(&POD);
    pods.iter().filter_map(|entry| target(site, entry)).collect()
}

fn target(site: &Site, entry: &Entry) -> Option<Target> {
    let value = entry.value();
    let annotation = |name: &str| value["metadata"]["annotations"][name].as_str();
    let app_address = annotation(APP_ADDRESS)?;
    let folder = site.pod_folder(app_address.parse().ok()?);
    let app = (annotation(SCRAPE) == Some("true")).then(|| {
        let port = annotation("prometheus.io/port").unwrap_or("80");
        format!("http://{app_address}:{port}{}", annotation("prometheus.io/path").unwrap_or("/metrics"))
    });
    Some(Target {
        namespace: entry.object.namespace().to_owned(),
        pod: entry.object.name().to_owned(),
        labels: labels(value),
        ready: is_ready(value),
        gateway: is_gateway(entry),
        scraped: may_be_read(annotation(SCRAPE)),
        address: value["status"]["podIP"].as_str()?.to_owned(),
        admin: site.mesh.is_some().then(|| folder.join("admin.sock")),
        app,
        chaos: chaos_socket(value, &folder),
    })
    .filter(|_| node_of(entry).is_some())
}
