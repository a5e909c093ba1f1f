//! Samples in memory, in order of time per series, found by their labels.

use crate::expr::Matcher;
use crate::labels::{Labels, METRIC_NAME};
use std::collections::{BTreeMap, HashMap};

/// The one NaN that means "this series has ended here". It is Prometheus's bit pattern.
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The value that ends a series: after it the series is gone until its next sample.
pub fn stale_marker() -> f64 {
    f64::from_bits(STALE_BITS)
}

/// Whether a value is the marker, as against any other NaN.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// A value at a time, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub at: i64,
    pub value: f64,
}

/// Equal by bits, so that markers and NaNs compare as what they are.
impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at && self.value.to_bits() == other.value.to_bits()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sample of {labels} at {at} ms is not after the one at {last} ms")]
pub struct OutOfOrder {
    pub labels: Labels,
    pub at: i64,
    pub last: i64,
}

#[derive(Debug, Clone, Default)]
pub struct Store {
    /// Of each series, one behind the other.
    samples: Vec<Vec<Sample>>,
    /// Where in `samples` they are, in order.
    metrics: BTreeMap<String, BTreeMap<Labels, usize>>,
    /// The same for who knows the labels: each second adds to each series, and to order labels takes long.
    places: HashMap<Labels, usize>,
}

/// Equal by what they hold, in whatever order it came.
impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.series().eq(other.series())
    }
}

impl Store {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample, which must be later than all that its series has.
    pub fn append(&mut self, labels: &Labels, sample: Sample) -> Result<(), OutOfOrder> {
        let Some(samples) = self.places.get(labels).and_then(|place| self.samples.get_mut(*place)) else {
            self.begin(labels, sample);
            return Ok(());
        };
        match samples.last() {
            Some(last) if last.at >= sample.at => {
                Err(OutOfOrder { labels: labels.clone(), at: sample.at, last: last.at })
            }
            _ => {
                samples.push(sample);
                Ok(())
            }
        }
    }

    fn begin(&mut self, labels: &Labels, first: Sample) {
        let place = self.samples.len();
        self.samples.push(vec![first]);
        self.places.insert(labels.clone(), place);
        self.metrics.entry(labels.metric().to_owned()).or_default().insert(labels.clone(), place);
    }

    /// Ends a series at a time.
    pub fn end(&mut self, labels: &Labels, at: i64) -> Result<(), OutOfOrder> {
        self.append(labels, Sample { at, value: stale_marker() })
    }

    /// All series, in order of their labels within order of their metrics.
    pub fn series(&self) -> impl Iterator<Item = (&Labels, &[Sample])> {
        self.metrics.values().flatten().map(|series| self.at(series))
    }

    /// The samples of one series.
    pub fn samples(&self, labels: &Labels) -> &[Sample] {
        self.places.get(labels).and_then(|place| self.samples.get(*place)).map_or(&[], Vec::as_slice)
    }

    fn at<'a>(&'a self, (labels, place): (&'a Labels, &usize)) -> (&'a Labels, &'a [Sample]) {
        (labels, self.samples.get(*place).map_or(&[], Vec::as_slice))
    }

    /// All series of one metric.
    pub fn metric<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a Labels, &'a [Sample])> + use<'a> {
        self.metrics.get(name).into_iter().flatten().map(|series| self.at(series))
    }

    pub(crate) fn select<'a>(
        &'a self,
        matchers: &'a [Matcher],
    ) -> impl Iterator<Item = (&'a Labels, &'a [Sample])> {
        let metrics = self.metrics.iter().filter(|(name, _)| {
            matchers.iter().filter(|matcher| matcher.name == METRIC_NAME).all(|matcher| matcher.matches(name))
        });
        metrics
            .flat_map(|(_, series)| series)
            .filter(|(labels, _)| matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name))))
            .map(|series| self.at(series))
    }
}

/// The samples after `start` up to and with `end`, markers included.
pub(crate) fn between(samples: &[Sample], start: i64, end: i64) -> &[Sample] {
    let from = samples.partition_point(|sample| sample.at <= start);
    let to = samples.partition_point(|sample| sample.at <= end);
    samples.get(from..to).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_is_not_later_is_refused() {
        let mut store = Store::new();
        let labels = Labels::named("up").with("pod", "a");
        store.append(&labels, Sample { at: 5, value: 1.0 }).unwrap();
        let error = store.append(&labels, Sample { at: 5, value: 2.0 }).unwrap_err();
        assert_eq!(error.to_string(), "sample of up{pod=\"a\"} at 5 ms is not after the one at 5 ms");
        assert_eq!(store.samples(&labels).len(), 1);
    }

    #[test]
    fn stores_are_equal_in_whatever_order_their_series_began() {
        let [a, b] = ["a", "b"].map(|pod| Labels::named("up").with("pod", pod));
        let filled = |order: [&Labels; 2]| {
            let mut store = Store::new();
            order.iter().for_each(|labels| store.append(labels, Sample { at: 5, value: 1.0 }).unwrap());
            store
        };
        let mut one = filled([&a, &b]);
        assert_eq!(one, filled([&b, &a]));
        assert!(one.series().map(|(labels, _)| labels).eq([&a, &b]), "in order of their labels");
        one.end(&a, 6).unwrap();
        assert_ne!(one, filled([&a, &b]));
    }

    #[test]
    fn the_marker_is_a_nan_but_not_every_nan_is_the_marker() {
        assert!(stale_marker().is_nan() && is_stale(stale_marker()));
        assert!(!is_stale(f64::NAN));
    }

    #[test]
    fn a_range_is_open_at_its_left_end() {
        let samples: Vec<_> = (0..5).map(|second| Sample { at: second * 1000, value: 0.0 }).collect();
        let times: Vec<_> = between(&samples, 1000, 3000).iter().map(|sample| sample.at).collect();
        assert_eq!(times, [2000, 3000]);
        assert!(between(&samples, 3000, 1000).is_empty());
    }
}
