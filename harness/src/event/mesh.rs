//! What is told of the mesh itself: who called whom, how the calls went, and what the pods took for it.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub source: String,
    pub source_version: String,
    pub destination: String,
    pub destination_version: String,
    pub requests: f64,
    pub errors: f64,
    pub rate: f64,
    pub p95_ms: Option<f64>,
    /// This edge must not exist: it crosses versions.
    pub crossing: bool,
}

/// The mesh second by second, and every kind of answer in it that was no success.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mesh {
    pub seconds: Vec<MeshSecond>,
    pub failures: Vec<MeshFailure>,
}

/// `second` is the second's start, as in [`LoadSecond`](super::LoadSecond).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshSecond {
    pub second: i64,
    /// Calls between workloads, each counted once by its caller's sidecar.
    pub calls: u64,
    /// What the sidecars sent again on top of that.
    pub retries: u64,
}

/// Answers of one kind on one edge: neither 1xx, 2xx nor 3xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshFailure {
    pub source: String,
    pub destination: String,
    /// `503`; `0` where the caller did not wait for the answer.
    pub status: String,
    /// Envoy's response flag, or `-`.
    pub flag: String,
    /// Start of a second and how many there were in it; seconds without any are left out.
    pub seconds: Vec<(i64, u64)>,
}

/// How often the metrics were really read under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scraped {
    pub rounds: u64,
    /// Between two rounds.
    pub median_ms: u64,
    pub longest_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    pub pod: String,
    pub namespace: String,
    /// Of the app, in cores, on average.
    pub cpu: Option<f64>,
    /// Of the app, in bytes, at most.
    pub memory: Option<u64>,
    /// What its sidecar had allocated, in bytes, at most.
    pub sidecar_memory: Option<u64>,
}
