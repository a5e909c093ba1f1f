//! A client that says what an Envoy would say, and what it is told.

use super::*;

pub struct Client {
    pub requests: mpsc::Sender<Result<DeltaDiscoveryRequest, Status>>,
    pub responses: mpsc::Receiver<Result<DeltaDiscoveryResponse, Status>>,
    pub node: Option<Node>,
}

impl Client {
    pub fn connect(ads: &Ads, node: &str) -> Self {
        let (requests, incoming) = mpsc::channel(16);
        let (outgoing, responses) = mpsc::channel(16);
        let ads = ads.clone();
        tokio::spawn(async move {
            if let Err(status) = server::attend(&ads, ReceiverStream::new(incoming), &outgoing).await {
                _ = outgoing.send(Err(status)).await;
            }
        });
        Self { requests, responses, node: Some(Node { id: node.to_owned(), ..Node::default() }) }
    }

    pub async fn send(&mut self, mut request: DeltaDiscoveryRequest) {
        request.node = self.node.take();
        self.requests.send(Ok(request)).await.expect("the server listens");
    }

    pub async fn subscribe(&mut self, kind: Kind, names: &[&str]) {
        self.send(DeltaDiscoveryRequest { resource_names_subscribe: owned(names), ..request(kind) }).await;
    }

    pub async fn unsubscribe(&mut self, kind: Kind, names: &[&str]) {
        self.send(DeltaDiscoveryRequest { resource_names_unsubscribe: owned(names), ..request(kind) }).await;
    }

    pub async fn receive(&mut self) -> DeltaDiscoveryResponse {
        let next = timeout(LIMIT, self.responses.recv()).await.expect("a response within the limit");
        next.expect("the stream is open").expect("no error")
    }

    /// Receives a response of this kind with these names.
    pub async fn expect(&mut self, kind: Kind, names: &[&str], removed: &[&str]) -> DeltaDiscoveryResponse {
        let response = self.receive().await;
        assert_eq!((response.type_url.as_str(), delivered(&response)), (kind.type_url(), owned(names)));
        assert_eq!(response.removed_resources, owned(removed));
        response
    }

    pub async fn ack(&mut self, response: &DeltaDiscoveryResponse) {
        self.send(answer(response)).await;
    }

    pub async fn nack(&mut self, response: &DeltaDiscoveryResponse, message: &str) {
        let status = rpc::Status { code: 3, message: message.to_owned(), ..rpc::Status::default() };
        self.send(DeltaDiscoveryRequest { error_detail: Some(status), ..answer(response) }).await;
    }

    pub async fn take(&mut self, kind: Kind, names: &[&str]) {
        let response = self.expect(kind, names, &[]).await;
        self.ack(&response).await;
    }

    /// The start of an Envoy: clusters, then listeners.
    pub async fn start(ads: &Ads, node: &str, clusters: &[&str], listeners: &[&str]) -> Self {
        let mut client = Self::connect(ads, node);
        client.subscribe(Kind::Cluster, &[]).await;
        client.take(Kind::Cluster, clusters).await;
        client.subscribe(Kind::Listener, &[]).await;
        client.take(Kind::Listener, listeners).await;
        client
    }
}

pub fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub fn delivered(response: &DeltaDiscoveryResponse) -> Vec<String> {
    response.resources.iter().map(|resource| resource.name.clone()).collect()
}

pub fn request(kind: Kind) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: kind.type_url().to_owned(), ..DeltaDiscoveryRequest::default() }
}

pub fn answer(response: &DeltaDiscoveryResponse) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        ..DeltaDiscoveryRequest::default()
    }
}

/// `c:name=text` a cluster, `e:` endpoints, `l:` a listener, `r:` a route; the text makes the version.
pub fn snapshot(resources: &[&str]) -> Snapshot {
    let mut snapshot = Snapshot::new();
    for resource in resources {
        let (kind, rest) = resource.split_once(':').expect("a kind");
        let (name, text) = rest.split_once('=').unwrap_or((rest, ""));
        let (name, text) = (name.to_owned(), text.to_owned());
        let displaced = match kind {
            "c" => snapshot.add(Cluster {
                name,
                alt_stat_name: text,
                cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(
                    cluster::DiscoveryType::Eds as i32,
                )),
                ..Cluster::default()
            }),
            "e" => snapshot.add(ClusterLoadAssignment {
                cluster_name: name,
                named_endpoints: if text.is_empty() {
                    Default::default()
                } else {
                    [(text, Default::default())].into()
                },
                ..ClusterLoadAssignment::default()
            }),
            "l" => snapshot.add(Listener { name, stat_prefix: text, ..Listener::default() }),
            "r" => {
                let internal_only_headers = if text.is_empty() { vec![] } else { vec![text] };
                snapshot.add(RouteConfiguration { name, internal_only_headers, ..Default::default() })
            }
            other => panic!("no kind `{other}`"),
        };
        assert!(displaced.is_none(), "`{resource}` twice");
    }
    snapshot
}
