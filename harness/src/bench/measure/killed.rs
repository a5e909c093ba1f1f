//! A pod dies under load while it holds calls: how many requests that costs with retries on reset and without, and how long
//! until another pod has taken its place.

use std::collections::BTreeSet;

use super::super::figure::{Better, Statistic};
use super::super::{Bench, Error, Figure, bed};
use super::from_millis;
use crate::event::{ActionStep, Event, Record, Relation, Unit};

const WITH_RETRIES: &str = "kill-under-load";
const WITHOUT: &str = "killed-while-held";
/// The action of both scenarios.
const KILL: &str = "kill";

pub fn declared() -> [Figure; 3] {
    [
        Figure::new(
            "kill-lost",
            Unit::Count,
            Better::Lower,
            "Requests lost when a pod is killed that holds calls, with retries on reset at every hop: a run of \
             `kill-under-load`.",
        )
        .limit(Statistic::Largest, Relation::Equal, 0.0)
        .tolerance(0.0, 0.0),
        Figure::new(
            "kill-lost-by-default",
            Unit::Count,
            Better::Neither,
            "The same with Istio's default retries, which do not cover a connection that is reset: a run of \
             `killed-while-held`.",
        ),
        Figure::new(
            "kill-replaced",
            Unit::Seconds,
            Better::Lower,
            "From the kill of these runs to the pod in its place being ready, under load; looked at each 100 ms.",
        )
        .tolerance(0.25, 0.1),
    ]
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    bed::build(bench, &bed::world(None)?).await?;
    let [mut lost, mut by_default, mut replaced] = declared();
    for (scenario, figure) in [(WITH_RETRIES, &mut lost), (WITHOUT, &mut by_default)] {
        let rounds = bench.rounds(2);
        let mut sent = Vec::new();
        for round in 1..=rounds {
            let (finished, records) = bed::run(bench, &bed::scenario(scenario)?).await?;
            let verdict = finished.verdict();
            let seen = look(&records).ok_or_else(|| {
                let why = finished
                    .outcome
                    .causes
                    .first()
                    .map_or_else(String::new, |cause| format!(": {}", cause.text));
                Error::Failed(format!("a run of `{scenario}` came to no kill under load: {verdict}{why}"))
            })?;
            (bench.tell)(format!("killed: {scenario}, {round} of {rounds}: {verdict}, {} lost", seen.lost));
            figure.samples.push(seen.lost as f64);
            sent.push(seen.sent as f64);
            replaced.samples.extend(seen.replaced_ms.map(from_millis));
            replaced
                .notes
                .extend(seen.replaced_ms.is_none().then(|| "a replacement was not seen".to_owned()));
            figure
                .notes
                .extend(seen.bottleneck.map(|why| format!("the generator was the bottleneck: {why}")));
        }
        *figure = figure.clone().part("requests of the run", Unit::Count, sent);
    }
    if replaced.samples.is_empty() {
        replaced = replaced.missing("no replacement was seen while the load went on");
    }
    Ok(vec![lost, by_default, replaced])
}

#[derive(Debug, PartialEq)]
struct Seen {
    sent: u64,
    lost: u64,
    replaced_ms: Option<u64>,
    bottleneck: Option<String>,
}

/// `None` where nobody was killed or the load came to no end.
fn look(records: &[Record]) -> Option<Seen> {
    let load = records.iter().find_map(|record| match &record.event {
        Event::LoadEnded(load) => Some(load),
        _ => None,
    })?;
    let (at, victim) = records.iter().find_map(|record| match &record.event {
        Event::Action { name, step: ActionStep::Asked { killed, .. } } if name == KILL => {
            Some((record.at, killed.first()?))
        }
        _ => None,
    })?;
    let pods = records.iter().filter_map(|record| match &record.event {
        Event::Pod(pod) => Some((record.at, pod)),
        _ => None,
    });
    let workload = pods.clone().find(|(_, pod)| pod.name == *victim).map(|(_, pod)| pod.workload.as_str());
    let before: BTreeSet<_> = pods.clone().filter(|(seen, _)| *seen < at).map(|(_, pod)| &pod.name).collect();
    let replacement = pods
        .filter(|(seen, _)| *seen >= at)
        .find(|(_, pod)| pod.ready && !before.contains(&pod.name) && Some(pod.workload.as_str()) == workload);
    let replaced_ms = replacement.and_then(|(seen, _)| u64::try_from(seen - at).ok());
    Some(Seen { sent: load.sent, lost: load.failed, replaced_ms, bottleneck: load.bottleneck.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{LoadSummary, Pod};

    fn pod(at: i64, name: &str, ready: bool) -> Record {
        let workload = name.rsplit_once('-').map_or(name, |(workload, _)| workload).to_owned();
        let pod = Pod {
            name: name.into(),
            namespace: "shop".into(),
            workload,
            version: "v1".into(),
            phase: "Running".into(),
            ready,
            restarts: 0,
            reason: None,
            gone: false,
        };
        Record { at, event: Event::Pod(pod) }
    }

    #[test]
    fn the_replacement_is_a_new_pod_of_the_victims_workload() {
        let target = "web-1 (picked by the seed from 2 ready)".to_owned();
        let killed = Event::Action {
            name: KILL.into(),
            step: ActionStep::Asked { target, killed: vec!["web-1".into()] },
        };
        let load = LoadSummary { sent: 1080, failed: 3, ..LoadSummary::default() };
        let mut records = vec![
            pod(0, "web-1", true),
            pod(0, "web-2", true),
            pod(0, "other-1", false),
            Record { at: 5000, event: killed },
            pod(5050, "web-3", false),
            // Neither one of another workload, nor one that was there before.
            pod(5100, "other-2", true),
            pod(5150, "web-2", true),
            pod(5240, "web-3", true),
        ];
        assert_eq!(look(&records), None, "a load without an end says nothing");
        records.push(Record { at: 9000, event: Event::LoadEnded(load) });
        let seen = Seen { sent: 1080, lost: 3, replaced_ms: Some(240), bottleneck: None };
        assert_eq!(look(&records), Some(seen));
        records.remove(7);
        assert_eq!(look(&records).and_then(|seen| seen.replaced_ms), None);
        records.remove(3);
        assert_eq!(look(&records), None, "nobody was killed");
    }
}
