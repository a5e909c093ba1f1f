//! When each arrival is due, and what it draws: a pure function of the plan.
//!
//! Arrivals are numbered over all workers; a worker keeps those of its share. So the same plan gives the same
//! requests, with the same ids, on one worker or on ten.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::journey::Journey;
use super::plan::{LoadPlan, Mode, Pattern, Rate, Share};

/// The stream of random numbers that no execution uses.
const GAPS: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub number: u64,
    /// After the start of the load.
    pub due: Duration,
}

/// The arrivals of one worker in the order in which they are due; empty for a closed loop.
pub struct Schedule {
    rate: Option<Rate>,
    /// For Poisson: the generator of the gaps, and the time so far in seconds.
    gaps: Option<(ChaCha8Rng, f64)>,
    length: Duration,
    share: Share,
    next: u64,
}

impl Schedule {
    pub fn new(plan: &LoadPlan) -> Self {
        let (rate, gaps) = match plan.mode {
            Mode::Open { rate, pattern: Pattern::Even, .. } => (Some(rate), None),
            Mode::Open { rate, pattern: Pattern::Poisson, .. } => {
                (Some(rate), Some((stream(plan.seed, GAPS), 0.0)))
            }
            Mode::Closed { .. } => (None, None),
        };
        Self { rate, gaps, length: plan.length, share: plan.share, next: 0 }
    }

    /// The next arrival of any worker.
    fn next_of_all(&mut self) -> Option<Arrival> {
        let rate = self.rate?;
        let due = match &mut self.gaps {
            None => rate.due(self.next),
            Some((rng, time)) => {
                // 1 - u is never 0, so the gap is finite.
                *time -= (1.0 - rng.random::<f64>()).ln() / rate.per_second();
                Duration::from_secs_f64(*time)
            }
        };
        let arrival = Arrival { number: self.next, due };
        self.next += 1;
        (due < self.length).then_some(arrival)
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let arrival = self.next_of_all()?;
            if self.share.has(arrival.number) {
                return Some(arrival);
            }
        }
    }
}

/// Everything that execution `number` draws comes from here, in a fixed order: first the journey, then its ids and
/// variables.
pub fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

/// Chooses a journey by weight. There must be one with a weight above zero; without, it is the first.
pub fn choose<'j>(journeys: &'j [Journey], rng: &mut ChaCha8Rng) -> &'j Journey {
    let total: u64 = journeys.iter().map(|journey| u64::from(journey.weight)).sum();
    let mut left = rng.random_range(0..total.max(1));
    for journey in journeys {
        match left.checked_sub(u64::from(journey.weight)) {
            Some(rest) => left = rest,
            None => return journey,
        }
    }
    &journeys[0]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn plan(pattern: Pattern, arrivals: u32, seconds: u64, seed: u64) -> LoadPlan {
        let mode = Mode::Open { rate: Rate::every_second(arrivals), pattern, max_in_flight: 10 };
        LoadPlan { seed, length: Duration::from_secs(seconds), ..LoadPlan::new("http://x", vec![], mode) }
    }

    fn patterns() -> impl Strategy<Value = Pattern> {
        prop_oneof![Just(Pattern::Even), Just(Pattern::Poisson)]
    }

    proptest! {
        #[test]
        fn even_arrivals_keep_the_rate_exactly(arrivals in 1u32..500, seconds in 1u64..10) {
            let all: Vec<_> = Schedule::new(&plan(Pattern::Even, arrivals, seconds, 0)).collect();
            prop_assert_eq!(all.len() as u64, u64::from(arrivals) * seconds);
            for second in 0..seconds {
                let within = all.iter().filter(|arrival| arrival.due.as_secs() == second).count();
                prop_assert_eq!(within as u32, arrivals);
            }
        }

        #[test]
        fn arrivals_come_in_order_and_within_the_length(pattern in patterns(), arrivals in 1u32..500, seed: u64) {
            let all: Vec<_> = Schedule::new(&plan(pattern, arrivals, 3, seed)).collect();
            prop_assert!(all.is_sorted_by_key(|arrival| (arrival.due, arrival.number)));
            prop_assert!(all.iter().all(|arrival| arrival.due < Duration::from_secs(3)));
        }

        #[test]
        fn workers_together_make_the_same_arrivals_as_one(pattern in patterns(), of in 1u32..6, seed: u64) {
            let whole = plan(pattern, 97, 3, seed);
            let mut together: Vec<_> = (0..of).flat_map(|index| Schedule::new(&whole.part(index, of))).collect();
            together.sort_by_key(|arrival| arrival.number);
            prop_assert_eq!(together, Schedule::new(&whole).collect::<Vec<_>>());
        }
    }

    #[test]
    fn poisson_arrivals_keep_the_rate_on_average_and_differ_by_seed() {
        let all = |seed| Schedule::new(&plan(Pattern::Poisson, 100, 100, seed)).collect::<Vec<_>>();
        // Ten thousand are expected; five standard deviations are 500.
        assert!((9_500..10_500).contains(&all(1).len()), "{}", all(1).len());
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
    }

    #[test]
    fn journeys_are_chosen_by_weight_from_the_seed() {
        let journeys = [("a", 3), ("never", 0), ("b", 1)].map(|(name, weight)| Journey {
            name: name.into(),
            weight,
            ..Journey::default()
        });
        let names = |seed| {
            (0..4000)
                .map(|number| choose(&journeys, &mut stream(seed, number)).name.clone())
                .collect::<Vec<_>>()
        };
        let mut counts = BTreeMap::<_, u32>::new();
        names(7).into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
        // 3000 are expected; the standard deviation is 27.
        assert!((2850..3150).contains(&counts["a"]), "{counts:?}");
        assert_eq!(counts["a"] + counts["b"], 4000);
        assert_eq!(names(7), names(7));
        assert_ne!(names(7), names(8));
    }
}
