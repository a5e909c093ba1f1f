//! The pinning world by the library, for what is measured inside it: up, measured, and down again whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use meshquake_xds::source::Place;
use tokio::sync::mpsc;

use super::{Bench, Error};
use crate::backend::cluster::{Begun, Ground, RUN};
use crate::backend::local::verbs::Verbs;
use crate::backend::local::worlds;
use crate::backend::{self, Backend, Images, Site};
use crate::event::Record;
use crate::nearby;
use crate::problem;
use crate::run::{self, Finished, Options};
use crate::scenario::{self, Scenario};
use crate::wait::{self, Seen};
use crate::world::World;

pub const WORLD: &str = "pinning";
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the end of an earlier world may take.
const ENDING: Duration = Duration::from_secs(120);

/// A world that is up, and how long that took.
pub struct Up {
    pub backend: Backend,
    pub took: Duration,
}

/// The pinning world as it is written, or with this many pods of each Deployment.
pub fn world(pods: Option<u32>) -> Result<World, Error> {
    let place = Place::new("bench", 1);
    let refused = |problems| Error::Failed(problem::plain(&problems));
    let mut world = World::load(WORLD, None, Path::new("."), &place).map_err(refused)?;
    if let Some(pods) = pods {
        let apps: BTreeSet<String> =
            world.deployments().iter().map(|deployment| deployment.app().to_owned()).collect();
        let replicas: BTreeMap<_, _> = apps.into_iter().map(|app| (app, (pods, place.clone()))).collect();
        world.set_replicas(&replicas).map_err(refused)?;
    }
    Ok(world)
}

/// Brings a world up, measures in it, and takes it down.
pub async fn within<T>(
    bench: &Bench<'_>,
    world: &World,
    images: &Images,
    workers: bool,
    measure: impl AsyncFnOnce(&Up) -> Result<T, Error>,
) -> Result<T, Error> {
    clear(bench).await?;
    let begun = Begun::default();
    let site = Site {
        world,
        images,
        folder: bench.folder,
        on_localhost: false,
        settings: &bench.plan.settings,
        workers,
        begun: &begun,
    };
    let began = Instant::now();
    let raised = bench.stop.unless(Backend::up(&bench.plan.choice, site, bench.tell)).await;
    let backend = match raised {
        Some(Ok(backend)) => backend,
        Some(Err(error)) => return Err(Error::Failed(error.to_string())),
        None => {
            begun.take_down().await.map_err(Error::Failed)?;
            return Err(Error::Stopped);
        }
    };
    let up = Up { backend, took: began.elapsed() };
    let measured = bench.unless_stopped(measure(&up)).await;
    let down = up.backend.down().await.map_err(Error::Failed);
    let measured = measured?;
    down.map(|()| measured)
}

/// The way to the supervisor of a local world.
pub async fn verbs(backend: &Backend) -> Result<Verbs, Error> {
    worlds::choose(Some(backend.id())).await.map(|world| world.verbs).map_err(Error::Failed)
}

/// The supervisor of a local world, as a process.
pub async fn supervisor(backend: &Backend) -> Result<u32, Error> {
    Ok(verbs(backend).await?.status().await.map_err(Error::of)?.supervisor)
}

/// Runs a scenario as the library does, and gives all that it told. It ends by itself when it is asked to, and takes
/// down what it began.
pub async fn run(bench: &Bench<'_>, scenario: &Scenario) -> Result<(Finished, Vec<Record>), Error> {
    let settings = bench.plan.settings.clone();
    let reports = bench.folder.join("runs");
    let options = Options { settings, reports, ..Options::on(bench.plan.choice.clone()) };
    let (listener, mut told) = mpsc::unbounded_channel();
    let finished = run::run(scenario, &options, bench.stop, Some(listener)).await.map_err(Error::of)?;
    if bench.stop.is_asked() {
        return Err(Error::Stopped);
    }
    let records = std::iter::from_fn(|| told.try_recv().ok()).collect();
    Ok((finished, records))
}

/// A scenario of the repository.
pub fn scenario(name: &str) -> Result<Scenario, Error> {
    let path = scenario::find(name).map_err(Error::Failed)?;
    Scenario::from_file(&path).map_err(|problems| Error::Failed(problem::plain(&problems)))
}

/// Who asks the world: nothing comes between, and nothing is waited for without end.
pub fn client() -> Result<reqwest::Client, Error> {
    nearby::client().timeout(ANSWER).build().map_err(Error::of)
}

/// The programs of a world, built and found before the clock starts.
pub async fn build(bench: &Bench<'_>, world: &World) -> Result<Images, Error> {
    backend::build(&bench.plan.choice, world, |text| (bench.tell)(text)).await.map_err(Error::Failed)
}

/// Waits until nothing of an earlier world is still on its way out: its end is not our time.
pub async fn clear(bench: &Bench<'_>) -> Result<(), Error> {
    if !bench.on_cluster() {
        return Ok(());
    }
    let ground = Ground::find(&bench.plan.choice, &bench.plan.settings).await.map_err(Error::Failed)?;
    let Some(ground) = ground else { return Ok(()) };
    let namespaces: Api<Namespace> = Api::all(ground.client);
    let ending = wait::until("the end of an earlier world", ENDING, async || {
        match namespaces.list_metadata(&ListParams::default().labels(RUN)).await {
            Ok(found) => {
                let ending = found.iter().filter(|one| one.metadata.deletion_timestamp.is_some());
                let names = ending.map(ResourceExt::name_any).collect::<Vec<_>>().join(", ");
                if names.is_empty() { Seen::Done(()) } else { Seen::NotYet(format!("{names} is ending")) }
            }
            Err(error) => Seen::NotYet(error.to_string()),
        }
    });
    bench.unless_stopped(async { ending.await.map_err(Error::of) }).await
}
