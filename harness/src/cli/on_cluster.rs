//! The same verbs for worlds on a cluster: `apply`, `ls`, `logs`, `down`, `heal` with `--backend kind|k3d|context`.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};
use meshquake_xds::object::Object;
use serde_json::{Value, json};

use super::logs;
use super::print::{answer, fail, tell};
use crate::backend::Choice;
use crate::backend::cluster::settings::Settings;
use crate::backend::cluster::state::{self, Found, State};
use crate::backend::cluster::{Cluster, Ground, RUN, heal as healing};
use crate::error::chain;
use crate::verdict::Exit;
use crate::world;

/// How long the proxies may take to acknowledge a change.
const CONVERGE_LIMIT: Duration = Duration::from_secs(30);

/// A cluster that was made is there for the next run as well, which a person may not want.
pub fn stays(choice: &Choice, settings: &Settings) {
    if let Choice::Kind | Choice::K3d = choice {
        let (kind, name) = (choice.name(), &settings.cluster.name);
        let config = settings.file.as_ref().map(|file| format!(" --config {}", world::shown(file)));
        let config = config.unwrap_or_default();
        tell(&format!(
            "the {kind} cluster `{name}` stays for the next run; `meshquake down --cluster --backend {kind}{config}` removes it"
        ));
    }
}

/// The cluster as it is; what is wrong has been told.
async fn ground(choice: &Choice, settings: &Settings) -> Result<Ground, Exit> {
    match Ground::find(choice, settings).await {
        Ok(Some(ground)) => Ok(ground),
        Ok(None) => {
            let text = format!("there is no {} cluster of ours, and so no world on it", choice.name());
            Err(fail(Exit::USAGE, &text))
        }
        Err(why) => Err(fail(Exit::INTERNAL, &why)),
    }
}

async fn chosen(choice: &Choice, settings: &Settings, run: Option<&str>) -> Result<(Ground, State), Exit> {
    let ground = ground(choice, settings).await?;
    let state = ground.choose(run).await.map_err(|why| fail(Exit::USAGE, &why))?;
    Ok((ground, state))
}

pub struct Change<'o> {
    pub objects: &'o [Object],
    pub delete: bool,
    pub force: bool,
}

pub async fn apply(choice: &Choice, settings: &Settings, run: Option<&str>, change: Change<'_>) -> Exit {
    let (ground, state) = match chosen(choice, settings, run).await {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let cluster = match Cluster::attach(ground, state).await {
        Ok(cluster) => cluster,
        Err(why) => return fail(Exit::INTERNAL, &why),
    };
    let changed = cluster.change(change.objects, change.delete, change.force).await;
    let converged = match &changed {
        Ok(()) => cluster.converged(CONVERGE_LIMIT).await,
        Err(_) => Ok(()),
    };
    let released = cluster.release().await;
    if let Err(why) = changed {
        return fail(Exit::REFUSED, &why);
    }
    if let Err(why) = converged.and(released) {
        return fail(Exit::INTERNAL, &why);
    }
    let verb = if change.delete { "deleted" } else { "applied" };
    change.objects.iter().for_each(|object| answer(&format!("{verb} {}", object.title())));
    Exit::HELD
}

/// The worlds of a cluster, as JSON and as lines.
pub async fn ls(choice: &Choice, settings: &Settings) -> Result<Vec<(Value, String)>, String> {
    let Some(ground) = Ground::find(choice, settings).await? else { return Ok(vec![]) };
    let mut listed = Vec::new();
    for Found { state, undos, ending } in state::all(&ground.client).await.map_err(|error| chain(&error))? {
        let mut pods = Vec::new();
        for namespace in &state.namespaces {
            let all: Api<Pod> = Api::namespaced(ground.client.clone(), namespace);
            let ours = ListParams::default().labels(&format!("{RUN}={}", state.run));
            pods.extend(all.list(&ours).await.map_err(|error| chain(&error))?.items);
        }
        let how = match (ending, state.complete, state.is_left_behind()) {
            (true, ..) => "  ending",
            (_, _, true) => "  left behind by a run that died; `meshquake heal` with the same --backend",
            (_, false, _) => "  on its way up",
            _ => "",
        };
        let mut text = format!("{}  {}  {}  {}{how}", state.run, state.world, ground.entry, ground.name);
        let mut told = Vec::new();
        for pod in &pods {
            let pod = told_of(pod);
            let (name, address) = (pod["name"].as_str().unwrap_or_default(), pod["address"].as_str());
            let state = if pod["ready"] == true { "ready" } else { "not ready" };
            text += &format!("\n  {name:<44} {:<16} {state}", address.unwrap_or("–"));
            if pod["restarts"].as_i64().unwrap_or(0) > 0 {
                text += &format!("  {} restarts", pod["restarts"]);
            }
            told.push(pod);
        }
        let value = json!({"run": state.run, "world": state.world, "cluster": ground.name, "ending": ending,
            "urls": [ground.entry], "undos": undos.len(), "namespaces": state.namespaces, "pods": told});
        listed.push((value, text));
    }
    Ok(listed)
}

fn told_of(pod: &Pod) -> Value {
    let status = pod.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True");
    let restarts: i32 = status.container_statuses.iter().flatten().map(|one| one.restart_count).sum();
    json!({"namespace": pod.metadata.namespace, "name": pod.metadata.name, "ready": ready,
        "address": status.pod_ip, "restarts": restarts})
}

pub struct Which<'w> {
    pub run: Option<&'w str>,
    /// The beginning of a pod's name.
    pub pod: &'w str,
}

pub async fn logs(choice: &Choice, settings: &Settings, which: Which<'_>, mut params: LogParams) -> Exit {
    let (ground, state) = match chosen(choice, settings, which.run).await {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let mut names = Vec::new();
    for namespace in &state.namespaces {
        let pods: Api<Pod> = Api::namespaced(ground.client.clone(), namespace);
        match pods.list(&ListParams::default()).await {
            Ok(found) => names.extend(found.items),
            Err(error) => return fail(Exit::INTERNAL, &chain(&error)),
        }
    }
    let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
    let Some(pod) = names.iter().find(|pod| name(pod).starts_with(which.pod)) else {
        let names = names.iter().map(name).collect::<Vec<_>>();
        return logs::no_pod(which.pod, names.iter().map(String::as_str));
    };
    // With a sidecar beside it, the app has to be named.
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let app = containers.map(|container| container.name.clone()).find(|name| name != "istio-proxy");
    params.container = params.container.or(app);
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(ground.client.clone(), &namespace);
    logs::print(&pods, &name(pod), &params).await
}

pub async fn down(choice: &Choice, settings: &Settings, run: Option<&str>, all: bool) -> Exit {
    let ground = match ground(choice, settings).await {
        Ok(ground) => ground,
        Err(exit) => return exit,
    };
    let chosen = if all {
        let worlds = state::all(&ground.client).await.map_err(|error| chain(&error));
        worlds
            .map(|worlds| worlds.into_iter().filter(|found| !found.ending).map(|found| found.state).collect())
    } else {
        ground.choose(run).await.map(|state| vec![state])
    };
    let chosen: Vec<State> = match chosen {
        Ok(chosen) => chosen,
        Err(why) => return fail(Exit::USAGE, &why),
    };
    for state in chosen {
        match ground.delete(&state).await.and_then(|()| healing::forget(&ground, &state.run)) {
            Ok(()) => answer(&format!("{} ({}) is going down", state.run, state.world)),
            Err(why) => return fail(Exit::INTERNAL, &why),
        }
    }
    Exit::HELD
}

pub async fn heal(choice: &Choice, settings: &Settings) -> Exit {
    let ground = match ground(choice, settings).await {
        Ok(ground) => ground,
        Err(exit) => return exit,
    };
    let (healed, remarks) = match healing::heal(&ground).await {
        Ok(found) => found,
        Err(why) => return fail(Exit::INTERNAL, &why),
    };
    healed.iter().for_each(|one| answer(&one.to_string()));
    remarks.iter().for_each(|remark| tell(remark));
    if healed.is_empty() && remarks.is_empty() {
        answer("nothing to heal");
    }
    let failed = healed.iter().any(|one| one.outcome.is_err()) || !remarks.is_empty();
    if failed { Exit::UNDO_FAILED } else { Exit::HELD }
}
