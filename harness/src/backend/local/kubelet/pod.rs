//! One pod: its addresses, its folder, the tasks of app and sidecar, its end.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::state::{Container, PodState};
use super::{app, hosts, sidecar};
use crate::backend::local::mesh::{APP_ADDRESS, is_gateway};
use crate::backend::local::net::PodAddresses;
use crate::backend::local::site::Site;
use crate::backend::local::spawn::Process;
use crate::backend::local::store::kind::SERVICE;
use crate::backend::local::store::{Entry, Error, Key};

/// A pod that runs.
pub struct Pod {
    pub site: Arc<Site>,
    pub key: Key,
    pub folder: PathBuf,
    pub addresses: PodAddresses,
    /// It has no app: it is the way in.
    pub gateway: bool,
    state: Mutex<PodState>,
    /// When the pod must be gone, once it was told to end.
    deadline: watch::Sender<Option<Instant>>,
    usual_grace: Duration,
    app_gone: CancellationToken,
    /// The services that the pod's hosts file names.
    hosts: Mutex<Option<Vec<Arc<Entry>>>>,
}

/// Runs a pod from its creation to the removal of its object.
pub async fn live(site: Arc<Site>, key: Key) {
    let Some(entry) = site.store.get(&key) else { return };
    let container = entry.value()["spec"]["containers"].get(0).cloned();
    match Pod::new(site.clone(), key.clone(), &entry, container.as_ref()) {
        Ok(pod) => {
            let pod = Arc::new(pod);
            pod.report(|_| {});
            let app = async {
                match &container {
                    Some(container) => app::run(&pod, container).await,
                    None => pod.ending().await,
                }
                pod.app_is_gone();
            };
            tokio::select! {
                _gone = async { tokio::join!(app, sidecar::run(&pod)) } => {}
                () = pod.follow() => {}
            }
            if let Err(error) = std::fs::remove_dir_all(&pod.folder)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(pod = %key, %error, "the folder of a pod stays");
            }
        }
        Err(message) => {
            site.event(&key, true, "Failed", &message);
            let refused = site.store.transact(|draft| {
                draft.adjust(&key, |pod| {
                    pod["status"] =
                        serde_json::json!({"phase": "Failed", "reason": "Failed", "message": message});
                })
            });
            if refused.is_ok() {
                until_ending(&site, &key).await;
            }
        }
    }
    site.addresses().release(&address_name(&key));
    match site.store.transact(|draft| draft.delete(&key)) {
        Ok(_) | Err(Error::NotFound(_)) => {}
        Err(error) => tracing::warn!(pod = %key, %error, "the object of a pod stays"),
    }
}

/// What a pod is called where addresses are handed out.
pub fn address_name(key: &Key) -> String {
    format!("{}/{}", key.namespace, key.name)
}

impl Pod {
    fn new(site: Arc<Site>, key: Key, entry: &Entry, container: Option<&Value>) -> Result<Self, String> {
        let mut addresses = site.addresses().pod(&address_name(&key)).map_err(|e| e.to_string())?;
        let folder = site.pod_folder(addresses.app);
        let gateway = is_gateway(entry);
        if gateway {
            addresses.pod = site.addresses().gateway();
        }
        std::fs::create_dir_all(&folder).map_err(|e| format!("no folder {}: {e}", folder.display()))?;
        let grace = entry.value()["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
        let image = |container: &Value| container["image"].as_str().unwrap_or_default().to_owned();
        let state = PodState {
            address: addresses.pod.to_string(),
            app: container.map(|c| Container::new(c["name"].as_str().unwrap_or("app"), &image(c))),
            sidecar: site.mesh.as_ref().map(|_| Container::new(sidecar::NAME, "envoy")),
        };
        let pod = Self {
            site,
            key,
            folder,
            addresses,
            gateway,
            state: Mutex::new(state),
            deadline: watch::Sender::new(None),
            usual_grace: Duration::from_secs(grace),
            app_gone: CancellationToken::new(),
            hosts: Mutex::default(),
        };
        pod.write_hosts()?;
        Ok(pod)
    }

    pub fn app_log(&self) -> PathBuf {
        self.site.log(&self.key.namespace, &self.key.name, "app")
    }

    pub fn grace(&self) -> Duration {
        self.usual_grace
    }

    pub fn event(&self, warning: bool, reason: &str, message: &str) {
        self.site.event(&self.key, warning, reason, message);
    }

    /// Changes the state and shows it in the pod's status.
    pub fn report(&self, change: impl FnOnce(&mut PodState)) {
        // Held until it is shown, so that an older state never overwrites a newer one.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let shown = self.site.store.transact(|draft| {
            draft.adjust(&self.key, |pod| {
                let status = state.status(&pod["status"]);
                pod["status"] = status;
                pod["metadata"]["annotations"][APP_ADDRESS] = self.addresses.app.to_string().into();
            })
        });
        if let Err(error) = shown {
            tracing::debug!(pod = %self.key, %error, "the status of a pod that is gone");
        }
    }

    /// Returns once the pod was told to end.
    pub async fn ending(&self) {
        let mut deadline = self.deadline.subscribe();
        // The sender lives as long as the pod.
        let _told = deadline.wait_for(Option::is_some).await;
    }

    /// Ends a process by the pod's deadline, which may come nearer meanwhile. No time left means SIGKILL at once.
    pub async fn stop(&self, process: &Process) {
        let mut deadline = self.deadline.subscribe();
        let mut asked = false;
        loop {
            let Some(end) = *deadline.borrow_and_update() else { return };
            if end <= Instant::now() {
                process.kill().await;
                return;
            }
            if !asked {
                asked = true;
                if let Err(error) = process.signal(rustix::process::Signal::TERM) {
                    tracing::warn!(pod = %self.key, %error, "a process cannot be asked to end");
                }
            }
            tokio::select! {
                _ = process.wait() => return,
                () = tokio::time::sleep_until(end) => {}
                _ = deadline.changed() => {}
            }
        }
    }

    /// Follows the pod's object, the services and the end of the world, for as long as there is a store.
    async fn follow(&self) {
        let mut versions = self.site.store.versions();
        loop {
            self.look();
            tokio::select! {
                changed = versions.changed() => if changed.is_err() { return },
                () = self.site.stop.cancelled(), if self.deadline.borrow().is_none() => {}
            }
        }
    }

    fn look(&self) {
        let grace = self.site.store.get(&self.key).and_then(|entry| grace_of(entry.value()));
        let grace = match grace {
            _ if self.site.stop.is_cancelled() => Some(self.site.settings.last_grace),
            // The object was removed by force: nothing may run for it.
            None if self.site.store.get(&self.key).is_none() => Some(Duration::ZERO),
            other => other,
        };
        match grace {
            Some(grace) => {
                self.deadline.send_if_modified(|deadline| {
                    let end = Instant::now() + grace;
                    // Later only by the time that has passed since the same grace was seen before.
                    let sooner = deadline.is_none_or(|before| end + Duration::from_millis(1) < before);
                    if sooner {
                        *deadline = Some(end);
                    }
                    sooner
                });
            }
            None => {
                if let Err(message) = self.write_hosts() {
                    self.event(true, "Failed", &message);
                }
            }
        }
    }

    /// Whether app and sidecar die together, without a word.
    pub fn is_killed(&self) -> bool {
        self.deadline.borrow().is_some_and(|end| end <= Instant::now())
    }

    fn app_is_gone(&self) {
        self.report(|state| {
            if let Some(app) = &mut state.app {
                app.ready = false;
                app.pid = None;
            }
        });
        self.app_gone.cancel();
    }

    /// Returns once the pod was told to end and its app is gone, or both are to die at once.
    pub async fn sidecar_may_go(&self) {
        let mut deadline = self.deadline.subscribe();
        let killed = deadline.wait_for(|end| end.is_some_and(|end| end <= Instant::now()));
        tokio::select! {
            _killed = killed => {}
            () = self.app_gone.cancelled() => {}
            () = self.site.stop.cancelled() => {}
        }
    }

    /// The file with the names of all services.
    pub fn hosts_file(&self) -> PathBuf {
        self.folder.join("hosts")
    }

    /// Every service with the address where this pod's sidecar takes calls to it.
    pub fn services(&self) -> Result<Vec<hosts::Named>, String> {
        self.named(&self.site.store.all(&SERVICE))
    }

    fn named(&self, services: &[Arc<Entry>]) -> Result<Vec<hosts::Named>, String> {
        let mut named = Vec::new();
        for service in services {
            let (name, namespace) = (service.object.name().to_owned(), service.object.namespace().to_owned());
            let vip = self.site.addresses().vip(&address_name(&self.key), &format!("{namespace}/{name}"));
            named.push(hosts::Named { name, namespace, address: vip.map_err(|e| e.to_string())? });
        }
        named.sort();
        Ok(named)
    }

    /// Writes the name of every service with the address where this pod's sidecar takes calls to it.
    fn write_hosts(&self) -> Result<(), String> {
        let all = self.site.store.all(&SERVICE);
        let mut told = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref().is_some_and(|told| Entry::are_same(told, &all)) {
            return Ok(());
        }
        let text = hosts::render(&self.key.namespace, &self.named(&all)?);
        let path = self.hosts_file();
        hosts::write(&path, &text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        *told = Some(all);
        Ok(())
    }
}

/// The grace of a pod that was told to end.
fn grace_of(pod: &Value) -> Option<Duration> {
    let metadata = &pod["metadata"];
    (!metadata["deletionTimestamp"].is_null())
        .then(|| Duration::from_secs(metadata["deletionGracePeriodSeconds"].as_u64().unwrap_or(30)))
}

async fn until_ending(site: &Site, key: &Key) {
    let mut versions = site.store.versions();
    loop {
        let going = site.store.get(key).is_none_or(|pod| grace_of(pod.value()).is_some());
        if going || site.stop.is_cancelled() {
            return;
        }
        tokio::select! {
            changed = versions.changed() => if changed.is_err() { return },
            () = site.stop.cancelled() => return,
        }
    }
}
