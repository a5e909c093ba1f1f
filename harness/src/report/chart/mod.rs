//! The timeline as inline SVG: panels and strips that share one time axis.
//!
//! ```text
//! actions, a lane each where they overlap     ── bands across everything below
//! requests each second                        ┐
//! latency                                     │ panels
//! answers by status, where not as usual       ┐
//! failures in the mesh, by status and flag    │
//! pods ready, by workload that changed        │ strips
//! time, and the windows under it
//! ```
//! Drawn here, so that it needs no script and no network. A second without data is a gap, never a zero.

mod actions;
mod axis;
mod frame;
mod panel;
mod scale;
mod series;
mod strips;

use std::fmt::Write;

use super::numbers;
use super::story::Story;
use super::text::html;
use frame::Frame;
pub use series::MOST;
pub use strips::unusual;

/// The whole chart, or nothing where there was no load.
pub fn timeline(story: &Story) -> Option<String> {
    let (from, until) = story.load_span()?;
    let mut svg = String::new();
    // Writing to a String cannot fail.
    let _ = draw(&mut svg, story, Frame::new(from, until));
    Some(svg)
}

fn draw(out: &mut String, story: &Story, mut frame: Frame) -> std::fmt::Result {
    // What lies under all else is as high as all else, so that is drawn first.
    let mut front = String::new();
    let bars = actions::bars(&mut front, story, &mut frame)?;
    let top = frame.y;
    let gaps = series::gaps(story);
    panel::draw(&mut front, &mut frame, &series::requests(story))?;
    panel::draw(&mut front, &mut frame, &series::latency(story))?;
    strips::answers(&mut front, &mut frame, story)?;
    strips::mesh(&mut front, &mut frame, story)?;
    strips::pods(&mut front, &mut frame, story)?;
    let bottom = frame.y;
    let mut back = String::new();
    axis::grid(&mut back, &frame, top, bottom)?;
    axis::gaps(&mut back, &frame, &gaps, top, bottom)?;
    actions::bands(&mut back, story, &frame, &bars, bottom)?;
    axis::time(&mut front, &mut frame)?;
    axis::windows(&mut front, &mut frame, story)?;
    let height = frame.y + 4.0;
    writeln!(
        out,
        "<svg id=\"chart\" viewBox=\"0 0 {} {height:.0}\" role=\"img\" aria-labelledby=\"chart-title\" aria-describedby=\"chart-desc\" \
         data-from=\"{}\" data-until=\"{}\" data-left=\"{}\" data-right=\"{}\" data-width=\"{}\">\
         <title id=\"chart-title\">Timeline of {}</title><desc id=\"chart-desc\">{}</desc>",
        frame::WIDTH,
        frame.from,
        frame.until,
        frame::LEFT,
        frame::WIDTH - frame::RIGHT,
        frame::WIDTH,
        numbers::span(((frame.until - frame.from) * 1e3) as u64),
        html(&described(story))
    )?;
    write!(
        out,
        "<defs><pattern id=\"gap\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <path d=\"M0 0V6\"/></pattern></defs>"
    )?;
    out.push_str(&back);
    out.push_str(&front);
    writeln!(
        out,
        "<path id=\"cursor\" class=\"cursor\" d=\"M0 {top:.1}V{bottom:.1}\" visibility=\"hidden\"/></svg>"
    )
}

/// What the picture shows, for whoever does not see it.
fn described(story: &Story) -> String {
    let most = |value: &dyn Fn(&crate::event::LoadSecond) -> f64| {
        story.seconds.iter().map(|second| (value(second), second.second)).max_by(|a, b| a.0.total_cmp(&b.0))
    };
    let mut text = String::new();
    if let Some((sent, _)) = most(&|second| second.sent as f64) {
        text += &format!("At most {} requests were sent in a second. ", numbers::grouped(sent));
    }
    match most(&|second| second.failed as f64).filter(|(failed, _)| *failed > 0.0) {
        Some((failed, at)) => {
            let at = numbers::moment(story.seconds_at(at));
            text += &format!("Most failures in a second: {}, at {at}. ", numbers::grouped(failed));
        }
        None => text += "No request failed. ",
    }
    if let Some((p95, at)) = most(&|second| second.p95.unwrap_or(0.0)) {
        let at = numbers::moment(story.seconds_at(at));
        text += &format!("The highest p95 of a second was {}, at {at}. ", numbers::millis(p95));
    }
    for action in story.actions.iter().filter(|action| action.asked().is_some()) {
        let at = |at: Option<i64>| at.map(|at| numbers::moment(story.seconds_at(at)));
        let asked = at(action.asked()).unwrap_or_default();
        text += &format!("{} was asked for at {asked}", action.plan.name);
        text += &at(action.proved()).map_or(", never proved".into(), |at| format!(", proved at {at}"));
        text += &at(action.undone()).map_or(", not undone. ".into(), |at| format!(", undone at {at}. "));
    }
    text + "The same values are in the table below."
}
