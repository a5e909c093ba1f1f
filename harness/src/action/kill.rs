//! `kill`: pods end at once, without a chance to drain. The seed picks them.

use std::collections::BTreeMap;
use std::time::Duration;

use meshquake_xds::model::ObjectId;
use rand_chacha::ChaCha8Rng;

use super::{Active, Error, Ground, Proof, Undo, pick};

/// Which pods, and how many of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Kill {
    pub selector: BTreeMap<String, String>,
    /// The Deployments whose pods the selector can hit.
    pub deployments: Vec<ObjectId>,
    pub pods: u32,
}

/// How long callers may go on listing a pod that is dead.
pub const PROOF_LIMIT: Duration = Duration::from_secs(10);

impl Kill {
    pub fn what(&self) -> String {
        let pods = if self.pods == 1 { "one pod".into() } else { format!("{} pods", self.pods) };
        format!("kill {pods} of {}", pick::shown(&self.selector))
    }

    pub async fn inject(
        &self,
        ground: &Ground<'_>,
        random: &mut ChaCha8Rng,
        active: &mut Active,
    ) -> Result<(), Error> {
        let candidates = pick::ready(ground, &self.selector, &self.deployments).await?;
        let victims = pick::some(&candidates, self.pods, random);
        if victims.is_empty() {
            return Err(Error::Nobody { what: self.what() });
        }
        active.target = format!(
            "{} (picked by the seed from {} ready)",
            victims.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>().join(", "),
            candidates.len()
        );
        for deployment in &self.deployments {
            let ObjectId { namespace, name } = deployment.clone();
            let undo = Undo::Replaced { namespace, deployment: name };
            active.write_down(ground, undo).await?;
        }
        for victim in &victims {
            ground.backend.objects().kill(&victim.namespace, &victim.name).await?;
        }
        active.proof = Proof::Gone { pods: victims };
        Ok(())
    }
}
