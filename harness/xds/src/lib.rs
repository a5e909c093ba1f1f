//! From Kubernetes and Istio objects to the configuration of real Envoys, and the server that delivers it.
//!
//! ```text
//! Object ──► model ──► intent (per proxy) ──► Envoy resources ──► Snapshot ──► ADS server ──► Envoy
//! (source)   checked   our own types, each     generated types     versioned    ACK, NACK, convergence
//!                      node with its place
//! ```
//!
//! Everything up to the snapshot is pure. This package knows nothing of the harness.

pub mod ads;
pub mod envoy;
pub mod fields;
pub mod intent;
pub mod model;
pub mod object;
pub mod source;
