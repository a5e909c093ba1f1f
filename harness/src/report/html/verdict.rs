//! Five seconds: did it hold?

use std::fmt::Write;

use super::super::story::Story;
use super::super::text::html;
use super::super::{numbers, sentence, shape};
use super::tone;

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    let started = &story.started;
    let verdict = story.verdict;
    writeln!(
        out,
        "<header class=\"{}\"><h1><span class=\"shape\" aria-hidden=\"true\">{}</span>{verdict}</h1>\
         <p class=\"sentence\">{}</p>",
        tone(verdict),
        shape(verdict),
        html(&sentence::compose(story))
    )?;
    let causes = story.further_causes();
    if !causes.is_empty() {
        writeln!(out, "<p>Further causes:</p><ul>")?;
        for cause in causes {
            writeln!(out, "<li>{}</li>", html(&cause))?;
        }
        writeln!(out, "</ul>")?;
    }
    let when = jiff::Timestamp::from_millisecond(story.started_at)
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    let mut facts = vec![
        ("scenario", started.scenario.clone()),
        ("about", started.about.clone()),
        ("world", started.world.clone()),
        ("backend", started.backend.clone()),
        ("seed", started.seed.to_string()),
        ("when", when.unwrap_or_else(|_| "unknown".into())),
        ("took", numbers::span(story.lasted_ms())),
        ("run", started.run.clone()),
    ];
    if let Some(expect) = &started.expect {
        let met = if expect == verdict.word() { "as it came" } else { "it came otherwise" };
        facts.push(("expected", format!("{expect}: {met}")));
    }
    facts.retain(|(_, value)| !value.is_empty());
    writeln!(out, "<dl>")?;
    for (name, value) in facts {
        writeln!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", html(&value))?;
    }
    writeln!(out, "<div><dt>again</dt><dd><code>{}</code></dd></div></dl></header>", html(&started.again))
}
