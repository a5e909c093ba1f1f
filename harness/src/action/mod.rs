//! What a timeline can do to a world: one file a kind, each with its proof and its undo as data.
//!
//! ```text
//! Action ──inject──► Active ──prove──► observation
//!                      └────revert───► how it was verified
//! ```
//! Before an action changes anything it writes down how to take that back ([`Undo`]); its [`Proof`] comes from
//! outside the injector. The normal end, a guard and `heal` take back by the same function.

pub mod fault;
pub mod kill;
pub mod mesh;
pub mod misbehave;
mod pick;
pub mod proof;
pub mod scale;

use std::time::Duration;

use meshquake_xds::source::Place;
use rand_chacha::ChaCha8Rng;

use crate::backend::{Backend, Undo, chaos, objects};
use crate::judge::live::Live;
use crate::verdict::CauseKind;
pub use proof::Proof;

/// How long the proxies may take to acknowledge a change.
const CONVERGE_LIMIT: Duration = Duration::from_secs(15);

/// One step of a timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub name: String,
    pub place: Place,
    /// Offset from the start of the load.
    pub at: Duration,
    /// When its time is over it is taken back; `None` for what happens at one moment.
    pub lasts: Option<Duration>,
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Kill(kill::Kill),
    Scale(scale::Scale),
    Fault(fault::MeshFault),
    Misbehave(misbehave::Misbehave),
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("nobody is hit: {what}")]
    Nobody { what: String },
    #[error(transparent)]
    Objects(#[from] objects::Error),
    #[error(transparent)]
    Chaos(#[from] chaos::Error),
    #[error("the proxies did not take the change up: {0}")]
    NotConverged(String),
    #[error("the way back could not be written down, so nothing was done: {0}")]
    NotWrittenDown(String),
}

impl Error {
    /// What it means for the run. Hitting nobody is no defect: it is a fault that was not injected.
    pub fn cause(&self) -> CauseKind {
        match self {
            Error::Nobody { .. } => CauseKind::NotInjected,
            Error::Chaos(chaos::Error::NoSwitch { .. }) => CauseKind::NotPossibleHere,
            _ => CauseKind::Internal,
        }
    }
}

/// What an action stands on.
pub struct Ground<'run> {
    pub backend: &'run Backend,
    /// Where something of the world lies.
    pub namespaces: &'run [String],
    pub metrics: &'run Live,
}

impl Action {
    pub fn kind(&self) -> &'static str {
        match self {
            Action::Kill(_) => "kill",
            Action::Scale(_) => "scale",
            Action::Fault(fault) => match fault.fault {
                mesh::Fault::Abort { .. } => "abort",
                mesh::Fault::Delay { .. } => "delay",
            },
            Action::Misbehave(_) => "misbehave",
        }
    }

    /// What it does to whom, in words.
    pub fn what(&self) -> String {
        match self {
            Action::Kill(kill) => kill.what(),
            Action::Scale(scale) => scale.what(),
            Action::Fault(fault) => fault.what(),
            Action::Misbehave(misbehave) => misbehave.what(),
        }
    }

    /// Does it. `active` knows at any moment what has to be taken back, also when this fails half-way.
    pub async fn inject(
        &self,
        ground: &Ground<'_>,
        random: &mut ChaCha8Rng,
        active: &mut Active,
    ) -> Result<(), Error> {
        match self {
            Action::Kill(kill) => kill.inject(ground, random, active).await,
            Action::Scale(scale) => scale.inject(ground, active).await,
            Action::Fault(fault) => fault.inject(ground, active).await,
            Action::Misbehave(misbehave) => misbehave.inject(ground, random, active).await,
        }
    }
}

/// An action that has changed the world and must be taken back.
#[derive(Default)]
#[must_use = "an active action must be reverted"]
pub struct Active {
    /// Whom it hit, and how that was chosen.
    pub target: String,
    proof: Proof,
    undos: Vec<(u64, Undo)>,
}

impl Active {
    /// Undo before do: on disk before the world changes.
    async fn write_down(&mut self, ground: &Ground<'_>, undo: Undo) -> Result<(), Error> {
        let id = ground.backend.write_down(&undo).await.map_err(Error::NotWrittenDown)?;
        self.undos.push((id, undo));
        Ok(())
    }

    /// Looks once whether the effect can be seen from outside; says what was seen.
    pub async fn seen(&self, ground: &Ground<'_>) -> Result<String, String> {
        self.proof.seen(ground).await
    }

    /// The pods that it ended.
    pub fn killed(&self) -> Vec<String> {
        match &self.proof {
            Proof::Gone { pods } => pods.iter().map(|pod| pod.name.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// Takes everything back, last first; all of it is tried even when a part fails.
    pub async fn revert(self, backend: &Backend) -> Result<String, String> {
        let mut verified = Vec::new();
        let mut failed = Vec::new();
        for (id, undo) in self.undos.iter().rev() {
            match undo.take_back(backend).await {
                Ok(how) => {
                    verified.push(how);
                    if let Err(error) = backend.cross_off(*id).await {
                        failed.push(error);
                    }
                }
                Err(error) => failed.push(error.to_string()),
            }
        }
        if failed.is_empty() { Ok(verified.join("; ")) } else { Err(failed.join("; ")) }
    }
}
