//! Five seconds: did it hold? And the few figures that somebody quotes who has no minute.

use std::fmt::Write;

use super::super::story::{Fate, Story};
use super::super::text::html;
use super::super::{numbers, sentence, shape};
use super::{markup, tone};
use crate::verdict::Verdict;

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    let verdict = story.verdict;
    writeln!(
        out,
        "<header class=\"{}\"><h1><span class=\"shape\" aria-hidden=\"true\">{}</span>{verdict}</h1>\
         <p class=\"sentence\">{}</p>",
        tone(verdict),
        shape(verdict),
        html(&sentence::compose(story))
    )?;
    write_causes(out, story)?;
    markup::figures(out, &figures(story))?;
    write_facts(out, story)?;
    writeln!(out, "</header>")
}

fn write_causes(out: &mut String, story: &Story) -> std::fmt::Result {
    let causes = story.further_causes();
    if causes.is_empty() {
        return Ok(());
    }
    writeln!(out, "<p>Further causes:</p><ul>")?;
    for cause in causes {
        writeln!(out, "<li>{}</li>", html(&cause))?;
    }
    writeln!(out, "</ul>")
}

fn figures(story: &Story) -> Vec<(&'static str, String)> {
    let of = |some: usize, all: usize| format!("{some} <small>of {all}</small>");
    let mut figures = vec![];
    let planned = story.started.objectives.len().max(story.judged.len());
    if planned > 0 {
        let held = story.judged.iter().filter(|judged| judged.verdict == Verdict::Held).count();
        figures.push(("objectives held", of(held, planned)));
    }
    let actions = story.actions.len();
    if actions > 0 {
        let proved = story.actions.iter().filter(|action| action.proved().is_some()).count();
        figures.push(("actions proved", of(proved, actions)));
        let begun = story.actions.iter().filter(|action| action.asked().is_some()).count();
        let back = story.actions.iter().filter(|action| matches!(action.undo(), Some(Ok(_)))).count();
        let open = story.actions.iter().any(|action| action.fate() == Fate::UndoFailed) || back < begun;
        let back =
            if open { format!("<span class=\"bad\">{}</span>", of(back, begun)) } else { of(back, begun) };
        figures.push(("taken back", back));
    }
    if story.sent() > 0 {
        let share = numbers::percent(story.ok() as f64 / story.sent() as f64);
        let (ok, sent) = (numbers::grouped(story.ok() as f64), numbers::grouped(story.sent() as f64));
        figures.push(("answered as they should be", format!("{share} <small>{ok} of {sent}</small>")));
    }
    let slowest = story.summary.iter().flat_map(|load| &load.requests).map(|request| request.p99);
    if let Some(p99) = slowest.max_by(f64::total_cmp) {
        figures.push(("99 % answered within", numbers::millis(p99)));
    }
    let recoveries = story.actions.iter().filter_map(|action| action.recovery());
    if let Some(slowest) =
        recoveries.max_by_key(|recovery| (recovery.is_err(), recovery.unwrap_or_else(|it| it)))
    {
        figures.push((
            "recovered after",
            match slowest {
                Ok(ms) => numbers::span(ms),
                Err(ms) => format!("<span class=\"bad\">✖ not within {}</span>", numbers::span(ms)),
            },
        ));
    }
    figures
}

fn write_facts(out: &mut String, story: &Story) -> std::fmt::Result {
    let started = &story.started;
    if !started.about.is_empty() {
        writeln!(out, "<p class=\"about\">{}</p>", html(&started.about))?;
    }
    if let Some(expect) = &started.expect {
        let (word, why) = expect.split_once(": ").unwrap_or((expect, ""));
        let met = if word == story.verdict.word() { "as it came" } else { "it came otherwise" };
        let why = if why.is_empty() { String::new() } else { format!(" {}", html(why)) };
        writeln!(out, "<p class=\"about\">Expected: <strong>{}</strong>, {met}.{why}</p>", html(word))?;
    }
    let when = jiff::Timestamp::from_millisecond(story.started_at)
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    let mut facts = vec![
        ("scenario", html(&started.scenario)),
        ("world", html(&started.world)),
        ("backend", html(&started.backend)),
        ("seed", started.seed.to_string()),
        ("when", when.unwrap_or_else(|_| "unknown".into())),
        ("took", numbers::span(story.lasted_ms())),
        ("run", html(&started.run)),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    facts.push(("again", format!("<code>{}</code>", html(&started.again))));
    markup::facts(out, &facts)
}
