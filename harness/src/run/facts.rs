//! What was going to be run, and on what: the first event, and the fine print of every report.

use std::fs;

use meshquake_xds::fields::InertUse;

use super::Options;
use crate::backend::Choice;
use crate::event::{ActionPlan, ObjectivePlan, RunStarted};
use crate::report::numbers;
use crate::scenario::Scenario;

pub fn started(scenario: &Scenario, run: &str, seed: u64, options: &Options) -> RunStarted {
    let backend = options.backend.name();
    RunStarted {
        run: run.to_owned(),
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        file: scenario.file.clone(),
        text: scenario.text.clone(),
        world: scenario.world.name.clone(),
        world_digest: scenario.world.digest(),
        backend: backend.to_owned(),
        seed,
        again: again(scenario, seed, options),
        versions: vec![("meshquake".into(), env!("CARGO_PKG_VERSION").into())],
        machine: machine().into_iter().chain(clock()).collect(),
        actions: scenario
            .timeline
            .iter()
            .map(|step| ActionPlan {
                name: step.name.clone(),
                kind: step.action.kind().to_owned(),
                what: step.action.what(),
                at_ms: millis(step.at),
                for_ms: step.lasts.map(millis),
            })
            .collect(),
        objectives: scenario
            .objectives
            .iter()
            .map(|objective| ObjectivePlan {
                name: objective.name.clone(),
                window: objective.window.words(),
                bound: format!(
                    "{} {}",
                    objective.bound.relation.sign(),
                    numbers::value(objective.bound.value, objective.expression.unit())
                ),
            })
            .collect(),
        expect: scenario.expect.as_ref().map(|expect| format!("{}: {}", expect.verdict, expect.why)),
        inert: scenario.world.findings.inert.iter().map(inert).collect(),
    }
}

/// The command that runs it again.
fn again(scenario: &Scenario, seed: u64, options: &Options) -> String {
    if !scenario.of_file {
        return format!("by the program that ran it, with the seed {seed}");
    }
    let backend = options.backend.name();
    let mut again = format!("meshquake run {} --backend {backend}", quoted(&scenario.file));
    if let Choice::Context { name, .. } = &options.backend {
        again += &format!(" --context {}", quoted(name));
    }
    if let Some(file) = options.settings.file.as_ref().filter(|_| options.backend != Choice::Local) {
        again += &format!(" --config {}", quoted(&crate::world::shown(file)));
    }
    if seed != scenario.seed {
        again += &format!(" --seed {seed}");
    }
    again
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// As one word of a command.
pub fn quoted(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c));
    if plain && !text.is_empty() { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Processors, memory, kernel: what a figure depends on.
pub fn machine() -> Vec<(String, String)> {
    let first = |path: &str, field: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(field))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = first("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into());
    let memory =
        first("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    let memory = memory.map_or("unknown".into(), |kib| format!("{:.1} GiB", kib / 1024.0 / 1024.0));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    vec![
        ("processors".into(), format!("{cores} × {processor}")),
        ("memory".into(), memory),
        ("kernel".into(), format!("Linux {}", kernel.trim())),
    ]
}

/// What its times were read from.
fn clock() -> Option<(String, String)> {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = fs::read_to_string(path).ok()?;
    Some(("clock".into(), source.trim().to_owned()))
}

/// A field that changes nothing on this backend, and why.
fn inert(field: &InertUse) -> String {
    format!("{}: {} of {} ({})", field.place, field.field, field.object, field.why)
}
