//! Who stands behind a cluster, with what metrics say of them.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint as EnvoyEndpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint,
};

use super::proto::{address, metadata, texts};
use crate::intent::Endpoint;

/// The metadata of an endpoint that tells which transport socket it is reached by.
pub const TLS_MODE: (&str, &str) = ("tlsMode", "istio");

pub fn assignment(cluster: &str, endpoints: &[Endpoint]) -> ClusterLoadAssignment {
    let lb_endpoints: Vec<LbEndpoint> = endpoints.iter().map(lb_endpoint).collect();
    let localities = if lb_endpoints.is_empty() {
        vec![]
    } else {
        vec![LocalityLbEndpoints { lb_endpoints, ..Default::default() }]
    };
    ClusterLoadAssignment {
        cluster_name: cluster.to_owned(),
        endpoints: localities,
        ..ClusterLoadAssignment::default()
    }
}

fn lb_endpoint(endpoint: &Endpoint) -> LbEndpoint {
    let peer = &endpoint.peer;
    let words = texts(&[
        ("workload", &peer.workload),
        ("namespace", &peer.namespace),
        ("app", &peer.app),
        ("version", &peer.version),
        ("canonical_service", &peer.canonical_service),
        ("canonical_revision", &peer.canonical_revision),
    ]);
    let mut namespaces = vec![("istio", words)];
    if endpoint.mtls {
        namespaces.push(("envoy.transport_socket_match", texts(&[TLS_MODE])));
    }
    LbEndpoint {
        host_identifier: Some(lb_endpoint::HostIdentifier::Endpoint(EnvoyEndpoint {
            address: Some(address(SocketAddr::new(endpoint.address, endpoint.port))),
            ..EnvoyEndpoint::default()
        })),
        metadata: Some(metadata(namespaces)),
        ..LbEndpoint::default()
    }
}
