//! The time axis: ticks, grid, spans without data, and the windows shaded under it.

use std::fmt::Write;

use super::super::numbers;
use super::super::story::{Story, Window, WindowKind};
use super::super::text::{cut, html};
use super::frame::{Frame, LEFT, Lanes, RIGHT, WIDTH, width};
use super::scale::time_step;

fn ticks(frame: &Frame) -> impl Iterator<Item = f64> {
    let step = time_step(frame.until - frame.from);
    let (first, last) = ((frame.from / step).ceil() as i64, (frame.until / step + 1e-9).floor() as i64);
    (first..=last).map(move |tick| tick as f64 * step)
}

pub fn grid(out: &mut String, frame: &Frame, top: f64, bottom: f64) -> std::fmt::Result {
    for tick in ticks(frame) {
        writeln!(out, "<path class=\"grid faint\" d=\"M{:.1} {top:.1}V{bottom:.1}\"/>", frame.x(tick))?;
    }
    Ok(())
}

pub fn gaps(out: &mut String, frame: &Frame, gaps: &[(f64, f64)], top: f64, bottom: f64) -> std::fmt::Result {
    for (from, until) in gaps {
        let (x, end) = (frame.x(*from), frame.x(*until));
        writeln!(
            out,
            "<rect class=\"gap\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>no data from {} to {}</title></rect>",
            end - x,
            bottom - top,
            numbers::moment(*from),
            numbers::moment(*until)
        )?;
        if end - x > width("no data") {
            let (x, y) = ((x + end) / 2.0, top + 40.0);
            writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">no data</text>")?;
        }
    }
    Ok(())
}

pub fn time(out: &mut String, frame: &mut Frame) -> std::fmt::Result {
    let y = frame.y + 4.0;
    writeln!(out, "<path class=\"axis\" d=\"M{LEFT} {y:.1}H{:.1}\"/>", WIDTH - RIGHT)?;
    writeln!(
        out,
        "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">time</text>",
        LEFT - 14.0,
        y + 16.0
    )?;
    let step = time_step(frame.until - frame.from);
    for tick in ticks(frame) {
        let x = frame.x(tick);
        let label = tick_label(tick, step);
        // At the edge the text would be cut off.
        let (x, anchor) = if x + width(&label) / 2.0 > WIDTH { (WIDTH, "end") } else { (x, "middle") };
        writeln!(out, "<path class=\"axis\" d=\"M{:.1} {y:.1}v4\"/>", frame.x(tick))?;
        writeln!(
            out,
            "<text class=\"axis\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{label}</text>",
            y + 16.0
        )?;
    }
    frame.y = y + 24.0;
    Ok(())
}

/// In minutes where every tick is one.
fn tick_label(tick: f64, step: f64) -> String {
    match tick {
        0.0 => "0".into(),
        _ if step % 60.0 == 0.0 => format!("{} min", tick / 60.0),
        _ => numbers::seconds(tick),
    }
}

/// Each window as a bar with its name; those that would overlap in lanes of their own.
pub fn windows(out: &mut String, frame: &mut Frame, story: &Story) -> std::fmt::Result {
    const LANE: f64 = 18.0;
    let mut windows = story.windows();
    if windows.is_empty() {
        return Ok(());
    }
    // Before, during and after share the first lane where they can; recovery is a part of after.
    windows.sort_by_key(|window| window.kind == WindowKind::Recovery);
    let mut lanes = Lanes::default();
    let words = (LEFT - 6.0, frame.y + 12.0);
    writeln!(
        out,
        "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">windows</text>",
        words.0, words.1
    )?;
    for window in &windows {
        let (x, end) = (frame.x(window.from), frame.x(window.until));
        let name = cut(&name(window), 48);
        let spot = lanes.place(x, end, &name);
        let y = frame.y + spot.lane as f64 * LANE;
        writeln!(
            out,
            "<g class=\"window {}\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.0}\" rx=\"2\"><title>{}: {} to {}</title></rect>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{}\">{}</text></g>",
            window.kind.word(),
            (end - x).max(1.5),
            LANE - 3.0,
            html(&name),
            numbers::moment(window.from),
            numbers::moment(window.until),
            spot.text,
            y + 11.5,
            spot.anchor,
            html(&name)
        )?;
    }
    frame.y += lanes.count() as f64 * LANE + 2.0;
    Ok(())
}

fn name(window: &Window) -> String {
    match &window.action {
        Some(action) => format!("{} {action}", window.kind.word()),
        None => window.kind.word().into(),
    }
}
