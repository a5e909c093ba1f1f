//! The verdict in one sentence that can be quoted, composed from what was measured.

use super::numbers;
use super::story::{ActionStory, Fate, Story};
use super::text;
use crate::event::{Judged, Relation, Unit};
use crate::verdict::{CauseKind, Verdict};

pub fn compose(story: &Story) -> String {
    let sentence = match story.verdict {
        Verdict::Held => held(story),
        Verdict::Failed => failed(story),
        verdict => ended(story, verdict),
    };
    text::line(&sentence)
}

fn held(story: &Story) -> String {
    let answered = answered(story);
    let objectives = match story.judged.len() {
        0 => String::new(),
        1 => ", and the one objective held".into(),
        2 => ", and both objectives held".into(),
        count => format!(", and all {count} objectives held"),
    };
    let back = story.actions.iter().filter_map(|action| action.recovery()?.ok()).max();
    let undo = if story.actions.len() == 1 { "the undo" } else { "the last undo" };
    let back = match back {
        Some(0) => "; all was well again at once".into(),
        Some(ms) => format!("; all was well again {} after {undo}", numbers::millis(ms as f64)),
        None => String::new(),
    };
    match happened(&story.actions) {
        Some(happened) => format!("Held: {happened}, {answered}{objectives}{back}."),
        None => format!("Held: {answered}{objectives}."),
    }
}

fn answered(story: &Story) -> String {
    let (sent, ok) = (story.sent(), story.ok());
    match (sent, ok) {
        (0, _) => "no request was sent".into(),
        (1, 1) => "the one request was answered as it should be".into(),
        (sent, ok) if sent == ok => {
            format!("all {} requests were answered as they should be", numbers::grouped(sent as f64))
        }
        (sent, ok) => format!(
            "{} of {} requests were answered as they should be ({})",
            numbers::grouped(ok as f64),
            numbers::grouped(sent as f64),
            numbers::percent(ok as f64 / sent as f64)
        ),
    }
}

fn failed(story: &Story) -> String {
    let mut broken = story.judged.iter().filter(|judged| judged.verdict == Verdict::Failed);
    let Some(first) = broken.next() else {
        return format!("Failed: {}.", without_stop(&story.causes().join("; ")));
    };
    let happened = happened(&story.actions).map(|happened| format!("{happened}, ")).unwrap_or_default();
    let more = match broken.count() {
        0 => String::new(),
        1 => "; one more objective did not hold".into(),
        more => format!("; {more} more objectives did not hold"),
    };
    format!("Failed: {happened}{}{more}.", broke(first))
}

fn broke(judged: &Judged) -> String {
    match judged.value {
        // What was measured can be within the bound and the objective broken all the same: then its reason says why.
        Some(value) if !judged.relation.holds(value, judged.bound) => {
            let none =
                judged.bound == 0.0 && judged.unit == Unit::Count && judged.relation != Relation::Above;
            if none {
                let measured = numbers::measured(judged);
                return format!("“{}” did not hold: {measured}, where none was promised", judged.name);
            }
            let promised = match judged.relation {
                Relation::Below => "less than",
                Relation::AtMost => "at most",
                Relation::Above => "more than",
                Relation::AtLeast => "at least",
                Relation::Equal => "exactly",
            };
            format!(
                "“{}” did not hold: {} was measured, {promised} {} was promised",
                judged.name,
                numbers::measured(judged),
                numbers::value(judged.bound, judged.unit)
            )
        }
        _ => format!("“{}” did not hold: {}", judged.name, without_stop(&judged.reason)),
    }
}

/// Neither held nor failed: the first cause, and whether the world is as it was.
fn ended(story: &Story, verdict: Verdict) -> String {
    let causes = story.causes();
    let first = causes.first().map_or("no reason was given", |cause| without_stop(cause));
    let more = match causes.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", text::count(count - 1, "cause", "causes")),
    };
    let begun = story.actions.iter().filter(|action| action.asked().is_some()).collect::<Vec<_>>();
    let worst = story.outcome.as_ref().and_then(|outcome| outcome.causes.first()).map(|cause| cause.kind);
    let back = match (verdict, begun.as_slice()) {
        (Verdict::Inconclusive, _) | (_, []) => String::new(),
        // That is what the first cause says already.
        _ if worst == Some(CauseKind::UndoFailed) => String::new(),
        (_, begun) if begun.iter().all(|action| matches!(action.undo(), Some(Ok(_)))) => {
            "; everything that was done was taken back".into()
        }
        (_, begun) => {
            let open = begun
                .iter()
                .filter(|action| matches!(action.fate(), Fate::UndoFailed | Fate::Active | Fate::Open));
            match open.map(|action| format!("“{}”", action.plan.name)).collect::<Vec<_>>().as_slice() {
                [] => String::new(),
                open => format!("; not known to be taken back: {}", open.join(", ")),
            }
        }
    };
    format!("{}: {first}{more}{back}.", capital(verdict))
}

/// What was done to the world, as a clause: `while …` for what lasted, `when …` for what happened at one moment.
fn happened(actions: &[ActionStory]) -> Option<String> {
    let done = actions.iter().filter(|action| action.proved().is_some()).collect::<Vec<_>>();
    let lasted = |action: &ActionStory| action.plan.for_ms.is_some();
    let told = match done.as_slice() {
        [] => return None,
        [one] => clause(one),
        [one, two] => format!("{} and {}", clause(one), clause(two)),
        [one, two, three] => format!("{}, {} and {}", clause(one), clause(two), clause(three)),
        [one, two, rest @ ..] => {
            format!("{}, {} and {} more things were done", clause(one), clause(two), rest.len())
        }
    };
    let word = if done.iter().all(|action| lasted(action)) { "while" } else { "when" };
    Some(format!("{word} {told}"))
}

/// `microservice-b v1 was away for 8 s`. Words it does not know are left as the plan has them.
fn clause(action: &ActionStory) -> String {
    let what = readable(&action.plan.what);
    let lasted =
        action.plan.for_ms.map(|ms| format!(" for {}", numbers::millis(ms as f64))).unwrap_or_default();
    let done = match action.plan.kind.as_str() {
        "kill" => what.strip_prefix("kill ").map(|who| {
            let were = if who.starts_with("one ") { "was" } else { "were" };
            format!("{who} {were} killed")
        }),
        "scale" => what.strip_prefix("scale ").and_then(|rest| {
            let (who, replicas) = rest.rsplit_once(" to ")?;
            Some(if replicas == "0" {
                format!("{who} was away")
            } else {
                format!("{who} was scaled to {replicas}")
            })
        }),
        "abort" => what.strip_prefix("answer ").map(|rest| format!("the mesh answered {rest}")),
        "delay" => what.strip_prefix("delay ").map(|rest| format!("the mesh delayed {rest}")),
        "misbehave" => [(" answers ", " answered "), (" never answers", " never answered")]
            .into_iter()
            .find_map(|(now, then)| what.contains(now).then(|| what.replacen(now, then, 1))),
        _ => None,
    };
    match done {
        // A share and a duration side by side would read as one.
        Some(done) if done.contains(" for ") && !lasted.is_empty() => format!("{done},{lasted}"),
        Some(done) => format!("{done}{lasted}"),
        None => format!("“{}” was done{lasted}", action.plan.what),
    }
}

/// `app=microservice-b,version=v1` is `microservice-b v1` to a reader.
pub fn readable(what: &str) -> String {
    let word = |word: &str| {
        let app = word.strip_prefix("app=")?;
        match app.split_once(",version=") {
            Some((app, version)) if !version.contains(',') => Some(format!("{app} {version}")),
            None if !app.contains(',') => Some(app.to_owned()),
            _ => None,
        }
    };
    what.split(' ').map(|part| word(part).unwrap_or_else(|| part.to_owned())).collect::<Vec<_>>().join(" ")
}

fn without_stop(text: &str) -> &str {
    text.trim_end().trim_end_matches('.')
}

fn capital(verdict: Verdict) -> String {
    let word = verdict.word().replace('-', " ");
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ActionPlan, ActionStep};

    fn proved(kind: &str, what: &str, for_ms: Option<u64>) -> ActionStory {
        let plan = ActionPlan { name: kind.into(), kind: kind.into(), what: what.into(), at_ms: 0, for_ms };
        let step = (0, ActionStep::Proved { observation: "seen".into() });
        ActionStory { plan, steps: vec![step] }
    }

    #[test]
    fn every_kind_of_action_reads_as_a_clause() {
        let table = [
            (
                "kill",
                "kill one pod of app=microservice-b,version=v1",
                None,
                "when one pod of microservice-b v1 was killed",
            ),
            ("kill", "kill 2 pods of tier=back,zone=1", None, "when 2 pods of tier=back,zone=1 were killed"),
            ("scale", "scale inventory-service to 0", Some(8000), "while inventory-service was away for 8 s"),
            ("scale", "scale cart to 1", Some(800), "while cart was scaled to 1 for 800 ms"),
            (
                "abort",
                "answer 503 instead of cart for 30 %",
                Some(8000),
                "while the mesh answered 503 instead of cart for 30 %, for 8 s",
            ),
            (
                "delay",
                "delay calls to cart by 200 ms",
                Some(8000),
                "while the mesh delayed calls to cart by 200 ms for 8 s",
            ),
            (
                "misbehave",
                "every pod of app=cart answers 500",
                Some(1500),
                "while every pod of cart answered 500 for 1.5 s",
            ),
            (
                "misbehave",
                "one pod of app=cart never answers",
                Some(1500),
                "while one pod of cart never answered for 1.5 s",
            ),
            ("drain", "drain everything", Some(1000), "while “drain everything” was done for 1 s"),
        ];
        for (kind, what, for_ms, expected) in table {
            assert_eq!(happened(&[proved(kind, what, for_ms)]).as_deref(), Some(expected));
        }
    }

    #[test]
    fn an_objective_that_broke_within_its_bound_says_why() {
        let judged = |value| Judged {
            name: "v1 never met v2".into(),
            window: "run".into(),
            verdict: Verdict::Failed,
            value: Some(value),
            unit: Unit::Count,
            relation: Relation::AtMost,
            bound: 0.0,
            samples: 900,
            reason: "answers other than 200: a-v1 → b-v1 (503) ×6".into(),
            promql: vec![],
        };
        let name = "“v1 never met v2” did not hold:";
        assert_eq!(broke(&judged(3.0)), format!("{name} 3, where none was promised"));
        assert_eq!(broke(&judged(0.0)), format!("{name} answers other than 200: a-v1 → b-v1 (503) ×6"));
    }

    #[test]
    fn what_was_not_proved_did_not_happen() {
        let mut action = proved("kill", "kill one pod of app=a", None);
        action.steps.clear();
        assert_eq!(happened(&[action]), None);
    }

    #[test]
    fn many_actions_are_counted() {
        let kill = proved("kill", "kill one pod of app=a", None);
        let many = vec![kill; 4];
        assert_eq!(
            happened(&many).as_deref(),
            Some("when one pod of a was killed, one pod of a was killed and 2 more things were done")
        );
    }
}
