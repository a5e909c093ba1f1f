//! The worlds of this user on this machine: which are up, which died without cleaning up, and how that is healed.

use std::path::PathBuf;
use std::time::Duration;

use super::dirs::Dirs;
use super::journal::{Header, Journal, Reading};
use super::own::status::Status;
use super::start::socket_of;
use super::verbs::Verbs;
use super::warden::{self, Task};
use crate::error::chain;
use crate::wait::{self, Seen};

/// A world that is up.
pub struct World {
    pub header: Header,
    pub verbs: Verbs,
}

impl World {
    pub async fn status(&self) -> Result<Status, String> {
        self.verbs.status().await.map_err(|error| chain(&error))
    }
}

/// What was found of a world whose supervisor is dead.
#[derive(Debug)]
pub struct Healed {
    pub run: String,
    pub world: String,
    pub processes: usize,
    pub outcome: Result<(), String>,
}

impl std::fmt::Display for Healed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Healed { run, world, processes, outcome } = self;
        match outcome {
            Ok(()) => write!(
                f,
                "healed {run} ({world}): its supervisor was gone; {processes} processes ended, its folder removed"
            ),
            Err(why) => write!(f, "could not heal {run} ({world}): {why}"),
        }
    }
}

fn readings() -> Result<(Vec<Reading>, Vec<String>), String> {
    let runs = Dirs::from_env().and_then(|dirs| dirs.runs()).map_err(|error| chain(&error))?;
    let (readings, unreadable) = Journal::open_all(&runs).map_err(|error| chain(&error))?;
    Ok((readings, unreadable.iter().map(|one| chain(&one.error)).collect()))
}

/// All worlds that are up, in the order of their ids.
pub fn up() -> Result<Vec<World>, String> {
    let (readings, _) = readings()?;
    let alive = readings.into_iter().filter(Reading::owner_alive);
    Ok(alive
        .map(|reading| World {
            verbs: Verbs::new(&socket_of(&reading.header.runtime_dir)),
            header: reading.header,
        })
        .collect())
}

/// How many supervisors are gone without having cleaned up.
pub fn dead() -> Result<usize, String> {
    Ok(readings()?.0.iter().filter(|reading| !reading.owner_alive()).count())
}

/// The world that is meant: by its id, or the only one.
pub async fn choose(id: Option<&str>) -> Result<World, String> {
    let mut worlds = up()?;
    let known = worlds.iter().map(|world| format!("{} ({})", world.header.run, world.header.world));
    let known = known.collect::<Vec<_>>().join(", ");
    match id.filter(|id| !id.is_empty()) {
        Some(id) => {
            let found = worlds.iter().position(|world| world.header.run == id);
            let none =
                || if known.is_empty() { "none is up".into() } else { format!("those that are up: {known}") };
            found
                .map(|index| worlds.swap_remove(index))
                .ok_or_else(|| format!("no world `{id}` is up; {}", none()))
        }
        None => match worlds.len() {
            1 => Ok(worlds.swap_remove(0)),
            0 => Err("no world is up; `meshquake up WORLD` brings one up".into()),
            _ => Err(format!("several worlds are up, so say which by `--run ID`: {known}")),
        },
    }
}

/// Cleans up after every supervisor that is gone. Those that live are left alone.
pub async fn heal() -> Result<(Vec<Healed>, Vec<String>), String> {
    let (readings, unreadable) = readings()?;
    let mut healed = Vec::new();
    for reading in readings.iter().filter(|reading| !reading.owner_alive()) {
        healed.extend(heal_one(reading).await);
    }
    Ok((healed, unreadable))
}

/// `None` where somebody else is healing it.
async fn heal_one(reading: &Reading) -> Option<Healed> {
    let header = &reading.header;
    let healed = |processes, outcome| Healed {
        run: header.run.clone(),
        world: header.world.clone(),
        processes,
        outcome,
    };
    let journal = match reading.heal() {
        Ok(journal) => journal?,
        Err(error) => return Some(healed(0, Err(chain(&error)))),
    };
    let task = Task {
        run: header.run.clone(),
        journal: reading.path.clone(),
        runtime_dir: header.runtime_dir.clone(),
    };
    let ended = match warden::clean_up(&task).await {
        Ok(ended) => ended.len(),
        Err(error) => return Some(healed(0, Err(chain(&error)))),
    };
    Some(healed(ended, close(&journal)))
}

/// The objects that open undos speak of were in the supervisor's memory: they are gone with it.
fn close(journal: &Journal) -> Result<(), String> {
    for (intent, _) in journal.open_intents() {
        journal.done(intent).map_err(|error| chain(&error))?;
    }
    journal.close().map_err(|error| chain(&error))
}

/// [`heal`] beside whatever else is going on; what it did, in words.
pub async fn heal_dead() -> Vec<String> {
    match heal().await {
        Ok((healed, unreadable)) => healed.iter().map(ToString::to_string).chain(unreadable).collect(),
        Err(why) => vec![why],
    }
}

/// Waits until a world that was told to end has ended.
pub async fn gone(verbs: &Verbs, limit: Duration) -> Result<(), String> {
    let socket: PathBuf = verbs.socket().to_owned();
    let gone = wait::until("the world gone", limit, async || match up() {
        Ok(worlds) if worlds.iter().all(|world| world.verbs.socket() != socket) => Seen::Done(()),
        Ok(_) => Seen::NotYet("its supervisor still runs".into()),
        Err(why) => Seen::NotYet(why),
    });
    gone.await.map_err(|error| error.to_string())
}
