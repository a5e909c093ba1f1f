//! The seconds of the load as lines: gaps stay gaps, and a long run is thinned without losing a spike.

use super::super::numbers;
use super::super::story::Story;
use super::panel::{Line, Panel, Shape};
use crate::event::LoadSecond;

/// More points than this are thinned: they would not be told apart, only make the page heavy.
pub const MOST: usize = 700;

pub type Point = (f64, Option<f64>);

pub fn requests(story: &Story) -> Panel {
    let line = |shape, class, value: fn(&LoadSecond) -> u64| {
        let points = points(story, 950, |second| Some(value(second) as f64));
        Line { shape, class, label: class, points }
    };
    Panel {
        title: "requests each second",
        format: numbers::plain,
        fitting: false,
        lines: vec![
            line(Shape::Bars, "failed", |second| second.failed),
            line(Shape::Line, "sent", |second| second.sent),
            line(Shape::Area, "ok", |second| second.ok),
        ],
    }
}

pub fn latency(story: &Story) -> Panel {
    let line = |class, value: fn(&LoadSecond) -> Option<f64>| {
        let points = points(story, 500, value);
        Line { shape: Shape::Line, class, label: class, points }
    };
    Panel {
        title: "latency",
        format: numbers::millis,
        fitting: true,
        lines: vec![
            line("p99", |second| second.p99),
            line("p95", |second| second.p95),
            line("p50", |second| second.p50),
        ],
    }
}

/// One point in the middle of each second, `None` where a second is missing. The load need not end with a second: the last
/// one counts where so many milliseconds of it were under load, else a rate would seem to fall.
pub fn points(story: &Story, least_ms: i64, value: impl Fn(&LoadSecond) -> Option<f64>) -> Vec<Point> {
    let mut points = Vec::with_capacity(story.seconds.len());
    let mut last = None;
    for second in story.seconds.iter().filter(|second| story.under_load(second) >= least_ms) {
        if last.is_some_and(|last| missing(last, second.second)) {
            points.push((story.seconds_at(second.second), None));
        }
        last = Some(second.second);
        points.push((story.seconds_at(second.second) + 0.5, value(second).filter(|value| value.is_finite())));
    }
    thinned(points, MOST)
}

/// Seconds start a second apart, give or take what a busy machine adds.
fn missing(last: i64, next: i64) -> bool {
    next - last > 1_500
}

/// Spans of which nothing is known.
pub fn gaps(story: &Story) -> Vec<(f64, f64)> {
    let pairs = story.seconds.iter().zip(story.seconds.iter().skip(1));
    let gaps = pairs.filter(|(last, next)| missing(last.second, next.second));
    gaps.map(|(last, next)| (story.seconds_at(last.second) + 1.0, story.seconds_at(next.second))).collect()
}

/// Of each bucket the lowest and the highest point, in the order of time, and a gap where it holds one.
pub fn thinned(points: Vec<Point>, most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points;
    }
    let size = points.len().div_ceil(most / 2);
    let mut thin = Vec::with_capacity(most + 2);
    for bucket in points.chunks(size) {
        let known = || bucket.iter().filter_map(|(at, value)| value.map(|value| (*at, value)));
        let low = known().min_by(|a, b| a.1.total_cmp(&b.1));
        let high = known().max_by(|a, b| a.1.total_cmp(&b.1));
        if let (Some(low), Some(high)) = (low, high) {
            let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
            thin.push((first.0, Some(first.1)));
            if first != second {
                thin.push((second.0, Some(second.1)));
            }
        }
        if let Some(gap) = bucket.iter().find(|(_, value)| value.is_none()) {
            thin.push(*gap);
        }
    }
    thin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_spikes_dips_and_gaps() {
        let mut points = (0..5_000).map(|second| (f64::from(second), Some(10.0))).collect::<Vec<_>>();
        points[1_234].1 = Some(99.0);
        points[4_321].1 = Some(0.5);
        points[3_000].1 = None;
        let thin = thinned(points, MOST);
        assert!(thin.len() <= MOST + 2, "{}", thin.len());
        assert!(thin.contains(&(1_234.0, Some(99.0))));
        assert!(thin.contains(&(4_321.0, Some(0.5))));
        assert!(thin.contains(&(3_000.0, None)));
        assert!(thin.windows(2).all(|pair| pair[0].0 <= pair[1].0 || pair[1].1.is_none()));
    }

    #[test]
    fn a_short_run_is_not_thinned() {
        let points = vec![(0.5, Some(1.0)), (1.5, None)];
        assert_eq!(thinned(points.clone(), MOST), points);
    }
}
