//! The part of a run in which the world is under load: warm-up, steady state, timeline, recovery, verdicts.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

use super::folder::Folder;
use super::judging::{judge, second_opinion, told};
use super::phase;
use super::plan::{self, MARGIN};
use super::still::Still;
use super::stop::Stop;
use super::timeline;
use crate::action::Ground;
use crate::backend::Backend;
use crate::clock::now;
use crate::error::chain;
use crate::event::{ActionStep, Event, Events, Phase};
use crate::judge::live::Live;
use crate::judge::objective::{Objective, Window};
use crate::judge::samples::{self, Samples};
use crate::judge::{ActionMarks, Judge, LoadRecorder, Marks, Recovery, Scene, guard};
use crate::load::{self, Load, LoadEvent, Running};
use crate::report::numbers;
use crate::scenario::Scenario;
use crate::verdict::{Cause, CauseKind, Verdict};

/// How often guards look and recovery is asked for.
const BEAT: Duration = Duration::from_millis(500);
/// Before the first action: as long as it takes to read all metrics once more and to judge the steady state.
const JUDGING: Duration = Duration::from_millis(400);

/// Drives the load, carries the timeline out and judges. Every cause that keeps the run from having held.
pub async fn shake(
    scenario: &Scenario,
    seed: u64,
    backend: &Backend,
    stop: &Stop,
    folder: &Folder,
    events: &Events,
) -> Vec<Cause> {
    let internal = |error: &dyn std::error::Error| vec![Cause::new(CauseKind::Internal, chain(error))];
    let live =
        match Live::start(&folder.path.join(samples::FILE), backend.targets(), backend.scrape_interval()) {
            Ok(live) => live,
            Err(error) => return internal(&error),
        };
    let second = stop.unless(second_opinion(backend, events)).await.flatten();
    // Whatever the proxies counted until now was no load.
    live.refresh().await;
    let _watching = backend.watch_pods(scenario.names.pod_namespaces(), events.clone());
    let (host, base) = match backend.load_host(scenario.load.workers).await {
        Ok(hosted) => hosted,
        Err(why) => return vec![Cause::new(CauseKind::Internal, why)],
    };
    let plan = match plan::of(scenario, seed, &base) {
        Ok(plan) => plan,
        Err(cause) => return vec![cause],
    };
    let running = match Load::start(&plan, scenario.load.workers.unwrap_or(1), host.as_ref()).await {
        Ok(running) => running,
        Err(error) => return internal(&error),
    };
    let started = running.started;
    events.emit_at(started, plan::started(scenario));
    let marks = Marks {
        load_start: started,
        warm_up_end: started + millis(scenario.load.warm_up),
        actions: vec![],
        load_end: None,
        spoiled: None,
    };
    let shake = Shake {
        scenario,
        seed,
        stop,
        events,
        ground: Ground { backend, namespaces: &scenario.names.namespaces, metrics: &live },
        scene: scenario.names.scene(),
        marks: Mutex::new(marks),
        load_started: Instant::now() + Duration::from_millis(u64::try_from(started - now()).unwrap_or(0)),
    };
    let mut causes = shake.go(running).await;
    let Shake { scene, marks, .. } = shake;
    let marks = marks.into_inner().unwrap_or_else(PoisonError::into_inner);
    match live.stop().await {
        Ok((samples, gaps)) => {
            for gap in gaps.iter().filter(|gap| gap.to.is_none()) {
                events.warn(format!(
                    "the metrics of {} could not be read any more: {}",
                    gap.target, gap.reason
                ));
            }
            causes.extend(judge(scenario, &samples, &marks, &scene, second.as_ref(), stop, events).await);
        }
        Err(error) => causes.extend(internal(&error)),
    }
    causes
}

/// What everything under load shares.
struct Shake<'run> {
    scenario: &'run Scenario,
    seed: u64,
    stop: &'run Stop,
    events: &'run Events,
    ground: Ground<'run>,
    scene: Scene,
    marks: Mutex<Marks>,
    load_started: Instant,
}

impl Shake<'_> {
    fn marks(&self) -> MutexGuard<'_, Marks> {
        // Every change leaves them whole.
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look<T>(&self, look: impl FnOnce(&Judge<'_>) -> T) -> T {
        let marks = self.marks().clone();
        let samples = &self.ground.metrics.samples;
        samples.read(|store| look(&Judge { store, marks: &marks, scene: &self.scene }))
    }

    async fn go(&self, running: Running) -> Vec<Cause> {
        let stopper = running.stopper();
        // Whoever gives up on the run gives up on the load.
        let pumped = AbortOnDropHandle::new(tokio::spawn(pump(
            running,
            self.ground.metrics.samples.clone(),
            self.events.clone(),
        )));
        let still = Still::default();
        let mut causes = {
            let script = self.script();
            let (guards, disk) = (self.watch_guards(), self.watch_disk());
            let script = async {
                tokio::pin!(script, guards, disk);
                tokio::select! {
                    causes = &mut script => causes,
                    // These only ask for the end; the script still takes everything back.
                    () = &mut guards => script.await,
                    () = &mut disk => script.await,
                }
            };
            tokio::select! {
                causes = script => causes,
                never = still.watch() => match never {},
            }
        };
        causes.extend(still.cause());
        let mut spoiled = still.told().into_iter().collect::<Vec<_>>();
        stopper.stop();
        match pumped.await {
            Ok(Ok(summary)) => {
                // What became of its workers afterwards belongs to no window.
                self.marks().load_end = Some(summary.ended);
                let limits = load::Limits::default();
                let told = summary.to_event(&limits);
                for death in &summary.deaths {
                    let text = format!("load worker {} was lost: {}", death.worker, death.why);
                    causes.push(Cause::new(CauseKind::Inconclusive, &text));
                    spoiled.push(text);
                }
                if let Some(why) = &told.bottleneck {
                    causes.push(Cause::new(
                        CauseKind::Inconclusive,
                        format!("the load generator was the bottleneck: {why}"),
                    ));
                }
                self.events.emit_at(summary.ended, Event::LoadEnded(told));
            }
            Ok(Err(error)) => causes.push(Cause::new(CauseKind::Internal, chain(&error))),
            Err(error) => causes
                .push(Cause::new(CauseKind::Internal, format!("the load could not be followed: {error}"))),
        }
        self.marks().spoiled = (!spoiled.is_empty()).then(|| spoiled.join("; "));
        causes
    }

    /// Warm up, steady state, timeline, recovery.
    async fn script(&self) -> Vec<Cause> {
        let warm = tokio::time::sleep_until(self.load_started + self.scenario.load.warm_up); // pacing
        if phase(self.events, Phase::WarmUp, self.stop.unless(warm)).await.is_none() {
            return vec![];
        }
        let unsteady = phase(self.events, Phase::Steady, self.steady()).await;
        if !unsteady.is_empty() || self.stop.is_asked() {
            return unsteady;
        }
        let mut causes = phase(self.events, Phase::Load, self.timeline()).await;
        let until = tokio::time::sleep_until(self.load_started + self.scenario.load.lasts); // pacing
        self.stop.unless(until).await;
        // What was not injected needs no recovery, and a run that was ended waits for none.
        if causes.is_empty() && !self.stop.is_asked() && !self.recoveries().is_empty() {
            causes.extend(phase(self.events, Phase::Recovery, self.recovery()).await);
        }
        causes
    }

    /// The steady state must hold before the first action, or nothing is shaken at all.
    async fn steady(&self) -> Vec<Cause> {
        let first = self.scenario.timeline.first().map_or(self.scenario.load.lasts, |step| step.at);
        // Judging takes a moment, and the first action must not wait for it.
        let until = tokio::time::sleep_until(self.load_started + first.saturating_sub(JUDGING)); // pacing
        if self.scenario.steady.is_empty() || self.stop.unless(until).await.is_none() {
            return vec![];
        }
        self.ground.metrics.refresh().await;
        // The window `before` ends with the first action: judge as if it were asked for now.
        let mut marks = self.marks().clone();
        let asked = Some(now());
        marks.actions =
            vec![ActionMarks { name: "the first action".into(), asked, ..ActionMarks::default() }];
        let samples = &self.ground.metrics.samples;
        let mut causes = Vec::new();
        for check in &self.scenario.steady {
            let judged =
                samples.read(|store| Judge { store, marks: &marks, scene: &self.scene }.judge(check));
            if judged.verdict != Verdict::Held {
                let text = format!(
                    "the steady state did not hold before the first action: {} ({})",
                    told(&judged),
                    judged.reason
                );
                causes.push(Cause::of(&judged.name, CauseKind::NotSteady, text));
            }
            self.events.emit(Event::Steady(judged));
        }
        causes
    }

    async fn timeline(&self) -> Vec<Cause> {
        let mut steps = FuturesUnordered::new();
        for (index, step) in (0..).zip(&self.scenario.timeline) {
            let (ground, events, stop) = (&self.ground, self.events, self.stop);
            steps.push(timeline::carry_out(step, index, self.seed, self.load_started, ground, events, stop));
        }
        let mut causes = Vec::new();
        while let Some(done) = steps.next().await {
            let Some(done) = done else { continue };
            causes.extend(done.causes);
            let mut marks = self.marks();
            marks.actions.push(done.marks);
            marks.actions.sort_by_key(|action| action.asked);
        }
        causes
    }

    /// The load goes on until every recovery is decided. What recovery takes is an objective's business; here it is
    /// only waited for and told.
    async fn recovery(&self) -> Vec<Cause> {
        let mut open = self.recoveries();
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !open.is_empty() && self.stop.unless(beat.tick()).await.is_some() {
            open.retain(|objective| {
                let Window::Recovery { action, .. } = &objective.window else { return false };
                let step = match self.look(|judge| judge.recovery(objective)) {
                    Recovery::Undecided => return !self.past(objective),
                    Recovery::Unknown { .. } => return false,
                    Recovery::Recovered { after } => ActionStep::Recovered { after_ms: whole_millis(after) },
                    Recovery::NotRecovered { within } => {
                        ActionStep::NotRecovered { within_ms: whole_millis(within) }
                    }
                };
                let last = || self.scenario.timeline.last().map(|step| step.name.clone());
                if let Some(name) = action.clone().or_else(last) {
                    self.events.emit(Event::Action { name, step });
                }
                false
            });
        }
        vec![]
    }

    fn recoveries(&self) -> Vec<&Objective> {
        let recovery = |objective: &&Objective| matches!(objective.window, Window::Recovery { .. });
        self.scenario.objectives.iter().filter(recovery).collect()
    }

    /// Whether no more data can decide it.
    fn past(&self, objective: &Objective) -> bool {
        let Window::Recovery { within, hold, .. } = objective.window else { return true };
        let undone = self.marks().actions.iter().filter_map(|action| action.undo_verified).max();
        undone.is_none_or(|undone| now() > undone + millis(within + hold + MARGIN))
    }

    /// A run that cannot be written down is not worth going on with.
    async fn watch_disk(&self) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            if let Some(why) = self.events.failure().or_else(|| self.ground.metrics.samples.failure()) {
                let text = format!("the run cannot be written down any more, so it was ended: {why}");
                // The file that would tell it is the one that is full.
                self.events.warn(&text);
                return self.stop.now(Cause::new(CauseKind::Internal, text));
            }
        }
    }

    async fn watch_guards(&self) {
        let mut watches = Vec::new();
        for guard in &self.scenario.guards {
            match guard::Watch::new(guard) {
                Ok(watch) => watches.push(watch),
                Err(error) => self.events.warn(format!("guard `{}` cannot watch: {error}", guard.name)),
            }
        }
        let mut beat = tokio::time::interval_at(self.load_started + BEAT, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !watches.is_empty() {
            beat.tick().await;
            for watch in &mut watches {
                let sight = self.ground.metrics.samples.read(|store| watch.look(store, now()));
                if sight.tripped {
                    let guard = watch.guard();
                    let value = sight.value.unwrap_or(f64::NAN);
                    let text = format!(
                        "{} {} {} for {}",
                        numbers::plain(value),
                        guard.bound.relation.sign(),
                        numbers::plain(guard.bound.value),
                        numbers::seconds(guard.lasts.as_secs_f64())
                    );
                    self.events.emit(Event::Guard {
                        name: guard.name.clone(),
                        value: sight.value,
                        text: text.clone(),
                    });
                    self.stop.now(Cause::new(
                        CauseKind::Aborted,
                        format!("the guard “{}” ended the run: {text}", guard.name),
                    ));
                    return;
                }
            }
        }
        // No guard, no reason to end.
        std::future::pending().await
    }
}

/// Reads the load's seconds into samples and events until it is over.
async fn pump(
    mut running: Running,
    samples: Samples,
    events: Events,
) -> Result<load::Summary, samples::Error> {
    let mut recorder = LoadRecorder::new(samples);
    let mut series = load::Series::default();
    while let Some(event) = running.next().await {
        match event {
            LoadEvent::Second(second) => {
                let (at, totals) = series.push(&second);
                recorder.push(at, totals.iter().map(|sample| (sample.name, &sample.labels, sample.value)))?;
                events.emit(Event::LoadSecond(second.to_event()));
            }
            LoadEvent::WorkerDied(death) => {
                events.warn(format!("load worker {} was lost: {}", death.worker, death.why));
            }
        }
    }
    Ok(running.finish().await)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
