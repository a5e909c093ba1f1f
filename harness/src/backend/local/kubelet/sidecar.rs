//! The Envoy of a pod: started with the app, started again when it dies, ended after the app.

use std::time::Duration;

use super::pace::Pace;
use super::pod::Pod;
use super::state::{Backoff, Container, Ended, Phase};
use crate::backend::local::api::last_lines;
use crate::backend::local::envoy::{Admin, Bootstrap, Readiness, Role};
use crate::backend::local::mesh::Mesh;
use crate::backend::local::spawn::{Mark, Process, Spec};
use crate::backend::local::store::draft::now;
use crate::error::chain;

/// What Istio calls the container of a sidecar.
pub const NAME: &str = "istio-proxy";

/// A starting Envoy is asked at first so often whether it is ready.
const ASK: Duration = Duration::from_millis(5);
/// The pauses before an Envoy is started again: short, because without it the pod is cut off.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const RESET: Duration = Duration::from_secs(10);
/// Envoy ends within milliseconds of SIGTERM; what it still serves after its app is gone has nobody behind it.
const GRACE: Duration = Duration::from_millis(500);
const LINES: usize = 10;

/// Runs the sidecar until the pod ends and the process is gone.
pub async fn run(pod: &Pod) {
    let Some(mesh) = &pod.site.mesh else { return pod.sidecar_may_go().await };
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, RESET);
    let log = pod.site.log(&pod.key.namespace, &pod.key.name, NAME);
    loop {
        let begun = std::time::Instant::now();
        let written = tokio::fs::metadata(&log).await.map_or(0, |log| log.len());
        match start(pod, mesh).await {
            Ok((process, admin)) => {
                change(pod, |sidecar| {
                    sidecar.phase = Phase::Running { since: now() };
                    sidecar.pid = Some(process.pid());
                });
                let exit = tokio::select! {
                    exit = process.wait() => exit,
                    () = pod.sidecar_may_go() => {
                        if pod.is_killed() { process.kill().await } else { process.terminate(GRACE).await };
                        return change(pod, |sidecar| {
                            sidecar.ready = false;
                            sidecar.pid = None;
                        });
                    }
                    never = ready(pod, &admin) => match never {},
                };
                let message = last_lines(&log, written, LINES).await.unwrap_or_default();
                pod.event(true, "SidecarDied", &format!("the sidecar {exit}; it is started again"));
                change(pod, |sidecar| {
                    sidecar.ready = false;
                    sidecar.pid = None;
                    let said = format!("it {exit}; its last lines:\n{message}");
                    sidecar.phase = Phase::Waiting { reason: "Error", message: said };
                    sidecar.last = Some(Ended { exit, at: now(), message });
                });
            }
            Err(message) => {
                pod.event(true, "Failed", &message);
                change(pod, |sidecar| {
                    sidecar.phase = Phase::Waiting { reason: "CreateContainerError", message };
                });
            }
        }
        let pause = backoff.pause(begun.elapsed());
        tokio::select! {
            () = tokio::time::sleep(pause) => {} // the back-off itself
            () = pod.sidecar_may_go() => return,
        }
        change(pod, |sidecar| sidecar.restarts += 1);
    }
}

fn change(pod: &Pod, change: impl FnOnce(&mut Container)) {
    pod.report(|state| {
        if let Some(sidecar) = &mut state.sidecar {
            change(sidecar);
        }
    });
}

async fn start(pod: &Pod, mesh: &Mesh) -> Result<(Process, Admin), String> {
    let shown = pod.site.store.get(&pod.key).ok_or("the pod is gone")?;
    let owner = &shown.value()["metadata"]["ownerReferences"][0]["name"];
    let bootstrap = Bootstrap {
        role: if pod.gateway { Role::Router } else { Role::Sidecar },
        namespace: pod.key.namespace.clone(),
        pod: pod.key.name.clone(),
        workload: owner.as_str().unwrap_or(&pod.key.name).to_owned(),
        address: pod.addresses.pod.into(),
        labels: crate::backend::local::mesh::labels(shown.value()),
        folder: pod.folder.clone(),
        ads: mesh.ads_socket.clone(),
    };
    let arguments = bootstrap.write().map_err(|e| chain(&e))?;
    let admin = Admin::new(bootstrap.admin_socket()).map_err(|e| chain(&e))?;
    let log = pod.site.log(&pod.key.namespace, &pod.key.name, NAME);
    let mark = Mark::new(&pod.site.run, &pod.key.name, "sidecar");
    let spec = Spec::new(&mesh.envoy, log, mark).args(arguments).folder(&pod.folder);
    let spec = spec.journal(pod.site.journal.clone());
    let process = pod.site.spawner.spawn(spec).await.map_err(|e| chain(&e))?;
    Ok((process, admin))
}

/// Asks until Envoy is ready, says so, and never returns.
async fn ready(pod: &Pod, admin: &Admin) -> std::convert::Infallible {
    let mut pace = Pace::from(ASK);
    loop {
        match admin.ready().await {
            Ok(Readiness::Ready) => break,
            Ok(Readiness::NotReady(state)) => {
                change(pod, |sidecar| sidecar.found = format!("Envoy says {state}"));
            }
            Err(error) => change(pod, |sidecar| sidecar.found = chain(&error)),
        }
        pace.pause().await;
    }
    change(pod, |sidecar| {
        sidecar.ready = true;
        sidecar.found.clear();
    });
    std::future::pending().await
}
