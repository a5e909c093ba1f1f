//! The fine print: everything that somebody who doubts the verdict wants to know.

use std::fmt::Write;

use super::super::numbers;
use super::super::story::{Fate, Story};
use super::super::text::{count, html, html_block};
use super::markup;

/// Longer lists are cut.
const MOST: usize = 60;

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    let started = &story.started;
    markup::section(out, "fine", "Fine print")?;
    writeln!(out, "<h3>Warnings</h3>")?;
    if story.warnings.is_empty() {
        writeln!(out, "<p>None.</p>")?;
    } else {
        writeln!(out, "<ul>")?;
        for warning in story.warnings.iter().take(MOST) {
            writeln!(out, "<li>⚠ {}</li>", html(warning))?;
        }
        writeln!(out, "</ul>")?;
        markup::more(out, story.warnings.len(), MOST, " warnings")?;
    }
    write_skipped(out, story)?;
    writeln!(out, "<h3>Time of each phase</h3>")?;
    let phases = story.phases.iter().map(|(phase, took)| (phase.word().to_owned(), numbers::span(*took)));
    list(out, phases.collect(), "No phase came to its end.")?;
    writeln!(out, "<h3>Versions and digests</h3>")?;
    let own = [("reported by meshquake".to_owned(), story.header.meshquake.clone())];
    let world = [(format!("world {}", started.world), started.world_digest.clone())];
    let below = story.world.iter().flat_map(|world| &world.versions);
    let versions = started.versions.iter().chain(below).cloned();
    list(out, own.into_iter().chain(world).chain(versions).collect(), "")?;
    writeln!(out, "<h3>Machine</h3>")?;
    list(out, started.machine.clone(), "It was not recorded.")?;
    writeln!(out, "<h3>Metrics</h3>")?;
    match &story.scraped {
        None => writeln!(out, "<p>None were read under load.</p>")?,
        Some(scraped) => writeln!(
            out,
            "<p>Read {} under load, every {} (median); the longest pause was {}.</p>",
            count(usize::try_from(scraped.rounds).unwrap_or(usize::MAX), "time", "times"),
            numbers::span(scraped.median_ms),
            numbers::span(scraped.longest_ms)
        )?,
    }
    if let Some(world) = &story.world {
        writeln!(out, "<h3>World</h3>")?;
        let mut facts = vec![
            ("entry".to_owned(), world.entry.clone()),
            ("pods".into(), world.pods.to_string()),
            ("sidecars".into(), world.sidecars.to_string()),
            ("ready in".into(), numbers::span(world.took_ms)),
        ];
        facts.extend(world.steps.iter().map(|(step, took)| (format!("of it {step}"), numbers::span(*took))));
        facts.extend(world.urls.iter().map(|url| ("published".to_owned(), url.clone())));
        list(out, facts, "")?;
    }
    if started.inert.is_empty() {
        writeln!(out, "<p>Every field of the world is honoured by this backend.</p>")?;
    } else {
        writeln!(
            out,
            "<details class=\"long\"><summary>{} of the world cannot change any verdict on this backend</summary><ul>",
            count(started.inert.len(), "field", "fields")
        )?;
        for inert in started.inert.iter().take(MOST) {
            writeln!(out, "<li>{}</li>", html(inert))?;
        }
        writeln!(out, "</ul>")?;
        markup::more(out, started.inert.len(), MOST, " fields")?;
        writeln!(out, "</details>")?;
    }
    writeln!(
        out,
        "<details><summary>The scenario, {}</summary><pre>{}</pre></details></section>",
        html(&started.file),
        html_block(&started.text)
    )
}

/// What was planned and left out, and why.
fn write_skipped(out: &mut String, story: &Story) -> std::fmt::Result {
    let actions = story.actions.iter().filter(|action| action.fate() == Fate::NotReached);
    let actions = actions.map(|action| format!("the action “{}”", action.plan.name));
    let objectives = story.unjudged().map(|plan| format!("the objective “{}”", plan.name));
    let skipped = actions.chain(objectives).collect::<Vec<_>>();
    writeln!(out, "<h3>Skipped</h3>")?;
    if skipped.is_empty() {
        return writeln!(out, "<p>Nothing that was planned.</p>");
    }
    writeln!(out, "<p>The run ended as “{}” before these:</p><ul>", story.verdict)?;
    for what in skipped.iter().take(MOST) {
        writeln!(out, "<li>{}</li>", html(what))?;
    }
    writeln!(out, "</ul>")?;
    markup::more(out, skipped.len(), MOST, "")
}

fn list(out: &mut String, facts: Vec<(String, String)>, empty: &str) -> std::fmt::Result {
    if facts.is_empty() {
        return writeln!(out, "<p>{empty}</p>");
    }
    let facts = facts.iter().map(|(name, value)| (name.as_str(), html(value))).collect::<Vec<_>>();
    markup::facts(out, &facts)
}
