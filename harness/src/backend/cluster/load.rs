//! Load workers inside the cluster: an indexed Job, one pod a worker, which enters by the gateway as everybody does.
//!
//! ```text
//! plan, start, stop ──attach, a line at a time──► stdin  ┐
//!                                                        worker (pod) ──► gateway
//! a report each second ◄──────── its log, followed ───── stdout ┘
//! ```
//!
//! The log is what Kubernetes keeps anyway: people can read it meanwhile, and after a break of the connection it is read
//! again from where it was left.
//!
//! The pods have no sidecar, also where everything else gets one (hazard H-16). Not only because a Job under a classic one
//! never ends, which a native one would cure: a sidecar would repeat requests that have failed, so that the load would
//! not see what users see, would put its own series beside the world's, and would take part of the worker's processor.
//! STRICT keeps such a pod out of the mesh, so it enters where users do, by the gateway.

mod lines;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _, LocalBoxFuture};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodStatus, Service, ServicePort};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::lines::{carry, follow};
use super::converged::Gateway;
use super::{state, world};
use crate::error::chain;
use crate::load::{Ear, Error, Host, Hosted};
use crate::wait::{self, Seen};
use crate::world::{Build, Image, build};

pub const NAME: &str = "load-test";
/// On the workers' pods, which are no part of the world.
pub const WORKER: &str = "meshquake.dev/load-worker";
/// What a worker asks of its node's processors. Without it the pod is of the class that gets what all others leave, and
/// each push of a configuration makes the load late by hundreds of milliseconds.
const SHARE: &str = "200m";
/// Until all pods run: the image is there already, so this is scheduling and starting.
const RUNNING: Duration = Duration::from_secs(60);
/// Until the Job has seen that its workers have ended, which is no more than an entry in its status.
const COMPLETE: Duration = Duration::from_secs(10);
/// How long a worker may say nothing: an API server that is gone for a while is no fault of the load.
const SILENCE: Duration = Duration::from_secs(30);
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// What the Job is made from.
#[derive(Clone)]
pub struct Workers {
    pub client: kube::Client,
    pub run: String,
    pub namespace: String,
    /// The image of meshquake itself.
    pub image: String,
}

/// The image of meshquake itself.
pub const IMAGE: &str = "meshquake/meshquake:dev";
const PACKAGE: &str = "meshquake";

/// Whether meshquake is built as a world's images are: where it lies beside them. Else it is taken as it runs here.
pub fn is_built_beside(world: &Path) -> bool {
    build::workspace_of(world).is_some_and(|workspace| build::has_package(&workspace, PACKAGE))
}

/// A world's images, with the workers' where they are built as well.
pub fn with_worker(images: &BTreeMap<String, Image>, built: bool) -> BTreeMap<String, Image> {
    let mut images = images.clone();
    if built {
        let build = Build { package: PACKAGE.to_owned(), features: vec![] };
        let worker = Image { command: vec!["meshquake".to_owned()], build: Some(build), ..Image::default() };
        images.insert(IMAGE.to_owned(), worker);
    }
    images
}

/// Where the gateway's Service takes plain HTTP, inside the cluster.
pub async fn way_in(client: &kube::Client, gateways: &[Gateway]) -> Result<String, String> {
    let services: Api<Service> = Api::all(client.clone());
    let services = services.list(&ListParams::default()).await.map_err(|error| chain(&error))?;
    for service in services {
        let Some(spec) = service.spec else { continue };
        let selector = spec.selector.unwrap_or_default();
        let leads_to = |gateway: &Gateway| {
            !selector.is_empty()
                && gateway.selector.iter().all(|(name, value)| selector.get(name) == Some(value))
        };
        let http = |port: &&ServicePort| {
            port.name.as_deref().is_some_and(|name| name.starts_with("http") && name != "https")
        };
        let ports = spec.ports.unwrap_or_default();
        if let (true, Some(port)) = (gateways.iter().any(leads_to), ports.iter().find(http)) {
            let name = service.metadata.name.unwrap_or_default();
            let namespace = service.metadata.namespace.unwrap_or_default();
            return Ok(format!("http://{name}.{namespace}.svc:{}", port.port));
        }
    }
    Err("no Service with a port named `http…` leads to the pods that the world's Gateway chooses".to_owned())
}

impl Workers {
    fn job(&self, count: u32, owner: &ConfigMap) -> Result<Job, serde_json::Error> {
        let mut job = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": NAME, "namespace": self.namespace, "ownerReferences": [{
                "apiVersion": "v1", "kind": "ConfigMap",
                "name": owner.metadata.name, "uid": owner.metadata.uid}]},
            "spec": {
                "completionMode": "Indexed", "completions": count, "parallelism": count,
                // A worker that dies has spoilt the load; the others go on to the end.
                "backoffLimitPerIndex": 0, "maxFailedIndexes": count,
                // Where nobody is left to delete it.
                "ttlSecondsAfterFinished": 600,
                "template": {
                    "metadata": {"labels": {"app": NAME, WORKER: "true", "sidecar.istio.io/inject": "false"}},
                    "spec": {
                        "restartPolicy": "Never",
                        "terminationGracePeriodSeconds": 1,
                        "enableServiceLinks": false,
                        "automountServiceAccountToken": false,
                        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532,
                            "seccompProfile": {"type": "RuntimeDefault"}},
                        "containers": [{
                            "name": "worker", "image": self.image, "imagePullPolicy": "IfNotPresent",
                            "args": ["load-worker"],
                            "stdin": true, "stdinOnce": false,
                            "resources": {"requests": {"cpu": SHARE, "memory": "64Mi"}},
                            "securityContext": {"readOnlyRootFilesystem": true,
                                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                        }],
                    },
                },
            },
        });
        world::label(&mut job["metadata"], &self.run);
        world::label(&mut job["spec"]["template"]["metadata"], &self.run);
        serde_json::from_value(job)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn start_all(&self, count: u32, ear: Ear) -> Result<Vec<Box<dyn Hosted>>, String> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        let failed = |error: kube::Error| format!("Job {}/{NAME}: {}", self.namespace, chain(&error));
        self.make_room(&jobs).await?;
        let states: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let owner = states.get(state::NAME).await.map_err(failed)?;
        let job = self.job(count, &owner).map_err(|error| error.to_string())?;
        jobs.create(&PostParams::default(), &job).await.map_err(failed)?;
        let made = Made { jobs: Some(jobs) };
        let names = self.running(count).await?;
        let made = Arc::new(made);
        let start = |(index, pod): (u32, String)| {
            let over = CancellationToken::new();
            tokio::spawn(follow(self.pods(), pod.clone(), index, ear.clone(), over.clone()));
            let (lines, orders) = mpsc::unbounded_channel();
            tokio::spawn(carry(self.pods(), pod.clone(), orders, over.clone()));
            let remote =
                Remote { lines, pods: self.pods(), pod, _over: over.drop_guard(), made: made.clone() };
            Box::new(remote) as Box<dyn Hosted>
        };
        Ok(names.into_iter().map(start).collect())
    }

    /// What an earlier load of this run has left; somebody else's Job is left alone.
    async fn make_room(&self, jobs: &Api<Job>) -> Result<(), String> {
        let what = format!("Job {}/{NAME}", self.namespace);
        let look = async || match jobs.get_opt(NAME).await {
            Ok(None) => Seen::Done(()),
            Ok(Some(job))
                if job.metadata.labels.as_ref().and_then(|labels| labels.get(world::RUN))
                    != Some(&self.run) =>
            {
                Seen::Never(
                    "it is there and not this run's: it has to go, or the load has to come from outside \
                             (leave `workers` out of the scenario)"
                        .to_owned(),
                )
            }
            Ok(Some(job)) if job.metadata.deletion_timestamp.is_none() => {
                match jobs.delete(NAME, &DeleteParams::foreground()).await {
                    Ok(_) => Seen::NotYet("that of an earlier load was told to go".to_owned()),
                    Err(error) => Seen::NotYet(chain(&error)),
                }
            }
            Ok(Some(_)) => Seen::NotYet("that of an earlier load is going".to_owned()),
            Err(error) => Seen::NotYet(chain(&error)),
        };
        wait::until(format!("room for {what}"), RUNNING, look).await.map_err(|error| error.to_string())
    }

    /// The pods by their index, once all run.
    async fn running(&self, count: u32) -> Result<BTreeMap<u32, String>, String> {
        let ours = ListParams::default().labels(&format!("{}={},app={NAME}", world::RUN, self.run));
        let pods = self.pods();
        let look = async || {
            let listed = match pods.list(&ours).await {
                Ok(listed) => listed.items,
                Err(error) => return Seen::NotYet(chain(&error)),
            };
            let mut running = BTreeMap::new();
            let mut others = Vec::new();
            for pod in &listed {
                let name = pod.metadata.name.clone().unwrap_or_default();
                let status = pod.status.clone().unwrap_or_default();
                let labels = pod.metadata.labels.as_ref();
                let index = labels.and_then(|labels| labels.get(INDEX)?.parse::<u32>().ok());
                match (status.phase.as_deref(), index) {
                    (Some("Running"), Some(index)) => drop(running.insert(index, name)),
                    (phase, _) => others.push(format!("{name} {}", why(phase, &status))),
                }
            }
            if running.len() == count as usize {
                return Seen::Done(running);
            }
            Seen::NotYet(format!("{} of {count} run; {}", running.len(), others.join(", ")))
        };
        let what = format!("all pods of Job {}/{NAME} running", self.namespace);
        wait::until(what, RUNNING, look).await.map_err(|error| error.to_string())
    }
}

fn why(phase: Option<&str>, status: &PodStatus) -> String {
    let containers = status.container_statuses.iter().flatten();
    let waiting = containers.filter_map(|container| container.state.as_ref()?.waiting.as_ref());
    let reasons = waiting.filter_map(|waiting| waiting.reason.clone().or(waiting.message.clone()));
    let reasons = reasons.collect::<Vec<_>>().join(", ");
    let phase = phase.unwrap_or("is not yet there");
    if reasons.is_empty() { phase.to_owned() } else { format!("{phase}: {reasons}") }
}

impl Host for Workers {
    fn start(&self, count: u32, ear: Ear) -> LocalBoxFuture<'_, Result<Vec<Box<dyn Hosted>>, Error>> {
        async move { self.start_all(count, ear).await.map_err(Error::Host) }.boxed_local()
    }

    fn silence(&self) -> Duration {
        SILENCE
    }

    fn notice(&self) -> Duration {
        // Each order is a connection of its own by way of the API server.
        Duration::from_secs(2)
    }
}

/// A worker in its pod.
struct Remote {
    lines: mpsc::UnboundedSender<Vec<u8>>,
    pods: Api<Pod>,
    pod: String,
    _over: DropGuard,
    made: Arc<Made>,
}

impl Hosted for Remote {
    fn tell(&mut self, line: Vec<u8>) -> BoxFuture<'_, ()> {
        let _ = self.lines.send(line);
        std::future::ready(()).boxed()
    }

    fn kill(&mut self) {
        let (pods, pod) = (self.pods.clone(), self.pod.clone());
        tokio::spawn(async move { pods.delete(&pod, &DeleteParams::default().grace_period(0)).await });
    }

    fn end(self: Box<Self>) -> BoxFuture<'static, ()> {
        let Self { made, .. } = *self;
        async move {
            // With the last worker the Job goes.
            if let Some(made) = Arc::into_inner(made) {
                made.delete().await;
            }
        }
        .boxed()
    }
}

/// The Job, as long as somebody wants it.
struct Made {
    jobs: Option<Api<Job>>,
}

impl Made {
    async fn delete(mut self) {
        if let Some(jobs) = self.jobs.take() {
            if let Err(why) = completed(&jobs).await {
                tracing::warn!("the load is over, and its Job does not complete: {why}");
            }
            delete(jobs).await;
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let (Some(jobs), Ok(runtime)) = (self.jobs.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(delete(jobs));
        }
    }
}

/// Waits until it is complete, or failed where a worker was lost; how it is otherwise.
async fn completed(jobs: &Api<Job>) -> Result<(), String> {
    let ended = await_condition(jobs.clone(), NAME, |job: Option<&Job>| job.is_none_or(has_ended));
    match tokio::time::timeout(COMPLETE, ended).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => {
            let job = jobs.get_opt(NAME).await.map_err(|error| chain(&error))?;
            Err(format!("after {} s its status is {:?}", COMPLETE.as_secs(), job.and_then(|job| job.status)))
        }
    }
}

fn has_ended(job: &Job) -> bool {
    let mut conditions = job.status.iter().flat_map(|status| &status.conditions).flatten();
    conditions.any(|one| matches!(one.type_.as_str(), "Complete" | "Failed") && one.status == "True")
}

async fn delete(jobs: Api<Job>) {
    // Where that fails it goes with the run.
    if let Err(error) = jobs.delete(NAME, &DeleteParams::background()).await {
        tracing::warn!(%error, "Job {NAME} stays until its run is taken down");
    }
}

#[cfg(test)]
mod tests;
