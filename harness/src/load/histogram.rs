//! A histogram of durations that can be sent, added and asked for quantiles without losing anything but digits.
//!
//! Values are microseconds with three significant digits; on the wire it is HdrHistogram's V2 form in base64.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize};

const SIGNIFICANT_DIGITS: u8 = 3;

#[derive(Clone, PartialEq)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // Three digits are within what the histogram allows, and it grows by itself.
        Self(Histogram::new(SIGNIFICANT_DIGITS).expect("three significant digits are valid"))
    }
}

impl Latencies {
    pub fn record(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        // Ends at a day, far above any timeout: the histogram must not grow with a broken clock.
        self.0.record(micros.min(86_400_000_000)).expect("a histogram that grows can hold a day");
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("a histogram that grows can hold another of the same digits");
    }

    pub fn len(&self) -> u64 {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value at `quantile` (0 to 1), if there is any.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        (!self.is_empty()).then(|| Duration::from_micros(self.0.value_at_quantile(quantile)))
    }

    pub fn max(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| Duration::from_micros(self.0.max()))
    }

    /// How many values are at most `edge`, which is as exact as a value: to three digits.
    pub fn count_at_most(&self, edge: Duration) -> u64 {
        let micros = u64::try_from(edge.as_micros()).unwrap_or(u64::MAX);
        let edge = self.0.highest_equivalent(micros);
        self.0
            .iter_recorded()
            .take_while(|step| step.value_iterated_to() <= edge)
            .map(|step| step.count_since_last_iteration())
            .sum()
    }

    /// The sum of all values, as near as three digits are.
    pub fn sum(&self) -> Duration {
        Duration::from_secs_f64(self.0.mean() * self.0.len() as f64 / 1e6)
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Latencies({}", self.len())?;
        if let (Some(half), Some(max)) = (self.quantile(0.5), self.max()) {
            write!(f, ", p50 {half:?}, max {max:?}")?;
        }
        f.write_str(")")
    }
}

impl FromIterator<Duration> for Latencies {
    fn from_iter<I: IntoIterator<Item = Duration>>(values: I) -> Self {
        let mut all = Self::default();
        values.into_iter().for_each(|value| all.record(value));
        all
    }
}

impl Serialize for Latencies {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&self.0, &mut bytes).map_err(S::Error::custom)?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        let mut histogram: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(D::Error::custom)?;
        histogram.auto(true);
        Ok(Self(histogram))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(millis: &[u64]) -> Latencies {
        millis.iter().map(|value| Duration::from_millis(*value)).collect()
    }

    #[test]
    fn an_empty_one_has_no_quantiles() {
        let none = Latencies::default();
        assert_eq!((none.quantile(0.99), none.max(), none.len()), (None, None, 0));
    }

    #[test]
    fn counts_up_to_an_edge() {
        let all = of(&[1, 2, 3, 100, 5000]);
        for (edge, count) in [(0, 0), (1, 1), (2, 2), (50, 3), (100, 4), (10_000, 5)] {
            assert_eq!(all.count_at_most(Duration::from_millis(edge)), count, "at most {edge} ms");
        }
    }

    proptest! {
        #[test]
        fn merging_loses_nothing(left in prop::collection::vec(0u64..100_000, 0..50), right in prop::collection::vec(0u64..100_000, 0..50)) {
            let mut merged = of(&left);
            merged.merge(&of(&right));
            let all = of(&[left, right].concat());
            prop_assert_eq!(merged.len(), all.len());
            prop_assert_eq!(merged, all);
        }

        #[test]
        fn the_wire_keeps_every_count(values in prop::collection::vec(0u64..100_000, 0..50)) {
            let sent = of(&values);
            let text = serde_json::to_string(&sent).expect("serialises");
            let mut read: Latencies = serde_json::from_str(&text).expect("reads");
            prop_assert_eq!(&read, &sent);
            // What was read still grows.
            read.record(Duration::from_secs(3600));
            prop_assert_eq!(read.len(), sent.len() + 1);
        }
    }
}
