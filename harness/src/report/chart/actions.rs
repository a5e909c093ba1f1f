//! Actions: each a numbered bar at the top and a band across everything below, with a tick where it was proved and
//! where its undo was verified.

use std::fmt::Write;

use super::super::numbers;
use super::super::story::{ActionStory, Fate, Story};
use super::super::text::{cut, html, line};
use super::frame::{Frame, Lanes, RIGHT, WIDTH};

const LANE: f64 = 20.0;

/// The top of the bar of each action, by its place in the story.
pub type Bars = Vec<(usize, f64)>;

pub fn bars(out: &mut String, story: &Story, frame: &mut Frame) -> Result<Bars, std::fmt::Error> {
    let mut bars = Bars::new();
    let mut lanes = Lanes::default();
    for (index, action) in story.actions.iter().enumerate() {
        let Some((x, end)) = extent(story, action, frame) else { continue };
        let label = format!("{} {}", index + 1, cut(&line(&action.plan.name), 40));
        let spot = lanes.place(x, end + 4.0, &label);
        let y = frame.y + spot.lane as f64 * LANE;
        bars.push((index, y));
        writeln!(
            out,
            "<g class=\"action\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.0}\"><title>{}</title></rect>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{}\">{}</text></g>",
            (end - x).max(2.0),
            LANE - 4.0,
            html(&action.plan.what),
            spot.text,
            y + 12.0,
            spot.anchor,
            html(&label)
        )?;
    }
    frame.y += lanes.count() as f64 * LANE;
    Ok(bars)
}

fn extent(story: &Story, action: &ActionStory, frame: &Frame) -> Option<(f64, f64)> {
    let from = frame.x(story.seconds_at(action.asked()?));
    // What could not be taken back goes on.
    let until = action.undone().map_or(frame.until, |at| story.seconds_at(at));
    Some((from, frame.x(until)))
}

pub fn bands(out: &mut String, story: &Story, frame: &Frame, bars: &Bars, bottom: f64) -> std::fmt::Result {
    for (index, y) in bars {
        let action = &story.actions[*index];
        let Some((x, end)) = extent(story, action, frame) else { continue };
        let top = y + LANE - 4.0;
        let fate = action.fate();
        let class = if matches!(fate, Fate::Undone) { "band" } else { "band bad" };
        writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{} {}: {}</title></rect>",
            (end - x).max(2.0),
            bottom - top,
            index + 1,
            html(&action.plan.name),
            fate.word()
        )?;
        for (at, class) in [(action.proved(), "proved"), (action.undone(), "undone")] {
            let Some(seconds) = at.map(|at| story.seconds_at(at)) else { continue };
            writeln!(
                out,
                "<path class=\"{class}\" d=\"M{:.1} {y:.1}V{bottom:.1}\"><title>{} {class} at {}</title></path>",
                frame.x(seconds).min(WIDTH - RIGHT),
                html(&action.plan.name),
                numbers::moment(seconds)
            )?;
        }
    }
    Ok(())
}
