//! The worker: a process that is told a plan on its input, drives goose by it, and reports each second on its output.
//!
//! One thread does it all, so that one figure tells whether it kept up: how long that thread ran or waited to run.

mod attack;
mod cpu;
mod execute;
mod record;
mod slots;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

use self::cpu::CpuMeter;
use self::record::{Clock, Recorder};
use self::slots::Slots;
use super::plan::{Hinder, LoadPlan, Mode};
use super::protocol::{Command, Report, Totals};
use super::schedule::Schedule;
use crate::clock::of_the_machine;

/// Why a worker failed before or while it worked.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no plan on standard input")]
    NoPlan,
    #[error("the plan cannot be read")]
    Plan(#[source] serde_json::Error),
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
    #[error("the worker's thread cannot be set up")]
    Runtime(#[source] std::io::Error),
    #[error("what it records cannot be written to {}", .0.display())]
    Raw(PathBuf, #[source] std::io::Error),
    #[error("goose gave up: {0}")]
    Goose(String),
}

/// What everybody in the worker shares.
pub(crate) struct Shared {
    plan: LoadPlan,
    client: reqwest::Client,
    slots: Slots,
    entered: AtomicU32,
    all_entered: tokio::sync::Notify,
    /// False, then true for good.
    started: watch::Sender<bool>,
    stopping: AtomicBool,
    /// Set before the start.
    recorder: OnceLock<Mutex<Recorder>>,
}

impl Shared {
    fn new(plan: LoadPlan) -> Result<Self, Error> {
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("meshquake/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // Load goes where the plan says, whatever the environment says of proxies.
            .no_proxy()
            .no_gzip()
            .http1_only()
            .tcp_nodelay(true)
            // A request is sent once: hidden retries would hide what is being measured.
            .retry(reqwest::retry::never());
        if plan.base.starts_with("http://") {
            // Nobody is verified there, and an image that holds nothing but this program has no authorities.
            client = client.tls_certs_only([]);
        }
        Ok(Self {
            client: client.build().map_err(Error::Client)?,
            plan,
            slots: Slots::default(),
            entered: AtomicU32::new(0),
            all_entered: tokio::sync::Notify::new(),
            started: watch::Sender::new(false),
            stopping: AtomicBool::new(false),
            recorder: OnceLock::new(),
        })
    }

    fn entered(&self) {
        if self.entered.fetch_add(1, Ordering::Relaxed) + 1 == self.plan.slots() {
            self.all_entered.notify_one();
        }
    }

    async fn started(&self) {
        // The sender lives as long as `self`.
        let _ = self.started.subscribe().wait_for(|started| *started).await;
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Nothing is recorded before the start, because nothing runs before it.
    fn record<T>(&self, act: impl FnOnce(&mut Recorder) -> T) -> Option<T> {
        let mut recorder = self.recorder.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(act(&mut recorder))
    }

    async fn think(&self, time: Duration) {
        tokio::time::sleep(time).await; // what the journey asks for
    }

    /// Gives up what waited too long for a slot.
    fn give_up_late(&self, now: Instant) {
        for turn in self.slots.give_up(now, self.plan.timeout) {
            let journey = super::schedule::choose(
                &self.plan.journeys,
                &mut super::schedule::stream(self.plan.seed, turn.number),
            );
            let request = journey.steps.first().map_or("", |step| step.name.as_str());
            let (waited, lag) = (now - turn.due, turn.handed - turn.due);
            self.record(|recorder| recorder.no_slot(now, &journey.name, request, waited, lag));
        }
    }
}

/// The hidden subcommand `load-worker`.
pub fn main() -> ExitCode {
    // A thread of its own: whoever calls may be inside a runtime already.
    match std::thread::spawn(work).join() {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let (output, written) = output();
            let _ = output.send(Report::Failed { why: crate::error::chain(&error) });
            drop(output);
            let _ = written.join();
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn work() -> Result<(), Error> {
    silence_goose();
    let (told, mut commands) = mpsc::unbounded_channel();
    let plan = std::io::stdin().lines().next().and_then(Result::ok).ok_or(Error::NoPlan)?;
    let plan: LoadPlan = serde_json::from_str(&plan).map_err(Error::Plan)?;
    // Ends the channel at the end of input.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if let Ok(command) = serde_json::from_str::<Command>(&line) {
                let _ = told.send(command);
            }
        }
    });
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let (output, written) = output();
    let shared = Arc::new(Shared::new(plan)?);
    let result = runtime.block_on(live(shared, &mut commands, &output));
    drop(output);
    let _ = written.join();
    // What is still under way is of no interest any more.
    runtime.shutdown_background();
    result
}

/// Goose installs a handler of Ctrl-C that exits the process, and a logger that writes to standard output. Both are
/// installed once in a process: ours are there first.
fn silence_goose() {
    struct Silence;
    impl log::Log for Silence {
        fn enabled(&self, _: &log::Metadata) -> bool {
            false
        }
        fn log(&self, _: &log::Record) {}
        fn flush(&self) {}
    }
    static SILENCE: Silence = Silence;
    let _ = log::set_logger(&SILENCE);
    // Ctrl-C is for the harness, which takes everything back and then ends its workers.
    let _ = ctrlc::set_handler(|| {});
}

/// Lines are written on a thread of their own, so that a slow reader delays no request.
fn output() -> (std::sync::mpsc::Sender<Report>, std::thread::JoinHandle<()>) {
    let (output, reports) = std::sync::mpsc::channel::<Report>();
    let written = std::thread::spawn(move || {
        let mut stdout = std::io::stdout().lock();
        for report in reports {
            let Ok(mut line) = serde_json::to_vec(&report) else { continue };
            line.push(b'\n');
            if stdout.write_all(&line).and_then(|()| stdout.flush()).is_err() {
                // Nobody reads: there is nobody to work for.
                std::process::exit(1);
            }
        }
    });
    (output, written)
}

/// From the first user to the last line.
async fn live(
    shared: Arc<Shared>,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    output: &std::sync::mpsc::Sender<Report>,
) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
    let mut goose = tokio::spawn(attack::run(Arc::clone(&shared)));
    let gave_up = |ended: Result<Result<(), goose::GooseError>, tokio::task::JoinError>| {
        Error::Goose(match ended {
            Ok(Ok(())) => "it ended by itself".into(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        })
    };
    tokio::select! {
        () = shared.all_entered.notified() => {}
        ended = &mut goose => return Err(gave_up(ended)),
        _ = terminate.recv() => return Ok(()),
    }
    let _ = output.send(Report::Ready);
    let clock = tokio::select! {
        command = commands.recv() => match command {
            Some(Command::Start { at, here }) => clock(at, here),
            Some(Command::Stop) | None => return Ok(()),
        },
        _ = terminate.recv() => return Ok(()),
    };

    let recorder = Recorder::new(clock, shared.plan.samples_per_kind, raw(&shared.plan)?);
    let _ = shared.recorder.set(Mutex::new(recorder));
    let mut meter = CpuMeter::new();
    let mut second = 0;
    let mut close = |second: u64, whole: bool| {
        let (in_flight, cpu) = (shared.slots.under_way(), meter.read().filter(|_| whole));
        let closed = shared.record(|recorder| recorder.close(second, in_flight, cpu));
        // Of the last second only a part has passed; one in which nothing happened is no second of load.
        if let Some(second) = closed.filter(|second| whole || second.begun + second.requests() > 0) {
            let _ = output.send(Report::Second(Box::new(second)));
        }
    };
    let (stop, stopped) = watch::channel(false);
    let story = story(&shared, clock, stopped);
    tokio::pin!(story);
    let report: fn(Totals) -> Report = loop {
        tokio::select! {
            () = &mut story => break Report::Finished,
            command = commands.recv() => match command {
                Some(Command::Stop) => drop(stop.send(true)),
                Some(Command::Start { .. }) => {}
                None => break Report::CutShort,
            },
            _ = terminate.recv() => break Report::CutShort,
            () = sleep_until(clock.end_of(second).into()) => {
                close(second, true);
                second += 1;
            }
            ended = &mut goose => return Err(gave_up(ended)),
        }
    };
    let last = clock.second(Instant::now());
    (second..=last).for_each(|second| close(second, second < last));
    let unfinished = shared.slots.under_way();
    if let Some(totals) = shared.record(|recorder| recorder.totals(unfinished)) {
        let _ = output.send(report(totals));
    }
    Ok(())
}

/// The file for every latency, where somebody wants it.
fn raw(plan: &LoadPlan) -> Result<Option<File>, Error> {
    let Some(folder) = &plan.raw else { return Ok(None) };
    let path = folder.join(plan.share.index.to_string());
    File::create(&path).map(Some).map_err(|error| Error::Raw(path, error))
}

/// Arrivals until the end or a stop, then what is under way until it is over or the patience is.
async fn story(shared: &Arc<Shared>, clock: Clock, mut stopped: watch::Receiver<bool>) {
    sleep_until(clock.start.into()).await;
    if let Some(Hinder::Cpu { percent }) = shared.plan.hinder {
        tokio::spawn(hinder(percent));
    }
    let _ = shared.started.send(true);
    tokio::select! {
        () = arrivals(shared, clock) => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    shared.stopping.store(true, Ordering::Relaxed);
    let patience = tokio::time::timeout(shared.plan.drain, async {
        while !shared.slots.quiet() {
            // Woken by the end of a turn, and often enough to give up what waits in line.
            let _ = tokio::time::timeout(Duration::from_millis(20), shared.slots.ended()).await;
            shared.give_up_late(Instant::now());
        }
    });
    let _ = patience.await;
}

/// Hands out each arrival at its time (open loop), or waits for the end (closed loop).
async fn arrivals(shared: &Shared, clock: Clock) {
    if matches!(shared.plan.mode, Mode::Closed { .. }) {
        return sleep_until((clock.start + shared.plan.length).into()).await;
    }
    for arrival in Schedule::new(&shared.plan) {
        let due = clock.start + arrival.due;
        loop {
            let now = Instant::now();
            shared.give_up_late(now);
            if due <= now {
                shared.slots.hand_out(arrival.number, due, now);
                break;
            }
            sleep_until(due.min(now + Duration::from_millis(50)).into()).await;
        }
    }
    // The length is kept also where the last arrival comes before its end.
    sleep_until((clock.start + shared.plan.length).into()).await;
}

/// Where the start lies on this process's clocks. One that has passed stays where it was: what is late then is late
/// because of us, and the seconds of all workers stay the same.
fn clock(start_ms: i64, here: Option<Duration>) -> Clock {
    let now = Instant::now();
    let since_epoch = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (start, reads) = match here {
        Some(start) => (start, of_the_machine()),
        None => (Duration::from_millis(u64::try_from(start_ms).unwrap_or(0)), since_epoch()),
    };
    let start = match start.checked_sub(reads) {
        Some(ahead) => now + ahead,
        None => now.checked_sub(reads - start).unwrap_or(now),
    };
    Clock { start, start_ms }
}

/// Computes on the worker's only thread, so that requests are sent and answers read late: see [`Hinder`].
async fn hinder(percent: u8) {
    const SLICE: Duration = Duration::from_millis(20);
    let share = u32::from(percent.clamp(1, 99));
    loop {
        let until = Instant::now() + SLICE;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        tokio::time::sleep(SLICE * (100 - share) / share).await; // pacing
    }
}
