//! What an action cost: requests that failed meanwhile, and how many more calls each request made in the mesh.

use super::{ActionStory, Story};
use crate::event::{LoadSecond, MeshSecond};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Requests that failed in the seconds from asked to recovered, or undone, whatever they failed of.
    pub failed: u64,
    /// Nothing where the mesh told of no calls in one of the two spans.
    pub amplification: Option<Amplification>,
}

/// Calls in the mesh, retries included, for each request of the load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amplification {
    pub before: f64,
    pub meanwhile: f64,
    pub retries: u64,
}

impl Amplification {
    pub fn factor(&self) -> f64 {
        self.meanwhile / self.before
    }
}

impl Story {
    /// `None` where it was never asked for, or nothing was counted.
    pub fn cost(&self, action: &ActionStory) -> Option<Cost> {
        let asked = action.asked().filter(|_| !self.seconds.is_empty())?;
        let recovered = action.recovery().map_or(0, |after| after.unwrap_or_else(|within| within));
        let closed = action.closed().unwrap_or(self.ended_at);
        let until = closed + i64::try_from(recovered).unwrap_or_default();
        let failed = self
            .seconds
            .iter()
            .filter(|second| touches(second.second, asked, until))
            .map(|second| second.failed);
        let first = self.actions.iter().filter_map(ActionStory::asked).min().unwrap_or(asked);
        let amplification = || {
            let (before, _) = self.calls_per_request(|second| second + 1000 <= first)?;
            let (meanwhile, retries) = self.calls_per_request(|second| touches(second, asked, closed))?;
            Some(Amplification { before, meanwhile, retries })
        };
        Some(Cost { failed: failed.sum(), amplification: amplification() })
    }

    /// Of the seconds that the mesh tells of, and how many of those calls were retries.
    fn calls_per_request(&self, wanted: impl Fn(i64) -> bool) -> Option<(f64, u64)> {
        let mesh = self.mesh.as_ref()?.seconds.iter().filter(|second| wanted(second.second));
        let known = |second: &MeshSecond| self.second_at(second.second).map(|load| (load.sent, *second));
        let (mut sent, mut calls, mut retries) = (0, 0, 0);
        for (of_load, of_mesh) in mesh.filter_map(known) {
            sent += of_load;
            calls += of_mesh.calls;
            retries += of_mesh.retries;
        }
        (sent > 0 && calls > 0).then(|| ((calls + retries) as f64 / sent as f64, retries))
    }

    fn second_at(&self, start: i64) -> Option<&LoadSecond> {
        let index = self.seconds.binary_search_by_key(&start, |second| second.second).ok()?;
        self.seconds.get(index)
    }
}

fn touches(second: i64, from: i64, until: i64) -> bool {
    second + 1000 > from && second < until
}
