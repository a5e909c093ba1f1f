//! The objectives: measured against promised, and what each rests on.

use std::fmt::Write;

use super::super::numbers;
use super::super::story::Story;
use super::super::text::{html, html_block};
use super::{markup, tone, verdict_cell};
use crate::event::{Judged, Relation, Unit};
use crate::verdict::Verdict;

/// The verdict stands beside the name: on a phone nothing else may be in sight.
const COLUMNS: [&str; 6] =
    ["objective", "verdict", "#measured", "against its bound", "window", "#samples behind it"];

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    markup::section(out, "objectives", "Objectives")?;
    if story.judged.is_empty() && story.started.objectives.is_empty() {
        writeln!(out, "<p>The scenario has none: only its actions could go wrong.</p>")?;
    } else {
        if story.judged.is_empty() {
            writeln!(out, "<p>None was judged: the run ended as “{}” before that.</p>", story.verdict)?;
        }
        open(out, "Objectives, measured against their bounds")?;
        for judged in &story.judged {
            row(out, judged)?;
        }
        for plan in story.unjudged() {
            let verdict =
                "<span class=\"open\"><span aria-hidden=\"true\">◇</span> not judged</span>".to_owned();
            let name = format!("<p class=\"name\">{}</p>", html(&plan.name));
            cells(
                out,
                "open",
                [name, verdict, "–".into(), html(&plan.bound), html(&plan.window), "–".into()],
            )?;
        }
        writeln!(out, "</tbody></table>")?;
    }
    if !story.steady.is_empty() {
        writeln!(out, "<h3>Steady state, before the first action</h3>")?;
        open(out, "Checks of the steady state")?;
        for judged in &story.steady {
            row(out, judged)?;
        }
        writeln!(out, "</tbody></table>")?;
    }
    second_opinion(out, story)?;
    writeln!(out, "</section>")
}

fn second_opinion(out: &mut String, story: &Story) -> std::fmt::Result {
    if story.second.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h3>The same, asked of Prometheus</h3>")?;
    let columns = ["objective", "#measured here", "#by Prometheus", "#difference"];
    markup::table(out, "Each objective as this run measured it and as Prometheus did", &columns)?;
    for opinion in &story.second {
        let [ours, theirs, difference] = numbers::opinions(opinion);
        let note = match opinion.note.as_str() {
            "" => String::new(),
            note => format!("<p class=\"note\">{}</p>", html(note)),
        };
        writeln!(
            out,
            "<tr><th scope=\"row\">{}{note}</th><td class=\"number\">{ours}</td><td class=\"number\">{theirs}</td>\
             <td class=\"number\">{difference}</td></tr>",
            html(&opinion.name)
        )?;
    }
    markup::end_table(out)?;
    writeln!(
        out,
        "<p class=\"note\">It reads at other moments, so answers differ a little; the verdict is by what was measured here.</p>"
    )
}

/// On a phone each row is a card, and says its columns by itself; roles keep it a table for whoever hears it.
fn open(out: &mut String, caption: &str) -> std::fmt::Result {
    write!(out, "<table class=\"cards\" role=\"table\"><caption>{caption}</caption>")?;
    write!(out, "<thead role=\"rowgroup\"><tr role=\"row\">")?;
    for column in COLUMNS {
        let class = if column.starts_with('#') { " class=\"number\"" } else { "" };
        write!(
            out,
            "<th scope=\"col\" role=\"columnheader\"{class}>{}</th>",
            column.trim_start_matches('#')
        )?;
    }
    writeln!(out, "</tr></thead><tbody role=\"rowgroup\">")
}

fn cells(out: &mut String, tone: &str, cells: [String; 6]) -> std::fmt::Result {
    write!(out, "<tr class=\"{tone}\" role=\"row\">")?;
    for (index, (column, cell)) in COLUMNS.iter().zip(cells).enumerate() {
        let name = column.trim_start_matches('#');
        let class = if column.starts_with('#') { " class=\"number\"" } else { "" };
        match index {
            0 => write!(out, "<th scope=\"row\" role=\"rowheader\">{cell}</th>")?,
            _ => write!(out, "<td role=\"cell\" data-name=\"{name}\"{class}>{cell}</td>")?,
        }
    }
    writeln!(out, "</tr>")
}

/// Why it did not hold stands open; how it was asked is folded.
fn row(out: &mut String, judged: &Judged) -> std::fmt::Result {
    let name = format!("<p class=\"name\">{}</p>", html(&judged.name));
    let reason = html(&judged.reason);
    let (shown, folded) = match judged.verdict {
        Verdict::Held => (String::new(), format!("<p>{reason}</p>")),
        _ => (format!("<p class=\"{}\">{reason}</p>", tone(judged.verdict)), String::new()),
    };
    let promql = match judged.promql.as_slice() {
        [] => String::new(),
        promql => format!("<pre>{}</pre>", html_block(&promql.join("\n"))),
    };
    let asked = match folded + &promql {
        asked if asked.is_empty() => asked,
        asked => format!("<details><summary>how it was measured</summary>{asked}</details>"),
    };
    let bound =
        format!("{} <span class=\"bound\">{}</span>{}", bar(judged), numbers::bound(judged), margin(judged));
    cells(
        out,
        tone(judged.verdict),
        [
            name + &shown + &asked,
            verdict_cell(judged.verdict),
            measured(judged),
            bound,
            html(&judged.window),
            numbers::grouped(judged.samples as f64),
        ],
    )
}

/// How far the measured value is from its bound, in words.
fn margin(judged: &Judged) -> String {
    match numbers::margin(judged) {
        Some(margin) => format!("<p class=\"note\">{margin}</p>"),
        None => String::new(),
    }
}

fn measured(judged: &Judged) -> String {
    match judged.value {
        Some(_) => numbers::measured(judged),
        None => "<strong class=\"nodata\">no data</strong>".into(),
    }
}

/// The measured value as a bar with the bound marked.
fn bar(judged: &Judged) -> String {
    let Some(value) = judged.value.filter(|value| value.is_finite()) else {
        return "<span class=\"bar none\"></span>".into();
    };
    // A share near 100 % is told apart from its bound only on a scale of what is missing.
    let upward = matches!(judged.relation, Relation::AtLeast | Relation::Above);
    let missing = judged.unit == Unit::Percent && upward && judged.bound > 0.5;
    let (value, bound) = if missing { (1.0 - value, 1.0 - judged.bound) } else { (value, judged.bound) };
    let most = (value.max(bound) * 1.25).max(f64::MIN_POSITIVE);
    let x = |value: f64| (value / most * 100.0).clamp(0.0, 100.0);
    let what =
        if missing { "<title>what is missing to 100 %; the mark is what may be missing</title>" } else { "" };
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 12\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{what}\
         <rect class=\"track\" width=\"100\" height=\"12\"/><rect class=\"value\" y=\"2\" width=\"{:.1}\" height=\"8\"/>\
         <path d=\"M{:.1} 0V12\"/></svg>",
        x(value),
        x(bound).clamp(1.0, 99.0)
    )
}
