//! The delta ADS server: snapshots out, ACKs and NACKs in, convergence awaited.

mod snapshot;

pub use snapshot::{Diff, Discoverable, Kind, Resource, Snapshot};
