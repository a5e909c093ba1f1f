//! Guards: queries that are watched each second while the load runs, and end the run when they are true for a while.

use std::time::Duration;

use meshquake_promql::{Query, Refused, Store};

use super::objective::Guard;

/// What a guard saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// Of several values one on the wrong side, if there is one.
    pub value: Option<f64>,
    /// How long it has been on the wrong side.
    pub since: Option<Duration>,
    /// Long enough: the run must end.
    pub tripped: bool,
    /// Why there is no value.
    pub reason: Option<String>,
}

/// A guard on watch.
pub struct Watch<'g> {
    guard: &'g Guard,
    query: Query,
    true_since: Option<i64>,
}

impl<'g> Watch<'g> {
    pub fn new(guard: &'g Guard) -> Result<Self, Refused> {
        let length = guard.lasts.as_millis().max(1000);
        let query = Query::parse(&guard.promql.replace("$window", &format!("{length}ms")))?;
        Ok(Self { guard, query, true_since: None })
    }

    pub fn guard(&self) -> &Guard {
        self.guard
    }

    /// Looks once. No data is no reason to end a run, but it is said.
    pub fn look(&mut self, store: &Store, now: i64) -> Sight {
        let values = match self.query.evaluate(store, now) {
            Ok(value) => value.numbers(),
            Err(error) => return self.blind(error.to_string()),
        };
        let bound = self.guard.bound;
        let wrong = values.iter().copied().find(|value| bound.relation.holds(*value, bound.value));
        let Some(first) = values.first().copied() else { return self.blind("no data".to_owned()) };
        match wrong {
            None => {
                self.true_since = None;
                Sight { value: Some(first), since: None, tripped: false, reason: None }
            }
            Some(value) => {
                let since = *self.true_since.get_or_insert(now);
                let since = Duration::from_millis(u64::try_from(now - since).unwrap_or(0));
                let tripped = since >= self.guard.lasts;
                Sight { value: Some(value), since: Some(since), tripped, reason: None }
            }
        }
    }

    fn blind(&mut self, reason: String) -> Sight {
        self.true_since = None;
        Sight { value: None, since: None, tripped: false, reason: Some(reason) }
    }
}

#[cfg(test)]
mod tests {
    use meshquake_promql::{Labels, Sample};
    use meshquake_xds::source::Place;

    use super::*;
    use crate::event::Relation;
    use crate::judge::objective::Bound;

    #[test]
    fn a_guard_trips_only_after_it_was_true_for_long_enough() {
        let guard = Guard {
            name: "many errors".into(),
            place: Place::new("s.yaml", 1),
            promql: "sum(x) > 0".into(),
            bound: Bound { relation: Relation::Above, value: 50.0 },
            lasts: Duration::from_secs(2),
        };
        let mut store = Store::new();
        let mut watch = Watch::new(&guard).expect("a valid query");
        assert_eq!(watch.look(&store, 0).reason.as_deref(), Some("no data"));
        let mut seen = Vec::new();
        for (second, value) in [60.0, 40.0, 60.0, 70.0, 80.0].into_iter().enumerate() {
            let at = 1000 * (second as i64 + 1);
            store.append(&Labels::named("x"), Sample { at, value }).expect("in order");
            let sight = watch.look(&store, at);
            seen.push((sight.value, sight.since.map(|since| since.as_secs()), sight.tripped));
        }
        let expected = [
            (Some(60.0), Some(0), false),
            (Some(40.0), None, false),
            (Some(60.0), Some(0), false),
            (Some(70.0), Some(1), false),
            (Some(80.0), Some(2), true),
        ];
        assert_eq!(seen, expected);
    }
}
