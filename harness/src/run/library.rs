//! The library's way in: a checked scenario runs itself.

use std::fmt;

use super::{Finished, Options};
use crate::backend;
use crate::error::chain;
use crate::problem::{self, Problems};
use crate::report;
use crate::run::stop::Stop;
use crate::scenario::Scenario;
use crate::verdict::Verdict;

impl Scenario {
    /// Runs it to its end: brings its world up, drives the load, shakes, judges, reports, and takes the world down.
    ///
    /// Whatever goes wrong on the way, also a world that does not come up, is in the verdict. An error means that
    /// nothing was started, because the backend cannot do what the world asks, or that no report could be written.
    ///
    /// Any number of runs may go on at once, in one process and in several; each has a world of its own. Dropping the
    /// future gives the run up: on `local` its world ends with it. On a cluster nobody is left to take it down, so
    /// bound a run there by [`Options::timeout`]; `meshquake heal` takes back what was left.
    ///
    /// The future is not `Send`: await it where it is made, and several of them by `tokio::join!`. Who wants to follow
    /// the events as they happen, or to end a run early, calls [`crate::run::run`].
    pub async fn run(&self, how: impl Into<Options>) -> Result<Finished, Error> {
        let options = how.into();
        options.backend.bears(&self.world)?;
        super::run(self, &options, &Stop::default(), None).await.map_err(Error::Run)
    }
}

impl From<backend::Choice> for Options {
    fn from(backend: backend::Choice) -> Self {
        Options::on(backend)
    }
}

/// Why a scenario was not run, or a run cannot say what it was asked.
///
/// Its `Debug` is its text: that is what a test shows which ends with `?`.
pub enum Error {
    /// What a person wrote has problems; nothing was started.
    Refused(Problems),
    Run(super::Error),
    /// What happened cannot be read any more.
    NotRead(report::Error),
    NotJudged {
        name: String,
        known: Vec<String>,
        near: Option<String>,
        verdict: Verdict,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(problems) => f.write_str(problem::plain(problems).trim_end()),
            Error::Run(error) => f.write_str(&chain(error)),
            Error::NotRead(error) => f.write_str(&chain(error)),
            Error::NotJudged { name, known, near, verdict } => {
                write!(f, "the run, whose verdict is {verdict}, has judged no objective `{name}`")?;
                match near {
                    Some(near) => write!(f, "; did you mean `{near}`?")?,
                    None if known.is_empty() => write!(f, "; it has judged none")?,
                    None => write!(f, "; it has judged `{}`", known.join("`, `"))?,
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Error::Refused(problems)
    }
}
