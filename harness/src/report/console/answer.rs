//! The answer: verdict, sentence, objectives, where the report is.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use owo_colors::OwoColorize;

use super::super::story::Story;
use super::super::{numbers, sentence, shape, text};
use super::{Look, style};
use crate::event::{Judged, SecondOpinion};
use crate::verdict::Verdict;

pub fn answer(story: &Story, folder: &str, look: Look) -> String {
    let word = format!("{} {}", shape(story.verdict), story.verdict.word().to_uppercase());
    let word = if look.colour { word.style(style(story.verdict)).to_string() } else { word };
    let mut out =
        format!("\n{word}  {}\n{}\n", text::line(&story.started.scenario), sentence::compose(story));
    for cause in story.further_causes() {
        out += &format!("  - {}\n", text::line(&cause));
    }
    let unsteady = story.steady.iter().filter(|judged| judged.verdict != Verdict::Held);
    let judged = unsteady.chain(&story.judged).collect::<Vec<_>>();
    if !judged.is_empty() {
        out += &format!("\n{}\n", objectives(&judged, look));
    }
    let mut reasons = judged.iter().filter(|judged| judged.verdict != Verdict::Held).peekable();
    if reasons.peek().is_some() {
        out.push('\n');
    }
    for judged in reasons {
        out += &format!(
            "{} {}: {}\n",
            shape(judged.verdict),
            text::line(&judged.name),
            text::line(&judged.reason)
        );
    }
    if !story.second.is_empty() {
        out += &format!("\n{}\n", second_opinion(&story.second, look));
    }
    let unjudged = story.unjudged().count();
    if unjudged > 0 {
        out += &format!("\n{} not judged\n", text::count(unjudged, "objective was", "objectives were"));
    }
    for warning in &story.warnings {
        out += &format!("warning: {}\n", text::line(warning));
    }
    out + &format!("\nreport  {folder}/report.html\nagain   {}\n", text::line(&story.started.again))
}

/// What Prometheus says to the same objectives.
fn second_opinion(opinions: &[SecondOpinion], look: Look) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(look.width)
        .set_header(["asked of Prometheus", "here", "there", "difference"]);
    for opinion in opinions {
        let [ours, theirs, difference] = numbers::opinions(opinion);
        let note = if opinion.note.is_empty() { String::new() } else { format!(" ({})", opinion.note) };
        table.add_row([text::line(&format!("{}{note}", opinion.name)), ours, theirs, difference]);
    }
    for column in [1, 2, 3] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn objectives(judged: &[&Judged], look: Look) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(look.width)
        .set_header(["verdict", "objective", "window", "measured", "bound", "samples"]);
    let verdicts = judged.iter().map(|j| format!("{} {}", shape(j.verdict), j.verdict)).collect::<Vec<_>>();
    for (judged, verdict) in judged.iter().zip(&verdicts) {
        table.add_row([
            verdict.clone(),
            text::line(&judged.name),
            text::line(&judged.window),
            numbers::measured(judged),
            numbers::bound(judged),
            numbers::grouped(judged.samples as f64),
        ]);
    }
    for column in [3, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut rows = judged.iter().zip(&verdicts).peekable();
    let mut out = Vec::new();
    for line in table.lines() {
        let line = line.trim_end().to_owned();
        // Only the first line of a row begins with its verdict; colour comes last, so that it moves no column.
        let coloured = rows.peek().filter(|_| look.colour).and_then(|(judged, verdict)| {
            let at = line.find(verdict.as_str()).filter(|at| line[..*at].trim().is_empty())?;
            let (before, rest) = line.split_at(at);
            let after = &rest[verdict.len()..];
            Some(format!("{before}{}{after}", verdict.style(style(judged.verdict))))
        });
        if coloured.is_some() {
            rows.next();
        }
        out.push(coloured.unwrap_or(line));
    }
    out.join("\n")
}
