//! The fine print: everything that somebody who doubts the verdict wants to know.

use std::fmt::Write;

use super::super::numbers;
use super::super::story::Story;
use super::super::text::{count, html, html_block};

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    let started = &story.started;
    writeln!(out, "<section class=\"fine\"><h2>Fine print</h2><h3>Warnings</h3>")?;
    if story.warnings.is_empty() {
        writeln!(out, "<p>None.</p>")?;
    } else {
        writeln!(out, "<ul>")?;
        for warning in &story.warnings {
            writeln!(out, "<li>⚠ {}</li>", html(warning))?;
        }
        writeln!(out, "</ul>")?;
    }
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
            "<details><summary>{} of the world cannot change any verdict on this backend</summary><ul>",
            count(started.inert.len(), "field", "fields")
        )?;
        for inert in &started.inert {
            writeln!(out, "<li>{}</li>", html(inert))?;
        }
        writeln!(out, "</ul></details>")?;
    }
    writeln!(
        out,
        "<details><summary>The scenario, {}</summary><pre>{}</pre></details></section>",
        html(&started.file),
        html_block(&started.text)
    )
}

fn list(out: &mut String, facts: Vec<(String, String)>, empty: &str) -> std::fmt::Result {
    if facts.is_empty() {
        return writeln!(out, "<p>{empty}</p>");
    }
    writeln!(out, "<dl>")?;
    for (name, value) in facts {
        writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", html(&name), html(&value))?;
    }
    writeln!(out, "</dl>")
}
