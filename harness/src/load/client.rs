//! The harness's end of a load: starts the workers, adds their seconds up, notices when one is gone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::plan::{LoadPlan, Mode};
use super::protocol::{Command, Report};
use super::second::Second;
use super::summary::Summary;

/// A worker reports every second; one that is silent for longer than this is lost.
const SILENCE: Duration = Duration::from_secs(3);
/// Until all users of a worker wait for the start.
const READY: Duration = Duration::from_secs(20);
/// Between telling the start and the start, so that all workers know it in time.
const NOTICE: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the load needs at least one journey with a weight above 0")]
    NoJourney,
    #[error("the load has no users")]
    NoUsers,
    #[error("`{0}` cannot be started as a load worker")]
    Spawn(PathBuf, #[source] std::io::Error),
    #[error("the load worker did not get ready: {0}")]
    NotReady(String),
}

/// How a worker is started: the `meshquake` binary and its hidden subcommand.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub args: Vec<String>,
}

impl Program {
    pub fn new(meshquake: impl Into<PathBuf>) -> Self {
        Self { path: meshquake.into(), args: vec!["load-worker".to_owned()] }
    }

    /// The one place that starts a worker.
    fn spawn(&self) -> Result<Child, Error> {
        let mut command = tokio::process::Command::new(&self.path);
        command.args(&self.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A terminal's Ctrl-C is for the harness; a worker ends by its input or by SIGTERM.
        command.process_group(0).kill_on_drop(true);
        command.spawn().map_err(|error| Error::Spawn(self.path.clone(), error))
    }
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
    pub async fn start(plan: &LoadPlan, workers: u32, program: &Program) -> Result<Running, Error> {
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
        let (heard, mut reports) = mpsc::unbounded_channel();
        let mut workers = Vec::new();
        for index in 0..count {
            workers.push(Worker::start(index, &plan.part(index, count), program, heard.clone()).await?);
        }
        drop(heard);
        await_ready(&mut reports, workers.len()).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = i64::try_from((now + NOTICE).as_millis()).unwrap_or(i64::MAX);
        for worker in &mut workers {
            worker.tell(Command::Start { at: started }).await;
        }
        let pids = workers.iter().filter_map(|worker| worker.child.id()).collect();
        let (told, events) = mpsc::unbounded_channel();
        let (orders, ordered) = mpsc::unbounded_channel();
        let pump = Pump {
            workers,
            told,
            pending: BTreeMap::new(),
            summary: Summary::new(plan.clone(), started),
            began: Instant::now(),
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

    /// The workers' processes.
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
    index: u32,
    child: Child,
    stdin: Option<ChildStdin>,
    heard: Instant,
    /// All seconds before this one have been reported.
    reported: Option<i64>,
    over: bool,
}

/// From a worker's reader.
enum Heard {
    Report(Box<Report>),
    /// Its output ended; the last lines of its standard error.
    Gone(String),
}

impl Worker {
    async fn start(
        index: u32,
        plan: &LoadPlan,
        program: &Program,
        heard: mpsc::UnboundedSender<(u32, Heard)>,
    ) -> Result<Self, Error> {
        let mut child = program.spawn()?;
        let mut stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let mut stderr = child.stderr.take();
        tokio::spawn(async move {
            let last_words = tokio::spawn(async move {
                let mut text = String::new();
                if let Some(stderr) = &mut stderr {
                    let _ = stderr.take(16_384).read_to_string(&mut text).await;
                    // Whatever else it has to say must not block it.
                    let _ = tokio::io::copy(stderr, &mut tokio::io::sink()).await;
                }
                text
            });
            if let Some(stdout) = stdout {
                let mut lines = BufReader::new(stdout).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    match serde_json::from_str(&line) {
                        Ok(report) => drop(heard.send((index, Heard::Report(Box::new(report))))),
                        Err(error) => {
                            tracing::warn!(worker = index, %error, line, "a load worker said something odd")
                        }
                    }
                }
            }
            let _ = heard.send((index, Heard::Gone(last_words.await.unwrap_or_default())));
        });
        let mut line = serde_json::to_vec(plan).expect("a plan serialises");
        line.push(b'\n');
        if let Some(stdin) = &mut stdin {
            // A worker that is gone already is told of as not ready, with its last words.
            let _ = stdin.write_all(&line).await;
        }
        Ok(Self { index, child, stdin, heard: Instant::now(), reported: None, over: false })
    }

    /// A worker that cannot be told is about to be noticed as gone.
    async fn tell(&mut self, command: Command) {
        let mut line = serde_json::to_vec(&command).expect("a command serialises");
        line.push(b'\n');
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(&line).await;
        }
    }
}

async fn await_ready(reports: &mut mpsc::UnboundedReceiver<(u32, Heard)>, count: usize) -> Result<(), Error> {
    let all = async {
        let mut ready = 0;
        while ready < count {
            match reports.recv().await {
                Some((_, Heard::Report(report))) => match *report {
                    Report::Ready => ready += 1,
                    Report::Failed { why } => return Err(Error::NotReady(why)),
                    Report::Second(_) | Report::Finished(_) => {}
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
    tokio::time::timeout(READY, all)
        .await
        .unwrap_or_else(|_| Err(Error::NotReady(format!("no word from it within {} s", READY.as_secs()))))
}

/// Reads all workers and brings their seconds together.
struct Pump {
    workers: Vec<Worker>,
    told: mpsc::UnboundedSender<LoadEvent>,
    /// Seconds that some worker has not reported yet.
    pending: BTreeMap<i64, Second>,
    summary: Summary,
    began: Instant,
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
        let mut look = tokio::time::interval(Duration::from_millis(250));
        while self.workers.iter().any(|worker| !worker.over) {
            tokio::select! {
                Some((index, heard)) = reports.recv() => self.hear(index, heard),
                Some(()) = orders.recv() => {
                    self.summary.stopped.get_or_insert(self.began.elapsed());
                    for worker in &mut self.workers {
                        worker.tell(Command::Stop).await;
                    }
                }
                _ = look.tick() => self.look_for_silence(),
            }
            self.pass_on();
        }
        for worker in &mut self.workers {
            // End of input: a worker that has finished ends by itself, and a lost one was killed.
            worker.stdin = None;
            let _ = worker.child.wait().await;
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
            if !worker.over && worker.heard.elapsed() > SILENCE {
                let why = format!("it said nothing for {:.1} s", worker.heard.elapsed().as_secs_f64());
                self.lost(worker.index, why);
            }
        }
    }

    fn lost(&mut self, index: u32, why: String) {
        let worker = &mut self.workers[index as usize];
        worker.over = true;
        let _ = worker.child.start_kill();
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
