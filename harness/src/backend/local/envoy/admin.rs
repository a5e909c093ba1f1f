//! Asking a running Envoy, over its admin socket.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::nearby;

/// Envoy answers from its main thread in a millisecond; one that takes this long is stuck.
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make a client for {socket}")]
    Client { socket: PathBuf, source: reqwest::Error },
    #[error("no answer from Envoy at {socket} to {path}")]
    Unreachable { socket: PathBuf, path: String, source: reqwest::Error },
    #[error("Envoy at {socket} answers {path} with {status}: {body}")]
    Refused { socket: PathBuf, path: String, status: u16, body: String },
    #[error("Envoy at {socket} answers {path} with something that is not JSON")]
    NotJson { socket: PathBuf, path: String, source: serde_json::Error },
}

/// Whether an Envoy takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// In Envoy's words: `INITIALIZING`, `PRE_INITIALIZING`, `DRAINING`.
    NotReady(String),
}

/// A client of one Envoy's admin socket.
#[derive(Clone, Debug)]
pub struct Admin {
    socket: PathBuf,
    client: Client,
}

impl Admin {
    /// Makes a client; Envoy need not be there yet.
    pub fn new(socket: impl Into<PathBuf>) -> Result<Self, Error> {
        let socket = socket.into();
        let client = nearby::client().unix_socket(socket.as_path()).timeout(LIMIT).build();
        let client = client.map_err(|source| Error::Client { socket: socket.clone(), source })?;
        Ok(Self { socket, client })
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub async fn ready(&self) -> Result<Readiness, Error> {
        let (status, body) = self.ask(Method::GET, "/ready").await?;
        let state = String::from_utf8_lossy(&body).trim().to_owned();
        Ok(if status == StatusCode::OK { Readiness::Ready } else { Readiness::NotReady(state) })
    }

    /// All series, in the text form of Prometheus.
    pub async fn stats(&self) -> Result<Bytes, Error> {
        self.get("/stats/prometheus").await
    }

    /// Everything that Envoy has been told, with what it refused. Keys are redacted by Envoy itself.
    pub async fn config_dump(&self) -> Result<Value, Error> {
        self.json("/config_dump?include_eds").await
    }

    /// Clusters and the health and membership of their endpoints.
    pub async fn endpoints(&self) -> Result<BTreeSet<String>, Error> {
        let clusters: Clusters = self.json("/clusters?format=json").await?;
        let hosts = clusters.cluster_statuses.into_iter().flat_map(|cluster| cluster.host_statuses);
        Ok(hosts.filter_map(|host| Some(host.address.socket_address?.address)).collect())
    }

    /// Listeners and the addresses to which they are bound.
    pub async fn listeners(&self) -> Result<Value, Error> {
        self.json("/listeners?format=json").await
    }

    /// Certificates in use, with serial numbers and expiry.
    pub async fn certificates(&self) -> Result<Value, Error> {
        self.json("/certs").await
    }

    /// Asks clients to go elsewhere: connections are told to close, and no longer ready is said.
    pub async fn drain(&self) -> Result<(), Error> {
        self.post("/healthcheck/fail").await?;
        self.post("/drain_listeners?graceful").await
    }

    async fn post(&self, path: &str) -> Result<(), Error> {
        let (status, body) = self.ask(Method::POST, path).await?;
        self.check(path, status, body).map(|_| ())
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let body = self.get(path).await?;
        serde_json::from_slice(&body).map_err(|source| Error::NotJson {
            socket: self.socket.clone(),
            path: path.to_owned(),
            source,
        })
    }

    async fn get(&self, path: &str) -> Result<Bytes, Error> {
        let (status, body) = self.ask(Method::GET, path).await?;
        self.check(path, status, body)
    }

    fn check(&self, path: &str, status: StatusCode, body: Bytes) -> Result<Bytes, Error> {
        if status.is_success() {
            return Ok(body);
        }
        Err(Error::Refused {
            socket: self.socket.clone(),
            path: path.to_owned(),
            status: status.as_u16(),
            body: String::from_utf8_lossy(&body).trim().to_owned(),
        })
    }

    async fn ask(&self, method: Method, path: &str) -> Result<(StatusCode, Bytes), Error> {
        let unreachable =
            |source| Error::Unreachable { socket: self.socket.clone(), path: path.to_owned(), source };
        let request = self.client.request(method, format!("http://envoy{path}"));
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        Ok((status, response.bytes().await.map_err(unreachable)?))
    }
}

/// The few words that count of a list that tells much of each endpoint, in large worlds megabytes.
#[derive(Deserialize)]
struct Clusters {
    #[serde(default)]
    cluster_statuses: Vec<Cluster>,
}

#[derive(Deserialize)]
struct Cluster {
    #[serde(default)]
    host_statuses: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    address: Address,
}

#[derive(Deserialize)]
struct Address {
    /// The control plane is reached by a pipe.
    socket_address: Option<SocketAddress>,
}

#[derive(Deserialize)]
struct SocketAddress {
    address: String,
}
