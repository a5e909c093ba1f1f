//! What a run leaves in the cluster for whoever comes later: a ConfigMap in its first namespace, by which `ls`, `down`,
//! `heal` and `--world-up` of any other process find it, with a copy of the undos that are still to be done.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::objects::{FIELD_MANAGER, ObjectRef};
use super::world;
use crate::backend::local::proc::{self, Identity};

pub const NAME: &str = "meshquake-run";
/// Tells this ConfigMap from those of worlds.
const PART: (&str, &str) = ("meshquake.dev/part", "run");
const UNDO: &str = "undo-";

/// Who holds the world: a process of this or of another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub host: String,
    pub boot_id: String,
    pub process: Identity,
}

impl Owner {
    pub fn of_self() -> std::io::Result<Self> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned();
        Ok(Self { host, boot_id: proc::boot_id()?, process: Identity::of_self()? })
    }

    /// Whether it still runs; `None` where that cannot be known from here.
    pub fn alive(&self) -> Option<bool> {
        let here = Self::of_self().ok()?;
        if self.boot_id == here.boot_id {
            return Some(self.process.is_alive());
        }
        // The same machine, started anew since.
        (self.host == here.host).then_some(false)
    }
}

/// A run as its ConfigMap says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct State {
    pub run: String,
    pub world: String,
    pub started: String,
    pub version: String,
    /// All namespaces of the world, the one with this state first.
    pub namespaces: Vec<String>,
    /// Of them, those in which something of the world runs.
    pub workloads: Vec<String>,
    /// Of them, those that were there before, so that they stay.
    pub found: Vec<String>,
    /// What was made in the namespaces that stay.
    pub objects: Vec<ObjectRef>,
    pub owner: Owner,
    /// The image of load workers, where the cluster has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// It was ready once.
    pub complete: bool,
    /// It goes on without the process that made it.
    pub kept: bool,
}

impl State {
    /// Whether the process that should take it down is gone.
    pub fn is_left_behind(&self) -> bool {
        !self.kept && self.owner.alive() == Some(false)
    }
}

/// A state with what surrounds it.
#[derive(Clone, Debug)]
pub struct Found {
    pub state: State,
    /// Undos that are still to be done, by the journal that has them and their number there.
    pub undos: BTreeMap<String, Copy>,
    /// Its namespace is on its way out.
    pub ending: bool,
}

/// An undo, and who should do it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Copy {
    pub owner: Owner,
    pub undo: Value,
}

fn api(client: &kube::Client, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), namespace)
}

fn home(state: &State) -> &str {
    state.namespaces.first().map_or("default", String::as_str)
}

/// Writes the state for the first time.
pub async fn create(client: &kube::Client, state: &State) -> Result<(), kube::Error> {
    let mut object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": home(state), "labels": {PART.0: PART.1}},
        "data": {"run": json!(state).to_string()},
    });
    world::label(&mut object["metadata"], &state.run);
    let object = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    api(client, home(state)).create(&params, &object).await.map(drop)
}

pub async fn update(client: &kube::Client, state: &State) -> Result<(), kube::Error> {
    patch(client, state, json!({"run": json!(state).to_string()})).await
}

/// Keeps a copy of an undo, or with `None` forgets it.
pub async fn note(
    client: &kube::Client,
    state: &State,
    name: &str,
    undo: Option<&Value>,
) -> Result<(), kube::Error> {
    let owner = Owner::of_self().map_err(|error| kube::Error::Service(error.into()))?;
    let copy = undo.map(|undo| json!(Copy { owner, undo: undo.clone() }).to_string());
    patch(client, state, json!({format!("{UNDO}{name}"): copy})).await
}

async fn patch(client: &kube::Client, state: &State, data: Value) -> Result<(), kube::Error> {
    let patch = Patch::Merge(json!({"data": data}));
    api(client, home(state)).patch(NAME, &PatchParams::default(), &patch).await.map(drop)
}

/// All runs of the cluster, by their id.
pub async fn all(client: &kube::Client) -> Result<Vec<Found>, kube::Error> {
    let everywhere: Api<ConfigMap> = Api::all(client.clone());
    let labels = format!("{}={},{}={}", world::MANAGED_BY, world::MESHQUAKE, PART.0, PART.1);
    let maps = everywhere.list(&ListParams::default().labels(&labels)).await?;
    let mut found = Vec::new();
    for map in maps {
        let ending_itself = map.metadata.deletion_timestamp.is_some();
        let data = map.data.unwrap_or_default();
        let Some(state) = data.get("run").and_then(|text| serde_json::from_str::<State>(text).ok()) else {
            tracing::warn!(namespace = ?map.metadata.namespace, "a run's ConfigMap cannot be read");
            continue;
        };
        let undos = data.iter().filter_map(|(key, text)| {
            Some((key.strip_prefix(UNDO)?.to_owned(), serde_json::from_str(text).ok()?))
        });
        let undos = undos.collect();
        let ending = ending_itself || is_ending(client, home(&state)).await?;
        found.push(Found { state, undos, ending });
    }
    found.sort_by(|one, other| one.state.run.cmp(&other.state.run));
    Ok(found)
}

/// The state of one run; `None` where it is gone or on its way out.
pub async fn of(client: &kube::Client, namespace: &str) -> Result<Option<State>, kube::Error> {
    let Some(map) = api(client, namespace).get_opt(NAME).await? else { return Ok(None) };
    if map.metadata.deletion_timestamp.is_some() || is_ending(client, namespace).await? {
        return Ok(None);
    }
    Ok(map.data.unwrap_or_default().get("run").and_then(|text| serde_json::from_str(text).ok()))
}

async fn is_ending(client: &kube::Client, namespace: &str) -> Result<bool, kube::Error> {
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    let found = namespaces.get_opt(namespace).await?;
    Ok(found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cluster::fake_api;

    fn state() -> State {
        State {
            run: "abcde".to_owned(),
            world: "pinning".to_owned(),
            started: "2026-01-01T00:00:00Z".to_owned(),
            version: "0.1.0".to_owned(),
            namespaces: vec!["shop".to_owned()],
            workloads: vec!["shop".to_owned()],
            found: vec![],
            objects: vec![],
            owner: Owner::of_self().expect("this process is known"),
            worker: None,
            complete: true,
            kept: false,
        }
    }

    fn map(data: Value) -> Value {
        json!({"metadata": {"name": NAME, "namespace": "shop"}, "data": data})
    }

    fn maps(items: Value) -> Option<(u16, Value)> {
        Some((200, json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {}, "items": items})))
    }

    #[tokio::test]
    async fn a_later_process_finds_runs_with_what_is_still_to_be_taken_back() {
        let copy = Copy { owner: state().owner, undo: json!({"delete": {}}) };
        let data = json!({"run": json!(state()).to_string(), "undo-abcde.1": json!(copy).to_string()});
        let (client, _) = fake_api::client(move |line| match line {
            "GET /api/v1/configmaps" => {
                maps(json!([map(data.clone()), map(json!({"run": "of a later version"}))]))
            }
            "GET /api/v1/namespaces/shop" => Some((200, json!({"metadata": {"name": "shop"}}))),
            _ => None,
        });
        let found = all(&client).await.expect("listed");
        assert_eq!(found.len(), 1, "what cannot be read is left alone: {found:?}");
        assert_eq!(found[0].state, state());
        assert_eq!(found[0].undos, BTreeMap::from([("abcde.1".to_owned(), copy)]));
        assert!(!found[0].ending);
    }

    #[tokio::test]
    async fn a_run_whose_namespace_is_on_its_way_out_is_ending() {
        let data = json!({"run": json!(state()).to_string()});
        let (client, _) = fake_api::client(move |line| match line {
            "GET /api/v1/configmaps" => maps(json!([map(data.clone())])),
            "GET /api/v1/namespaces/shop" => Some((
                200,
                json!({"metadata": {"name": "shop",
                "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            )),
            _ => None,
        });
        assert!(all(&client).await.expect("listed")[0].ending);
    }

    #[test]
    fn only_a_run_whose_process_is_known_to_be_gone_is_left_behind() {
        assert!(!state().is_left_behind(), "this process lives");
        let before_a_reboot = Owner { boot_id: "another".to_owned(), ..state().owner };
        let dead = State { owner: before_a_reboot, ..state() };
        assert!(dead.is_left_behind());
        assert!(!State { kept: true, ..dead.clone() }.is_left_behind(), "it was meant to stay");
        let elsewhere = Owner { host: "another".to_owned(), ..dead.owner.clone() };
        assert!(!State { owner: elsewhere, ..dead }.is_left_behind(), "nobody here can know");
    }
}
