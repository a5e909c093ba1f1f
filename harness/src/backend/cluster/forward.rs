//! HTTP to a port inside a pod, through the API server's port-forward: what listens on a pod's own loopback (Envoy's
//! admin, the chaos switch) is reached this way, and metrics where the API server's proxy is closed.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio_util::task::AbortOnDropHandle;

/// More than a configuration dump of a large mesh; an answer without end must not fill the memory.
const LARGEST: usize = 256 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("port {port} of pod {pod} cannot be forwarded")]
    Forward {
        pod: String,
        port: u16,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("port {port} of pod {pod} answers nothing: {why}")]
    NoAnswer { pod: String, port: u16, why: String },
    #[error("port {port} of pod {pod} has not answered within {} ms", .limit.as_millis())]
    Late { pod: String, port: u16, limit: Duration },
    #[error("port {port} of pod {pod} answered {status}")]
    Status { pod: String, port: u16, status: StatusCode },
}

/// One port of one pod. Cheap to clone; each request goes over a connection of its own.
#[derive(Clone)]
pub struct Forward {
    client: kube::Client,
    namespace: String,
    pod: String,
    port: u16,
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Forward({}/{}:{})", self.namespace, self.pod, self.port)
    }
}

impl Forward {
    pub fn new(client: kube::Client, namespace: &str, pod: &str, port: u16) -> Self {
        Self { client, namespace: namespace.to_owned(), pod: pod.to_owned(), port }
    }

    /// The body of a successful answer.
    pub async fn get(&self, path: &str, limit: Duration) -> Result<Bytes, Error> {
        let (status, body) = self.send(Method::GET, path, None, limit).await?;
        if !status.is_success() {
            return Err(Error::Status { pod: self.pod.clone(), port: self.port, status });
        }
        Ok(body)
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        json: Option<String>,
        limit: Duration,
    ) -> Result<(StatusCode, Bytes), Error> {
        let late = || Error::Late { pod: self.pod.clone(), port: self.port, limit };
        tokio::time::timeout(limit, self.exchange(method, path, json)).await.map_err(|_| late())?
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        json: Option<String>,
    ) -> Result<(StatusCode, Bytes), Error> {
        let silent = |why: String| Error::NoAnswer { pod: self.pod.clone(), port: self.port, why };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut forwarder = pods.portforward(&self.pod, &[self.port]).await.map_err(|source| {
            Error::Forward { pod: self.pod.clone(), port: self.port, source: Box::new(source) }
        })?;
        let refused = forwarder.take_error(self.port);
        let stream = forwarder.take_stream(self.port).ok_or_else(|| silent("no stream".to_owned()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| silent(error.to_string()))?;
        // It ends with this exchange, whatever becomes of it.
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "localhost")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(json.unwrap_or_default())))
            .map_err(|error| silent(error.to_string()))?;
        let answer = match sender.send_request(request).await {
            Ok(answer) => answer,
            Err(error) => {
                // Why the pod refused comes on a channel of its own, and says more.
                let told = match refused {
                    Some(refused) => tokio::time::timeout(Duration::from_millis(100), refused).await.ok(),
                    None => None,
                };
                return Err(silent(told.flatten().unwrap_or_else(|| error.to_string())));
            }
        };
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        forwarder.abort();
        Ok((status, body.map_err(|error| silent(error.to_string()))?.to_bytes()))
    }
}
