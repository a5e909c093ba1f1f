//! Sums and spreads that do not lose small numbers beside large ones.

/// A compensated sum (Neumaier's form of Kahan's), as Prometheus adds.
#[derive(Default, Clone, Copy)]
pub(super) struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        let total = self.total + value;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.total.abs() >= value.abs() {
            self.lost += (self.total - total) + value;
        } else {
            self.lost += (value - total) + self.total;
        }
        self.total = total;
    }

    fn value(self) -> f64 {
        self.total + self.lost
    }
}

pub(super) fn sum(values: &[f64]) -> f64 {
    let mut sum = Sum::default();
    values.iter().for_each(|value| sum.add(*value));
    sum.value()
}

pub(super) fn mean(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let total = sum(values);
    if total.is_infinite() && values.iter().all(|value| value.is_finite()) {
        // The sum does not fit where the mean does.
        let parts: Vec<f64> = values.iter().map(|value| value / count).collect();
        return sum(&parts);
    }
    total / count
}

/// The variance of the values as a whole population.
pub(super) fn variance(values: &[f64]) -> f64 {
    let middle = mean(values);
    let squares: Vec<f64> = values.iter().map(|value| (value - middle) * (value - middle)).collect();
    sum(&squares) / values.len() as f64
}

/// The least or greatest value; NaN only where there is nothing else.
pub(super) fn extreme(values: &[f64], better: fn(f64, f64) -> bool) -> f64 {
    let mut best = f64::NAN;
    for value in values {
        if best.is_nan() || better(*value, best) {
            best = *value;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_number_survives_between_large_ones() {
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
    }

    #[test]
    fn a_mean_fits_where_its_sum_does_not() {
        assert_eq!(mean(&[f64::MAX, f64::MAX]), f64::MAX);
        assert_eq!(mean(&[f64::INFINITY, 1.0]), f64::INFINITY);
    }

    #[test]
    fn the_spread_is_that_of_the_whole_population() {
        assert_eq!(variance(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), 4.0);
    }

    #[test]
    fn nan_is_an_extreme_only_among_itself() {
        assert_eq!(extreme(&[f64::NAN, 3.0, f64::NAN, 1.0], |new, old| new < old), 1.0);
        assert!(extreme(&[f64::NAN], |new, old| new > old).is_nan());
    }
}
