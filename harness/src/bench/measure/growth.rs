//! From 6 pods to 120: how the start, the memory, the scraping and the change of a route grow, and where they begin to
//! grow faster than the pods.

use std::time::Duration;

use super::super::census::{Census, Role};
use super::super::figure::{Better, Part, Parts};
use super::super::statistics::quantile;
use super::super::{Bench, Error, Figure, bed};
use super::{change, scraping};
use crate::event::Unit;
use crate::report::numbers;

/// Of each of the six Deployments of the pinning world.
const REPLICAS: [u32; 5] = [1, 2, 5, 10, 20];
const DEPLOYMENTS: u32 = 6;
const SPAN: Duration = Duration::from_secs(3);
const SPANS: usize = 2;
const CHANGES: usize = 20;
/// Growth bends where a pod costs so much more than the cheapest before it,
const BEND: f64 = 1.5;
/// and where that makes such a difference to the whole.
const MATTERS: f64 = 0.25;

pub fn declared() -> [Figure; 4] {
    let figure = |name, unit, means| Figure::new(name, unit, Better::Lower, means);
    [
        figure(
            "growth-start",
            Unit::Seconds,
            "From 120 pods asked for to all of them ready; beside it fewer of them.",
        )
        .tolerance(0.25, 0.5),
        figure(
            "growth-memory",
            Unit::Bytes,
            "What apps, sidecars and supervisor of 120 pods take together (PSS); beside it fewer of them.",
        )
        .tolerance(0.1, 0.0),
        figure(
            "growth-scrape",
            Unit::Percent,
            "The share of one core that it takes to scrape 120 pods each second; beside it fewer of them.",
        )
        .tolerance(0.25, 0.02),
        figure(
            "growth-change",
            Unit::Seconds,
            "From a changed VirtualService to every one of 120 sidecars having it; beside it fewer of them.",
        )
        .tolerance(0.25, 0.005),
    ]
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    let mut sizes = Vec::new();
    for replicas in REPLICAS {
        let pods = replicas * DEPLOYMENTS;
        let world = bed::world(Some(replicas))?;
        let images = bed::build(bench, &world).await?;
        let size = bed::within(bench, &world, &images, false, async |up| {
            let supervisor = bed::supervisor(&up.backend).await?;
            let census = Census::below(supervisor, &[Role::App, Role::Sidecar, Role::Own]);
            let changes = change::changed(bench, &up.backend, bench.rounds(CHANGES)).await?;
            let scraped = scraping::scrape(bench, &up.backend, SPANS, SPAN).await?;
            Ok(Size {
                pods,
                start: up.took.as_secs_f64(),
                census,
                change: changes.known,
                scrape: scraped.shares,
            })
        });
        let size = size.await?;
        (bench.tell)(format!("growth: {pods} pods: up in {:.2} s", size.start));
        sizes.push(size);
    }
    Ok(figures(&sizes))
}

/// What was measured with so many pods.
struct Size {
    pods: u32,
    start: f64,
    census: Census,
    change: Vec<f64>,
    scrape: Vec<f64>,
}

fn figures(sizes: &[Size]) -> Vec<Figure> {
    let [start, memory, scrape, change] = declared();
    let mut times = Parts::default();
    for size in sizes {
        for (name, role) in [("apps", Role::App), ("sidecars", Role::Sidecar), ("supervisor", Role::Own)] {
            let name = format!("processor time of {name} until then, {} pods", size.pods);
            times.add(&name, Unit::Seconds, size.census.time(role));
        }
    }
    let of = |figure, what: &dyn Fn(&Size) -> Vec<f64>| {
        grown(figure, sizes.iter().map(|size| (size.pods, what(size))).collect())
    };
    vec![
        of(start, &|size| vec![size.start]).parts(times),
        of(memory, &|size| vec![size.census.all_memory()]),
        of(scrape, &|size| size.scrape.clone()),
        of(change, &|size| size.change.clone()),
    ]
}

/// A figure of the largest size, with all others beside it and how it came to that.
fn grown(figure: Figure, sizes: Vec<(u32, Vec<f64>)>) -> Figure {
    let (Some((_, largest)), unit) = (sizes.last().cloned(), figure.unit) else { return figure };
    let part = |(pods, samples): &(u32, Vec<f64>)| Part {
        name: format!("{pods} pods"),
        unit,
        samples: samples.clone(),
    };
    let points = sizes.iter().map(|(pods, samples)| (*pods, quantile(samples, 0.5)));
    let points: Vec<_> = points.filter_map(|(pods, median)| Some((pods, median?))).collect();
    let mut figure = figure.with(largest).note(growth(&points, unit));
    figure.parts.extend(sizes.iter().map(part));
    figure
}

/// What one more pod costs between two sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slope {
    from: u32,
    to: u32,
    each: f64,
    /// How much larger the whole became, as a share.
    rise: f64,
}

fn slopes(points: &[(u32, f64)]) -> Vec<Slope> {
    let slope = |pair: &[(u32, f64)]| {
        let ((from, low), (to, high)) = (pair[0], pair[1]);
        Slope { from, to, each: (high - low) / f64::from(to - from), rise: high / low - 1.0 }
    };
    points.windows(2).map(slope).collect()
}

/// The first size from which a pod costs much more than the cheapest pods before it.
fn bend(slopes: &[Slope]) -> Option<Slope> {
    let mut cheapest = f64::INFINITY;
    for slope in slopes {
        if slope.each > BEND * cheapest.max(0.0) && slope.rise > MATTERS {
            return Some(*slope);
        }
        cheapest = cheapest.min(slope.each);
    }
    None
}

fn growth(points: &[(u32, f64)], unit: Unit) -> String {
    let slopes = slopes(points);
    let each = |each: f64| numbers::value(each, unit);
    let told = slopes.iter().map(|slope| format!("{} from {} to {}", each(slope.each), slope.from, slope.to));
    let bends = match bend(&slopes) {
        Some(slope) => format!("it bends at {} pods", slope.from),
        None => "it does not bend".to_owned(),
    };
    format!("one more pod costs {}: {bends}", told.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_bends_where_a_pod_begins_to_cost_more() {
        let straight = [(6, 1.0), (12, 1.6), (30, 3.5), (60, 6.4)];
        assert_eq!(bend(&slopes(&straight)), None);
        let bent = [(6, 1.0), (12, 1.6), (30, 3.4), (60, 9.4)];
        assert_eq!(bend(&slopes(&bent)).map(|slope| (slope.from, slope.to)), Some((30, 60)));
        // What gets cheaper and then dearer again bends against its cheapest part.
        let first_dear = [(6, 1.0), (12, 2.2), (30, 4.0), (60, 9.4)];
        assert_eq!(bend(&slopes(&first_dear)).map(|slope| slope.from), Some(30));
        let flat = [(6, 0.010), (12, 0.009), (30, 0.011), (60, 0.0115)];
        assert_eq!(bend(&slopes(&flat)), None);
        assert_eq!(bend(&slopes(&[(6, 1.0)])), None);
    }

    #[test]
    fn the_growth_of_a_figure_in_words() {
        let [figure, ..] = declared();
        let figure = grown(figure, vec![(6, vec![0.7]), (12, vec![1.3]), (30, vec![6.7, 6.9, 6.6])]);
        assert_eq!(figure.samples, [6.7, 6.9, 6.6]);
        insta::assert_snapshot!(figure.notes.join("\n"), @"one more pod costs 100 ms from 6 to 12, 300 ms from 12 to 30: it bends at 12 pods");
        let parts: Vec<_> =
            figure.parts.iter().map(|part| (part.name.as_str(), part.samples.len())).collect();
        assert_eq!(parts, [("6 pods", 1), ("12 pods", 1), ("30 pods", 3)]);
    }
}
