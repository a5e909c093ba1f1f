//! Quantiles from the cumulative buckets of classic histograms.

use super::{Evaluation, unique};
use crate::expr::Expr;
use crate::labels::Labels;
use crate::value::{Element, Error};
use std::collections::BTreeMap;

/// The label that holds a bucket's upper edge.
const EDGE: &str = "le";

#[derive(Clone, Copy)]
struct Bucket {
    edge: f64,
    /// How many observations are up to the edge.
    count: f64,
}

impl Evaluation<'_> {
    pub(super) fn histogram_quantile(self, share: &Expr, buckets: &Expr) -> Result<Vec<Element>, Error> {
        let share = self.scalar(share)?;
        let mut histograms: BTreeMap<Labels, Vec<Bucket>> = BTreeMap::new();
        for (mut labels, count) in self.vector(buckets)? {
            let Some(edge) = read_edge(labels.get(EDGE)) else { continue };
            labels.remove(EDGE);
            histograms.entry(labels.without_name()).or_default().push(Bucket { edge, count });
        }
        let quantiles = histograms.into_iter().map(|(labels, buckets)| (labels, quantile(share, buckets)));
        unique("histogram_quantile", quantiles.collect())
    }
}

/// A bucket's edge as Go reads it; what is no number is no bucket.
fn read_edge(text: &str) -> Option<f64> {
    text.parse().ok().filter(|edge: &f64| !edge.is_nan())
}

/// Buckets in order, one for an edge, none with fewer observations than the one before.
fn tidy(mut buckets: Vec<Bucket>) -> Vec<Bucket> {
    buckets.sort_by(|left, right| left.edge.total_cmp(&right.edge));
    let mut tidied: Vec<Bucket> = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        match tidied.last_mut() {
            Some(last) if last.edge == bucket.edge => last.count += bucket.count,
            _ => tidied.push(bucket),
        }
    }
    let mut most = f64::NEG_INFINITY;
    for bucket in &mut tidied {
        // Buckets of one histogram are not always scraped at one instant, so a count may seem to fall.
        if bucket.count < most {
            bucket.count = most;
        }
        most = bucket.count;
    }
    tidied
}

fn quantile(share: f64, buckets: Vec<Bucket>) -> f64 {
    if share.is_nan() {
        return f64::NAN;
    }
    if share < 0.0 {
        return f64::NEG_INFINITY;
    }
    if share > 1.0 {
        return f64::INFINITY;
    }
    let buckets = tidy(buckets);
    let [finite @ .., last] = buckets.as_slice() else { return f64::NAN };
    let Some(highest) = finite.last() else { return f64::NAN };
    if last.edge != f64::INFINITY || last.count == 0.0 || last.count.is_nan() {
        return f64::NAN;
    }
    let rank = share * last.count;
    let position = finite.partition_point(|bucket| bucket.count < rank);
    let Some(bucket) = finite.get(position) else { return highest.edge };
    let before = position.checked_sub(1).and_then(|position| finite.get(position));
    match before {
        // Observations below the first edge lie between zero and it, unless zero is not below it.
        None if bucket.edge <= 0.0 => bucket.edge,
        None => bucket.edge * (rank / bucket.count),
        Some(before) => {
            let share_of_bucket = (rank - before.count) / (bucket.count - before.count);
            before.edge + (bucket.edge - before.edge) * share_of_bucket
        }
    }
}
