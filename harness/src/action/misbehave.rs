//! `misbehave`: the service itself answers wrongly, late or never, by its chaos switch.

use std::collections::BTreeMap;

use meshquake_xds::model::ObjectId;
use rand_chacha::ChaCha8Rng;

use super::{Active, Error, Ground, Proof, Undo, pick};
use crate::backend::chaos::Misbehaviour;

#[derive(Clone, Debug, PartialEq)]
pub struct Misbehave {
    pub selector: BTreeMap<String, String>,
    /// The Deployments whose pods the selector can hit.
    pub deployments: Vec<ObjectId>,
    /// `None` means all.
    pub pods: Option<u32>,
    pub misbehaviour: Misbehaviour,
}

impl Misbehave {
    pub fn what(&self) -> String {
        let who = match self.pods {
            None => "every pod".into(),
            Some(1) => "one pod".into(),
            Some(count) => format!("{count} pods"),
        };
        format!("{who} of {} {}", pick::shown(&self.selector), self.misbehaviour)
    }

    pub async fn inject(
        &self,
        ground: &Ground<'_>,
        random: &mut ChaCha8Rng,
        active: &mut Active,
    ) -> Result<(), Error> {
        let candidates = pick::ready(ground, &self.selector, &self.deployments).await?;
        let chosen = pick::some(&candidates, self.pods.unwrap_or(u32::MAX), random);
        if chosen.is_empty() {
            return Err(Error::Nobody { what: self.what() });
        }
        let names = chosen.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>();
        active.target = names.join(", ");
        let (promql, says) =
            self.seen_from_outside(&chosen.iter().map(|pod| pod.labels.clone()).collect::<Vec<_>>());
        active.proof = Proof::Counter { baseline: ground.metrics.total(&promql).await, promql, says };
        for pod in &chosen {
            let switch = ground.backend.chaos(pod).await?;
            let undo = Undo::Calm { namespace: pod.namespace.clone(), pod: pod.name.clone() };
            active.write_down(ground, undo).await?;
            switch.on(&self.misbehaviour).await?;
        }
        Ok(())
    }

    /// What the callers' sidecars must count when the service does as it was told.
    fn seen_from_outside(&self, labels: &[BTreeMap<String, String>]) -> (String, String) {
        let join = |label: &str| {
            let mut values =
                labels.iter().filter_map(|labels| labels.get(label).cloned()).collect::<Vec<_>>();
            values.sort();
            values.dedup();
            values.join("|")
        };
        let mut matchers = vec![r#"reporter="source""#.to_string()];
        for (label, series) in [("app", "destination_app"), ("version", "destination_version")] {
            let values = join(label);
            if !values.is_empty() {
                matchers.push(format!(r#"{series}=~"{values}""#));
            }
        }
        if let Some(status) = self.misbehaviour.status {
            matchers.push(format!(r#"response_code="{status}""#));
            let promql = format!("sum(istio_requests_total{{{}}})", matchers.join(","));
            return (promql, format!("answers of {status} are counted by its callers"));
        }
        if self.misbehaviour.hang {
            matchers.push(r#"response_flags=~".*(UT|DC|DPE|UPE).*""#.into());
            let promql = format!("sum(istio_requests_total{{{}}})", matchers.join(","));
            return (promql, "calls that were given up are counted by its callers".into());
        }
        let delay = self.misbehaviour.delay_ms.unwrap_or_default() as f64;
        let edge = BUCKETS.iter().rev().find(|edge| **edge <= delay).copied().unwrap_or(BUCKETS[0]);
        let matchers = matchers.join(",");
        let promql = format!(
            "sum(istio_request_duration_milliseconds_count{{{matchers}}}) - \
             sum(istio_request_duration_milliseconds_bucket{{{matchers},le=\"{edge}\"}})"
        );
        (promql, format!("answers slower than {edge} ms are counted by its callers"))
    }
}

/// Edges of the sidecars' duration histogram, milliseconds.
const BUCKETS: [f64; 13] =
    [0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0];
