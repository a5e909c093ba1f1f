//! The verdict of a run and of an objective, what led to it, and the exit codes that say it to a script.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The one word at the end. An objective has only the first three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every objective held and every action was proved and taken back.
    Held,
    /// At least one objective did not hold.
    Failed,
    /// Nothing failed, but something could not be judged: data missing, or the load generator was the bottleneck.
    Inconclusive,
    /// The world was not in its steady state before the first action, so nothing was shaken.
    NotSteady,
    /// An action had no effect that could be seen from outside.
    NotInjected,
    /// A guard, a signal or the time limit ended the run early.
    Aborted,
    /// Scenario, world or journey has problems; nothing was started.
    Refused,
    /// Something else went wrong: the world did not come up, or an undo failed.
    Error,
}

impl Verdict {
    pub const ALL: [Verdict; 8] = [
        Verdict::Held,
        Verdict::Failed,
        Verdict::Inconclusive,
        Verdict::NotSteady,
        Verdict::NotInjected,
        Verdict::Aborted,
        Verdict::Refused,
        Verdict::Error,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::Failed => "failed",
            Verdict::Inconclusive => "inconclusive",
            Verdict::NotSteady => "not-steady",
            Verdict::NotInjected => "not-injected",
            Verdict::Aborted => "aborted",
            Verdict::Refused => "refused",
            Verdict::Error => "error",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One reason why a run did not simply hold. All of them are listed; the worst decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    pub kind: CauseKind,
    /// What happened, to be read by a person.
    pub text: String,
    /// The objective that it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
}

impl Cause {
    pub fn new(kind: CauseKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), objective: None }
    }

    /// Why an objective did not hold, or could not be judged.
    pub fn of(objective: &str, kind: CauseKind, text: impl Into<String>) -> Self {
        Self { objective: Some(objective.to_owned()), ..Self::new(kind, text) }
    }
}

/// Kinds of causes, mildest first: the order is the order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CauseKind {
    Inconclusive,
    Failed,
    NotInjected,
    NotSteady,
    /// Aborted by a guard or by `--timeout`.
    Aborted,
    /// Aborted by SIGINT (or SIGHUP, or a closed pipe).
    Interrupted,
    /// Aborted by SIGTERM.
    Terminated,
    Refused,
    NotPossibleHere,
    WorldNotUp,
    Internal,
    UndoFailed,
}

impl CauseKind {
    pub const fn verdict(self) -> Verdict {
        match self {
            CauseKind::Inconclusive => Verdict::Inconclusive,
            CauseKind::Failed => Verdict::Failed,
            CauseKind::NotInjected => Verdict::NotInjected,
            CauseKind::NotSteady => Verdict::NotSteady,
            CauseKind::Aborted | CauseKind::Interrupted | CauseKind::Terminated => Verdict::Aborted,
            CauseKind::Refused | CauseKind::NotPossibleHere => Verdict::Refused,
            CauseKind::WorldNotUp | CauseKind::Internal | CauseKind::UndoFailed => Verdict::Error,
        }
    }

    pub const fn exit(self) -> Exit {
        match self {
            CauseKind::Inconclusive => Exit::INCONCLUSIVE,
            CauseKind::Failed => Exit::FAILED,
            CauseKind::NotInjected => Exit::NOT_INJECTED,
            CauseKind::NotSteady => Exit::NOT_STEADY,
            CauseKind::Aborted => Exit::ABORTED,
            CauseKind::Interrupted => Exit::INTERRUPTED,
            CauseKind::Terminated => Exit::TERMINATED,
            CauseKind::Refused => Exit::REFUSED,
            CauseKind::NotPossibleHere => Exit::NOT_POSSIBLE_HERE,
            CauseKind::WorldNotUp => Exit::WORLD_NOT_UP,
            CauseKind::Internal => Exit::INTERNAL,
            CauseKind::UndoFailed => Exit::UNDO_FAILED,
        }
    }
}

/// What a run comes to: the worst cause decides, none means held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Worst first.
    pub causes: Vec<Cause>,
}

impl Outcome {
    pub fn of(mut causes: Vec<Cause>) -> Self {
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.kind));
        Self { causes }
    }

    pub fn verdict(&self) -> Verdict {
        self.causes.first().map_or(Verdict::Held, |worst| worst.kind.verdict())
    }

    pub fn exit(&self) -> Exit {
        self.causes.first().map_or(Exit::HELD, |worst| worst.kind.exit())
    }
}

/// An exit code of the `meshquake` binary. These are public and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exit(pub u8);

impl Exit {
    /// Held: every objective held.
    pub const HELD: Exit = Exit(0);
    /// A defect of meshquake itself, or of the machine.
    pub const INTERNAL: Exit = Exit(1);
    /// The command line was not understood.
    pub const USAGE: Exit = Exit(2);
    /// At least one objective failed.
    pub const FAILED: Exit = Exit(10);
    /// Something could not be judged.
    pub const INCONCLUSIVE: Exit = Exit(11);
    /// The steady state did not hold before the first action.
    pub const NOT_STEADY: Exit = Exit(12);
    /// An action had no effect.
    pub const NOT_INJECTED: Exit = Exit(13);
    /// A guard or the time limit ended the run.
    pub const ABORTED: Exit = Exit(14);
    /// The chosen backend cannot do what the scenario asks.
    pub const NOT_POSSIBLE_HERE: Exit = Exit(15);
    /// Scenario, world or journey has problems; nothing was started.
    pub const REFUSED: Exit = Exit(20);
    /// The world did not come up.
    pub const WORLD_NOT_UP: Exit = Exit(21);
    /// Something could not be taken back.
    pub const UNDO_FAILED: Exit = Exit(22);
    /// Ended by SIGINT.
    pub const INTERRUPTED: Exit = Exit(130);
    /// Ended by SIGTERM.
    pub const TERMINATED: Exit = Exit(143);

    /// Every code with its meaning, for `--help` and the documentation.
    pub const TABLE: [(Exit, &'static str); 14] = [
        (Exit::HELD, "held: every objective held"),
        (Exit::INTERNAL, "internal error"),
        (Exit::USAGE, "the command line was not understood"),
        (Exit::FAILED, "failed: at least one objective did not hold"),
        (Exit::INCONCLUSIVE, "inconclusive: something could not be judged"),
        (Exit::NOT_STEADY, "not steady: the steady state did not hold before the first action"),
        (Exit::NOT_INJECTED, "not injected: an action had no effect"),
        (Exit::ABORTED, "aborted by a guard or by the time limit"),
        (Exit::NOT_POSSIBLE_HERE, "the chosen backend cannot do this"),
        (Exit::REFUSED, "refused: scenario, world or journey has problems, nothing was started"),
        (Exit::WORLD_NOT_UP, "the world did not come up"),
        (Exit::UNDO_FAILED, "something could not be taken back; see `meshquake heal`"),
        (Exit::INTERRUPTED, "ended by Ctrl-C (SIGINT)"),
        (Exit::TERMINATED, "ended by SIGTERM"),
    ];
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cause_means_held() {
        let outcome = Outcome::of(vec![]);
        assert_eq!((outcome.verdict(), outcome.exit()), (Verdict::Held, Exit::HELD));
    }

    #[test]
    fn the_worst_cause_decides_and_all_are_kept() {
        let order = [
            CauseKind::UndoFailed,
            CauseKind::Internal,
            CauseKind::Aborted,
            CauseKind::NotSteady,
            CauseKind::NotInjected,
            CauseKind::Failed,
            CauseKind::Inconclusive,
        ];
        for (place, worst) in order.iter().enumerate() {
            let causes = order[place..].iter().rev().map(|kind| Cause::new(*kind, "x")).collect::<Vec<_>>();
            let outcome = Outcome::of(causes.clone());
            assert_eq!(outcome.verdict(), worst.verdict());
            assert_eq!(outcome.exit(), worst.exit());
            assert_eq!(outcome.causes.len(), causes.len());
        }
    }

    #[test]
    fn words_are_those_of_the_serialised_form() {
        for verdict in Verdict::ALL {
            let json = serde_json::to_string(&verdict).expect("a verdict serialises");
            assert_eq!(json, format!("\"{}\"", verdict.word()));
        }
    }
}
