//! How the scraping itself went under load: what was asked for is one thing, what a busy machine kept another.

use meshquake_promql::{Store, is_stale};

use crate::event::Scraped;
use crate::judge::{Marks, scrape};

/// Nothing where no round was made under load.
pub fn read(store: &Store, marks: &Marks) -> Option<Scraped> {
    let until = marks.load_end.unwrap_or(i64::MAX);
    let samples = store.metric(scrape::INTERVAL).flat_map(|(_, samples)| samples);
    let under_load = samples.filter(|sample| (marks.load_start..=until).contains(&sample.at));
    let mut intervals =
        under_load.map(|sample| sample.value).filter(|value| !is_stale(*value)).collect::<Vec<_>>();
    intervals.sort_by(f64::total_cmp);
    let (median, longest) = (*intervals.get(intervals.len() / 2)?, *intervals.last()?);
    let millis = |seconds: f64| (seconds * 1e3).round() as u64;
    Some(Scraped { rounds: intervals.len() as u64, median_ms: millis(median), longest_ms: millis(longest) })
}

#[cfg(test)]
mod tests {
    use meshquake_promql::{Labels, Sample};

    use super::*;

    #[test]
    fn only_rounds_under_load_count() {
        let mut store = Store::new();
        for (at, value) in [(1_000, 7.0), (2_000, 1.0), (3_500, 1.5), (4_500, 1.0), (9_000, 4.5)] {
            store.append(&Labels::named(scrape::INTERVAL), Sample { at, value }).unwrap();
        }
        let marks = Marks { load_start: 2_000, load_end: Some(5_000), ..Marks::default() };
        let expected = Scraped { rounds: 3, median_ms: 1_000, longest_ms: 1_500 };
        assert_eq!(read(&store, &marks), Some(expected));
        assert_eq!(read(&Store::new(), &marks), None);
    }
}
