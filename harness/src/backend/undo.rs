//! How to take an action back: data, written down before the action happens.
//!
//! The normal end of an action, a guard's abort and `heal` after a crash all call [`Undo::take_back`]. It is
//! idempotent, verifies what it did, and never overwrites what somebody else changed in the meantime.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::objects::{self, ObjectRef, is_alike, said, version_of};
use super::{Backend, chaos};
use crate::wait::{self, Seen};

/// One thing to take back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// Put an object back as it was. `after` is what the action makes of it: anything else is somebody else's.
    Restore { object: ObjectRef, before: Value, after: Value },
    /// Delete an object that the action makes.
    Delete { object: ObjectRef },
    /// Give a Deployment its number of pods back.
    Scale { namespace: String, deployment: String, replicas: u32, during: u32 },
    /// Switch a pod's own misbehaviour off.
    Calm { namespace: String, pod: String },
    /// A killed pod is replaced by its Deployment; this only waits for it.
    Replaced { namespace: String, deployment: String },
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Objects(#[from] objects::Error),
    #[error(transparent)]
    Chaos(#[from] chaos::Error),
    #[error(transparent)]
    NotReached(#[from] wait::NotReached),
    #[error(
        "{object} is neither as it was before nor as the action left it: somebody else changed it, so it was not overwritten"
    )]
    ChangedByOthers { object: String },
    #[error("the proxies did not take it up: {0}")]
    NotConverged(String),
}

/// How long a Deployment may take to have all its pods ready again.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long the proxies may take to acknowledge.
const CONVERGE_LIMIT: Duration = Duration::from_secs(15);

impl Undo {
    /// Takes it back and says how that was verified.
    pub async fn take_back(&self, backend: &Backend) -> Result<String, Error> {
        match self {
            Undo::Restore { object, before, after } => restore(backend, object, before, after).await,
            Undo::Delete { object } => {
                backend.objects().delete(object).await?;
                converged(backend).await?;
                Ok(format!("{object} is gone again and every proxy has acknowledged it"))
            }
            Undo::Scale { namespace, deployment, replicas, during } => {
                let found = backend.objects().deployment(namespace, deployment).await?;
                if found.wanted != *replicas && found.wanted != *during {
                    return Err(Error::ChangedByOthers {
                        object: format!("Deployment {namespace}/{deployment}"),
                    });
                }
                if found.wanted != *replicas {
                    backend.objects().scale(namespace, deployment, *replicas).await?;
                }
                all_ready(backend, namespace, deployment).await
            }
            Undo::Calm { namespace, pod } => calm(backend, namespace, pod).await,
            Undo::Replaced { namespace, deployment } => all_ready(backend, namespace, deployment).await,
        }
    }
}

async fn restore(
    backend: &Backend,
    object: &ObjectRef,
    before: &Value,
    after: &Value,
) -> Result<String, Error> {
    let objects = backend.objects();
    let verified = || format!("{object} is as it was and every proxy has acknowledged it");
    let Some(found) = objects.get(object).await? else {
        return Err(Error::ChangedByOthers { object: object.to_string() });
    };
    if is_alike(&said(&found)["spec"], &said(before)["spec"]) {
        converged(backend).await?;
        return Ok(verified());
    }
    if !is_alike(&said(&found)["spec"], &said(after)["spec"]) {
        return Err(Error::ChangedByOthers { object: object.to_string() });
    }
    let mut back = said(before);
    back["metadata"]["resourceVersion"] = version_of(&found).into();
    objects.replace(&back).await?;
    converged(backend).await?;
    Ok(verified())
}

async fn converged(backend: &Backend) -> Result<(), Error> {
    backend.converged(CONVERGE_LIMIT).await.map_err(Error::NotConverged)
}

async fn calm(backend: &Backend, namespace: &str, pod: &str) -> Result<String, Error> {
    let pods = backend.objects().pods(namespace, &Default::default()).await?;
    let Some(facts) = pods.iter().find(|facts| facts.name == pod) else {
        return Ok(format!("pod {pod} is gone, and its misbehaviour with it"));
    };
    let switch = backend.chaos(facts).await?;
    switch.off().await?;
    let state = switch.state().await?;
    if state.is_calm() {
        Ok(format!("pod {pod} says that it behaves"))
    } else {
        Err(Error::Chaos(chaos::Error::StillOn { pod: pod.into(), state: state.to_string() }))
    }
}

async fn all_ready(backend: &Backend, namespace: &str, deployment: &str) -> Result<String, Error> {
    let what = format!("all pods of Deployment {namespace}/{deployment} ready");
    let ready = wait::until(what, READY_LIMIT, async || {
        match backend.objects().deployment(namespace, deployment).await {
            Ok(facts) if facts.ready == facts.wanted => {
                match backend.objects().pods(namespace, &facts.selector).await {
                    // Pods on their way out still count as ready with the Deployment for a moment.
                    Ok(pods) => {
                        let ready = pods.iter().filter(|pod| pod.ready && !pod.terminating).count();
                        if ready == facts.wanted as usize {
                            Seen::Done(facts.wanted)
                        } else {
                            Seen::NotYet(format!("{ready} of {} pods ready", facts.wanted))
                        }
                    }
                    Err(error) => Seen::NotYet(error.to_string()),
                }
            }
            Ok(facts) => Seen::NotYet(format!("{} of {} pods ready", facts.ready, facts.wanted)),
            // Somebody has taken the world down: there is nothing to wait for.
            Err(error) if error.is_absent() => Seen::Never("the Deployment is gone".to_owned()),
            Err(error) => Seen::NotYet(error.to_string()),
        }
    })
    .await?;
    converged(backend).await?;
    Ok(format!("{deployment} has {ready} of {ready} pods ready"))
}
