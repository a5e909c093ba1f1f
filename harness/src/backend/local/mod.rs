//! The supervisor and what it owns: processes, sidecars, endpoints; kubelet and istiod in small.

pub mod api;
pub mod client;
pub mod store;
