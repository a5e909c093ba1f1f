//! Both ends of the stream are here: a client that says what an Envoy would say, and the server under test.
//!
//! Nothing sleeps: the client waits for the next response, and that there is none is shown by the next thing that
//! does come.

mod client;
mod nodes;
mod protocol;
mod socket;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::rpc;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use self::client::*;
use super::*;

/// Long enough for a busy machine; a passing test never waits for it.
const LIMIT: Duration = Duration::from_secs(20);
/// For what is expected not to happen within it.
const AT_ONCE: Duration = Duration::ZERO;

async fn settled(ads: &Ads, nodes: &[&str]) -> Converged {
    ads.converged(nodes.iter().copied(), None, LIMIT).await.expect("converges")
}

async fn lagging(ads: &Ads, node: &str) -> Lagging {
    let error = ads.converged([node], None, AT_ONCE).await.expect_err("does not converge");
    error.nodes.get(node).expect("this node lags").clone()
}
