//! A panel: some lines over one scale, with a title, ticks and a legend that does not need colour.

use std::fmt::Write;

use super::frame::{Frame, LEFT, RIGHT, WIDTH, width};
use super::scale::Scale;
use super::series::Point;
use super::strips;

const HEIGHT: f64 = 124.0;
const HEAD: f64 = 26.0;

/// Told apart by more than colour.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Line,
    /// A line with what is under it.
    Area,
    /// A bar for each second.
    Bars,
}

pub struct Line {
    pub shape: Shape,
    pub class: &'static str,
    pub label: &'static str,
    pub points: Vec<Point>,
}

pub struct Panel {
    pub title: &'static str,
    pub format: fn(f64) -> String,
    /// By order of magnitude where the values differ widely.
    pub fitting: bool,
    pub lines: Vec<Line>,
}

pub fn draw(out: &mut String, frame: &mut Frame, panel: &Panel) -> std::fmt::Result {
    let values = panel.lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
    let scale = if panel.fitting { Scale::fitting(values.clone()) } else { Scale::linear(values.clone()) };
    let top = frame.y + HEAD;
    let y = |value: f64| top + HEIGHT * (1.0 - scale.share(value));
    let title = if scale.is_log() { format!("{}, logarithmic", panel.title) } else { panel.title.into() };
    writeln!(out, "<g><text class=\"title\" x=\"{LEFT}\" y=\"{:.1}\">{title}</text>", top - 9.0)?;
    for tick in scale.ticks() {
        let label = if tick == 0.0 { "0".into() } else { (panel.format)(tick) };
        writeln!(
            out,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/>\
             <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(tick) + 4.0,
            y = y(tick),
        )?;
    }
    if values.clone().next().is_none() {
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        writeln!(
            out,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">no data</text>",
            top + HEIGHT / 2.0
        )?;
    }
    let mut legend = WIDTH - RIGHT;
    for line in panel.lines.iter().rev() {
        legend -= width(line.label);
        let (x, y) = (legend - 22.0, top - 13.0);
        let key = match line.shape {
            Shape::Bars => format!(
                "<path class=\"bars {}\" d=\"M{:.1} {:.1}h12v9h-12z\"/>",
                line.class,
                x + 4.0,
                y - 4.0
            ),
            _ => format!("<path class=\"line {}\" d=\"M{x:.1} {y:.1}h18\"/>", line.class),
        };
        writeln!(out, "<text x=\"{legend:.1}\" y=\"{:.1}\">{}</text>{key}", top - 9.0, line.label)?;
        legend -= 36.0;
    }
    let base = top + HEIGHT;
    for line in &panel.lines {
        let class = line.class;
        if line.shape == Shape::Bars {
            // One failure among thousands must be seen.
            let tall = |value: f64| (base - y(value)).max(2.0);
            writeln!(
                out,
                "<path class=\"bars {class}\" d=\"{}\"/>",
                strips::bars(&line.points, frame, base, &tall)
            )?;
            continue;
        }
        if line.shape == Shape::Area {
            writeln!(out, "<path class=\"area {class}\" d=\"{}\"/>", area(&line.points, frame, base, &y))?;
        }
        writeln!(out, "<path class=\"line {class}\" d=\"{}\"/>", path(&line.points, frame, &y))?;
    }
    writeln!(out, "</g>")?;
    frame.y = top + HEIGHT + 6.0;
    Ok(())
}

/// What is under each stretch without a gap.
fn area(points: &[Point], frame: &Frame, base: f64, y: &dyn Fn(f64) -> f64) -> String {
    let mut path = String::new();
    for stretch in points.split(|(_, value)| value.is_none()).filter(|stretch| stretch.len() > 1) {
        let known = || stretch.iter().filter_map(|(at, value)| value.map(|value| (frame.x(*at), y(value))));
        let (Some((first, _)), Some((last, _))) = (known().next(), known().last()) else { continue };
        path += &format!("M{first:.1} {base:.1}");
        known().for_each(|(x, y)| path += &format!("L{x:.1} {y:.1}"));
        path += &format!("L{last:.1} {base:.1}z");
    }
    path
}

/// A point between two gaps is drawn as a dot: a line of no length with round ends.
fn path(points: &[Point], frame: &Frame, y: &dyn Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for (index, (at, value)) in points.iter().enumerate() {
        let Some(value) = value else {
            drawing = false;
            continue;
        };
        path += &format!("{}{:.1} {:.1}", if drawing { "L" } else { "M" }, frame.x(*at), y(*value));
        let alone = !drawing && points.get(index + 1).is_none_or(|(_, next)| next.is_none());
        if alone {
            path.push_str("h0");
        }
        drawing = true;
    }
    path
}
