//! `report.html`: one file that opens by double click, without network, in light and dark, on paper and by ear.
//!
//! A section a file, in the order in which they are read. The little script only adds; without it nothing is lost.

mod actions;
mod calls;
mod fine;
mod graph;
mod load;
mod markup;
mod objectives;
mod pods;
mod timeline;
mod verdict;

use std::fmt::Write;

use super::shape;
use super::story::Story;
use super::text::html;
use crate::verdict::Verdict;

/// In the order in which they are read: what it was held to, what happened, to whom, and why.
const SECTIONS: [(&str, &str); 7] = [
    ("objectives", "Objectives"),
    ("timeline", "Timeline"),
    ("actions", "Actions"),
    ("calls", "Calls"),
    ("load", "Load"),
    ("pods", "Pods"),
    ("fine", "Fine print"),
];

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// Nothing is loaded, and no script runs but ours: it is named by its digest.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; script-src 'sha256-";

pub fn render(story: &Story) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut page, story);
    page
}

fn write_page(out: &mut String, story: &Story) -> std::fmt::Result {
    let title = format!("{}: {}", story.started.scenario, story.verdict);
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}{}'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title><style>{STYLE}</style></head><body>",
        markup::sha256_base64(SCRIPT),
        html(&title)
    )?;
    verdict::write(out, story)?;
    write!(out, "<nav aria-label=\"Sections\">")?;
    for (id, name) in SECTIONS {
        write!(out, "<a href=\"#{id}\">{name}</a>")?;
    }
    writeln!(out, "</nav><main>")?;
    objectives::write(out, story)?;
    timeline::write(out, story)?;
    actions::write(out, story)?;
    calls::write(out, story)?;
    load::write(out, story)?;
    pods::write(out, story)?;
    fine::write(out, story)?;
    writeln!(out, "</main><script>{SCRIPT}</script></body></html>")
}

const fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "good",
        Verdict::Failed | Verdict::Error | Verdict::NotInjected => "bad",
        _ => "open",
    }
}

/// A verdict as shape and word, for a cell.
fn verdict_cell(verdict: Verdict) -> String {
    format!(
        "<span class=\"{}\"><span aria-hidden=\"true\">{}</span> {verdict}</span>",
        tone(verdict),
        shape(verdict)
    )
}
