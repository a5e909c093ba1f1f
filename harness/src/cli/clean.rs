//! `meshquake clean`: old runs go, and what was fetched for them.

use std::path::PathBuf;

use clap::Args;

use super::print::{answer, fail};
use super::reports;
use crate::backend::local::dirs::Dirs;
use crate::error::chain;
use crate::run;
use crate::verdict::Exit;

#[derive(Args)]
pub struct Clean {
    /// How many runs to keep
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_runs: usize,
    /// Where runs are written
    #[arg(long, value_name = "FOLDER")]
    reports: Option<PathBuf>,
    /// Also the programs taken from their wheels
    #[arg(long)]
    cache: bool,
}

impl Clean {
    pub fn execute(self) -> Exit {
        let root = reports(&self.reports);
        match run::folder::prune(&root, self.keep_runs, None) {
            Ok(removed) => answer(&format!("removed {} runs from {}", removed.len(), root.display())),
            Err(error) => return fail(Exit::INTERNAL, &format!("{}: {error}", root.display())),
        }
        if self.cache {
            let cache = match Dirs::from_env().and_then(|dirs| dirs.cache()) {
                Ok(cache) => cache,
                Err(error) => return fail(Exit::INTERNAL, &chain(&error)),
            };
            if let Err(error) = std::fs::remove_dir_all(&cache) {
                return fail(Exit::INTERNAL, &format!("{}: {error}", cache.display()));
            }
            answer(&format!("removed {}", cache.display()));
        }
        Exit::HELD
    }
}
