//! The actions, a card each: what, on whom, asked, proved, undone, and what it cost.

use std::fmt::Write;

use super::super::numbers;
use super::super::sentence::readable;
use super::super::story::{ActionStory, Fate, Story};
use super::super::text::html;
use super::markup;

/// Cards that are shown; the rest is told in words.
const MOST: usize = 24;

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    markup::section(out, "actions", "Actions")?;
    if story.actions.is_empty() {
        writeln!(out, "<p>The scenario has no timeline: nothing was shaken.</p>")?;
    }
    for (index, action) in story.actions.iter().enumerate().take(MOST) {
        card(out, story, index + 1, action)?;
    }
    markup::more(out, story.actions.len(), MOST, " actions")?;
    if story.actions.iter().any(|action| action.asked().is_some()) {
        writeln!(
            out,
            "<p class=\"note\">“Failed meanwhile” counts the requests that failed in the seconds from asked to recovered (or undone), whatever they failed of. \
             “Amplification” compares the calls in the mesh for each request, retries included, with those before the first action.</p>"
        )?;
    }
    if !story.guards.is_empty() {
        writeln!(out, "<h3>Guards that spoke</h3><ul>")?;
        for (at, name, text) in &story.guards {
            let at = numbers::moment(story.seconds_at(*at));
            writeln!(out, "<li>{at}: <strong>{}</strong>: {}</li>", html(name), html(text))?;
        }
        writeln!(out, "</ul>")?;
    }
    writeln!(out, "</section>")
}

fn card(out: &mut String, story: &Story, number: usize, action: &ActionStory) -> std::fmt::Result {
    let fate = action.fate();
    let (tone, sign) = match fate {
        Fate::Undone => ("good", "✔"),
        Fate::NotProved | Fate::UndoFailed => ("bad", "✖"),
        Fate::NotReached | Fate::Open | Fate::Active => ("open", "◇"),
    };
    writeln!(
        out,
        "<article class=\"act {tone}\" aria-labelledby=\"act-{number}\"><h3 id=\"act-{number}\"><span class=\"count\">{number}</span> {} \
         <span class=\"fate {tone}\"><span aria-hidden=\"true\">{sign}</span> {}</span></h3>",
        html(&action.plan.name),
        fate.word()
    )?;
    let what = readable(&action.plan.what);
    if what != action.plan.name {
        writeln!(out, "<p class=\"what\">{}</p>", html(&what))?;
    }
    writeln!(out, "<table class=\"steps\"><caption>Steps of {}</caption><tbody>", html(&action.plan.name))?;
    for (at, step, text) in steps(story, action) {
        writeln!(out, "<tr><td>{at}</td><th scope=\"row\">{step}</th><td>{text}</td></tr>")?;
    }
    writeln!(out, "</tbody></table>")?;
    let cost = cost(story, action);
    if !cost.is_empty() {
        markup::figures(out, &cost)?;
    }
    writeln!(out, "</article>")
}

/// When, what, and what was seen; the text is HTML already.
fn steps(story: &Story, action: &ActionStory) -> Vec<(String, &'static str, String)> {
    let moment = |at: Option<i64>| at.map_or("–".to_owned(), |at| numbers::moment(story.seconds_at(at)));
    let Some(asked) = action.asked() else {
        let planned = numbers::moment(action.plan.at_ms as f64 / 1e3);
        return vec![(planned, "planned", "The run ended before its time came.".into())];
    };
    let mut steps = vec![(moment(Some(asked)), "asked", html(action.target().unwrap_or("–")))];
    steps.push(match action.proof() {
        Some(Ok(seen)) => (moment(action.proved()), "proved", html(seen)),
        Some(Err(reason)) => {
            let text = format!("<strong class=\"bad\">✖ not proved:</strong> {}", html(reason));
            ("–".into(), "proved", text)
        }
        None => ("–".into(), "proved", "<strong class=\"open\">◇ nothing was seen</strong>".into()),
    });
    steps.push(match action.undo() {
        Some(Ok(how)) => (moment(action.closed()), "undone", html(how)),
        Some(Err(reason)) => {
            let text = format!("<strong class=\"bad\">✖ not undone:</strong> {}", html(reason));
            (moment(action.closed()), "undone", text)
        }
        None => ("–".into(), "undone", "<strong class=\"open\">◇ not known to be undone</strong>".into()),
    });
    steps
}

fn cost(story: &Story, action: &ActionStory) -> Vec<(&'static str, String)> {
    let mut cost = vec![];
    if let (Some(asked), Some(proved)) = (action.asked(), action.proved()) {
        cost.push(("detected after", numbers::span(u64::try_from(proved - asked).unwrap_or_default())));
    }
    match action.recovery() {
        Some(Ok(ms)) => cost.push(("recovered after", numbers::span(ms))),
        Some(Err(ms)) => {
            let text = format!("<span class=\"bad\">✖ not within {}</span>", numbers::span(ms));
            cost.push(("recovered after", text));
        }
        None => {}
    }
    if let Some(found) = story.cost(action) {
        cost.push(("failed meanwhile", numbers::grouped(found.failed as f64)));
        if let Some(amplified) = found.amplification {
            let retries = match amplified.retries {
                0 => String::new(),
                retries => format!(", {} retries", numbers::grouped(retries as f64)),
            };
            let text = format!(
                "×{:.2} <small>{:.2} instead of {:.2} calls for a request{retries}</small>",
                amplified.factor(),
                amplified.meanwhile,
                amplified.before
            );
            cost.push(("amplification", text));
        }
    }
    cost
}
