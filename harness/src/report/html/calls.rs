//! Who called whom: the graph where it can be drawn, and always the table.

use std::fmt::Write;

use super::super::story::{Story, label};
use super::super::text::html;
use super::super::{flags, numbers};
use super::{graph, markup};
use crate::event::{Call, MeshFailure};

/// Rows of the table; the rest is told in words.
const MOST: usize = 80;
/// Kinds of failure that are told of one edge.
const KINDS: usize = 4;

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    markup::section(out, "calls", "Calls")?;
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
             <figcaption>Wider means more requests. Blue: no errors; amber: errors, with their share; red: more than one in ten. \
             A dashed red edge with a ✖ crosses versions and must not exist.</figcaption></figure>"
        )?;
    }
    let mut calls = story.calls.iter().collect::<Vec<_>>();
    calls.sort_by_key(|call| (!call.crossing, ends(call)));
    markup::table(
        out,
        "Calls between workloads over the whole run",
        &["from", "to", "#requests", "#errors", "#rate", "#p95", "what went wrong, by status and flag"],
    )?;
    for call in calls.iter().take(MOST) {
        row(out, story, call)?;
    }
    markup::end_table(out)?;
    markup::more(out, calls.len(), MOST, " edges")?;
    writeln!(out, "</section>")
}

pub fn ends(call: &Call) -> (String, String) {
    (label(&call.source, &call.source_version), label(&call.destination, &call.destination_version))
}

pub fn error_share(call: &Call) -> f64 {
    if call.requests > 0.0 { (call.errors / call.requests).clamp(0.0, 1.0) } else { 0.0 }
}

fn row(out: &mut String, story: &Story, call: &Call) -> std::fmt::Result {
    let (from, to) = ends(call);
    let errors = match call.errors {
        0.0 => "0".into(),
        errors => format!("{} ({})", numbers::grouped(errors), numbers::percent(error_share(call))),
    };
    let tone = match (call.crossing, call.errors > 0.0) {
        (true, _) => " class=\"bad\"",
        (false, true) => " class=\"open\"",
        (false, false) => "",
    };
    let crosses = call.crossing.then(|| "<strong class=\"bad\">✖ crosses versions</strong>".to_owned());
    let remarks = crosses.into_iter().chain(failures(story, call)).collect::<Vec<_>>();
    writeln!(
        out,
        "<tr{tone}><th scope=\"row\">{}</th><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{errors}</td>\
         <td class=\"number\">{}/s</td><td class=\"number\">{}</td><td>{}</td></tr>",
        html(&from),
        html(&to),
        numbers::grouped(call.requests),
        numbers::plain(call.rate),
        call.p95_ms.map_or("–".into(), numbers::millis),
        remarks.join("<br>")
    )
}

/// Every kind of failure on this edge, the most frequent first.
fn failures(story: &Story, call: &Call) -> Vec<String> {
    let all = story.mesh.iter().flat_map(|mesh| &mesh.failures);
    let here = all.filter(|kind| kind.source == call.source && kind.destination == call.destination);
    let total = |kind: &MeshFailure| kind.seconds.iter().map(|(_, count)| *count).sum::<u64>();
    let mut kinds = here.map(|kind| (total(kind), flags::told(&kind.status, &kind.flag))).collect::<Vec<_>>();
    kinds.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let rest = kinds.len().saturating_sub(KINDS);
    let shown = kinds.into_iter().take(KINDS);
    let mut told = shown
        .map(|(count, kind)| format!("{}: {}", html(&kind), numbers::grouped(count as f64)))
        .collect::<Vec<_>>();
    if rest > 0 {
        told.push(format!("… and {rest} more kinds"));
    }
    told
}
