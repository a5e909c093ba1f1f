//! When all was well again: the first second after an undo from which a bound held for a while.
//!
//! Second by second, over the samples there are. What is decided live stays decided: a second looks only at samples up
//! to its own end, so more samples afterwards give the same answer.

use std::time::Duration;

use super::judging::Judge;
use super::objective::{Objective, Window};
use super::verdict::Finding;
use super::window::Aligned;
use crate::verdict::Verdict;

/// How far a recovery has come.
#[derive(Clone, Debug, PartialEq)]
pub enum Recovery {
    /// Neither yet.
    Undecided,
    /// The bound held from this long after the undo on.
    Recovered { after: Duration },
    /// It did not hold from any second that began within the limit.
    NotRecovered { within: Duration },
    /// It cannot be said, and why.
    Unknown { reason: String },
}

impl Judge<'_> {
    /// How far the recovery that an objective asks for has come; to be asked each second until it is decided.
    pub fn recovery(&self, objective: &Objective) -> Recovery {
        follow(self, objective).0
    }
}

/// The finding on a recovery: its value is the time that it took, in seconds.
pub(super) fn judge(judge: &Judge<'_>, objective: &Objective) -> (Finding, Vec<String>) {
    let (recovery, samples, queries) = follow(judge, objective);
    let finding = match recovery {
        Recovery::Recovered { after } => Finding {
            verdict: Verdict::Held,
            value: Some(after.as_secs_f64()),
            samples,
            reason: String::new(),
        },
        Recovery::NotRecovered { within } => Finding {
            verdict: Verdict::Failed,
            value: None,
            samples,
            reason: format!("not well again within {:.1} s of the undo", within.as_secs_f64()),
        },
        Recovery::Undecided => {
            Finding { samples, ..Finding::inconclusive("the load ended before the recovery was decided") }
        }
        Recovery::Unknown { reason } => Finding { samples, ..Finding::inconclusive(reason) },
    };
    (finding, queries)
}

fn follow(judge: &Judge<'_>, objective: &Objective) -> (Recovery, u64, Vec<String>) {
    let Window::Recovery { within, hold, .. } = objective.window else {
        return (Recovery::Unknown { reason: "this is no recovery".into() }, 0, Vec::new());
    };
    let unknown = |reason: String| (Recovery::Unknown { reason }, 0, Vec::new());
    let span = match judge.marks.span(&objective.window) {
        Ok(span) => span,
        Err(reason) => return unknown(reason),
    };
    let beat = match judge.beat(&objective.expression) {
        Ok(beat) => beat,
        Err(reason) => return unknown(reason),
    };
    let times = beat.times(judge.store, span.from, i64::MAX);
    let [within_ms, hold_ms] = [within, hold].map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let (mut samples, mut queries) = (0, Vec::new());
    let mut well_since: Option<i64> = None;
    let mut doubt = None;
    for pair in times.windows(2) {
        let [from, to] = pair else { continue };
        // No second that began later may count, and none before it held on.
        if well_since.is_none() && from - span.from > within_ms {
            return (not_recovered(within, doubt), samples, queries);
        }
        // A single second carries few samples; the minimum is asked of the whole.
        let second = Objective { min_samples: 0, every: None, ..objective.clone() };
        let (finding, texts) = judge.over(&second, Aligned { from: *from, to: *to });
        samples += finding.samples;
        queries = texts;
        match finding.verdict {
            Verdict::Held => {
                let since = *well_since.get_or_insert(*from);
                if to - since >= hold_ms {
                    let after = Duration::from_millis(u64::try_from(since - span.from).unwrap_or(0));
                    let enough = samples >= objective.min_samples;
                    let too_few =
                        || format!("rests on {samples} samples, {} are needed", objective.min_samples);
                    let decided = if enough {
                        Recovery::Recovered { after }
                    } else {
                        Recovery::Unknown { reason: too_few() }
                    };
                    return (decided, samples, queries);
                }
            }
            Verdict::Failed => {
                well_since = None;
                // A second that was seen to fail is no missing data.
                doubt = None;
            }
            _ => {
                well_since = None;
                doubt = Some(finding.reason);
            }
        }
    }
    (Recovery::Undecided, samples, queries)
}

/// Not well again, or not known whether it was: the last seconds before the limit decide.
fn not_recovered(within: Duration, doubt: Option<String>) -> Recovery {
    match doubt {
        Some(reason) => Recovery::Unknown { reason },
        None => Recovery::NotRecovered { within },
    }
}

#[cfg(test)]
mod tests;
