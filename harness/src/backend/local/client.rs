//! A `kube::Client` that talks to the supervisor's Unix socket: the one code path for objects on all backends.

use std::path::Path;

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;

/// A client for the API on `socket`. Nothing is connected before the first request.
pub fn connect(socket: &Path) -> kube::Client {
    let path = socket.to_owned();
    let connector = tower::service_fn(move |_: http::Uri| {
        let path = path.clone();
        Box::pin(async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) })
    });
    let http = Client::builder(TokioExecutor::new()).build::<_, kube::client::Body>(connector);
    kube::Client::new(tower::util::MapRequest::new(http, absolute), "default")
}

/// The pooling client wants a scheme and an authority, whatever its connector makes of them.
fn absolute(mut request: http::Request<kube::client::Body>) -> http::Request<kube::client::Body> {
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    if let Ok(uri) = format!("http://supervisor{path}").parse() {
        *request.uri_mut() = uri;
    }
    request
}
