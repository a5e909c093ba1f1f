//! Pods and gateways as they are at this moment: facts of a run, not of the files.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A pod that has a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub pod: String,
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
    pub service_account: String,
    /// The name of the Deployment.
    pub workload: String,
    /// Where its sidecar listens: the pod's address.
    pub address: IpAddr,
    /// Where the app itself listens.
    pub app_address: IpAddr,
    pub ports: Vec<ContainerPort>,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    pub name: Option<String>,
    pub port: u16,
}

/// Whether callers may use a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ready,
    NotReady,
    /// Asked to end, and still answering.
    Draining,
}

/// A proxy without an app: the way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayProxy {
    pub pod: String,
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
    pub service_account: String,
    pub workload: String,
    pub address: IpAddr,
    /// Where it listens in place of a server's port; a port that is not named listens on its own number.
    pub binds: BTreeMap<u16, Vec<SocketAddr>>,
}

impl GatewayProxy {
    /// Where the server port is listened for; the first is the main address.
    pub fn listens(&self, port: u16) -> Vec<SocketAddr> {
        match self.binds.get(&port) {
            Some(addresses) if !addresses.is_empty() => addresses.clone(),
            _ => vec![SocketAddr::new(self.address, port)],
        }
    }
}
