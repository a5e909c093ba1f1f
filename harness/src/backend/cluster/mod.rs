//! Worlds on Kubernetes with Istio: `kind`, `k3d` and any cluster that a kubeconfig names.
//!
//! ```text
//! reach the cluster ─► supply images ─► survey ─► apply ─► ready ─► every proxy knows all others
//!   state: a ConfigMap in the world's first namespace │ journal: on this disk, a copy in that ConfigMap
//! ```

mod apply;
mod collect;
mod converged;
#[cfg(test)]
mod fake_api;
pub mod forward;
mod ground;
mod handle;
pub mod heal;
pub mod image;
mod kinds;
mod knows;
pub mod load;
mod patient;
pub mod provision;
mod proxies;
mod ready;
mod scrape;
pub mod settings;
pub mod state;
mod take_down;
mod up;
mod world;

pub use ground::{Begun, Ground};
pub use handle::Cluster;
pub use world::RUN;
