//! The supervisor and what it owns: processes, sidecars, endpoints; kubelet and istiod in small.

pub mod api;
pub mod ca;
pub mod client;
pub mod envoy;
pub mod store;
