//! The supervisor and what it owns: processes, sidecars, endpoints; kubelet and istiod in small.

pub mod store;
