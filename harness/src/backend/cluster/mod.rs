//! Worlds on Kubernetes with Istio: `kind`, `k3d` and any cluster that a kubeconfig names.

pub mod image;
pub mod provision;
pub mod settings;
