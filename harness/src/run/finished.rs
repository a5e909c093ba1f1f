//! A run that has ended, and what a test asks of it.

use std::fmt;
use std::path::PathBuf;

use super::library::Error;
use crate::event::{Call, EVENTS, Judged, Record};
use crate::problem::nearest;
use crate::report::Story;
use crate::report::console::{self, Look};
use crate::report::story::Told;
use crate::scenario::{Deviation, Expectation};
use crate::verdict::{Outcome, Verdict};

/// A run that has ended: its world is down, its reports are written. Its text is what `meshquake run` answers.
pub struct Finished {
    /// Where its reports, events, samples and logs are.
    pub folder: PathBuf,
    /// Everything that the reports tell.
    pub story: Story,
    pub outcome: Outcome,
    pub expectation: Expectation,
}

impl Finished {
    pub fn verdict(&self) -> Verdict {
        self.outcome.verdict()
    }

    /// How the run differs from what the scenario expects; nothing means as expected.
    pub fn deviations(&self) -> Vec<Deviation> {
        self.expectation.compare(self.verdict(), &self.story.judged)
    }

    /// What was measured for an objective, by its name: value, bound, verdict, and what the value rests on.
    pub fn objective(&self, name: &str) -> Result<&Judged, Error> {
        let judged = &self.story.judged;
        judged.iter().find(|judged| judged.name == name).ok_or_else(|| {
            let names = judged.iter().map(|judged| judged.name.as_str());
            let near = nearest(name, names.clone()).map(str::to_owned);
            let known = names.map(str::to_owned).collect();
            Error::NotJudged { name: name.to_owned(), known, near, verdict: self.verdict() }
        })
    }

    /// The calls of one workload to another, as the caller's sidecar has counted them; `None` where there was none.
    pub fn calls(&self, source: &str, destination: &str) -> Option<&Call> {
        self.story.calls.iter().find(|call| call.source == source && call.destination == destination)
    }

    /// Everything that happened, in the order in which it did.
    pub fn events(&self) -> Result<Vec<Record>, Error> {
        let told = Told::read(&self.folder.join(EVENTS));
        told.map(|told| told.records).map_err(Error::NotRead)
    }

    /// Panics with the whole answer unless every objective held.
    #[track_caller]
    pub fn assert_held(&self) {
        assert!(self.verdict() == Verdict::Held, "the run has not held\n{self}");
    }

    /// Panics with what differs unless the run went as the scenario's `expect:` says; `held` where it says nothing.
    #[track_caller]
    pub fn assert_as_expected(&self) {
        let deviations = self.deviations();
        let told = deviations.iter().map(|one| format!("  {one}\n")).collect::<String>();
        assert!(deviations.is_empty(), "the run has not gone as expected\n{told}{self}");
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&console::answer(&self.story, &self.folder.display().to_string(), Look::PLAIN))
    }
}

/// Not every field, but what a failed test wants to read.
impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
