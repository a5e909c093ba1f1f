//! What all parts of a supervisor share: the store, the folders, the addresses, the way to start processes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use meshquake_xds::object::{Object, Places};
use meshquake_xds::source::Place;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::deployment::letters;
use super::journal::Journal;
use super::kubelet::env::Image;
use super::mesh::Mesh;
use super::net::{Addresses, Slice};
use super::spawn::Spawner;
use super::store::kind::EVENT;
use super::store::{Key, Store, draft};

/// Kubernetes forgets events after an hour, we the oldest of so many.
const MOST_EVENTS: usize = 1000;

/// How time passes in this world. The defaults are those of Kubernetes and Istio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// How long callers keep the endpoint of a pod that was told to end or is no longer ready: the time that a
    /// real Istio takes from the deletion of a pod to the last sidecar (its debounce is 100 ms).
    pub endpoint_lag: Duration,
    /// The first pause before a container is restarted a second time; it doubles up to the longest.
    pub backoff: Duration,
    pub longest_backoff: Duration,
    /// After this long without a crash the pauses begin anew.
    pub backoff_reset: Duration,
    /// How long processes may take to end when the whole world ends.
    pub last_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint_lag: Duration::from_millis(100),
            backoff: Duration::from_secs(10),
            longest_backoff: Duration::from_secs(300),
            backoff_reset: Duration::from_secs(600),
            last_grace: Duration::from_millis(150),
        }
    }
}

/// The shared parts of one supervisor.
pub struct Site {
    pub run: String,
    pub store: Store,
    /// The runtime folder of the run: sockets and hosts files.
    pub folder: PathBuf,
    pub logs: PathBuf,
    pub images: BTreeMap<String, Image>,
    pub spawner: Spawner,
    pub journal: Arc<Journal>,
    pub slice: Slice,
    pub addresses: Mutex<Addresses>,
    pub settings: Settings,
    /// The world ends.
    pub stop: CancellationToken,
    /// None for a world without sidecars.
    pub mesh: Option<Mesh>,
}

impl Site {
    pub fn addresses(&self) -> MutexGuard<'_, Addresses> {
        // Every method leaves the pools whole.
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of a pod with its sockets, named by its app address: their paths must be short.
    pub fn pod_folder(&self, app: Ipv4Addr) -> PathBuf {
        let [_, _, third, fourth] = app.octets();
        self.folder.join(format!("{third}.{fourth}"))
    }

    /// Where the log of a part of a pod is.
    pub fn log(&self, namespace: &str, pod: &str, part: &str) -> PathBuf {
        log_path(&self.logs, namespace, pod, part)
    }

    /// Notes that something happened to a pod, as a Kubernetes `Event`. The same once more only counts up.
    pub fn event(&self, about: &Key, warning: bool, reason: &str, message: &str) {
        tracing::info!(object = %about, reason, message, "event");
        let digest = <sha2::Sha256 as sha2::Digest>::digest(format!("{about}{reason}{message}"));
        let name = format!("{}.{}", about.name, letters(&digest, 10));
        let key = Key::new(&EVENT, &about.namespace, &name);
        let now = draft::now();
        let counted = self.store.transact(|draft| {
            if draft.get(&key).is_ok() {
                return draft.adjust(&key, |event| {
                    event["count"] = (event["count"].as_i64().unwrap_or(1) + 1).into();
                    event["lastTimestamp"] = now.clone().into();
                });
            }
            let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name},
                "involvedObject": {"kind": about.kind.kind, "name": about.name, "namespace": about.namespace},
                "type": if warning { "Warning" } else { "Normal" }, "reason": reason, "message": message,
                "count": 1, "firstTimestamp": now, "lastTimestamp": now, "source": {"component": "meshquake"}});
            let object = Object { value: event, places: Places::new(Place::new("meshquake", 1)) };
            draft.create(key.clone(), object, "kubelet")
        });
        match counted {
            Ok(_) => self.forget_oldest_event(),
            Err(error) => tracing::warn!(%error, "an event was not noted"),
        }
    }

    /// A world may be up for weeks, and every killed pod leaves some.
    fn forget_oldest_event(&self) {
        let events = self.store.all(&EVENT);
        if events.len() <= MOST_EVENTS {
            return;
        }
        let oldest = events.iter().min_by_key(|event| event.value()["lastTimestamp"].as_str());
        let key = oldest.map(|event| Key::new(&EVENT, event.object.namespace(), event.object.name()));
        if let Some(Err(error)) = key.map(|key| self.store.transact(|draft| draft.delete(&key))) {
            tracing::warn!(%error, "an old event was not forgotten");
        }
    }
}

/// Where the log of a part of a pod is, for those who have only the folder.
pub fn log_path(folder: &Path, namespace: &str, pod: &str, part: &str) -> PathBuf {
    folder.join(format!("{namespace}.{pod}.{part}.log"))
}
