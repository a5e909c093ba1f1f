//! Pods as the backend told of them: each with its history, and how many were ready per workload over time.

use std::collections::BTreeMap;

use super::Story;
use crate::event::Pod;

#[derive(Clone, Debug)]
pub struct PodStory {
    /// As it was last told.
    pub last: Pod,
    pub first_at: i64,
    pub last_at: i64,
    /// How often it stopped being ready under load, its end included.
    pub lost: u32,
}

/// A workload's ready pods: a step function, each value holding until the next.
#[derive(Clone, Debug)]
pub struct Workload {
    pub name: String,
    pub steps: Vec<(i64, usize)>,
    pub most: usize,
}

impl Story {
    /// By workload, version and name.
    pub fn pod_stories(&self) -> Vec<PodStory> {
        let mut pods = BTreeMap::<(&str, &str), PodStory>::new();
        for (at, pod) in &self.pods {
            let key = (pod.namespace.as_str(), pod.name.as_str());
            match pods.get_mut(&key) {
                None => {
                    pods.insert(key, PodStory { last: pod.clone(), first_at: *at, last_at: *at, lost: 0 });
                }
                Some(story) => {
                    let was = story.last.ready && !story.last.gone;
                    let under_load = self.load_at.is_some_and(|from| *at >= from) && *at <= self.load_ended();
                    story.lost += u32::from(was && (!pod.ready || pod.gone) && under_load);
                    // What is gone no longer says why it was not ready.
                    let reason =
                        pod.reason.clone().or_else(|| story.last.reason.clone().filter(|_| pod.gone));
                    story.last = Pod { reason, ..pod.clone() };
                    story.last_at = *at;
                }
            }
        }
        let mut pods = pods.into_values().collect::<Vec<_>>();
        pods.sort_by(|a, b| {
            let key = |pod: &PodStory| {
                (pod.last.workload.clone(), pod.last.version.clone(), pod.first_at, pod.last.name.clone())
            };
            key(a).cmp(&key(b))
        });
        pods
    }

    /// When the load ended, or else the last that is known of the run.
    fn load_ended(&self) -> i64 {
        self.load_end_at
            .or_else(|| self.seconds.last().map(|second| second.second + 1000))
            .unwrap_or(self.ended_at)
    }

    pub fn workloads(&self) -> Vec<Workload> {
        let mut ready = BTreeMap::<String, (BTreeMap<&str, bool>, Vec<(i64, usize)>)>::new();
        for (at, pod) in &self.pods {
            let (pods, steps) = ready.entry(label(&pod.workload, &pod.version)).or_default();
            pods.insert(&pod.name, pod.ready && !pod.gone);
            let count = pods.values().filter(|ready| **ready).count();
            match steps.last_mut() {
                Some((last, value)) if last == at => *value = count,
                Some((_, value)) if *value == count => {}
                _ => steps.push((*at, count)),
            }
        }
        let workload = |(name, (_, steps)): (String, (_, Vec<(i64, usize)>))| {
            let most = steps.iter().map(|(_, count)| *count).max().unwrap_or(0);
            Workload { name, steps, most }
        };
        ready.into_iter().map(workload).collect()
    }
}

impl Workload {
    pub fn at(&self, at: i64) -> Option<usize> {
        let past = self.steps.partition_point(|(step, _)| *step <= at);
        past.checked_sub(1).map(|index| self.steps[index].1)
    }
}

/// A workload and its version, where its name does not already say it.
pub fn label(workload: &str, version: &str) -> String {
    let silent = version.is_empty() || version == "unknown" || workload.ends_with(&format!("-{version}"));
    if silent { workload.to_owned() } else { format!("{workload} {version}") }
}
