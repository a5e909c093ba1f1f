//! Where a world is brought up, as a person says it: the backend, the context, the settings.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::print::{fail, progress_look, tell};
use crate::backend::Choice;
use crate::backend::cluster::provision;
use crate::backend::cluster::settings::Settings;
use crate::error::chain;
use crate::problem;
use crate::verdict::Exit;

#[derive(Args, Clone, Debug)]
pub struct Where {
    /// Where the world is brought up
    #[arg(long, value_name = "BACKEND", value_enum, default_value = "local")]
    backend: Name,
    /// The cluster's name in the kubeconfig, for `--backend context`; never the current one by accident
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Settings for clusters [default: meshquake.toml, if it is here]
    #[arg(long, value_name = "FILE", env = "MESHQUAKE_CONFIG")]
    config: Option<PathBuf>,
    /// Shake even a cluster that looks like one that people depend on, or take one away on which a world is up
    #[arg(long)]
    yes_really: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Real Envoys beside plain processes; no Docker, no root
    Local,
    /// A cluster that kind makes
    Kind,
    /// A cluster that k3d makes
    K3d,
    /// Any cluster with Istio
    Context,
}

impl Where {
    /// Whether a person has said that it may be done all the same.
    pub fn yes_really(&self) -> bool {
        self.yes_really
    }

    /// The backend and its settings; what is wrong has been told.
    pub fn resolve(&self) -> Result<(Choice, Settings), Exit> {
        let choice = match (self.backend, &self.context) {
            (Name::Context, Some(name)) => {
                Choice::Context { name: name.clone(), yes_really: self.yes_really }
            }
            (Name::Context, None) => {
                let known = provision::contexts().map_err(|error| fail(Exit::USAGE, &chain(&error)))?;
                let text = format!("`--backend context` wants `--context NAME`; there are {known}");
                return Err(fail(Exit::USAGE, &text));
            }
            (_, Some(_)) => {
                return Err(fail(Exit::USAGE, "`--context` belongs to `--backend context`"));
            }
            (Name::Local, None) => Choice::Local,
            (Name::Kind, None) => Choice::Kind,
            (Name::K3d, None) => Choice::K3d,
        };
        let settings = Settings::find(self.config.as_deref()).map_err(|problems| {
            let look = progress_look();
            tell(problem::render(&problems, problem::NOTHING_STARTED, look.colour).trim_end());
            Exit::REFUSED
        })?;
        Ok((choice, settings))
    }
}
