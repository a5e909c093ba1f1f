//! The supervisor and what it owns: processes, sidecars, endpoints; kubelet and istiod in small.

#[cfg(test)]
mod again;
pub mod api;
pub mod ca;
pub mod client;
pub mod collect;
pub mod config;
pub mod deployment;
pub mod dirs;
pub mod envoy;
pub mod handle;
pub mod journal;
pub mod kubelet;
pub mod logs;
pub mod mesh;
pub mod net;
pub mod own;
pub mod proc;
mod scrape;
pub mod site;
pub mod spawn;
pub mod start;
pub mod store;
pub mod supervisor;
pub mod sweep;
pub mod verbs;
pub mod warden;
#[cfg(test)]
mod world_tests;
pub mod worlds;

pub use handle::{Local, take_back};
