//! A cluster that answers, and what a world on it that is only half there leaves to be taken down.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams};

use super::image::Wanted;
use super::provision::{self, Reached, Step};
use super::settings::{self, Settings};
use super::state::{self, State};
use super::{heal, patient, scrape, take_down, world};
use crate::backend::Choice;
use crate::backend::local::dirs::{self, Dirs};
use crate::error::chain;
use crate::judge::Prometheus;

/// The label of a Service behind which a Prometheus may be asked.
const PROMETHEUS: &str = "meshquake.dev/prometheus=true";

/// A cluster that answers, with all that a world on it needs.
#[derive(Clone)]
pub struct Ground {
    pub client: kube::Client,
    /// The cluster's name, for people and for the journals' folder.
    pub name: String,
    pub entry: String,
    pub injection: world::Injection,
    pub kubeconfig: Option<PathBuf>,
    pub context: String,
    pub reader: scrape::Reader,
    /// How often a person wants the metrics read.
    pub interval: Duration,
    /// Which Prometheus is asked as well.
    pub prometheus: settings::Prometheus,
    /// What of the cluster took part.
    pub versions: Vec<(String, String)>,
}

impl Ground {
    /// The cluster as it is wanted, made where it is ours to make, and what runs on it for each of the images that a
    /// world has, with how long the parts took.
    pub async fn furnish(
        choice: &Choice,
        settings: &Settings,
        wanted: Wanted<'_>,
        tell: &(dyn Fn(String) + Sync),
    ) -> Result<(Self, BTreeMap<String, String>, Vec<Step>), String> {
        let furnished = provision::furnish(choice, settings, wanted, tell).await;
        let (mut reached, images) = furnished.map_err(|error| chain(&error))?;
        let steps = std::mem::take(&mut reached.took);
        Ok((Self::of(reached, settings)?, images, steps))
    }

    /// The cluster as it is; nothing is made.
    pub async fn find(choice: &Choice, settings: &Settings) -> Result<Option<Self>, String> {
        let found = provision::find(choice, settings).await.map_err(|error| chain(&error))?;
        found.map(|reached| Self::of(reached, settings)).transpose()
    }

    fn of(reached: Reached, settings: &Settings) -> Result<Self, String> {
        Ok(Self {
            client: patient::client(reached.config).map_err(|error| chain(&error))?,
            // Metrics that come late are of no use.
            reader: scrape::Reader::new(reached.client, &settings.metrics.relabel),
            interval: settings.metrics.interval,
            prometheus: settings.prometheus.clone(),
            name: reached.name,
            entry: reached.entry,
            injection: reached.injection,
            kubeconfig: reached.kubeconfig,
            context: reached.context,
            versions: reached.versions,
        })
    }

    /// The Prometheus that a person names, or the one whose Service says that it is there for this.
    pub async fn prometheus(&self) -> Result<Option<Prometheus>, String> {
        if let settings::Prometheus::At(url) = &self.prometheus {
            return Prometheus::at(url).map(Some).map_err(|error| chain(&error));
        }
        let services: Api<Service> = Api::all(self.client.clone());
        let found = services.list(&ListParams::default().labels(PROMETHEUS)).await;
        let found = found.map_err(|error| chain(&error))?.items.into_iter().next().and_then(behind);
        match found {
            Some(path) => Ok(Some(Prometheus::Behind { client: self.client.clone(), path })),
            None if self.prometheus == settings::Prometheus::AddOn => {
                Err(format!("there is no Service with the label {PROMETHEUS} in {}", self.name))
            }
            None => Ok(None),
        }
    }

    /// Where the journals of what is done to this cluster are.
    pub fn journals(&self) -> Result<PathBuf, dirs::Error> {
        Dirs::from_env()?.undo(&self.name)
    }

    /// The world that is meant: by its id, or the only one.
    pub async fn choose(&self, id: Option<&str>) -> Result<State, String> {
        let worlds = state::all(&self.client).await.map_err(|error| chain(&error))?;
        let mut up =
            worlds.into_iter().filter(|found| !found.ending).map(|found| found.state).collect::<Vec<_>>();
        let known =
            up.iter().map(|state| format!("{} ({})", state.run, state.world)).collect::<Vec<_>>().join(", ");
        match id.filter(|id| !id.is_empty()) {
            Some(id) => up.into_iter().find(|state| state.run == id).ok_or_else(|| match known.as_str() {
                "" => format!("no world `{id}` is up on {}: none is up", self.name),
                known => format!("no world `{id}` is up on {}; those that are up: {known}", self.name),
            }),
            None if up.len() == 1 => Ok(up.swap_remove(0)),
            None if up.is_empty() => Err(format!("no world is up on {}", self.name)),
            None => {
                Err(format!("several worlds are up on {}, so say which by `--run ID`: {known}", self.name))
            }
        }
    }

    /// Deletes what a run has made; returns when the cluster has begun with it.
    pub async fn delete(&self, state: &State) -> Result<(), String> {
        take_down::take_down(&self.client, &state.run, &state.found, &state.objects)
            .await
            .map_err(|error| chain(&error))
    }
}

/// The way to a Service's first port through the API server.
fn behind(service: Service) -> Option<String> {
    let port = service.spec?.ports?.first()?.port;
    let (namespace, name) = (service.metadata.namespace?, service.metadata.name?);
    Some(format!("/api/v1/namespaces/{namespace}/services/{name}:{port}/proxy"))
}

/// What was begun and is not yet a world: whoever gives up the way up takes this down.
#[derive(Default)]
pub struct Begun(Mutex<Option<(Ground, State)>>);

impl Begun {
    pub(super) fn set(&self, begun: Option<(Ground, State)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = begun;
    }

    /// Deletes it, where there is something.
    pub async fn take_down(&self) -> Result<(), String> {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((ground, state)) = begun else { return Ok(()) };
        ground.delete(&state).await?;
        heal::forget(&ground, &state.run)
    }
}
