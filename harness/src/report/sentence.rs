//! The verdict in one sentence that can be quoted, composed from what was measured.

use super::numbers;
use super::story::{ActionStory, Story};
use crate::event::Judged;
use crate::verdict::Verdict;

pub fn compose(story: &Story) -> String {
    match story.verdict {
        Verdict::Held => held(story),
        Verdict::Failed => failed(story),
        verdict => {
            let mut causes = story.causes().into_iter();
            let first = causes.next().unwrap_or_else(|| "no reason was given".into());
            let more = match causes.count() {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            format!("{}: {first}{more}.", capital(verdict))
        }
    }
}

fn held(story: &Story) -> String {
    let sent = story.sent();
    let failed = story.failed();
    let answered = if failed == 0 {
        format!("all {} requests were answered as they should be", numbers::grouped(sent as f64))
    } else {
        let of = numbers::grouped(sent as f64);
        format!(
            "{} of {of} requests were answered as they should be",
            numbers::grouped((sent - failed) as f64)
        )
    };
    let objectives = match story.judged.len() {
        0 => String::new(),
        1 => ", and the one objective held".into(),
        count => format!(", and all {count} objectives held"),
    };
    let back = story
        .actions
        .iter()
        .filter_map(|action| Some((action.recovered_ms()?, action)))
        .max_by_key(|(ms, _)| *ms)
        .map(|(ms, _)| format!("; all was well again {} later", numbers::millis(ms as f64)))
        .unwrap_or_default();
    match happened(&story.actions) {
        Some(happened) => format!("Held: while {happened}, {answered}{objectives}{back}."),
        None => format!("Held: {answered}{objectives}."),
    }
}

fn failed(story: &Story) -> String {
    let broken = story.judged.iter().filter(|judged| judged.verdict == Verdict::Failed).collect::<Vec<_>>();
    let Some(first) = broken.first() else {
        return format!("Failed: {}.", story.causes().join("; "));
    };
    let happened = happened(&story.actions).map(|happened| format!("while {happened}, ")).unwrap_or_default();
    let more = match broken.len() - 1 {
        0 => String::new(),
        1 => "; one more objective did not hold".into(),
        more => format!("; {more} more objectives did not hold"),
    };
    format!("Failed: {happened}{}{more}.", broke(first))
}

fn broke(judged: &Judged) -> String {
    match judged.value {
        Some(_) => format!(
            "“{}” did not hold: it was {}, where {} was promised",
            judged.name,
            numbers::measured(judged),
            numbers::bound(judged)
        ),
        None => format!("“{}” did not hold: {}", judged.name, judged.reason),
    }
}

/// What was done to the world, as a clause.
fn happened(actions: &[ActionStory]) -> Option<String> {
    let done = actions.iter().filter(|action| action.proved().is_some()).collect::<Vec<_>>();
    let clause = |action: &ActionStory| {
        let lasted =
            action.plan.for_ms.map(|ms| format!(" for {}", numbers::millis(ms as f64))).unwrap_or_default();
        format!("{}{lasted}", passive(action))
    };
    match done.as_slice() {
        [] => None,
        [one] => Some(clause(one)),
        [one, two] => Some(format!("{} and {}", clause(one), clause(two))),
        [one, rest @ ..] => Some(format!("{} and {} more things happened", clause(one), rest.len())),
    }
}

fn passive(action: &ActionStory) -> String {
    let what = &action.plan.what;
    match action.plan.kind.as_str() {
        "kill" => format!("{} was killed", what.strip_prefix("kill ").unwrap_or(what)),
        "scale" => format!("{} ", what.replacen("scale ", "", 1).replacen(" to ", " was scaled to ", 1))
            .trim()
            .into(),
        "abort" | "delay" => format!("the mesh was told to {what}"),
        _ => what.clone(),
    }
}

fn capital(verdict: Verdict) -> String {
    let word = match verdict {
        Verdict::NotSteady => "not steady".into(),
        Verdict::NotInjected => "not injected".into(),
        other => other.to_string(),
    };
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
