//! Where the labels of edges go: beside their edge, over no box, no other label and no level edge.

use super::Edge;

/// From one line of a label to the next.
pub const LINE: f64 = 13.0;
/// About how wide a letter is; a little more is better than an overlap.
const LETTER: f64 = 6.2;
/// Between an edge and its label.
const AIR: f64 = 3.0;

/// What is taken already.
pub struct Labels {
    taken: Vec<Area>,
    /// Level edges over it have their labels above them, those under it below: between them is room for others.
    middle: f64,
}

#[derive(Clone, Copy)]
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Area {
    fn meets(&self, other: &Area) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

impl Labels {
    /// A level edge would strike through a label of another one.
    pub fn beside<'a>(edges: impl Iterator<Item = &'a Edge>, middle: f64) -> Self {
        let level = edges.filter(|edge| edge.is_level());
        let area = |edge: &Edge| Area {
            left: edge.from.0,
            right: edge.to.0,
            top: edge.from.1 - edge.thick / 2.0,
            bottom: edge.from.1 + edge.thick / 2.0,
        };
        Self { taken: level.map(area).collect(), middle }
    }

    /// The first free place along the edge; where there is none, over its middle. The middle of the first line's base.
    pub fn place(&mut self, edge: &Edge, lines: &[String]) -> (f64, f64) {
        // Towards its end an edge has left those that began with it.
        let along = [0.7, 0.62, 0.54, 0.46, 0.38, 0.3];
        let over = if edge.is_level() { edge.to.1 <= self.middle } else { edge.to.1 < edge.from.1 };
        let spots = along.into_iter().flat_map(|along| [(along, over), (along, !over)]);
        let mut areas = spots.map(|(along, over)| area(edge, lines, along, over));
        let free = |area: &Area| {
            let between = !edge.forward || (area.left > edge.from.0 && area.right < edge.to.0);
            between && !self.taken.iter().any(|taken| taken.meets(area))
        };
        let area = areas.find(free).unwrap_or_else(|| area(edge, lines, 0.5, over));
        self.taken.push(area);
        ((area.left + area.right) / 2.0, area.top + LINE - 3.0)
    }
}

/// Over or under all of the edge that is as far to the side as the label is wide.
fn area(edge: &Edge, lines: &[String], along: f64, over: bool) -> Area {
    let letters = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let (half, tall) = (letters as f64 * LETTER / 2.0 + 2.0, lines.len() as f64 * LINE);
    let (x, _) = edge.at(along);
    let beside = (0..=40).map(|step| edge.at(f64::from(step) / 40.0)).filter(|at| (at.0 - x).abs() <= half);
    let (highest, lowest) =
        beside.fold((f64::MAX, f64::MIN), |(highest, lowest), (_, y)| (highest.min(y), lowest.max(y)));
    let off = edge.thick / 2.0 + AIR;
    let top = if over { highest - off - tall } else { lowest + off };
    Area { left: x - half, right: x + half, top, bottom: top + tall }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: (f64, f64), to: (f64, f64)) -> Edge {
        Edge { from, to, forward: true, thick: 4.0 }
    }

    #[test]
    fn no_label_covers_another_nor_a_level_edge() {
        let edges = [
            edge((0.0, 0.0), (200.0, 0.0)),
            edge((0.0, 150.0), (200.0, 150.0)),
            edge((0.0, 0.0), (200.0, 150.0)),
            edge((0.0, 150.0), (200.0, 0.0)),
        ];
        let lines = ["22.3/s".to_owned(), "58.1 % errors".to_owned()];
        let mut labels = Labels::beside(edges.iter(), 75.0);
        for edge in &edges {
            labels.place(edge, &lines);
        }
        assert_eq!(labels.taken.len(), 6);
        for (index, one) in labels.taken.iter().enumerate() {
            for other in &labels.taken[index + 1..] {
                assert!(!one.meets(other), "{}..{} and {}..{}", one.top, one.bottom, other.top, other.bottom);
            }
        }
    }
}
