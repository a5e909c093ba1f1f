//! Intent to Envoy resources, given the form of interception.
//!
//! ```text
//! Inbound, Outbound, Entry ─► Listener ─ RDS by name ─► RouteConfiguration ◄─ RouteTable
//!                                                             │ cluster names
//! Cluster ─► Cluster (EDS) ◄──────────────────────────────────┘      Endpoint ─► ClusterLoadAssignment
//! ```
//!
//! Listeners do not change when routes do: a route, its fault and its retries travel in the route table alone.
//! Secrets come from elsewhere, under the names [`CERTIFICATE`] and [`ROOTS`].

mod access_log;
mod clusters;
mod endpoints;
mod inbound;
mod interception;
mod listeners;
mod peer_metadata;
mod proto;
mod rbac;
mod routes;
mod tcp_log;
mod telemetry;
mod tls;
mod translator;

pub use interception::{Interception, Loopback};
pub use telemetry::{KEPT_STATS, STAT_TAGS};
pub use tls::{CERTIFICATE, ROOTS};
pub use translator::{Translator, translate};

use crate::model::ObjectId;

/// Why an intent cannot become Envoy's configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("proxy {proxy} has no address under which it reaches service {service}")]
    NoAddress { proxy: String, service: ObjectId },
}
