//! The delta ADS server: snapshots out, ACKs and NACKs in, convergence awaited.
//!
//! ```text
//! Ads::set(node, snapshot) ──► node's snapshot ──► stream task ──► Session ──► DeltaDiscoveryResponse ──► Envoy
//! Ads::converged(nodes)    ◄── node's standing ◄──────┘               ▲──── DeltaDiscoveryRequest ◄────────┘
//! ```
//!
//! A stream has, for each kind of resource, at most one response without an answer:
//!
//! | state | event | what happens | next |
//! | --- | --- | --- | --- |
//! | idle | first request, no names or `*` | all there is, or an empty response | sent |
//! | idle | first request with names | what the client lacks by its `initial_resource_versions`; unknown names as removed | sent |
//! | idle | another snapshot | what changed, in the order below | sent |
//! | any | names subscribed (again) | are owed: answered even if unchanged, unknown ones as removed | idle → sent |
//! | any | names unsubscribed | forgotten | same |
//! | sent | request with the response's nonce (ACK) | the client has these versions | idle |
//! | sent | request with another nonce | says nothing about the response; its names count | sent |
//! | sent | error, several resources (NACK) | each is sent again alone, to know which one is at fault | sent |
//! | sent | error, one resource (NACK) | refused: not sent again until it has another version | idle |
//!
//! Order, make before break: clusters; endpoints; listeners once clusters and endpoints are acknowledged; routes once listeners
//! are; secrets at any time; what is removed goes when all that is new has been answered (listeners: with the new ones,
//! which may want their address). A node has *settled* when nothing is unsent, unanswered or refused.

mod convergence;
mod nodes;
mod server;
mod session;
mod snapshot;
mod subscription;

#[cfg(test)]
mod tests;

pub use convergence::{Converged, Generation, Lagging, Nack, NotConverged};
pub use nodes::Ads;
pub use server::{Error, SOCKET_PATH_LIMIT, Serving};
pub use snapshot::{Diff, Discoverable, Kind, Resource, Snapshot};
