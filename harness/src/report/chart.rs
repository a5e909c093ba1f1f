//! The timeline as inline SVG: panels that share one time axis, actions as bands with their proofs as ticks.
//!
//! Drawn here, so that it needs no script and no network. A second without data is a gap, never a zero.

use std::fmt::Write;

use super::numbers;
use super::story::Story;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 26.0;
const PANEL: f64 = 96.0;
const GAP: f64 = 30.0;

/// One line or area of a panel; `None` is a gap.
struct Line {
    class: &'static str,
    label: &'static str,
    points: Vec<(f64, Option<f64>)>,
}

struct Panel {
    title: &'static str,
    format: fn(f64) -> String,
    lines: Vec<Line>,
}

/// The whole chart, or nothing where there was no load.
pub fn timeline(story: &Story) -> Option<String> {
    let seconds =
        story.seconds.iter().map(|second| story.seconds_at(second.second + 500)).collect::<Vec<_>>();
    let end = seconds.last()? + 0.5;
    let at = |value: &dyn Fn(usize) -> Option<f64>| {
        seconds.iter().enumerate().map(|(index, x)| (*x, value(index))).collect::<Vec<_>>()
    };
    let of = &story.seconds;
    let panels = [
        Panel {
            title: "requests each second",
            format: numbers::plain,
            lines: vec![
                Line { class: "ok", label: "ok", points: at(&|i| Some(of[i].ok as f64)) },
                Line { class: "bad", label: "failed", points: at(&|i| Some(of[i].failed as f64)) },
            ],
        },
        Panel {
            title: "latency",
            format: numbers::millis,
            lines: vec![
                Line { class: "p99", label: "p99", points: at(&|i| of[i].p99) },
                Line { class: "p95", label: "p95", points: at(&|i| of[i].p95) },
                Line { class: "p50", label: "p50", points: at(&|i| of[i].p50) },
            ],
        },
        Panel { title: "pods ready", format: numbers::plain, lines: vec![pods(story, end)] },
    ];
    let height = TOP + panels.len() as f64 * (PANEL + GAP) + 8.0;
    let mut svg = String::new();
    let _ = draw(&mut svg, story, &panels, end, height);
    Some(svg)
}

fn pods(story: &Story, end: f64) -> Line {
    let mut ready = std::collections::BTreeSet::new();
    let mut points = Vec::new();
    for (at, pod) in &story.pods {
        let before = ready.len() as f64;
        if pod.ready && !pod.gone {
            ready.insert(pod.name.as_str());
        } else {
            ready.remove(pod.name.as_str());
        }
        let x = story.seconds_at(*at).max(0.0);
        points.push((x, Some(before)));
        points.push((x, Some(ready.len() as f64)));
    }
    points.push((end, Some(ready.len() as f64)));
    Line { class: "ok", label: "ready", points }
}

fn draw(out: &mut String, story: &Story, panels: &[Panel], end: f64, height: f64) -> std::fmt::Result {
    let x = |seconds: f64| LEFT + (seconds.clamp(0.0, end) / end) * (WIDTH - LEFT - RIGHT);
    writeln!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-labelledby=\"timeline-title\">\
         <title id=\"timeline-title\">Requests, latency and pods over {}, with the actions as bands</title>",
        numbers::seconds(end)
    )?;
    let bottom = height - GAP;
    for (index, action) in story.actions.iter().enumerate() {
        let Some(asked) = action.asked() else { continue };
        let from = x(story.seconds_at(asked));
        let until = action.undone().or(action.undo_asked()).map_or(end, |at| story.seconds_at(at));
        let width = (x(until) - from).max(2.0);
        let name = escape(&action.plan.name);
        writeln!(
            out,
            "<g class=\"action\"><rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\">\
             <title>{}</title></rect><text x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            bottom - TOP,
            escape(&action.plan.what),
            from + 3.0,
            TOP - 6.0 - 11.0 * f64::from(u8::from(index % 2 == 1)),
        )?;
        for (at, class) in [(action.proved(), "proved"), (action.undone(), "undone")] {
            let Some(at) = at else { continue };
            let tick = x(story.seconds_at(at));
            writeln!(
                out,
                "<path class=\"{class}\" d=\"M{tick:.1} {TOP}V{bottom:.1}\"><title>{class} at {}</title></path>",
                numbers::seconds(story.seconds_at(at))
            )?;
        }
        writeln!(out, "</g>")?;
    }
    for (index, panel) in panels.iter().enumerate() {
        let top = TOP + index as f64 * (PANEL + GAP) + 14.0;
        draw_panel(out, panel, top, &x)?;
    }
    let step = nice_step(end);
    let mut tick = 0.0;
    while tick <= end + 1e-9 {
        writeln!(
            out,
            "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(tick),
            height - 8.0,
            numbers::seconds(tick).replace("0 µs", "0")
        )?;
        tick += step;
    }
    writeln!(out, "</svg>")
}

fn draw_panel(out: &mut String, panel: &Panel, top: f64, x: &dyn Fn(f64) -> f64) -> std::fmt::Result {
    let values = panel.lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
    let most = values.fold(0.0_f64, f64::max);
    let most = if most > 0.0 { most * 1.05 } else { 1.0 };
    let height = PANEL - 14.0;
    let y = |value: f64| top + height - value / most * height;
    writeln!(out, "<text class=\"title\" x=\"{LEFT}\" y=\"{:.1}\">{}</text>", top - 3.0, panel.title)?;
    for share in [0.0, 0.5, 1.0] {
        let value = most / 1.05 * share;
        writeln!(
            out,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/>\
             <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(value) + 4.0,
            if share == 0.0 { "0".into() } else { (panel.format)(value) },
            y = y(value),
        )?;
    }
    let mut legend = WIDTH - RIGHT;
    for line in panel.lines.iter().rev() {
        let mut path = String::new();
        let mut drawing = false;
        for (at, value) in &line.points {
            match value {
                Some(value) => {
                    write!(path, "{}{:.1} {:.1}", if drawing { "L" } else { "M" }, x(*at), y(*value))?;
                    drawing = true;
                }
                None => drawing = false,
            }
        }
        writeln!(out, "<path class=\"line {}\" d=\"{path}\"/>", line.class)?;
        writeln!(
            out,
            "<text class=\"legend {}\" x=\"{legend:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            line.class,
            top - 3.0,
            line.label
        )?;
        legend -= 10.0 + 7.0 * line.label.len() as f64;
    }
    Ok(())
}

/// At most a dozen ticks, at round seconds.
fn nice_step(end: f64) -> f64 {
    [0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0]
        .into_iter()
        .find(|step| end / step <= 12.0)
        .unwrap_or(7200.0)
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
