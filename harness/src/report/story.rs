//! The events of a run folded into what reports tell: one value for all of them.

use std::path::Path;

use super::Error;
use crate::event::{
    ActionPlan, ActionStep, Call, Collected, Event, Header, Judged, LoadSecond, LoadSummary, Phase, Pod,
    Record, RunStarted, SCHEMA, WorldUp,
};
use crate::verdict::{Outcome, Verdict};

#[derive(Clone, Debug)]
pub struct Story {
    pub header: Header,
    pub started: RunStarted,
    pub started_at: i64,
    pub ended_at: i64,
    pub phases: Vec<(Phase, u64)>,
    pub world: Option<WorldUp>,
    /// Start of the load: times in reports are relative to it.
    pub load_at: Option<i64>,
    pub load: Option<LoadPlan>,
    pub seconds: Vec<LoadSecond>,
    pub summary: Option<LoadSummary>,
    pub pods: Vec<(i64, Pod)>,
    pub actions: Vec<ActionStory>,
    pub steady: Vec<Judged>,
    pub judged: Vec<Judged>,
    pub calls: Vec<Call>,
    pub guards: Vec<(i64, String, String)>,
    pub warnings: Vec<String>,
    pub collected: Vec<Collected>,
    pub outcome: Option<Outcome>,
    pub verdict: Verdict,
    pub exit: u8,
}

#[derive(Clone, Debug)]
pub struct LoadPlan {
    pub rate: Option<f64>,
    pub users: Option<u32>,
    pub workers: u32,
    pub journeys: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct ActionStory {
    pub plan: ActionPlan,
    pub steps: Vec<(i64, ActionStep)>,
}

impl ActionStory {
    fn time(&self, wanted: impl Fn(&ActionStep) -> bool) -> Option<i64> {
        self.steps.iter().find(|(_, step)| wanted(step)).map(|(at, _)| *at)
    }

    pub fn asked(&self) -> Option<i64> {
        self.time(|step| matches!(step, ActionStep::Asked { .. }))
    }

    pub fn proved(&self) -> Option<i64> {
        self.time(|step| matches!(step, ActionStep::Proved { .. }))
    }

    pub fn undo_asked(&self) -> Option<i64> {
        self.time(|step| matches!(step, ActionStep::UndoAsked))
    }

    pub fn undone(&self) -> Option<i64> {
        self.time(|step| matches!(step, ActionStep::UndoVerified { .. }))
    }

    pub fn recovered_ms(&self) -> Option<u64> {
        self.steps.iter().find_map(|(_, step)| match step {
            ActionStep::Recovered { after_ms } => Some(*after_ms),
            _ => None,
        })
    }

    pub fn target(&self) -> Option<&str> {
        self.steps.iter().find_map(|(_, step)| match step {
            ActionStep::Asked { target } => Some(target.as_str()),
            _ => None,
        })
    }

    /// What proved it, or why nothing did.
    pub fn proof(&self) -> Option<Result<&str, &str>> {
        self.steps.iter().find_map(|(_, step)| match step {
            ActionStep::Proved { observation } => Some(Ok(observation.as_str())),
            ActionStep::NotProved { reason } => Some(Err(reason.as_str())),
            _ => None,
        })
    }

    /// How its undo was verified, or why it failed.
    pub fn undo(&self) -> Option<Result<&str, &str>> {
        self.steps.iter().find_map(|(_, step)| match step {
            ActionStep::UndoVerified { how } => Some(Ok(how.as_str())),
            ActionStep::UndoFailed { reason } => Some(Err(reason.as_str())),
            _ => None,
        })
    }
}

impl Story {
    /// Reads `events.jsonl`. A last line cut short by a crash is left out; any other bad line is an error.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let bad = |line: usize, reason: String| Error::Line { path: path.to_owned(), line, reason };
        let mut lines = text.split_inclusive('\n').enumerate();
        let (_, first) = lines.next().ok_or_else(|| Error::Empty { path: path.to_owned() })?;
        let header = serde_json::from_str::<Header>(first).map_err(|error| bad(1, error.to_string()))?;
        if header.schema != SCHEMA {
            return Err(Error::Schema { path: path.to_owned(), found: header.schema, known: SCHEMA });
        }
        let mut records = Vec::new();
        for (index, line) in lines {
            match serde_json::from_str::<Record>(line) {
                Ok(record) => records.push(record),
                Err(_) if !line.ends_with('\n') => break,
                Err(error) => return Err(bad(index + 1, error.to_string())),
            }
        }
        Self::fold(header, records).ok_or_else(|| Error::Empty { path: path.to_owned() })
    }

    /// `None` where the run's beginning is missing.
    pub fn fold(header: Header, records: Vec<Record>) -> Option<Self> {
        let mut records = records.into_iter();
        let (started_at, started) = records.by_ref().find_map(|record| match record.event {
            Event::RunStarted(started) => Some((record.at, started)),
            _ => None,
        })?;
        let actions = started.actions.iter().cloned();
        let mut story = Self {
            header,
            actions: actions.map(|plan| ActionStory { plan, steps: vec![] }).collect(),
            started,
            started_at,
            ended_at: started_at,
            phases: vec![],
            world: None,
            load_at: None,
            load: None,
            seconds: vec![],
            summary: None,
            pods: vec![],
            steady: vec![],
            judged: vec![],
            calls: vec![],
            guards: vec![],
            warnings: vec![],
            collected: vec![],
            outcome: None,
            // A run that never said how it ended was cut off.
            verdict: Verdict::Error,
            exit: 1,
        };
        for record in records {
            story.ended_at = story.ended_at.max(record.at);
            story.take(record);
        }
        Some(story)
    }

    fn take(&mut self, record: Record) {
        let at = record.at;
        match record.event {
            Event::RunStarted(_) | Event::PhaseStarted { .. } | Event::Progress { .. } => {}
            Event::PhaseEnded { phase, took_ms } => self.phases.push((phase, took_ms)),
            Event::WorldUp(world) => self.world = Some(world),
            Event::Pod(pod) => self.pods.push((at, pod)),
            Event::Steady(judged) => self.steady.push(judged),
            Event::LoadStarted { rate, users, workers, journeys } => {
                self.load_at = Some(at);
                self.load = Some(LoadPlan { rate, users, workers, journeys });
            }
            Event::LoadSecond(second) => self.seconds.push(second),
            Event::LoadEnded(summary) => self.summary = Some(summary),
            Event::Action { name, step } => {
                if let Some(action) = self.actions.iter_mut().find(|action| action.plan.name == name) {
                    action.steps.push((at, step));
                }
            }
            Event::Guard { name, text, .. } => self.guards.push((at, name, text)),
            Event::Judged(judged) => self.judged.push(judged),
            Event::Calls { edges } => self.calls = edges,
            Event::Warning { text } => self.warnings.push(text),
            Event::Collected { files } => self.collected.extend(files),
            Event::Ended { outcome, verdict, exit } => {
                self.outcome = Some(outcome);
                self.verdict = verdict;
                self.exit = exit;
            }
        }
    }

    /// Seconds from the start of the load; before it, negative.
    pub fn seconds_at(&self, at: i64) -> f64 {
        (at - self.load_at.unwrap_or(self.started_at)) as f64 / 1e3
    }

    pub fn lasted_ms(&self) -> u64 {
        u64::try_from(self.ended_at - self.started_at).unwrap_or_default()
    }

    pub fn causes(&self) -> Vec<String> {
        match &self.outcome {
            Some(outcome) => outcome.causes.iter().map(|cause| cause.text.clone()).collect(),
            None => vec!["the run was cut off before it could say how it ended".into()],
        }
    }

    pub fn sent(&self) -> u64 {
        self.summary.as_ref().map_or_else(|| self.seconds.iter().map(|s| s.sent).sum(), |s| s.sent)
    }

    pub fn failed(&self) -> u64 {
        self.summary.as_ref().map_or_else(|| self.seconds.iter().map(|s| s.failed).sum(), |s| s.failed)
    }
}
