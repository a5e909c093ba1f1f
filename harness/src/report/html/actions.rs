//! The actions: asked, proved, undone, and what they cost.

use std::fmt::Write;

use super::super::numbers;
use super::super::story::{ActionStory, Fate, Story};
use super::super::text::html;
use super::markup;

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    writeln!(out, "<section class=\"acts\"><h2>Actions</h2>")?;
    if story.actions.is_empty() {
        writeln!(out, "<p>The scenario has no timeline: nothing was shaken.</p>")?;
    } else {
        let columns = [
            "action",
            "on whom",
            "#asked",
            "proved by",
            "undone, verified by",
            "#recovered after",
            "#failed meanwhile",
        ];
        markup::table(out, "Actions with their proofs and undos", &columns)?;
        for (index, action) in story.actions.iter().enumerate() {
            row(out, story, index + 1, action)?;
        }
        markup::end_table(out)?;
        writeln!(
            out,
            "<p class=\"note\">“Failed meanwhile” counts the requests that failed in the seconds from asked to recovered (or undone), whatever they failed of.</p>"
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

fn row(out: &mut String, story: &Story, number: usize, action: &ActionStory) -> std::fmt::Result {
    let moment = |at: i64| numbers::moment(story.seconds_at(at));
    let fate = action.fate();
    let (tone, sign) = match fate {
        Fate::Undone => ("good", "✔"),
        Fate::NotProved | Fate::UndoFailed => ("bad", "✖"),
        Fate::NotReached | Fate::Open | Fate::Active => ("open", "◇"),
    };
    let asked = match action.asked() {
        Some(at) => moment(at),
        None => format!("planned for {}", numbers::moment(action.plan.at_ms as f64 / 1e3)),
    };
    let proved = match (action.proof(), action.proved(), action.asked()) {
        (Some(Ok(seen)), Some(at), Some(asked)) => {
            let took = u64::try_from(at - asked).unwrap_or_default();
            format!(
                "<strong>{}</strong>, {} after it was asked: {}",
                moment(at),
                numbers::span(took),
                html(seen)
            )
        }
        (Some(Ok(seen)), _, _) => html(seen),
        (Some(Err(reason)), _, _) => format!("<strong class=\"bad\">✖ not proved:</strong> {}", html(reason)),
        (None, _, Some(_)) => "<strong class=\"open\">◇ nothing was seen</strong>".into(),
        (None, _, None) => "–".into(),
    };
    let undone = match (action.undo(), action.closed(), action.asked()) {
        (Some(Ok(how)), Some(at), _) => format!("<strong>{}</strong>: {}", moment(at), html(how)),
        (Some(Ok(how)), None, _) => html(how),
        (Some(Err(reason)), _, _) => format!("<strong class=\"bad\">✖ not undone:</strong> {}", html(reason)),
        (None, _, Some(_)) => "<strong class=\"open\">◇ not known to be undone</strong>".into(),
        (None, _, None) => "–".into(),
    };
    let recovered = match action.recovery() {
        Some(Ok(ms)) => numbers::span(ms),
        Some(Err(ms)) => format!("<strong class=\"bad\">✖ not within {}</strong>", numbers::span(ms)),
        None => "–".into(),
    };
    let lost = match action.asked() {
        Some(asked) if !story.seconds.is_empty() => {
            let recovered = action.recovery().map_or(0, |after| after.unwrap_or_else(|within| within));
            let until = action.closed().map_or(story.ended_at, |at| at + recovered as i64);
            numbers::grouped(story.failed_between(asked, until) as f64)
        }
        _ => "–".into(),
    };
    writeln!(
        out,
        "<tr class=\"{tone}\"><th scope=\"row\">{number} {}<p class=\"note\">{}</p><p class=\"{tone}\"><span aria-hidden=\"true\">{sign}</span> {}</p></th>\
         <td>{}</td><td class=\"number\">{asked}</td><td>{proved}</td><td>{undone}</td><td class=\"number\">{recovered}</td><td class=\"number\">{lost}</td></tr>",
        html(&action.plan.name),
        html(&action.plan.what),
        fate.word(),
        html(action.target().unwrap_or("–")),
    )
}
