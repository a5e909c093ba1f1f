//! The call graph as inline SVG: workloads in columns by depth, versions side by side.
//!
//! Depth is the longest way from a workload that nobody calls; an edge of a cycle does not deepen it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::super::numbers;
use super::super::text::{cut, html, line};
use super::calls::{ends, error_share};
use crate::event::Call;

/// More than this cannot be read as a picture.
const MOST_NODES: usize = 40;
const BOX: (f64, f64) = (144.0, 34.0);
const COLUMN: f64 = 344.0;
const ROW: f64 = 92.0;
/// Letters of a name that fit into a box.
const LETTERS: usize = 20;

struct Place {
    x: f64,
    y: f64,
}

pub fn draw(calls: &[Call]) -> Option<String> {
    let nodes = calls.iter().flat_map(|call| [ends(call).0, ends(call).1]).collect::<BTreeSet<_>>();
    if nodes.len() > MOST_NODES {
        return None;
    }
    let depths = depths(&nodes, calls);
    let mut columns = BTreeMap::<usize, Vec<&String>>::new();
    for (node, depth) in &depths {
        columns.entry(*depth).or_default().push(node);
    }
    let rows = columns.values().map(Vec::len).max()?;
    let height = rows as f64 * ROW + 16.0;
    let width = (columns.len().saturating_sub(1)) as f64 * COLUMN + BOX.0 + 4.0;
    let mut places = BTreeMap::new();
    for (column, nodes) in columns.values().enumerate() {
        let first = (height - nodes.len() as f64 * ROW) / 2.0 + ROW / 2.0;
        for (row, node) in nodes.iter().enumerate() {
            places.insert(
                node.as_str(),
                Place { x: 2.0 + column as f64 * COLUMN, y: first + row as f64 * ROW },
            );
        }
    }
    let mut svg = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut svg, calls, &places, width, height);
    Some(svg)
}

fn depths<'a>(nodes: &'a BTreeSet<String>, calls: &[Call]) -> BTreeMap<&'a String, usize> {
    let mut depths = nodes.iter().map(|node| (node, 0_usize)).collect::<BTreeMap<_, _>>();
    // As many rounds as there are nodes are enough without a cycle; with one, they end it.
    for _ in 0..nodes.len() {
        let mut moved = false;
        for call in calls {
            let (from, to) = ends(call);
            let depth = depths[&from] + 1;
            if from != to && depth > depths[&to] && depth < nodes.len() {
                depths.insert(nodes.get(&to).unwrap_or_else(|| unreachable!("every end is a node")), depth);
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    depths
}

fn write(
    out: &mut String,
    calls: &[Call],
    places: &BTreeMap<&str, Place>,
    width: f64,
    height: f64,
) -> std::fmt::Result {
    writeln!(
        out,
        "<svg class=\"graph\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-labelledby=\"graph-title graph-desc\">\
         <title id=\"graph-title\">Call graph</title><desc id=\"graph-desc\">{} workloads and {} edges between them; the table below has them all.</desc>",
        places.len(),
        calls.len()
    )?;
    let most = calls.iter().map(|call| call.requests).fold(1.0, f64::max);
    // What must not exist is drawn last, over everything else.
    let mut ordered = calls.iter().collect::<Vec<_>>();
    ordered.sort_by_key(|call| call.crossing);
    let (mut labels, mut free) = (String::new(), Free::default());
    for call in ordered {
        let (from, to) = ends(call);
        let (Some(a), Some(b)) = (places.get(from.as_str()), places.get(to.as_str())) else { continue };
        edge(out, &mut labels, &mut free, call, (a, b), 1.5 + 5.0 * (call.requests / most).clamp(0.0, 1.0))?;
    }
    for (node, place) in places {
        let clean = line(node);
        writeln!(
            out,
            "<g class=\"node\"><title>{}</title><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{}\" height=\"{}\" rx=\"5\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></g>",
            html(node),
            place.x,
            place.y - BOX.1 / 2.0,
            BOX.0,
            BOX.1,
            place.x + BOX.0 / 2.0,
            place.y + 4.0,
            html(&cut(&clean, LETTERS))
        )?;
    }
    out.push_str(&labels);
    writeln!(out, "</svg>")
}

fn edge(
    out: &mut String,
    labels: &mut String,
    free: &mut Free,
    call: &Call,
    (a, b): (&Place, &Place),
    width: f64,
) -> std::fmt::Result {
    let forward = b.x > a.x;
    let (x1, x2) = if forward { (a.x + BOX.0, b.x) } else { (a.x + BOX.0 / 2.0, b.x + BOX.0 / 2.0) };
    let (y1, y2) = if forward { (a.y, b.y) } else { (a.y + BOX.1 / 2.0, b.y + BOX.1 / 2.0) };
    let path = if forward {
        let bend = (x2 - x1) / 2.0;
        format!("M{x1:.1} {y1:.1}C{:.1} {y1:.1} {:.1} {y2:.1} {x2:.1} {y2:.1}", x1 + bend, x2 - bend)
    } else {
        let low = y1.max(y2) + 44.0;
        format!("M{x1:.1} {y1:.1}C{x1:.1} {low:.1} {x2:.1} {low:.1} {x2:.1} {y2:.1}")
    };
    let share = error_share(call);
    let class = match (call.crossing, share > 0.0) {
        (true, _) => "edge crossing",
        (false, true) => "edge errors",
        (false, false) => "edge",
    };
    let (from, to) = ends(call);
    writeln!(
        out,
        "<path class=\"{class}\" stroke-width=\"{width:.1}\" d=\"{path}\"><title>{} → {}: {} requests, {} errors</title></path>",
        html(&from),
        html(&to),
        numbers::grouped(call.requests),
        numbers::grouped(call.errors)
    )?;
    let label = label(call, share);
    let at = free.spot(&label, width, |along| on_curve(along, (x1, y1), (x2, y2), forward));
    writeln!(
        labels,
        "<text class=\"label{}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
        if call.crossing { " crossing" } else { "" },
        at.0,
        at.1
    )
}

fn label(call: &Call, share: f64) -> String {
    let mut parts = vec![format!("{}/s", numbers::plain(call.rate))];
    if let Some(p95) = call.p95_ms.filter(|_| !call.crossing) {
        parts.push(numbers::millis(p95));
    }
    if share > 0.0 {
        parts.push(format!("{} errors", numbers::percent(share)));
    }
    format!("{}{}", if call.crossing { "✖ " } else { "" }, parts.join(" · "))
}

/// Remembers where labels are, so that the next finds a place of its own.
#[derive(Default)]
struct Free {
    taken: Vec<(f64, f64, f64)>,
}

impl Free {
    /// The first place along the edge that no other label covers; the middle where there is none.
    fn spot(&mut self, label: &str, thick: f64, on: impl Fn(f64) -> (f64, f64)) -> (f64, f64) {
        let half = label.chars().count() as f64 * 3.4 + 4.0;
        let place = |along: f64| {
            let (x, y) = on(along);
            (x, y - thick / 2.0 - 4.0)
        };
        let covered = |(x, y): (f64, f64)| {
            self.taken.iter().any(|(tx, ty, th)| (x - tx).abs() < half + th && (y - ty).abs() < 13.0)
        };
        let tried = [0.5, 0.36, 0.64, 0.42, 0.58, 0.3, 0.7, 0.22, 0.78].map(place);
        let (x, y) = tried.into_iter().find(|at| !covered(*at)).unwrap_or(tried[0]);
        self.taken.push((x, y, half));
        (x, y)
    }
}

fn on_curve(t: f64, (x1, y1): (f64, f64), (x2, y2): (f64, f64), forward: bool) -> (f64, f64) {
    let cubic = |a: f64, b: f64, c: f64, d: f64| {
        let u = 1.0 - t;
        u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d
    };
    if forward {
        let bend = (x2 - x1) / 2.0;
        (cubic(x1, x1 + bend, x2 - bend, x2), cubic(y1, y1, y2, y2))
    } else {
        let low = y1.max(y2) + 44.0;
        (cubic(x1, x1, x2, x2), cubic(y1, low, low, y2))
    }
}
