//! Plays one situation: prepares it, makes its calls one after the other, and takes it back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use meshquake::backend::Undo;
use meshquake::wait::{self, Seen};
use meshquake_promql::Labels;

use crate::calls::Asked;
use crate::look::{Eyes, Look, since};
use crate::outcome::Outcome;
use crate::situation::Situation;
use crate::stage::{Cast, Stage};
use crate::table::Table;

/// How often a call is made at most until it has come to all that is expected of it: of two versions that are chosen
/// by chance one stays away for so long once in a billion times.
const TRIES: usize = 30;
/// After so many tries that brought nothing new, nothing new is awaited of a call that is not as expected.
const NOTHING_NEW: usize = 8;
/// The same of a call that is made for the first time: what it comes to now is expected of everybody from now on.
const NOTHING_NEW_AT_FIRST: usize = 20;
/// What proxies count may be a moment late.
const SETTLE_LIMIT: Duration = Duration::from_secs(15);
/// When nothing more has come for so long, nothing more will.
const SETTLED: Duration = Duration::from_millis(80);
/// Envoy shows its histograms when it flushes, every 5 s by default.
const FLUSH_LIMIT: Duration = Duration::from_secs(20);

/// What was seen of a situation on one backend.
#[derive(Clone, Debug, Default)]
pub struct Played {
    pub table: Table,
    pub tries: usize,
    /// Labels of every series of `istio_requests_total` that a call made, and of the duration histogram as well.
    pub series: BTreeSet<Labels>,
    /// Upper bounds of the histogram's buckets.
    pub edges: BTreeSet<String>,
}

/// In brief, what is asked in another way elsewhere is left out.
pub async fn play(
    stage: &Stage,
    situation: Situation,
    brief: bool,
    expected: Option<&Table>,
) -> Result<Played, String> {
    let mut undos = Vec::new();
    let played = match situation.prepare(stage, &mut undos).await {
        Ok(()) => calls(stage, situation.calls(&stage.world, brief), expected).await,
        Err(why) => Err(format!("`{}` could not be brought about: {why}", situation.name())),
    };
    let back = take_back(stage, undos).await;
    let played = played?;
    back.map(|()| played)
}

async fn take_back(stage: &Stage, undos: Vec<Undo>) -> Result<(), String> {
    let mut failed = Vec::new();
    for undo in undos.iter().rev() {
        if let Err(error) = undo.take_back(&stage.backend).await {
            failed.push(meshquake::error::chain(&error));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("not taken back: {}", failed.join("; "))) }
}

async fn calls(stage: &Stage, asked: Vec<Asked>, expected: Option<&Table>) -> Result<Played, String> {
    let cast = stage.cast().await?;
    let mut eyes = Eyes::default();
    eyes.drained(&stage.backend).await?;
    let begin = eyes.look_at_all(&stage.backend).await?;
    let mut now = begin.clone();
    let mut played = Played::default();
    for asked in asked {
        let known = expected.and_then(|table| table.outcomes(&asked.to_string()));
        let mut seen = BTreeSet::new();
        let patience = if known.is_some() { NOTHING_NEW } else { NOTHING_NEW_AT_FIRST };
        let mut nothing_new = 0;
        for _ in 0..TRIES {
            let before = now.clone();
            let Some(outcome) = once(stage, &mut eyes, &asked, &cast, &mut now, known).await? else { break };
            played.tries += 1;
            played.series.extend(since(&before.requests, &now.requests).into_keys());
            nothing_new = if seen.insert(outcome) { 0 } else { nothing_new + 1 };
            let enough = match known {
                Some(known) if seen.is_subset(known) => known.is_subset(&seen),
                _ => nothing_new >= patience,
            };
            if enough {
                break;
            }
        }
        if !seen.is_empty() {
            played.table.0.insert(asked.to_string(), seen);
        }
    }
    histograms(stage, &mut eyes, &begin, &now, &mut played).await?;
    Ok(played)
}

/// Makes the call and waits until what it left in the metrics is there: until that is what is expected, or else until
/// nothing more comes.
async fn once(
    stage: &Stage,
    eyes: &mut Eyes,
    asked: &Asked,
    cast: &Cast,
    now: &mut Look,
    known: Option<&BTreeSet<Outcome>>,
) -> Result<Option<Outcome>, String> {
    let Some(told) = stage.ask(asked, cast).await else { return Ok(None) };
    let told = told?;
    let mut last: Option<(Look, usize, Instant)> = None;
    let settled = wait::until("what the proxies count", SETTLE_LIMIT, async || {
        let look = match eyes.look(&stage.backend).await {
            Ok(look) => look,
            Err(why) => return Seen::Never(why),
        };
        let outcome = Outcome::of(&told, &since(&now.requests, &look.requests));
        let (same, since) = match last.take() {
            Some((before, same, since)) if before.requests == look.requests => (same + 1, since),
            _ => (1, Instant::now()),
        };
        let settled = match known {
            Some(known) if known.contains(&outcome) => same >= 2,
            _ => same >= 3 && since.elapsed() >= SETTLED,
        };
        last = Some((look.clone(), same, since));
        if settled { Seen::Done((outcome, look)) } else { Seen::NotYet(outcome.to_string()) }
    });
    let (outcome, look) = settled.await.map_err(|error| format!("{asked}: {error}"))?;
    *now = look;
    Ok(Some(outcome))
}

/// The histogram has the same series as the counter, each with as many calls.
async fn histograms(
    stage: &Stage,
    eyes: &mut Eyes,
    begin: &Look,
    end: &Look,
    played: &mut Played,
) -> Result<(), String> {
    let requests = since(&begin.requests, &end.requests);
    let flushed = wait::until("the durations of all calls", FLUSH_LIMIT, async || {
        let look = match eyes.look_at_all(&stage.backend).await {
            Ok(look) => look,
            Err(why) => return Seen::Never(why),
        };
        let durations = since(&begin.durations, &look.durations);
        if durations == requests {
            return Seen::Done(look.edges);
        }
        let differs = requests.iter().find(|(labels, count)| durations.get(labels) != Some(count));
        let more = durations.iter().find(|(labels, _)| !requests.contains_key(*labels));
        let (labels, count) = differs.or(more).map_or((String::new(), 0), |(l, n)| (l.to_string(), *n));
        Seen::NotYet(format!("{count} of {labels} are not the same in both"))
    });
    played.edges = flushed.await.map_err(|error| error.to_string())?;
    Ok(())
}
