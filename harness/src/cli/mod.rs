//! The command line: one file a command. Standard output is the answer, standard error the progress.

mod apply;
mod bench;
mod check;
mod clean;
mod cluster;
mod completions;
mod doctor;
mod down;
mod examples;
mod heal;
mod logs;
mod ls;
mod man;
mod on_cluster;
mod print;
mod report;
mod run;
mod up;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::backend::local::{self, own, supervisor, warden};
use crate::load;
use crate::verdict::Exit;
use print::fail;

/// Does my system hold when the mesh shakes?
///
/// A scenario is one file: a world of services, the load on it, what shakes it, and what must hold. meshquake brings the
/// world up behind real Envoy sidecars, on this machine or on a cluster with Istio, does what the scenario says, proves
/// that each fault happened, takes it back, and says whether the system held.
#[derive(Parser)]
#[command(name = "meshquake", version, max_term_width = 110, after_help = exit_codes(), after_long_help = start())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run scenarios: bring the world up, drive load, shake it, judge, report, take it down
    ///
    /// The verdict is the exit code, so that a script can ask for it. Reports are written to a folder of the run's own,
    /// below `reports/runs` beside the nearest folder `scenarios`, else below `meshquake-reports` here.
    #[command(after_help = examples::RUN)]
    Run(run::Run),
    /// Check scenarios without running anything
    ///
    /// All problems of the scenarios, their worlds and journeys at once, each with its line and what is allowed there.
    #[command(after_help = examples::CHECK)]
    Check(check::Check),
    /// Bring a world up and leave it up
    ///
    /// A world is a kustomize folder of Kubernetes and Istio objects with a world.yaml, which says what each image is on
    /// this machine. The answer is a line for each URL under which the world can be called.
    #[command(after_help = examples::UP)]
    Up(up::Up),
    /// Apply objects to a world that is up, or delete them, and wait until every proxy has them
    #[command(after_help = examples::APPLY)]
    Apply(apply::Apply),
    /// List the worlds that are up and their pods
    #[command(after_help = examples::LS)]
    Ls(ls::Ls),
    /// Print a pod's log
    #[command(after_help = examples::LOGS)]
    Logs(logs::Logs),
    /// Take a world down
    #[command(after_help = examples::DOWN)]
    Down(down::Down),
    /// Take back whatever a crashed run left behind
    #[command(after_help = examples::HEAL)]
    Heal(heal::Heal),
    /// Remove old runs, and with --cache the programs taken from their wheels
    #[command(after_help = examples::CLEAN)]
    Clean(clean::Clean),
    /// Say what this machine can run, and what is missing
    #[command(after_help = examples::DOCTOR)]
    Doctor(doctor::Doctor),
    /// Measure the figures of this machine, keep them as a report, or compare with an earlier one
    #[command(after_help = examples::BENCH)]
    Bench(bench::Bench),
    /// Write the reports of a run again, from its events
    #[command(after_help = examples::REPORT)]
    Report(report::Report),
    /// Print what a shell needs to complete commands and options
    #[command(after_help = examples::COMPLETIONS)]
    Completions(completions::Completions),
    /// Print the manual page, or write the pages of all commands into a folder
    #[command(after_help = examples::MAN)]
    Man(man::Man),
    #[command(hide = true)]
    Supervise,
    #[command(hide = true)]
    Warden(warden::Task),
    #[command(hide = true)]
    LoadWorker,
}

/// Which world that is up is meant.
#[derive(Args, Clone, Debug)]
struct Which {
    /// The id of the world, where several are up
    #[arg(long, value_name = "ID")]
    run: Option<String>,
}

fn exit_codes() -> String {
    let codes = Exit::TABLE.iter().map(|(exit, meaning)| format!("  {:>3}  {meaning}", exit.0));
    format!("Exit codes:\n{}", codes.collect::<Vec<_>>().join("\n"))
}

fn start() -> String {
    format!("{}\n\n{}", examples::START, exit_codes())
}

/// Parses the command line and does what it says.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let helped = !error.use_stderr();
            // Nobody may be listening any more.
            let _ = error.print();
            return if helped { Exit::HELD } else { Exit::USAGE };
        }
    };
    match cli.command {
        // These are processes of their own, with their own idea of a runtime.
        Command::LoadWorker => {
            return internal(load::worker::main());
        }
        Command::Warden(task) => return internal(warden::main(&task)),
        _ => {}
    }
    print::trace();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(Exit::INTERNAL, &format!("the machine gives no threads: {error}")),
    };
    let exit = runtime.block_on(dispatch(cli.command));
    // A reader of standard input that never comes back must not keep us.
    runtime.shutdown_timeout(Duration::from_millis(100));
    exit
}

async fn dispatch(command: Command) -> Exit {
    match command {
        Command::Run(run) => run.execute().await,
        Command::Check(check) => check.execute(),
        Command::Up(up) => up.execute().await,
        Command::Apply(apply) => apply.execute().await,
        Command::Ls(ls) => ls.execute().await,
        Command::Logs(logs) => logs.execute().await,
        Command::Down(down) => down.execute().await,
        Command::Heal(heal) => heal.execute().await,
        Command::Clean(clean) => clean.execute(),
        Command::Doctor(doctor) => doctor.execute().await,
        Command::Bench(bench) => bench.execute().await,
        Command::Report(report) => report.execute(),
        Command::Completions(completions) => completions.execute(),
        Command::Man(man) => man.execute(),
        Command::Supervise => {
            own::take_back_by(|socket, undo| Box::pin(local::take_back(socket, undo)));
            internal(supervisor::main().await)
        }
        Command::Warden(_) | Command::LoadWorker => Exit::INTERNAL,
    }
}

fn internal(code: std::process::ExitCode) -> Exit {
    if code == std::process::ExitCode::SUCCESS { Exit::HELD } else { Exit::INTERNAL }
}

/// `10s`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    crate::yaml::parse_duration(text)
        .map_err(|advice| advice.unwrap_or_else(|| "write `250ms`, `10s` or `1m30s`".into()))
}

/// A folder as the person wrote it, or the one that runs go to by default.
fn reports(given: &Option<PathBuf>) -> PathBuf {
    given.clone().unwrap_or_else(crate::run::folder::default_root)
}
