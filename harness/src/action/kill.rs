//! `kill`: pods end at once, without a chance to drain. The seed picks them.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::{Active, Error, Ground, Proof, Undo};
use crate::backend::objects::PodFacts;

/// Which pods, and how many of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Kill {
    pub selector: BTreeMap<String, String>,
    /// The Deployments whose pods the selector can hit.
    pub deployments: Vec<String>,
    pub pods: u32,
}

/// How long callers may go on listing a pod that is dead.
pub const PROOF_LIMIT: Duration = Duration::from_secs(10);

impl Kill {
    pub fn what(&self) -> String {
        let labels = self.selector.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        let pods = if self.pods == 1 { "one pod".into() } else { format!("{} pods", self.pods) };
        format!("kill {pods} of {}", labels.join(","))
    }

    pub async fn inject(
        &self,
        ground: &Ground<'_>,
        random: &mut ChaCha8Rng,
        active: &mut Active,
    ) -> Result<(), Error> {
        let candidates = ground.backend.objects().pods(ground.namespace, &self.selector).await?;
        let candidates =
            candidates.into_iter().filter(|pod| pod.ready && !pod.terminating).collect::<Vec<_>>();
        let victims = pick(&candidates, self.pods, random);
        if victims.is_empty() {
            return Err(Error::Nobody { what: self.what() });
        }
        active.target = format!(
            "{} (picked by the seed from {} ready)",
            victims.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>().join(", "),
            candidates.len()
        );
        for deployment in &self.deployments {
            let undo = Undo::Replaced { namespace: ground.namespace.into(), deployment: deployment.clone() };
            active.write_down(ground, undo).await?;
        }
        for victim in &victims {
            ground.backend.objects().kill(ground.namespace, &victim.name).await?;
        }
        active.proof = Proof::Gone { pods: victims };
        Ok(())
    }
}

/// Picks by the seed from the candidates in the order in which they were made.
fn pick(candidates: &[PodFacts], count: u32, random: &mut ChaCha8Rng) -> Vec<PodFacts> {
    let count = (count as usize).min(candidates.len());
    let mut chosen = index::sample(random, candidates.len(), count).into_vec();
    chosen.sort_unstable();
    chosen.into_iter().map(|index| candidates[index].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn pods(count: usize) -> Vec<PodFacts> {
        (0..count)
            .map(|index| PodFacts { name: format!("pod-{index}"), ready: true, ..PodFacts::default() })
            .collect()
    }

    #[test]
    fn one_seed_picks_the_same_pods_whatever_they_are_called() {
        let names = |seed| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            pick(&pods(10), 3, &mut random).into_iter().map(|pod| pod.name).collect::<Vec<_>>()
        };
        assert_eq!(names(7), names(7));
        assert!((0..20).any(|seed| names(seed) != names(7)), "the seed must matter");
    }

    #[test]
    fn never_more_than_there_are() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(pick(&pods(2), 5, &mut random).len(), 2);
        assert!(pick(&[], 1, &mut random).is_empty());
    }
}
