//! `meshquake down`: a world ends, or the cluster under it.

use std::time::Duration;

use clap::Args;

use super::cluster::Where;
use super::print::{answer, fail, tell};
use super::{Which, on_cluster};
use crate::backend::Choice;
use crate::backend::cluster::provision;
use crate::backend::local::worlds;
use crate::error::chain;
use crate::verdict::Exit;

const DOWN_LIMIT: Duration = Duration::from_secs(15);

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
