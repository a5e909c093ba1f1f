//! `report.md`: verdict, table and what happened, as a comment on a pull request.

use std::fmt::Write;

use super::numbers;
use super::sentence;
use super::story::{ActionStory, Fate, Story};
use super::text::{markdown, markdown_code};
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
    let expected = started.expect.as_ref().map(|expect| format!(" · expected: {}", markdown(expect)));
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
    lines.extend(story.further_causes().iter().map(|cause| markdown(cause)));
    lines.extend(story.warnings.iter().map(|warning| format!("⚠ {}", markdown(warning))));
    for line in lines.iter().take(MOST) {
        writeln!(out, "- {line}")?;
    }
    if lines.len() > MOST {
        writeln!(out, "- … and {} more in `report.html`", lines.len() - MOST)?;
    }
    if lines.is_empty() { Ok(()) } else { writeln!(out) }
}

/// One line for an action: when, what, on whom, how proved, how undone.
fn told(story: &Story, action: &ActionStory) -> String {
    let at = action.asked().map_or(action.plan.at_ms as f64 / 1e3, |at| story.seconds_at(at));
    let mut text = format!("{}: {}", numbers::moment(at), markdown(&action.plan.what));
    if action.fate() == Fate::NotReached {
        return text + "; **not reached**";
    }
    if let Some(target) = action.target() {
        text += &format!(" → {}", markdown(target));
    }
    text += &match action.proof() {
        Some(Ok(observation)) => format!("; proved: {}", markdown(observation)),
        Some(Err(reason)) => format!("; **not injected**: {}", markdown(reason)),
        None => "; **not proved**".into(),
    };
    text += &match action.undo() {
        Some(Ok(how)) => format!("; undone: {}", markdown(how)),
        Some(Err(reason)) => format!("; **not undone**: {}", markdown(reason)),
        None => "; **not undone**".into(),
    };
    text += &match action.recovery() {
        Some(Ok(ms)) => format!("; recovered {} later", numbers::span(ms)),
        Some(Err(ms)) => format!("; **not recovered** within {}", numbers::span(ms)),
        None => String::new(),
    };
    text
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
