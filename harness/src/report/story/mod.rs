//! The events of a run folded into what reports tell: one value for all of them.

mod action;
mod cost;
mod pods;
mod read;
mod windows;

pub use action::{ActionStory, Fate};
pub use cost::Cost;
pub use pods::{PodStory, Workload, label};
pub use read::Told;
pub use windows::{Window, WindowKind};

use crate::event::{
    Call, Collected, Event, Header, Judged, LoadSecond, LoadSummary, Mesh, Phase, Pod, Record, RunStarted,
    Scraped, SecondOpinion, Usage, WorldUp,
};
use crate::verdict::{Outcome, Verdict};

#[derive(Clone, Debug)]
pub struct Story {
    pub header: Header,
    pub started: RunStarted,
    pub started_at: i64,
    pub ended_at: i64,
    pub phases: Vec<(Phase, u64)>,
    /// The phase that began last.
    pub phase: Option<Phase>,
    pub world: Option<WorldUp>,
    /// Start of the load: times in reports are relative to it.
    pub load_at: Option<i64>,
    pub load: Option<LoadPlan>,
    pub load_end_at: Option<i64>,
    /// In the order of time, each second once.
    pub seconds: Vec<LoadSecond>,
    pub summary: Option<LoadSummary>,
    pub pods: Vec<(i64, Pod)>,
    pub actions: Vec<ActionStory>,
    pub steady: Vec<Judged>,
    pub judged: Vec<Judged>,
    /// What a Prometheus says to the same objectives.
    pub second: Vec<SecondOpinion>,
    pub calls: Vec<Call>,
    /// Nothing where the run never came to read it.
    pub mesh: Option<Mesh>,
    pub usage: Vec<Usage>,
    pub scraped: Option<Scraped>,
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

impl Story {
    /// `None` where the run's beginning is missing.
    pub fn fold(header: Header, records: Vec<Record>) -> Option<Self> {
        let (started_at, started) = records.iter().find_map(|record| match &record.event {
            Event::RunStarted(started) => Some((record.at, started.clone())),
            _ => None,
        })?;
        let actions = started.actions.iter().cloned();
        let mut story = Self {
            header,
            actions: actions.map(ActionStory::new).collect(),
            started,
            started_at,
            ended_at: started_at,
            phases: vec![],
            phase: None,
            world: None,
            load_at: None,
            load: None,
            load_end_at: None,
            seconds: vec![],
            summary: None,
            pods: vec![],
            steady: vec![],
            judged: vec![],
            second: vec![],
            calls: vec![],
            mesh: None,
            usage: vec![],
            scraped: None,
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
        // Workers may report late; a second told twice counts as it was told last.
        story.seconds.sort_by_key(|second| second.second);
        story.seconds.reverse();
        story.seconds.dedup_by_key(|second| second.second);
        story.seconds.reverse();
        Some(story)
    }

    fn take(&mut self, record: Record) {
        let at = record.at;
        match record.event {
            Event::RunStarted(_) | Event::Progress { .. } => {}
            Event::PhaseStarted { phase } => self.phase = Some(phase),
            Event::PhaseEnded { phase, took_ms } => self.phases.push((phase, took_ms)),
            Event::WorldUp(world) => self.world = Some(world),
            Event::Pod(pod) => self.pods.push((at, pod)),
            Event::Steady(judged) => self.steady.push(judged),
            Event::LoadStarted { rate, users, workers, journeys } => {
                self.load_at = Some(at);
                self.load = Some(LoadPlan { rate, users, workers, journeys });
            }
            Event::LoadSecond(second) => self.seconds.push(second),
            Event::LoadEnded(summary) => {
                self.load_end_at = Some(at);
                self.summary = Some(summary);
            }
            Event::Action { name, step } => {
                let known = self.actions.iter().position(|action| action.plan.name == name);
                let index = known.unwrap_or_else(|| {
                    let since = at - self.load_at.unwrap_or(self.started_at);
                    self.actions
                        .push(ActionStory::unplanned(&name, u64::try_from(since).unwrap_or_default()));
                    self.actions.len() - 1
                });
                self.actions[index].steps.push((at, step));
            }
            Event::Guard { name, text, .. } => self.guards.push((at, name, text)),
            Event::Judged(judged) => self.judged.push(judged),
            Event::SecondOpinion(opinion) => self.second.push(opinion),
            Event::Calls { edges } => self.calls = edges,
            Event::Mesh(mesh) => self.mesh = Some(mesh),
            Event::Usage { pods } => self.usage = pods,
            Event::Scraped(scraped) => self.scraped = Some(scraped),
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
            None => {
                let when =
                    self.phase.map_or("at once".into(), |phase| format!("in the phase “{}”", phase.word()));
                vec![format!("the run was cut off {when}, before it could say how it ended")]
            }
        }
    }

    /// Causes that neither the sentence nor an objective's own reason tells.
    pub fn further_causes(&self) -> Vec<String> {
        let sentence = super::sentence::compose(self);
        let all = self.outcome.iter().flat_map(|outcome| &outcome.causes);
        let others = all.filter(|cause| cause.objective.is_none()).map(|cause| cause.text.clone());
        let told = |cause: &String| sentence.contains(&*super::text::line(cause.trim_end_matches('.')));
        others.filter(|cause| !told(cause)).collect()
    }

    fn total(&self, summed: fn(&LoadSummary) -> u64, each: fn(&LoadSecond) -> u64) -> u64 {
        self.summary.as_ref().map_or_else(|| self.seconds.iter().map(each).sum(), summed)
    }

    pub fn sent(&self) -> u64 {
        self.total(|all| all.sent, |second| second.sent)
    }

    pub fn ok(&self) -> u64 {
        self.total(|all| all.ok, |second| second.ok)
    }

    pub fn failed(&self) -> u64 {
        self.total(|all| all.failed, |second| second.failed)
    }

    /// Objectives that were planned and never judged.
    pub fn unjudged(&self) -> impl Iterator<Item = &crate::event::ObjectivePlan> {
        self.started
            .objectives
            .iter()
            .filter(|plan| !self.judged.iter().any(|judged| judged.name == plan.name))
    }
}
