//! The way up: everything is looked at first; what then fails on the way is looked into and taken down again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::ground::Ground;
use super::handle::{Ascent, Cluster, journal, whose};
use super::image::Wanted;
use super::kinds::Kinds;
use super::provision::Step;
use super::state::{self, Owner, State};
use super::world::{self, Placed};
use super::{apply, collect, converged, heal, knows, load, ready};
use crate::backend::local::journal::Journal;
use crate::backend::local::start;
use crate::backend::objects::{ObjectRef, Objects};
use crate::backend::{Choice, NotUp, Site};
use crate::error::chain;

/// How long a world may take until all of it is ready: images may have to be pulled.
const READY_LIMIT: Duration = Duration::from_secs(180);
/// How long the proxies may take then to know each other.
const KNOWN_LIMIT: Duration = Duration::from_secs(30);

type Tell<'t> = &'t (dyn Fn(String) + Sync);

impl Cluster {
    pub async fn up(choice: &Choice, site: Site<'_>, tell: Tell<'_>) -> Result<Self, NotUp> {
        let began = Instant::now();
        let not_up = |why: String| NotUp { why, collected: vec![] };
        // Known before anything is made: the load needs it.
        let program = start::program().map_err(|error| not_up(chain(&error)))?;
        let beside = load::is_built_beside(&site.world.folder);
        let images = load::with_worker(&site.world.images, site.workers && beside);
        let own = (site.workers && !beside).then_some((load::IMAGE, program.as_path()));
        let wanted = Wanted { folder: &site.world.folder, images: &images, built: site.images, own };
        let furnished = Ground::furnish(choice, site.settings, wanted, tell).await;
        let (ground, images, mut steps) = furnished.map_err(not_up)?;
        steps.push(Step::new("cluster and images", began));
        let world = Prepared::look(ground, &site, &images, tell).await.map_err(not_up)?;
        let (ground, state, gateways) =
            (world.ground.clone(), world.state.clone(), converged::gateways(&world.placed.objects));
        site.begun.set(Some((ground.clone(), state.clone())));
        let mut why = match world.raise(program, began, steps, tell).await {
            Ok(cluster) => {
                site.begun.set(None);
                return Ok(cluster);
            }
            Err(why) => why,
        };
        let collected = collect::collect(&ground, &whose(&state, &gateways), site.folder).await;
        // Whoever reads the error finds the cluster as it was before.
        if let Err(error) = site.begun.take_down().await {
            why += &format!("\nand what was begun could not be taken down: {error}");
        }
        Err(NotUp { why, collected })
    }
}

/// A world before anything of it is in the cluster.
struct Prepared {
    ground: Ground,
    placed: Placed,
    survey: apply::Survey,
    state: State,
    journal: Journal,
}

impl Prepared {
    /// Looks at all that could stand in the way, and writes down that there will be something to take down.
    async fn look(
        ground: Ground,
        site: &Site<'_>,
        images: &BTreeMap<String, String>,
        tell: Tell<'_>,
    ) -> Result<Self, String> {
        heal::before_up(&ground, tell).await?;
        let run = start::run_id();
        let kinds =
            Kinds::of(&ground.client, &site.world.objects).await.map_err(|error| error.to_string())?;
        let placed = world::place(site.world, images, &run, &ground.injection, &kinds);
        let survey = apply::survey(&ground.client, &placed, &ground.injection);
        let mut survey = survey.await.map_err(|error| chain(&error))?;
        if !survey.ending.is_empty() {
            tell(format!("waiting for the end of namespace {}", survey.ending.join(", ")));
            apply::gone(&ground.client, &survey.ending).await.map_err(|error| chain(&error))?;
            survey.ending.clear();
        }
        let state = State {
            run: run.clone(),
            world: site.world.name.clone(),
            started: jiff::Timestamp::now().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            namespaces: placed.namespaces.clone(),
            workloads: placed.workloads.iter().cloned().collect(),
            found: survey.found.clone(),
            objects: made_where_found(&placed, &survey.found),
            owner: Owner::of_self().map_err(|error| error.to_string())?,
            worker: images.get(load::IMAGE).cloned(),
            complete: false,
            kept: false,
        };
        let journal = journal(&ground, &run, &state.world)?;
        Ok(Self { ground, placed, survey, state, journal })
    }

    async fn raise(
        self,
        program: PathBuf,
        began: Instant,
        mut steps: Vec<Step>,
        tell: Tell<'_>,
    ) -> Result<Cluster, String> {
        let Self { ground, placed, survey, mut state, journal } = self;
        let (client, objects) = (&ground.client, Objects::new(ground.client.clone()));
        let since = Instant::now();
        apply::namespaces(&objects, &placed, &survey).await.map_err(|error| chain(&error))?;
        state::create(client, &state).await.map_err(|error| chain(&error))?;
        apply::objects(&objects, &placed).await.map_err(|error| chain(&error))?;
        let gateways = converged::gateways(&placed.objects);
        let whose = whose(&state, &gateways);
        // Written before the pods come up, the marker is in the first that their proxies get.
        let first = format!("{}-up", state.run);
        let written = converged::write(client, &whose, &gateways, &first);
        written.await.map_err(|error| chain(&error))?;
        steps.push(Step::new("objects applied", since));
        let since = Instant::now();
        let ready = ready::ready(client, &state.namespaces, &state.run, READY_LIMIT, tell);
        ready.await.map_err(|error| chain(&error))?;
        steps.push(Step::new("pods ready", since));
        let since = Instant::now();
        let known = async { knows::wait(client, &whose, KNOWN_LIMIT).await.map_err(|error| chain(&error)) };
        let converged = async {
            converged::reached(client, &whose, &first, KNOWN_LIMIT).await.map_err(|error| chain(&error))
        };
        tokio::try_join!(known, converged)?;
        steps.push(Step::new("proxies know each other", since));
        state.complete = true;
        state::update(client, &state).await.map_err(|error| chain(&error))?;
        let (key, ascent) = (state.run.clone(), Ascent { took: began.elapsed(), steps });
        Cluster::at(ground, state, journal, key, program, Some(ascent)).await
    }
}

/// The world's objects that do not go with their namespace.
fn made_where_found(placed: &Placed, found: &[String]) -> Vec<ObjectRef> {
    let objects = placed.objects.iter().map(ObjectRef::of);
    objects.filter(|object| object.namespace.is_empty() || found.contains(&object.namespace)).collect()
}
