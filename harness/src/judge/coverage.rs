//! Whether the samples tell the whole story: nobody's metrics broke off, and client and gateway counted the same.

use meshquake_promql::{Query, Sample, Store, is_stale};

use super::judging::Judge;
use super::load;
use super::scrape;
use super::window::{Aligned, Beat};

/// A target may have been unread for this long at the end of a window.
const UNREAD_MS: i64 = 2500;
/// What a killed gateway takes with it: its last second, and the round that found it dead.
const LOST_WITH_A_POD_MS: f64 = 2000.0;
/// Statuses of requests that never reached the gateway.
const UNSENT: &str = "no-slot|refused";
/// Statuses of requests of which nobody knows whether the gateway counted them.
const UNCERTAIN: &str = "timeout|reset|closed|other";

/// A pod whose metrics broke off inside a window while it still lived: what it counted after that is unknown.
pub(super) fn doubt(store: &Store, beat: Beat, aligned: Aligned) -> Option<String> {
    if beat == Beat::Load {
        return None;
    }
    store.metric(scrape::UP).find_map(|(labels, samples)| {
        let seen: Vec<&Sample> = samples.iter().take_while(|sample| sample.at <= aligned.to).collect();
        let last = seen.last()?;
        // Gone with its pod: that loss is stated. Never there: then nothing was expected of it.
        if is_stale(last.value) || last.value == 1.0 {
            return None;
        }
        let read = seen.iter().rev().find(|sample| sample.value == 1.0)?;
        let unread = aligned.to - read.at.max(aligned.from);
        (unread > UNREAD_MS).then(|| {
            let (pod, container) = (labels.get("pod"), labels.get("container"));
            let seconds = unread as f64 / 1000.0;
            format!(
                "the metrics of {pod} ({container}) could not be read in the window's last {seconds:.1} s"
            )
        })
    })
}

/// How the client's count differs from the gateway's over the whole load, if by more than can be explained.
pub(super) fn disagreement(judge: &Judge<'_>) -> Option<String> {
    let gateway = judge.scene.gateway.as_deref()?;
    // While the load goes on the two are read at different moments.
    judge.marks.load_end?;
    let end = *Beat::Load.times(judge.store, i64::MIN, i64::MAX).last()?;
    let total = |text: String, at: i64| -> f64 {
        let value = Query::parse(&text).ok().and_then(|query| query.evaluate(judge.store, at).ok());
        value.and_then(|value| value.single()).filter(|value| value.is_finite()).unwrap_or(0.0)
    };
    let of = |matchers: &str| total(format!("sum({}{matchers})", load::REQUESTS), end);
    let (all, unsent, uncertain) =
        (of(""), of(&format!("{{status=~\"{UNSENT}\"}}")), of(&format!("{{status=~\"{UNCERTAIN}\"}}")));
    let in_flight = total(format!("sum({})", load::IN_FLIGHT), end);
    let sent = all - unsent;
    if sent <= 0.0 {
        return None;
    }
    let Some(last_round) = Beat::Scrapes.times(judge.store, judge.marks.load_start, i64::MAX).last().copied()
    else {
        return Some("no metrics were read while the load ran".to_owned());
    };
    if last_round < end - 1000 {
        let seconds = (end - last_round) as f64 / 1000.0;
        return Some(format!("metrics were last read {seconds:.1} s before the end of the load"));
    }
    let first = Beat::Scrapes.times(judge.store, i64::MIN, judge.marks.load_start).last().copied();
    let range = last_round - first.unwrap_or(judge.marks.load_start) + 1;
    let counted = total(
        format!(
            "round(sum(increase(istio_requests_total{{reporter=\"source\",source_workload=\"{gateway}\"}}[{range}ms])))"
        ),
        last_round,
    );
    let seconds = (end - judge.marks.load_start).max(1000) as f64 / 1000.0;
    let lost = lost_gateways(judge, gateway) as f64 * sent / seconds * LOST_WITH_A_POD_MS / 1000.0;
    let slack = (sent * 0.001).max(2.0) + uncertain + in_flight;
    let is_explained = counted >= sent - slack - lost && counted <= sent + slack;
    (!is_explained).then(|| {
        format!(
            "the client sent {sent} requests and the sidecar of {gateway} counted {counted}; {:.0} would be explained",
            slack + lost
        )
    })
}

/// Pods of the gateway that ended while the load ran.
fn lost_gateways(judge: &Judge<'_>, gateway: &str) -> usize {
    let from_gateway = |labels: &meshquake_promql::Labels| {
        labels.get("source_workload") == gateway && labels.get("reporter") == "source"
    };
    let ended = judge.store.metric("istio_requests_total").filter(|(labels, samples)| {
        let end = samples.last().filter(|last| is_stale(last.value));
        from_gateway(labels)
            && end.is_some_and(|end| {
                end.at >= judge.marks.load_start
                    && judge.marks.load_end.is_none_or(|load_end| end.at <= load_end)
            })
    });
    ended.map(|(labels, _)| labels.get("pod")).collect::<std::collections::BTreeSet<_>>().len()
}
