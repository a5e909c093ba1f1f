//! Strips: one low row for each status or workload, its name written over it, so that nothing is told by colour.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::super::story::{Story, Workload};
use super::super::text::{count, cut, html, line};
use super::super::{flags, numbers};
use super::frame::{Frame, LEFT, RIGHT, WIDTH};
use super::series;
use crate::event::LoadSecond;

const HEIGHT: f64 = 18.0;
const HEAD: f64 = 18.0;
/// More rows than this are told in words.
const MOST: usize = 8;

/// Failed, yet with a status that usually means success: the journey's check refused it.
const REFUSED: &str = "2xx or 3xx, but not as the journey demands";

/// What did not go as usual, by status: everything but 2xx and 3xx, and what a check refused.
pub fn unusual(second: &LoadSecond) -> BTreeMap<&str, u64> {
    let usual = |status: &str| status.len() == 3 && (status.starts_with('2') || status.starts_with('3'));
    let mut kinds = BTreeMap::new();
    for (status, count) in second.by_status.iter().filter(|(status, count)| !usual(status) && *count > 0) {
        *kinds.entry(status.as_str()).or_default() += count;
    }
    let named = kinds.values().sum::<u64>();
    if second.failed > named {
        kinds.insert(REFUSED, second.failed - named);
    }
    kinds
}

/// A row of bars: how many of one kind there were in each second.
struct Kind {
    name: String,
    sum: u64,
    most: u64,
    points: Vec<series::Point>,
}

impl Kind {
    fn new(name: String, seconds: impl Iterator<Item = u64>, points: Vec<series::Point>) -> Self {
        let (sum, most) = seconds.fold((0, 0), |(sum, most), count| (sum + count, most.max(count)));
        Self { name, sum, most, points }
    }
}

pub fn answers(out: &mut String, frame: &mut Frame, story: &Story) -> std::fmt::Result {
    let statuses =
        story.seconds.iter().flat_map(|second| unusual(second).into_keys()).collect::<BTreeSet<_>>();
    let kind = |status: &str| {
        let of_second = |second: &LoadSecond| unusual(second).get(status).copied();
        let points = series::points(story, 1, |second| of_second(second).map(|count| count as f64));
        Kind::new(status.to_owned(), story.seconds.iter().filter_map(of_second), points)
    };
    let kinds = statuses.into_iter().map(kind).collect();
    rows(out, frame, "other answers than 2xx and 3xx, as the callers saw them", kinds, ("status", "statuses"))
}

/// What failed between the workloads, by status and flag; nothing where the mesh tells of no calls.
pub fn mesh(out: &mut String, frame: &mut Frame, story: &Story) -> std::fmt::Result {
    let Some(mesh) = story.mesh.as_ref().filter(|mesh| !mesh.seconds.is_empty()) else { return Ok(()) };
    let mut kinds = BTreeMap::<String, (BTreeMap<i64, u64>, Vec<String>)>::new();
    for failure in &mesh.failures {
        let (seconds, edges) = kinds.entry(flags::told(&failure.status, &failure.flag)).or_default();
        edges.push(format!("{} → {}", failure.source, failure.destination));
        failure.seconds.iter().for_each(|(second, count)| *seconds.entry(*second).or_default() += count);
    }
    let kind = |(kind, (seconds, edges)): (String, (BTreeMap<i64, u64>, Vec<String>))| {
        let rest = match edges.len() - 1 {
            0 => String::new(),
            more => format!(" and {} more", count(more, "edge", "edges")),
        };
        let points = seconds.iter().map(|(at, count)| (story.seconds_at(*at) + 0.5, Some(*count as f64)));
        let points = series::thinned(points.collect(), series::MOST);
        Kind::new(format!("{kind}, {}{rest}", edges[0]), seconds.into_values(), points)
    };
    let kinds = kinds.into_iter().map(kind).collect();
    rows(
        out,
        frame,
        "failed in the mesh, by status and flag at the callers' sidecars",
        kinds,
        ("kind", "kinds"),
    )
}

/// The most frequent first, all on one scale.
fn rows(
    out: &mut String,
    frame: &mut Frame,
    heading: &str,
    mut kinds: Vec<Kind>,
    (one, many): (&str, &str),
) -> std::fmt::Result {
    title(out, frame, heading)?;
    if kinds.is_empty() {
        return words(out, frame, "none");
    }
    kinds.sort_by(|a, b| b.sum.cmp(&a.sum).then_with(|| a.name.cmp(&b.name)));
    let scale = kinds.iter().map(|kind| kind.most).max().unwrap_or(1).max(1) as f64;
    for kind in kinds.iter().take(MOST) {
        let name = format!(
            "{}: {} in all, at most {}/s",
            cut(&line(&kind.name), 96),
            numbers::grouped(kind.sum as f64),
            numbers::grouped(kind.most as f64)
        );
        let base = head(out, frame, &name)?;
        let tall = |value: f64| (value / scale * HEIGHT).max(1.5);
        writeln!(out, "<path class=\"bars\" d=\"{}\"/></g>", bars(&kind.points, frame, base, &tall))?;
    }
    more(out, frame, kinds.len(), one, many)
}

/// A bar for each second that has one.
pub fn bars(points: &[series::Point], frame: &Frame, base: f64, tall: &dyn Fn(f64) -> f64) -> String {
    let mut path = String::new();
    for (at, value) in points.iter().filter_map(|(at, value)| value.map(|value| (*at, value))) {
        if value > 0.0 {
            let (x, end, tall) = (frame.x(at - 0.46), frame.x(at + 0.46), tall(value));
            path += &format!("M{x:.1} {base:.1}v-{tall:.1}h{:.1}v{tall:.1}z", (end - x).max(1.0));
        }
    }
    path
}

pub fn pods(out: &mut String, frame: &mut Frame, story: &Story) -> std::fmt::Result {
    title(out, frame, "pods ready, by workload")?;
    let workloads = story.workloads();
    if workloads.is_empty() {
        return words(out, frame, "no pod was told of");
    }
    let start = story.load_at.unwrap_or(story.started_at);
    let changed = |workload: &&Workload| workload.steps.iter().any(|(at, _)| *at > start);
    let (moved, still): (Vec<_>, Vec<_>) = workloads.iter().partition(changed);
    for workload in moved.iter().take(MOST) {
        let at_end = workload.steps.last().map_or(0, |(_, count)| *count);
        let name =
            format!("{}: {at_end} at the end, at most {}", cut(&line(&workload.name), 60), workload.most);
        let base = head(out, frame, &name)?;
        let top = workload.most.max(1) as f64;
        let y = |count: usize| base - count as f64 / top * HEIGHT;
        let mut count = workload.at(start).unwrap_or(0);
        let mut path = format!("M{:.1} {:.1}", frame.x(frame.from), y(count));
        for (at, next) in workload.steps.iter().filter(|(at, _)| *at > start) {
            path += &format!("H{:.1}V{:.1}", frame.x(story.seconds_at(*at)), y(*next));
            count = *next;
        }
        path += &format!("H{:.1}", frame.x(frame.until));
        let area = format!("{path}V{base:.1}H{:.1}z", frame.x(frame.from));
        writeln!(out, "<path class=\"area\" d=\"{area}\"/><path class=\"line ready\" d=\"{path}\"/></g>")?;
        debug_assert_eq!(count, at_end, "the last step is the end");
    }
    more(out, frame, moved.len(), "workload", "workloads")?;
    if still.is_empty() {
        return Ok(());
    }
    let ready =
        still.iter().map(|workload| workload.steps.last().map_or(0, |(_, count)| *count)).sum::<usize>();
    let others = if moved.is_empty() { "" } else { "other " };
    let text = format!(
        "unchanged under load: {} in {}",
        count(ready, "ready pod", "ready pods"),
        count(still.len(), &format!("{others}workload"), &format!("{others}workloads"))
    );
    words(out, frame, &text)
}

fn title(out: &mut String, frame: &mut Frame, title: &str) -> std::fmt::Result {
    frame.y += 22.0;
    writeln!(out, "<text class=\"title\" x=\"{LEFT}\" y=\"{:.1}\">{title}</text>", frame.y)?;
    frame.y += 4.0;
    Ok(())
}

/// Opens a row: its name, its base line; gives the base.
fn head(out: &mut String, frame: &mut Frame, name: &str) -> Result<f64, std::fmt::Error> {
    let base = frame.y + HEAD + HEIGHT;
    writeln!(
        out,
        "<g><text x=\"{LEFT}\" y=\"{:.1}\">{}</text><path class=\"grid\" d=\"M{LEFT} {base:.1}H{:.1}\"/>",
        frame.y + 12.0,
        html(name),
        WIDTH - RIGHT
    )?;
    frame.y = base + 5.0;
    Ok(base)
}

fn words(out: &mut String, frame: &mut Frame, text: &str) -> std::fmt::Result {
    writeln!(out, "<text x=\"{LEFT}\" y=\"{:.1}\">{}</text>", frame.y + 12.0, html(text))?;
    frame.y += 20.0;
    Ok(())
}

fn more(out: &mut String, frame: &mut Frame, rows: usize, one: &str, many: &str) -> std::fmt::Result {
    match rows.checked_sub(MOST) {
        None | Some(0) => Ok(()),
        Some(rest) => {
            words(out, frame, &format!("… and {} more: see the tables below", count(rest, one, many)))
        }
    }
}
