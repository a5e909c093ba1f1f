//! What became of one action: asked, proved, undone, recovered from.

use crate::event::{ActionPlan, ActionStep};

#[derive(Clone, Debug)]
pub struct ActionStory {
    pub plan: ActionPlan,
    pub steps: Vec<(i64, ActionStep)>,
}

/// How far an action came, for whoever reads only one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The run ended before its time came.
    NotReached,
    /// Asked for, and nothing was heard of it since.
    Open,
    NotProved,
    /// Proved, its undo neither verified nor failed.
    Active,
    Undone,
    UndoFailed,
}

impl Fate {
    pub const fn word(self) -> &'static str {
        match self {
            Fate::NotReached => "not reached",
            Fate::Open => "asked, not proved",
            Fate::NotProved => "not injected",
            Fate::Active => "proved, not undone",
            Fate::Undone => "proved and undone",
            Fate::UndoFailed => "undo failed",
        }
    }
}

impl ActionStory {
    pub fn new(plan: ActionPlan) -> Self {
        Self { plan, steps: vec![] }
    }

    /// An action that the plan does not name.
    pub fn unplanned(name: &str, at_ms: u64) -> Self {
        let (kind, what) = (String::new(), "not in the plan".into());
        Self::new(ActionPlan { name: name.into(), kind, what, at_ms, for_ms: None })
    }

    fn time(&self, wanted: impl Fn(&ActionStep) -> bool) -> Option<i64> {
        self.steps.iter().find(|(_, step)| wanted(step)).map(|(at, _)| *at)
    }

    pub fn asked(&self) -> Option<i64> {
        self.time(|step| matches!(step, ActionStep::Asked { .. }))
    }

    pub fn proved(&self) -> Option<i64> {
        self.time(|step| matches!(step, ActionStep::Proved { .. }))
    }

    pub fn undo_asked(&self) -> Option<i64> {
        self.time(|step| matches!(step, ActionStep::UndoAsked))
    }

    pub fn undone(&self) -> Option<i64> {
        self.time(|step| matches!(step, ActionStep::UndoVerified { .. }))
    }

    /// When its undo was verified, or else is known to have failed.
    pub fn closed(&self) -> Option<i64> {
        self.time(|step| matches!(step, ActionStep::UndoVerified { .. } | ActionStep::UndoFailed { .. }))
    }

    /// How long after the undo all was well, or within what time it was not.
    pub fn recovery(&self) -> Option<Result<u64, u64>> {
        self.steps.iter().find_map(|(_, step)| match step {
            ActionStep::Recovered { after_ms } => Some(Ok(*after_ms)),
            ActionStep::NotRecovered { within_ms } => Some(Err(*within_ms)),
            _ => None,
        })
    }

    pub fn target(&self) -> Option<&str> {
        self.steps.iter().find_map(|(_, step)| match step {
            ActionStep::Asked { target, .. } => Some(target.as_str()),
            _ => None,
        })
    }

    /// What proved it, or why nothing did.
    pub fn proof(&self) -> Option<Result<&str, &str>> {
        self.steps.iter().find_map(|(_, step)| match step {
            ActionStep::Proved { observation } => Some(Ok(observation.as_str())),
            ActionStep::NotProved { reason } => Some(Err(reason.as_str())),
            _ => None,
        })
    }

    /// How its undo was verified, or why it failed. A later success mends an earlier failure.
    pub fn undo(&self) -> Option<Result<&str, &str>> {
        let told = |(_, step): &'_ &(i64, ActionStep)| {
            matches!(step, ActionStep::UndoVerified { .. } | ActionStep::UndoFailed { .. })
        };
        self.steps.iter().rfind(told).and_then(|(_, step)| match step {
            ActionStep::UndoVerified { how } => Some(Ok(how.as_str())),
            ActionStep::UndoFailed { reason } => Some(Err(reason.as_str())),
            _ => None,
        })
    }

    pub fn fate(&self) -> Fate {
        match (self.asked(), self.proof(), self.undo()) {
            (_, _, Some(Err(_))) => Fate::UndoFailed,
            (_, Some(Err(_)), _) => Fate::NotProved,
            (_, Some(Ok(_)), Some(Ok(_))) => Fate::Undone,
            (_, Some(Ok(_)), None) => Fate::Active,
            (None, None, None) => Fate::NotReached,
            (_, None, _) => Fate::Open,
        }
    }
}
