//! The call graph as inline SVG: workloads in columns by depth, versions side by side.
//!
//! Depth is the longest way from a workload that nobody calls; an edge of a cycle does not deepen it.

mod labels;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::super::numbers;
use super::super::text::{cut, html, line};
use super::calls::{ends, error_share};
use crate::event::Call;
use labels::{LINE, Labels};

/// More than this cannot be read as a picture.
const MOST_NODES: usize = 40;
const BOX: (f64, f64) = (144.0, 34.0);
const COLUMN: f64 = 344.0;
const ROW: f64 = 104.0;
/// Where edges cross, their labels need room between the rows.
const ROW_CROSSED: f64 = 150.0;
/// As wide as the charts on a phone.
const MIN_WIDTH: f64 = 896.0;
/// Letters of a name that fit into a box.
const LETTERS: usize = 20;

struct Place {
    x: f64,
    y: f64,
}

/// From box to box: across where it goes on, below where it goes back.
struct Edge {
    from: (f64, f64),
    to: (f64, f64),
    forward: bool,
    thick: f64,
}

impl Edge {
    fn between(a: &Place, b: &Place, thick: f64) -> Self {
        let forward = b.x > a.x;
        let (from, to) = if forward {
            ((a.x + BOX.0, a.y), (b.x, b.y))
        } else {
            let below = |place: &Place| (place.x + BOX.0 / 2.0, place.y + BOX.1 / 2.0);
            (below(a), below(b))
        };
        Self { from, to, forward, thick }
    }

    /// The four points of its curve.
    fn points(&self) -> [(f64, f64); 4] {
        let ((x1, y1), (x2, y2)) = (self.from, self.to);
        if self.forward {
            let middle = (x1 + x2) / 2.0;
            [(x1, y1), (middle, y1), (middle, y2), (x2, y2)]
        } else {
            let low = y1.max(y2) + 44.0;
            [(x1, y1), (x1, low), (x2, low), (x2, y2)]
        }
    }

    fn path(&self) -> String {
        let [a, b, c, d] = self.points().map(|(x, y)| format!("{x:.1} {y:.1}"));
        format!("M{a}C{b} {c} {d}")
    }

    /// 0 at its beginning, 1 at its end.
    fn at(&self, along: f64) -> (f64, f64) {
        let (t, u) = (along, 1.0 - along);
        let weights = [u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t];
        let points = self.points();
        let sum = |part: fn(&(f64, f64)) -> f64| points.iter().zip(weights).map(|(p, w)| part(p) * w).sum();
        (sum(|point| point.0), sum(|point| point.1))
    }

    fn is_level(&self) -> bool {
        self.forward && (self.from.1 - self.to.1).abs() < 1.0
    }
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
    let row_height = if calls.iter().any(|call| call.crossing) { ROW_CROSSED } else { ROW };
    let height = rows as f64 * row_height + 16.0;
    let width = (columns.len().saturating_sub(1)) as f64 * COLUMN + BOX.0 + 4.0;
    let mut places = BTreeMap::new();
    for (column, nodes) in columns.values().enumerate() {
        let first = (height - nodes.len() as f64 * row_height) / 2.0 + row_height / 2.0;
        for (row, node) in nodes.iter().enumerate() {
            places.insert(
                node.as_str(),
                Place { x: 2.0 + column as f64 * COLUMN, y: first + row as f64 * row_height },
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
        "<svg class=\"graph\" style=\"max-width:{:.0}px\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-labelledby=\"graph-title\" aria-describedby=\"graph-desc\">\
         <title id=\"graph-title\">Call graph</title><desc id=\"graph-desc\">{} workloads and {} edges between them; the table below has them all.</desc>",
        // A small graph is not blown up to the width of the page.
        width.max(MIN_WIDTH),
        places.len(),
        calls.len()
    )?;
    let most = calls.iter().map(|call| call.requests).fold(1.0, f64::max);
    // What must not exist is drawn last, over everything else.
    let mut ordered = calls.iter().collect::<Vec<_>>();
    ordered.sort_by_key(|call| call.crossing);
    let mut edges = Vec::new();
    for call in ordered {
        let (from, to) = ends(call);
        let (Some(a), Some(b)) = (places.get(from.as_str()), places.get(to.as_str())) else { continue };
        edges.push((call, Edge::between(a, b, 1.5 + 5.0 * (call.requests / most).clamp(0.0, 1.0))));
    }
    let mut labels = Labels::beside(edges.iter().map(|(_, edge)| edge), height / 2.0);
    for (call, at) in &edges {
        edge(out, call, at)?;
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
    for (call, edge) in &edges {
        let lines = words(call);
        label(out, call, &lines, labels.place(edge, &lines))?;
    }
    writeln!(out, "</svg>")
}

fn edge(out: &mut String, call: &Call, edge: &Edge) -> std::fmt::Result {
    let share = error_share(call);
    let class = match call.crossing {
        true => "edge crossing",
        false if share > 0.1 => "edge failing",
        false if share > 0.0 => "edge errors",
        false => "edge",
    };
    let (from, to) = ends(call);
    writeln!(
        out,
        "<path class=\"{class}\" stroke-width=\"{:.1}\" d=\"{}\"><title>{} → {}: {} requests, {} errors</title></path>",
        edge.thick,
        edge.path(),
        html(&from),
        html(&to),
        numbers::grouped(call.requests),
        numbers::grouped(call.errors)
    )
}

fn label(out: &mut String, call: &Call, lines: &[String], (x, y): (f64, f64)) -> std::fmt::Result {
    let class = if call.crossing { "label crossing" } else { "label" };
    write!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">")?;
    for (index, line) in lines.iter().enumerate() {
        let down = if index == 0 { 0.0 } else { LINE };
        write!(out, "<tspan x=\"{x:.1}\" dy=\"{down}\">{line}</tspan>")?;
    }
    writeln!(out, "</text>")
}

/// Rate and latency; beneath them what failed.
fn words(call: &Call) -> Vec<String> {
    let rate = format!("{}/s", numbers::plain(call.rate));
    let first = match call.p95_ms.filter(|_| !call.crossing) {
        Some(p95) => format!("{rate} · {}", numbers::millis(p95)),
        None if call.crossing => format!("✖ {rate}"),
        None => rate,
    };
    let share = error_share(call);
    let errors = (share > 0.0).then(|| format!("{} errors", numbers::percent(share)));
    [Some(first), errors].into_iter().flatten().collect()
}
