//! Worlds that stay up: `up`, `apply`, `ls`, `logs`, `down`, `heal`, `clean`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use meshquake_xds::object::Object;
use meshquake_xds::source::Place;
use serde_json::json;

use super::cluster::Where;
use super::print::{answer, fail, progress_look, tell};
use super::{Which, on_cluster, reports};
use crate::backend::cluster::Begun;
use crate::backend::cluster::provision;
use crate::backend::cluster::settings::Settings;
use crate::backend::local::own::status::Status;
use crate::backend::local::{dirs::Dirs, verbs, worlds};
use crate::backend::objects::FIELD_MANAGER;
use crate::backend::{self, Backend, Choice, Site};
use crate::problem::{self, Problems};
use crate::run::{self, chain, stop::Stop};
use crate::verdict::Exit;
use crate::world::{Layout, Renderer, World};
use crate::yaml;

/// How long the proxies may take to acknowledge a change.
const CONVERGE_LIMIT: Duration = Duration::from_secs(30);
const DOWN_LIMIT: Duration = Duration::from_secs(15);
/// What became of the world when an object was refused.
const NOTHING_CHANGED: &str = "nothing was changed";

#[derive(Args)]
pub struct Up {
    /// A world's folder, or its bare name
    #[arg(value_name = "WORLD")]
    world: String,
    /// A variant of the world, from its `overlays/`
    #[arg(long, value_name = "NAME")]
    overlay: Option<String>,
    /// In which namespaces it lies: `single`, as it is written, or `per-service`, each app in one of its own
    #[arg(long, value_name = "LAYOUT", default_value_t)]
    layout: Layout,
    #[command(flatten)]
    place: Where,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

impl Up {
    pub async fn execute(self) -> Exit {
        let here = Place::new("command line", 1);
        let overlay = self.overlay.as_deref();
        let world = match World::laid(self.layout, &self.world, overlay, Path::new("."), &here) {
            Ok(world) => world,
            Err(problems) => return refused(&problems, problem::NOTHING_STARTED),
        };
        if let Renderer::Kubectl = world.rendered_by {
            tell(
                "note: this world uses more of kustomize than meshquake does itself; it was rendered by kubectl",
            );
        }
        let stop = Stop::default();
        if let Err(error) = stop.on_signals() {
            return fail(Exit::INTERNAL, &format!("signals cannot be handled: {error}"));
        }
        let (choice, settings) = match self.place.resolve() {
            Ok(place) => place,
            Err(exit) => return exit,
        };
        let begun = Begun::default();
        match stop.unless(self.raise(&world, &choice, &settings, &begun)).await {
            // Dropping it gave up the supervisor's input, so what was begun goes down again. A cluster has none.
            None => match begun.take_down().await {
                Ok(()) => stop.reason().map_or(Exit::INTERNAL, |cause| fail(cause.kind.exit(), &cause.text)),
                Err(why) => fail(Exit::INTERNAL, &format!("what was begun could not be taken down: {why}")),
            },
            Some(Ok(())) => Exit::HELD,
            Some(Err(why)) => fail(Exit::WORLD_NOT_UP, &why),
        }
    }

    async fn raise(
        &self,
        world: &World,
        choice: &Choice,
        settings: &Settings,
        begun: &Begun,
    ) -> Result<(), String> {
        let images = backend::build(choice, world, |text| tell(&text)).await?;
        let kept = run::folder::default_root().join("../up");
        let site = Site {
            world,
            images: &images,
            folder: &kept,
            on_localhost: true,
            settings,
            workers: false,
            begun,
        };
        let backend = Backend::up(choice, site, &|text| tell(&text)).await.map_err(|error| not_up(&error))?;
        let facts = backend.facts();
        backend.release().await?;
        let id = backend.id();
        if self.json {
            answer(&json!({"run": id, "world": world.name, "urls": facts.urls, "pods": facts.pods, "took-ms": facts.took_ms}).to_string());
        } else {
            let took = crate::report::numbers::millis(facts.took_ms as f64);
            tell(&format!(
                "{} is up as `{id}`: {} pods, {} sidecars, in {took}",
                world.name, facts.pods, facts.sidecars
            ));
            facts.urls.iter().for_each(|url| answer(url));
            tell(&format!("take it down with `meshquake down --run {id}{}`", choice.words()));
            on_cluster::stays(choice, settings);
        }
        Ok(())
    }
}

/// Why a world did not come up, with the end of each log that says something new.
fn not_up(error: &backend::NotUp) -> String {
    let mut text = error.to_string();
    for file in &error.collected {
        let new = file.tail.iter().filter(|line| !text.contains(line.trim())).cloned().collect::<Vec<_>>();
        if !new.is_empty() {
            text += &format!("\n{}:\n{}", file.path, new.join("\n"));
        }
    }
    text
}

#[derive(Args)]
pub struct Apply {
    /// A file of objects, `-` for standard input
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Delete the objects instead
    #[arg(long)]
    delete: bool,
    /// Take over fields that somebody else manages
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    place: Where,
}

impl Apply {
    pub async fn execute(self) -> Exit {
        let objects = match self.objects() {
            Ok(objects) => objects,
            Err(problems) => return refused(&problems, NOTHING_CHANGED),
        };
        match self.place.resolve() {
            Ok((Choice::Local, _)) => {}
            Ok((choice, settings)) => {
                let change = on_cluster::Change { objects: &objects, delete: self.delete, force: self.force };
                return on_cluster::apply(&choice, &settings, self.which.run.as_deref(), change).await;
            }
            Err(exit) => return exit,
        }
        let world = match worlds::choose(self.which.run.as_deref()).await {
            Ok(world) => world,
            Err(why) => return fail(Exit::USAGE, &why),
        };
        let done = if self.delete {
            world.verbs.delete(&objects, FIELD_MANAGER).await
        } else {
            world.verbs.apply(&objects, FIELD_MANAGER, self.force).await.map(|()| vec![])
        };
        let absent = match done {
            Ok(absent) => absent,
            Err(verbs::Error::Refused(problems)) => return refused(&problems, NOTHING_CHANGED),
            Err(error) => return fail(Exit::REFUSED, &chain(&error)),
        };
        if let Err(error) = world.verbs.converged(CONVERGE_LIMIT).await {
            return fail(Exit::INTERNAL, &chain(&error));
        }
        for title in objects.iter().map(Object::title) {
            match (self.delete, absent.contains(&title)) {
                (false, _) => answer(&format!("applied {title}")),
                (true, false) => answer(&format!("deleted {title}")),
                (true, true) => tell(&format!("{title} was not there")),
            }
        }
        Exit::HELD
    }

    fn objects(&self) -> Result<Vec<Object>, Problems> {
        let mut objects = Vec::new();
        let mut problems = Problems::default();
        for file in &self.files {
            let read = if file.as_os_str() == "-" {
                let place = Place::new("standard input", 1);
                std::io::read_to_string(std::io::stdin())
                    .map_err(|error| Problems(vec![problem::Problem::new(&place, error.to_string())]))
                    .and_then(|text| yaml::parse(&text, "standard input"))
            } else {
                yaml::read(file, &file.display().to_string())
            };
            match read {
                Ok(nodes) => objects.extend(nodes.iter().map(yaml::Node::to_object)),
                Err(found) => problems.extend(found),
            }
        }
        problems.into_result(objects)
    }
}

#[derive(Args)]
pub struct Ls {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

impl Ls {
    pub async fn execute(self) -> Exit {
        let worlds = match worlds::up() {
            Ok(worlds) => worlds,
            Err(why) => return fail(Exit::INTERNAL, &why),
        };
        let mut all = Vec::new();
        for world in &worlds {
            match world.status().await {
                Ok(status) => all.push(status),
                Err(why) => tell(&format!("world {} does not answer: {why}", world.header.run)),
            }
        }
        let (on_clusters, failed) = match self.on_clusters().await {
            Ok(found) => found,
            Err(exit) => return exit,
        };
        if self.json {
            let local = all.iter().map(|status| json!(status));
            let all = local.chain(on_clusters.into_iter().map(|(value, _)| value)).collect::<Vec<_>>();
            answer(&serde_json::to_string_pretty(&all).unwrap_or_default());
        } else if all.is_empty() && on_clusters.is_empty() {
            tell("no world is up; `meshquake up WORLD` brings one up");
        } else {
            all.iter().for_each(|status| answer(&listed(status)));
            on_clusters.iter().for_each(|(_, text)| answer(text));
        }
        if failed {
            return Exit::INTERNAL;
        }
        Exit::HELD
    }
}

impl Ls {
    /// Worlds on the cluster that is named, else on those that meshquake has made; whether one that is named failed.
    async fn on_clusters(&self) -> Result<(Vec<(serde_json::Value, String)>, bool), Exit> {
        let (choice, settings) = self.place.resolve()?;
        let named = choice != Choice::Local;
        let choices = if named { vec![choice] } else { vec![Choice::Kind, Choice::K3d] };
        let (mut found, mut failed) = (Vec::new(), false);
        for choice in choices {
            match on_cluster::ls(&choice, &settings).await {
                Ok(worlds) => found.extend(worlds),
                // Nobody asked for it: a machine without kind has no worlds on it.
                Err(_) if !named => {}
                Err(why) => {
                    tell(&format!("error: {why}"));
                    failed = true;
                }
            }
        }
        Ok((found, failed))
    }
}

fn listed(status: &Status) -> String {
    let urls = status.urls.values().flatten().cloned().collect::<Vec<_>>().join("  ");
    let mut text = format!("{}  {}  {urls}", status.run, status.world);
    for pod in &status.pods {
        let state = match (pod.ending, pod.ready) {
            (true, _) => "ending".to_owned(),
            (_, true) => "ready".to_owned(),
            (_, false) => format!("not ready: {}", pod.why),
        };
        let restarts = match pod.app_restarts + pod.sidecar_restarts {
            0 => String::new(),
            count => format!("  {count} restarts"),
        };
        let address = pod.address.as_deref().unwrap_or("–");
        text += &format!("\n  {:<44} {address:<16} {state}{restarts}", pod.name);
    }
    for refused in &status.refused {
        text += &format!("\n  refused by Envoy: {refused}");
    }
    text
}

#[derive(Args)]
pub struct Logs {
    /// A pod, or the beginning of its name
    #[arg(value_name = "POD")]
    pod: String,
    /// Go on as the pod writes
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines
    #[arg(long, value_name = "N")]
    tail: Option<i64>,
    /// The app, or `istio-proxy` for its sidecar
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    place: Where,
}

impl Logs {
    fn params(&self) -> LogParams {
        LogParams {
            follow: self.follow,
            tail_lines: self.tail,
            container: self.container.clone(),
            ..LogParams::default()
        }
    }

    pub async fn execute(self) -> Exit {
        match self.place.resolve() {
            Ok((Choice::Local, _)) => {}
            Ok((choice, settings)) => {
                let which = on_cluster::Which { run: self.which.run.as_deref(), pod: &self.pod };
                return on_cluster::logs(&choice, &settings, which, self.params()).await;
            }
            Err(exit) => return exit,
        }
        let world = match worlds::choose(self.which.run.as_deref()).await {
            Ok(world) => world,
            Err(why) => return fail(Exit::USAGE, &why),
        };
        let status = match world.status().await {
            Ok(status) => status,
            Err(why) => return fail(Exit::INTERNAL, &why),
        };
        let fits = |pod: &&_| {
            let pod: &crate::backend::local::own::status::Pod = pod;
            pod.name.starts_with(&self.pod)
        };
        let Some(pod) = status.pods.iter().find(fits) else {
            let names = status.pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>();
            let near = problem::nearest(&self.pod, names.iter().copied());
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return fail(
                Exit::USAGE,
                &format!("no pod `{}`{near}\n  pods are: {}", self.pod, names.join(", ")),
            );
        };
        let pods: Api<Pod> = Api::namespaced(world.verbs.client(), &pod.namespace);
        let lines = match pods.log_stream(&pod.name, &self.params()).await {
            Ok(stream) => stream.lines(),
            Err(error) => return fail(Exit::USAGE, &chain(&error)),
        };
        let printed = lines.try_for_each(|line| async move {
            answer(&line);
            Ok(())
        });
        tokio::select! {
            printed = printed => match printed {
                Ok(()) => Exit::HELD,
                Err(error) => fail(Exit::INTERNAL, &chain(&error)),
            },
            _ = tokio::signal::ctrl_c() => Exit::INTERRUPTED,
        }
    }
}

#[derive(Args)]
pub struct Down {
    #[command(flatten)]
    which: Which,
    /// All worlds that are up
    #[arg(long, conflicts_with = "run")]
    all: bool,
    #[command(flatten)]
    place: Where,
    /// The kind or k3d cluster that meshquake made, with all that is in it
    #[arg(long, conflicts_with_all = ["run", "all"])]
    cluster: bool,
}

impl Down {
    pub async fn execute(self) -> Exit {
        if self.cluster {
            return self.cluster().await;
        }
        match self.place.resolve() {
            Ok((Choice::Local, _)) => {}
            Ok((choice, settings)) => {
                return on_cluster::down(&choice, &settings, self.which.run.as_deref(), self.all).await;
            }
            Err(exit) => return exit,
        }
        let chosen = if self.all {
            worlds::up()
        } else {
            worlds::choose(self.which.run.as_deref()).await.map(|world| vec![world])
        };
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(why) => return fail(Exit::USAGE, &why),
        };
        for world in chosen {
            let told = world.verbs.down().await.map_err(|error| chain(&error));
            let gone = match told {
                Ok(()) => worlds::gone(&world.verbs, DOWN_LIMIT).await,
                Err(why) => Err(why),
            };
            match gone {
                Ok(()) => answer(&format!("{} ({}) is down", world.header.run, world.header.world)),
                Err(why) => return fail(Exit::INTERNAL, &why),
            }
        }
        Exit::HELD
    }
}

impl Down {
    /// Of the backend that is named, else whichever there is.
    async fn cluster(&self) -> Exit {
        let (choice, settings) = match self.place.resolve() {
            Ok(place) => place,
            Err(exit) => return exit,
        };
        let choices = match choice {
            Choice::Local => vec![Choice::Kind, Choice::K3d],
            Choice::Kind | Choice::K3d => vec![choice],
            Choice::Context { .. } => {
                return fail(Exit::USAGE, "a cluster that meshquake did not make is not removed by it");
            }
        };
        let several = choices.len() > 1;
        let mut removed = false;
        for choice in choices {
            match provision::remove(&choice, &settings, &|text| tell(&text)).await {
                Ok(true) => {
                    removed = true;
                    answer(&format!("the {} cluster `{}` is gone", choice.name(), settings.cluster.name));
                }
                Ok(false) => {}
                // Where nobody said which, one may have only one of the tools.
                Err(provision::Error::Tool(tool)) if several && tool.is_missing() => {}
                Err(error) => return fail(Exit::INTERNAL, &chain(&error)),
            }
        }
        if !removed {
            answer("there is no cluster of that name");
        }
        Exit::HELD
    }
}

#[derive(Args)]
pub struct Heal {
    #[command(flatten)]
    place: Where,
}

impl Heal {
    pub async fn execute(self) -> Exit {
        match self.place.resolve() {
            Ok((Choice::Local, _)) => {}
            Ok((choice, settings)) => return on_cluster::heal(&choice, &settings).await,
            Err(exit) => return exit,
        }
        let (healed, unreadable) = match worlds::heal().await {
            Ok(found) => found,
            Err(why) => return fail(Exit::INTERNAL, &why),
        };
        healed.iter().for_each(|one| answer(&one.to_string()));
        unreadable.iter().for_each(|why| tell(why));
        if healed.is_empty() && unreadable.is_empty() {
            answer("nothing to heal");
        }
        let failed = healed.iter().any(|one| one.outcome.is_err()) || !unreadable.is_empty();
        if failed { Exit::UNDO_FAILED } else { Exit::HELD }
    }
}

#[derive(Args)]
pub struct Clean {
    /// How many runs to keep
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_runs: usize,
    /// Where runs are written
    #[arg(long, value_name = "FOLDER")]
    reports: Option<PathBuf>,
    /// Also the programs taken from their wheels
    #[arg(long)]
    cache: bool,
}

impl Clean {
    pub fn execute(self) -> Exit {
        let root = reports(&self.reports);
        match run::folder::prune(&root, self.keep_runs) {
            Ok(removed) => answer(&format!("removed {} runs from {}", removed.len(), root.display())),
            Err(error) => return fail(Exit::INTERNAL, &format!("{}: {error}", root.display())),
        }
        if self.cache {
            let cache = match Dirs::from_env().and_then(|dirs| dirs.cache()) {
                Ok(cache) => cache,
                Err(error) => return fail(Exit::INTERNAL, &chain(&error)),
            };
            if let Err(error) = std::fs::remove_dir_all(&cache) {
                return fail(Exit::INTERNAL, &format!("{}: {error}", cache.display()));
            }
            answer(&format!("removed {}", cache.display()));
        }
        Exit::HELD
    }
}

fn refused(problems: &Problems, consequence: &str) -> Exit {
    tell(problem::render(problems, consequence, progress_look().colour).trim_end());
    Exit::REFUSED
}
