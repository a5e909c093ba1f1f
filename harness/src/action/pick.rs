//! Who is hit: the ready pods that have some labels, and those that the seed picks among them.

use std::collections::{BTreeMap, BTreeSet};

use meshquake_xds::model::ObjectId;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::{Error, Ground};
use crate::backend::objects::PodFacts;

/// All that could be hit, in the order in which they were made: pods with these labels where the Deployments lie.
pub async fn ready(
    ground: &Ground<'_>,
    selector: &BTreeMap<String, String>,
    deployments: &[ObjectId],
) -> Result<Vec<PodFacts>, Error> {
    let namespaces: BTreeSet<&str> = deployments.iter().map(|id| id.namespace.as_str()).collect();
    let mut pods = Vec::new();
    for namespace in namespaces {
        pods.extend(ground.backend.objects().pods(namespace, selector).await?);
    }
    pods.retain(|pod| pod.ready && !pod.terminating);
    pods.sort_by(|one, other| one.order.cmp(&other.order));
    Ok(pods)
}

/// So many of the candidates, or all where there are fewer, in the candidates' order.
pub fn some(candidates: &[PodFacts], count: u32, random: &mut ChaCha8Rng) -> Vec<PodFacts> {
    let count = (count as usize).min(candidates.len());
    let mut chosen = index::sample(random, candidates.len(), count).into_vec();
    chosen.sort_unstable();
    chosen.into_iter().map(|index| candidates[index].clone()).collect()
}

/// A selector in words: `app=web,version=v1`.
pub fn shown(selector: &BTreeMap<String, String>) -> String {
    selector.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn pods(count: usize) -> Vec<PodFacts> {
        (0..count)
            .map(|index| PodFacts { name: format!("pod-{index}"), ready: true, ..PodFacts::default() })
            .collect()
    }

    #[test]
    fn one_seed_picks_the_same_pods_whatever_they_are_called() {
        let names = |seed| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            some(&pods(10), 3, &mut random).into_iter().map(|pod| pod.name).collect::<Vec<_>>()
        };
        assert_eq!(names(7), names(7));
        assert!((0..20).any(|seed| names(seed) != names(7)), "the seed must matter");
    }

    #[test]
    fn never_more_than_there_are() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(some(&pods(2), 5, &mut random).len(), 2);
        assert!(some(&[], 1, &mut random).is_empty());
    }
}
