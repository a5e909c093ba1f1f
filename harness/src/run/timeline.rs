//! The timeline under way: each action asked, proved, undone when its time is over, the undo verified.

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

use super::stop::Stop;
use crate::action::kill::PROOF_LIMIT;
use crate::action::{Active, Ground, Step};
use crate::clock::now;
use crate::error::chain;
use crate::event::{ActionStep, Event, Events};
use crate::judge::window::ActionMarks;
use crate::verdict::{Cause, CauseKind};

/// Between two looks for the proof.
const LOOK: Duration = Duration::from_millis(100);

/// What came of one action.
#[derive(Debug)]
pub struct Done {
    pub marks: ActionMarks,
    pub causes: Vec<Cause>,
}

/// Carries one step out, from its time to the verified undo. Never leaves anything behind unsaid.
pub async fn carry_out(
    step: &Step,
    index: u64,
    seed: u64,
    load_started: Instant,
    ground: &Ground<'_>,
    events: &Events,
    stop: &Stop,
) -> Option<Done> {
    // A pace, not a hope: the timeline says when.
    stop.unless(tokio::time::sleep_until(load_started + step.at)).await?;
    let tell = |step_event| events.emit(Event::Action { name: step.name.clone(), step: step_event });
    let mut marks = ActionMarks { name: step.name.clone(), asked: Some(now()), ..ActionMarks::default() };
    let mut causes = Vec::new();
    // One stream of chance for each action: another step does not change whom this one picks.
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(index);

    let mut active = Active::default();
    let injected = step.action.inject(ground, &mut random, &mut active).await;
    tell(ActionStep::Asked { target: active.target.clone(), killed: active.killed() });
    match injected {
        Ok(()) => match prove(step, load_started, &active, ground, stop).await {
            Ok(observation) => {
                marks.proved = Some(now());
                tell(ActionStep::Proved { observation });
                if let Some(lasts) = step.lasts {
                    // A pace, not a hope: the timeline says how long.
                    stop.unless(tokio::time::sleep_until(load_started + step.at + lasts)).await;
                }
            }
            Err(reason) => {
                tell(ActionStep::NotProved { reason: reason.clone() });
                if !stop.is_asked() {
                    let text = format!(
                        "`{}` ({}) had no effect that could be seen: {reason}",
                        step.name,
                        step.action.what()
                    );
                    causes.push(Cause::new(CauseKind::NotInjected, text));
                }
            }
        },
        Err(error) => {
            tell(ActionStep::NotProved { reason: error.to_string() });
            let kind = error.cause();
            causes.push(Cause::new(kind, format!("`{}`: {}", step.name, chain(&error))));
        }
    }

    marks.undo_asked = Some(now());
    tell(ActionStep::UndoAsked);
    match active.revert(ground.backend).await {
        Ok(how) => {
            marks.undo_verified = Some(now());
            tell(ActionStep::UndoVerified { how });
        }
        Err(reason) => {
            tell(ActionStep::UndoFailed { reason: reason.clone() });
            causes.push(Cause::new(
                CauseKind::UndoFailed,
                format!("`{}` could not be taken back: {reason}", step.name),
            ));
        }
    }
    Some(Done { marks, causes })
}

/// Looks until the effect is seen, at most while the action lasts.
async fn prove(
    step: &Step,
    load_started: Instant,
    active: &Active,
    ground: &Ground<'_>,
    stop: &Stop,
) -> Result<String, String> {
    let limit = match step.lasts {
        Some(lasts) => load_started + step.at + lasts,
        None => Instant::now() + PROOF_LIMIT,
    };
    loop {
        let last = match active.seen(ground).await {
            Ok(observation) => return Ok(observation),
            Err(missing) => missing,
        };
        if stop.is_asked() {
            return Err(format!("the run was ended before a proof was seen ({last})"));
        }
        if Instant::now() >= limit {
            return Err(last);
        }
        stop.unless(tokio::time::sleep(LOOK)).await; // pacing
    }
}
