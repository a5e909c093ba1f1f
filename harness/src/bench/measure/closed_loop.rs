//! As many requests as ten users get answered by one hop, who each wait for their answer: our load generator beside
//! others, in turn, where they are installed.

mod k6;
mod wrk;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::super::figure::{Better, Parts};
use super::super::load::{self, Wanted};
use super::super::{Bench, Error, Figure, bed};
use crate::event::Unit;
use crate::load::Mode;
use crate::parts;

const USERS: u32 = 10;
const LASTS: Duration = Duration::from_secs(4);
/// What the first hop answers alone.
const PATH: &str = "/health";

pub fn declared() -> [Figure; 1] {
    [Figure::new(
        "closed-loop",
        Unit::PerSecond,
        Better::Higher,
        "Requests a second that our load worker gets answered by one hop with ten users, on the same processors as the \
         mesh.",
    )]
}

/// A load generator of somebody else's.
#[derive(Clone, Copy)]
enum Other {
    Wrk,
    K6,
}

impl Other {
    const ALL: [Other; 2] = [Other::Wrk, Other::K6];

    const fn name(self) -> &'static str {
        match self {
            Other::Wrk => "wrk",
            Other::K6 => "k6",
        }
    }

    const fn asks_for_version(self) -> &'static str {
        match self {
            Other::Wrk => "--version",
            Other::K6 => "version",
        }
    }

    /// Requests a second that were answered well.
    async fn drive(self, program: &Path, folder: &Path, url: &str) -> Result<f64, Error> {
        match self {
            Other::Wrk => wrk::drive(program, url).await,
            Other::K6 => k6::drive(program, folder, url).await,
        }
    }
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    let world = bed::world(None)?;
    let images = bed::build(bench, &world).await?;
    let wanted = Wanted {
        journey: load::journey(&world, "front")?,
        mode: Mode::Closed { users: USERS },
        lasts: LASTS,
        workers: 1,
    };
    let [mut figure] = declared();
    let found = Other::ALL.map(|other| (other, find(other)));
    for (other, program) in &found {
        figure = figure.note(match program {
            Some(program) => format!("beside {}", version(*other, program).await),
            None => format!("{} is not on PATH, so there is nothing of it here", other.name()),
        });
    }
    let rounds = bench.rounds(3);
    let taken = bed::within(bench, &world, &images, false, async |up| {
        let url = format!("{}{PATH}", up.backend.entry());
        let (mut ours, mut others) = (Vec::new(), Parts::default());
        for round in 1..=rounds {
            let rate = load::drive(&up.backend, &wanted).await?.rate();
            ours.push(rate);
            let mut told = format!("closed-loop: {round} of {rounds}: {rate:.0}/s");
            for (other, program) in &found {
                let Some(program) = program else { continue };
                let rate = other.drive(program, bench.folder, &url).await?;
                others.add(other.name(), Unit::PerSecond, rate);
                told += &format!(", {} {rate:.0}/s", other.name());
            }
            (bench.tell)(told);
        }
        Ok((ours, others))
    });
    let (ours, others) = taken.await?;
    Ok(vec![figure.with(ours).parts(others)])
}

fn find(other: Other) -> Option<PathBuf> {
    parts::on_path(other.name(), std::env::var_os("PATH").as_deref())
}

/// The first line that it says of itself.
async fn version(other: Other, program: &Path) -> String {
    let output = command(program).arg(other.asks_for_version()).output().await;
    // wrk says it beside its help and fails.
    let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    said.lines().next().filter(|line| line.contains(other.name())).unwrap_or(other.name()).to_owned()
}

/// It ends with the bench, and finds no proxy in its environment.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a program said on its standard output.
async fn said(command: &mut Command) -> Result<String, Error> {
    let shown = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.output().await;
    let output = output.map_err(|source| Error::Start { command: shown.clone(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Command { command: shown, status: output.status.to_string(), said })
}
