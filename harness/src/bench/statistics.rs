//! Quantiles of raw samples: between two samples the value lies on the line that joins them.

/// The value below which this share of the samples lies; 0 is the smallest, 1 the largest. `None` of no samples.
pub fn quantile(samples: &[f64], share: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    // Equal neighbours are said exactly, whatever the place between them.
    Some(if below == above { below } else { below + (above - below) * place.fract() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_quantiles() {
        let table: [(&[f64], f64, Option<f64>); 8] = [
            (&[], 0.5, None),
            (&[7.0], 0.95, Some(7.0)),
            (&[1.0, 2.0], 0.5, Some(1.5)),
            (&[3.0, 1.0, 2.0], 0.5, Some(2.0)),
            (&[3.0, 1.0, 2.0], 0.0, Some(1.0)),
            (&[3.0, 1.0, 2.0], 1.0, Some(3.0)),
            // The numpy default says the same of it.
            (&[1.0, 2.0, 3.0, 4.0], 0.95, Some(3.8499999999999996)),
            (&[0.1, 0.1, 0.1], 0.3, Some(0.1)),
        ];
        for (samples, share, expected) in table {
            assert_eq!(quantile(samples, share), expected, "{share} of {samples:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_larger_share_has_no_smaller_value_and_none_lies_outside(
            samples in prop::collection::vec(-1e9_f64..1e9, 1..50), one in 0.0..=1.0_f64, other in 0.0..=1.0_f64,
        ) {
            let (low, high) = (one.min(other), one.max(other));
            let of = |share| quantile(&samples, share).expect("there are samples");
            prop_assert!(of(low) <= of(high) + 1e-6);
            let smallest = samples.iter().copied().fold(f64::INFINITY, f64::min);
            let largest = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!((of(0.0), of(1.0)) == (smallest, largest));
        }
    }
}
