//! Whether this machine can carry a cluster, asked before one is made: cores, memory, the port.

use std::net::{Ipv4Addr, SocketAddr};

use super::engine::{Engine, Facts};
use crate::backend::cluster::settings::Settings;
use crate::backend::local::net;

/// What one node needs with Istio in it, and each further one without.
const FIRST_NODE: u64 = 3 << 30;
const NODE: u64 = 1 << 30;
const CORES: u64 = 2;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error(
        "the engine has {found} processor, and a cluster with Istio needs {CORES}; give it more (Docker Desktop: Settings, Resources)"
    )]
    Cores { found: u64 },
    #[error(
        "the engine has {} of memory, and {nodes} with Istio need {}; give it more, or take the profile `one-node`",
        gib(*.found), gib(*.needed)
    )]
    Memory { found: u64, needed: u64, nodes: String },
    #[error("{why}; free the port, or choose another: `port` under [cluster] in meshquake.toml")]
    Port { why: String },
}

pub fn gib(bytes: u64) -> String {
    // Sizes of memory, far below 2^53.
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

/// What the machine gives against what the cluster needs.
pub fn check_size(facts: &Facts, settings: &Settings) -> Result<(), Error> {
    check_cores(facts)?;
    check_memory(facts, settings)
}

pub fn check_cores(facts: &Facts) -> Result<(), Error> {
    if facts.cores < CORES { Err(Error::Cores { found: facts.cores }) } else { Ok(()) }
}

pub fn check_memory(facts: &Facts, settings: &Settings) -> Result<(), Error> {
    let nodes = settings.cluster.profile.nodes();
    let needed = FIRST_NODE + (nodes - 1) * NODE;
    if facts.memory >= needed {
        return Ok(());
    }
    let nodes = if nodes == 1 { "one node".to_owned() } else { format!("{nodes} nodes") };
    Err(Error::Memory { found: facts.memory, needed, nodes })
}

/// Whether the port is free, and who holds it.
pub async fn check_port(engine: &Engine, port: u16) -> Result<(), Error> {
    let containers = engine.holders(port).await;
    if !containers.is_empty() {
        let names = containers.join("`, `");
        let clusters = containers.iter().filter_map(|name| cluster_of(name)).collect::<Vec<_>>();
        let down =
            clusters.first().map(|down| format!(" (`{down}` removes its cluster)")).unwrap_or_default();
        return Err(Error::Port { why: format!("port {port} is held by the container `{names}`{down}") });
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    net::check_ports(&[address]).map_err(|error| Error::Port { why: error.to_string() })
}

/// How to take away the cluster that a container is a node of.
fn cluster_of(container: &str) -> Option<String> {
    if let Some(cluster) = container.strip_suffix("-control-plane") {
        return Some(format!("kind delete cluster --name {cluster}"));
    }
    let cluster = container.strip_prefix("k3d-")?.strip_suffix("-server-0")?;
    Some(format!("k3d cluster delete {cluster}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cluster::provision::fake;
    use crate::backend::cluster::provision::tool::Which;
    use crate::backend::cluster::settings::Profile;

    fn facts(cores: u64, memory: u64) -> Facts {
        serde_json::from_value(serde_json::json!({"NCPU": cores, "MemTotal": memory})).expect("facts")
    }

    #[test]
    fn too_little_is_told_before() {
        let mut settings = Settings::default();
        check_size(&facts(2, 4 << 30), &settings).expect("enough");
        assert_eq!(check_size(&facts(1, 4 << 30), &settings), Err(Error::Cores { found: 1 }));
        settings.cluster.profile = Profile::ThreeNodes;
        let error = check_size(&facts(2, 4 << 30), &settings).expect_err("too little").to_string();
        assert_eq!(
            error,
            "the engine has 4.0 GiB of memory, and 3 nodes with Istio need 5.0 GiB; give it more, or take the \
             profile `one-node`"
        );
    }

    #[tokio::test]
    async fn the_holder_of_the_port_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = Engine::of(fake::tool(folder.path(), Which::Docker, "echo other-control-plane"));
        let error = check_port(&engine, 8000).await.expect_err("taken").to_string();
        assert_eq!(
            error,
            "port 8000 is held by the container `other-control-plane` (`kind delete cluster --name other` removes its cluster); \
             free the port, or choose another: `port` under [cluster] in meshquake.toml"
        );
        let nobody = Engine::of(fake::tool(folder.path(), Which::Docker, ""));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let error = check_port(&nobody, port).await.expect_err("taken").to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    }
}
