//! `meshquake apply`: objects of a person's into a world that is up, or out of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use meshquake_xds::object::Object;
use meshquake_xds::source::Place;

use super::cluster::Where;
use super::print::{answer, fail, refused, tell};
use super::{Which, on_cluster};
use crate::backend::Choice;
use crate::backend::local::{verbs, worlds};
use crate::backend::objects::FIELD_MANAGER;
use crate::error::chain;
use crate::problem::{self, Problems};
use crate::verdict::Exit;
use crate::yaml;

/// How long the proxies may take to acknowledge a change.
const CONVERGE_LIMIT: Duration = Duration::from_secs(30);
/// What became of the world when an object was refused.
const NOTHING_CHANGED: &str = "nothing was changed";

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
