//! The supervisor and what it owns: processes, sidecars, endpoints; kubelet and istiod in small.

pub mod api;
pub mod ca;
pub mod client;
pub mod dirs;
pub mod envoy;
pub mod journal;
pub mod logs;
pub mod net;
pub mod proc;
pub mod spawn;
pub mod store;
pub mod sweep;
pub mod warden;

#[cfg(test)]
mod again;
