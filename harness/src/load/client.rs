//! The harness's end of a load: starts the workers, adds their seconds up, notices when one is gone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::host::{Ear, Heard, Host, Hosted};
use super::plan::{LoadPlan, Mode};
use super::protocol::{Command, Report};
use super::second::Second;
use super::summary::Summary;
use crate::clock::{self, now};

/// How often is looked for workers that are silent.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the load needs at least one journey with a weight above 0")]
    NoJourney,
    #[error("the load has no users")]
    NoUsers,
    #[error("`{0}` cannot be started as a load worker")]
    Spawn(PathBuf, #[source] std::io::Error),
    /// By a host other than this machine.
    #[error("the load workers cannot be started: {0}")]
    Host(String),
    #[error("the load worker did not get ready: {0}")]
    NotReady(String),
}

/// Starts loads.
pub struct Load;

/// A load under way. When this is dropped its workers are killed.
pub struct Running {
    events: mpsc::UnboundedReceiver<LoadEvent>,
    orders: mpsc::UnboundedSender<()>,
    pump: Abort<Summary>,
    pids: Vec<u32>,
    /// Start of the load, milliseconds since the epoch.
    pub started: i64,
}

/// Ends the load from elsewhere.
#[derive(Clone)]
pub struct Stopper(mpsc::UnboundedSender<()>);

#[derive(Clone, Debug, PartialEq)]
pub enum LoadEvent {
    /// A second that all workers have reported, in order.
    Second(Box<Second>),
    /// From here on the load is not what was asked for: the run is inconclusive.
    WorkerDied(WorkerDied),
}

#[derive(Clone, Debug, PartialEq)]
pub struct WorkerDied {
    pub worker: u32,
    pub why: String,
}

impl Load {
    /// Starts up to `workers` workers (never more than there are slots) and returns when the load has a start.
    pub async fn start(plan: &LoadPlan, workers: u32, host: &dyn Host) -> Result<Running, Error> {
        if !plan.journeys.iter().any(|journey| journey.weight > 0 && !journey.steps.is_empty()) {
            return Err(Error::NoJourney);
        }
        let slots = match plan.mode {
            Mode::Open { max_in_flight, .. } => max_in_flight,
            Mode::Closed { users } => users,
        };
        if slots == 0 {
            return Err(Error::NoUsers);
        }
        let count = workers.clamp(1, slots);
        let (ear, mut reports) = mpsc::unbounded_channel();
        let mut workers: Vec<Worker> =
            host.start(count, Ear(ear)).await?.into_iter().map(Worker::new).collect();
        for (index, worker) in (0..count).zip(&mut workers) {
            worker.tell(&plan.part(index, count)).await;
        }
        await_ready(&mut reports, workers.len(), host.ready()).await?;
        let notice = host.notice();
        let started = now() + i64::try_from(notice.as_millis()).unwrap_or(i64::MAX);
        let here = host.is_here().then(|| clock::of_the_machine() + notice);
        for worker in &mut workers {
            worker.tell(&Command::Start { at: started, here }).await;
        }
        let pids = workers.iter().filter_map(|worker| worker.hosted.pid()).collect();
        let (told, events) = mpsc::unbounded_channel();
        let (orders, ordered) = mpsc::unbounded_channel();
        let pump = Pump {
            workers,
            told,
            pending: BTreeMap::new(),
            summary: Summary::new(plan.clone(), started),
            silence: host.silence(),
        };
        let pump = Abort(tokio::spawn(pump.run(reports, ordered)));
        Ok(Running { events, orders, pump, pids, started })
    }
}

impl Running {
    /// The next event; `None` when the load is over.
    pub async fn next(&mut self) -> Option<LoadEvent> {
        self.events.recv().await
    }

    pub fn stopper(&self) -> Stopper {
        Stopper(self.orders.clone())
    }

    /// No more arrivals; what is under way may end.
    pub fn stop(&self) {
        let _ = self.orders.send(());
    }

    /// The workers' processes, where they are on this machine.
    pub fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Waits for the end and gives everything that was seen.
    pub async fn finish(mut self) -> Summary {
        while self.events.recv().await.is_some() {}
        match (&mut self.pump.0).await {
            Ok(summary) => summary,
            // It is aborted only by dropping `self`.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Stopper {
    pub fn stop(&self) {
        let _ = self.0.send(());
    }
}

/// Aborts its task when dropped, and with it the children that the task holds.
struct Abort<T>(JoinHandle<T>);

impl<T> Drop for Abort<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Worker {
    hosted: Box<dyn Hosted>,
    heard: Instant,
    /// All seconds before this one have been reported.
    reported: Option<i64>,
    over: bool,
}

impl Worker {
    fn new(hosted: Box<dyn Hosted>) -> Self {
        Self { hosted, heard: Instant::now(), reported: None, over: false }
    }

    async fn tell(&mut self, what: &impl Serialize) {
        let mut line = serde_json::to_vec(what).expect("plans and commands serialise");
        line.push(b'\n');
        self.hosted.tell(line).await;
    }
}

async fn await_ready(
    reports: &mut mpsc::UnboundedReceiver<(u32, Heard)>,
    count: usize,
    limit: Duration,
) -> Result<(), Error> {
    let all = async {
        let mut ready = 0;
        while ready < count {
            match reports.recv().await {
                Some((_, Heard::Report(report))) => match *report {
                    Report::Ready => ready += 1,
                    Report::Failed { why } => return Err(Error::NotReady(why)),
                    Report::Second(_) | Report::Finished(_) | Report::CutShort(_) => {}
                },
                Some((_, Heard::Gone(words))) => {
                    let words = words.trim();
                    let words = if words.is_empty() { "it ended without a word" } else { words };
                    return Err(Error::NotReady(words.to_owned()));
                }
                None => return Err(Error::NotReady("all ended".into())),
            }
        }
        Ok(())
    };
    tokio::time::timeout(limit, all)
        .await
        .unwrap_or_else(|_| Err(Error::NotReady(format!("no word from it within {} s", limit.as_secs()))))
}

/// Reads all workers and brings their seconds together.
struct Pump {
    workers: Vec<Worker>,
    told: mpsc::UnboundedSender<LoadEvent>,
    /// Seconds that some worker has not reported yet.
    pending: BTreeMap<i64, Second>,
    summary: Summary,
    silence: Duration,
}

impl Pump {
    async fn run(
        mut self,
        mut reports: mpsc::UnboundedReceiver<(u32, Heard)>,
        mut orders: mpsc::UnboundedReceiver<()>,
    ) -> Summary {
        for worker in &mut self.workers {
            worker.heard = Instant::now();
        }
        let mut look = tokio::time::interval(LOOK);
        let mut looked = Instant::now();
        while self.workers.iter().any(|worker| !worker.over) {
            tokio::select! {
                Some((index, heard)) = reports.recv() => self.hear(index, heard),
                Some(()) = orders.recv() => {
                    let since_start = u64::try_from(now() - self.summary.started).unwrap_or(0);
                    self.summary.stopped.get_or_insert(Duration::from_millis(since_start));
                    for worker in &mut self.workers {
                        worker.tell(&Command::Stop).await;
                    }
                }
                _ = look.tick() => {
                    // Whoever slept has heard nothing, and does not know who was silent.
                    if looked.elapsed() > 4 * LOOK {
                        self.workers.iter_mut().for_each(|worker| worker.heard = Instant::now());
                    }
                    looked = Instant::now();
                    self.look_for_silence();
                }
            }
            self.pass_on();
        }
        self.summary.ended = now();
        // A lost one was killed.
        for worker in self.workers {
            worker.hosted.end().await;
        }
        self.summary
    }

    fn hear(&mut self, index: u32, heard: Heard) {
        let worker = &mut self.workers[index as usize];
        worker.heard = Instant::now();
        if worker.over {
            return;
        }
        match heard {
            Heard::Report(report) => match *report {
                Report::Ready => {}
                Report::Second(second) => {
                    worker.reported = Some(second.at);
                    let at = second.at;
                    self.pending.entry(at).and_modify(|known| known.merge(&second)).or_insert(*second);
                }
                Report::Finished(totals) => {
                    worker.over = true;
                    self.summary.totals.add(totals);
                }
                Report::CutShort(totals) => {
                    self.summary.totals.add(totals);
                    self.lost(index, "somebody ended it before the load was over".to_owned());
                }
                Report::Failed { why } => self.lost(index, why),
            },
            Heard::Gone(words) => {
                let words = words.trim();
                let mut why = "it ended before the load did".to_owned();
                if !words.is_empty() {
                    why = format!("{why}: {words}");
                }
                self.lost(index, why);
            }
        }
    }

    fn look_for_silence(&mut self) {
        for index in 0..self.workers.len() {
            let worker = &self.workers[index];
            if !worker.over && worker.heard.elapsed() > self.silence {
                let why = format!("it said nothing for {:.1} s", worker.heard.elapsed().as_secs_f64());
                self.lost(u32::try_from(index).unwrap_or(u32::MAX), why);
            }
        }
    }

    fn lost(&mut self, index: u32, why: String) {
        let worker = &mut self.workers[index as usize];
        worker.over = true;
        worker.hosted.kill();
        let died = WorkerDied { worker: index, why };
        self.summary.deaths.push(died.clone());
        let _ = self.told.send(LoadEvent::WorkerDied(died));
    }

    /// Passes on every second that no worker can still add to.
    fn pass_on(&mut self) {
        let known = self
            .workers
            .iter()
            .filter(|worker| !worker.over)
            .map(|worker| worker.reported.unwrap_or(i64::MIN))
            .min();
        while let Some(entry) = self.pending.first_entry() {
            if known.is_some_and(|known| *entry.key() > known) {
                break;
            }
            let second = entry.remove();
            self.summary.seconds.push(second.clone());
            let _ = self.told.send(LoadEvent::Second(Box::new(second)));
        }
    }
}
