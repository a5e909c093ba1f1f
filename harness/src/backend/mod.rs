//! The closed set of backends and the few operations that differ between them.
//!
//! Objects, pods and logs are one code path on every backend: a `kube::Client` ([`objects::Objects`]). What
//! differs is how a world is brought up, how proxies are known to have converged, and how a pod's insides are
//! reached.

pub mod chaos;
pub mod local;
pub mod objects;
