//! The timeline: the chart, and the same as a table, from which the script takes the values under the pointer.

use std::fmt::Write;

use super::super::chart;
use super::super::chart::{MOST, unusual};
use super::super::numbers;
use super::super::story::Story;
use super::super::text::{cut, html, line};
use super::markup;
use crate::event::LoadSecond;

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    writeln!(out, "<section><h2>Timeline</h2>")?;
    let Some(svg) = chart::timeline(story) else {
        return writeln!(out, "<p>There is no timeline: {}.</p></section>", why_none(story));
    };
    writeln!(
        out,
        "<figure><div class=\"wide\" role=\"region\" aria-label=\"Timeline\" tabindex=\"0\"><div class=\"chart\">{svg}</div></div>\
         <p id=\"values\" class=\"values\" hidden></p>\
         <figcaption>Time is in seconds from the start of the load. Bands are actions, from asked to undone: a solid line where each was proved, \
         a dashed one where its undo was verified. A hatched span is one without data.{}</figcaption></figure>",
        if story.seconds.len() > MOST {
            " The lines are thinned: of many seconds the lowest and the highest value are drawn."
        } else {
            ""
        }
    )?;
    write_table(out, story)?;
    writeln!(out, "</section>")
}

fn why_none(story: &Story) -> &'static str {
    match story.load_at {
        None => "no load was driven",
        Some(_) => "the load ended before its first second was counted",
    }
}

fn write_table(out: &mut String, story: &Story) -> std::fmt::Result {
    let many = story.seconds.len().div_ceil(MOST);
    let summary = if many > 1 { format!(", the worst of every {many} seconds") } else { String::new() };
    writeln!(out, "<details class=\"seconds\"><summary>The same as a table{summary}</summary>")?;
    let columns = ["#from", "#sent", "#ok", "#failed", "#p50", "#p95", "#p99", "other answers"];
    markup::table(out, "What the load saw, second by second", &columns)?;
    for seconds in story.seconds.chunks(many.max(1)) {
        let Some(worst) = seconds.iter().max_by(|a, b| badness(a).total_cmp(&badness(b))) else { continue };
        row(out, story, worst)?;
    }
    markup::end_table(out)?;
    writeln!(out, "</details>")
}

/// Failures first, then latency.
fn badness(second: &LoadSecond) -> f64 {
    second.failed as f64 * 1e6 + second.p99.unwrap_or(0.0)
}

/// Closing tags of cells may be left out: with hundreds of rows they would be a third of the page.
fn row(out: &mut String, story: &Story, second: &LoadSecond) -> std::fmt::Result {
    write!(out, "<tr><th scope=row>{}", numbers::moment(story.seconds_at(second.second)))?;
    for count in [second.sent, second.ok, second.failed] {
        write!(out, "<td>{}", numbers::grouped(count as f64))?;
    }
    for quantile in [second.p50, second.p95, second.p99] {
        write!(out, "<td>{}", quantile.map_or("–".into(), numbers::millis))?;
    }
    let others = unusual(second)
        .into_iter()
        .map(|(status, count)| format!("{}: {count}", html(&cut(&line(status), 48))));
    writeln!(out, "<td>{}", others.collect::<Vec<_>>().join(", "))
}
