//! The gRPC service on a Unix socket: each stream is a task that feeds its session and sends what comes out.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming, async_trait, transport};

use super::nodes::{Ads, Attached, Desired, Pace};
use super::session::Session;

/// A Unix socket's path is a field of 108 bytes that ends with a zero.
pub const SOCKET_PATH_LIMIT: usize = 107;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "socket path {path} has {length} bytes, the system allows {SOCKET_PATH_LIMIT}; \
         choose a shorter runtime directory (XDG_RUNTIME_DIR)"
    )]
    PathTooLong { path: PathBuf, length: usize },
    #[error("cannot listen on {path}")]
    Listen { path: PathBuf, source: io::Error },
}

/// A listening server. Dropping it ends all streams and removes the socket; Envoys keep what they have.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct Serving {
    socket: PathBuf,
    /// Device and inode of the socket: another server may have put its own in this place since.
    made: Option<(u64, u64)>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), transport::Error>>,
}

impl Serving {
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends all streams and waits until the server is gone.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Ok(Err(error)) = (&mut self.task).await {
            tracing::warn!(%error, "the ADS server ended with an error");
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if self.made.is_none() || identity(&self.socket) != self.made {
            return;
        }
        if let Err(error) = fs::remove_file(&self.socket)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, socket = %self.socket.display(), "cannot remove the ADS socket");
        }
    }
}

impl Ads {
    /// Listens on a socket that only this user may open, replacing one that a dead server left.
    pub fn serve(&self, socket: &Path) -> Result<Serving, Error> {
        let listener = listen(socket)?;
        let (stop, mut stopped) = watch::channel(false);
        let service = Service { ads: self.clone(), stopped: stopped.clone() };
        let task = tokio::spawn(async move {
            let ended = async move { _ = stopped.wait_for(|stop| *stop).await };
            transport::Server::builder()
                .add_service(AggregatedDiscoveryServiceServer::new(service))
                .serve_with_incoming_shutdown(UnixListenerStream::new(listener), ended)
                .await
        });
        Ok(Serving { socket: socket.to_owned(), made: identity(socket), stop, task })
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Binds under another name and renames, so that the socket never exists with wider permissions.
fn listen(socket: &Path) -> Result<UnixListener, Error> {
    let temporary = socket.with_extension("new");
    let length = temporary.as_os_str().len().max(socket.as_os_str().len());
    if length > SOCKET_PATH_LIMIT {
        return Err(Error::PathTooLong { path: socket.to_owned(), length });
    }
    let bind = || {
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&temporary)?;
        fs::set_permissions(&temporary, Permissions::from_mode(0o600))?;
        fs::rename(&temporary, socket)?;
        Ok(listener)
    };
    bind().map_err(|source| Error::Listen { path: socket.to_owned(), source })
}

struct Service {
    ads: Ads,
    stopped: watch::Receiver<bool>,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("only delta ADS is served: api_type DELTA_GRPC"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (sender, receiver) = mpsc::channel(16);
        let (ads, mut stopped) = (self.ads.clone(), self.stopped.clone());
        tokio::spawn(async move {
            let stop = async move { _ = stopped.wait_for(|stop| *stop).await };
            let end = tokio::select! {
                end = attend(&ads, request.into_inner(), &sender) => end,
                () = stop => Err(Status::unavailable("the server stops")),
            };
            if let Err(status) = end {
                // The client may be gone as well, and then there is nobody to tell.
                _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Serves one stream until the client leaves.
pub(super) async fn attend(
    ads: &Ads,
    mut requests: impl Stream<Item = Result<DeltaDiscoveryRequest, Status>> + Unpin,
    responses: &mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
) -> Result<(), Status> {
    let mut session = Session::default();
    let mut pace = ads.pace();
    let mut attached: Option<Attached> = None;
    loop {
        tokio::select! {
            () = responses.closed() => return Ok(()),
            request = requests.next() => {
                let Some(Ok(request)) = request else { return Ok(()) };
                // Envoy names its node only in the first request of a stream.
                if attached.is_none() {
                    let node = request.node.as_ref().map(|node| node.id.as_str()).unwrap_or_default();
                    if node.is_empty() {
                        return Err(Status::invalid_argument("the first request of a stream must name its node"));
                    }
                    attached = Some(ads.attach(node));
                }
                if let Some(response) = session.receive(request)
                    && responses.send(Ok(response)).await.is_err()
                {
                    return Ok(());
                }
            }
            () = another_snapshot(&mut attached) => {}
        }
        let Some(attached) = &mut attached else { continue };
        tokio::select! {
            () = responses.closed() => return Ok(()),
            () = running(&mut pace) => {}
        }
        let Some(Desired { generation, snapshot }) = attached.desired.borrow_and_update().clone() else {
            continue;
        };
        let system_version = generation.to_string();
        let mut ready = Vec::new();
        while let Some(response) = session.next(&snapshot, &system_version) {
            ready.push(response);
        }
        attached.report(session.standing(&snapshot), generation);
        for response in ready {
            if responses.send(Ok(response)).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Returns once the server is not paused.
async fn running(pace: &mut watch::Receiver<Pace>) {
    loop {
        let now = *pace.borrow_and_update();
        match now {
            Pace::Running => return,
            Pace::Paused => _ = pace.changed().await,
            Pace::PausedUntil(end) => tokio::select! {
                _ = pace.changed() => {}
                () = sleep_until(end) => return,
            },
        }
    }
}

/// Returns once the node has been given another snapshot.
async fn another_snapshot(attached: &mut Option<Attached>) {
    if let Some(attached) = attached
        && attached.desired.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
