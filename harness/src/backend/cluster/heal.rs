//! Takes back what runs that died have left on a cluster, by their journals on this disk and by the copies in the
//! cluster, and shows what each object was, what was found, and what it is now.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::ground::Ground;
use super::handle::Cluster;
use super::state::{self, Found, State};
use super::take_down;
use crate::backend::Backend;
use crate::backend::Undo;
use crate::backend::local::journal::{Intent, Journal, Reading};
use crate::backend::objects::{Objects, said};
use crate::error::chain;

/// What was found of one run, and what became of it.
#[derive(Debug)]
pub struct Healed {
    pub run: String,
    pub world: String,
    pub compared: Vec<Compared>,
    /// What else is to be said of it.
    pub remarks: Vec<String>,
    pub outcome: Result<(), String>,
}

/// One thing that was taken back.
#[derive(Debug)]
pub struct Compared {
    pub what: String,
    /// What differed from what was before the run.
    pub found: Vec<String>,
    /// What still differs.
    pub left: Vec<String>,
    pub outcome: Result<String, String>,
}

impl fmt::Display for Healed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(()) => write!(f, "healed {} ({})", self.run, self.world)?,
            Err(why) => write!(f, "could not heal {} ({}): {why}", self.run, self.world)?,
        }
        self.compared.iter().try_for_each(|compared| write!(f, "\n{compared}"))?;
        self.remarks.iter().try_for_each(|remark| write!(f, "\n  {remark}"))
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}", self.what)?;
        match self.found.as_slice() {
            [] => write!(f, "\n    found as it was before the run")?,
            found => found.iter().try_for_each(|line| write!(f, "\n    found: {line}"))?,
        }
        match (&self.outcome, self.left.as_slice()) {
            (Err(why), _) => write!(f, "\n    now: not taken back: {why}"),
            (Ok(how), []) => write!(f, "\n    now: {how}"),
            (Ok(_), left) => left.iter().try_for_each(|line| write!(f, "\n    now still: {line}")),
        }
    }
}

/// Takes back what dead runs have left. Those that live are left alone.
pub async fn heal(ground: &Ground) -> Result<(Vec<Healed>, Vec<String>), String> {
    let folder = ground.journals().map_err(|error| chain(&error))?;
    let (readings, unreadable) = Journal::open_all(&folder).map_err(|error| chain(&error))?;
    let mut remarks = unreadable.iter().map(|one| chain(&one.error)).collect::<Vec<_>>();
    let worlds = state::all(&ground.client).await.map_err(|error| chain(&error))?;
    let mut healed = Vec::new();
    let known = readings.iter().map(|reading| reading.header.run.clone()).collect::<BTreeSet<_>>();
    for reading in readings.iter().filter(|reading| !reading.owner_alive()) {
        let run = run_of(&reading.header.run);
        let found = worlds.iter().find(|found| found.state.run == run && !found.ending);
        healed.extend(by_journal(ground, reading, found).await);
    }
    for found in worlds.iter().filter(|found| !found.ending) {
        match by_copies(ground, found, &known).await {
            Ok(one) => healed.extend(one),
            Err(remark) => remarks.push(remark),
        }
    }
    Ok((healed, remarks))
}

/// Before a world goes up, worlds that nobody will take down any more are healed and taken down.
pub async fn before_up(ground: &Ground, tell: &(dyn Fn(String) + Sync)) -> Result<(), String> {
    let (healed, remarks) = heal(ground).await?;
    healed.iter().map(ToString::to_string).chain(remarks).for_each(tell);
    for found in state::all(&ground.client).await.map_err(|error| chain(&error))? {
        if found.state.is_left_behind() && !found.ending {
            tell(format!(
                "taking down {} ({}), which a run that died has left",
                found.state.run, found.state.world
            ));
            ground.delete(&found.state).await?;
        }
    }
    Ok(())
}

/// The journal of a run that was given up in an orderly way.
pub fn forget(ground: &Ground, run: &str) -> Result<(), String> {
    let folder = ground.journals().map_err(|error| chain(&error))?;
    let (readings, _) = Journal::open_all(&folder).map_err(|error| chain(&error))?;
    for reading in readings.iter().filter(|reading| reading.header.run == run) {
        if reading.open_intents().is_empty() {
            std::fs::remove_file(&reading.path)
                .map_err(|error| format!("{}: {error}", reading.path.display()))?;
        }
    }
    Ok(())
}

/// A journal is named after the run whose world it is about, perhaps with a name of its own behind it.
fn run_of(journal: &str) -> &str {
    journal.split_once('.').map_or(journal, |(run, _)| run)
}

/// `None` where somebody else is healing it.
async fn by_journal(ground: &Ground, reading: &Reading, found: Option<&Found>) -> Option<Healed> {
    let mut healed = Healed {
        run: run_of(&reading.header.run).to_owned(),
        world: reading.header.world.clone(),
        compared: vec![],
        remarks: vec![],
        outcome: Ok(()),
    };
    let journal = match reading.heal() {
        Ok(journal) => journal?,
        Err(error) => {
            healed.outcome = Err(chain(&error));
            return Some(healed);
        }
    };
    let intents = journal.open_intents();
    match found {
        Some(found) if !intents.is_empty() => {
            let undos = intents
                .iter()
                .map(|(Intent(id), undo)| (format!("{}.{id}", reading.header.run), undo.clone()));
            match take_back(ground, &found.state, undos.collect()).await {
                Ok(compared) => healed.compared = compared,
                Err(why) => healed.outcome = Err(why),
            }
        }
        Some(_) => {}
        None => {
            // It died before it had written its state, or the world is gone and what was done to it as well.
            let gone = take_down::take_down(&ground.client, &healed.run, &[], &[]).await;
            healed.outcome = gone.map_err(|error| chain(&error));
            healed.remarks.push("its world is gone, or goes now".to_owned());
        }
    }
    let failed = healed.compared.iter().filter(|one| one.outcome.is_err() || !one.left.is_empty()).count();
    if failed > 0 {
        healed.outcome = Err(format!("{failed} of {} could not be taken back", healed.compared.len()));
    }
    if healed.outcome.is_ok() {
        let closed = intents.iter().try_for_each(|(id, _)| journal.done(*id)).and_then(|()| journal.close());
        healed.outcome = closed.map_err(|error| chain(&error));
    }
    if let Some(found) = found {
        match found.state.complete {
            true if !found.state.kept => healed.remarks.push(format!(
                "its world is still up; `meshquake down --run {}` with the same --backend takes it down",
                healed.run
            )),
            true => {}
            false => {
                let gone = ground.delete(&found.state).await;
                healed.remarks.push("its world was half up and goes down now".to_owned());
                healed.outcome = healed.outcome.and(gone);
            }
        }
    }
    Some(healed)
}

/// What only the copies in the cluster know: the disk of the run is another one, or was cleaned.
async fn by_copies(
    ground: &Ground,
    found: &Found,
    journals: &BTreeSet<String>,
) -> Result<Option<Healed>, String> {
    let journal_of = |name: &str| name.rsplit_once('.').map_or(name, |(journal, _)| journal).to_owned();
    let strangers = found.undos.iter().filter(|(name, _)| !journals.contains(&journal_of(name)));
    let (mut dead, mut elsewhere) = (Vec::new(), 0);
    for (name, copy) in strangers {
        match copy.owner.alive() {
            Some(false) => dead.push((name.clone(), copy.undo.clone())),
            Some(true) => {}
            None => elsewhere += 1,
        }
    }
    if elsewhere > 0 {
        return Err(format!(
            "{} ({}): {elsewhere} things are to be taken back by a run on {}; heal there",
            found.state.run, found.state.world, found.state.owner.host
        ));
    }
    if dead.is_empty() {
        return Ok(None);
    }
    dead.reverse();
    let compared = take_back(ground, &found.state, dead).await?;
    let failed = compared.iter().filter(|one| one.outcome.is_err() || !one.left.is_empty()).count();
    let outcome = match failed {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} could not be taken back", compared.len())),
    };
    let (run, world) = (found.state.run.clone(), found.state.world.clone());
    Ok(Some(Healed { run, world, compared, remarks: vec!["by the copy in the cluster".to_owned()], outcome }))
}

/// Takes back, last first, and compares.
async fn take_back(
    ground: &Ground,
    state: &State,
    undos: Vec<(String, Value)>,
) -> Result<Vec<Compared>, String> {
    let cluster = Cluster::attach(ground.clone(), state.clone()).await?;
    let backend = Backend::Cluster(cluster);
    let mut all = Vec::new();
    for (name, undo) in undos {
        let undo: Undo =
            serde_json::from_value(undo).map_err(|error| format!("{name} is no undo: {error}"))?;
        let found = differences(backend.objects(), &undo).await;
        let outcome = undo.take_back(&backend).await.map_err(|error| chain(&error));
        let left = differences(backend.objects(), &undo).await;
        if outcome.is_ok() && left.is_empty() {
            state::note(&ground.client, state, &name, None).await.map_err(|error| chain(&error))?;
        }
        all.push(Compared { what: title(&undo), found, left, outcome });
    }
    backend.release().await?;
    Ok(all)
}

fn title(undo: &Undo) -> String {
    match undo {
        Undo::Restore { object, .. } | Undo::Delete { object } => object.to_string(),
        Undo::Scale { namespace, deployment, .. } | Undo::Replaced { namespace, deployment } => {
            format!("Deployment {namespace}/{deployment}")
        }
        Undo::Calm { namespace, pod } => format!("pod {namespace}/{pod}"),
    }
}

/// How what is there now differs from what was there before the run.
async fn differences(objects: &Objects, undo: &Undo) -> Vec<String> {
    let looked = match undo {
        Undo::Restore { object, before, .. } => match objects.get(object).await {
            Ok(Some(found)) => Ok(changes(&said(before)["spec"], &said(&found)["spec"])),
            Ok(None) => Ok(vec!["it is gone".to_owned()]),
            Err(error) => Err(chain(&error)),
        },
        Undo::Delete { object } => match objects.get(object).await {
            Ok(Some(_)) => Ok(vec!["it was not there before".to_owned()]),
            Ok(None) => Ok(vec![]),
            Err(error) => Err(chain(&error)),
        },
        Undo::Scale { namespace, deployment, replicas, .. } => {
            match objects.deployment(namespace, deployment).await {
                Ok(found) if found.wanted == *replicas => Ok(vec![]),
                Ok(found) => Ok(vec![format!("{} pods wanted in place of {replicas}", found.wanted)]),
                Err(error) => Err(chain(&error)),
            }
        }
        // They say themselves how they were found.
        Undo::Calm { .. } | Undo::Replaced { .. } => Ok(vec![]),
    };
    looked.unwrap_or_else(|why| vec![format!("it could not be looked at: {why}")])
}

fn changes(before: &Value, now: &Value) -> Vec<String> {
    json_patch::diff(before, now).0.iter().map(ToString::to_string).collect()
}
