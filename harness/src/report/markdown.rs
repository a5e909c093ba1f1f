//! `report.md`: verdict, table and what happened, as a comment on a pull request.

use std::fmt::Write;

use super::numbers;
use super::sentence;
use super::story::{ActionStory, Story};
use crate::event::Judged;
use crate::verdict::Verdict;

pub fn render(story: &Story) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(&mut text, story);
    text
}

fn write_report(out: &mut String, story: &Story) -> std::fmt::Result {
    let started = &story.started;
    writeln!(out, "## {} {}: {}\n", sign(story.verdict), started.scenario, story.verdict)?;
    writeln!(out, "{}\n", sentence::compose(story))?;
    if !story.judged.is_empty() {
        writeln!(out, "| | objective | window | measured | bound | samples |")?;
        writeln!(out, "| --- | --- | --- | ---: | ---: | ---: |")?;
        for judged in &story.judged {
            row(out, judged)?;
        }
        writeln!(out)?;
    }
    for action in &story.actions {
        writeln!(out, "- {}", told(story, action))?;
    }
    for (at, name, text) in &story.guards {
        writeln!(out, "- guard `{name}` at {:.1} s: {}", story.seconds_at(*at), escaped(text))?;
    }
    if story.causes().len() > 1 || !matches!(story.verdict, Verdict::Held | Verdict::Failed) {
        for cause in story.causes() {
            writeln!(out, "- {}", escaped(&cause))?;
        }
    }
    for warning in &story.warnings {
        writeln!(out, "- ⚠ {}", escaped(warning))?;
    }
    let lasted = numbers::millis(story.lasted_ms() as f64);
    writeln!(
        out,
        "\n<sub>world {} · {} · seed {} · {lasted} · run `{}` · again: `{}`</sub>",
        started.world, started.backend, started.seed, started.run, started.again
    )
}

fn row(out: &mut String, judged: &Judged) -> std::fmt::Result {
    writeln!(
        out,
        "| {} | {} | {} | {} | {} | {} |",
        sign(judged.verdict),
        escaped(&judged.name),
        escaped(&judged.window),
        numbers::measured(judged),
        numbers::bound(judged),
        numbers::grouped(judged.samples as f64),
    )?;
    if judged.verdict != Verdict::Held {
        writeln!(out, "| | {} | | | | |", escaped(&judged.reason))?;
    }
    Ok(())
}

/// One line for an action: when, what, on whom, how proved, how undone.
fn told(story: &Story, action: &ActionStory) -> String {
    let at = action.asked().map_or(action.plan.at_ms as f64 / 1e3, |at| story.seconds_at(at));
    let mut text = format!("{at:.1} s: {}", action.plan.what);
    if let Some(target) = action.target() {
        text += &format!(" → {target}");
    }
    match action.proof() {
        Some(Ok(observation)) => text += &format!("; proved: {observation}"),
        Some(Err(reason)) => text += &format!("; **not injected**: {reason}"),
        None => text += "; not reached",
    }
    match action.undo() {
        Some(Ok(how)) => text += &format!("; undone: {how}"),
        Some(Err(reason)) => text += &format!("; **not undone**: {reason}"),
        None => {}
    }
    escaped(&text)
}

const fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "✅",
        Verdict::Failed => "❌",
        _ => "❔",
    }
}

/// Nothing that a name or a message holds may break the table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ").replace('<', "&lt;")
}
