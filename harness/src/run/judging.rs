//! The end of a run under load: its objectives judged, by ourselves and by a Prometheus that has watched.

use super::phase;
use super::stop::Stop;
use crate::backend::Backend;
use crate::event::{Event, Events, Judged, Phase};
use crate::judge::samples::Samples;
use crate::judge::{Judge, Marks, Prometheus, Scene};
use crate::scenario::Scenario;
use crate::verdict::{Cause, CauseKind, Verdict};

/// Judges every objective, and asks Prometheus as well. Every cause that keeps the run from having held.
pub(super) async fn judge(
    scenario: &Scenario,
    samples: &Samples,
    marks: &Marks,
    scene: &Scene,
    second: Option<&Prometheus>,
    stop: &Stop,
    events: &Events,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let judging = async {
        let told = samples.read(|store| {
            let edges = super::calls::read(store, marks, &scenario.names);
            let (mesh, pods) = (super::mesh::read(store, marks), super::usage::read(store, marks));
            let scraped = super::scraped::read(store, marks).map(Event::Scraped);
            [Some(Event::Calls { edges }), Some(Event::Mesh(mesh)), Some(Event::Usage { pods }), scraped]
        });
        told.into_iter().flatten().for_each(|event| events.emit(event));
        // A run that was ended early, or never steady, is not judged: its windows are not what was asked for.
        if stop.is_asked() || marks.actions.len() < scenario.timeline.len() {
            return;
        }
        for objective in &scenario.objectives {
            let (judged, asked) = samples.read(|store| {
                let judge = Judge { store, marks, scene };
                (judge.judge(objective), judge.asked(objective))
            });
            let kind = match judged.verdict {
                Verdict::Held => None,
                Verdict::Failed => Some(CauseKind::Failed),
                _ => Some(CauseKind::Inconclusive),
            };
            if let Some(kind) = kind {
                causes.push(Cause::of(&judged.name, kind, cause(&judged)));
            }
            events.emit(Event::Judged(judged.clone()));
            if let Some(second) = second {
                events.emit(Event::SecondOpinion(second.ask(objective, &judged, asked).await));
            }
        }
    };
    phase(events, Phase::Judge, judging).await;
    causes
}

/// Why an objective did not hold; that there is no data is a reason by itself.
fn cause(judged: &Judged) -> String {
    match (judged.value, judged.reason.as_str()) {
        (_, "") => told(judged),
        (None, reason) => format!("“{}”: {reason}", judged.name),
        (Some(_), reason) => format!("{}: {reason}", told(judged)),
    }
}

pub(super) fn told(judged: &Judged) -> String {
    format!("“{}” is {}", judged.name, crate::report::numbers::measured(judged))
}

/// A Prometheus that has watched this world from the beginning, where there is one. Without it only its answers are
/// missing.
pub(super) async fn second_opinion(backend: &Backend, events: &Events) -> Option<Prometheus> {
    let found = match backend.prometheus().await {
        Ok(found) => found?,
        Err(why) => {
            events.warn(format!("no Prometheus is asked as well: {why}"));
            return None;
        }
    };
    let targets = backend.targets().borrow().clone();
    if let Err(why) = found.reads(&targets).await {
        events.warn(format!("Prometheus has not seen everything from the beginning: {why}"));
    }
    Some(found)
}
