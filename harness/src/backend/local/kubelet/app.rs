//! The app of a pod: started, probed, restarted with back-off, ended.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::env::{self, Surroundings};
use super::listen;
use super::pace::Pace;
use super::pod::Pod;
use super::probe::Probe;
use super::state::{Backoff, Ended, Phase};
use crate::backend::local::api::last_lines;
use crate::backend::local::spawn::{Exit, Mark, Process, Spec};
use crate::backend::local::store::draft::now;
use crate::error::chain;
use crate::parts::nss_wrapper;

/// Lines of a dead app's log that its status repeats.
const LINES: usize = 10;
/// Probes begin this fast until an app is ready for the first time, so that nobody waits for a period.
const EAGER: Duration = Duration::from_millis(10);
/// How programs say that somebody else has their address.
const IN_USE: [&str; 2] = ["ddress already in use", "EADDRINUSE"];
/// An app that is not ready is looked at so often: perhaps it listens at the wrong address.
const SUSPICIOUS: Duration = Duration::from_millis(500);
/// One that has listened at the wrong address for so long, and at the right one never, is not going to move.
const ASTRAY_AFTER: Duration = Duration::from_secs(3);

/// Runs the app until the pod ends and the process is gone.
pub async fn run(pod: &Pod, container: &Value) {
    let settings = pod.site.settings;
    let mut backoff = Backoff::new(settings.backoff, settings.longest_backoff, settings.backoff_reset);
    loop {
        let begun = Instant::now();
        // What earlier starts wrote is not the last word of this one.
        let written = tokio::fs::metadata(pod.app_log()).await.map_or(0, |log| log.len());
        match start(pod, container).await {
            Ok(process) => {
                pod.report(|state| {
                    if let Some(app) = &mut state.app {
                        app.phase = Phase::Running { since: now() };
                        app.pid = Some(process.pid());
                    }
                });
                let exit = tokio::select! {
                    exit = process.wait() => exit,
                    () = pod.ending() => return pod.stop(&process).await,
                    failed = watch(pod, container, &process) => {
                        pod.event(true, "Killing", &format!("liveness probe failed: {failed}; it is restarted"));
                        process.terminate(pod.grace()).await
                    }
                };
                ended(pod, exit, written).await;
            }
            Err(message) => {
                pod.event(true, "Failed", &message);
                pod.report(|state| {
                    if let Some(app) = &mut state.app {
                        app.phase = Phase::Waiting { reason: "CreateContainerError", message };
                    }
                });
            }
        }
        let pause = backoff.pause(begun.elapsed());
        if !pause.is_zero() {
            pod.report(|state| {
                let Some(app) = &mut state.app else { return };
                let why = match (&app.last, &app.phase) {
                    (_, Phase::Waiting { reason: "CreateContainerError", message }) => message.clone(),
                    (Some(last), _) => format!("it {}; its last lines:\n{}", last.exit, last.message),
                    (None, _) => String::new(),
                };
                let message = format!("back-off {pause:?}: {why}");
                app.phase = Phase::Waiting { reason: "CrashLoopBackOff", message };
            });
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {} // the back-off itself
            () = pod.ending() => return,
        }
        pod.report(|state| state.app.iter_mut().for_each(|app| app.restarts += 1));
    }
}

async fn start(pod: &Pod, container: &Value) -> Result<Process, String> {
    let image_name = container["image"].as_str().unwrap_or_default();
    let image = pod.site.images.get(image_name).cloned().unwrap_or_default();
    let shown = pod.site.store.get(&pod.key).ok_or("the pod is gone")?;
    let around = Surroundings {
        pod: shown.value(),
        folder: &pod.folder,
        app: pod.addresses.app,
        hosts: pod.hosts_file(),
        services: pod.services()?,
        wrapper: nss_wrapper::find(),
    };
    let variables = env::variables(&pod.site.store, container, &image, &around).map_err(|e| e.to_string())?;
    let command = env::command(container, &image, &variables, &around).map_err(|e| e.to_string())?;
    let [program, args @ ..] = command.as_slice() else { return Err("no command".to_owned()) };
    let mark = Mark::new(&pod.site.run, &pod.key.name, "app");
    let mut spec = Spec::new(program, pod.app_log(), mark).args(args).folder(&pod.folder);
    for (name, value) in variables {
        spec = spec.env(name, value);
    }
    let spec = spec.journal(pod.site.journal.clone());
    pod.site.spawner.spawn(spec).await.map_err(|error| chain(&error))
}

async fn ended(pod: &Pod, exit: Exit, written: u64) {
    let mut message = last_lines(&pod.app_log(), written, LINES).await.unwrap_or_default();
    if IN_USE.iter().any(|words| message.contains(words)) {
        // Its sidecar has the same port at the pod's address, so an app that wants every address gets none.
        message += &format!("\n(on local an app must listen on $BIND_IP, here {})", pod.addresses.app);
    }
    pod.event(true, "BackOff", &format!("the app {exit}"));
    pod.report(|state| {
        let Some(app) = &mut state.app else { return };
        (app.ready, app.astray) = (false, false);
        app.pid = None;
        app.found = format!("it {exit}");
        app.phase =
            Phase::Waiting { reason: "Error", message: format!("it {exit}; its last lines:\n{message}") };
        app.last = Some(Ended { exit, at: now(), message });
    });
}

/// Asks all probes for as long as the process lives; returns what the liveness probe found when it gave up.
async fn watch(pod: &Pod, container: &Value, process: &Process) -> String {
    if let Some(startup) = Probe::of(container, "startupProbe")
        && let Err(failed) = begin(pod, &startup).await
    {
        return failed;
    }
    let readiness = async {
        ready(pod, container, process).await;
        std::future::pending::<()>().await;
    };
    let liveness = async {
        match Probe::of(container, "livenessProbe") {
            Some(probe) => live(pod, &probe).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        failed = liveness => failed,
        () = readiness => String::new(),
    }
}

/// The startup probe: until it succeeds, or has failed as often as it may.
async fn begin(pod: &Pod, probe: &Probe) -> Result<(), String> {
    let limit = probe.initial_delay + probe.period * probe.failures;
    let begun = Instant::now();
    let mut pace = Pace::from(EAGER);
    loop {
        match probe.ask(pod.addresses.app).await {
            Ok(()) => return Ok(()),
            Err(found) if begun.elapsed() > limit => return Err(found),
            Err(found) => note(pod, found, false),
        }
        pace.pause().await;
    }
}

/// The readiness probe, or readiness at once where there is none.
async fn ready(pod: &Pod, container: &Value, process: &Process) {
    let probe = Probe::of(container, "readinessProbe");
    let ports = listen::ports(container);
    if let Some(probe) = &probe {
        tokio::time::sleep(probe.initial_delay).await; // what the probe asks for
        let mut pace = Pace::from(EAGER);
        let mut looked = Instant::now();
        let mut wrong: Option<(Instant, String)> = None;
        while let Err(found) = probe.ask(pod.addresses.app).await {
            if looked.elapsed() > SUSPICIOUS {
                looked = Instant::now();
                let since = wrong.map_or(looked, |(since, _)| since);
                wrong = listen::complaint(process.pid(), pod.addresses.app, &ports).map(|it| (since, it));
            }
            let astray = wrong.as_ref().is_some_and(|(since, _)| since.elapsed() > ASTRAY_AFTER);
            note(pod, wrong.as_ref().map_or(found, |(_, complaint)| complaint.clone()), astray);
            pace.pause().await;
        }
    }
    // An app that listens everywhere answers here, and takes its port from every other address of the machine.
    if let Some(wrong) = listen::complaint(process.pid(), pod.addresses.app, &ports) {
        pod.event(true, "Unhealthy", &wrong);
        note(pod, wrong, true);
        return;
    }
    set_ready(pod, true, String::new());
    let Some(probe) = probe else { return };
    let mut run = (true, 0);
    loop {
        tokio::time::sleep(probe.period).await; // what the probe asks for
        let answer = probe.ask(pod.addresses.app).await;
        let good = answer.is_ok();
        run = if run.0 == good { (good, run.1 + 1) } else { (good, 1) };
        let enough = run.1 >= if good { probe.successes } else { probe.failures };
        if enough {
            let found = answer.err().unwrap_or_default();
            if !good && set_ready(pod, false, found.clone()) {
                pod.event(true, "Unhealthy", &format!("readiness probe failed: {found}"));
            }
            if good {
                set_ready(pod, true, found);
            }
        }
    }
}

async fn live(pod: &Pod, probe: &Probe) -> String {
    tokio::time::sleep(probe.initial_delay).await; // what the probe asks for
    let mut failures = 0;
    loop {
        tokio::time::sleep(probe.period).await; // what the probe asks for
        match probe.ask(pod.addresses.app).await {
            Ok(()) => failures = 0,
            Err(found) => {
                failures += 1;
                if failures >= probe.failures {
                    return found;
                }
            }
        }
    }
}

/// Whether that was news.
fn set_ready(pod: &Pod, ready: bool, found: String) -> bool {
    let mut news = false;
    pod.report(|state| {
        if let Some(app) = &mut state.app {
            news = app.ready != ready;
            (app.ready, app.found, app.astray) = (ready, found, false);
        }
    });
    news
}

fn note(pod: &Pod, found: String, astray: bool) {
    pod.report(|state| {
        if let Some(app) = &mut state.app {
            (app.found, app.astray) = (found, astray);
        }
    });
}
