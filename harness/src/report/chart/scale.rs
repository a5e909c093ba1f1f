//! From values to heights, with ticks at round values.

/// A range of more than this is drawn by its order of magnitude, else its small half would be one flat line.
const WIDE: f64 = 40.0;

#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    Linear { top: f64, step: f64 },
    Log { bottom: f64, top: f64 },
}

impl Scale {
    pub fn linear(values: impl Iterator<Item = f64>) -> Self {
        let most = values.fold(0.0, f64::max);
        let step = round_step(most / 3.0);
        Self::Linear { top: (most / step).ceil().max(1.0) * step, step }
    }

    /// Logarithmic where the values differ widely.
    pub fn fitting(values: impl Iterator<Item = f64> + Clone) -> Self {
        let positive = values.clone().filter(|value| *value > 0.0);
        let (least, most) =
            positive.fold((f64::MAX, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        if most <= least * WIDE {
            return Self::linear(values);
        }
        let decade = |value: f64, round: fn(f64) -> f64| 10_f64.powf(round(value.log10()));
        Self::Log { bottom: decade(least, f64::floor), top: decade(most, f64::ceil) }
    }

    pub fn is_log(&self) -> bool {
        matches!(self, Scale::Log { .. })
    }

    /// 0 at the bottom, 1 at the top.
    pub fn share(&self, value: f64) -> f64 {
        let share = match *self {
            Scale::Linear { top, .. } => value / top,
            Scale::Log { bottom, top } => (value.max(bottom) / bottom).log10() / (top / bottom).log10(),
        };
        share.clamp(0.0, 1.0)
    }

    pub fn ticks(&self) -> Vec<f64> {
        match *self {
            Scale::Linear { top, step } => {
                (0..=(top / step).round() as u32).map(|tick| f64::from(tick) * step).collect()
            }
            Scale::Log { bottom, top } => {
                let decades = (top / bottom).log10().round() as i32;
                (0..=decades).map(|decade| bottom * 10_f64.powi(decade)).collect()
            }
        }
    }
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    if least <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= least * 0.999_999)
        .unwrap_or(power)
}

/// At most a dozen steps, at seconds and minutes that people count in.
pub fn time_step(span: f64) -> f64 {
    [0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0]
        .into_iter()
        .find(|step| span / step <= 12.0)
        .unwrap_or_else(|| 3_600.0 * (span / 3_600.0 / 12.0).ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_over_every_value() {
        let table: [(&[f64], &[f64]); 4] = [
            (&[], &[0.0, 1.0]),
            (&[100.0, 3.0], &[0.0, 50.0, 100.0]),
            (&[7.3], &[0.0, 5.0, 10.0]),
            (&[0.9], &[0.0, 0.5, 1.0]),
        ];
        for (values, expected) in table {
            assert_eq!(Scale::linear(values.iter().copied()).ticks(), expected, "{values:?}");
        }
    }

    #[test]
    fn values_far_apart_are_drawn_by_order_of_magnitude() {
        let scale = Scale::fitting([4.0, 900.0].into_iter());
        assert_eq!(scale.ticks(), [1.0, 10.0, 100.0, 1_000.0]);
        assert!((scale.share(10.0) - 1.0 / 3.0).abs() < 1e-9);
        assert!(!Scale::fitting([4.0, 100.0].into_iter()).is_log());
        assert!(!Scale::fitting([].into_iter()).is_log());
    }

    #[test]
    fn a_day_has_few_ticks_too() {
        for span in [1.0, 20.0, 600.0, 3_600.0, 86_400.0, 1e6] {
            assert!(span / time_step(span) <= 12.0, "{span}");
        }
    }
}
