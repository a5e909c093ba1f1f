//! The timeline: the chart, and the same as a table, from which the script takes the values under the pointer.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::chart;
use super::super::chart::{MOST, unusual};
use super::super::numbers;
use super::super::story::{Story, Workload};
use super::super::text::{cut, html, line};
use super::markup;
use crate::event::LoadSecond;

/// So many of a kind in one cell of the table.
const FEW: usize = 4;

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    markup::section(out, "timeline", "Timeline")?;
    let Some(svg) = chart::timeline(story) else {
        return writeln!(out, "<p>There is no timeline: {}.</p></section>", why_none(story));
    };
    writeln!(
        out,
        "<figure><div class=\"wide\" id=\"charts\" role=\"region\" aria-label=\"Timeline\" tabindex=\"0\"><div class=\"chart\">{svg}\
         <div id=\"values\" role=\"status\" hidden></div></div></div>\
         <figcaption>Time is in seconds from the start of the load. Bands are actions, from asked to undone: a solid line where each was proved, \
         a dashed one where its undo was verified. A hatched span is one without data. \
         What sidecars counted, after the warm-up, is drawn evenly between two readings.{}</figcaption></figure>",
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
    let columns = [
        "#from",
        "#sent",
        "#ok",
        "#failed",
        "#p50",
        "#p95",
        "#p99",
        "other answers",
        "failed in the mesh",
        "pods not ready",
    ];
    markup::table(out, "Second by second, as all charts have it", &columns)?;
    let beside = Beside::of(story);
    for seconds in story.seconds.chunks(many.max(1)) {
        let Some(worst) = seconds.iter().max_by(|a, b| badness(a).total_cmp(&badness(b))) else { continue };
        row(out, story, worst, &beside)?;
    }
    markup::end_table(out)?;
    writeln!(out, "</details>")
}

/// Failures first, then latency.
fn badness(second: &LoadSecond) -> f64 {
    second.failed as f64 * 1e6 + second.p99.unwrap_or(0.0)
}

/// What other witnesses than the load say of a second.
struct Beside {
    failures: BTreeMap<i64, BTreeMap<String, u64>>,
    workloads: Vec<Workload>,
}

impl Beside {
    fn of(story: &Story) -> Self {
        let mut failures = BTreeMap::<i64, BTreeMap<String, u64>>::new();
        for failure in story.mesh.iter().flat_map(|mesh| &mesh.failures) {
            let kind = format!("{} {}", failure.status, failure.flag).trim_end_matches(" -").to_owned();
            for (second, count) in &failure.seconds {
                *failures.entry(*second).or_default().entry(kind.clone()).or_default() += count;
            }
        }
        Self { failures, workloads: story.workloads() }
    }

    fn failures(&self, second: i64) -> Vec<String> {
        let kinds = self.failures.get(&second).into_iter().flatten();
        kinds.map(|(kind, count)| format!("{}: {count}", html(kind))).collect()
    }

    /// At the end of the second, as far as there had once been more.
    fn missing(&self, second: i64) -> Vec<String> {
        let missing = self.workloads.iter().filter_map(|workload| {
            let ready = workload.at(second + 1_000)?;
            let name = || html(&cut(&line(&workload.name), 48));
            (ready < workload.most).then(|| format!("{}: {ready} of {} ready", name(), workload.most))
        });
        missing.collect()
    }
}

/// Closing tags of cells may be left out: with hundreds of rows they would be a third of the page.
fn row(out: &mut String, story: &Story, second: &LoadSecond, beside: &Beside) -> std::fmt::Result {
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
    for told in [others.collect(), beside.failures(second.second), beside.missing(second.second)] {
        write!(out, "<td>{}", few(told))?;
    }
    writeln!(out)
}

/// A cell holds a few; more would make its row a page.
fn few(mut told: Vec<String>) -> String {
    let rest = told.len().saturating_sub(FEW);
    told.truncate(FEW);
    if rest > 0 {
        told.push(format!("… and {rest} more"));
    }
    told.join(", ")
}
