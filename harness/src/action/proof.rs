//! Evidence that an action took effect, always from outside of what injected it.

use std::collections::BTreeMap;

use meshquake_xds::model::ObjectId;

use super::Ground;
use crate::backend::objects::PodFacts;

#[derive(Default)]
pub enum Proof {
    /// Nothing was injected yet, so nothing can be seen.
    #[default]
    None,
    /// A total in the callers' series must grow.
    Counter { promql: String, baseline: f64, says: String },
    /// The pods are gone, and no caller's sidecar lists them.
    Gone { pods: Vec<PodFacts> },
    /// The callers' sidecars list as many endpoints as were asked for; pods that had to go answer no more.
    Size { deployment: ObjectId, selector: BTreeMap<String, String>, replicas: u32, before: Vec<PodFacts> },
}

impl Proof {
    /// `Ok` with what was observed, or `Err` with what is still to be seen.
    pub async fn seen(&self, ground: &Ground<'_>) -> Result<String, String> {
        match self {
            Proof::None => Err("nothing was injected".into()),
            Proof::Counter { promql, baseline, says } => {
                ground.metrics.refresh().await;
                let moved = ground.metrics.total(promql).await - baseline;
                if moved > 0.0 { Ok(format!("{moved:.0} {says}")) } else { Err(format!("no {says}")) }
            }
            Proof::Gone { pods } => gone(ground, pods).await,
            Proof::Size {
                deployment: ObjectId { namespace, name: deployment },
                selector,
                replicas,
                before,
            } => {
                let now =
                    ground.backend.objects().pods(namespace, selector).await.map_err(|e| e.to_string())?;
                let left = before.iter().filter(|old| !now.iter().any(|pod| pod.uid == old.uid)).cloned();
                let left = left.collect::<Vec<_>>();
                let ready = now.iter().filter(|pod| pod.ready && !pod.terminating).count();
                if ready != *replicas as usize || now.iter().any(|pod| pod.terminating) {
                    return Err(format!("{ready} of {replicas} pods of {deployment} ready"));
                }
                if left.is_empty() {
                    let listed = listed(ground, &now).await?;
                    return match listed {
                        0 => Err(format!("no caller's sidecar lists the new pods of {deployment}")),
                        count => {
                            Ok(format!("{replicas} pods ready, {count} of them listed by callers' sidecars"))
                        }
                    };
                }
                let gone = gone(ground, &left).await?;
                Ok(format!("{replicas} pods ready; {gone}"))
            }
        }
    }
}

async fn gone(ground: &Ground<'_>, pods: &[PodFacts]) -> Result<String, String> {
    for pod in pods {
        if let Some(still) = ground.backend.answers(pod).await {
            return Err(format!("pod {} still {still}", pod.name));
        }
    }
    match listed(ground, pods).await? {
        0 => Ok(format!("{} {} and no sidecar lists it", names(pods), ground.backend.how_gone())),
        count => Err(format!("{count} of {} still listed by a caller's sidecar", names(pods))),
    }
}

/// How many of these pods some sidecar lists as an endpoint.
async fn listed(ground: &Ground<'_>, pods: &[PodFacts]) -> Result<usize, String> {
    let members = ground.backend.members().await?;
    Ok(pods.iter().filter(|pod| pod.ip.as_ref().is_some_and(|ip| members.contains(ip))).count())
}

fn names(pods: &[PodFacts]) -> String {
    pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>().join(", ")
}
