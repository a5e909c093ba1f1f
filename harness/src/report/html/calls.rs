//! Who called whom: the graph where it can be drawn, and always the table.

use std::fmt::Write;

use super::super::numbers;
use super::super::story::{Story, label};
use super::super::text::html;
use super::{graph, markup};
use crate::event::Call;

/// Rows of the table; the rest is told in words.
const MOST: usize = 80;

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    writeln!(out, "<section><h2>Calls</h2>")?;
    if story.calls.is_empty() {
        let why = match story.load_at {
            None => "no load was driven, so nobody called anybody",
            Some(_) => "no sidecar told of any call",
        };
        return writeln!(out, "<p>Nothing is known of calls between workloads: {why}.</p></section>");
    }
    let crossing = story.calls.iter().filter(|call| call.crossing && call.requests > 0.0);
    let (edges, requests) =
        crossing.fold((0_usize, 0.0), |(edges, sum), call| (edges + 1, sum + call.requests));
    if edges == 0 {
        writeln!(out, "<p>No call crossed versions.</p>")?;
    } else {
        writeln!(
            out,
            "<p class=\"bad alert\"><span aria-hidden=\"true\">✖</span> {} requests went over {edges} {} that must not exist.</p>",
            numbers::grouped(requests),
            if edges == 1 { "edge" } else { "edges" }
        )?;
    }
    if let Some(svg) = graph::draw(&story.calls) {
        writeln!(
            out,
            "<figure><div class=\"wide\" role=\"region\" aria-label=\"Call graph\" tabindex=\"0\"><div class=\"chart\">{svg}</div></div>\
             <figcaption>Wider means more requests; red with its share means errors; a dashed red edge with a ✖ must not exist.</figcaption></figure>"
        )?;
    }
    let mut calls = story.calls.iter().collect::<Vec<_>>();
    calls.sort_by_key(|call| (!call.crossing, ends(call)));
    markup::table(
        out,
        "Calls between workloads over the whole run",
        &["from", "to", "#requests", "#errors", "#rate", "#p95", "remark"],
    )?;
    for call in calls.iter().take(MOST) {
        row(out, call)?;
    }
    markup::end_table(out)?;
    if calls.len() > MOST {
        writeln!(out, "<p>… and {} more, in <code>events.jsonl</code>.</p>", calls.len() - MOST)?;
    }
    writeln!(out, "</section>")
}

pub fn ends(call: &Call) -> (String, String) {
    (label(&call.source, &call.source_version), label(&call.destination, &call.destination_version))
}

pub fn error_share(call: &Call) -> f64 {
    if call.requests > 0.0 { (call.errors / call.requests).clamp(0.0, 1.0) } else { 0.0 }
}

fn row(out: &mut String, call: &Call) -> std::fmt::Result {
    let (from, to) = ends(call);
    let errors = match call.errors {
        0.0 => "0".into(),
        errors => format!("{} ({})", numbers::grouped(errors), numbers::percent(error_share(call))),
    };
    let (tone, remark) = match (call.crossing, call.errors > 0.0) {
        (true, _) => (" class=\"bad\"", "<strong class=\"bad\">✖ crosses versions</strong>"),
        (false, true) => (" class=\"open\"", "errors"),
        (false, false) => ("", ""),
    };
    writeln!(
        out,
        "<tr{tone}><th scope=\"row\">{}</th><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{errors}</td>\
         <td class=\"number\">{}/s</td><td class=\"number\">{}</td><td>{remark}</td></tr>",
        html(&from),
        html(&to),
        numbers::grouped(call.requests),
        numbers::plain(call.rate),
        call.p95_ms.map_or("–".into(), numbers::millis)
    )
}
