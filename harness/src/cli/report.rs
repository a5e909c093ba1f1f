//! `meshquake report`: the reports of a run once more, from its events.

use std::path::PathBuf;

use clap::Args;

use super::print::{answer, answer_look, fail};
use super::reports;
use crate::error::chain;
use crate::report::{self, console};
use crate::verdict::Exit;

#[derive(Args)]
pub struct Report {
    /// The run's folder, or its id
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Where runs are looked for by id
    #[arg(long, value_name = "FOLDER")]
    reports: Option<PathBuf>,
}

impl Report {
    pub fn execute(self) -> Exit {
        let by_id = reports(&self.reports).join(&self.run);
        let folder = if self.run.is_dir() { self.run } else { by_id };
        if !folder.is_dir() {
            return fail(Exit::USAGE, &format!("there is no run {}", folder.display()));
        }
        match report::write(&folder) {
            Ok(story) => {
                answer(console::answer(&story, &folder.display().to_string(), answer_look()).trim_end());
                Exit::HELD
            }
            Err(error) => fail(Exit::INTERNAL, &chain(&error)),
        }
    }
}
