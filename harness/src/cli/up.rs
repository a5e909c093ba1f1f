//! `meshquake up`: a world that stays up.

use std::path::Path;

use clap::Args;
use meshquake_xds::source::Place;
use serde_json::json;

use super::cluster::Where;
use super::on_cluster;
use super::print::{answer, fail, refused, tell};
use crate::backend::cluster::Begun;
use crate::backend::cluster::settings::Settings;
use crate::backend::{self, Backend, Choice, Site};
use crate::problem::{self};
use crate::run::{self, stop::Stop};
use crate::verdict::Exit;
use crate::world::{Layout, Renderer, World};

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
        let (choice, settings) = match self.place.resolve() {
            Ok(place) => place,
            Err(exit) => return exit,
        };
        let laid = World::laid(self.layout, &self.world, overlay, Path::new("."), &here);
        let laid = laid.map_err(|problems| choice.minds(problems));
        let world = match laid.and_then(|world| choice.bears(&world).map(|()| world)) {
            Ok(world) => world,
            Err(problems) => return refused(&problems, problem::NOTHING_STARTED),
        };
        let doubts = world.warnings().chain(choice.leaves_unnamed(&world));
        doubts.for_each(|warning| tell(&format!("warning: {warning}")));
        if let Renderer::Kubectl = world.rendered_by {
            tell(
                "note: this world uses more of kustomize than meshquake does itself; it was rendered by kubectl",
            );
        }
        let stop = Stop::default();
        if let Err(error) = stop.on_signals() {
            return fail(Exit::INTERNAL, &format!("signals cannot be handled: {error}"));
        }
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
        let kept = run::folder::home().join("up");
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
            let steps = facts.steps.into_iter().map(|(name, took)| (name, json!(took)));
            let steps: serde_json::Map<_, _> = steps.collect();
            answer(&json!({"run": id, "world": world.name, "urls": facts.urls, "pods": facts.pods, "took-ms": facts.took_ms, "steps-ms": steps}).to_string());
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
