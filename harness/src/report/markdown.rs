//! `report.md`: verdict, table and what happened, as a comment on a pull request.

use std::fmt::Write;

use super::numbers;
use super::sentence::{self, readable};
use super::story::{ActionStory, Story};
use super::text::{count, markdown, markdown_code};
use crate::event::Judged;
use crate::verdict::Verdict;

/// Lists end here: a comment is read on a small screen.
const MOST: usize = 12;

pub fn render(story: &Story) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(&mut text, story);
    text
}

fn write_report(out: &mut String, story: &Story) -> std::fmt::Result {
    let started = &story.started;
    writeln!(out, "## {} {}: {}\n", sign(story.verdict), markdown(&started.scenario), story.verdict)?;
    writeln!(out, "{}\n", markdown(&sentence::compose(story)))?;
    write_objectives(out, story)?;
    write_happened(out, story)?;
    let lasted = numbers::span(story.lasted_ms());
    let word = |expect: &String| expect.split(':').next().unwrap_or_default().to_owned();
    let expected = started.expect.as_ref().map(|expect| format!(" · expected: {}", markdown(&word(expect))));
    writeln!(
        out,
        "<sub>world {} · {} · seed {} · {lasted}{} · run {} · again: {}</sub>",
        markdown(&started.world),
        markdown(&started.backend),
        started.seed,
        expected.unwrap_or_default(),
        markdown_code(&started.run),
        markdown_code(&started.again)
    )
}

fn write_objectives(out: &mut String, story: &Story) -> std::fmt::Result {
    let unsteady = story.steady.iter().filter(|judged| judged.verdict != Verdict::Held);
    let judged = unsteady.chain(&story.judged).collect::<Vec<_>>();
    if judged.is_empty() && story.started.objectives.is_empty() {
        return writeln!(out, "The scenario has no objectives.\n");
    }
    writeln!(out, "| | objective | window | measured | bound | samples |")?;
    writeln!(out, "| --- | --- | --- | ---: | ---: | ---: |")?;
    for judged in judged {
        row(out, judged)?;
    }
    for plan in story.unjudged() {
        writeln!(
            out,
            "| ⏭ not judged | {} | {} | – | {} | – |",
            markdown(&plan.name),
            markdown(&plan.window),
            markdown(&plan.bound)
        )?;
    }
    writeln!(out)?;
    second_opinion(out, story)
}

fn second_opinion(out: &mut String, story: &Story) -> std::fmt::Result {
    if story.second.is_empty() {
        return Ok(());
    }
    writeln!(out, "| objective | measured here | by Prometheus | difference |")?;
    writeln!(out, "| --- | ---: | ---: | ---: |")?;
    for opinion in &story.second {
        let [ours, theirs, difference] = numbers::opinions(opinion);
        let note = match opinion.note.as_str() {
            "" => String::new(),
            note => format!("<br>{}", markdown(note)),
        };
        writeln!(out, "| {}{note} | {ours} | {theirs} | {difference} |", markdown(&opinion.name))?;
    }
    writeln!(out)
}

fn row(out: &mut String, judged: &Judged) -> std::fmt::Result {
    let name = match judged.verdict {
        Verdict::Held => markdown(&judged.name),
        _ => format!("**{}**<br>{}", markdown(&judged.name), markdown(&judged.reason)),
    };
    writeln!(
        out,
        "| {} {} | {name} | {} | {} | {} | {} |",
        sign(judged.verdict),
        judged.verdict,
        markdown(&judged.window),
        numbers::measured(judged),
        numbers::bound(judged),
        numbers::grouped(judged.samples as f64),
    )
}

/// Actions, guards, causes and warnings: one line each.
fn write_happened(out: &mut String, story: &Story) -> std::fmt::Result {
    let mut lines = story.actions.iter().map(|action| told(story, action)).collect::<Vec<_>>();
    for (at, name, text) in &story.guards {
        let at = numbers::moment(story.seconds_at(*at));
        lines.push(format!("{at}: guard “{}”: {}", markdown(name), markdown(text)));
    }
    let causes = story.further_causes();
    lines.extend(causes.iter().map(|cause| markdown(cause)));
    let told = |warning: &&String| !causes.contains(warning);
    lines.extend(story.warnings.iter().filter(told).map(|warning| format!("⚠ {}", markdown(warning))));
    for line in lines.iter().take(MOST) {
        writeln!(out, "- {line}")?;
    }
    if lines.len() > MOST {
        writeln!(out, "- … and {} more in `report.html`", lines.len() - MOST)?;
    }
    if lines.is_empty() { Ok(()) } else { writeln!(out) }
}

/// One line for an action: when, what, on whom, and how far it came. How it was proved and undone is in the page.
fn told(story: &Story, action: &ActionStory) -> String {
    let moment = |at: i64| numbers::moment(story.seconds_at(at));
    let what = markdown(&readable(&action.plan.what));
    let Some(asked) = action.asked() else {
        let planned = numbers::moment(action.plan.at_ms as f64 / 1e3);
        return format!("{planned}: {what}; **not reached**");
    };
    let mut text = format!("{}: {what}", moment(asked));
    // What follows in brackets is how it was chosen.
    let target = action.target().map(|target| target.split(" (").next().unwrap_or(target));
    if let Some(target) = target.filter(|target| !action.plan.what.contains(target)) {
        text += &format!(" → {}", markdown(target));
    }
    text += &match (action.proof(), action.proved()) {
        (Some(Err(reason)), _) => format!("; **not injected**: {}", markdown(reason)),
        (_, Some(at)) => {
            format!("; proved {} later", numbers::span(u64::try_from(at - asked).unwrap_or_default()))
        }
        _ => "; **not proved**".into(),
    };
    text += &match (action.undo(), action.undone()) {
        (Some(Err(reason)), _) => format!("; **not undone**: {}", markdown(reason)),
        (_, Some(at)) => format!("; undone at {}", moment(at)),
        _ => "; **not undone**".into(),
    };
    text += &match action.recovery() {
        Some(Ok(ms)) => format!("; recovered {} later", numbers::span(ms)),
        Some(Err(ms)) => format!("; **not recovered** within {}", numbers::span(ms)),
        None => String::new(),
    };
    match story.cost(action).map(|cost| cost.failed) {
        Some(failed) if failed > 0 => {
            text + &format!("; {} meanwhile", count(failed as usize, "request failed", "requests failed"))
        }
        _ => text,
    }
}

const fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "✅",
        Verdict::Failed => "❌",
        Verdict::Error => "🛑",
        Verdict::Aborted => "⏹",
        _ => "❔",
    }
}
